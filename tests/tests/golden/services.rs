//! Services by GUE and of SCTP, beside those of the world, and frames as they leave by GUE.

use std::net::IpAddr;
use std::sync::LazyLock;

use lb_common::{FlowKey, GUE_PORT, MODE_DSR, MODE_GUE, MODE_IPIP, PROTOCOL_SCTP, ServiceKey};
use lb_tests::model::{State, flow_hash};
use lb_tests::packet::{ACK, Layer, Packet, Udp};
use lb_tests::world::{Ports, address_of, clean};

use crate::case::{Case, Expect, case, redirect, tx};
use crate::world::*;

pub const SCTP: u8 = PROTOCOL_SCTP;
/// Port of the services in `gue` mode.
pub const GUE_SERVICE_PORT: u16 = 83;
pub const PROTOCOLS: [u8; 3] = [TCP, UDP, SCTP];
pub const FAMILIES: [u8; 2] = [V4, V6];

/// The service in `gue` mode.
pub fn gue_service(family: u8, protocol: u8) -> u32 {
    let first = if family == V4 { 30 } else { 33 };
    match protocol {
        TCP => first,
        UDP => first + 1,
        _ => first + 2,
    }
}

/// The service of SCTP with this port, of a mode as the services of TCP and UDP with this port.
pub fn sctp_service(family: u8, port: u16) -> u32 {
    36 + 2 * u32::from(port == IPIP_PORT) + u32::from(family == V6)
}

/// Any SCTP port of the VIP with ranges.
pub fn any_sctp(family: u8) -> u32 {
    40 + u32::from(family == V6)
}

/// The world of the other golden packets, and these services in it.
pub fn more_world() -> State {
    static WORLD: LazyLock<State> = LazyLock::new(build);
    WORLD.clone()
}

/// Starts a case in this world, changed.
pub fn more_case(name: impl Into<String>, change: impl FnOnce(&mut State)) -> Case {
    let mut state = more_world();
    change(&mut state);
    case(name, state)
}

fn build() -> State {
    let mut state = world();
    for family in FAMILIES {
        for protocol in PROTOCOLS {
            let ports = Ports::Single(GUE_SERVICE_PORT);
            state.add_service(gue_service(family, protocol), vip(family), protocol, ports, MODE_GUE);
            state.fill_ring(gue_service(family, protocol), clean(near(family)));
        }
        for (port, mode) in [(DSR_PORT, MODE_DSR), (IPIP_PORT, MODE_IPIP)] {
            state.add_service(sctp_service(family, port), vip(family), SCTP, Ports::Single(port), mode);
            state.fill_ring(sctp_service(family, port), clean(near(family)));
        }
        state.add_service(any_sctp(family), wide_vip(family), SCTP, Ports::Any, MODE_DSR);
        state.fill_ring(any_sctp(family), clean(near(family)));
    }
    state
}

pub fn near(family: u8) -> u16 {
    if family == V4 { NEAR_V4 } else { NEAR_V6 }
}

pub fn far(family: u8) -> u16 {
    if family == V4 { FAR_V4 } else { FAR_V6 }
}

pub fn old(family: u8) -> u16 {
    if family == V4 { OLD_V4 } else { OLD_V6 }
}

pub fn dead(family: u8) -> u16 {
    if family == V4 { DISABLED_V4 } else { DISABLED_V6 }
}

pub fn vip(family: u8) -> IpAddr {
    if family == V4 { VIP.into() } else { VIP6.into() }
}

pub fn wide_vip(family: u8) -> IpAddr {
    if family == V4 { WIDE_VIP.into() } else { WIDE_VIP6.into() }
}

pub fn client(family: u8) -> IpAddr {
    if family == V4 { CLIENT.into() } else { CLIENT6.into() }
}

pub fn router(family: u8) -> IpAddr {
    if family == V4 { ROUTER.into() } else { ROUTER6.into() }
}

/// Bytes of an IP header without options or extension headers.
pub fn ip_header(family: u8) -> u64 {
    if family == V4 { 20 } else { 40 }
}

/// "tcp" and the like.
pub fn word(protocol: u8) -> &'static str {
    match protocol {
        TCP => "tcp",
        UDP => "udp",
        _ => "sctp",
    }
}

/// Adds a transport header.
pub fn transport(packet: Packet, protocol: u8, source: u16, destination: u16) -> Packet {
    match protocol {
        TCP => packet.tcp(source, destination, ACK),
        UDP => packet.udp(source, destination),
        _ => packet.sctp(source, destination),
    }
}

/// From the client to a port of the VIP.
pub fn from_client(family: u8, protocol: u8, port: u16) -> Packet {
    transport(Packet::ip(client(family), vip(family)), protocol, CLIENT_PORT, port)
}

/// It leaves as this for a real, by the interface that the real is behind.
pub fn sent(out: &Packet, service: u32, real: u16, bytes: u64) -> Expect {
    let sent = if matches!(real, FAR_V4 | FAR_V6) { redirect(out, OTHER) } else { tx(out) };
    sent.counts(service, real, bytes)
}

/// The hash of the packets from the client to a port of the VIP.
pub fn hash_of(family: u8, protocol: u8, port: u16) -> u32 {
    hash_between((client(family), CLIENT_PORT), (vip(family), port), protocol)
}

/// The hash of packets of which only the addresses count.
pub fn hash_without_ports(source: IpAddr, destination: IpAddr) -> u32 {
    hash_between((source, 0), (destination, 0), 0)
}

pub fn hash_between(source: (IpAddr, u16), destination: (IpAddr, u16), protocol: u8) -> u32 {
    let ((client, _), (vip, family)) = (address_of(source.0), address_of(destination.0));
    let service = ServiceKey { vip, port: destination.1, protocol, family };
    flow_hash(&FlowKey { client, service, client_port: source.1, reserved: 0 })
}

/// The frame as it leaves for a real in `gue` mode.
pub fn gue(packet: &Packet, real: u16, class: u8, hash: u32) -> Packet {
    gue_to(packet, real, class, hash, GUE_PORT)
}

/// The same to another port than that of GUE.
pub fn gue_to(packet: &Packet, real: u16, class: u8, hash: u32, port: u16) -> Packet {
    // The headers of `ipip`, and UDP after the outermost.
    let mut out = ipip(packet, real, class);
    let udp = Udp { source: 49_152 | (hash % 16_384) as u16, destination: port, length: None, checksum: Some(0) };
    out.layers.insert(1, Layer::Udp(udp));
    out
}

/// The frame with another outer source.
pub fn from_source(packet: Packet, source: IpAddr) -> Packet {
    match source {
        IpAddr::V4(source) => packet.edit_v4(|ip| ip.source = source),
        IpAddr::V6(source) => packet.edit_v6(|ip| ip.source = source),
    }
}
