//! Classic BPF programs for packet sockets: which packets are the answer to a probe.

use std::net::IpAddr;

use lb_common::{PROTOCOL_TCP, PROTOCOL_UDP};
use socket2::SockFilter;

/// As much of a packet as there is.
const WHOLE: u32 = u32::MAX;
const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_ICMPV6: u8 = 58;

/// What a probe waits for from the VIP.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    /// TCP segments between these ports.
    Tcp { from: u16, to: u16 },
    /// UDP datagrams between these ports, and ICMP errors.
    Udp { from: u16, to: u16 },
    /// Echo replies with this identifier.
    Echo { id: u16 },
}

/// The program that lets nothing through.
pub(super) fn nothing() -> [SockFilter; 1] {
    [ret(0)]
}

/// The program that lets through what is expected from `vip` for `source`, which are of one family. It sees packets from
/// the IP header on.
pub(super) fn program(vip: IpAddr, source: IpAddr, expected: Expected) -> Vec<SockFilter> {
    let layout = if vip.is_ipv4() { Layout::V4 } else { Layout::V6 };
    let addresses = layout.addresses(vip, source);
    let alternatives = match expected {
        Expected::Tcp { from, to } => vec![layout.ports(PROTOCOL_TCP, from, to)],
        Expected::Udp { from, to } => vec![layout.ports(PROTOCOL_UDP, from, to), layout.unreachable()],
        Expected::Echo { id } => vec![layout.echo_reply(id)],
    };
    assemble(alternatives.into_iter().map(|tests| [addresses.clone(), tests].concat()))
}

/// Where things are in a packet. IPv6 answers with extension headers are not understood.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    V4,
    V6,
}

/// A number of a packet that must have a value.
#[derive(Clone, Copy)]
struct Test {
    load: Load,
    value: u32,
}

/// A big-endian number, by its distance from the IP header, or from the end of an IPv4 header.
#[derive(Clone, Copy)]
enum Load {
    Byte(u32),
    Word(u32),
    BehindV4Byte(u32),
    BehindV4Half(u32),
    Half(u32),
}

impl Layout {
    fn addresses(self, vip: IpAddr, source: IpAddr) -> Vec<Test> {
        let (at, bytes) = match (vip, source) {
            (IpAddr::V4(vip), IpAddr::V4(source)) => (12, [vip.octets().to_vec(), source.octets().to_vec()].concat()),
            _ => (8, [octets_v6(vip), octets_v6(source)].concat()),
        };
        let words = bytes.chunks_exact(4).zip((at..).step_by(4));
        words.map(|(word, at)| test(Load::Word(at), number(word))).collect()
    }

    fn protocol(self, number: u8) -> Test {
        test(Load::Byte(if self == Self::V4 { 9 } else { 6 }), u32::from(number))
    }

    fn ports(self, protocol: u8, from: u16, to: u16) -> Vec<Test> {
        vec![self.protocol(protocol), self.half(0, from), self.half(2, to)]
    }

    fn echo_reply(self, id: u16) -> Vec<Test> {
        let (protocol, kind) = if self == Self::V4 { (PROTOCOL_ICMP, 0) } else { (PROTOCOL_ICMPV6, 129) };
        vec![self.protocol(protocol), self.byte(0, kind), self.half(4, id)]
    }

    /// Destination unreachable. Whether it is about this probe is for the stack to see.
    fn unreachable(self) -> Vec<Test> {
        let (protocol, kind) = if self == Self::V4 { (PROTOCOL_ICMP, 3) } else { (PROTOCOL_ICMPV6, 1) };
        vec![self.protocol(protocol), self.byte(0, kind)]
    }

    fn byte(self, behind: u32, value: u8) -> Test {
        let load = if self == Self::V4 { Load::BehindV4Byte(behind) } else { Load::Byte(40 + behind) };
        test(load, u32::from(value))
    }

    fn half(self, behind: u32, value: u16) -> Test {
        let load = if self == Self::V4 { Load::BehindV4Half(behind) } else { Load::Half(40 + behind) };
        test(load, u32::from(value))
    }
}

