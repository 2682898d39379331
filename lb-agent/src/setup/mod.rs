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
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub(crate) use arguments::{SetupArguments, WishArguments};
use host::{Host as _, System};
pub(crate) use plan::Unclear;
use record::Keeper;

use crate::decap::PIN_DIR;

/// How packets come from the load balancer, as its configuration has it for the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// In frames to this host's MAC address
    Dsr,
    /// In an outer IP header to this host's address
    Ipip,
    /// In an outer IP and a UDP header to this host's address
    Gue,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Dsr => "dsr",
            Mode::Ipip => "ipip",
            Mode::Gue => "gue",
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
    /// The UDP port of mode `gue`; a record of an older version has none.
    #[serde(default = "gue_port")]
    pub(crate) port: u16,
    /// Packets are taken out of tunnels by our own program, even where the kernel has a module for that.
    #[serde(default)]
    pub(crate) program: bool,
    /// Where that program is pinned.
    #[serde(default = "pins")]
    pub(crate) pins: PathBuf,
    /// Whether TCP segments are kept small enough for the tunnel.
    pub(crate) clamp: bool,
}

fn pins() -> PathBuf {
    PIN_DIR.into()
}

fn gue_port() -> u16 {
    lb_common::GUE_PORT
}

/// Does what the command line says.
pub(crate) fn run(arguments: &SetupArguments) -> anyhow::Result<ExitCode> {
    let mut say = |line: &str| println!("{line}");
    let mut system = System::new(arguments.pins());
    match arguments.wish() {
        None => undo::undo(&mut system, &Keeper::open(&arguments.state_dir)?, &mut say).map(|()| ExitCode::SUCCESS),
        Some(wish) if arguments.apply => {
            apply::apply(&mut system, &wish, &Keeper::open(&arguments.state_dir)?, &mut say).map(|()| ExitCode::SUCCESS)
        }
        Some(wish) => dry_run(&wish, &system, &arguments.state_dir),
    }
}

fn dry_run(wish: &Wish, system: &System, state_dir: &Path) -> anyhow::Result<ExitCode> {
    let steps = plan::plan(wish, &system.facts()?)?;
    print!("{}", show::dry_run(wish, &steps, state_dir));
    Ok(if plan::blocked(&steps).next().is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
