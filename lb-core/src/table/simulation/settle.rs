//! What must hold between changes, and after all of them.

use super::*;
use crate::ring::apportion;

impl World<'_> {
    /// The table's side of what a plan says: no clean slot has a hot real.
    pub(super) fn check_rings(&self) -> Outcome {
        for service in self.table.services.values() {
            for slot in service.ring.slots().iter().filter(|slot| slot.state == SLOT_CLEAN) {
                let is_hot = self.target.reals.get(&slot.real).is_some_and(|row| row.flags & REAL_HOT != 0);
                prop_assert!(!is_hot, "a clean slot of a hot real: {:?}", slot);
            }
        }
        Ok(())
    }

    /// A flow that begins does so at a real that gets new flows. Packets that the tables or a previous real claim begin none.
    pub(super) fn check_beginning(&self, service: &str, real: u16, rule: Rule) -> Outcome {
        if matches!(rule, Rule::Flow | Rule::HalfOpen | Rule::RemembersPrevious) {
            return Ok(());
        }
        let view = self.table.services().find(|view| view.service.name == service);
        let member = view.and_then(|view| view.members.into_iter().find(|member| member.id == real));
        let takes_flows = member.is_some_and(|MemberView { admin, weight, plan, excluded, .. }| {
            admin == AdminState::Enabled && plan.alive && !plan.no_new_flows && !excluded && weight > 0
        });
        prop_assert!(takes_flows, "by {:?} a flow of {} began at real {}: {:?}", rule, service, real, member);
        Ok(())
    }

    /// All are well again, and nobody sends any more: slots go by configured weights, and in time all are clean.
    pub(super) fn settle(&mut self) -> Outcome {
        self.flows.clear();
        let now_ms = self.now_ms;
        self.change(|table| {
            table.set_plan(&Plan::default(), now_ms);
            for real in (0..REALS).map(real_name) {
                drop(table.set_admin(&real, AdminState::Enabled, now_ms));
                drop(table.set_weight(&real, None, now_ms));
            }
        })?;
        self.check_shares()?;
        for wait_ms in [IDLE_MS, HANDSHAKE_TIMEOUT_MS] {
            self.flows.clear();
            self.now_ms += wait_ms;
            let mut next = self.table.clone();
            next.expire(self.now_ms);
            let in_use = self.maps.sweep(self.now_ms).0;
            next.flows_in_use(&in_use, self.now_ms);
            self.table = next;
        }
        let states: Vec<_> = self.table.services().map(|view| view.tally.clone()).collect();
        prop_assert!(states.iter().all(|tally| tally.clean == SLOTS), "{:?}", states);
        self.check_shares()
    }

    fn check_shares(&self) -> Outcome {
        for view in self.table.services() {
            let configured = |member: &Member| member.weight.unwrap_or(self.config.weight_of(&member.real));
            let mut members: Vec<_> = view.service.reals.iter().zip(&view.members).collect();
            members.sort_by_key(|(member, _)| &member.real);
            let weights: Vec<u32> = members.iter().map(|(member, _)| configured(member)).collect();
            let slots: Vec<u32> = members.iter().map(|(_, view)| view.slots).collect();
            prop_assert_eq!(slots, apportion(&weights, SLOTS), "by the weights {:?}", weights);
        }
        Ok(())
    }
}
