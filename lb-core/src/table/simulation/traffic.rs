//! The flows of the simulation: they begin, send, and end, and stray packets come between.

use lb_common::FlowKey;
use proptest::prelude::*;

use super::{
    MOST_FLOWS, Outcome, SLOTS, World,
    config::owner,
    flow::{Flow, Phase, random_key},
    forward::{Maps, Packet, Rule, service_of},
};
use crate::service::Protocol;

impl World<'_> {
    pub(super) fn something_happens(&mut self) -> Outcome {
        match self.random.below(10) {
            0..3 if self.flows.len() < MOST_FLOWS => self.flow_begins()?,
            3 => self.stray_packet(),
            _ if !self.flows.is_empty() => {
                let index = self.random.below(self.flows.len() as u64) as usize;
                self.flow_sends(index)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn free_key(&mut self) -> (FlowKey, (Protocol, u16)) {
        loop {
            let (key, port) = random_key(&mut self.random);
            if self.flows.iter().all(|flow| flow.key != key) {
                return (key, port);
            }
        }
    }

    fn forward(&mut self, key: &FlowKey, packet: Packet) -> Option<(u16, Rule)> {
        let (real, rule) = self.maps.forward(key, packet, self.now_ms)?;
        *self.coverage.borrow_mut().packets_by_rule.entry(rule).or_default() += 1;
        Some((real, rule))
    }

    fn flow_begins(&mut self) -> Outcome {
        let (key, port) = self.free_key();
        let (packet, phase) = match port.0 {
            Protocol::Tcp => (Packet::Syn, Phase::Handshake),
            Protocol::Udp | Protocol::Sctp => (Packet::Udp, Phase::Open),
        };
        let cluster = self.config.cluster();
        let Some(service) = owner(&cluster, port).map(str::to_owned) else { return Ok(()) };
        let id = service_of(&self.maps.rows, &key);
        let Some((real, rule)) = self.forward(&key, packet) else { return Ok(()) };
        if !self.is_changing {
            self.check_beginning(&service, real, rule)?;
        }
        // While a change is under way the flow may have found a service or a real that is about to go.
        let lasts = self.maps.goes_on(real, self.target.reals.get(&real)) && service_of(&self.target, &key) == id;
        if lasts {
            let lazy = self.random.one_in(2);
            self.flows.push(Flow { key, service, real, phase, last_ms: self.now_ms, lazy });
            self.coverage.borrow_mut().count("flows", 1);
        }
        Ok(())
    }

    /// A packet of no flow that is followed: of one that was broken, of a scan, of a SYN flood.
    fn stray_packet(&mut self) {
        let (key, (protocol, _)) = self.free_key();
        let packet = match (protocol, self.random.below(4)) {
            (Protocol::Udp | Protocol::Sctp, _) => Packet::Udp,
            (_, 0) => Packet::Syn,
            (_, 1) => Packet::Fin,
            (_, 2) => Packet::Rst,
            _ => Packet::Data,
        };
        self.forward(&key, packet);
    }

    /// The flow sends its next packet, which must reach its real, unless the flow was silent for too long.
    pub(super) fn flow_sends(&mut self, index: usize) -> Outcome {
        let flow = self.flows[index].clone();
        if self.now_ms - flow.last_ms >= flow.patience_ms() {
            self.coverage.borrow_mut().count("flows silent for too long", 1);
            self.flows.swap_remove(index);
            return Ok(());
        }
        let (packet, phase) = flow.next_packet(&mut self.random);
        let before = self.maps.clone();
        let real = self.forward(&flow.key, packet).map(|(real, _)| real);
        if real != Some(flow.real) {
            return Err(TestCaseError::fail(self.report(&flow, packet, real, &before)));
        }
        self.coverage.borrow_mut().count("packets of flows", 1);
        match phase {
            Some(phase) => self.flows[index] = Flow { phase, last_ms: self.now_ms, ..flow },
            None => drop(self.flows.swap_remove(index)),
        }
        Ok(())
    }

    fn report(&self, flow: &Flow, packet: Packet, real: Option<u16>, before: &Maps) -> String {
        let slot = before.slot_index(&flow.key, SLOTS as usize);
        let rings: Vec<_> = before.rows.rings.iter().map(|(id, ring)| (id, ring[slot])).collect();
        format!(
            "at {} ms {packet:?} went to {real:?}: {flow:?}\nslot {slot} of each ring: {rings:?}\nflow table: {:?}\nhalf open: {:?}",
            self.now_ms,
            before.flows.get(&flow.key),
            before.half_open.get(&flow.key),
        )
    }
}
