//! Runs the operator's programs on a thread of their own. Those that are told of a change run one after the other, in the order of the
//! changes, and nobody waits for them. The fence runs at once, whatever else runs, and the takeover waits for its end.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use lb_core::pair::{Epoch, Role, State};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::{info, warn};

use super::Settings;
use crate::program::{Hear, Program, judge};

/// Changes that may wait for the programs of earlier ones. Those that come while so many wait are not told.
const QUEUE: usize = 64;

/// What a program is told, in its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Occasion {
    /// What the node is now, or is about to become.
    pub(super) state: State,
    /// What it was.
    pub(super) from: State,
    pub(super) epoch: Epoch,
    /// Why, in one line.
    pub(super) reason: String,
}

/// A run of a program.
struct Run {
    hook: &'static str,
    words: Vec<String>,
    environment: Vec<(&'static str, String)>,
    limit: Duration,
}

enum Wish {
    Notify(Run),
    Fence(Run, oneshot::Sender<Result<(), String>>),
}

/// The thread that runs programs. It ends when this is dropped, and kills what still runs.
#[derive(Debug)]
pub(super) struct Hooks {
    wishes: mpsc::Sender<Wish>,
}

impl Hooks {
    /// Starts the thread.
    ///
    /// # Errors
    /// The host has none to give.
    pub(super) fn start() -> io::Result<Self> {
        let (wishes, queue) = mpsc::channel(QUEUE);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("hooks".to_owned()).spawn(move || runtime.block_on(obey(queue)))?;
        Ok(Self { wishes })
    }

    /// Has the notify hook run, if there is one.
    pub(super) fn notify(&self, settings: &Settings, occasion: &Occasion) {
        let Some(words) = &settings.hooks.notify else { return };
        let run = Run::new("notify", words, settings, occasion);
        if self.wishes.try_send(Wish::Notify(run)).is_err() {
            warn!("notify hook: {QUEUE} runs wait already; it is not told of {}", word(occasion.state));
        }
    }

    /// Has the fence run; its end comes by the receiver, and dropping that kills it. None where there is no fence.
    pub(super) fn fence(
        &self,
        settings: &Settings,
        occasion: &Occasion,
    ) -> Option<oneshot::Receiver<Result<(), String>>> {
        let words = settings.hooks.fence.as_ref()?;
        let (done, end) = oneshot::channel();
        if let Err(error) = self.wishes.try_send(Wish::Fence(Run::new("fence", words, settings, occasion), done))
            && let Wish::Fence(_, done) = error.into_inner()
        {
            // The receiver is right here.
            let _ = done.send(Err(format!("{QUEUE} programs wait already")));
        }
        Some(end)
    }
}

async fn obey(mut wishes: mpsc::Receiver<Wish>) {
    let (notify, queue) = mpsc::channel(QUEUE);
    let one_by_one = tokio::spawn(notify_in_turn(queue));
    while let Some(wish) = wishes.recv().await {
        match wish {
            Wish::Notify(run) => {
                if let Err(error) = notify.try_send(run) {
                    warn!("notify hook: {QUEUE} runs wait already; one is left out: {error}");
                }
            }
            Wish::Fence(run, mut done) => drop(tokio::spawn(async move {
                let outcome = tokio::select! {
                    outcome = run.run() => outcome,
                    () = done.closed() => return,
                };
                // Whoever asked may have given up this very moment.
                let _ = done.send(outcome);
            })),
        }
    }
    one_by_one.abort();
}

async fn notify_in_turn(mut queue: mpsc::Receiver<Run>) {
    while let Some(run) = queue.recv().await {
        // It has been told in the log.
        let _ = run.run().await;
    }
}

impl Run {
    fn new(hook: &'static str, words: &[String], settings: &Settings, occasion: &Occasion) -> Self {
        let environment = environment(hook, settings, occasion);
        Self { hook, words: words.to_vec(), environment, limit: settings.hooks.timeout }
    }

    /// Runs it to its end or the limit, and tells the log what it said.
    async fn run(self) -> Result<(), String> {
        let mut said = Vec::new();
        let outcome = self.run_and_hear(&mut said).await;
        let name = self.words.first().map_or("", String::as_str);
        for line in String::from_utf8_lossy(&said).lines().filter(|line| !line.trim().is_empty()) {
            info!("{} hook {name}: {line}", self.hook);
        }
        if let Err(error) = &outcome {
            warn!("{} hook {name} has failed: {error}", self.hook);
        }
        outcome
    }

    async fn run_and_hear(&self, said: &mut Vec<u8>) -> Result<(), String> {
        let environment = self.environment.iter().map(|(key, value)| (key, value));
        let started = Program::start(&self.words, environment, Hear::Everything);
        let mut program = started.map_err(|error| format!("it cannot be run: {error}"))?;
        match timeout(self.limit, program.end(said)).await {
            Ok(Ok(status)) => judge(status, said),
            Ok(Err(error)) => Err(format!("its end cannot be awaited: {error}")),
            Err(_) => Err(format!("killed, since it did not end in {:?}", self.limit)),
        }
    }
}

/// What programs are told. docs/takeover.md has the list for operators.
fn environment(hook: &'static str, settings: &Settings, occasion: &Occasion) -> Vec<(&'static str, String)> {
    let vips = settings.groups.iter().flat_map(|group| group.vips.iter().copied());
    vec![
        ("UNDERSTUDY_HOOK", hook.to_owned()),
        ("UNDERSTUDY_STATE", word(occasion.state).to_owned()),
        ("UNDERSTUDY_FROM", word(occasion.from).to_owned()),
        ("UNDERSTUDY_EPOCH", occasion.epoch.to_string()),
        ("UNDERSTUDY_REASON", occasion.reason.clone()),
        ("UNDERSTUDY_NODE", host_name()),
        ("UNDERSTUDY_ROLE", role(settings.role).to_owned()),
        ("UNDERSTUDY_VIPS", list(vips)),
        ("UNDERSTUDY_PEER", list(settings.peer.iter().copied())),
    ]
}

fn list(addresses: impl Iterator<Item = IpAddr>) -> String {
    let addresses: Vec<String> = addresses.map(|address| address.to_string()).collect();
    addresses.join(" ")
}

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Primary => "primary",
        Role::Standby => "standby",
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Standby => "standby",
        State::TakingOver => "taking-over",
        State::Active => "active",
        State::Yielding => "yielding",
        State::Fenced => "fenced",
    }
}
