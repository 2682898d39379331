//! Carries frames between a line and the heartbeat thread, on a thread of its own.
//!
//! Whoever polls or reads a tty waits for a worker of the kernel that has no real-time priority, and that also where the tty was
//! told not to block. A busy host takes its time for it. Here the frames of this one line wait, and nobody else.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use lb_core::checkpoint::line::MAX_AHEAD;
use lb_core::pair::serial::{Deframer, encode_stream, stream_size};
use lb_core::pair::wire::{FACTS_FRAME_SIZE, MAX_FRAME_SIZE, table};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, recv, send, setsockopt, shutdown, socketpair, sockopt,
};
use nix::sys::termios::{FlushArg, tcflush};
use nix::unistd;

use super::Port;
use crate::peer::device::{Heard, Sent};
use crate::peer::realtime::{self, HEARTBEAT_PRIORITY};

/// Below the heartbeat thread, which never waits for a line, and above the takeover.
const PRIORITY: i32 = HEARTBEAT_PRIORITY - 5;
/// Most bytes that may wait to be written before a frame of the scheduling table, here and in the kernel's tty together. Else that frame
/// is lost, and is sent again.
const MAX_BYTES_AHEAD: usize = stream_size(MAX_AHEAD);
/// Most bytes that wait to be written: two long heartbeats, and a frame of the table between them. A further frame is lost.
const MAX_BACKLOG: usize = 2 * stream_size(FACTS_FRAME_SIZE) + stream_size(MAX_FRAME_SIZE);
/// What may wait between the threads, each way, in bytes of the kernel's memory; it gives a handful of frames at least.
const SOCKET_BUFFER: usize = 4 << 10;
/// Most bytes that are read from the line at once.
const CHUNK: usize = 512;

/// The heartbeat thread's end. No call on it waits, but for dropping it: that closes the line.
pub(super) struct Ferry {
    /// Takes and gives one frame at a time.
    socket: OwnedFd,
    account: Arc<Account>,
    /// How much garbage was told of.
    garbage: u64,
    thread: Option<JoinHandle<()>>,
}

/// What the line's end tells beside frames.
#[derive(Default)]
struct Account {
    /// Frames that the line did not take.
    lost: AtomicU64,
    /// What came that cannot have been a frame.
    garbage: AtomicU64,
    /// Why nothing is carried any more.
    end: OnceLock<String>,
}

impl Ferry {
    /// Begins to carry. The port must not block.
    ///
    /// # Errors
    /// The host has no thread or socket to give.
    pub(super) fn start(port: Box<dyn Port>) -> io::Result<Self> {
        let (mut ferry, socket) = Self::connect()?;
        let account = ferry.account.clone();
        let carrier = Carrier { socket, port, account, deframer: Deframer::new(), backlog: Vec::new() };
        ferry.thread = Some(thread::Builder::new().name("serial".to_owned()).spawn(move || carrier.run())?);
        Ok(ferry)
    }

    /// One that nobody carries for yet, and the socket of who will.
    fn connect() -> io::Result<(Self, OwnedFd)> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let (socket, far) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        for end in [&socket, &far] {
            setsockopt(end, sockopt::SndBuf, &SOCKET_BUFFER)?;
        }
        Ok((Self { socket, account: Arc::default(), garbage: 0, thread: None }, far))
    }

    /// What to poll: a socket, never a tty.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Frames that were lost after they had been taken.
    pub(super) fn lost(&self) -> u64 {
        self.account.lost.load(Ordering::Relaxed)
    }

    /// Hands a frame over, or loses it.
    ///
    /// # Errors
    /// The line cannot be used any more.
    pub(super) fn send(&self, frame: &[u8]) -> io::Result<Sent> {
        match send(self.socket.as_raw_fd(), frame, MsgFlags::MSG_NOSIGNAL) {
            Ok(_) => Ok(Sent::Whole),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Sent::Lost),
            Err(_) => Err(self.end()),
        }
    }

    /// Takes the next frame.
    ///
    /// # Errors
    /// The line cannot be used any more.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Heard> {
        if self.account.garbage.load(Ordering::Acquire) > self.garbage {
            self.garbage += 1;
            return Ok(Heard::Garbage);
        }
        match recv(self.socket.as_raw_fd(), buffer, MsgFlags::empty()) {
            Ok(0) => Err(self.end()),
            Ok(size) => Ok(Heard::Frame(size)),
            Err(Errno::EAGAIN) => Ok(Heard::Nothing),
            Err(Errno::EINTR) => Ok(Heard::Again),
            Err(_) => Err(self.end()),
        }
    }

    fn end(&self) -> io::Error {
        let why = self.account.end.get().map_or("the thread of the line has ended", String::as_str);
        io::Error::new(io::ErrorKind::UnexpectedEof, why)
    }
}

