//! Probes that are carried to a real as the packets of its service are: addressed to the VIP, and sent to the real's MAC
//! address or in a tunnel; or addressed to the real itself, where the service's packets are so (NAT).
//!
//! The kernel cannot make them: here the VIP may be an address of this very host, and then it would neither send packets
//! for it nor take packets from it. So a small TCP/IP stack in this process does ([`stack`]), over a packet socket
//! ([`wire`]) that hears only the answers to this probe ([`filter`]). A socket of the kernel holds the port meanwhile
//! ([`hold`]), so that nobody else gets it and the kernel refuses no answer.

mod datagram;
mod filter;
mod hold;
mod outer;
mod source;
mod stack;
mod stream;
mod wire;

use std::net::{IpAddr, SocketAddr};

use lb_core::check::Target;
use lb_core::service::{Mode, Protocol};
use lb_core::table::NextHop;

use super::probe::{Failure, Stream, TimeLimit};
use filter::Expected;
use hold::Held;
use outer::Outer;
use stack::Stack;
use stream::CarriedStream;
use wire::Wire;

/// Opens a TCP connection to the VIP.
pub(super) async fn connect(target: &Target, limit: TimeLimit) -> Result<impl Stream + use<>, Failure> {
    let way = Way::of(target)?;
    let held = way.hold(Protocol::Tcp)?;
    let ports = Expected::Tcp { from: target.port, to: held.port() };
    let stack = way.open(ports)?;
    limit.bound("connection", CarriedStream::connect(stack, way.served_at, target.port, held)).await
}

/// Sends a datagram to the VIP and returns the first answer.
pub(super) async fn exchange(target: &Target, send: &[u8], limit: TimeLimit) -> Result<Vec<u8>, Failure> {
    let way = Way::of(target)?;
    let held = way.hold(Protocol::Udp)?;
    let mut stack = way.open(Expected::Udp { from: target.port, to: held.port() })?;
    let to = SocketAddr::new(way.served_at, target.port);
    limit.bound("answer", datagram::exchange(&mut stack, SocketAddr::new(way.source, held.port()), to, send)).await
}

/// Asks the VIP for an echo.
pub(super) async fn echo(target: &Target, limit: TimeLimit) -> Result<(), Failure> {
    let way = Way::of(target)?;
    let echo = super::icmp::Echo::random();
    let mut stack = way.open(Expected::Echo { id: echo.id })?;
    limit.bound("echo", datagram::echo(&mut stack, &echo, way.source, way.served_at)).await
}

/// Between which addresses the probe goes, and by which link.
struct Way {
    source: IpAddr,
    served_at: IpAddr,
    hop: NextHop,
    outer: Option<Outer>,
}

impl Way {
    fn of(target: &Target) -> Result<Self, Failure> {
        let hop = target.next_hop.ok_or_else(|| Failure::new("the next hop to the real is not known"))?;
        let outer = match target.mode {
            Mode::Dsr | Mode::Nat => None,
            Mode::Ipip | Mode::Gue => Some(outer(target, &hop)?),
        };
        Ok(Self { source: source::choose(target, &hop)?, served_at: target.served_at(), hop, outer })
    }

    fn hold(&self, protocol: Protocol) -> Result<Held, Failure> {
        Held::new(protocol, self.source)
            .map_err(|error| Failure::system(&format!("cannot use the source address {}", self.source), &error))
    }

    fn open(&self, expected: Expected) -> Result<Stack, Failure> {
        let filter = filter::program(self.served_at, self.source, expected);
        let wire = Wire::open(&self.hop, self.served_at.is_ipv4(), self.outer, &filter)
            .map_err(|error| Failure::system("cannot open a packet socket", &error))?;
        let mtu = (self.hop.mtu as usize).saturating_sub(self.outer.map_or(0, |outer| outer.length()));
        Stack::new(wire, self.source, mtu).map_err(|error| Failure::system("cannot watch the packet socket", &error))
    }
}

/// The tunnel to a real, as for clients' packets.
fn outer(target: &Target, hop: &NextHop) -> Result<Outer, Failure> {
    let source = target.tunnel.source_to(target.address).map_or(hop.tunnel_source, |prefix| prefix.address());
    let gue_port = (target.mode == Mode::Gue).then_some(target.tunnel.gue_port);
    Outer::new(source, target.address, gue_port)
}
