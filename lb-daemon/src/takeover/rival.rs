//! What an owner does about a host that claims one of its VIPs: it names the host, and announces the VIP again, but not faster
//! than the limit, so that two that are both sure of themselves fill no link.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::frames::{Claim, Mac, text};

/// Between two answers to rivals of one VIP.
const DEFENCE_INTERVAL: Duration = Duration::from_millis(250);
/// A rival that has been silent for so long is gone.
const QUIET: Duration = Duration::from_secs(60);

/// Those who claim VIPs of an owner: the last one of each VIP.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    by_vip: BTreeMap<IpAddr, Rival>,
}

#[derive(Clone, Copy, Debug)]
struct Rival {
    mac: Mac,
    heard: Instant,
    answered: Instant,
}

impl Rivals {
    /// A claim that is not this node's own was heard. Returns whether to announce the VIP now.
    pub(super) fn hear(&mut self, claim: Claim, now: Instant) -> bool {
        let before = self.by_vip.get(&claim.address).map(|rival| rival.answered);
        let is_due = before.is_none_or(|answered| now.duration_since(answered) >= DEFENCE_INTERVAL);
        let answered = if is_due { now } else { before.unwrap_or(now) };
        self.by_vip.insert(claim.address, Rival { mac: claim.mac, heard: now, answered });
        is_due
    }

    /// Forgets those that have been silent for long.
    pub(super) fn forget_silent(&mut self, now: Instant) {
        self.by_vip.retain(|_, rival| now.duration_since(rival.heard) < QUIET);
    }

    /// Forgets all: this node owns nothing.
    pub(super) fn clear(&mut self) {
        self.by_vip.clear();
    }

    /// Who claims what; none when nobody does.
    pub(super) fn describe(&self) -> Option<String> {
        let claims = self.by_vip.iter().map(|(vip, rival)| format!("{} claims {vip}", text(rival.mac)));
        let claims: Vec<String> = claims.collect();
        (!claims.is_empty()).then(|| {
            format!(
                "another host has the same address: {}; it is announced again. Find the host by its MAC \
                 (a real server with a VIP on its loopback needs arp_ignore=1 and arp_announce=2)",
                claims.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(vip: &str, last: u8) -> Claim {
        Claim { address: vip.parse().unwrap(), mac: [2, 0, 0, 0, 0, last] }
    }

    #[test]
    fn a_rival_is_answered_at_once_and_then_at_a_bounded_rate() {
        let mut rivals = Rivals::default();
        let begun = Instant::now();
        let answers = (0..1000).filter(|ms| {
            let now = begun + Duration::from_millis(*ms);
            rivals.hear(claim("192.0.2.101", 9), now)
        });
        assert_eq!(answers.collect::<Vec<_>>(), [0, 250, 500, 750]);
        assert!(rivals.hear(claim("192.0.2.102", 9), begun), "each VIP is defended for itself");
    }

    #[test]
    fn a_rival_is_named_until_it_has_been_silent() {
        let mut rivals = Rivals::default();
        let begun = Instant::now();
        assert_eq!(rivals.describe(), None);
        rivals.hear(claim("192.0.2.101", 9), begun);
        let told = rivals.describe().unwrap();
        assert!(told.contains("02:00:00:00:00:09 claims 192.0.2.101"), "{told}");
        rivals.forget_silent(begun + QUIET - Duration::from_secs(1));
        assert!(rivals.describe().is_some());
        rivals.forget_silent(begun + QUIET);
        assert_eq!(rivals.describe(), None);
    }
}
