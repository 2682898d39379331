//! Those who watch the reals, as the engine sees them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use lb_core::auth::Keys;
use lb_core::check::{CheckResult, Target};
use lb_core::report::Mark;
use tokio::sync::{mpsc, watch};

use super::pair::Change;
use crate::checks::Checks;
use crate::config::{PairSettings, ReportSettings};
use crate::engine::{Senders, Watchers};
use crate::next_hop::{NextHops, Timing, Update, Watch};
use crate::reports::{Counters, JOURNAL_FILE, Listening, Reports, Updates};

/// All of them. They end when this is dropped.
pub(super) struct Everyone {
    next_hops: NextHops,
    checks: Checks,
    reports: Reports,
    pair: watch::Sender<Change>,
}

/// Where their news comes from.
pub(super) struct News {
    pub(super) next_hops: mpsc::Receiver<Update>,
    pub(super) checks: mpsc::Receiver<CheckResult>,
    pub(super) reports: Updates,
    pub(super) pair: watch::Receiver<Change>,
}

impl Everyone {
    /// Starts them, with nothing to watch yet; what must outlive them is kept in `state_dir`. Must be called inside the runtime.
    ///
    /// # Errors
    /// A socket cannot be had.
    pub(super) fn start(reports: Option<(&ReportSettings, Keys)>, state_dir: &Path) -> anyhow::Result<(Self, News)> {
        let (pair, pair_changes) = watch::channel(None);
        let listening = reports.map(|(settings, keys)| Listening {
            addresses: settings.listen.clone(),
            keys,
            rate_limit: settings.rate_limit,
            journal: Some(state_dir.join(JOURNAL_FILE)),
        });
        let (reports, report_updates) = Reports::start(listening).context("cannot take reports")?;
        let (next_hops, updates) = NextHops::start(Vec::new(), Timing::default())?;
        let (checks, results) = Checks::start();
        let news = News { next_hops: updates, checks: results, reports: report_updates, pair: pair_changes };
        Ok((Self { next_hops, checks, reports, pair }, news))
    }
}

impl Watchers for Everyone {
    fn watch_next_hops(&self, watches: Vec<Watch>) {
        self.next_hops.watch(watches);
    }

    fn watch_checks(&self, targets: Vec<Target>) {
        self.checks.watch(targets);
    }

    fn watch_reports(&self, senders: Senders) {
        self.reports.set_reals(senders.reals, &senders.marks);
        self.reports.set_agents(senders.agents);
    }

    fn set_report_keys(&self, keys: Keys, rate_limit: u32) {
        self.reports.set_keys(keys);
        self.reports.set_rate_limit(rate_limit);
    }

    fn set_pair(&self, settings: &PairSettings, keys: Keys) {
        self.pair.send_replace(Some((settings.clone(), keys)));
    }

    fn report_marks(&self) -> BTreeMap<String, Mark> {
        self.reports.marks()
    }

    fn report_counters(&self) -> (Counters, Vec<SocketAddr>) {
        (self.reports.counters(), self.reports.addresses().to_vec())
    }
}
