//! The ring that remembers, put to the test: random changes of the table, each applied to the maps write by write, while
//! random flows send packets in between. A flow whose real lives, and that is not silent for `flow_idle_timeout`, must
//! be sent to the same real from its first packet to its last.
//!
//! Rings and id spaces are small here, so that every slot has flows and ids are used again soon.

pub(crate) mod config;
pub(crate) mod flow;
pub(crate) mod forward;
pub(crate) mod plans;
mod settle;
mod traffic;

use std::{cell::RefCell, collections::BTreeMap};

use lb_common::{REAL_HOT, SLOT_CLEAN};
use proptest::{prelude::*, test_runner::TestRunner};

use super::*;
use crate::{
    rows::diff,
    service::Member,
    testing::{cases, steps},
};
use config::{Change, Config, REALS, a_weight, change, owner, real_name};
use flow::{Flow, port_of};
use forward::{Maps, Rule};
use plans::{PlanChange, plan_change};

/// A prime, as Maglev wants it.
pub(crate) const SLOTS: u32 = 31;
/// Five reals may be there at once, and as many more as moved or removed ones in the same change.
pub(crate) const MAX_REALS: u32 = 9;
/// Longer than [`HANDSHAKE_TIMEOUT_MS`], as the default is.
pub(crate) const IDLE_MS: u64 = 100_000;
pub(crate) const FIN_MS: u64 = 30_000;
pub(crate) const CLIENTS: u64 = 40;
const MOST_FLOWS: usize = 40;

#[derive(Clone, Debug)]
enum Op {
    Reload(Vec<Change>),
    Admin(usize, AdminState),
    Weight(usize, Option<u32>),
    NextHop(usize, u32),
    /// What is known of the reals changes.
    Plan(Vec<PlanChange>),
    /// A reload, and what is known changes with it.
    ReloadWithPlan(Vec<Change>, Vec<PlanChange>),
    Wait(u64),
    /// Expire what remembers, sweep the flow table, and clean what is not used.
    Tick,
    /// The daemon is started again, with the state saved so many changes ago, or with none.
    Restart(Option<usize>),
}

fn op() -> impl Strategy<Value = Op> {
    let real = 0..REALS;
    let admin = prop_oneof![Just(AdminState::Enabled), Just(AdminState::Drained), Just(AdminState::Disabled)];
    prop_oneof![
        4 => prop::collection::vec(change(), 1..4).prop_map(Op::Reload),
        4 => (real.clone(), admin).prop_map(|(real, admin)| Op::Admin(real, admin)),
        3 => (real.clone(), prop::option::of(a_weight())).prop_map(|(real, weight)| Op::Weight(real, weight)),
        1 => (real, 1..3u32).prop_map(|(real, ifindex)| Op::NextHop(real, ifindex)),
        8 => prop::collection::vec(plan_change(), 1..6).prop_map(Op::Plan),
        1 => (prop::collection::vec(change(), 1..3), prop::collection::vec(plan_change(), 0..3))
            .prop_map(|(changes, plan)| Op::ReloadWithPlan(changes, plan)),
        6 => prop_oneof![1..1_000u64, 1_000..40_000u64, 60_000..110_000u64].prop_map(Op::Wait),
        6 => Just(Op::Tick),
        1 => prop::option::of(0..6usize).prop_map(Op::Restart),
    ]
}

/// xorshift64*, so that the traffic follows from the seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What has been seen, so that a simulation in which nothing happens does not pass for a good one.
#[derive(Debug, Default)]
struct Coverage {
    packets_by_rule: BTreeMap<Rule, u64>,
    events: BTreeMap<&'static str, u64>,
}

impl Coverage {
    fn count(&mut self, event: &'static str, times: u64) {
        *self.events.entry(event).or_default() += times;
    }
}

struct World<'a> {
    table: SchedulingTable,
    config: Config,
    plan: Plan,
    maps: Maps,
    /// What the maps hold, or are about to when a change is under way.
    target: Rows,
    flows: Vec<Flow>,
    saved: Vec<SavedState>,
    /// The maps are being written.
    is_changing: bool,
    now_ms: u64,
    random: Random,
    coverage: &'a RefCell<Coverage>,
}

type Outcome = Result<(), TestCaseError>;

impl<'a> World<'a> {
    fn new(seed: u64, coverage: &'a RefCell<Coverage>) -> Self {
        Self {
            table: SchedulingTable::with_ring_slots(options(), SLOTS),
            config: Config::default(),
            plan: Plan::default(),
            maps: Maps::default(),
            target: Rows::default(),
            flows: Vec::new(),
            saved: Vec::new(),
            is_changing: false,
            now_ms: 1_000_000,
            random: Random::new(seed),
            coverage,
        }
    }

    fn run(&mut self, ops: &[Op]) -> Outcome {
        self.reload(&[])?;
        for op in ops {
            for _ in 0..20 {
                self.something_happens()?;
            }
            self.perform(op)?;
            self.check_rings()?;
        }
        self.settle()
    }

    fn perform(&mut self, op: &Op) -> Outcome {
        let now_ms = self.now_ms;
        match op {
            Op::Reload(changes) => self.reload(changes),
            Op::Admin(real, admin) => self.change(|table| drop(table.set_admin(&real_name(*real), *admin, now_ms))),
            Op::Weight(real, weight) => self.change(|table| drop(table.set_weight(&real_name(*real), *weight, now_ms))),
            Op::NextHop(real, ifindex) => {
                self.change(|table| drop(table.set_next_hop(&real_name(*real), hop(*ifindex))))
            }
            Op::Plan(changes) => {
                changes.iter().for_each(|change| plans::change(&mut self.plan, change));
                let plan = self.plan.clone();
                self.change(|table| table.set_plan(&plan, now_ms))
            }
            Op::ReloadWithPlan(changes, plan) => {
                plan.iter().for_each(|change| plans::change(&mut self.plan, change));
                let plan = self.plan.clone();
                self.reload_by(changes, |table, cluster| table.replace_with_plan(cluster, |_| plan, now_ms))
            }
            Op::Wait(ms) => self.wait(*ms),
            Op::Tick => self.tick(),
            Op::Restart(saved) => self.restart(*saved),
        }
    }

