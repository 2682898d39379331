//! A load balancer that is the test's own socket. It takes in reports as `lbd` does.

use std::net::UdpSocket;

use anyhow::{Context as _, Result};
use lb_core::auth::Keys;
use lb_core::report::{Inbox, MAX_REPORT_SIZE, Report};

use crate::support::LIMIT;

/// The key that it knows.
pub const KEY_1: &str = "1 11111111111111111111111111111111\n";

/// A load balancer that knows `web1`.
pub struct LoadBalancer {
    /// Where reports come in.
    pub socket: UdpSocket,
    /// Takes them in.
    pub inbox: Inbox,
}

impl LoadBalancer {
    /// One that listens at this address.
    pub fn new(address: &str) -> Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(LIMIT))?;
        let mut inbox = Inbox::new(Keys::parse(KEY_1)?, 1_000);
        inbox.set_reals(["web1".to_owned()]);
        Ok(Self { socket, inbox })
    }

    /// The next datagram, taken in.
    pub fn next(&mut self) -> Result<Report> {
        let mut buffer = [0; MAX_REPORT_SIZE + 1];
        let length = self.socket.recv(&mut buffer).context("no report has come")?;
        let taken = self.inbox.receive(&buffer[..length], 0);
        taken.map_err(|refusal| anyhow::anyhow!("the report was refused: {}", refusal.name()))
    }

    /// The next report of which this is true.
    pub fn wait(&mut self, is_so: impl Fn(&Report) -> bool) -> Result<Report> {
        loop {
            let report = self.next()?;
            if is_so(&report) {
                return Ok(report);
            }
        }
    }
}
