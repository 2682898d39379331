//! Replies of services in `nat` mode: whether they can be rewritten and sent on where they come in.

use std::collections::BTreeSet;

use lb_core::service::Mode;

use super::Engine;
use crate::forwarding::{self, Family};

/// What troubles about replies begin with.
const SUBJECT: &str = "nat ";

impl Engine {
    /// The program has to run where replies come in, and the host has to forward there.
    pub(super) fn check_replies(&mut self) {
        let mut gone = self.troubles.subjects(SUBJECT);
        for (interface, family) in self.ways_back() {
            let subject = format!("{SUBJECT}{interface} {}", family.word());
            gone.remove(&subject);
            if !self.settings.interfaces.contains(&interface) {
                let message = format!(
                    "replies of reals come in by {interface}, where the XDP program does not run: clients do not get them; \
                     add {interface:?} to `interfaces`"
                );
                self.troubles.degraded(subject, message);
            } else if self.host.forwards(&interface, family) == Some(false) {
                let message = format!(
                    "this host forwards no {} packets from {interface}: replies of reals are dropped (`not_forwarding`); {}",
                    family.word(),
                    forwarding::fix(&interface, family)
                );
                self.troubles.degraded(subject, message);
            } else {
                self.troubles.clear(&subject);
            }
        }
        gone.iter().for_each(|subject| self.troubles.forget(subject));
    }

    /// The interfaces by which reals of services in `nat` mode are reached, and so answer, and their families.
    fn ways_back(&self) -> BTreeSet<(String, Family)> {
        let services = self.table.cluster().services().iter().filter(|service| service.mode == Mode::Nat);
        let reals: BTreeSet<&str> =
            services.flat_map(|service| &service.reals).map(|member| member.real.as_str()).collect();
        let ways = self.table.reals().filter(|view| reals.contains(view.real.name.as_str())).filter_map(|view| {
            let interface = self.host.interface_name(view.next_hop?.ifindex)?;
            Some((interface, Family::of(view.real.address)))
        });
        ways.collect()
    }
}

#[cfg(test)]
mod tests;
