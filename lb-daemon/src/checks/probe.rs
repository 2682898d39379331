//! One probe: what is asked, by which way, within which time; and how a failure is put.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lb_core::check::{Kind, Target, Via};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use super::tls::{self, Configs};
use super::{carried, exec, http, icmp, tcp, udp};

/// Most characters of a reason.
const MAX_REASON: usize = 160;

/// Makes the target's check once.
pub(super) async fn probe(target: &Target, configs: &Configs) -> Result<(), Failure> {
    let limit = TimeLimit::begin(target.check.timeout_ms);
    match &target.check.kind {
        Kind::Tcp => connect(target, limit).await.map(drop),
        Kind::Http(http) => http::ask(connect(target, limit).await?, http, asked(target), http::PORT, limit).await,
        Kind::Https(http, tls) => {
            let name = tls::server_name(tls, http, asked(target).ip())?;
            let config = configs.get(tls).await?;
            // What reading the authorities took is not the real's time.
            let limit = TimeLimit::begin(target.check.timeout_ms);
            let stream = tls::handshake(connect(target, limit).await?, config, name, limit).await?;
            http::ask(stream, http, asked(target), http::TLS_PORT, limit).await
        }
        Kind::Udp { send, expect } => {
            let answer = match target.check.via {
                Via::Address => udp::exchange(asked(target), send, limit).await?,
                Via::Service => carried::exchange(target, send, limit).await?,
            };
            udp::judge(&answer, expect.as_deref())
        }
        Kind::Icmp => match target.check.via {
            Via::Address => icmp::echo(target.address, limit).await,
            Via::Service => carried::echo(target, limit).await,
        },
        Kind::Exec { command } => exec::run(command, target, limit).await,
    }
}

/// Where the probe is addressed to.
fn asked(target: &Target) -> SocketAddr {
    let address: IpAddr = match target.check.via {
        Via::Address => target.address,
        Via::Service => target.served_at(),
    };
    SocketAddr::new(address, target.port)
}

async fn connect(target: &Target, limit: TimeLimit) -> Result<Box<dyn Stream>, Failure> {
    match target.check.via {
        Via::Address => Ok(Box::new(tcp::connect(asked(target), limit).await?)),
        Via::Service => Ok(Box::new(carried::connect(target, limit).await?)),
    }
}

/// A connection to a real, by whichever way.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// When a probe that has not ended counts as failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimit {
    end: Instant,
    ms: u64,
}

impl TimeLimit {
    fn begin(ms: u64) -> Self {
        Self { end: Instant::now() + Duration::from_millis(ms), ms }
    }

    /// Does `work` while there is time. `missing` is what is not there when time is up: an `answer`.
    pub(super) async fn bound<T>(
        self,
        missing: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match timeout_at(self.end, work).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(format!("no {missing} in {} ms", self.ms))),
        }
    }
}

/// Why a probe failed, for people: one short line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    reason: String,
    ours: bool,
}

impl Failure {
    /// What other machines say may be in it: the line is cut to a sound length, and made one line.
    pub(super) fn new(reason: impl fmt::Display) -> Self {
        let line = reason.to_string().replace(char::is_control, " ");
        Self { reason: line.trim().chars().take(MAX_REASON).collect(), ours: false }
    }

    /// What the system said.
    pub(super) fn io(error: &io::Error) -> Self {
        Self { ours: is_shortage(error), ..Self::new(describe(error)) }
    }

    /// What the system said when `what` was tried.
    pub(super) fn system(what: &str, error: &io::Error) -> Self {
        Self { ours: is_shortage(error), ..Self::new(format_args!("{what}: {}", describe(error))) }
    }

    /// Whether this host could not make the probe for want of something, so that it says nothing of the real.
    pub(super) fn is_ours(&self) -> bool {
        self.ours
    }

    pub(super) fn into_reason(self) -> String {
        self.reason
    }
}

/// A system error without its number where there is a plain word for it.
fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

/// Whether this host lacks descriptors, memory, processes or ports.
fn is_shortage(error: &io::Error) -> bool {
    const SHORTAGES: [i32; 6] =
        [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EAGAIN, libc::EADDRINUSE];
    error.raw_os_error().is_some_and(|number| SHORTAGES.contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_is_one_short_line() {
        assert_eq!(Failure::new(" one\r\ntwo\u{7}\n").into_reason(), "one  two");
        assert_eq!(Failure::new("é".repeat(1_000)).into_reason().chars().count(), MAX_REASON);
    }

    #[test]
    fn system_errors_are_described_in_words() {
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        assert_eq!(Failure::system("cannot connect", &refused).into_reason(), "cannot connect: connection refused");
        assert_eq!(Failure::io(&io::Error::other("odd")).into_reason(), "odd");
    }

    #[test]
    fn want_of_descriptors_is_no_fault_of_the_real() {
        let failure = |number| Failure::io(&io::Error::from_raw_os_error(number));
        assert!(failure(libc::EMFILE).is_ours());
        assert!(Failure::system("cannot open a packet socket", &io::Error::from_raw_os_error(libc::ENFILE)).is_ours());
        assert!(!failure(libc::ECONNREFUSED).is_ours());
        assert!(!Failure::new("too many open files").is_ours());
    }
}
