//! What the kernel's tables say of the way to a client, and what becomes of the reply.

use lb_common::{DropReason, WANTED_NEIGHBOURS_SIZE};
use lb_tests::model::{Only, State, WAY_IFINDEX};
use lb_tests::packet::{ACK, Packet};

use super::replies::{answer, from_vip};
use super::to_reals::noted_as;
use super::*;
use crate::case::{Case, drop, pass};

/// Records that the buffer takes, of 32 bytes each: one fewer than fill it.
const ROOM: usize = WANTED_NEIGHBOURS_SIZE as usize / 32 - 1;
/// A next hop that the kernel does not know.
const UNKNOWN: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 9);
const UNKNOWN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 9);

pub fn cases() -> Vec<Case> {
    let mut cases = answers();
    cases.extend(lengths());
    cases.extend(neighbours());
    cases.extend(what_is_asked());
    cases
}

/// Puts a route for all packets in place of those to the client.
pub fn leads_to(state: &mut State, family: u8, leads: Option<Leads>) {
    state.ways.routes.retain(|route| route.to != client(family));
    state.ways.routes.extend(leads.map(|leads| Route::to(client(family), leads)));
}

fn answers() -> Vec<Case> {
    let table = [
        ("no route", None, pass()),
        ("the host's own address", Some(Leads::Own), pass()),
        ("a black hole", Some(Leads::Blackhole), drop(DropReason::NoRoute)),
        ("unreachable", Some(Leads::Unreachable), drop(DropReason::NoRoute)),
        ("prohibited", Some(Leads::Prohibit), drop(DropReason::NoRoute)),
    ];
    let mut cases = Vec::new();
    for family in FAMILIES {
        let answer = answer(family, TCP, ACK);
        for (name, leads, expect) in &table {
            cases.push(
                nat_case(format!("way v{family}, {name}"), |state| leads_to(state, family, *leads))
                    .send(&answer, expect.clone()),
            );
        }
        let forwards =
            |v4: bool, v6: bool| move |state: &mut State| (state.ways.forwards_v4, state.ways.forwards_v6) = (v4, v6);
        let off = drop(DropReason::NotForwarding);
        cases
            .push(nat_case(format!("way v{family}, no forwarding"), forwards(false, false)).send(&answer, off.clone()));
        cases.push(
            nat_case(format!("way v{family}, no forwarding of it"), forwards(family != V4, family != V6))
                .send(&answer, off),
        );
        cases.push(
            nat_case(format!("way v{family}, no forwarding of the other"), forwards(family == V4, family == V6))
                .send(&answer, replied(&from_vip(&answer, family))),
        );
        // What the kernel does not answer for is not dropped, though it forwards nothing.
        let other = sourced(&answer, real_address(near(family)), Some(REAL_PORT + 1));
        cases.push(
            nat_case(format!("way v{family}, no forwarding, and no reply"), forwards(false, false))
                .send(&other, pass()),
        );
    }
    let link_local = destined(&answer(V6, TCP, ACK), Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into(), None);
    cases.push(one("way to a link-local address", &link_local, pass()));
    cases
}

fn lengths() -> Vec<Case> {
    let reply = |family: u8, length: usize| {
        Packet::ip(real_address(near(family)), client(family))
            .udp(REAL_PORT, CLIENT_PORT)
            .payload(length - if family == V4 { 28 } else { 48 })
    };
    let mut cases = Vec::new();
    for family in FAMILIES {
        for (mtu, gateway) in [(1_400, None), (1_300, Some(router(family)))] {
            let narrow = |state: &mut State| {
                leads_to(state, family, Some(Leads::Out { gateway, mac: Some(CLIENT_MAC), mtu }));
                // The gateway has one MAC address only.
                state.ways.routes.retain(|route| route.to == client(family));
            };
            let name = |length| format!("way v{family} of {mtu} bytes, {length} bytes");
            let (fits, long) = (reply(family, mtu as usize), reply(family, mtu as usize + 1));
            cases.push(nat_case(name(mtu), narrow).send(&fits, replied(&from_vip(&fits, family))));
            cases.push(nat_case(name(mtu + 1), narrow).send(&long, drop(DropReason::TooBig)));
            let padded = fits.clone().vlan(3).pad_to(1_600);
            cases.push(
                nat_case(format!("{}, tagged and padded", name(mtu)), narrow)
                    .send(&padded, replied(&from_vip(&padded, family))),
            );
        }
    }
    cases
}

