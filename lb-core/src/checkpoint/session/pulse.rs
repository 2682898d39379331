//! When to say that one lives, and when to give up a peer that does not.

use super::{HANDSHAKE_TIMEOUT_US, PING_INTERVAL_US, SILENCE_US, SessionError};
use crate::pair::Micros;

/// The signs of life of one end.
#[derive(Debug)]
pub(super) struct Pulse {
    began: Micros,
    heard: Micros,
    sent: Micros,
}

impl Pulse {
    pub(super) fn new(now: Micros) -> Self {
        Self { began: now, heard: now, sent: now }
    }

    pub(super) fn heard(&mut self, now: Micros) {
        self.heard = now;
    }

    pub(super) fn sent(&mut self, now: Micros) {
        self.sent = now;
    }

    /// Whether a ping is due.
    pub(super) fn tick(&mut self, is_open: bool, now: Micros) -> Result<bool, SessionError> {
        if !is_open {
            let is_over = now >= self.began + HANDSHAKE_TIMEOUT_US;
            return if is_over { Err(SessionError::Handshake) } else { Ok(false) };
        }
        if now >= self.heard + SILENCE_US {
            return Err(SessionError::Silent((now - self.heard) / 1_000));
        }
        let is_due = now >= self.sent + PING_INTERVAL_US;
        if is_due {
            self.sent = now;
        }
        Ok(is_due)
    }

    pub(super) fn next(&self, is_open: bool) -> Micros {
        if is_open {
            (self.heard + SILENCE_US).min(self.sent + PING_INTERVAL_US)
        } else {
            self.began + HANDSHAKE_TIMEOUT_US
        }
    }
}
