//! The network that most tests want: a client, a load balancer and real servers, ready for DSR and tunnels.
//!
//! ```text
//! one arm                                     two arms
//!
//! client ── switch ── lb                      client eth0 ───── eth0 lb
//!             │                               client eth1 ┐     eth1 lb
//!             ├── real-1                                switch ──┘
//!             └── real-2 ...                     real-1 ──┴── real-2 ...
//! ```
//!
//! With one arm the balancer sends out of the interface that it receives on; with two it redirects to another, and
//! the real servers answer the client's second interface. Each real server holds every VIP on its loopback without
//! answering for it, and takes tunnelled packets by the `decap` program.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use anyhow::Result;

use crate::binaries;
use crate::namespace::{Namespace, connect};
use crate::run::Run;

/// Bytes of the largest IP packet that a veth with native XDP carries.
pub const MAX_MTU: u32 = 3506;

/// The bridge that the real servers are on.
const BRIDGE: &str = "br0";
const INNER_V4: [u8; 3] = [192, 0, 2];
const OUTER_V4: [u8; 3] = [198, 51, 100];
const INNER_V6: [u16; 4] = [0x2001, 0xdb8, 0, 0];
const OUTER_V6: [u16; 4] = [0x2001, 0xdb8, 1, 0];
pub(crate) const LB_HOST: u8 = 2;
pub(crate) const CLIENT_HOST: u8 = 10;
pub(crate) const FIRST_REAL_HOST: u8 = 21;
pub(crate) const FIRST_VIP_HOST: u8 = 101;

/// Where the balancer's traffic comes in and goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One interface, `eth0`, for both.
    OneArm,
    /// `eth0` towards the client, `eth1` towards the real servers.
    TwoArm,
}

/// What network to build.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the balancer stands.
    pub shape: Shape,
    /// How many real servers, at most 80.
    pub reals: u8,
    /// How many VIPs of each address family, at most 100.
    pub vips: u8,
    /// The client's MTU in bytes.
    pub client_mtu: u32,
    /// The MTU in bytes between balancer and real servers (with one arm of the balancer's and their interfaces). Above the
    /// client's by an outer header, it lets full-sized packets through a tunnel. At most [`MAX_MTU`].
    pub fabric_mtu: u32,
}

impl Default for Plan {
    fn default() -> Self {
        Plan { shape: Shape::OneArm, reals: 3, vips: 2, client_mtu: 1500, fabric_mtu: 1500 }
    }
}

impl Plan {
    /// The addresses of the client that the VIPs are asked from: IPv4, IPv6.
    pub fn client_addresses(&self) -> [IpAddr; 2] {
        self.front(CLIENT_HOST)
    }

    /// The balancer's own addresses on `eth0`: IPv4, IPv6.
    pub fn lb_addresses(&self) -> [IpAddr; 2] {
        self.front(LB_HOST)
    }

    /// The balancer's own addresses towards the real servers: IPv4, IPv6.
    pub fn lb_inner_addresses(&self) -> [IpAddr; 2] {
        inner(LB_HOST)
    }

    /// The addresses of a real server, counted from 0: IPv4, IPv6.
    pub fn real_addresses(&self, index: u8) -> [IpAddr; 2] {
        inner(FIRST_REAL_HOST + index)
    }

    /// The addresses of a VIP, counted from 0: IPv4, IPv6.
    pub fn vip_addresses(&self, index: u8) -> [IpAddr; 2] {
        self.front(FIRST_VIP_HOST + index)
    }

    /// Every VIP of both families.
    pub fn vips(&self) -> impl Iterator<Item = IpAddr> {
        (0..self.vips).flat_map(|index| self.vip_addresses(index))
    }

    /// The balancer's interface towards the real servers.
    pub fn lb_inner_interface(&self) -> &'static str {
        match self.shape {
            Shape::OneArm => "eth0",
            Shape::TwoArm => "eth1",
        }
    }

    /// Addresses on the side that clients and VIPs are on.
    fn front(&self, host: u8) -> [IpAddr; 2] {
        match self.shape {
            Shape::OneArm => inner(host),
            Shape::TwoArm => addresses(OUTER_V4, OUTER_V6, host),
        }
    }
}

