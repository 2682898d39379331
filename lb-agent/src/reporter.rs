//! Sends datagrams to the load balancers. One that cannot be reached is said once, and disturbs no other.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use tracing::{info, warn};

/// So many reports in a row must go out without an error before a load balancer is said to be reachable again: errors come
/// back late, and the kernel limits their rate.
const GOOD_IN_A_ROW: u32 = 10;

/// Whom to tell.
#[derive(Debug)]
pub(crate) struct Reporter {
    peers: Vec<Peer>,
}

#[derive(Debug)]
struct Peer {
    address: SocketAddr,
    /// Connected, so that errors come back.
    socket: Option<UdpSocket>,
    /// How many reports have gone out well since the last error; none while all is well.
    good_since_error: Option<u32>,
}

impl Reporter {
    pub(crate) fn new(load_balancers: &[SocketAddr]) -> Self {
        let peer = |address: &SocketAddr| Peer { address: *address, socket: None, good_since_error: None };
        Self { peers: load_balancers.iter().map(peer).collect() }
    }

    /// Sends to each of them, and never waits.
    pub(crate) fn send(&mut self, datagram: &[u8]) {
        for peer in &mut self.peers {
            let outcome = peer.send(datagram);
            peer.note(outcome);
        }
    }
}

impl Peer {
    /// The kernel tells of an error that an earlier datagram met at the next one, which it then does not send: that one is
    /// sent again. By a new socket, since the host's addresses may have changed.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let outcome = self.send_once(datagram);
        if outcome.is_err() {
            self.socket = None;
            self.send_once(datagram)?;
        }
        outcome
    }

    fn send_once(&mut self, datagram: &[u8]) -> io::Result<()> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => none.insert(connect(self.address)?),
        };
        socket.send(datagram).map(drop)
    }

    fn note(&mut self, outcome: io::Result<()>) {
        match (outcome, self.good_since_error) {
            (Err(error), None) => {
                warn!("reports may not reach the load balancer {}: {error}; does lbd listen there?", self.address);
                self.good_since_error = Some(0);
            }
            (Err(_), Some(_)) => self.good_since_error = Some(0),
            (Ok(()), Some(good)) if good + 1 >= GOOD_IN_A_ROW => {
                info!("reports to the load balancer {} meet no error any more", self.address);
                self.good_since_error = None;
            }
            (Ok(()), Some(good)) => self.good_since_error = Some(good + 1),
            (Ok(()), None) => {}
        }
    }
}

/// A socket that sends to this address only and never waits.
fn connect(address: SocketAddr) -> io::Result<UdpSocket> {
    let any = match address {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Longer than any machine needs; only a failure waits for it.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn listener(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    fn received(socket: &UdpSocket) -> Vec<u8> {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }

    #[test]
    fn all_get_it_of_both_families_though_one_is_closed() {
        let (v4, v6) = (listener("127.0.0.1:0"), listener("[::1]:0"));
        let closed = listener("127.0.0.1:0").local_addr().unwrap();
        let mut reporter = Reporter::new(&[closed, v4.local_addr().unwrap(), v6.local_addr().unwrap()]);
        for number in 0..3 {
            reporter.send(&[number]);
            assert_eq!((received(&v4), received(&v6)), (vec![number], vec![number]));
        }
        assert!(reporter.peers[0].good_since_error.is_some());
        assert!(reporter.peers[1].good_since_error.is_none());
    }

    #[test]
    fn one_that_opens_again_gets_every_report_from_then_on() {
        let first = listener("127.0.0.1:0");
        let address = first.local_addr().unwrap();
        let mut reporter = Reporter::new(&[address]);
        drop(first);
        reporter.send(b"lost");
        let again = listener(&address.to_string());
        for number in 0..GOOD_IN_A_ROW as u8 + 1 {
            reporter.send(&[number]);
            assert_eq!(received(&again), [number], "the error about the lost one costs none");
        }
        assert!(reporter.peers[0].good_since_error.is_none());
    }
}
