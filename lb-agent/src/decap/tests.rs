//! The program, frame by frame, by BPF_PROG_TEST_RUN (needs root), and what is read of its maps.

use aya::{TestRun as _, TestRunOptions};

use super::*;

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
const REAL: [u8; 4] = [192, 0, 2, 21];
const REAL6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x21];
const VIP: [u8; 4] = [192, 0, 2, 100];
const VIP6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
const BALANCER: [u8; 4] = [192, 0, 2, 2];
const BALANCER6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const IPIP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const UDP: u8 = 17;
/// More than any frame here has.
const ROOM: usize = 256;

/// The program with both tunnels to both addresses, for both VIPs.
struct Program(Ebpf);

impl Program {
    fn load() -> Program {
        let mut ebpf = EbpfLoader::new().load(OBJECT).unwrap();
        let mut maps = Maps::of(&mut ebpf).unwrap();
        for mode in [Mode::Ipip, Mode::Gue] {
            let arguments = DecapArguments {
                interface: String::new(),
                mode: Some(mode),
                addresses: vec![REAL.into(), REAL6.into()],
                vips: vec![VIP.into(), VIP6.into()],
                port: 6080,
                bpf_dir: PathBuf::new(),
                detach: false,
            };
            maps.add(&arguments).unwrap();
        }
        let program: &mut Xdp = ebpf.program_mut(PROGRAM).unwrap().try_into().unwrap();
        program.load().unwrap();
        Program(ebpf)
    }

    /// What the kernel gets of a frame.
    fn run(&self, frame: &[u8]) -> Vec<u8> {
        let program: &Xdp = self.0.program(PROGRAM).unwrap().try_into().unwrap();
        let mut out = vec![0; ROOM];
        let options = TestRunOptions { data_in: Some(frame), data_out: Some(&mut out), ..TestRunOptions::default() };
        let result = program.test_run(options).unwrap();
        assert_eq!(result.return_value, 2, "XDP_PASS");
        let length = result.data_size_out as usize;
        out.truncate(length);
        out
    }
}

