//! What a program that runs as a service does: it obeys signals, and tells systemd how it is.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

/// The signals that a service obeys.
#[derive(Debug)]
pub struct Signals {
    /// SIGHUP: read the configuration again.
    pub hangup: Signal,
    /// SIGTERM: stop.
    pub terminate: Signal,
    /// SIGINT: stop.
    pub interrupt: Signal,
}

impl Signals {
    /// Listens for them, from now on. To be called in a tokio runtime.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn new() -> io::Result<Self> {
        let listen = |kind| {
            signal(kind).map_err(|error| io::Error::new(error.kind(), format!("cannot listen for signals: {error}")))
        };
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }
}

/// How a service is, for systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It serves.
    Ready,
    /// It reads its configuration again.
    Reloading,
    /// It ends.
    Stopping,
}

/// How often systemd wants to hear at least that the service lives (`WatchdogSec`); none, where it does not.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Tells systemd that the service lives. Whoever says so must have seen that it does its work.
pub fn notify_alive() {
    if let Err(error) = sd_notify::notify(&[NotifyState::Watchdog]) {
        warn!("systemd could not be told: {error}");
    }
}

/// Tells systemd, if it started us, what `systemctl status` shows of a service beside its phase.
pub fn notify_status(status: &str) {
    if let Err(error) = sd_notify::notify(&[NotifyState::Status(status)]) {
        warn!("systemd could not be told: {error}");
    }
}

/// Tells systemd, if it started us.
pub fn notify(phase: Phase) {
    let told = match phase {
        Phase::Ready => sd_notify::notify(&[NotifyState::Ready]),
        Phase::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
        // systemd wants to know since when; without a clock it goes by when it hears of it.
        Phase::Reloading => match NotifyState::monotonic_usec_now() {
            Ok(now) => sd_notify::notify(&[NotifyState::Reloading, now]),
            Err(_) => sd_notify::notify(&[NotifyState::Reloading]),
        },
    };
    if let Err(error) = told {
        warn!("systemd could not be told: {error}");
    }
}
