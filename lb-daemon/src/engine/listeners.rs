//! What the daemon listens on beside its socket: where that fails it is a trouble as others are.

use std::net::SocketAddr;

use super::Engine;

impl Engine {
    /// Notes whether the status page is served at an address; `problem` says why not.
    pub fn note_http(&mut self, address: SocketAddr, problem: Option<String>) {
        let subject = format!("http {address}");
        match problem {
            Some(problem) => self.troubles.warning(subject, problem),
            None => self.troubles.clear(&subject),
        }
    }
}
