//! What the heartbeat thread shows of itself. It is a copy, renewed when something happens and each tenth of a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lb_core::pair::Micros;
use lb_core::pair::view::PairView;
use lb_core::pair::wire::Refusal;

use super::clock;

/// How the pair is, as this node sees it.
#[derive(Clone, Debug)]
pub struct View {
    /// What the node knows.
    pub pair: PairView,
    /// The paths' devices, by path.
    pub devices: Vec<DeviceView>,
}

/// The device of a path.
#[derive(Clone, Debug)]
pub struct DeviceView {
    /// What people call the path: `udp eth1`.
    pub name: String,
    /// Why it cannot be used; none when it can.
    pub unusable: Option<String>,
    /// What has been refused in the last minute and is more than noise; none where nothing was.
    pub refused_lately: Option<Refusal>,
    /// What the node is not told of.
    pub counters: DeviceCounters,
}

/// What has come and gone over a path since the start, and the node is not told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceCounters {
    /// Frames that could not be sent: no device, no buffer, no way.
    pub unsent: u64,
    /// Datagrams that came from beyond the link.
    pub forwarded: u64,
    /// What cannot have been a frame: a datagram too long, bytes between two zeros on a serial line.
    pub garbage: u64,
    /// Frames that were refused, by [`Refusal::NAMES`].
    pub refused: [u64; Refusal::NAMES.len()],
    /// Why the last one was.
    pub last_refusal: Option<Refusal>,
}

impl DeviceCounters {
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.refused[refusal.index()] += 1;
        self.last_refusal = Some(refusal);
    }

    /// Frames that were refused for this reason, by its name.
    #[must_use]
    pub fn refused(&self, name: &str) -> u64 {
        Refusal::NAMES.iter().position(|known| *known == name).map_or(0, |index| self.refused[index])
    }
}

/// Where the thread puts its view for others.
#[derive(Debug)]
pub(super) struct Shared {
    view: Mutex<Arc<View>>,
    /// What the host did not let the thread have.
    handicaps: Mutex<Vec<String>>,
    /// When the thread last came round.
    turned: AtomicU64,
}

impl Shared {
    pub(super) fn new(view: View) -> Self {
        Self { view: Mutex::new(Arc::new(view)), handicaps: Mutex::default(), turned: AtomicU64::new(clock::now()) }
    }

    /// Replaces the view, unless somebody is looking at this instant: the next one comes soon.
    pub(super) fn publish(&self, view: View) {
        if let Ok(mut shown) = self.view.try_lock() {
            *shown = Arc::new(view);
        }
    }

    /// The thread has come round.
    pub(super) fn turn(&self, now: Micros) {
        self.turned.store(now, Ordering::Relaxed);
    }

    /// When it last did.
    pub(super) fn turned(&self) -> Micros {
        self.turned.load(Ordering::Relaxed)
    }

    pub(super) fn view(&self) -> Arc<View> {
        lock(&self.view).clone()
    }

    pub(super) fn set_handicaps(&self, handicaps: Vec<String>) {
        *lock(&self.handicaps) = handicaps;
    }

    pub(super) fn handicaps(&self) -> Vec<String> {
        lock(&self.handicaps).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
