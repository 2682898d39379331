//! Whether a server that seems to be on the link is behind a box that passes packets on: its answers have come one hop further
//! than a neighbour's would.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_millis(700);
/// What hosts begin with.
const FIRST_TTLS: [u8; 4] = [32, 64, 128, 255];
/// Packets of other connections that are passed over.
const MAX_PACKETS: usize = 256;
/// Bytes of a packet that are looked at.
const HEADERS: usize = 128;
/// Where a TTL is in an IPv4 header.
const TTL: usize = 8;

/// Connects and looks at the answer. False where that cannot be told.
pub(super) async fn is_behind(server: SocketAddr) -> bool {
    let looked = tokio::task::spawn_blocking(move || ttl_of(server)).await;
    looked.ok().flatten().is_some_and(|ttl| !FIRST_TTLS.contains(&ttl))
}

/// The TTL of the answer to a SYN.
fn ttl_of(server: SocketAddr) -> Option<u8> {
    // An IPv6 address has no NAT before it, as a rule, and a raw socket shows no header.
    let IpAddr::V4(_) = server.ip() else { return None };
    let mut raw = Socket::new(Domain::IPV4, Type::RAW.nonblocking(), Some(Protocol::TCP)).ok()?;
    raw.connect(&SocketAddr::new(server.ip(), 0).into()).ok()?;
    let connection = TcpStream::connect_timeout(&server, PATIENCE).ok()?;
    let local = connection.local_addr().ok()?.port();
    let mut packet = [0; HEADERS];
    for _ in 0..MAX_PACKETS {
        let length = raw.read(&mut packet).ok()?;
        if is_between(packet.get(..length)?, server.port(), local) {
            return packet.get(TTL).copied();
        }
    }
    None
}

fn is_between(packet: &[u8], from: u16, to: u16) -> bool {
    let Some(first) = packet.first() else { return false };
    let header = usize::from(first & 0x0f) * 4;
    let Some(&[a, b, c, d]) = packet.get(header..header + 4) else { return false };
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])) == (from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_other_connections_are_told_apart() {
        let mut packet = [0; 40];
        packet[0] = 0x45;
        packet[20..24].copy_from_slice(&[0, 80, 0x1f, 0x90]);
        assert!(is_between(&packet, 80, 8080));
        assert!(!is_between(&packet, 80, 8081) && !is_between(&packet, 81, 8080));
        assert!(!is_between(&packet[..22], 80, 8080) && !is_between(&[], 80, 8080));
    }
}
