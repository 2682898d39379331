//! What a host is like, as far as it matters for a real server.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::decap::Decap;

/// The loopback interface.
pub(crate) const LOOPBACK: &str = "lo";
/// The settings that hold for every interface, beside each one's own.
pub(crate) const ALL: &str = "all";
/// The settings that an interface begins with.
pub(crate) const DEFAULT: &str = "default";

/// A host at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) links: Vec<Link>,
    /// The interfaces that default routes go out by, each once.
    pub(crate) default_interfaces: Vec<String>,
    pub(crate) settings: Settings,
    /// `lo` can have IPv6 addresses.
    pub(crate) ipv6: bool,
    /// Of each kernel module that was asked about: why it cannot be loaded, if it cannot.
    pub(crate) modules: BTreeMap<String, Result<(), String>>,
    pub(crate) nft: Nft,
    /// What our program takes out of tunnels, by interface.
    pub(crate) decap: BTreeMap<String, Decap>,
    /// Where TCP connections are accepted.
    pub(crate) listeners: Vec<SocketAddr>,
    /// `udevadm` is there: new interfaces get their settings a moment after they appear.
    pub(crate) udev: bool,
    /// Tells this boot from all others.
    pub(crate) boot: String,
}

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) up: bool,
    /// It answers ARP, as links to other hosts do.
    pub(crate) arp: bool,
    pub(crate) ifindex: u32,
    pub(crate) mtu: u32,
    /// It has an XDP program, whoever's.
    pub(crate) xdp: bool,
    /// What the kernel calls this sort of interface, if it has a word for it: `ipip`, `ip6tnl`, `dummy`...
    pub(crate) kind: Option<String>,
    /// What an `ip6tnl` takes out of its outer header: `ip6ip6`, `ipip6` or `any`.
    pub(crate) tunnel_mode: Option<String>,
    /// With their prefix lengths.
    pub(crate) addresses: Vec<(IpAddr, u8)>,
}

/// A setting that `all` and each interface have for IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Setting {
    ArpIgnore,
    ArpAnnounce,
    RpFilter,
}

impl Setting {
    /// All of them.
    pub(crate) const EACH: [Setting; 3] = [Setting::ArpIgnore, Setting::ArpAnnounce, Setting::RpFilter];

    /// Its name in /proc/sys.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Setting::ArpIgnore => "arp_ignore",
            Setting::ArpAnnounce => "arp_announce",
            Setting::RpFilter => "rp_filter",
        }
    }
}

/// By interface, `all` and `default` among them.
pub(crate) type Settings = BTreeMap<String, BTreeMap<Setting, u32>>;

/// The program that writes firewall tables, and the table that is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Nft {
    /// The program is not installed.
    #[default]
    Missing,
    /// The program cannot do its work, and why.
    Failed(String),
    /// It works. Our table as it lists it, if there is one.
    Works(Option<String>),
}

impl Facts {
    pub(crate) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// A setting's value now. An interface that is not there yet will begin with the default's.
    pub(crate) fn setting(&self, interface: &str, setting: Setting) -> u32 {
        let of = |name: &str| self.settings.get(name)?.get(&setting).copied();
        of(interface).or_else(|| of(DEFAULT)).unwrap_or_default()
    }

    /// Whether any interface has this address.
    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        self.links.iter().any(|link| link.has(address))
    }
}

impl Link {
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|(own, _)| *own == address)
    }
}
