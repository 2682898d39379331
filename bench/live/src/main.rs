//! How well real servers of different speed are balanced: `cargo xtask bench balance --live`.
//!
//! Three HTTP servers whose CPU is limited to 1:2:4 answer requests that cost CPU time. The same load goes to them through
//! Understudy with no weight configured, through HAProxy's `leastconn`, and through Understudy with equal static weights,
//! in turn, for several seeds. docs/balance.md says what the figures are.

mod compare;
mod load;
mod report;
mod server;
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// The bench, and the server that it starts for itself.
#[derive(Parser)]
enum Command {
    /// Compares the policies.
    Compare(Options),
    /// Answers `/work/MICROSECONDS` after using so much CPU time, and `/hits` with the number of such requests.
    Serve {
        /// Where to listen.
        #[arg(long)]
        listen: SocketAddr,
    },
}

/// How to compare.
#[derive(clap::Args)]
struct Options {
    /// Write the figures to this file, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// One seed and shorter runs: a first look.
    #[arg(long)]
    quick: bool,
    /// Only the workload of this name.
    #[arg(long, value_name = "WORKLOAD", value_parser = ["sessions", "single"])]
    only: Option<String>,
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Compare(options) => compare::run(&options),
        Command::Serve { listen } => server::run(listen),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
