//! How long clients are without an answer when the active node is cut off: `cargo xtask bench failover`.
//!
//! Understudy and keepalived take turns on the same network of two load balancers, at several speeds. In each turn the active
//! node's links are cut again and again, at a random phase, while a client probes the service each millisecond, keeps TCP
//! connections open, and watches who answers for the VIP. docs/failover.md says what the figures are.

mod compare;
mod failover;
mod report;
mod stage;
mod system;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// How to measure.
#[derive(Parser)]
struct Options {
    /// Write the figures to this file, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A few failovers of each only: a first look.
    #[arg(long)]
    quick: bool,
    /// Only systems whose name, `understudy 10 ms x 3`, contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

fn main() -> ExitCode {
    lb_lab::interrupt::install();
    match compare::run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
