//! What a host is like at one moment, as far as it matters for a load balancer, and how that is found out. The findings are
//! made of it and of nothing else, so that tests can have hosts of their own.

mod clock;
mod disk;
mod ethtool;
mod kernel;
mod links;
mod listeners;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::config::{Config, Way};
use crate::forwarding::Family;
use crate::{preflight, source};

pub(crate) use clock::StartClock;

/// A host.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) kernel: Kernel,
    /// Its interfaces; none where they cannot be listed.
    pub(super) links: Vec<Link>,
    /// Its IPv4 networks: an address of each, and the mask.
    pub(super) networks: Vec<(Ipv4Addr, Ipv4Addr)>,
    pub(super) clock: Clock,
    /// The directories that `lbd` writes to.
    pub(super) disks: Vec<Disk>,
    /// Where programs of this host wait for packets.
    pub(super) listeners: Vec<Listener>,
    /// By which interface the routes lead to a peer's address.
    pub(super) peer_routes: Vec<(IpAddr, String)>,
}

/// The kernel and what it lets this process do.
#[derive(Clone, Debug, Default)]
pub(super) struct Kernel {
    /// As in `6.1.0-32-amd64`.
    pub(super) release: String,
    /// It has types of its own for programs to be checked against.
    pub(super) btf: bool,
    /// `bpf_jit_enable`; none where it does not say.
    pub(super) jit: Option<u32>,
    /// Capabilities that this process lacks.
    pub(super) missing_capabilities: Vec<&'static str>,
    /// `bpf_dir` is, or would be, on a BPF file system; none where that cannot be told.
    pub(super) bpf_file_system: Option<bool>,
}

/// An interface.
#[derive(Clone, Debug, Default)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) up: bool,
    pub(super) carrier: bool,
    /// Bytes of the largest IP packet.
    pub(super) mtu: u32,
    pub(super) loopback: bool,
    /// The driver's name, where it says.
    pub(super) driver: Option<String>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) xdp: Option<Xdp>,
    /// Received packets are put together before anybody sees them (LRO); none where it does not say.
    pub(super) lro: Option<bool>,
    /// The same by the kernel, after XDP (GRO).
    pub(super) gro: Option<bool>,
    /// Checksums of received packets are looked at by the card.
    pub(super) receive_checksums: Option<bool>,
    /// The value in force: the greater of its own and that of `all`.
    pub(super) rp_filter: u32,
    /// Families of the packets that come in by it and are forwarded.
    pub(super) forwards: Vec<Family>,
}

/// The XDP program of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Xdp {
    pub(super) id: u32,
    /// None where the kernel does not tell.
    pub(super) name: Option<String>,
    /// It runs in the driver.
    pub(super) in_driver: bool,
}

/// The wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// Somebody keeps it right (NTP, PTP); none where the kernel does not say.
    pub(super) synchronised: Option<bool>,
    /// By how many seconds it was set since `lbd` started, forward or back.
    pub(super) stepped_seconds: f64,
}

/// A directory on a disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    /// The configuration's key for it.
    pub(super) key: &'static str,
    pub(super) path: PathBuf,
    /// Bytes that are free.
    pub(super) free: u64,
    /// Milliseconds that a small write took until it was durable; none where it was not tried.
    pub(super) write_ms: Option<f64>,
    /// Why it cannot be used.
    pub(super) error: Option<String>,
}

/// A socket that waits for packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) tcp: bool,
    pub(super) address: SocketAddr,
}

impl Facts {
    /// Looks at this host. `write`: whether a small file may be written to see how fast the disks are.
    pub(super) async fn gather(config: &Config, start: StartClock, write: bool) -> Self {
        let links = links::list().await.unwrap_or_default();
        let settings = config.settings.clone();
        let peers = peer_addresses(config);
        let rest = tokio::task::spawn_blocking(move || Self {
            kernel: Kernel {
                missing_capabilities: preflight::missing(),
                bpf_file_system: kernel::is_bpf_file_system(&settings.bpf_dir),
                ..kernel::look()
            },
            links: Vec::new(),
            networks: links::networks(),
            clock: Clock { synchronised: clock::is_synchronised(), stepped_seconds: start.stepped_seconds() },
            disks: disk::look(&settings, write),
            listeners: listeners::list(),
            peer_routes: Vec::new(),
        });
        let rest = rest.await.unwrap_or_default();
        let peer_routes = peers.into_iter().filter_map(|peer| Some((peer, route(peer, &links)?))).collect();
        Self { links, peer_routes, ..rest }
    }

    pub(super) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// Whether an address is one of a network of this host: no gateway is between.
    pub(super) fn is_on_link(&self, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address else { return false };
        self.networks.iter().any(|(own, mask)| *own & *mask == address & *mask)
    }

    /// The interfaces that have an address.
    pub(super) fn holders(&self, address: IpAddr) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |link| link.addresses.contains(&address))
    }
}

fn peer_addresses(config: &Config) -> Vec<IpAddr> {
    let paths = config.settings.pair.iter().flat_map(|pair| &pair.paths);
    let udp = paths.filter_map(|path| match &path.way {
        Way::Udp(way) => Some(way.peer.ip()),
        Way::Serial(_) => None,
    });
    udp.collect()
}

/// The interface with the address that the routes choose for packets to `peer`.
fn route(peer: IpAddr, links: &[Link]) -> Option<String> {
    let chosen = source::by_routes(peer)?;
    links.iter().find(|link| link.addresses.contains(&chosen)).map(|link| link.name.clone())
}
