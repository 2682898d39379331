//! The command line of `lb-agent`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use lb_cli::SelfCommand;
use lb_core::report::Availability;

use crate::config::{Config, DEFAULT_RUN_DIR, SOCKET_NAME};
use crate::decap::DecapArguments;
use crate::doctor::DoctorArguments;
use crate::measure::{Measurer, Options, Shown};
use crate::setup::{SetupArguments, Unclear};
use crate::{agent, control, decap, doctor, run, setup};

/// The agent of a real server: tells the load balancers whether it serves and how much it has to do.
#[derive(Debug, Parser)]
#[command(name = "lb-agent", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// As clap has it.
const WRONG_USAGE: u8 = 2;
const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until SIGTERM or SIGINT, which says `stop` first. SIGHUP reads the configuration and the keys again
    Run {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration file and its keys, and change nothing
    Check {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Print what the running agent says of this real server, or change it
    State {
        /// What it shall say from now on
        #[arg(value_parser = control::state)]
        state: Option<Availability>,
        /// The agent's control socket
        #[arg(long, value_name = "PATH", default_value_os_t = default_socket())]
        socket: PathBuf,
    },
    /// Measure for two report intervals and print what a report would say, as JSON
    Measure {
        /// The configuration file; without it everything is measured as it is by default
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Prepare this host to be a real server, or take that back. Prints the commands and changes nothing, unless told to
    Setup(SetupArguments),
    /// Say what this host lacks to be a real server, and how to fix it
    Doctor(DoctorArguments),
    /// Take packets for VIPs out of tunnels, by an XDP program: a step of setup where the kernel has no module for it
    Decap(DecapArguments),
    #[command(flatten)]
    Own(SelfCommand),
}

fn default_socket() -> PathBuf {
    Path::new(DEFAULT_RUN_DIR).join(SOCKET_NAME)
}

/// Does what the command line of this process says. Errors go to stderr.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run { config } => run::run(&config).map(done),
        Command::Check { config } => check(&config).map(done),
        Command::State { state, socket } => show_state(&socket, state).map(done),
        Command::Measure { config } => measure(config.as_deref()).map(done),
        Command::Setup(arguments) => setup::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Decap(arguments) => decap::run(&arguments),
        Command::Own(own) => own.run(Arguments::command()).map(done).map_err(Into::into),
    };
    result.unwrap_or_else(|error| {
        eprintln!("{}", describe(&error));
        if error.is::<Unclear>() { ExitCode::from(WRONG_USAGE) } else { ExitCode::FAILURE }
    })
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// An error and its causes in one line, or as it is where it has lines of its own.
fn describe(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    if text.contains('\n') { text } else { format!("lb-agent: {text}") }
}

fn check(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    agent::read_keys(&config)?;
    println!("{}: ok (name: {}, load balancers: {})", path.display(), config.name, config.load_balancers.len());
    Ok(())
}

fn show_state(socket: &Path, state: Option<Availability>) -> anyhow::Result<()> {
    println!("{}", control::ask(socket, state)?);
    Ok(())
}

fn measure(config: Option<&Path>) -> anyhow::Result<()> {
    let options = match config {
        Some(path) => Config::load(path)?.measure,
        None => Options::default(),
    };
    let time = options.pace.interval;
    let measurement = run::run_to_end(async {
        let mut measurer = Measurer::start(options, Instant::now());
        // Programs are asked at the beginning of each interval, and it takes two answers to know a rate.
        tokio::time::sleep(2 * time).await;
        measurer.measure(Instant::now())
    })?;
    let json = serde_json::to_string_pretty(&Shown::of(&measurement)).context("cannot print the measurement")?;
    println!("{json}");
    Ok(())
}
