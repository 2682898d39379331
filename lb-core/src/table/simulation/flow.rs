//! A flow of the simulation: what it sends next, and how long its silence may be.

use lb_common::{FlowKey, ServiceKey};

use super::{
    CLIENTS, FIN_MS, IDLE_MS, Random,
    config::{PORTS, VIP},
    forward::Packet,
};
use crate::{rows::address_bytes, service::Protocol, table::HANDSHAKE_TIMEOUT_MS};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Handshake,
    Open,
    Closing,
}

#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) key: FlowKey,
    pub(crate) service: String,
    pub(crate) real: u16,
    pub(crate) phase: Phase,
    pub(crate) last_ms: u64,
    /// Silent most of the time.
    pub(crate) lazy: bool,
}

impl Flow {
    /// Silence of this length sets the table free to forget the flow.
    pub(crate) fn patience_ms(&self) -> u64 {
        match self.phase {
            Phase::Handshake => HANDSHAKE_TIMEOUT_MS,
            Phase::Open => IDLE_MS,
            Phase::Closing => FIN_MS,
        }
    }

    /// What the flow sends, and the phase that it is in then; none after its last packet.
    pub(crate) fn next_packet(&self, random: &mut Random) -> (Packet, Option<Phase>) {
        if self.is_udp() {
            return (Packet::Udp, Some(Phase::Open));
        }
        match (self.phase, random.below(40)) {
            (_, 0) => (Packet::Rst, None),
            (Phase::Open, 1 | 2) => (Packet::Fin, Some(Phase::Closing)),
            (Phase::Handshake, _) => (Packet::Data, Some(Phase::Open)),
            (phase, _) => (Packet::Data, Some(phase)),
        }
    }

    pub(crate) fn is_udp(&self) -> bool {
        self.key.service.protocol == Protocol::Udp.number()
    }
}

/// A client's 5-tuple to one of the ports.
pub(crate) fn random_key(random: &mut Random) -> (FlowKey, (Protocol, u16)) {
    let (protocol, port) = PORTS[random.below(PORTS.len() as u64) as usize];
    let client = address_bytes([203, 0, 113, random.below(CLIENTS) as u8].into()).0;
    let (vip, family) = address_bytes(VIP.parse().unwrap());
    let service = ServiceKey { vip, port, protocol: protocol.number(), family };
    (FlowKey { client, service, client_port: 40_000, reserved: 0 }, (protocol, port))
}

pub(crate) fn port_of(flow: &Flow) -> (Protocol, u16) {
    (if flow.is_udp() { Protocol::Udp } else { Protocol::Tcp }, flow.key.service.port)
}
