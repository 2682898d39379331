//! Carries bytes between a socket and a session's machine, either end's.

use std::time::Duration;

use anyhow::Context as _;
use lb_core::checkpoint::session::{Follower, Owner, SessionError};
use lb_core::pair::Micros;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::peer::clock;

/// Bytes that are read at once.
const READ_SIZE: usize = 64 << 10;
/// How long the last words of a connection may take.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What both ends of a session have.
pub(super) trait End: Send {
    fn input(&mut self, bytes: &[u8], now: Micros) -> Result<(), SessionError>;
    fn output(&mut self) -> &mut Vec<u8>;
    fn sent(&mut self, now: Micros);
    fn tick(&mut self, now: Micros) -> Result<(), SessionError>;
    fn next_tick(&self) -> Micros;
    fn closed(&self) -> SessionError;
    fn listens_again(&mut self, now: Micros);
}

macro_rules! end {
    ($end:ty) => {
        impl End for $end {
            fn input(&mut self, bytes: &[u8], now: Micros) -> Result<(), SessionError> {
                Self::input(self, bytes, now)
            }
            fn output(&mut self) -> &mut Vec<u8> {
                Self::output(self)
            }
            fn sent(&mut self, now: Micros) {
                Self::sent(self, now);
            }
            fn tick(&mut self, now: Micros) -> Result<(), SessionError> {
                Self::tick(self, now)
            }
            fn next_tick(&self) -> Micros {
                Self::next_tick(self)
            }
            fn closed(&self) -> SessionError {
                Self::closed(self)
            }
            fn listens_again(&mut self, now: Micros) {
                Self::listens_again(self, now);
            }
        }
    };
}
end!(Owner);
end!(Follower);

/// A connection.
pub(super) struct Wire {
    socket: TcpStream,
    buffer: Vec<u8>,
    /// Bytes sent and received since this was asked last.
    moved: u64,
}

impl Wire {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, buffer: vec![0; READ_SIZE], moved: 0 }
    }

    /// Does one thing: takes in what has come, sends what is to be sent, or notices that time has passed. May be dropped at any time.
    pub(super) async fn turn(&mut self, end: &mut impl End, reads: bool) -> anyhow::Result<()> {
        let patience = Duration::from_micros(end.next_tick().saturating_sub(clock::now()));
        let (mut reader, mut writer) = self.socket.split();
        let writes = !end.output().is_empty();
        tokio::select! {
            biased;
            read = reader.read(&mut self.buffer), if reads => {
                let size = read.context("the connection is broken")?;
                if size == 0 {
                    return Err(end.closed().into());
                }
                self.moved += size as u64;
                end.input(self.buffer.get(..size).unwrap_or_default(), clock::now())?;
            }
            written = writer.write(end.output()), if writes => {
                let size = written.context("the connection is broken")?;
                self.moved += size as u64;
                end.output().drain(..size);
                end.sent(clock::now());
            }
            () = sleep(patience) => {
                if !reads {
                    end.listens_again(clock::now());
                }
                end.tick(clock::now())?;
            }
        }
        Ok(())
    }

    /// Sends what is left, as far as the peer takes it at once.
    pub(super) async fn say_last(&mut self, end: &mut impl End) {
        // Nobody is there who could be told that it did not work.
        let _ = timeout(LAST_WORDS, self.socket.write_all(end.output())).await;
    }

    /// Bytes sent and received since this was asked last.
    pub(super) fn moved(&mut self) -> u64 {
        std::mem::take(&mut self.moved)
    }
}
