//! Health and load: what checks, reports and agents say goes to the monitor and the scheduler, and what these make of it
//! into the scheduling table. A change of health counts at once; weights are decided every `scheduler.interval`.
//! On a node that follows another, and for a grace after a takeover, what is heard is kept and moves nothing.

mod alarms;
mod candidates;
mod targets;
#[cfg(test)]
mod tests;
mod views;
mod why;
mod words;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use lb_core::check::CheckResult;
use lb_core::checkpoint::Load;
use lb_core::monitor::{Change, Monitor};
use lb_core::monitoring::Monitoring;
use lb_core::report::Report;
use lb_core::scheduler::{Decision, NEUTRAL_FACTOR, Sample, Scheduler, Why};
use lb_core::table::{Learned, Plan, SavedState, SchedulingTable, TableError};
use tracing::{info, warn};

use super::watchers::Senders;
use super::{ChangeError, Engine, NS_PER_MS};
use crate::reports::ReportUpdate;

/// How the reals are, and what is decided about them.
#[derive(Clone)]
pub(super) struct Balance {
    monitoring: Monitoring,
    monitor: Monitor,
    scheduler: Scheduler,
    /// What the last step has decided, by real.
    decisions: BTreeMap<String, Decision>,
    /// When that was, and what each real (by id) had been sent by then.
    stepped: Option<(u64, HashMap<u16, u64>)>,
    /// Since when reports have been waited for.
    since_ms: u64,
}

impl Balance {
    /// Goes on where an earlier daemon was: with the factors that it used, and the health that it knew.
    pub(super) fn new(
        table: &SchedulingTable,
        monitoring: Monitoring,
        learned: &BTreeMap<String, Learned>,
        now_ms: u64,
    ) -> Self {
        let mut monitor = Monitor::default();
        monitor.configure(table.cluster(), &monitoring);
        monitor.restore(learned);
        let mut scheduler = Scheduler::new(monitoring.scheduler);
        let mut decisions = BTreeMap::new();
        let moved = learned.iter().filter(|(_, learned)| learned.factor != NEUTRAL_FACTOR);
        for (real, learned) in moved.filter(|(real, _)| table.cluster().real(real).is_some()) {
            scheduler.restore(real, learned.factor);
            decisions.insert(real.clone(), held(learned.factor));
        }
        Self { monitoring, monitor, scheduler, decisions, stepped: None, since_ms: now_ms }
    }

    /// How the reals are watched, as configured.
    pub(super) fn monitoring(&self) -> &Monitoring {
        &self.monitoring
    }

    /// Takes over another configuration, which the table has already. What is known of the reals that stay is kept.
    pub(super) fn configure(&mut self, table: &SchedulingTable, monitoring: Monitoring, now_ms: u64) -> Vec<Change> {
        let changes = self.monitor.configure(table.cluster(), &monitoring);
        self.scheduler.set_options(monitoring.scheduler);
        self.scheduler.retain(|real| table.cluster().real(real).is_some());
        self.monitoring = monitoring;
        if self.ease_in(&changes, now_ms) {
            self.decide(table, now_ms, &HashMap::new());
        }
        changes
    }

    pub(super) fn is_configured_so(&self, monitoring: &Monitoring) -> bool {
        self.monitoring == *monitoring
    }

    /// A real that the operator lets serve again is eased in like any other that returns.
    pub(super) fn operator_enabled(&mut self, real: &str, table: &SchedulingTable, now_ms: u64) {
        let returned = Change::Returned { real: real.to_owned() };
        if self.ease_in(&[returned], now_ms) {
            self.decide(table, now_ms, &HashMap::new());
        }
    }

    /// Goes on where another node was: with the factors that it used, and with what it knew of reals that this node knows nothing of.
    pub(super) fn succeed(&mut self, learned: &BTreeMap<String, Learned>, now_ms: u64) {
        for (real, learned) in learned {
            self.scheduler.restore(real, learned.factor);
            self.decisions.insert(real.clone(), held(learned.factor));
        }
        let unknown_here = learned.iter().map(|(real, learned)| (real.clone(), self.unknown_here(real, learned)));
        let unknown_here = unknown_here.collect();
        self.monitor.restore(&unknown_here);
        self.stepped = None;
        self.since_ms = now_ms;
    }

