//! Which real a packet would go to, by what the table says and the flow tables hold, and why.

use std::net::{IpAddr, SocketAddr};

use lb_common::{FlowKey, NO_REAL, RING_SLOTS, SLOT_CLEAN, SLOT_MARKED, ServiceKey, Slot};
use lb_core::api::{self, FoundBy, Simulation};
use lb_core::rows::address_bytes;
use lb_core::service::Protocol;
use lb_core::simulate::{Decision, Fate, Keys, Known, decide, keys};
use lb_core::table::{RealView, ServiceView};

use super::{Engine, explain, views};

/// A packet that might come.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Its source.
    pub from: SocketAddr,
    /// Its destination, of the same family.
    pub to: SocketAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// It asks for a connection: TCP with SYN.
    pub syn: bool,
}

impl Engine {
    /// What the XDP program would do with the packet, while this node serves.
    ///
    /// # Errors
    /// The flow tables cannot be read.
    pub fn simulate(&self, question: &Question) -> anyhow::Result<Simulation> {
        let key = key(question);
        let rows = self.table.rows();
        let Keys { flow, source, .. } = keys(&rows, &key);
        let known = Known {
            flow: self.forwarder.flow(&flow)?,
            half_open: self.forwarder.half_open(&flow)?,
            source: source.map(|source| self.forwarder.source(&source)).transpose()?.flatten(),
            now_ns: self.forwarder.now_ns(),
            count: 0,
        };
        let decision = decide(&rows, &key, question.syn, &known);
        let service = decision.service.and_then(|value| self.table.services().find(|view| view.id == value.id));
        let real = self.table.reals().find(|view| view.id == decision.real);
        let next_hop = real.and_then(|view| view.next_hop).map(|hop| self.next_hop_view(hop));
        let mut lines = vec![service_line(question.to, service.as_ref())];
        lines.extend(quic_line(service.as_ref()));
        if let Some((index, slot)) = decision.slot {
            lines.push(self.slot_line(index, slot, decision.hash));
        }
        lines.extend(decision.found_by.map(|found_by| found_line(found_by, self.name(decision.real))));
        lines.push(fate_line(&decision, next_hop.as_ref()));
        let (fate, reason) = fate(decision.fate);
        Ok(Simulation {
            client: question.from.ip(),
            client_port: question.from.port(),
            vip: question.to.ip(),
            vip_port: question.to.port(),
            protocol: views::protocol(question.protocol),
            syn: question.syn,
            fate,
            reason: reason.map(str::to_owned),
            mode: service.as_ref().map(|view| views::mode(view.service.mode)),
            service: service.map(|view| view.service.name.clone()),
            slot: decision.slot.map(|(index, _)| index),
            found_by: decision.found_by,
            address: real.map(|view| view.real.address),
            real: real.map(|view| view.real.name.clone()),
            next_hop,
            lines,
        })
    }

    fn slot_line(&self, index: u32, slot: Slot, hash: u32) -> String {
        let state = match slot.state {
            SLOT_CLEAN => "clean: every flow goes to its real".to_owned(),
            SLOT_MARKED => "marked: flows that the flow table has go where it says".to_owned(),
            _ => format!("remembering: flows older than its move go to {}", self.name(slot.previous)),
        };
        format!("hash {hash:#010x}: slot {index} of {RING_SLOTS}, with real {}; it is {state}", self.name(slot.real))
    }

    fn name(&self, id: u16) -> String {
        let is_it = |view: &RealView<'_>| view.id == id && id != NO_REAL;
        self.table.reals().find(is_it).map_or("(none)".to_owned(), |view| view.real.name.clone())
    }
}

fn key(question: &Question) -> FlowKey {
    let (client, _) = address_bytes(question.from.ip());
    let (vip, family) = address_bytes(question.to.ip());
    let service = ServiceKey { vip, port: question.to.port(), protocol: question.protocol.number(), family };
    FlowKey { client, service, client_port: question.from.port(), reserved: 0 }
}

fn service_line(to: SocketAddr, service: Option<&ServiceView<'_>>) -> String {
    let ip: IpAddr = to.ip();
    match service {
        Some(view) => format!("{to} is service {} (mode {})", view.service.name, view.service.mode),
        None => format!("no service has port {} of {ip}", to.port()),
    }
}

/// A simulated packet has no connection id.
fn quic_line(service: Option<&ServiceView<'_>>) -> Option<String> {
    service.filter(|view| !view.service.quic.is_empty()).map(|_| {
        "a packet whose QUIC connection id has the server id of a real that is up goes to that real, whatever its flow; any other one goes as \
         follows"
            .to_owned()
    })
}

fn found_line(found_by: FoundBy, real: String) -> String {
    match found_by {
        FoundBy::Slot => format!("so it goes to {real}"),
        FoundBy::FlowTable => format!("the flow table has the flow, with real {real}"),
        FoundBy::HalfOpen => format!("the flow's SYN has come already, and went to {real}"),
        FoundBy::SecondSlot => format!("the slot's real is hot: the flow's second slot has real {real}"),
        FoundBy::Moved => format!("the flow begins, or the previous real is gone: it goes to {real}"),
        FoundBy::Previous => format!("the flow table does not have the flow, and it does not begin: it goes to {real}"),
        FoundBy::OnePacket => format!("each packet goes by itself: this one, were it the first, to {real}"),
        FoundBy::Marked => format!("the flow table does not have the flow: it goes to {real}"),
    }
}

fn fate_line(decision: &Decision, next_hop: Option<&api::NextHop>) -> String {
    match (decision.fate, next_hop) {
        (Fate::Forward, Some(hop)) => {
            let interface = hop.interface.clone().unwrap_or_else(|| format!("interface {}", hop.ifindex));
            format!("forwarded to {} by {interface}", hop.mac)
        }
        (Fate::Forward, None) => "forwarded".to_owned(),
        (Fate::NoVip, _) => "left to the kernel: the destination is no VIP".to_owned(),
        (Fate::NoService, _) => "left to the kernel, as all that is for a VIP and no service".to_owned(),
        (Fate::Answer(event), _) => format!("answered with a RST ({}): {}", event.name(), explain::event(event)),
        (Fate::Drop(reason), _) => format!("dropped ({}): {}", reason.name(), explain::drop_reason(reason)),
    }
}

fn fate(fate: Fate) -> (api::Fate, Option<&'static str>) {
    match fate {
        Fate::Forward => (api::Fate::Forward, None),
        Fate::NoVip => (api::Fate::Pass, None),
        Fate::NoService => (api::Fate::Pass, Some(lb_common::Event::VipPassed.name())),
        Fate::Answer(event) => (api::Fate::Answer, Some(event.name())),
        Fate::Drop(reason) => (api::Fate::Drop, Some(reason.name())),
    }
}
