//! What happens to the nodes: operators, health, time, takeovers, restarts.

use lb_common::SLOT_REMEMBERS;

use super::{Outcome, World, node::Node};
use crate::{
    checkpoint::{Entry, ledger::Ahead},
    rows::diff,
    scheduler::NEUTRAL_FACTOR,
    table::{
        AdminState, Fallback, SchedulingTable,
        simulation::{
            SLOTS,
            config::{Change, REALS, SERVICES, owner, real_name},
            flow::port_of,
            hop, options,
            plans::{self, PlanChange},
        },
    },
    testing::steps,
};

impl World {
    pub(super) fn operate(&mut self) -> Outcome {
        let now_ms = self.now_ms(self.owner);
        match self.random.below(40) {
            0..8 => self.change_plan(),
            8..11 => {
                let (real, weight) = (self.real(), self.weight());
                self.change(|table| drop(table.set_weight(&real, weight, now_ms)))
            }
            11..14 => {
                let states = [AdminState::Enabled, AdminState::Drained, AdminState::Disabled];
                let (real, admin) = (self.real(), states[self.random.below(3) as usize]);
                self.change(|table| drop(table.set_admin(&real, admin, now_ms)))
            }
            14..17 => self.reload(),
            17..19 => self.reload_follower(),
            19..24 => {
                let ms = [500, 20_000, 60_000, 110_000][self.random.below(4) as usize];
                let ms = 1 + self.random.below(ms);
                self.wait(ms)
            }
            24..31 => self.tick(),
            31 => self.restart_follower(),
            32 => self.cold_start(),
            33..36 => self.take_over(),
            _ => {
                self.trouble_link();
                Ok(())
            }
        }
    }

    fn real(&mut self) -> String {
        real_name(self.random.below(REALS as u64) as usize)
    }

    fn weight(&mut self) -> Option<u32> {
        (!self.random.one_in(3)).then(|| self.random.below(6) as u32)
    }

    fn change_plan(&mut self) -> Outcome {
        for _ in 0..1 + self.random.below(5) {
            let change = self.plan_change();
            self.tell_story(format!("{change:?}"));
            plans::change(&mut self.plan, &change);
        }
        self.follow_plan()
    }

    fn plan_change(&mut self) -> PlanChange {
        let (real, service) = (self.random.below(REALS as u64) as usize, self.random.below(SERVICES as u64) as usize);
        let yes = self.random.one_in(2);
        match self.random.below(10) {
            0..2 => PlanChange::Factor(real, self.random.below(4_000) as u32),
            2 => PlanChange::Eased(real, 1 + self.random.below(NEUTRAL_FACTOR.into()) as u32),
            3..5 => PlanChange::Alive(real, yes),
            5..7 => PlanChange::Hot(real, yes),
            7 => PlanChange::NoNewFlows(real, yes),
            8 => PlanChange::Excluded(service, real, yes),
            _ if self.random.one_in(4) => PlanChange::AllDown(Fallback::Reset),
            _ => PlanChange::AllWell,
        }
    }

    /// The owner takes over how the reals are.
    fn follow_plan(&mut self) -> Outcome {
        let (plan, now_ms) = (self.plan.clone(), self.now_ms(self.owner));
        self.change(|table| table.set_plan(&plan, now_ms))
    }

    fn reload(&mut self) -> Outcome {
        let (real, service) = (self.random.below(REALS as u64) as usize, self.random.below(SERVICES as u64) as usize);
        let change = match self.random.below(12) {
            0..4 => Change::ToggleReal(real),
            4 => Change::MoveReal(real),
            5..7 => Change::Weight(real, self.random.below(6) as u32),
            7 => Change::ToggleService(service),
            8 => Change::Ports(service),
            9..11 => Change::ToggleMember(service, real),
            _ => Change::MemberWeight(service, real, self.weight()),
        };
        self.tell_story(format!("the owner reloads: {change:?}"));
        self.owner_mut().config.change(&change);
        let (cluster, now_ms) = (self.owner().config.cluster(), self.now_ms(self.owner));
        self.flows.retain(|tracked| owner(&cluster, port_of(&tracked.flow)) == Some(tracked.flow.service.as_str()));
        self.change(|table| *table = Node::configured(table, cluster, now_ms))
    }

