//! What IPVS calls persistence and one-packet scheduling, and tunnels by GUE: the same from keepalived and from ipvsadm.

use std::net::{IpAddr, Ipv4Addr};

use lb_core::service::{Affinity, Protocol};

use super::remarks::Remarks;

/// What `service.affinity.timeout` can be, in seconds.
const LONGEST_TIMEOUT: u64 = 24 * 60 * 60;
const MS_PER_SECOND: u64 = 1_000;

/// How a service treats its clients, as IPVS says it, and where.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clients<'a> {
    /// Of a persistent service: its line and how long clients are remembered, in seconds.
    pub(super) timeout: Option<(usize, u64)>,
    /// Its netmask or prefix length, where it has one.
    pub(super) mask: Option<(usize, &'a str)>,
    /// Where it is said that each packet goes by itself.
    pub(super) one_packet: Option<usize>,
}

impl Clients<'_> {
    /// The service's affinity, and whether each packet goes by itself.
    pub(super) fn settle(self, vip: IpAddr, protocol: Protocol, remarks: &mut Remarks) -> (Option<Affinity>, bool) {
        let affinity = self.timeout.map(|(line, seconds)| Affinity {
            prefix: self.prefix(vip, remarks),
            timeout_ms: Some(timeout(line, seconds, remarks) * MS_PER_SECOND),
            group: None,
        });
        if affinity.is_none()
            && let Some((line, _)) = self.mask
        {
            remarks.add(line, "a netmask means nothing without persistence: left out");
        }
        let one_packet = self.one_packet.is_some_and(|line| match (protocol, &affinity) {
            (Protocol::Udp, None) => true,
            (Protocol::Udp, Some(_)) => {
                remarks.add(line, "one packet and persistence contradict each other here: clients stay at their real");
                false
            }
            _ => {
                remarks.add(line, "one packet is for UDP: left out");
                false
            }
        });
        (affinity, one_packet)
    }

    fn prefix(self, vip: IpAddr, remarks: &mut Remarks) -> u8 {
        let bits = if vip.is_ipv4() { 32 } else { 128 };
        let Some((line, text)) = self.mask else { return bits };
        mask(text).filter(|prefix| (1..=bits).contains(prefix)).unwrap_or_else(|| {
            remarks.add(line, "not a netmask of the VIP's family: each address is a client of its own");
            bits
        })
    }
}

/// `255.255.255.0`, or the length of a prefix.
fn mask(text: &str) -> Option<u8> {
    if let Ok(mask) = text.parse::<Ipv4Addr>() {
        let ones = mask.to_bits().leading_ones();
        return (ones + mask.to_bits().trailing_zeros() >= u32::BITS).then_some(ones as u8);
    }
    text.parse().ok()
}

fn timeout(line: usize, seconds: u64, remarks: &mut Remarks) -> u64 {
    if !(1..=LONGEST_TIMEOUT).contains(&seconds) {
        remarks.add(line, "a client is remembered for 1 s to 1 d here");
    }
    seconds.clamp(1, LONGEST_TIMEOUT)
}

/// Notes where reals take tunnels by GUE: all at one port here.
pub(super) fn note_gue_port(noted: &mut Option<u16>, port: u16, line: usize, remarks: &mut Remarks) {
    let known = *noted.get_or_insert(port);
    if known != port {
        remarks.add(line, format!("all reals take GUE at one port here, which is that of the first: {known}"));
    }
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn masks() {
        for (text, prefix) in [("255.255.255.0", Some(24)), ("255.255.255.255", Some(32)), ("64", Some(64))] {
            assert_eq!(mask(text), prefix, "{text}");
        }
        for text in ["255.0.255.0", "x", "-1", "256"] {
            assert_eq!(mask(text), None, "{text}");
        }
    }
}
