//! Looks, before this node may own a VIP for the first time, whether another host has it: by ARP probes (RFC 5227) and neighbour
//! solicitations (RFC 4862) that claim nothing themselves. While a host answers, this node keeps out, and asks again
//! now and then. A look that has found nobody is good for as long as the peer is heard: a node that is alone looks once more when it is
//! about to take the VIPs.
//!
//! A probe of another host is no answer: the peer looks in the same way when both start together.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::frames::{Claim, Mac, text};

/// How often each VIP is asked for.
const PROBES: u32 = 3;
/// Between two probes, and after the last one. RFC 5227 has one to two seconds, for links of hosts that come and go; here both ends are
/// servers, which answer within a millisecond, and `start_wait` is not to be outlasted.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// How long after a look that found somebody the next one begins.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send a probe for each VIP.
    Probe,
    /// The look is over: who has VIPs, in words; none when nobody has one.
    Found(Option<String>),
}

/// One look after the other, until nobody has a VIP.
#[derive(Debug)]
pub(super) struct Detection {
    sent: u32,
    due: Instant,
    answers: BTreeMap<IpAddr, Mac>,
    /// One look has come to its end.
    has_looked: bool,
    /// It has found nobody, and waits for a reason to look again.
    rests: bool,
}

impl Detection {
    /// The first look begins now.
    pub(super) fn begin(now: Instant) -> Self {
        Self { sent: 0, due: now, answers: BTreeMap::new(), has_looked: false, rests: false }
    }

    /// When the next step is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// The last look has found nobody: there is no other one before [`Detection::begin`], and each step says so again.
    pub(super) fn rest(&mut self) {
        self.rests = true;
    }

    /// Whether it rests.
    pub(super) fn rests(&self) -> bool {
        self.rests
    }

    /// The first look is still under way, and nobody knows yet.
    pub(super) fn is_open(&self) -> bool {
        !self.has_looked
    }

    /// A host says that it has a VIP.
    pub(super) fn hear(&mut self, claim: Claim) {
        self.answers.insert(claim.address, claim.mac);
    }

    /// The next step. After one that has found somebody there is another look.
    pub(super) fn step(&mut self, now: Instant) -> Step {
        if self.rests {
            self.due = now + PROBE_INTERVAL;
            return Step::Found(None);
        }
        if self.sent < PROBES {
            self.sent += 1;
            self.due = now + PROBE_INTERVAL;
            return Step::Probe;
        }
        self.sent = 0;
        self.due = now + LOOK_AGAIN;
        self.has_looked = true;
        let answers = std::mem::take(&mut self.answers);
        Step::Found((!answers.is_empty()).then(|| describe(&answers)))
    }
}

fn describe(answers: &BTreeMap<IpAddr, Mac>) -> String {
    let words: Vec<String> = answers.iter().map(|(vip, mac)| format!("{vip} is at {}", text(*mac))).collect();
    format!("another host has a VIP: {}; take it from that host, and this node joins in", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(detection: &mut Detection) -> Option<String> {
        for _ in 0..PROBES {
            let due = detection.due();
            assert_eq!(detection.step(due), Step::Probe);
        }
        match detection.step(detection.due()) {
            Step::Found(found) => found,
            Step::Probe => panic!("no end"),
        }
    }

    #[test]
    fn it_asks_three_times_and_is_done() {
        let begun = Instant::now();
        let mut detection = Detection::begin(begun);
        assert!(detection.is_open());
        assert_eq!(look(&mut detection), None);
        assert!(!detection.is_open());
        assert_eq!(detection.due() - begun, PROBE_INTERVAL * PROBES + LOOK_AGAIN);
    }

    #[test]
    fn one_that_rests_asks_nobody() {
        let mut detection = Detection::begin(Instant::now());
        look(&mut detection);
        detection.rest();
        let due = detection.due();
        assert_eq!(detection.step(due), Step::Found(None));
        assert!(detection.rests() && !detection.is_open() && detection.due() == due + PROBE_INTERVAL);
    }

    #[test]
    fn who_answers_is_named_and_asked_for_again() {
        let mut detection = Detection::begin(Instant::now());
        detection.hear(Claim { address: "192.0.2.101".parse().unwrap(), mac: [2, 0, 0, 0, 0, 9] });
        let found = look(&mut detection).unwrap();
        assert!(found.contains("192.0.2.101 is at 02:00:00:00:00:09"), "{found}");
        assert_eq!(look(&mut detection), None, "an old answer does not count");
    }
}
