//! What a successor is told of the reals' health, so that it need not begin with nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::{Agent, Health, Monitor, SavedAgent};
use crate::table::Learned;

impl Monitor {
    /// Adds what is known of each real to what else was learned of it.
    pub fn save(&self, learned: &mut BTreeMap<String, Learned>) {
        for (name, real) in &self.reals {
            let is_down = |(service, health): (&str, Health)| (health == Health::Down).then(|| service.to_owned());
            let down: BTreeSet<String> = self
                .memberships(name)
                .map(|(service, member)| (service, member.health()))
                .filter_map(is_down)
                .collect();
            let agent = real.agent.as_ref().map(Agent::saved).filter(|agent| *agent != SavedAgent::default());
            let known = Learned { down, availability: real.availability, agent, ..Learned::default() };
            if known != Learned::default() || learned.contains_key(name) {
                let own = learned.entry(name.clone()).or_default();
                *own = Learned { factor: own.factor, report: own.report, ..known };
            }
        }
    }

    /// Goes on where a predecessor was. To be called once the monitor is configured, before anything is heard. A real that was down stays
    /// so until its first check succeeds.
    pub fn restore(&mut self, learned: &BTreeMap<String, Learned>) {
        for (name, learned) in learned {
            let Some(real) = self.reals.get_mut(name) else { continue };
            real.availability = learned.availability;
            if let (Some(agent), Some(saved)) = (&mut real.agent, learned.agent) {
                *agent = Agent::restored(saved);
            }
            for service in &learned.down {
                let member = self.services.get_mut(service).and_then(|service| service.members.get_mut(name));
                if let Some(member) = member {
                    member.restore(Health::Down);
                }
            }
        }
        self.count_checked();
    }
}
