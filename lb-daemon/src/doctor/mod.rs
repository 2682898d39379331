//! What is wrong with this node, why that matters, and the fix: `GET /v1/doctor` of a running daemon, and `lbd doctor` without one.
//! It changes nothing.
//!
//! [`facts`] looks at the host, [`delivery`] sends a packet to each real as a client's would be sent, and the others turn what is
//! known into findings: they ask nobody, so that tests can have hosts of their own. docs/reference/doctor.md has every check.

mod case;
mod delivery;
mod facts;
mod host;
mod interfaces;
mod peer;
mod ports;
mod replies;
mod standalone;
mod state;
#[cfg(test)]
mod tests;
mod ways;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use lb_core::api::{Checkpoint, Diagnosis, Drops, Finding, Pair, Paths, Reports, Skipped, Status};
use lb_core::table::NextHop;

pub use standalone::examine;

use crate::config::Config;
use case::{Case, Running, Way};
use facts::{Facts, StartClock};

/// The clocks when this process began to run as a daemon.
static START: OnceLock<StartClock> = OnceLock::new();

/// What the engine knows of itself, for a diagnosis.
pub struct Inside {
    /// The configuration in use.
    pub config: Config,
    /// The ways to the reals: by name, the next hop, the interface's name, and what the search says.
    pub ways: BTreeMap<String, (Option<NextHop>, Option<String>, String)>,
    /// Reports.
    pub reports: Reports,
    /// Drops and events.
    pub drops: Drops,
}

/// Remembers the clocks, so that it is noticed when the wall clock is set. To be called as the daemon starts.
pub fn remember_clocks() {
    START.get_or_init(StartClock::now);
}

/// Looks at the node that this process runs. `pair` is none on a solo node, `checkpoint` where none are kept.
pub async fn diagnose(
    inside: Inside,
    status: Status,
    pair: Option<(Pair, Paths)>,
    checkpoint: Option<Checkpoint>,
) -> Diagnosis {
    let Inside { config, ways, reports, drops } = inside;
    let start = *START.get_or_init(StartClock::now);
    let facts = Facts::gather(&config, start, false).await;
    let way = |(name, (next_hop, interface, note))| (name, Way { next_hop, interface, note });
    let mut case = Case {
        unfit_files: unfit_files(&config).await,
        config,
        facts,
        ways: ways.into_iter().map(way).collect(),
        running: Some(Running { status, reports, drops, pair, checkpoint }),
        deliveries: Vec::new(),
        runs_elsewhere: false,
    };
    case.deliveries = delivery::try_all(&case).await;
    judge(&case)
}

/// It reads files and opens devices, which an event loop must not wait for.
async fn unfit_files(config: &Config) -> Vec<String> {
    let config = config.clone();
    tokio::task::spawn_blocking(move || config.unfit_files()).await.unwrap_or_default()
}

/// The findings, the worst first.
fn judge(case: &Case) -> Diagnosis {
    let mut findings: Vec<Finding> = host::findings(case);
    findings.extend(interfaces::findings(case));
    findings.extend(ways::findings(case));
    findings.extend(replies::findings(case));
    findings.extend(delivery::findings(case));
    findings.extend(peer::findings(case));
    findings.extend(state::findings(case));
    findings.extend(ports::findings(case));
    findings.sort_by_key(|finding| Reverse(finding.severity));
    Diagnosis { skipped: skipped(case), ..Diagnosis::of(findings) }
}

/// What only a running daemon knows.
const OF_A_DAEMON: [&str; 7] = ["delivery", "path", "keys", "peer", "versions", "checkpoint", "daemon"];

fn skipped(case: &Case) -> Vec<Skipped> {
    let skipped = |check: &str, reason: String| Skipped { check: check.to_owned(), reason };
    if case.running.is_none() {
        let reason = match case.runs_elsewhere {
            true => "an lbd runs with this configuration: `lbctl doctor` asks it",
            false => "no lbd runs: start it, then ask `lbctl doctor`",
        };
        return OF_A_DAEMON.map(|check| skipped(check, reason.to_owned())).into();
    }
    let most = delivery::MAX_DELIVERIES;
    let too_many = case.deliveries.len() == most;
    too_many
        .then(|| skipped("delivery", format!("only the first {most} reals of services were tried")))
        .into_iter()
        .collect()
}
