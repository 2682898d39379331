//! The command line of `lbd`.

mod config;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use lb_cli::SelfCommand;
use lb_config::duration_text;
use lb_config::lock::Lock;

use crate::config::{Config, DEFAULT_BPF_DIR};
use crate::dataplane::Dataplane;
use crate::memory::Memory;
use crate::{doctor, preflight, run, takeover};

/// The load balancer's daemon: loads the XDP program, keeps its maps, serves the API.
#[derive(Debug, Parser)]
#[command(name = "lbd", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 4 doctor has found an error or a warning.";
/// The doctor has found an error or a warning.
const EXIT_DEGRADED: u8 = 4;

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until SIGTERM or SIGINT. SIGHUP reloads the configuration. The XDP program stays attached afterwards
    Run {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration file and change nothing
    Check {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// What the configuration can say: schema, defaults, an example, what a key is for
    Config {
        /// What to show
        #[command(subcommand)]
        command: config::ConfigCommand,
    },
    /// Say what is wrong on this host for a configuration, why that matters, and the fix; change nothing
    Doctor {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take the XDP program, its maps and the VIPs of a pair off this host, which serves no more
    Detach {
        /// The configuration file, for its bpf_dir; without it the default one is used
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    #[command(flatten)]
    Own(SelfCommand),
}

/// Does what the command line of this process says. Errors go to stderr.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Doctor { config, json } => return doctor(&config, json).unwrap_or_else(|error| failed(&error)),
        Command::Run { config } => run::run(&config),
        Command::Check { config } => check(&config),
        Command::Config { command } => config::run(&command),
        Command::Detach { config } => detach(config.as_deref()),
        Command::Own(own) => own.run(Arguments::command()).map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("{}", describe(error));
    ExitCode::FAILURE
}

/// An error and its causes in one line, or as it is where it has lines of its own.
fn describe(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    if text.contains('\n') { text } else { format!("lbd: {text}") }
}

fn check(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?.with_persistent(path)?;
    let unfit = config.unfit_files();
    if !unfit.is_empty() {
        let lines: String = unfit.iter().map(|line| format!("error: {line}\n")).collect();
        let count = if unfit.len() == 1 { "1 error".to_owned() } else { format!("{} errors", unfit.len()) };
        anyhow::bail!("{lines}{count}");
    }
    let (services, reals) = (config.cluster.services().len(), config.cluster.reals().len());
    println!("{}: ok (services: {services}, reals: {reals})", path.display());
    println!("memory: the maps take {}", Memory::of(&config.settings, &config.cluster));
    if let Some(pair) = &config.settings.pair {
        println!("pair: {}, the lease is {}", pair.detection(), duration_text(pair.lease));
        pair.warnings().iter().for_each(|warning| println!("warning: {warning}"));
    }
    Ok(())
}

fn doctor(path: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let diagnosis = doctor::examine(Config::load_to_start(path)?)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&diagnosis).context("cannot print the findings")?);
    } else {
        print!("{}", diagnosis.text(|_, word| word.to_owned()));
    }
    Ok(if diagnosis.is_degraded() { ExitCode::from(EXIT_DEGRADED) } else { ExitCode::SUCCESS })
}

fn detach(config: Option<&Path>) -> anyhow::Result<()> {
    let bpf_dir = match config {
        Some(path) => Config::load(path)?.settings.bpf_dir,
        None => PathBuf::from(DEFAULT_BPF_DIR),
    };
    if !bpf_dir.try_exists().with_context(|| format!("cannot look at {}", bpf_dir.display()))? {
        println!("nothing to remove: there is no {}", bpf_dir.display());
        return Ok(());
    }
    preflight::check_privileges()?;
    let _lock = Lock::take("lbd", &bpf_dir, "bpf_dir").context("cannot detach")?;
    // The VIPs first: where they are gone no packet comes that nobody would forward.
    let vips = takeover::take_off_all()?.into_iter().map(|vip| format!("VIP {vip}"));
    let removed: Vec<String> = vips.chain(Dataplane::remove_pins(&bpf_dir)?).collect();
    if removed.is_empty() {
        println!("nothing to remove in {}", bpf_dir.display());
    }
    for what in removed {
        println!("removed {what}");
    }
    Ok(())
}
