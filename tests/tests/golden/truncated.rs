//! Every length of each kind of frame, from nothing to the whole. What is cut off is never read, and never aborts.

use lb_common::DropReason;
use lb_tests::packet::{ACK, Packet};

use crate::case::{Case, Expect, case, drop, pass, tx};
use crate::world::*;

/// What is expected of a frame cut off after a number of bytes below `below`.
struct Until(usize, Expect);

pub fn cases() -> Vec<Case> {
    let tcp = || to_vip().tcp(CLIENT_PORT, DSR_PORT, ACK).payload(5);
    let tcp6 = || to_vip6().tcp(CLIENT_PORT, DSR_PORT, ACK).payload(5);
    let whole = |packet: &Packet, service| tx(&dsr(packet, NEAR_V4)).counts(service, NEAR_V4, 45);
    let whole6 = |packet: &Packet, service| tx(&dsr(packet, NEAR_V6)).counts(service, NEAR_V6, 65);
    let quoted = Packet::v4(VIP, CLIENT).tcp(DSR_PORT, CLIENT_PORT, ACK);
    let quoted6 = Packet::v6(VIP6, CLIENT6).tcp(DSR_PORT, CLIENT_PORT, ACK);
    let mut cases = vec![
        every_length("v4 tcp", tcp(), 34, whole(&tcp(), DSR_V4_TCP)),
        every_length("v4 tcp, one tag", tcp().vlan(1), 38, whole(&tcp().vlan(1), DSR_V4_TCP)),
        every_length("v4 tcp, two tags", tcp().vlan(1).vlan(2), 42, whole(&tcp().vlan(1).vlan(2), DSR_V4_TCP)),
        every_length("v6 tcp", tcp6(), 54, whole6(&tcp6(), DSR_V6_TCP)),
        every_length("v6 tcp, one tag", tcp6().vlan(1), 58, whole6(&tcp6().vlan(1), DSR_V6_TCP)),
        every_length("v6 tcp, two tags", tcp6().vlan(1).vlan(2), 62, whole6(&tcp6().vlan(1).vlan(2), DSR_V6_TCP)),
    ];
    let udp = to_vip().edit_v4(|ip| ip.options = vec![1; 20]).udp(CLIENT_PORT, DSR_PORT);
    cases.push(every_length(
        "v4 udp with options",
        udp.clone(),
        34,
        tx(&dsr(&udp, NEAR_V4)).counts(DSR_V4_UDP, NEAR_V4, 48),
    ));
    let udp = to_vip6().extension(0, 2).extension(60, 1).fragment6(1, 0, false).udp(CLIENT_PORT, DSR_PORT);
    cases.push(every_length(
        "v6 udp with extension headers",
        udp.clone(),
        54,
        tx(&dsr(&udp, NEAR_V6)).counts(DSR_V6_UDP, NEAR_V6, 80),
    ));
    let udp = to_vip().udp(CLIENT_PORT, IPIP_PORT).payload(9);
    cases.push(every_length(
        "ipip v4 in v4",
        udp.clone(),
        34,
        tx(&ipip(&udp, NEAR_V4, 0)).counts(IPIP_V4_UDP, NEAR_V4, 37),
    ));
    let udp = to_vip6().udp(CLIENT_PORT, IPIP_PORT).payload(9);
    cases.push(every_length(
        "ipip v6 in v6",
        udp.clone(),
        54,
        tx(&ipip(&udp, NEAR_V6, 0)).counts(IPIP_V6_UDP, NEAR_V6, 57),
    ));
    let echo = to_vip().icmp(8, 0, [0, 1, 0, 2]).payload(16);
    cases.push(every_length(
        "v4 echo",
        echo,
        34,
        crate::icmp::answered(&Packet::v4(VIP, CLIENT).icmp(0, 0, [0, 1, 0, 2]).payload(16)),
    ));
    let echo = to_vip6().icmp6(128, 0, [0, 1, 0, 2]).payload(16);
    cases.push(every_length(
        "v6 echo",
        echo,
        54,
        crate::icmp::answered(&Packet::v6(VIP6, CLIENT6).icmp6(129, 0, [0, 1, 0, 2]).payload(16)),
    ));
    let error = Packet::v4(ROUTER, VIP).icmp(3, 4, [0, 0, 5, 0]).quote(&quoted, 28);
    cases.push(every_length(
        "v4 error",
        error.clone(),
        34,
        crate::icmp::follows(&dsr(&error, NEAR_V4), DSR_V4_TCP, NEAR_V4, 56),
    ));
    let error = Packet::v6(ROUTER6, VIP6).icmp6(2, 0, [0, 0, 5, 0]).quote(&quoted6, 48);
    cases.push(every_length(
        "v6 error",
        error.clone(),
        54,
        crate::icmp::follows(&dsr(&error, NEAR_V6), DSR_V6_TCP, NEAR_V6, 96),
    ));
    cases.extend(shorter_and_shorter_packets());
    cases
}