/// A built network. Dropped, all of it goes away. Field order is drop order.
#[derive(Debug)]
pub struct Network {
    /// Where the clients are.
    pub client: Namespace,
    /// Where `lbd` runs. Its interfaces are `eth0` and, with two arms, `eth1`.
    pub lb: Namespace,
    /// Where the real servers are, `real-1` first.
    pub reals: Vec<Namespace>,
    /// The bridge that connects them; its ports bear the names of what they lead to.
    pub switch: Namespace,
    /// The plan it was built by.
    pub plan: Plan,
    /// Names and files of this run.
    pub run: Run,
}

impl Network {
    /// Builds the network.
    pub fn build(plan: Plan) -> Result<Network> {
        let run = Run::start()?;
        let reals = (1..=plan.reals).map(|n| Namespace::new(&run, &format!("real-{n}"))).collect::<Result<_>>()?;
        let network = Network {
            client: Namespace::new(&run, "client")?,
            lb: Namespace::new(&run, "lb")?,
            reals,
            switch: Namespace::new(&run, "switch")?,
            plan,
            run,
        };
        network.wire()?;
        Ok(network)
    }

    fn wire(&self) -> Result<()> {
        add_bridge(&self.switch, BRIDGE, self.plan.fabric_mtu)?;
        self.wire_lb()?;
        self.wire_client()?;
        for index in 0..self.plan.reals {
            self.wire_real(index)?;
        }
        Ok(())
    }

    /// Connects the balancer, with all its addresses: also anew, after its interface has gone.
    pub fn wire_lb(&self) -> Result<()> {
        let inner_interface = self.plan.lb_inner_interface();
        self.plug(&self.lb, inner_interface, "lb", self.plan.fabric_mtu)?;
        // What the balancer sends out of its veth arrives only where the far end has a program too.
        self.switch.attach_xdp("lb", &lab_object()?, "pass_all")?;
        self.switch.full_checksums("lb")?;
        if self.plan.shape == Shape::TwoArm {
            connect(&self.lb, "eth0", &self.client, "eth0")?;
            self.lb.set_mtu("eth0", self.plan.client_mtu)?;
            self.lb.up("eth0")?;
            add_both(&self.lb, inner_interface, inner(LB_HOST))?;
        }
        add_both(&self.lb, "eth0", self.plan.lb_addresses())?;
        for vip in self.plan.vips() {
            self.lb.add_address("eth0", vip, full_length(vip))?;
        }
        Ok(())
    }

    fn wire_client(&self) -> Result<()> {
        self.client.sysctl("net/ipv4/tcp_tw_reuse", "1")?;
        self.client.sysctl("net/ipv4/ip_local_port_range", "1024 65000")?;
        ignore_reverse_path(&self.client)?;
        match self.plan.shape {
            Shape::OneArm => self.plug(&self.client, "eth0", "client", self.plan.client_mtu)?,
            Shape::TwoArm => {
                self.client.set_mtu("eth0", self.plan.client_mtu)?;
                self.client.attach_xdp("eth0", &lab_object()?, "pass_all")?;
                self.client.full_checksums("eth0")?;
                self.client.up("eth0")?;
                self.plug(&self.client, "eth1", "client", self.plan.client_mtu)?;
                add_both(&self.client, "eth1", inner(CLIENT_HOST))?;
            }
        }
        add_both(&self.client, "eth0", self.plan.client_addresses())
    }

    fn wire_real(&self, index: u8) -> Result<()> {
        let real = &self.reals[usize::from(index)];
        ignore_reverse_path(real)?;
        keep_vips_quiet(real)?;
        self.plug(real, "eth0", &format!("real-{}", index + 1), self.plan.fabric_mtu)?;
        real.attach_xdp("eth0", &lab_object()?, "decap")?;
        add_both(real, "eth0", self.plan.real_addresses(index))?;
        for vip in self.plan.vips() {
            real.add_address("lo", vip, full_length(vip))?;
        }
        if self.plan.shape == Shape::TwoArm {
            for (target, via) in self.plan.client_addresses().into_iter().zip(inner(CLIENT_HOST)) {
                real.ip(&format!("route add {target} via {via}"))?;
            }
        }
        Ok(())
    }

