//! A path by a serial line: raw, eight bits, no parity, no flow control, one stop bit.
//!
//! A line that takes no bytes loses frames and holds nothing up: little waits to be written, here and in the kernel, so that what
//! goes out is never old.

mod in_use;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use lb_core::pair::serial::{Deframer, encode_stream, stream_size};
use lb_core::pair::wire::FACTS_FRAME_SIZE;
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::termios::{FlushArg, tcflush};
use nix::unistd;

use super::device::{Device, Heard, Sent, Watch};
use crate::config::SerialWay;

/// Most bytes that wait to be written, here and in the kernel together: two long frames. A further frame is lost.
const MAX_BACKLOG: usize = 2 * stream_size(FACTS_FRAME_SIZE);
/// Most bytes that are read at once.
const CHUNK: usize = 512;

/// The open line.
pub(super) struct SerialPath {
    port: Box<dyn Port>,
    deframer: Deframer,
    /// Frames that have been read, and not been taken.
    frames: VecDeque<Vec<u8>>,
    /// What the kernel has not taken yet. It begins with the rest of a frame whose beginning it has.
    backlog: Vec<u8>,
}

/// The port of the library; closed when it is dropped.
trait Port: AsRawFd + Send {}
impl<T: AsRawFd + Send> Port for T {}

/// Looks whether the device of an open line is still the one that is configured.
pub(super) struct SerialWatch {
    device: PathBuf,
    number: u64,
}

/// Opens the line of a path. May wait for the device.
///
/// # Errors
/// There is no such device, it is none of this kind, or somebody uses it. The text names it.
pub(super) fn open(way: &SerialWay) -> Result<(SerialPath, SerialWatch), String> {
    let device = way.device.display();
    let number = number(&way.device)?;
    if let Some(user) = in_use::user(number) {
        return Err(format!("{device} is in use: it is {user}"));
    }
    let failed = |error: &dyn std::fmt::Display| format!("cannot open {device} at {} baud: {error}", way.baud);
    let port = tokio_serial::new(way.device.to_string_lossy(), way.baud).open_native().map_err(|error| {
        if is_busy(&error) { format!("{device} is in use: another process has it") } else { failed(&error) }
    })?;
    let path = SerialPath::new(Box::new(port)).map_err(|error| failed(&error))?;
    Ok((path, SerialWatch { device: way.device.clone(), number }))
}

/// The number of a character device.
fn number(device: &Path) -> Result<u64, String> {
    let metadata = fs::metadata(device).map_err(|error| format!("there is no {}: {error}", device.display()))?;
    if !metadata.file_type().is_char_device() {
        return Err(format!("{} is no serial line", device.display()));
    }
    Ok(metadata.rdev())
}

/// The library has one kind of error for a missing device, which this one is not, and for one that another process has.
fn is_busy(error: &tokio_serial::Error) -> bool {
    error.kind == tokio_serial::ErrorKind::NoDevice
}

impl SerialPath {
    fn new(port: Box<dyn Port>) -> io::Result<Self> {
        set_nonblocking(&*port)?;
        let path = Self { port, deframer: Deframer::new(), frames: VecDeque::new(), backlog: Vec::new() };
        // What has waited in the kernel is old.
        tcflush(path.fd(), FlushArg::TCIOFLUSH)?;
        Ok(path)
    }

    /// What the kernel still has to write, in bytes.
    fn queued(&self) -> usize {
        let mut bytes: libc::c_int = 0;
        // SAFETY: the call writes one int, to a place that outlives it.
        let told = unsafe { libc::ioctl(self.port.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        // Devices that do not tell bound it by themselves.
        if told == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
    }
}

/// The library leaves the port waiting for bytes.
fn set_nonblocking(port: &dyn Port) -> io::Result<()> {
    // SAFETY: the calls take numbers only, and the descriptor is open as long as the port lives.
    let set = unsafe {
        let flags = libc::fcntl(port.as_raw_fd(), libc::F_GETFL);
        flags >= 0 && libc::fcntl(port.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) >= 0
    };
    if set { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Device for SerialPath {
    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as the port lives, which the result borrows.
        unsafe { BorrowedFd::borrow_raw(self.port.as_raw_fd()) }
    }

    fn events(&self) -> PollFlags {
        if self.backlog.is_empty() { PollFlags::POLLIN } else { PollFlags::POLLIN | PollFlags::POLLOUT }
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<Sent> {
        let stream = encode_stream(frame);
        if self.backlog.len() + self.queued() + stream.len() > MAX_BACKLOG {
            return Ok(Sent::Lost);
        }
        self.backlog.extend_from_slice(&stream);
        self.flush()?;
        Ok(Sent::Whole)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Heard> {
        if let Some(frame) = self.frames.pop_front() {
            return Ok(match buffer.get_mut(..frame.len()) {
                Some(room) => {
                    room.copy_from_slice(&frame);
                    Heard::Frame(frame.len())
                }
                None => Heard::Garbage,
            });
        }
        let mut chunk = [0; CHUNK];
        let discarded = self.deframer.discarded();
        match unistd::read(self.fd(), &mut chunk) {
            Ok(0) => return Err(hung_up()),
            Ok(count) => self.frames.extend(self.deframer.push(&chunk[..count])),
            Err(Errno::EAGAIN) => return Ok(Heard::Nothing),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(if self.deframer.discarded() > discarded { Heard::Garbage } else { Heard::Again })
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.backlog.is_empty() {
            match unistd::write(self.fd(), &self.backlog) {
                Ok(0) | Err(Errno::EAGAIN) => return Ok(()),
                Ok(count) => drop(self.backlog.drain(..count)),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

fn hung_up() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the line was hung up")
}

impl Drop for SerialPath {
    fn drop(&mut self) {
        // Else closing waits until the line has taken what is left, which may be never.
        let _ = tcflush(self.fd(), FlushArg::TCOFLUSH);
    }
}

impl Watch for SerialWatch {
    fn stale(&self) -> Option<String> {
        match number(&self.device) {
            Ok(number) if number == self.number => None,
            Ok(_) => Some(format!("{} is another device now", self.device.display())),
            Err(why) => Some(why),
        }
    }
}