    fn reload(&mut self, changes: &[Change]) -> Outcome {
        let now_ms = self.now_ms;
        self.reload_by(changes, |table, cluster| table.replace(cluster, now_ms))
    }

    fn reload_by(
        &mut self,
        changes: &[Change],
        replace: impl FnOnce(&mut SchedulingTable, Cluster) -> Result<(), TableError>,
    ) -> Outcome {
        changes.iter().for_each(|change| self.config.change(change));
        let cluster = self.config.cluster();
        // A flow ends when its port is another service's.
        self.flows.retain(|flow| owner(&cluster, port_of(flow)) == Some(flow.service.as_str()));
        self.change(|table| {
            replace(table, cluster).unwrap();
            (0..REALS).for_each(|real| drop(table.set_next_hop(&real_name(real), hop(1))));
        })
    }

    fn restart(&mut self, saved: Option<usize>) -> Outcome {
        self.coverage.borrow_mut().count("restarts", 1);
        let saved = saved.and_then(|age| self.saved.iter().rev().nth(age)).cloned().unwrap_or_default();
        let empty = SchedulingTable::with_ring_slots(options(), SLOTS);
        let mut next = empty.with_past(saved, &self.maps.rows, self.now_ms);
        next.replace(self.config.cluster(), self.now_ms).unwrap();
        self.take_over(next)
    }

    fn change(&mut self, change: impl FnOnce(&mut SchedulingTable)) -> Outcome {
        let mut next = self.table.clone();
        change(&mut next);
        let is_changed = next.rows() != self.table.rows()
            || next.saved().reals != self.table.saved().reals
            || next.plan() != self.table.plan();
        prop_assert!(next.generation() > self.table.generation() || !is_changed);
        self.take_over(next)
    }

    /// As the daemon does it: the difference, write by write, then the new table. Packets come all the time.
    fn take_over(&mut self, next: SchedulingTable) -> Outcome {
        self.target = next.rows();
        // A real that this change removes or disables is as good as dead.
        let (maps, target) = (&self.maps, &self.target);
        self.flows.retain(|flow| maps.goes_on(flow.real, target.reals.get(&flow.real)));
        self.is_changing = true;
        for step in steps(&diff(&self.maps.rows, &self.target)) {
            self.maps.apply(&step);
            self.coverage.borrow_mut().count("writes", 1);
            self.something_happens()?;
            self.something_happens()?;
        }
        prop_assert_eq!(&self.maps.rows, &self.target);
        self.is_changing = false;
        self.table = next;
        self.saved.push(self.table.saved());
        Ok(())
    }

    fn tick(&mut self) -> Outcome {
        let mut next = self.table.clone();
        self.coverage.borrow_mut().count("slots marked", next.expire(self.now_ms).into());
        self.take_over(next)?;

        let looked_at_ms = self.now_ms;
        let in_use = self.maps.sweep(self.now_ms).0;
        for _ in 0..10 {
            self.now_ms += self.random.below(50);
            self.something_happens()?;
        }
        let mut next = self.table.clone();
        self.coverage.borrow_mut().count("slots cleaned", next.flows_in_use(&in_use, looked_at_ms).into());
        self.take_over(next)
    }

    fn wait(&mut self, ms: u64) -> Outcome {
        let end_ms = self.now_ms + ms;
        while self.now_ms < end_ms {
            self.now_ms = (self.now_ms + 1 + self.random.below(20_000)).min(end_ms);
            for index in (0..self.flows.len()).rev() {
                let silence = if self.flows[index].lazy { 12 } else { 2 };
                if self.random.one_in(silence) {
                    self.flow_sends(index)?;
                }
            }
            self.something_happens()?;
        }
        Ok(())
    }
}

pub(crate) fn options() -> TableOptions {
    TableOptions { max_reals: MAX_REALS, flow_idle_timeout_ms: IDLE_MS }
}

pub(crate) fn hop(ifindex: u32) -> Option<NextHop> {
    let tunnel_source = [198, 51, 100, 254].into();
    Some(NextHop { ifindex, next_hop_mac: [2; 6], source_mac: [4; 6], tunnel_source, mtu: 1_500 })
}

#[test]
fn no_flow_is_broken_while_its_real_lives() {
    let coverage = RefCell::new(Coverage::default());
    let histories = (prop::collection::vec(op(), 1..60), any::<u64>());
    let mut runner = TestRunner::new(cases(200));
    let result = runner.run(&histories, |(ops, seed)| World::new(seed, &coverage).run(&ops));
    if let Err(error) = result {
        panic!("{error}");
    }
    let Coverage { packets_by_rule, events } = coverage.into_inner();
    assert_eq!(packets_by_rule.len(), 8, "a rule was never used: {packets_by_rule:?}");
    assert!(packets_by_rule.values().all(|&packets| packets > 300), "{packets_by_rule:?}");
    for (event, least) in [
        ("flows", 10_000),
        ("packets of flows", 100_000),
        ("flows silent for too long", 1_000),
        ("slots marked", 1_000),
        ("slots cleaned", 500),
        ("writes", 10_000),
        ("restarts", 100),
    ] {
        assert!(events.get(event).is_some_and(|&times| times > least), "{event}: {events:?}");
    }
}
