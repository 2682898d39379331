//! Next hops of replies to clients, which nobody looks for until the program finds one missing: it drops the packet and says which, and
//! the kernel is asked here to find it. The sender's repetition gets through.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use lb_core::rows::address_of;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::decide::NeighbourKey;
use super::kernel::{Kernel, KernelError};
use crate::dataplane::WantedNeighbours;

/// Most neighbours that the kernel is asked for in a [`PERIOD`]. A flood from addresses that nobody has wants one after the other.
const MAX_ASKED: usize = 256;
const PERIOD: Duration = Duration::from_secs(1);
/// From one look at what is wanted to the next, at least.
const PAUSE: Duration = Duration::from_millis(5);

/// Has the kernel find the neighbours that the program wants, for as long as it is polled. A refusal is logged once, until the kernel has
/// taken a request again.
pub async fn find_wanted(wanted: WantedNeighbours) {
    // SAFETY: `WantedNeighbours` keeps its one descriptor open, and the same, for as long as it lives.
    let mut wanted = match unsafe { AsyncFd::register_with_interest(wanted, Interest::READABLE) } {
        Ok(wanted) => wanted,
        Err(error) => return warn!("cannot wait for neighbours that replies want, which stay unknown: {error}"),
    };
    let mut finder = Finder { kernel: None, is_refused: false };
    let mut round = Round::begin(Instant::now());
    let mut is_more = false;
    loop {
        if !is_more {
            match wanted.readable_mut().await {
                Ok(mut ready) => ready.clear_ready(),
                Err(error) => {
                    return warn!("cannot wait for neighbours that replies want, which stay unknown: {error}");
                }
            }
        }
        let (mut keys, now) = (Vec::new(), Instant::now());
        is_more = wanted.get_mut().drain(|neighbour| {
            let address = address_of(&neighbour.address, neighbour.family);
            let key = address.map(|address| NeighbourKey { ifindex: neighbour.ifindex, address });
            keys.extend(key.filter(|key| round.takes(*key, now)));
        });
        for key in keys {
            finder.find(key).await;
        }
        sleep(PAUSE).await;
    }
}

/// Asks the kernel, over a socket that is opened when it is needed.
struct Finder {
    kernel: Option<Kernel>,
    is_refused: bool,
}

impl Finder {
    async fn find(&mut self, key: NeighbourKey) {
        match self.ask(key).await {
            Ok(()) => self.is_refused = false,
            Err(error) if self.is_refused => debug!("neighbour {} is not asked for: {error}", key.address),
            Err(error) => {
                self.is_refused = true;
                warn!("neighbour {}, to which a reply was to go, is not asked for: {error}", key.address);
            }
        }
    }

    async fn ask(&mut self, key: NeighbourKey) -> Result<(), KernelError> {
        let kernel = match self.kernel.take() {
            Some(kernel) => kernel,
            None => Kernel::connect().map_err(|source| KernelError::Refused { request: "netlink socket", source })?,
        };
        let asked = kernel.ask(key).await;
        if !matches!(asked, Err(KernelError::Lost { .. })) {
            self.kernel = Some(kernel);
        }
        asked
    }
}

/// Who has been asked for in the current [`PERIOD`].
struct Round {
    began: Instant,
    asked: HashSet<NeighbourKey>,
}

impl Round {
    fn begin(now: Instant) -> Self {
        Self { began: now, asked: HashSet::new() }
    }

    /// Whether a neighbour is to be asked for now: each once in a period, and not too many.
    fn takes(&mut self, key: NeighbourKey, now: Instant) -> bool {
        if now.saturating_duration_since(self.began) >= PERIOD {
            *self = Self::begin(now);
        }
        self.asked.len() < MAX_ASKED && self.asked.insert(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> NeighbourKey {
        NeighbourKey { ifindex: 2, address: std::net::Ipv4Addr::from_bits(0xc612_0000 + number).into() }
    }

    #[test]
    fn each_neighbour_is_asked_for_once_in_a_while_and_not_too_many_are() {
        let start = Instant::now();
        let mut round = Round::begin(start);
        let mut takes = |number, after_ms| round.takes(key(number), start + Duration::from_millis(after_ms));
        assert!(takes(0, 0) && !takes(0, 999) && takes(0, 1_000));
        let taken = (0..2 * MAX_ASKED as u32).filter(|number| takes(*number, 1_500)).count();
        assert_eq!(taken, MAX_ASKED - 1, "one was asked for before");
        assert!(takes(5_000, 2_000));
    }
}