/// The next hop's MAC address is not known.
fn neighbours() -> Vec<Case> {
    let out = |gateway| Leads::Out { gateway, mac: None, mtu: CLIENT_MTU };
    let mut cases = Vec::new();
    for family in FAMILIES {
        let answer = answer(family, TCP, ACK);
        let table = [("the client", None), ("a gateway", Some(of(family, UNKNOWN, UNKNOWN6)))];
        for (name, gateway) in table {
            let wanted = drop(DropReason::NoNeighbour).wants(gateway.unwrap_or(client(family)));
            let mut case = nat_case(format!("way v{family}, {name} not known"), |state| {
                leads_to(state, family, Some(out(gateway)));
            });
            case = case.send(&answer, wanted.clone()).send(&answer, wanted);
            cases.push(case);
        }
        let first = first(real_address(near(family)), client(family)).udp(REAL_PORT, CLIENT_PORT).payload(40);
        cases.push(
            nat_case(format!("way v{family}, not known to a first fragment, which leaves no note"), |state| {
                leads_to(state, family, Some(out(None)));
            })
            .send(&first, drop(DropReason::NoNeighbour).wants(client(family))),
        );
    }
    let answer = answer(V4, TCP, ACK);
    let unknown = |state: &mut State| leads_to(state, V4, Some(out(None)));
    let mut full = nat_case("way asked for more often than there is room", unknown);
    full.reads_at_end = true;
    for n in 0..ROOM + 3 {
        let dropped = drop(DropReason::NoNeighbour);
        full = full.send(&answer, if n < ROOM { dropped.wants(client(V4)) } else { dropped });
    }
    cases.push(full);
    let gateway = |state: &mut State| leads_to(state, V4, Some(out(Some(UNKNOWN6.into()))));
    cases.push(
        nat_case("way v4 by a v6 gateway that is not known", gateway)
            .send(&answer, drop(DropReason::NoNeighbour).wants(UNKNOWN6.into())),
    );
    let gateway = |state: &mut State| {
        leads_to(
            state,
            V4,
            Some(Leads::Out { gateway: Some(ROUTER6.into()), mac: Some(GATEWAY_MAC), mtu: CLIENT_MTU }),
        );
    };
    let sent = redirect(&from_vip(&answer, V4).macs(GATEWAY_MAC, WAY_MAC), WAY_IFINDEX).event(Event::ReplyForwarded);
    cases.push(nat_case("way v4 by a v6 gateway", gateway).send(&answer, sent));
    cases
}

/// Routes for some packets only show what the kernel is asked: each case has a route for those that are not asked for, and one more
/// for those that are.
fn what_is_asked() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        let (real, client) = (real_address(near(family)), client(family));
        let [tcp, udp] = [TCP, UDP].map(|protocol| answer(family, protocol, ACK));
        let class = |class: u8| {
            let answer = answer(family, TCP, ACK);
            if family == V4 {
                answer.edit_v4(|ip| ip.tos = class)
            } else {
                answer.edit_v6(|ip| ip.traffic_class = class)
            }
        };
        let only = Only::default();
        let vip_only = Only { source: Some(vip(family)), ..only };
        let real_only = Only { source: Some(real), ..only };
        let of_protocol = |protocol| Only { protocol: Some(protocol), ..only };
        let of_class = |class| Only { class: Some(class), ..only };
        let from = |ingress| Only { ingress: Some(ingress), ..only };
        let table = [
            ("the VIP is the source", vip_only, INGRESS, tcp.clone(), true),
            ("the real is not the source", real_only, INGRESS, tcp.clone(), false),
            ("tcp", of_protocol(TCP), INGRESS, tcp.clone(), true),
            ("tcp is not udp", of_protocol(UDP), INGRESS, tcp.clone(), false),
            ("udp", of_protocol(UDP), INGRESS, udp.clone(), true),
            ("udp is not tcp", of_protocol(TCP), INGRESS, udp.clone(), false),
            ("the class", of_class(0x10), INGRESS, class(0x10), true),
            ("the class with ECN", of_class(0x10), INGRESS, class(0x13), true),
            ("another class", of_class(0x10), INGRESS, class(0x0c), false),
            ("no class", of_class(0x10), INGRESS, class(0), false),
            ("come in by loopback", from(INGRESS), INGRESS, tcp.clone(), true),
            ("not come in by loopback", from(INGRESS), WAY_IFINDEX, tcp.clone(), false),
            ("come in by the link", from(WAY_IFINDEX), WAY_IFINDEX, tcp.clone(), true),
            ("not come in by the link", from(WAY_IFINDEX), INGRESS, tcp.clone(), false),
        ];
        for (name, only, ingress, packet, fits) in table {
            let out = from_vip(&packet, family).macs(CLIENT_MAC, WAY_MAC);
            let sent = if ingress == WAY_IFINDEX { tx(&out) } else { redirect(&out, WAY_IFINDEX) };
            let expect = if fits { sent.event(Event::ReplyForwarded) } else { drop(DropReason::NoRoute) };
            let asks = nat_case(format!("way v{family}, asked: {name}"), |state| asking(state, family, only));
            cases.push(asks.by(ingress).send(&packet, expect));
        }
        let later = later(real, client, UDP);
        let key = fragment_key(real, client, ID.into(), UDP);
        let protocol = if family == V4 { UDP } else { 44 };
        cases.push(
            nat_case(format!("way v{family}, asked: protocol {protocol} of a later fragment"), |state| {
                asking(state, family, of_protocol(protocol));
                noted_as(state, key, service(family, UDP), 0, MODE_NAT);
            })
            .send(&later, replied(&sourced(&later, vip(family), None))),
        );
    }
    cases
}

/// The route to the client is for these packets only. All others are told that there is none.
pub fn asking(state: &mut State, family: u8, only: Only) {
    leads_to(state, family, Some(Leads::Prohibit));
    let leads = Leads::Out { gateway: None, mac: Some(CLIENT_MAC), mtu: CLIENT_MTU };
    state.ways.routes.insert(0, Route { to: client(family), only, leads });
}