fn octets_v6(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn test(load: Load, value: u32) -> Test {
    Test { load, value }
}

/// Lets a packet through that passes all tests of any alternative.
fn assemble(alternatives: impl Iterator<Item = Vec<Test>>) -> Vec<SockFilter> {
    let mut program = Vec::new();
    for tests in alternatives {
        let pieces: Vec<Vec<SockFilter>> = tests.iter().map(|test| test.load.instructions()).collect();
        // Each test is its loads and one jump; behind the last stands the return.
        let length = pieces.iter().map(|piece| piece.len() + 1).sum::<usize>() + 1;
        let mut done = 0;
        for (piece, test) in pieces.into_iter().zip(&tests) {
            done += piece.len() + 1;
            program.extend(piece);
            // The longest alternative has some thirty instructions, far below the 255 that a jump reaches.
            let to_next = (length - done) as u8;
            program.push(SockFilter::new(code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K), 0, to_next, test.value));
        }
        program.push(ret(WHOLE));
    }
    program.push(ret(0));
    program
}

impl Load {
    fn instructions(self) -> Vec<SockFilter> {
        let header_length = SockFilter::new(code(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH), 0, 0, 0);
        let absolute = |size, at| SockFilter::new(code(libc::BPF_LD | size | libc::BPF_ABS), 0, 0, at);
        let indexed = |size, at| SockFilter::new(code(libc::BPF_LD | size | libc::BPF_IND), 0, 0, at);
        match self {
            Self::Byte(at) => vec![absolute(libc::BPF_B, at)],
            Self::Half(at) => vec![absolute(libc::BPF_H, at)],
            Self::Word(at) => vec![absolute(libc::BPF_W, at)],
            Self::BehindV4Byte(at) => vec![header_length, indexed(libc::BPF_B, at)],
            Self::BehindV4Half(at) => vec![header_length, indexed(libc::BPF_H, at)],
        }
    }
}

fn ret(length: u32) -> SockFilter {
    SockFilter::new(code(libc::BPF_RET | libc::BPF_K), 0, 0, length)
}