    /// What another node has learned of a real, with what this node has seen in place of it.
    fn unknown_here(&self, real: &str, learned: &Learned) -> Learned {
        let monitor = &self.monitor;
        let is_unseen = |service: &&String| {
            let member = monitor.member(service, real);
            member.is_some_and(|member| member.checks().iter().all(|check| check.last().is_none()))
        };
        let has_reported = monitor.newest_report(real).is_some();
        let has_agent = monitor.agent(real).is_some_and(|agent| agent.last().is_some());
        Learned {
            down: learned.down.iter().filter(is_unseen).cloned().collect(),
            availability: if has_reported { monitor.availability(real) } else { learned.availability },
            agent: learned.agent.filter(|_| !has_agent),
            ..learned.clone()
        }
    }

    /// How loaded a real is, as the last step had it.
    pub(super) fn load(&self, real: &str) -> Option<Load> {
        let decision = self.decisions.get(real)?;
        let utilisation = decision.utilisation? as f32;
        Some(Load { utilisation, hits: decision.hits.map(|hits| hits as f32) })
    }

    /// What the table is to be like.
    pub(super) fn plan(&self, table: &SchedulingTable) -> Plan {
        self.monitor.plan(&self.decisions, |service, real| table.may_serve(service, real))
    }

    fn decide(&mut self, table: &SchedulingTable, now_ms: u64, new_flows: &HashMap<u16, f64>) {
        let candidates = candidates::candidates(table, self, new_flows);
        self.decisions = self.scheduler.step(&candidates, now_ms);
    }

    /// Reals that have come back begin with little. Returns whether there are such.
    fn ease_in(&mut self, changes: &[Change], now_ms: u64) -> bool {
        let mut any = false;
        for change in changes {
            if let Change::Returned { real } = change
                && self.is_watched(real)
            {
                self.scheduler.joined(real, now_ms);
                any = true;
            }
        }
        any
    }

    /// Something tells how the real is. Where nothing does, a real is as good when it comes as it will ever be.
    fn is_watched(&self, real: &str) -> bool {
        self.monitor.agent(real).is_some()
            || self.monitor.newest_report(real).is_some()
            || self.monitor.is_checked(real)
    }

    fn take_report(&mut self, report: &Report, now_ms: u64) -> Vec<Change> {
        if let Some((utilisation, _)) = report.load.utilisation() {
            let sample = Sample { utilisation, hits: report.load.hits_per_second() };
            self.scheduler.observe(&report.real, sample, report.interval_ms.into(), now_ms);
        }
        self.monitor.report(report, now_ms)
    }
}

/// What was decided about a real before a restart.
fn held(factor: u32) -> Decision {
    let unknown = None;
    Decision {
        factor,
        goal: factor,
        hot: false,
        utilisation: unknown,
        hits: unknown,
        capacity: unknown,
        why: Why::Held,
    }
}

impl Engine {
    /// Takes over what checks have come to.
    pub fn take_check_results(&mut self, results: &[CheckResult]) {
        let now_ms = self.now_ms();
        let changes = results.iter().flat_map(|result| self.balance.monitor.check(result, now_ms)).collect();
        self.act_on(changes);
    }

    /// Takes over what reals and their agents say.
    pub fn take_reports(&mut self, updates: &[ReportUpdate]) {
        let now_ms = self.now_ms();
        let mut changes = Vec::new();
        for update in updates {
            changes.extend(match update {
                ReportUpdate::Report(report) if self.table.cluster().real(&report.real).is_none() => Vec::new(),
                ReportUpdate::Report(report) => self.balance.take_report(report, now_ms),
                ReportUpdate::AgentCheck { real, result } => {
                    self.balance.monitor.agent_check(real, result.as_ref().map_err(String::as_str), now_ms)
                }
            });
        }
        self.act_on(changes);
    }

    /// Decides about weights. Returns how long to wait until the next time.
    pub fn step(&mut self) -> Duration {
        if !self.is_plan_held() {
            let new_flows = self.new_flows();
            let now_ms = self.now_ms();
            self.balance.decide(&self.table, now_ms, &new_flows);
            self.take_plan();
        }
        self.tell_known();
        self.look_for_alarms();
        Duration::from_millis(self.balance.monitoring.scheduler.interval_ms)
    }

