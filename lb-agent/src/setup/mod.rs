//! `lb-agent setup`: prepares a host to be a real server, and takes that back.
//!
//! What the host is like ([`facts`]) and what is wished make a list of steps ([`plan`]), each with the very command that takes it.
//! A dry run prints them, applying runs them ([`apply`]), and `lb-agent doctor` shows them as findings. What was changed is
//! recorded before it is ([`record`]), so that it can be undone.

mod apply;
mod arguments;
pub(crate) mod change;
pub(crate) mod clamp;
pub(crate) mod facts;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod host;
pub(crate) mod plan;
pub(crate) mod record;
mod show;
#[cfg(test)]
mod tests;
mod undo;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub(crate) use arguments::{SetupArguments, WishArguments};
use host::{Host as _, System};
pub(crate) use plan::Unclear;
use record::Keeper;

/// How packets come from the load balancer, as its configuration has it for the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// In frames to this host's MAC address
    Dsr,
    /// In an outer IP header to this host's address
    Ipip,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Dsr => "dsr",
            Mode::Ipip => "ipip",
        }
    }
}

/// What the host shall be prepared for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wish {
    pub(crate) mode: Mode,
    pub(crate) vips: BTreeSet<IpAddr>,
    /// That packets come in by; the one of the default route where none is named.
    pub(crate) interface: Option<String>,
    /// Of this host, as the load balancers have it.
    pub(crate) address: Option<IpAddr>,
    /// Whether TCP segments are kept small enough for the tunnel.
    pub(crate) clamp: bool,
}

/// Does what the command line says.
pub(crate) fn run(arguments: &SetupArguments) -> anyhow::Result<ExitCode> {
    let mut say = |line: &str| println!("{line}");
    match arguments.wish() {
        None => undo::undo(&mut System, &Keeper::open(&arguments.state_dir)?, &mut say).map(|()| ExitCode::SUCCESS),
        Some(wish) if arguments.apply => {
            apply::apply(&mut System, &wish, &Keeper::open(&arguments.state_dir)?, &mut say).map(|()| ExitCode::SUCCESS)
        }
        Some(wish) => dry_run(&wish, &arguments.state_dir),
    }
}

fn dry_run(wish: &Wish, state_dir: &Path) -> anyhow::Result<ExitCode> {
    let steps = plan::plan(wish, &System.facts()?)?;
    print!("{}", show::dry_run(wish, &steps, state_dir));
    Ok(if plan::blocked(&steps).next().is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