/// Operation codes are below 256.
const fn code(bits: u32) -> u16 {
    bits as u16
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixDatagram;

    use super::*;

    const VIP: &str = "192.0.2.100";
    const SOURCE: &str = "192.0.2.2";
    const VIP6: &str = "2001:db8::100";
    const SOURCE6: &str = "2001:db8::2";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Whether the kernel lets a packet through: a filter works on any socket.
    fn passes(program: &[SockFilter], packet: &[u8]) -> bool {
        let (from, to) = UnixDatagram::pair().unwrap();
        socket2::SockRef::from(&to.as_fd()).attach_filter(program).unwrap();
        to.set_nonblocking(true).unwrap();
        from.send(packet).unwrap();
        to.recv(&mut [0; 128]).is_ok()
    }

    fn v4(source: &str, destination: &str, protocol: u8, options: usize, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 20 + options];
        packet[0] = 0x40 | ((20 + options) / 4) as u8;
        packet[9] = protocol;
        for (at, address) in [(12, source), (16, destination)] {
            let IpAddr::V4(address) = ip(address) else { panic!() };
            packet[at..at + 4].copy_from_slice(&address.octets());
        }
        packet.extend_from_slice(payload);
        packet
    }

    fn v6(source: &str, destination: &str, next_header: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 8];
        (packet[0], packet[6]) = (0x60, next_header);
        packet.extend(octets_v6(ip(source)));
        packet.extend(octets_v6(ip(destination)));
        packet.extend_from_slice(payload);
        packet
    }

    const PORTS: [u8; 8] = [0, 80, 0x9c, 0x40, 0, 0, 0, 0];
    const OTHER_PORTS: [u8; 8] = [0, 80, 0x9c, 0x41, 0, 0, 0, 0];

    #[test]
    fn tcp_answers_are_told_by_addresses_protocol_and_ports() {
        let program = program(ip(VIP), ip(SOURCE), Expected::Tcp { from: 80, to: 40_000 });
        assert!(passes(&program, &v4(VIP, SOURCE, 6, 0, &PORTS)));
        assert!(passes(&program, &v4(VIP, SOURCE, 6, 8, &PORTS)), "behind options");
        assert!(!passes(&program, &v4("192.0.2.101", SOURCE, 6, 0, &PORTS)));
        assert!(!passes(&program, &v4(VIP, "192.0.2.3", 6, 0, &PORTS)));
        assert!(!passes(&program, &v4(VIP, SOURCE, 17, 0, &PORTS)));
        assert!(!passes(&program, &v4(VIP, SOURCE, 6, 0, &OTHER_PORTS)));
        assert!(!passes(&program, &v4(VIP, SOURCE, 6, 0, &[0, 81, 0x9c, 0x40])));
        assert!(!passes(&program, &v4(VIP, SOURCE, 6, 0, &[0, 80])), "cut off");
    }

    #[test]
    fn udp_answers_may_be_icmp_errors() {
        let program = program(ip(VIP), ip(SOURCE), Expected::Udp { from: 80, to: 40_000 });
        assert!(passes(&program, &v4(VIP, SOURCE, 17, 0, &PORTS)));
        assert!(!passes(&program, &v4(VIP, SOURCE, 17, 0, &OTHER_PORTS)));
        assert!(passes(&program, &v4(VIP, SOURCE, 1, 0, &[3, 3, 0, 0])));
        assert!(!passes(&program, &v4(VIP, SOURCE, 1, 0, &[0, 0, 0, 0])), "an echo reply");
        assert!(!passes(&program, &v4("192.0.2.101", SOURCE, 1, 0, &[3, 3, 0, 0])));
    }

    #[test]
    fn echo_replies_are_told_by_their_identifier() {
        let program = program(ip(VIP), ip(SOURCE), Expected::Echo { id: 0x1234 });
        assert!(passes(&program, &v4(VIP, SOURCE, 1, 0, &[0, 0, 0, 0, 0x12, 0x34])));
        assert!(!passes(&program, &v4(VIP, SOURCE, 1, 0, &[8, 0, 0, 0, 0x12, 0x34])), "a request");
        assert!(!passes(&program, &v4(VIP, SOURCE, 1, 0, &[0, 0, 0, 0, 0x12, 0x35])));
    }

    #[test]
    fn ipv6_answers_are_told_alike() {
        let tcp = program(ip(VIP6), ip(SOURCE6), Expected::Tcp { from: 80, to: 40_000 });
        assert!(passes(&tcp, &v6(VIP6, SOURCE6, 6, &PORTS)));
        assert!(!passes(&tcp, &v6(VIP6, SOURCE6, 17, &PORTS)));
        assert!(!passes(&tcp, &v6(VIP6, SOURCE6, 6, &OTHER_PORTS)));
        assert!(!passes(&tcp, &v6("2001:db8:1::100", SOURCE6, 6, &PORTS)));
        assert!(!passes(&tcp, &v6(VIP6, "2001:db8::3", 6, &PORTS)));
        let udp = program(ip(VIP6), ip(SOURCE6), Expected::Udp { from: 80, to: 40_000 });
        assert!(passes(&udp, &v6(VIP6, SOURCE6, 17, &PORTS)));
        assert!(passes(&udp, &v6(VIP6, SOURCE6, 58, &[1, 4, 0, 0])));
        let echo = program(ip(VIP6), ip(SOURCE6), Expected::Echo { id: 0x1234 });
        assert!(passes(&echo, &v6(VIP6, SOURCE6, 58, &[129, 0, 0, 0, 0x12, 0x34])));
        assert!(!passes(&echo, &v6(VIP6, SOURCE6, 58, &[128, 0, 0, 0, 0x12, 0x34])));
    }

    #[test]
    fn nothing_passes_nothing() {
        assert!(!passes(&nothing(), &v4(VIP, SOURCE, 6, 0, &PORTS)));
    }
}