    /// What follows from changes of health, at once.
    fn act_on(&mut self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        self.log(&changes);
        let now_ms = self.now_ms();
        if self.is_plan_held() {
            self.look_for_alarms();
            return;
        }
        if self.balance.ease_in(&changes, now_ms) {
            self.balance.decide(&self.table, now_ms, &HashMap::new());
        }
        self.take_plan();
        self.tell_known();
        self.look_for_alarms();
    }

    /// Brings table and maps in line with the plan. What fails is tried again with the next step.
    pub(super) fn take_plan(&mut self) {
        let plan = self.balance.plan(&self.table);
        let result = self.change(|table, now_ms| {
            table.set_plan(&plan, now_ms);
            Ok(())
        });
        match result {
            Ok(_) => self.troubles.clear("weights"),
            Err(error) => self.troubles.degraded("weights", format!("{error}; tried again soon")),
        }
    }

    /// As [`Engine::change`], with what health and load make of it: the table gets the plan that follows.
    pub(super) fn change_both(
        &mut self,
        change: impl FnOnce(&mut SchedulingTable, &mut Balance, u64) -> Result<Vec<Change>, TableError>,
    ) -> Result<bool, ChangeError> {
        let mut balance = self.balance.clone();
        let mut changes = Vec::new();
        let is_plan_held = self.is_plan_held();
        let changed = self.change(|table, now_ms| {
            changes = change(table, &mut balance, now_ms)?;
            let plan = if is_plan_held { table.plan() } else { balance.plan(table) };
            table.set_plan(&plan, now_ms);
            Ok(())
        })?;
        self.balance = balance;
        self.log(&changes);
        Ok(changed)
    }

    fn log(&self, changes: &[Change]) {
        for change in changes {
            let text = words::change(change, &self.balance.monitor);
            if words::is_bad(change) { warn!("{text}") } else { info!("{text}") }
        }
    }

    /// The state to be saved: the table's, and what was learned of the reals.
    pub(super) fn saved(&self) -> SavedState {
        let mut saved = self.table.saved();
        self.balance.monitor.save(&mut saved.learned);
        let cluster = self.table.cluster();
        let marks = self.watchers.report_marks();
        for (real, mark) in marks.into_iter().filter(|(real, _)| cluster.real(real).is_some()) {
            saved.learned.entry(real).or_default().report = Some(mark);
        }
        saved
    }

    /// Says which checks are to be made.
    pub(super) fn watch_checks(&self) {
        self.watchers.watch_checks(targets::targets(&self.table, &self.balance.monitoring));
    }

    /// Says who may report and which agents are to be asked. `learned` is what an earlier daemon knew.
    pub(super) fn watch_reports(&self, learned: &BTreeMap<String, Learned>) {
        let agent = |(real, own): (&String, &lb_core::monitoring::RealMonitoring)| {
            Some((real.clone(), own.agent_check.clone()?))
        };
        self.watchers.watch_reports(Senders {
            reals: self.table.cluster().reals().iter().map(|real| real.name.clone()).collect(),
            marks: learned.iter().filter_map(|(real, learned)| Some((real.clone(), learned.report?))).collect(),
            agents: self.balance.monitoring.reals.iter().filter_map(agent).collect(),
        });
    }

    /// New flows per second of each real, by id, since the last step.
    fn new_flows(&mut self) -> HashMap<u16, f64> {
        let now_ns = self.forwarder.now_ns();
        let Ok(sent) = candidates::sent(&self.table, &*self.forwarder) else { return HashMap::new() };
        let before = self.balance.stepped.replace((now_ns, sent.clone()));
        let Some((then_ns, before)) = before.filter(|(then_ns, _)| now_ns > *then_ns) else { return HashMap::new() };
        let seconds = (now_ns - then_ns) as f64 / (NS_PER_MS as f64 * 1_000.0);
        let rate = |(id, count): (u16, u64)| Some((id, count.checked_sub(*before.get(&id)?)? as f64 / seconds));
        sent.into_iter().filter_map(rate).collect()
    }
}
