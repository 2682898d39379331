//! SYN floods: told from the counters of services, and said to the XDP program, which then notes no SYN.

use std::collections::{BTreeMap, HashSet};

use lb_core::flood::{Flood, Turn};
use lb_core::service::SynFlood;
use tracing::{debug, info};

use super::Engine;

/// What the troubles of this module begin with, each followed by the service's name.
const SUBJECT: &str = "SYN flood of ";

/// What is known of the SYNs of services that look for floods, by name.
pub(super) type Floods = BTreeMap<String, Flood>;

impl Engine {
    /// Looks at the counters of services that look for floods.
    pub(super) fn look_for_floods(&mut self) {
        let now_ms = self.now_ms();
        let services = self.table.services();
        let watched: Vec<(String, u32, SynFlood)> = services
            .filter_map(|view| Some((view.service.name.clone(), view.id, view.service.guards.syn_flood?)))
            .collect();
        self.forget_floods(&watched);
        for (name, id, limit) in watched {
            // Counters that cannot be read are told of elsewhere; what was known holds.
            let Ok(counters) = self.forwarder.service_counters(id) else { continue };
            let flood = self.floods.entry(name.clone()).or_default();
            let turn = flood.count(limit, counters.syn, now_ms);
            let is_on = flood.is_on();
            if let Some(turn) = turn {
                self.tell_flood(&name, limit, turn);
            }
            self.say_flooded(&name, is_on);
        }
    }

    /// Whether the service is under a SYN flood; none where nobody looks.
    pub(super) fn is_flooded(&self, service: &str) -> Option<bool> {
        self.table.cluster().service(service)?.guards.syn_flood?;
        Some(self.floods.get(service).is_some_and(Flood::is_on))
    }

    fn forget_floods(&mut self, watched: &[(String, u32, SynFlood)]) {
        let names: HashSet<&str> = watched.iter().map(|(name, ..)| name.as_str()).collect();
        let is_watched = |name: &str| names.contains(name);
        self.floods.retain(|name, _| is_watched(name));
        for subject in self.troubles.subjects(SUBJECT) {
            if !subject.strip_prefix(SUBJECT).is_some_and(is_watched) {
                self.troubles.forget(&subject);
            }
        }
    }

    fn tell_flood(&mut self, service: &str, limit: SynFlood, turn: Turn) {
        let subject = format!("{SUBJECT}{service}");
        match turn {
            Turn::Began { rate } => {
                let message = format!(
                    "{rate} SYNs a second, and syn_flood.threshold is {}: SYNs are forwarded and not noted, until there are \
                     fewer than half as many; real servers should have tcp_syncookies on",
                    limit.threshold
                );
                self.troubles.warning(subject, message);
            }
            Turn::Over { lasted_ms } => {
                info!("service {service}: the SYN flood is over after {} s", lasted_ms / 1_000);
                self.troubles.clear(&subject);
            }
        }
    }

    /// What the maps do not take is tried again with the next look.
    fn say_flooded(&mut self, service: &str, flooded: bool) {
        if self.table.is_flooded(service) == flooded {
            return;
        }
        let said = self.change(|table, _| {
            table.set_flooded(service, flooded);
            Ok(())
        });
        if let Err(error) = said {
            debug!("a SYN flood could not be told to the program: {error}");
        }
    }
}
