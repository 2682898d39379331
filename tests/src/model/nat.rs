//! Section 12, step 1: to a real in `nat` mode.

use lb_common::{NatPortKey, OPTION_REAL_PORTS, RealValue};

use super::parse::Packet;
use super::send::{Kind, Target};
use super::translate::{Becomes, Side};
use super::{Branch, State};

impl State {
    /// The packet as it goes to the real, with its Ethernet header as it was.
    pub(super) fn translated_for_real(
        &mut self,
        packet: &Packet,
        target: Target,
        kind: Kind,
        real: &RealValue,
    ) -> Vec<u8> {
        let port = match kind {
            Kind::LaterFragment => 0,
            _ => self.real_port(target),
        };
        self.translated(packet, kind, &Becomes { side: Side::Destination, address: real.address, port })
    }

    /// The real's port; 0 for the packet's own.
    fn real_port(&mut self, target: Target) -> u16 {
        let options = self.options(target.service);
        if options.flags & OPTION_REAL_PORTS != 0 {
            let key = NatPortKey { service: target.service, real: target.real.into() };
            if let Some(port) = self.nat_ports.get(&key).copied() {
                self.saw(Branch::PortOfReal);
                return port as u16;
            }
            self.saw(Branch::PortOfRealMiss);
        }
        self.saw(if options.real_port == 0 { Branch::PortKept } else { Branch::PortOfService });
        options.real_port
    }
}
