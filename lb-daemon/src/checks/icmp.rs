//! An ICMP echo to a real's own address, by a ping socket where the host allows one, else by a raw one.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, Ipv4Packet};
use socket2::{Domain, Protocol, Socket, Type};

use super::probe::{Failure, TimeLimit};
use super::socket::PacketSocket;
use crate::source;

/// Bytes of the largest answer that is looked at whole.
const MAX_ANSWER: usize = 2048;

/// An echo request and the mark by which its answer is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Echo {
    /// The identifier. A ping socket puts its own in its place.
    pub(super) id: u16,
    /// The sequence number.
    pub(super) sequence: u16,
    mark: [u8; 8],
}

impl Echo {
    /// One that nobody can guess.
    pub(super) fn random() -> Self {
        let random = random();
        let [a, b, c, d, ..] = random.to_be_bytes();
        Self { id: u16::from_be_bytes([a, b]), sequence: u16::from_be_bytes([c, d]), mark: random.to_le_bytes() }
    }

    /// The request as an ICMP message for IPv4.
    pub(super) fn message_v4(&self) -> Vec<u8> {
        let request = Icmpv4Repr::EchoRequest { ident: self.id, seq_no: self.sequence, data: &self.mark };
        let mut message = vec![0; request.buffer_len()];
        request.emit(&mut Icmpv4Packet::new_unchecked(&mut message[..]), &ChecksumCapabilities::default());
        message
    }

    /// The request as an ICMP message for IPv6.
    pub(super) fn message_v6(&self, from: std::net::Ipv6Addr, to: std::net::Ipv6Addr) -> Vec<u8> {
        let request = Icmpv6Repr::EchoRequest { ident: self.id, seq_no: self.sequence, data: &self.mark };
        let mut message = vec![0; request.buffer_len()];
        let mut packet = Icmpv6Packet::new_unchecked(&mut message[..]);
        request.emit(&from, &to, &mut packet, &ChecksumCapabilities::default());
        message
    }

    /// Whether an ICMP message of the family is the answer. `any_id`: a socket has put an identifier of its own in the request.
    pub(super) fn is_answered_by(&self, message: &[u8], v4: bool, any_id: bool) -> bool {
        let ignored = ChecksumCapabilities::ignored();
        let (id, sequence, data) = if v4 {
            let packet = Icmpv4Packet::new_unchecked(message);
            let Ok(Icmpv4Repr::EchoReply { ident, seq_no, data }) = Icmpv4Repr::parse(&packet, &ignored) else {
                return false;
            };
            (ident, seq_no, data)
        } else {
            let packet = Icmpv6Packet::new_unchecked(message);
            // The addresses are of use for the checksum only.
            let any = std::net::Ipv6Addr::UNSPECIFIED;
            let Ok(Icmpv6Repr::EchoReply { ident, seq_no, data }) = Icmpv6Repr::parse(&any, &any, &packet, &ignored)
            else {
                return false;
            };
            (ident, seq_no, data)
        };
        (any_id || id == self.id) && sequence == self.sequence && data == self.mark
    }
}

/// A number that other machines cannot guess.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// Asks `address` for an echo.
pub(super) async fn echo(address: IpAddr, limit: TimeLimit) -> Result<(), Failure> {
    let echo = async { exchange(address).await.map_err(|error| Failure::io(&error)) };
    limit.bound("echo", echo).await
}

async fn exchange(address: IpAddr) -> io::Result<()> {
    let (socket, raw) = open(address)?;
    socket.bind(&source::towards(address).into())?;
    // Connected, it is told of ICMP errors, and hears this address only.
    socket.connect(&SocketAddr::new(address, 0).into())?;
    let mut socket = PacketSocket::new(socket, MAX_ANSWER)?;
    let echo = Echo::random();
    let message = match address {
        IpAddr::V4(_) => echo.message_v4(),
        // The kernel writes the checksum.
        IpAddr::V6(to) => echo.message_v6(to, to),
    };
    socket.send(&message)?;
    loop {
        let answer = socket.receive().await?;
        let with_header = raw && address.is_ipv4();
        let message = if with_header { payload(&answer) } else { Some(&answer[..]) };
        if message.is_some_and(|message| echo.is_answered_by(message, address.is_ipv4(), !raw)) {
            return Ok(());
        }
    }
}

/// A socket for echoes, and whether it is a raw one.
fn open(address: IpAddr) -> io::Result<(Socket, bool)> {
    let (domain, protocol) = match address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let open = |kind: Type| Socket::new(domain, kind.nonblocking(), Some(protocol));
    match open(Type::DGRAM) {
        // net.ipv4.ping_group_range leaves this process out.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok((open(Type::RAW)?, true)),
        socket => Ok((socket?, false)),
    }
}

/// What an IPv4 packet carries.
fn payload(packet: &[u8]) -> Option<&[u8]> {
    let header = Ipv4Packet::new_checked(packet).ok()?.header_len();
    packet.get(usize::from(header)..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_known_by_identifier_sequence_and_mark() {
        let echo = Echo { id: 7, sequence: 9, mark: *b"understu" };
        let reply = |ident, seq_no, data: &[u8]| {
            let reply = Icmpv4Repr::EchoReply { ident, seq_no, data };
            let mut message = vec![0; reply.buffer_len()];
            reply.emit(&mut Icmpv4Packet::new_unchecked(&mut message[..]), &ChecksumCapabilities::default());
            message
        };
        assert!(echo.is_answered_by(&reply(7, 9, b"understu"), true, false));
        assert!(!echo.is_answered_by(&reply(8, 9, b"understu"), true, false));
        assert!(echo.is_answered_by(&reply(8, 9, b"understu"), true, true));
        assert!(!echo.is_answered_by(&reply(7, 8, b"understu"), true, true));
        assert!(!echo.is_answered_by(&reply(7, 9, b"understudy"), true, true));
        assert!(!echo.is_answered_by(&echo.message_v4(), true, true), "a request is no answer");
        assert!(!echo.is_answered_by(&reply(7, 9, b"understu"), false, true), "of the other family");
        assert!((0..16).all(|length| !echo.is_answered_by(&reply(7, 9, b"understu")[..length], true, true)));
    }
}
