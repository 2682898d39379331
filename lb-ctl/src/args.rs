//! The command line.

mod checkpoint;
mod config;
mod import;
mod models;
mod packets;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use lb_cli::SelfCommand;
use lb_core::api::{
    DEFAULT_EVENT_LIMIT, DEFAULT_FLOW_LIMIT, DEFAULT_SOCKET, MAX_EVENT_LIMIT, MAX_FLOW_LIMIT, MAX_RESTART_GRACE_MS,
};

pub use checkpoint::CheckpointCommand;
pub use config::{AddCommand, AddReal, AddService, ConfigCommand, Member, Persist, RemoveCommand, Removed, Served};
pub use import::ImportArgs;
pub use models::{AvailabilityArgs, JobArgs};
pub use packets::{SimulateArgs, TraceArgs};

/// Shows and steers a running lbd.
#[derive(Debug, Parser)]
#[command(name = "lbctl", version, disable_help_subcommand = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 daemon unreachable, 4 degraded (status, pair, paths, checkpoint show, doctor)."
)]
pub struct Args {
    /// The daemon's API socket.
    #[arg(long, global = true, value_name = "PATH", env = "UNDERSTUDY_SOCKET", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// Print the daemon's answer as JSON.
    #[arg(short, long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// How the daemon is. Exits with 4 when it is degraded.
    Status,
    /// Every service with its reals, in the shape of `ipvsadm -Ln`.
    Services,
    /// Every real with its state, weight and next hop.
    Reals,
    /// The scheduling table: health, load and weight of every real, and why.
    Table,
    /// Why a real has its weight.
    Explain {
        /// The real's name.
        #[arg(value_parser = real_name)]
        real: String,
    },
    /// Reports of the reals: how many were taken and refused, from whom, and what agents say.
    Reports,
    /// Flows in the flow table: those of slots that were moved.
    Flows {
        /// Only flows to this VIP.
        #[arg(long, value_name = "ADDRESS")]
        vip: Option<IpAddr>,
        /// The most flows to show.
        #[arg(long, value_name = "N", default_value_t = DEFAULT_FLOW_LIMIT,
              value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_FLOW_LIMIT)))]
        limit: u32,
    },
    /// Packets and bytes of each service and real.
    Stats {
        /// Per second, from two samples.
        #[arg(long)]
        rate: bool,
        /// Seconds between the two samples.
        #[arg(long, value_name = "SECONDS", default_value = "1", requires = "rate", value_parser = interval)]
        interval: Duration,
    },
    /// Why packets for a VIP were dropped, and what else happened to them.
    Drops,
    /// Which real a packet would go to, and why.
    Simulate(SimulateArgs),
    /// Packets for a VIP as they come, one a line: verdict, reason, flow, slot, real.
    Trace(TraceArgs),
    /// All of it live, on a terminal: reals, services, drops, paths. Keys sort, drain and enable.
    Top {
        /// Seconds between two looks at the daemon.
        #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
        interval: Duration,
        /// Print everything once, from two looks, and end: for scripts. `--json` does so too.
        #[arg(long)]
        once: bool,
    },
    /// Send a real no new flows; old ones stay.
    Drain {
        /// The real's name.
        #[arg(value_parser = real_name)]
        real: String,
    },
    /// Send a real new flows again.
    Enable {
        /// The real's name.
        #[arg(value_parser = real_name)]
        real: String,
    },
    /// Send a real no packet at all: its flows break.
    Disable {
        /// The real's name.
        #[arg(value_parser = real_name)]
        real: String,
    },
    /// Give a real a weight that goes before the configured one.
    Weight {
        /// The real's name.
        #[arg(value_parser = real_name)]
        real: String,
        /// 0 to 65535, or `default` for the configured weight.
        #[arg(value_name = "N|default", value_parser = weight)]
        weight: Weight,
    },
    /// The pair: this node, its peer, its lease. Exits with 4 when something is wrong.
    Pair,
    /// Each heartbeat path to the peer. Exits with 4 when one is down.
    Paths,
    /// What the node has learned, kept so that its successor knows it.
    Checkpoint {
        /// What to do.
        #[command(subcommand)]
        command: CheckpointCommand,
    },
    /// How available a pair is, from how often nodes fail and how soon that is mended. Needs no daemon.
    Availability(AvailabilityArgs),
    /// Make a configuration of lbd from one of keepalived or IPVS. Needs no daemon.
    Import(ImportArgs),
    /// What has happened to the pair, over restarts too.
    Events {
        /// The most events to show: the newest.
        #[arg(long, value_name = "N", default_value_t = DEFAULT_EVENT_LIMIT,
              value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_EVENT_LIMIT)))]
        limit: u32,
    },
    /// What is wrong with this node, why that matters, and the fix. Exits with 4 on an error or a warning.
    Doctor,
    /// Write all that somebody who helps has to know to a new file, without secrets.
    SupportBundle {
        /// The file, JSON.
        file: PathBuf,
    },
    /// Move the VIPs: from this node when it is active, to it when it is standby. No flow breaks.
    Handover {
        /// Even when the standby is not in sync: flows may break.
        #[arg(long)]
        force: bool,
    },
    /// Hold this node back from becoming active, or let go.
    Hold {
        /// `on` or `off`.
        #[arg(value_enum)]
        hold: Switch,
    },
    /// End lbd so that its successor goes on where it was, without a takeover.
    Restart {
        /// How long the node goes on without lbd, as in `5s` or `500ms`.
        #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = grace)]
        grace: Duration,
    },
    /// Add or replace a service or a real while the daemon runs. Flows of the others go on.
    Add {
        /// What to add.
        #[command(subcommand)]
        command: AddCommand,
    },
    /// Remove a service or a real while the daemon runs. Flows of the others go on.
    Remove {
        /// What to remove.
        #[command(subcommand)]
        command: RemoveCommand,
    },
    /// The configuration in use, and how it differs from the file.
    Config {
        /// What to show.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Read the configuration file again: all of it is taken over, or nothing.
    Reload,
    /// About `lbctl` itself. Needs no daemon.
    #[command(flatten)]
    Own(SelfCommand),
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It is wanted.
    On,
    /// It is not.
    Off,
}

