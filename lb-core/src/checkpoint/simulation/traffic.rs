//! The flows of the simulation, as the owner forwards them.

use super::{Outcome, Tracked, World};
use crate::{
    service::Protocol,
    table::simulation::{
        config::owner,
        flow::{Flow, Phase, random_key},
        forward::{Packet, service_of},
    },
};

const MOST_FLOWS: usize = 40;

impl World {
    pub(super) fn traffic(&mut self) -> Outcome {
        match self.random.below(8) {
            0..2 if self.flows.len() < MOST_FLOWS => self.flow_begins(),
            2 => self.stray_packet(),
            3..6 if !self.flows.is_empty() => {
                let index = self.random.below(self.flows.len() as u64) as usize;
                return self.flow_sends(index);
            }
            _ => {}
        }
        Ok(())
    }

    fn flow_begins(&mut self) {
        let (key, port) = random_key(&mut self.random);
        if self.flows.iter().any(|tracked| tracked.flow.key == key) {
            return;
        }
        let (packet, phase) = match port.0 {
            Protocol::Tcp => (Packet::Syn, Phase::Handshake),
            Protocol::Udp | Protocol::Sctp => (Packet::Udp, Phase::Open),
        };
        let now_ms = self.now_ms(self.owner);
        let lazy = self.random.one_in(2);
        let version = self.written;
        let node = &mut self.nodes[self.owner];
        let Some(service) = owner(&node.config.cluster(), port).map(str::to_owned) else { return };
        let Some((real, _)) = node.maps.forward(&key, packet, now_ms) else { return };
        // While a change is under way the flow may have found a service or a real that is about to go.
        let target = &self.target;
        let lasts = node.maps.goes_on(real, target.reals.get(&real))
            && service_of(target, &key) == service_of(&node.maps.rows, &key);
        if lasts {
            self.flows.push(Tracked { flow: Flow { key, service, real, phase, last_ms: now_ms, lazy }, version });
        }
    }

    /// A packet of no flow that is followed: of one that was broken, of a scan, of a SYN flood.
    fn stray_packet(&mut self) {
        let (key, (protocol, _)) = random_key(&mut self.random);
        if self.flows.iter().any(|tracked| tracked.flow.key == key) {
            return;
        }
        let packet = match (protocol, self.random.below(4)) {
            (Protocol::Udp | Protocol::Sctp, _) => Packet::Udp,
            (_, 0) => Packet::Syn,
            (_, 1) => Packet::Fin,
            (_, 2) => Packet::Rst,
            _ => Packet::Data,
        };
        let now_ms = self.now_ms(self.owner);
        self.owner_mut().maps.forward(&key, packet, now_ms);
    }

    /// The flow sends its next packet, which must reach its real, unless the flow was silent for too long.
    pub(super) fn flow_sends(&mut self, index: usize) -> Outcome {
        let now_ms = self.now_ms(self.owner);
        let flow = self.flows[index].flow.clone();
        if now_ms - flow.last_ms >= flow.patience_ms() {
            self.flows.swap_remove(index);
            return Ok(());
        }
        let (packet, phase) = flow.next_packet(&mut self.random);
        let real = self.owner_mut().maps.forward(&flow.key, packet, now_ms).map(|(real, _)| real);
        if real != Some(flow.real) {
            return Err(format!("at the owner {packet:?} went to {real:?}: {flow:?}"));
        }
        match phase {
            Some(phase) => self.flows[index].flow = Flow { phase, last_ms: now_ms, ..flow },
            None => drop(self.flows.swap_remove(index)),
        }
        Ok(())
    }

    /// Time passes in which flows send now and then.
    pub(super) fn wait(&mut self, ms: u64) -> Outcome {
        let end_us = self.now_us + ms * 1_000;
        while self.now_us < end_us {
            self.now_us = (self.now_us + 1 + self.random.below(20_000_000)).min(end_us);
            for index in (0..self.flows.len()).rev() {
                let silence = if self.flows[index].flow.lazy { 12 } else { 2 };
                if self.random.one_in(silence) {
                    self.flow_sends(index)?;
                }
            }
            self.happens()?;
        }
        Ok(())
    }
}