fn checksum(header: &[u8]) -> [u8; 2] {
    let sum: u32 = header.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    (!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes()
}

fn ipv4(tos: u8, protocol: u8, from: [u8; 4], to: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let [high, low] = (20 + payload.len() as u16).to_be_bytes();
    let mut packet = vec![0x45, tos, high, low, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    packet.extend(from.into_iter().chain(to));
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum);
    packet.extend(payload);
    packet
}

fn ipv6(class: u8, next: u8, from: [u8; 16], to: [u8; 16], payload: &[u8]) -> Vec<u8> {
    let [high, low] = (payload.len() as u16).to_be_bytes();
    let mut packet = vec![0x60 | class >> 4, class << 4, 0, 0, high, low, next, 64];
    packet.extend(from.into_iter().chain(to).chain(payload.iter().copied()));
    packet
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let words = [0xc123, port, 8 + payload.len() as u16, 0];
    words.into_iter().flat_map(u16::to_be_bytes).chain(payload.iter().copied()).collect()
}

fn frame(packet: &[u8]) -> Vec<u8> {
    let ether_type: [u8; 2] = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
    [&MACS, &ether_type[..], packet].concat()
}

/// A client's packets for the VIPs, and for another address.
fn inner(tos: u8) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let client6 = [0x20, 1, 0x0d, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    (
        ipv4(tos, 6, [198, 18, 0, 9], VIP, b"a client's words"),
        ipv6(tos, 6, client6, VIP6, b"a client's words"),
        ipv4(tos, 6, [198, 18, 0, 9], [192, 0, 2, 101], b"a client's words"),
    )
}

#[test]
fn every_tunnel_of_the_load_balancer_ends() {
    let program = Program::load();
    let (v4, v6, _) = inner(0);
    for (outer, packet) in [
        (ipv4(0, IPIP, BALANCER, REAL, &v4), &v4),
        (ipv6(0, IPIP, BALANCER6, REAL6, &v4), &v4),
        (ipv6(0, IPV6_IN_IP, BALANCER6, REAL6, &v6), &v6),
        (ipv4(0, UDP, BALANCER, REAL, &udp(6080, &v4)), &v4),
        (ipv6(0, UDP, BALANCER6, REAL6, &udp(6080, &v4)), &v4),
        (ipv6(0, UDP, BALANCER6, REAL6, &udp(6080, &v6)), &v6),
    ] {
        assert_eq!(program.run(&frame(&outer)), frame(packet), "{outer:02x?}");
        // What Ethernet has filled up stays, as in any frame.
        let padded = [frame(&outer), vec![0; 6]].concat();
        assert_eq!(program.run(&padded), [frame(packet), vec![0; 6]].concat());
    }
}

#[test]
fn all_else_passes_as_it_came() {
    let program = Program::load();
    let (v4, v6, foreign) = inner(0);
    let outer = ipv4(0, IPIP, BALANCER, REAL, &v4);
    let changed = |at: usize, to: u8, again: bool| {
        let mut packet = outer.clone();
        packet[at] = to;
        if again {
            packet[10..12].fill(0);
            let sum = checksum(&packet[..20]);
            packet[10..12].copy_from_slice(&sum);
        }
        frame(&packet)
    };
    let mut summed = udp(6080, &v4);
    summed[7] = 1;
    let mut longer = udp(6080, &v4);
    longer[5] += 1;
    let mut tagged = frame(&outer);
    tagged.splice(12..12, [0x81, 0, 0, 7]);
    let cases = [
        ("no tunnel", frame(&v4)),
        ("a packet for no VIP", frame(&ipv4(0, IPIP, BALANCER, REAL, &foreign))),
        ("to an address where no tunnel ends", frame(&ipv4(0, IPIP, BALANCER, [192, 0, 2, 22], &v4))),
        ("an outer header that was damaged", changed(8, 63, false)),
        ("a first fragment", changed(6, 0x20, true)),
        ("a later fragment", changed(7, 1, true)),
        ("options", changed(0, 0x46, true)),
        ("the frame is cut off", frame(&outer)[..frame(&outer).len() - 1].to_vec()),
        ("the inner header is cut off", frame(&ipv4(0, IPIP, BALANCER, REAL, &v4[..19]))),
        ("no inner header", frame(&ipv4(0, IPIP, BALANCER, REAL, &[]))),
        ("IPv6 under the number of IPv4", frame(&ipv6(0, IPIP, BALANCER6, REAL6, &v6))),
        ("no IP at all", frame(&ipv4(0, UDP, BALANCER, REAL, &udp(6080, b"no packet of IP, but of some length")))),
        ("another port", frame(&ipv4(0, UDP, BALANCER, REAL, &udp(6081, &v4)))),
        ("a checksum", frame(&ipv4(0, UDP, BALANCER, REAL, &summed))),
        ("a wrong length", frame(&ipv4(0, UDP, BALANCER, REAL, &longer))),
        ("the UDP header is cut off", frame(&ipv4(0, UDP, BALANCER, REAL, &[0; 7]))),
        ("a VLAN tag", tagged),
        ("ARP", [&MACS[..], &[8, 6], &[0; 46]].concat()),
        ("congestion for ends that do not know it", frame(&ipv4(3, IPIP, BALANCER, REAL, &v4))),
        ("the same over IPv6", frame(&ipv6(3, IPV6_IN_IP, BALANCER6, REAL6, &v6))),
    ];
    for (what, frame) in cases {
        assert_eq!(program.run(&frame), frame, "{what}");
    }
}

#[test]
fn congestion_on_the_way_is_told_to_the_server() {
    let program = Program::load();
    for capable in [1, 2, 3] {
        let (v4, v6, _) = inner(0xb8 | capable);
        let (marked4, marked6, _) = inner(0xb8 | 3);
        assert_eq!(program.run(&frame(&ipv4(3, IPIP, BALANCER, REAL, &v4))), frame(&marked4));
        assert_eq!(program.run(&frame(&ipv6(3, IPV6_IN_IP, BALANCER6, REAL6, &v6))), frame(&marked6));
        assert_eq!(program.run(&frame(&ipv4(capable & 2, IPIP, BALANCER, REAL, &v4))), frame(&v4), "not marked");
    }
}

#[test]
fn addresses_and_keys_are_each_others() {
    for text in ["192.0.2.1", "2001:db8::1"] {
        let one: IpAddr = text.parse().unwrap();
        assert_eq!(address(&key(one)), Some(one));
    }
    assert_eq!(address(&AddressKey { family: 5, ..AddressKey::default() }), None);
}

#[test]
fn a_program_has_what_it_was_told_and_no_more() {
    let set = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<BTreeSet<IpAddr>>();
    let tunnels = Tunnels { ipip: false, gue: Some(6080) };
    let decap = Decap {
        endpoints: [("192.0.2.1".parse().unwrap(), tunnels)].into(),
        vips: set(&["192.0.2.100", "192.0.2.101"]),
        packets: 0,
    };
    let (own, vips) = (set(&["192.0.2.1"]), set(&["192.0.2.100"]));
    assert!(decap.has(Mode::Gue, 6080, &own, &vips));
    assert!(!decap.has(Mode::Gue, 6081, &own, &vips));
    assert!(!decap.has(Mode::Ipip, 6080, &own, &vips));
    assert!(!decap.has(Mode::Gue, 6080, &set(&["192.0.2.1", "192.0.2.2"]), &vips));
    assert!(!decap.has(Mode::Gue, 6080, &own, &set(&["192.0.2.102"])));
}