/// A weight, or none: the configured one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight(pub Option<u32>);

fn weight(text: &str) -> Result<Weight, String> {
    if text == "default" {
        return Ok(Weight(None));
    }
    let number = text.parse::<u16>().map_err(|_| "a weight is 0 to 65535, or `default`".to_owned())?;
    Ok(Weight(Some(u32::from(number))))
}

fn interval(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("an interval is 0.1 to 3600 seconds".to_owned()),
    }
}

fn grace(text: &str) -> Result<Duration, String> {
    let milliseconds = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => number.parse().ok(),
        (None, Some(number)) => number.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1000)),
        (None, None) => None,
    };
    match milliseconds {
        Some(milliseconds) if (1..=MAX_RESTART_GRACE_MS).contains(&milliseconds) => {
            Ok(Duration::from_millis(milliseconds))
        }
        _ => Err(format!("a grace is 1ms to {}s, as in 5s or 500ms", MAX_RESTART_GRACE_MS / 1000)),
    }
}

/// A name goes into a path of the API: only what can be a name may.
fn real_name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("a real's name is 1 to 64 letters, digits, dots, dashes and underscores".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn weights() {
        assert_eq!(weight("0"), Ok(Weight(Some(0))));
        assert_eq!(weight("65535"), Ok(Weight(Some(65_535))));
        assert_eq!(weight("default"), Ok(Weight(None)));
        for wrong in ["65536", "-1", "1.5", "", "Default"] {
            assert!(weight(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names() {
        assert!(real_name("web-1.example_a").is_ok());
        for wrong in ["", "a/b", "a b", "a?b", "ä", &"a".repeat(65)] {
            assert!(real_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn graces() {
        assert_eq!(grace("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(grace("1ms"), Ok(Duration::from_millis(1)));
        assert_eq!(grace("60000ms"), Ok(Duration::from_mins(1)));
        for wrong in ["0s", "61s", "5", "5m", "1.5s", "-1s", "s", "ms", "18446744073709551615s"] {
            assert!(grace(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn intervals() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "NaN", "inf", "3601", "x"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