    /// The follower is configured as the owner is, or goes its own way. It wants to be told everything anew.
    fn reload_follower(&mut self) -> Outcome {
        self.count("reloads of the follower");
        let config = self.owner().config.clone();
        let (number, real) = (1 - self.owner, self.random.below(REALS as u64) as usize);
        let goes_own_way = self.random.one_in(4);
        let now_ms = self.now_ms(number);
        let follower = self.follower_mut();
        if goes_own_way {
            follower.config.change(&Change::ToggleReal(real));
        } else {
            follower.config = config;
        }
        let next = Node::configured(&follower.table, follower.config.cluster(), now_ms);
        follower.adopt(next);
        follower.whole = false;
        self.link.drop_all();
        Ok(())
    }

    fn restart_follower(&mut self) -> Outcome {
        self.count("restarts of the follower");
        let now_ms = self.now_ms(1 - self.owner);
        self.cut_link();
        let follower = self.follower_mut();
        follower.restart(now_ms);
        if follower.ledger.owner_refills().is_ok() {
            follower.ledger.owner_gone("it was started again");
        }
        Ok(())
    }

    /// A power cut takes both nodes. The owner has all on its disk, and its maps are new.
    fn cold_start(&mut self) -> Outcome {
        self.count("cold starts");
        let now_ms = self.now_ms(self.owner);
        self.cut_link();
        let (entries, generation) = (self.owner().everything(now_ms), self.owner().table.generation());
        let keys = self.owner().keys();
        let flows: Vec<Entry> = keys.iter().filter_map(|key| self.owner().flow(key)).collect();
        let servers: Vec<_> = self.flows.iter().map(|tracked| self.owner().server(tracked.flow.real)).collect();

        let room = self.owner().maps.events.room;
        let config = self.owner().config.clone();
        let node = self.owner_mut();
        *node = Node::new(node.ahead_ms, room);
        node.config = config;
        let blank = SchedulingTable::with_ring_slots(options(), SLOTS);
        node.adopt(Node::configured(&blank, node.config.cluster(), now_ms));
        node.take(&entries, generation, now_ms);
        node.take(&flows, generation, now_ms);
        let ids = |server| (0..).take(64).find(|&id| self.owner().server(id) == server);
        let ids: Vec<_> = servers.into_iter().map(ids).collect();
        self.flows.iter_mut().zip(ids).for_each(|(tracked, id)| tracked.flow.real = id.unwrap_or_default());
        self.follower_mut().whole = false;
        self.lead();
        self.rule()
    }

    /// Who has taken over, or comes back, goes on by its own configuration.
    fn rule(&mut self) -> Outcome {
        self.version += 1;
        self.written = self.version;
        self.target = self.owner().table.rows();
        let now_ms = self.now_ms(self.owner);
        self.change(|table| {
            table.lead(now_ms);
            (0..REALS).for_each(|real| drop(table.set_next_hop(&real_name(real), hop(1))));
        })
    }

    /// The follower takes over, whatever the owner is doing. The owner follows from then on; its daemon may have been started again, and has
    /// been where it was about to change its maps. Of one that has not had everything nothing can be said, so it does not take over here.
    fn take_over(&mut self) -> Outcome {
        if !self.follower().whole {
            return Ok(());
        }
        self.count("takeovers");
        let now_ms = self.now_ms(1 - self.owner);
        let mut maps = std::mem::take(&mut self.follower_mut().maps);
        maps.flows.values_mut().for_each(|flow| flow.last_seen_ns = now_ms);
        self.follower_mut().maps = maps.clone();
        self.flows = self.judge(&mut maps)?;
        maps.events.waiting.clear();
        self.cut_link();
        let number = self.owner;
        self.owner = 1 - number;
        let restarts = self.is_changing || self.random.one_in(2);
        self.is_changing = false;
        let former_ms = self.now_ms(number);
        let former = &mut self.nodes[number];
        former.maps.events.waiting.clear();
        former.maps.events.lost = false;
        former.swept.clear();
        former.whole = false;
        if restarts {
            former.restart(former_ms);
        }
        self.owner_mut().maps = maps;
        self.owner_mut().swept.clear();
        self.lead();
        self.rule()?;
        self.follow_plan()
    }

