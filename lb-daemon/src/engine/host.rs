//! What the engine needs to know of the host beside the data plane: its interfaces and addresses.

use std::collections::HashSet;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{if_indextoname, if_nametoindex};

use crate::forwarding::{self, Family};

/// The host's interfaces and addresses, as they are now.
pub trait Host: Send {
    /// Index of an interface; none when it does not exist.
    fn interface_index(&self, name: &str) -> Option<u32>;
    /// Name of an interface; none when it does not exist.
    fn interface_name(&self, index: u32) -> Option<String>;
    /// Every address of every interface; none when they cannot be read.
    fn addresses(&self) -> Option<HashSet<IpAddr>>;
    /// Whether packets that come in by an interface, and are for others, are forwarded; none where that cannot be told.
    fn forwards(&self, interface: &str, family: Family) -> Option<bool>;
}

/// The host that this process runs on, in this process's network namespace.
#[derive(Clone, Copy, Debug)]
pub struct Linux;

impl Host for Linux {
    fn interface_index(&self, name: &str) -> Option<u32> {
        if_nametoindex(name).ok()
    }

    fn interface_name(&self, index: u32) -> Option<String> {
        let name = if_indextoname(index).ok()?.into_string().ok()?;
        // For an index that is not there the call may succeed with an empty name.
        (!name.is_empty()).then_some(name)
    }

    fn addresses(&self) -> Option<HashSet<IpAddr>> {
        let address = |storage: nix::sys::socket::SockaddrStorage| {
            let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        };
        Some(getifaddrs().ok()?.filter_map(|entry| entry.address.and_then(address)).collect())
    }

    fn forwards(&self, interface: &str, family: Family) -> Option<bool> {
        forwarding::is_on(interface, family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_known() {
        let index = Linux.interface_index("lo").unwrap();
        assert_eq!(Linux.interface_name(index).as_deref(), Some("lo"));
        assert_eq!(Linux.interface_index("no-such-if"), None);
        assert_eq!(Linux.interface_name(u32::MAX - 1), None);
        assert!(Linux.addresses().is_some());
    }
}
