//! Section 11, and sections 13 and 14 about it: the slot of a packet that is traced.

use lb_common::{FlowKey, NO_SLOT, PROTOCOL_TCP, SLOT_CLEAN, ServiceKey};

use super::decide::is_syn;
use super::guard::is_one_packet;
use super::parse::{self, Content, be16};
use super::{End, State};

/// What the record of a packet says, of one that section 4 is for, and that has a service with a ring or names its real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traced {
    /// The service.
    pub service: u32,
    /// The service's flags.
    pub flags: u8,
    /// The slot and its real; a packet that goes by itself has none.
    pub slot: Option<(u32, TracedReal)>,
}

/// The real of a packet that is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TracedReal {
    /// This one.
    Is(u16),
    /// It is read after the decision.
    LaterSaid,
}

impl State {
    /// What the record of this frame says, when it is looked at in this state.
    #[must_use]
    pub fn traced(&self, frame: &[u8]) -> Option<Traced> {
        let mut state = self.clone();
        state.look(frame).ok().flatten()
    }

    fn look(&mut self, frame: &[u8]) -> Result<Option<Traced>, End> {
        let link = parse::link(self, frame)?;
        let packet = parse::parse(self, frame, &link)?;
        let Content::Flow { flags: tcp_flags, .. } = packet.content else { return Ok(None) };
        let ports = packet.transport_bytes();
        let service = ServiceKey {
            vip: packet.destination,
            port: be16(ports, 2),
            protocol: packet.protocol,
            family: packet.family,
        };
        let key = FlowKey { client: packet.source, service, client_port: be16(ports, 0), reserved: 0 };
        let Some(service) = self.service(&key.service) else { return Ok(None) };
        let traced = Traced { service: service.id, flags: service.flags, slot: None };
        if let Some(real) = self.quic_real(&packet, service) {
            return Ok(Some(Traced { slot: Some((NO_SLOT, TracedReal::Is(real))), ..traced }));
        }
        if is_one_packet(service) {
            return Ok(Some(traced));
        }
        let Some(place) = self.place_of(key, service) else { return Ok(None) };
        let syn = !place.is_client && packet.protocol == PROTOCOL_TCP && is_syn(tcp_flags);
        let real = if syn && place.slot.state != SLOT_CLEAN {
            TracedReal::LaterSaid
        } else {
            TracedReal::Is(self.decide_reading(&place))
        };
        Ok(Some(Traced { slot: Some((place.index, real)), ..traced }))
    }
}
