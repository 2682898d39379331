//! The thread that receives reports, and what it shares with the rest of the daemon.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lb_core::report::{Inbox, MAX_REPORT_SIZE, Mark, Refusal, Report};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::warn;

use super::Counters;
use super::journal::Journal;
use super::mailbox::Mailbox;

/// Datagrams that are read from one socket before the next one has its turn.
const BATCH: usize = 64;
/// How long the thread rests when a socket cannot be read.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
/// How long a reason to refuse datagrams is not logged again.
const COMPLAINT_PAUSE: Duration = Duration::from_mins(1);

/// The thread, which ends when this is dropped.
pub(super) struct Receiver {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    begin: SyncSender<()>,
    stop: UnixStream,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and the rest of the daemon both use.
struct Shared {
    /// Locked for one datagram at a time.
    ledger: Mutex<Ledger>,
    accepted: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    reports: Arc<Mailbox>,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has been taken, here and in a file for whoever comes after.
pub(super) struct Ledger {
    pub(super) inbox: Inbox,
    pub(super) journal: Option<Journal>,
}

impl Ledger {
    pub(super) fn set_reals(&mut self, reals: &[String], marks: &BTreeMap<String, Mark>) {
        self.inbox.set_reals(reals.iter().cloned());
        self.inbox.restore(marks);
        if let Some(journal) = &mut self.journal {
            self.inbox.restore(&journal.read());
            journal.begin(reals, &self.inbox.marks());
        }
    }

    fn receive(&mut self, datagram: &[u8], now_ms: u64) -> Result<Report, Refusal> {
        let report = self.inbox.receive(datagram, now_ms)?;
        if let Some(journal) = &mut self.journal {
            journal.note(&report.real, report.mark());
        }
        Ok(report)
    }
}

impl Receiver {
    pub(super) fn start(sockets: Vec<UdpSocket>, ledger: Ledger, reports: Arc<Mailbox>) -> io::Result<Self> {
        let addresses = sockets.iter().map(UdpSocket::local_addr).collect::<io::Result<_>>()?;
        let (stop, stopped) = UnixStream::pair()?;
        let (begin, begun) = mpsc::sync_channel(1);
        let shared = Arc::new(Shared {
            ledger: Mutex::new(ledger),
            accepted: AtomicU64::new(0),
            refused: Default::default(),
            reports,
        });
        let thread = Thread {
            shared: shared.clone(),
            sockets,
            begun,
            stopped,
            start: Instant::now(),
            complaints: BTreeMap::new(),
        };
        let thread = thread::Builder::new().name("reports".to_owned()).spawn(move || thread.run())?;
        Ok(Self { shared, addresses, begin, stop, thread: Some(thread) })
    }

    /// Has the thread begin to read, if it has not yet: before it is known who may report, all would be refused.
    pub(super) fn begin(&self) {
        // Once it has been told, nobody listens any more.
        let _ = self.begin.try_send(());
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(super) fn change_ledger(&self, change: impl FnOnce(&mut Ledger)) {
        change(&mut self.shared.ledger());
    }

    pub(super) fn marks(&self) -> BTreeMap<String, Mark> {
        self.shared.ledger().inbox.marks()
    }

    pub(super) fn counters(&self) -> Counters {
        Counters {
            accepted: self.shared.accepted.load(Ordering::Relaxed),
            refused: self.shared.refused.each_ref().map(|count| count.load(Ordering::Relaxed)),
            ..Counters::default()
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // The thread wakes up by the other end, and ends.
        self.begin();
        let _ = self.stop.shutdown(Shutdown::Both);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            warn!("the thread that receives reports has failed; the log above says where");
        }
    }
}

/// What the thread works on.
struct Thread {
    shared: Arc<Shared>,
    sockets: Vec<UdpSocket>,
    /// Says that reading may begin.
    begun: mpsc::Receiver<()>,
    /// Can be read when the thread shall end.
    stopped: UnixStream,
    start: Instant,
    /// When datagrams refused for a reason were logged last.
    complaints: BTreeMap<Refusal, Instant>,
}

impl Thread {
    fn run(mut self) {
        if self.begun.recv().is_err() {
            return;
        }
        loop {
            match self.wait() {
                Ok(None) => return,
                Ok(Some(ready)) => ready.into_iter().for_each(|socket| self.read(socket)),
                Err(error) => rest(&error),
            }
        }
    }

    /// Waits until sockets can be read, and tells which; `None` when the thread shall end.
    fn wait(&self) -> io::Result<Option<Vec<usize>>> {
        let mut fds = vec![PollFd::new(self.stopped.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
        let (stopped, sockets) = fds.split_at(1);
        if stopped.iter().any(ready) {
            return Ok(None);
        }
        Ok(Some((0..sockets.len()).filter(|&socket| ready(&sockets[socket])).collect()))
    }

    /// Reads what has come by a socket, but not for ever.
    fn read(&mut self, socket: usize) {
        // A longer datagram shows by one byte more than there can be.
        let mut buffer = [0; MAX_REPORT_SIZE + 1];
        for _ in 0..BATCH {
            match self.sockets[socket].recv_from(&mut buffer) {
                Ok((size, sender)) => self.take_in(&buffer[..size], sender),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return rest(&error),
            }
        }
    }

    fn take_in(&mut self, datagram: &[u8], sender: SocketAddr) {
        let now_ms = self.start.elapsed().as_millis() as u64;
        let received = self.shared.ledger().receive(datagram, now_ms);
        match received {
            Ok(report) => {
                self.shared.reports.put(report);
                self.shared.accepted.fetch_add(1, Ordering::Relaxed);
            }
            Err(refusal) => {
                self.shared.refused[refusal.index()].fetch_add(1, Ordering::Relaxed);
                self.complain(refusal, sender);
            }
        }
    }

    /// Logs a refusal, the first of its kind and then one a while: the counters tell how many there are.
    fn complain(&mut self, refusal: Refusal, sender: SocketAddr) {
        let now = Instant::now();
        if self.complaints.get(&refusal).is_some_and(|last| now - *last < COMPLAINT_PAUSE) {
            return;
        }
        self.complaints.insert(refusal, now);
        warn!("a report from {sender} was refused ({}): {refusal}; `lbctl reports` counts them", refusal.name());
    }
}

/// The thread must not turn in a circle while something is wrong with its sockets.
fn rest(error: &io::Error) {
    warn!("cannot receive reports: {error}; trying again");
    thread::sleep(ERROR_PAUSE);
}