    /// Makes the balancer the router between the client and the real servers, which have no VIPs any more and take no tunnelled
    /// packets: a network for NAT, with two arms.
    pub fn route_through_lb(&self) -> Result<()> {
        self.lb.sysctl("net/ipv4/ip_forward", "1")?;
        self.lb.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        self.client.ip("link set dev eth1 down")?;
        for real in &self.reals {
            real.detach_xdp("eth0")?;
            for vip in self.plan.vips() {
                real.ip(&format!("address del {vip}/{} dev lo", full_length(vip)))?;
            }
            for (client, gateway) in self.plan.client_addresses().into_iter().zip(self.plan.lb_inner_addresses()) {
                real.ip(&format!("route del {client}"))?;
                let family = if gateway.is_ipv4() { "-4" } else { "-6" };
                real.ip(&format!("{family} route add default via {gateway}"))?;
            }
        }
        Ok(())
    }

    /// Connects an interface of a namespace to the switch's port of the given name, and brings both up.
    pub fn plug(&self, namespace: &Namespace, interface: &str, port: &str, mtu: u32) -> Result<()> {
        plug_into(&self.switch, BRIDGE, namespace, interface, port, mtu)
    }
}

/// Makes a bridge that forwards at once.
pub(crate) fn add_bridge(switch: &Namespace, bridge: &str, mtu: u32) -> Result<()> {
    switch.ip(&format!("link add name {bridge} type bridge"))?;
    switch.ip(&format!("link set dev {bridge} type bridge mcast_snooping 0"))?;
    switch.set_mtu(bridge, mtu)?;
    switch.up(bridge)
}

/// Connects an interface of a namespace to a bridge's port of the given name, and brings both up.
pub(crate) fn plug_into(
    switch: &Namespace,
    bridge: &str,
    namespace: &Namespace,
    interface: &str,
    port: &str,
    mtu: u32,
) -> Result<()> {
    connect(namespace, interface, switch, port)?;
    namespace.set_mtu(interface, mtu)?;
    switch.set_mtu(port, mtu)?;
    switch.ip(&format!("link set dev {port} master {bridge}"))?;
    switch.up(port)?;
    namespace.up(interface)
}

/// A real server holds the VIPs without answering for them.
pub(crate) fn keep_vips_quiet(real: &Namespace) -> Result<()> {
    for place in ["all", "default"] {
        real.sysctl(&format!("net/ipv4/conf/{place}/arp_ignore"), "1")?;
        real.sysctl(&format!("net/ipv4/conf/{place}/arp_announce"), "2")?;
    }
    Ok(())
}

fn lab_object() -> Result<PathBuf> {
    binaries::lab_object()
}

pub(crate) fn inner(host: u8) -> [IpAddr; 2] {
    addresses(INNER_V4, INNER_V6, host)
}

pub(crate) fn addresses(v4: [u8; 3], v6: [u16; 4], host: u8) -> [IpAddr; 2] {
    let [a, b, c, d] = v6;
    [Ipv4Addr::new(v4[0], v4[1], v4[2], host).into(), Ipv6Addr::new(a, b, c, d, 0, 0, 0, host.into()).into()]
}

pub(crate) fn add_both(namespace: &Namespace, interface: &str, addresses: [IpAddr; 2]) -> Result<()> {
    for address in addresses {
        namespace.add_address(interface, address, if address.is_ipv4() { 24 } else { 64 })?;
    }
    Ok(())
}

pub(crate) fn full_length(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Answers do not come back the way that the requests went.
pub(crate) fn ignore_reverse_path(namespace: &Namespace) -> Result<()> {
    namespace.sysctl("net/ipv4/conf/all/rp_filter", "0")?;
    namespace.sysctl("net/ipv4/conf/default/rp_filter", "0")
}
