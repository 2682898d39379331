//! Whether this host forwards packets that come in by an interface. Without it the kernel names no way for the replies of services in
//! `nat` mode. Nothing is set here: that is the operator's.

use std::fs;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: std::net::IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// As people write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// What the kernel does with packets that come in by an interface and are for others; none where it does not say.
#[must_use]
pub fn is_on(interface: &str, family: Family) -> Option<bool> {
    let value = fs::read_to_string(format!("/proc/sys/{}", setting(interface, family))).ok()?;
    Some(value.trim() != "0")
}

/// What turns it on, in a shell.
#[must_use]
pub fn fix(interface: &str, family: Family) -> String {
    format!("sysctl -w {}=1, and the same in /etc/sysctl.d for good", setting(interface, family))
}

/// With slashes, since names of interfaces have dots.
fn setting(interface: &str, family: Family) -> String {
    let family = match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    };
    format!("net/{family}/conf/{interface}/forwarding")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_it_of_the_interfaces_that_there_are() {
        assert!(is_on("lo", Family::V4).is_some());
        assert_eq!(is_on("no-such-if", Family::V6), None);
        assert!(fix("eth0.5", Family::V6).starts_with("sysctl -w net/ipv6/conf/eth0.5/forwarding=1"));
    }
}