    /// A change of the owner's table: told, waited for, and written, with all that may happen in between.
    fn change(&mut self, change: impl FnOnce(&mut SchedulingTable)) -> Outcome {
        let epoch = self.epoch;
        let before = self.owner().table.clone();
        let mut next = before.clone();
        change(&mut next);
        self.is_changing = true;
        self.aim_at(&next);
        let is_told_late = self.rules.no_write_ahead;
        if !is_told_late {
            self.tell(&next, &before)?;
        }
        if self.epoch == epoch && self.random.one_in(30) {
            self.count("changes that were acked and not written");
            self.target = before.rows();
            self.tell(&before, &next)?;
        } else if self.epoch == epoch {
            self.write(&next)?;
        }
        if self.epoch == epoch && is_told_late {
            self.tell(&next, &before)?;
        }
        if self.epoch == epoch {
            self.is_changing = false;
        }
        Ok(())
    }

    /// A real that this change removes or disables is as good as dead.
    fn aim_at(&mut self, next: &SchedulingTable) {
        self.target = next.rows();
        let (maps, target) = (&self.nodes[self.owner].maps, &self.target);
        self.flows.retain(|tracked| maps.goes_on(tracked.flow.real, target.reals.get(&tracked.flow.real)));
    }

    /// Tells of a change, and waits until the follower has applied it, or is late.
    fn tell(&mut self, next: &SchedulingTable, before: &SchedulingTable) -> Outcome {
        let (now_ms, now_us, epoch) = (self.now_ms(self.owner), self.now_us, self.epoch);
        let nothing = Default::default();
        let entries = next.checkpoint_since(before, &nothing, &nothing, now_ms);
        if entries.is_empty() {
            return Ok(());
        }
        let ledger = &mut self.owner_mut().ledger;
        let Some(sequence) = ledger.append(entries, next.generation(), now_us) else { return Ok(()) };
        self.version += 1;
        self.versions.insert(sequence, self.version);
        let mut is_late = false;
        while self.epoch == epoch {
            let now_us = self.now_us;
            match self.owner_mut().ledger.ahead(sequence, now_us) {
                Ahead::Go => break,
                Ahead::Wait { until } => is_late = until <= now_us + 700,
            }
            self.happens_in_a_change()?;
        }
        if is_late {
            self.count("changes that were not acked in time");
        }
        Ok(())
    }

    /// The difference, write by write, then the new table.
    fn write(&mut self, next: &SchedulingTable) -> Outcome {
        let epoch = self.epoch;
        self.written = self.version;
        self.count_moves(next);
        for step in steps(&diff(&self.owner().maps.rows, &next.rows())) {
            self.owner_mut().maps.apply(&step);
            self.happens_in_a_change()?;
            if self.epoch != epoch {
                return Ok(());
            }
        }
        self.owner_mut().table = next.clone();
        Ok(())
    }

    fn happens_in_a_change(&mut self) -> Outcome {
        if self.random.one_in(2_000) { self.take_over() } else { self.happens() }
    }

    fn count_moves(&mut self, next: &SchedulingTable) {
        let rows = next.rows();
        let before = &self.owner().maps.rows.rings;
        let rings = rows.rings.iter().filter_map(|(id, ring)| Some((before.get(id)?, ring)));
        let pairs = rings.flat_map(|(was, is)| was.iter().zip(is.iter()));
        let remember = pairs.filter(|(was, is)| was.state == SLOT_REMEMBERS && is.state == SLOT_REMEMBERS);
        let moved = remember.filter(|(was, is)| was.real != is.real).count();
        self.count_many("slots moved more than once", moved);
    }

    /// Expires what remembers, sweeps the flow table, and cleans what is not used.
    fn tick(&mut self) -> Outcome {
        let now_ms = self.now_ms(self.owner);
        self.tell_story("tick");
        let epoch = self.epoch;
        self.change(|table| {
            table.expire(now_ms);
        })?;
        let looked_at_ms = self.now_ms(self.owner);
        let (in_use, gone) = self.owner_mut().maps.sweep(looked_at_ms);
        for _ in 0..3 {
            self.happens()?;
        }
        if self.epoch != epoch {
            return Ok(());
        }
        if self.rules.sweep_out_of_turn && !gone.is_empty() {
            let now_us = self.now_us;
            let generation = self.owner().table.generation();
            self.owner_mut().ledger.append(vec![Entry::Forgotten(gone)], generation, now_us);
        } else {
            self.owner_mut().swept.extend(gone);
        }
        self.change(|table| {
            table.flows_in_use(&in_use, looked_at_ms);
        })
    }
}