impl Drop for Ferry {
    fn drop(&mut self) {
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        // The line is closed when this returns, and can be opened again. A panic was told by the panic hook.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The line's end.
struct Carrier {
    /// Gives and takes one frame at a time.
    socket: OwnedFd,
    port: Box<dyn Port>,
    account: Arc<Account>,
    deframer: Deframer,
    /// What the tty has not taken yet. It begins with the rest of a frame whose beginning the tty has.
    backlog: Vec<u8>,
}

/// The heartbeat thread has let go of its end.
#[derive(Clone, Copy, PartialEq, Eq)]
struct LetGo;

impl Carrier {
    fn run(mut self) {
        // The heartbeat thread tells of a host that gives no real-time priorities.
        let _ = realtime::schedule(PRIORITY);
        if let Err(error) = self.carry() {
            let _ = self.account.end.set(error.to_string());
        }
    }

    /// Carries until there is nobody to carry for, or the line is of no use any more.
    fn carry(&mut self) -> io::Result<()> {
        loop {
            let (line, socket) = self.wait()?;
            if !socket.is_empty() && self.take_frames().is_err() {
                return Ok(());
            }
            self.write_out()?;
            if !line.is_empty() {
                self.bring_in(line)?;
            }
        }
    }

    /// Waits until the line or the heartbeat thread has something. Returns what each of them has.
    fn wait(&self) -> io::Result<(PollFlags, PollFlags)> {
        let room = if self.backlog.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
        let line = PollFd::new(self.line(), PollFlags::POLLIN | room);
        let mut fds = [line, PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, None, None) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok((PollFlags::empty(), PollFlags::empty())),
            Err(errno) => return Err(errno.into()),
        }
        let [line, socket] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::POLLERR));
        Ok((line, socket))
    }

    /// Takes all frames that there are to send.
    fn take_frames(&mut self) -> Result<(), LetGo> {
        let mut frame = [0; MAX_FRAME_SIZE];
        loop {
            match recv(self.socket.as_raw_fd(), &mut frame, MsgFlags::empty()) {
                Ok(0) => return Err(LetGo),
                Ok(size) => self.enqueue(&frame[..size]),
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(_) => return Err(LetGo),
            }
        }
    }

    fn enqueue(&mut self, frame: &[u8]) {
        let stream = encode_stream(frame);
        let waiting = self.backlog.len() + self.queued();
        if waiting + stream.len() > MAX_BACKLOG || (table::is_one(frame) && waiting > MAX_BYTES_AHEAD) {
            self.account.lost.fetch_add(1, Ordering::Relaxed);
        } else {
            self.backlog.extend_from_slice(&stream);
        }
    }

    /// What the tty still has to write, in bytes.
    fn queued(&self) -> usize {
        let mut bytes: libc::c_int = 0;
        // SAFETY: the call writes one int, to a place that outlives it.
        let told = unsafe { libc::ioctl(self.port.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        // Devices that do not tell bound it by themselves.
        if told == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
    }

    /// Writes as much as the tty takes.
    fn write_out(&mut self) -> io::Result<()> {
        while !self.backlog.is_empty() {
            match unistd::write(self.line(), &self.backlog) {
                Ok(0) | Err(Errno::EAGAIN) => return Ok(()),
                Ok(count) => drop(self.backlog.drain(..count)),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Reads a piece, and gives the frames that it ends to the heartbeat thread.
    fn bring_in(&mut self, line: PollFlags) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        match unistd::read(self.line(), &mut chunk) {
            Ok(0) => Err(hung_up()),
            Ok(count) => {
                self.give(&chunk[..count]);
                Ok(())
            }
            Err(Errno::EAGAIN) if line.intersects(PollFlags::POLLHUP | PollFlags::POLLERR) => Err(hung_up()),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn give(&mut self, bytes: &[u8]) {
        let frames = self.deframer.push(bytes);
        // Before the frames: garbage that came ahead of one is told of ahead of it.
        self.account.garbage.store(self.deframer.discarded(), Ordering::Release);
        for frame in frames.iter().filter(|frame| !frame.is_empty()) {
            // A heartbeat thread that has not taken the last handful misses this one, as it would miss it on a line that lost it.
            let _ = send(self.socket.as_raw_fd(), frame, MsgFlags::MSG_NOSIGNAL);
        }
    }

    fn line(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as the port lives, which the result borrows.
        unsafe { BorrowedFd::borrow_raw(self.port.as_raw_fd()) }
    }
}

fn hung_up() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the line was hung up")
}

impl Drop for Carrier {
    fn drop(&mut self) {
        // Else closing waits until the line has taken what is left, which may be never.
        let _ = tcflush(self.line(), FlushArg::TCOFLUSH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: [u8; FACTS_FRAME_SIZE] = [0xa5; FACTS_FRAME_SIZE];

    #[test]
    fn a_line_whose_thread_has_no_turn_holds_nothing_up_and_piles_up_little() {
        let (mut ferry, _far) = Ferry::connect().unwrap();
        let taken = (0..1_000).take_while(|_| ferry.send(&FRAME).unwrap() == Sent::Whole).count();
        assert!((2..=32).contains(&taken), "{taken} frames");
        assert_eq!(ferry.send(&FRAME).unwrap(), Sent::Lost);
        assert_eq!(ferry.receive(&mut [0; MAX_FRAME_SIZE]).unwrap(), Heard::Nothing);
    }
}