/// The IP length still says what the whole packet had: below `known` bytes nobody can tell that it is for a VIP, from
/// there on it is truncated.
fn every_length(name: &str, packet: Packet, known: usize, whole: Expect) -> Case {
    let length = packet.bytes().len();
    lengths(
        name,
        length,
        &[Until(known, pass()), Until(length, drop(DropReason::Truncated)), Until(length + 1, whole)],
        |cut| packet.clone().cut_to(cut),
    )
}

/// The IP length is right for what is left of the packet: then it is the transport header that does not fit.
fn shorter_and_shorter_packets() -> Vec<Case> {
    let malformed = || drop(DropReason::Malformed);
    let tcp = |cut: usize| {
        to_vip().tcp(CLIENT_PORT, DSR_PORT, ACK).edit_v4(|ip| ip.total_length = Some(cut as u16 - 14)).cut_to(cut)
    };
    let tcp6 = |cut: usize| {
        to_vip6().tcp(CLIENT_PORT, DSR_PORT, ACK).edit_v6(|ip| ip.payload_length = Some(cut as u16 - 54)).cut_to(cut)
    };
    let extended = |cut: usize| {
        to_vip6()
            .extension(0, 1)
            .fragment6(3, 0, false)
            .udp(CLIENT_PORT, DSR_PORT)
            .edit_v6(|ip| ip.payload_length = Some(cut as u16 - 54))
            .cut_to(cut)
    };
    let error = |cut: usize| {
        let quoted = Packet::v4(VIP, CLIENT).udp(DSR_PORT, CLIENT_PORT);
        Packet::v4(ROUTER, VIP)
            .icmp(11, 0, [0; 4])
            .quote(&quoted, 28)
            .edit_v4(|ip| ip.total_length = Some(cut as u16 - 14))
            .cut_to(cut)
    };
    let error6 = |cut: usize| {
        let quoted = Packet::v6(VIP6, CLIENT6).udp(DSR_PORT, CLIENT_PORT);
        Packet::v6(ROUTER6, VIP6)
            .icmp6(3, 0, [0; 4])
            .quote(&quoted, 48)
            .edit_v6(|ip| ip.payload_length = Some(cut as u16 - 54))
            .cut_to(cut)
    };
    let passed = crate::case::pass_for_vip;
    let sent = |packet: Packet, service, real, bytes| tx(&dsr(&packet, real)).counts(service, real, bytes);
    let errors = |packet: Packet, service, real, bytes| crate::icmp::follows(&dsr(&packet, real), service, real, bytes);
    vec![
        lengths_from(
            "v4 tcp, shorter packets",
            34,
            54,
            &[Until(54, malformed()), Until(55, sent(tcp(54), DSR_V4_TCP, NEAR_V4, 40))],
            tcp,
        ),
        lengths_from(
            "v6 tcp, shorter packets",
            54,
            74,
            &[Until(74, malformed()), Until(75, sent(tcp6(74), DSR_V6_TCP, NEAR_V6, 60))],
            tcp6,
        ),
        lengths_from(
            "v6 extension headers, shorter packets",
            54,
            78,
            &[Until(78, malformed()), Until(79, sent(extended(78), DSR_V6_UDP, NEAR_V6, 64))],
            extended,
        ),
        lengths_from(
            "v4 error, shorter quotes",
            34,
            70,
            &[Until(42, malformed()), Until(70, passed()), Until(71, errors(error(70), DSR_V4_UDP, NEAR_V4, 56))],
            error,
        ),
        lengths_from(
            "v6 error, shorter quotes",
            54,
            110,
            &[Until(62, malformed()), Until(110, passed()), Until(111, errors(error6(110), DSR_V6_UDP, NEAR_V6, 96))],
            error6,
        ),
    ]
}

fn lengths(name: &str, last: usize, table: &[Until], frame: impl Fn(usize) -> Packet) -> Case {
    lengths_from(name, 0, last, table, frame)
}

fn lengths_from(name: &str, first: usize, last: usize, table: &[Until], frame: impl Fn(usize) -> Packet) -> Case {
    let mut case = case(format!("every length from {first} to {last}: {name}"), world());
    for length in first..=last {
        let Until(_, expect) = table.iter().find(|until| length < until.0).expect("the table reaches the last length");
        let bytes = frame(length).bytes();
        assert_eq!(bytes.len(), length, "{name}: the frame is as long as it is said to be");
        case = case.send_bytes(bytes, expect.clone());
    }
    case
}
