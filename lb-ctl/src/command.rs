//! Does what the command line asks, and turns the answer into text.

mod bundle;
mod checkpoint;
mod config;
mod import;
mod models;
mod watch;

use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use lb_core::api::{
    AdminState, Diagnosis, Drops, Events, Explanation, FlowList, Handover, Hold, Pair, PairChanged, Paths, RealChanged,
    RealList, Reloaded, Reports, Restart, ServiceList, SetAdmin, SetWeight, Simulation, Stats, Status, TableReport,
    path,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::args::{Args, Command, Switch};
use crate::client::{Answer, Client, ClientError};
use crate::import::ImportError;
use crate::render::{self, Style};
use crate::{top, trace};

/// What to print, and what it comes to.
pub struct Outcome {
    /// For stdout, with its line ends.
    pub text: String,
    /// What it comes to.
    pub verdict: Verdict,
}

/// What an answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Good,
    /// Something that was looked at is not good.
    Failed,
    /// The daemon says that it is degraded.
    Degraded,
}

impl Verdict {
    fn degraded(degraded: bool) -> Self {
        if degraded { Self::Degraded } else { Self::Good }
    }
}

/// Why a command has no outcome. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The daemon gave no answer, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file cannot be used.
    #[error("cannot {what} {}: {source}", file.display())]
    File { what: &'static str, file: PathBuf, source: io::Error },
    /// A file cannot be imported.
    #[error("cannot import {}: {source}", file.display())]
    Import { file: PathBuf, source: ImportError },
    /// Completions or manual pages were not written.
    #[error(transparent)]
    Own(#[from] lb_cli::SelfError),
    /// Keys and a screen are wanted.
    #[error("`lbctl top` needs a terminal: `lbctl top --once` prints what it shows")]
    NoTerminal,
    /// Nothing can be printed.
    #[error("cannot write the answer: {0}")]
    Output(io::Error),
}

/// Runs the command.
pub async fn run(args: &Args, style: Style) -> Result<Outcome, Failure> {
    let client = Client::new(&args.socket);
    let view = View { client: &client, json: args.json };
    let set_admin = async |real: &str, state: AdminState| {
        let answer: Answer<RealChanged> = client.post(&path::admin(real), Some(&SetAdmin { state })).await?;
        Ok::<String, ClientError>(view.text(answer, render::admin))
    };
    let text = match &args.command {
        Command::Status => {
            let answer: Answer<Status> = client.get(path::STATUS).await?;
            let verdict = Verdict::degraded(answer.value.degraded);
            return Ok(Outcome { text: view.text(answer, |status| render::status(status, style)), verdict });
        }
        Command::Pair => {
            let answer: Answer<Pair> = client.get(path::PAIR).await?;
            let verdict = Verdict::degraded(answer.value.is_degraded());
            return Ok(Outcome { text: view.text(answer, |pair| render::pair(pair, style)), verdict });
        }
        Command::Paths => {
            let answer: Answer<Paths> = client.get(path::PATHS).await?;
            let verdict = Verdict::degraded(answer.value.is_degraded());
            return Ok(Outcome { text: view.text(answer, |paths| render::paths(paths, style)), verdict });
        }
        Command::Doctor => {
            let answer: Answer<Diagnosis> = client.get(path::DOCTOR).await?;
            let verdict = Verdict::degraded(answer.value.is_degraded());
            return Ok(Outcome { text: view.text(answer, |found| render::diagnosis(found, style)), verdict });
        }
        Command::SupportBundle { file } => return bundle::run(&view, file).await,
        Command::Checkpoint { command } => return checkpoint::run(&view, command, style).await,
        Command::Availability(wanted) => models::availability(&view, wanted, style)?,
        Command::Import(wanted) => import::run(&view, wanted)?,
        Command::Events { limit } => {
            let path = format!("{}?limit={limit}", path::EVENTS);
            view.get(&path, |events: &Events| render::events(events, style)).await?
        }
        Command::Handover { force } => {
            let answer = client.post(path::HANDOVER, Some(&Handover { force: *force })).await?;
            view.text(answer, render::handed_over)
        }
        Command::Hold { hold } => {
            let answer = client.post(path::HOLD, Some(&Hold { held: *hold == Switch::On })).await?;
            view.text(answer, render::held)
        }
        Command::Restart { grace } => {
            let body = Restart { grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX) };
            let answer = client.post(path::RESTART, Some(&body)).await?;
            view.text(answer, |changed: &PairChanged| render::restarting(changed, *grace))
        }
        Command::Services => view.get(path::SERVICES, |list: &ServiceList| render::services(list, style)).await?,
        Command::Reals => view.get(path::REALS, |list: &RealList| render::reals(list, style)).await?,
        Command::Table => view.get(path::TABLE, |table: &TableReport| render::table(table, style)).await?,
        Command::Explain { real } => {
            view.get(&path::explain(real), |explanation: &Explanation| render::explanation(explanation, style)).await?
        }
        Command::Reports => view.get(path::REPORTS, |reports: &Reports| render::reports(reports, style)).await?,
        Command::Flows { vip, limit } => {
            let vip = vip.map(|vip| format!("vip={vip}&")).unwrap_or_default();
            let path = format!("{}?{vip}limit={limit}", path::FLOWS);
            view.get(&path, |list: &FlowList| render::flows(list, style)).await?
        }
        Command::Stats { rate: false, .. } => {
            view.get(path::STATS, |stats: &Stats| render::stats(stats, style)).await?
        }
        Command::Stats { rate: true, interval } => {
            let before: Answer<Stats> = client.get(path::STATS).await?;
            tokio::time::sleep(*interval).await;
            let after: Answer<Stats> = client.get(path::STATS).await?;
            let rates = render::Rates::between(&before.value, &after.value);
            if args.json { json_line(&rates) } else { render::rates(&rates, style) }
        }
        Command::Drops => view.get(path::DROPS, |drops: &Drops| render::drops(drops, style)).await?,
        Command::Simulate(wanted) => {
            view.get(&wanted.path(), |simulation: &Simulation| render::simulation(simulation, style)).await?
        }
        Command::Trace(wanted) => return trace::run(&client, wanted, args.json, style).await,
        Command::Top { interval, once } => {
            let wanted = top::Wanted { socket: &args.socket, interval: *interval, once: *once, json: args.json };
            return top::run(&wanted, style).await;
        }
        Command::Drain { real } => set_admin(real, AdminState::Drained).await?,
        Command::Enable { real } => set_admin(real, AdminState::Enabled).await?,
        Command::Disable { real } => set_admin(real, AdminState::Disabled).await?,
        Command::Weight { real, weight } => {
            let body = SetWeight { weight: weight.0 };
            let answer: Answer<RealChanged> = client.post(&path::weight(real), Some(&body)).await?;
            view.text(answer, render::weight)
        }
        Command::Add { command } => config::add(&view, command).await?,
        Command::Remove { command } => config::remove(&view, command).await?,
        Command::Config { command } => config::show(&view, *command, style).await?,
        Command::Reload => {
            let answer: Answer<Reloaded> = client.post(path::RELOAD, None::<&()>).await?;
            view.text(answer, render::reload)
        }
        Command::Own(own) => {
            own.run(Args::command())?;
            String::new()
        }
    };
    Ok(Outcome { text, verdict: Verdict::Good })
}

/// How answers are shown.
struct View<'a> {
    client: &'a Client<'a>,
    json: bool,
}

impl View<'_> {
    async fn get<T: DeserializeOwned>(&self, path: &str, show: impl Fn(&T) -> String) -> Result<String, ClientError> {
        Ok(self.text(self.client.get(path).await?, show))
    }

    fn text<T>(&self, answer: Answer<T>, show: impl Fn(&T) -> String) -> String {
        if self.json { format!("{}\n", answer.json.trim_end()) } else { show(&answer.value) }
    }
}

/// What `lbctl` has worked out itself, as JSON.
pub fn json_line(value: &impl Serialize) -> String {
    // Numbers and names always have a JSON form.
    serde_json::to_string(value).map(|json| json + "\n").unwrap_or_default()
}

pub fn unusable(what: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Failure {
    move |source| Failure::File { what, file: file.to_owned(), source }
}
