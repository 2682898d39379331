//! What must hold at a takeover, now or at any other instant.

use std::net::IpAddr;

use super::{Outcome, Owed, Tracked, World};
use crate::table::simulation::{
    config::owner,
    flow::{Flow, Phase, port_of},
    forward::{Maps, Packet},
};

impl World {
    /// What would be, were the follower to take over now. Nothing comes of it.
    pub(super) fn check_takeover(&mut self) -> Outcome {
        let mut maps = self.follower().maps.clone();
        self.judge(&mut maps).map(drop)
    }

    /// Sends a packet of each flow through the follower's maps. Gives the flows that go on, with their reals there.
    pub(super) fn judge(&mut self, maps: &mut Maps) -> Result<Vec<Tracked>, String> {
        let owed = self.owed();
        if owed == Owed::Nothing {
            self.count("judged takeovers with all told");
        }
        let mut going_on = Vec::new();
        let now_ms = self.now_ms(1 - self.owner);
        let mut broken = 0;
        for tracked in &self.flows {
            let flow = &tracked.flow;
            if self.now_ms(self.owner) - flow.last_ms >= flow.patience_ms() {
                continue;
            }
            if !self.is_configured(flow) {
                broken += 1;
                continue;
            }
            let packet = if flow.is_udp() { Packet::Udp } else { Packet::Data };
            let real = maps.forward(&flow.key, packet, now_ms).map(|(real, _)| real);
            let server = real.and_then(|real| self.follower().server(real));
            if server == self.owner().server(flow.real) && server.is_some() {
                let flow = Flow { real: real.unwrap_or_default(), last_ms: now_ms, ..flow.clone() };
                let phase = if flow.phase == Phase::Handshake { Phase::Open } else { flow.phase };
                going_on.push(Tracked { flow: Flow { phase, ..flow }, version: 0 });
            } else if self.follower().whole && !self.is_at_risk(tracked, owed) {
                return Err(self.report(tracked, server, owed));
            } else {
                broken += 1;
            }
        }
        self.count_many("flows at takeovers", going_on.len());
        self.count_many("flows at risk that broke", broken);
        Ok(going_on)
    }

    /// The follower is configured to send the flow where it goes.
    fn is_configured(&self, flow: &Flow) -> bool {
        let cluster = self.follower().config.cluster();
        let server = self.owner().server(flow.real);
        let service = owner(&cluster, port_of(flow));
        service == Some(flow.service.as_str()) && cluster.reals().iter().any(|real| Some(real.address) == server)
    }

    /// The follower has not been told of something that concerns the flow. Of half-open flows not all are told.
    fn is_at_risk(&self, tracked: &Tracked, owed: Owed) -> bool {
        let Tracked { flow, version } = tracked;
        let half_open = &self.owner().maps.half_open;
        if owed == Owed::Nothing && !half_open.contains_key(&flow.key) {
            return false;
        }
        // A change that was told and not made is taken back by news.
        let server = self.owner().server(flow.real);
        let is_held_for_dead = owed == Owed::News && server.is_some_and(|server| !self.follower().has_alive(server));
        let remembered = self.owner().remembered(&flow.key) != self.follower().remembered(&flow.key);
        is_held_for_dead || remembered || self.follower().version < *version
    }

    fn report(&self, tracked: &Tracked, server: Option<IpAddr>, owed: Owed) -> String {
        let Tracked { flow, version } = tracked;
        let of = |number: usize| {
            let node = &self.nodes[number];
            let maps = &node.maps;
            let slot = maps.slot_index(&flow.key, crate::table::simulation::SLOTS as usize);
            let ring = node.table.services().find(|view| view.service.name == flow.service);
            let slot = ring.and_then(|view| maps.rows.rings.get(&view.id)).map(|ring| ring[slot]);
            let named = |real: u16| (real, node.server(real));
            format!(
                "{slot:?} ({:?}, before {:?}), flow table {:?}, half open {:?}, version {}",
                slot.map(|slot| named(slot.real)),
                slot.map(|slot| named(slot.previous)),
                maps.flows.get(&flow.key),
                maps.half_open.get(&flow.key),
                node.version,
            )
        };
        format!(
            "at {} us a takeover sends a flow to {server:?} and not to {:?}: {flow:?}, begun by version {version} of {}; owed: {owed:?}; \
             changing: {}\nowner: {}\nfollower: {}",
            self.now_us,
            self.owner().server(flow.real),
            self.version,
            self.is_changing,
            of(self.owner),
            of(1 - self.owner),
        )
    }
}
