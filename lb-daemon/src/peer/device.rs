//! What the heartbeat thread needs of a path's device, socket or serial line. No call waits for anything.

use std::io;
use std::os::fd::BorrowedFd;

/// An open device of a path.
pub(super) trait Device: Send {
    /// What to poll for what comes in. Polling and reading it must wait for nobody: it is no tty.
    fn fd(&self) -> BorrowedFd<'_>;
    /// Sends a frame, or loses it.
    ///
    /// # Errors
    /// The device cannot be used any more.
    fn send(&mut self, frame: &[u8]) -> io::Result<Sent>;
    /// Takes the next frame that has come in into the buffer.
    ///
    /// # Errors
    /// The device cannot be used any more.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Heard>;
    /// Frames that were lost after [`Device::send`] had taken them, since the device was opened.
    fn lost(&self) -> u64 {
        0
    }
}

/// What became of a frame that was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is on its way, or will be without further doing.
    Whole,
    /// It is lost.
    Lost,
}

/// What has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A frame of so many bytes; whose is to be seen.
    Frame(usize),
    /// Something from beyond the link: its hop limit is not the one that the peer sends.
    Forwarded,
    /// Something that cannot be a frame.
    Garbage,
    /// Nothing by now, and there may be more.
    Again,
    /// Nothing.
    Nothing,
}

/// Looks from outside whether an open device is still the one that is configured. May wait for the kernel.
pub(super) trait Watch: Send {
    /// Why it is not.
    fn stale(&self) -> Option<String>;
}
