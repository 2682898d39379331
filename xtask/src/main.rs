//! `cargo xtask`: the project's own commands. Each makes sure by itself that what it needs is there, or names the one
//! command that fixes it.

mod aioquic;
mod bench;
mod build;
mod debian;
mod demo;
mod dependencies;
mod dist;
mod ebpf;
mod prerequisites;
mod test;
mod vm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// What a shell reports for a program that Ctrl-C has ended.
const EXIT_INTERRUPTED: u8 = 130;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Understudy's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the XDP programs
    BuildEbpf,
    /// Show the load balancer at work in network namespaces: a client, a balancer and three real servers; then a pair
    Demo {
        /// Leave everything up and say how to play with it
        #[arg(long, conflicts_with = "down")]
        keep: bool,
        /// Only the part with two load balancers, of which the active one is cut off
        #[arg(long, conflicts_with_all = ["keep", "down"])]
        pair: bool,
        /// Only take down what an earlier run left up
        #[arg(long)]
        down: bool,
    },
    /// Check everything that CI checks
    Test {
        /// Only the steps whose names contain this
        #[arg(long, value_name = "WORDS", default_value = "")]
        only: String,
    },
    /// Send golden and random packets through the XDP program on Debian 12's own kernel, in a virtual machine
    Vmtest,
    /// Measure
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Make Debian packages, in target/dist
    Dist(dist::DistArguments),
    /// Check the licences, sources and known vulnerabilities of all dependencies
    Dependencies,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if lb_lab::interrupt::requested() => {
            eprintln!("interrupted");
            ExitCode::from(EXIT_INTERRUPTED)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let root = workspace_root()?;
    match command {
        Command::BuildEbpf => build::ebpf(&root),
        Command::Demo { down: true, .. } => demo::down(),
        Command::Demo { pair: true, .. } => demo::run_pair(&root),
        Command::Demo { keep, .. } => demo::run(&root, keep),
        Command::Test { only } => test::run(&root, &only),
        Command::Vmtest => vm::run(&root),
        Command::Bench(bench) => bench::run(&root, &bench),
        Command::Dist(arguments) => dist::run(&root, &arguments),
        Command::Dependencies => dependencies::check(&root),
    }
}

fn workspace_root() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.map(Path::to_path_buf).context("the xtask package has no directory above it")
}
