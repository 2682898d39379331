//! A path by a serial line: raw, eight bits, no parity, no flow control, one stop bit.
//!
//! A line that takes no bytes loses frames and holds nothing up: little waits to be written, so that what goes out is never old.
//! The heartbeat thread touches no tty: a [`ferry`] has the line.

pub(super) mod behind;
mod ferry;
mod in_use;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::sys::termios::{FlushArg, tcflush};

use super::device::{Device, Heard, Sent, Watch};
use crate::config::SerialWay;
use ferry::Ferry;

/// The open line.
pub(super) struct SerialPath {
    ferry: Ferry,
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
        allow_successor(&*port)?;
        // SAFETY: the descriptor is open as long as the port lives, which is longer than the call.
        let line = unsafe { BorrowedFd::borrow_raw(port.as_raw_fd()) };
        // What has waited in the kernel is old.
        tcflush(line, FlushArg::TCIOFLUSH)?;
        Ok(Self { ferry: Ferry::start(port)? })
    }
}

/// The library locks the file, which ends with this process, and marks the line as taken, which lasts for as long as anybody has it open: a
/// monitor, say. The mark would keep out an lbd that is started again, since it may not administer everything (CAP_SYS_ADMIN).
fn allow_successor(port: &dyn Port) -> io::Result<()> {
    // SAFETY: the call takes no argument, and the descriptor is open as long as the port lives.
    let allowed = unsafe { libc::ioctl(port.as_raw_fd(), libc::TIOCNXCL) };
    if allowed >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
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
        self.ferry.fd()
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<Sent> {
        self.ferry.send(frame)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Heard> {
        self.ferry.receive(buffer)
    }

    fn lost(&self) -> u64 {
        self.ferry.lost()
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
