//! Frames sent past the network stack of the sender, many with one system call.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result};

/// A packet socket that sends out of an interface without queueing.
pub(crate) fn open_sender(ifindex: u32) -> Result<OwnedFd> {
    // SAFETY: socket takes no pointers.
    let descriptor = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error()).context("cannot open a packet socket");
    }
    // SAFETY: the descriptor was opened above and belongs to nothing else.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let on: libc::c_int = 1;
    // SAFETY: the option is an int, which lives as long as the call.
    let bypass = unsafe {
        let length = size_of_val(&on) as libc::socklen_t;
        libc::setsockopt(descriptor, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, (&raw const on).cast(), length)
    };
    if bypass != 0 {
        return Err(io::Error::last_os_error()).context("cannot set PACKET_QDISC_BYPASS");
    }
    // SAFETY: all of the structure is integers, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = ifindex as i32;
    // SAFETY: the address is a filled sockaddr_ll of the given length.
    let bound =
        unsafe { libc::bind(descriptor, (&raw const address).cast(), size_of_val(&address) as libc::socklen_t) };
    if bound != 0 {
        return Err(io::Error::last_os_error()).context("cannot bind the packet socket");
    }
    Ok(socket)
}

/// Sends frames with one system call, and says how many of them the kernel took.
pub(crate) fn send_frames(socket: &OwnedFd, frames: &mut [Vec<u8>]) -> Result<u64> {
    let mut pieces: Vec<libc::iovec> = frames
        .iter_mut()
        .map(|frame| libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = pieces
        .iter_mut()
        .map(|piece| {
            // SAFETY: all of the structure is integers and pointers that may be null.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = piece;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();
    // SAFETY: every header points to an iovec, and that to a frame, which live longer than the call.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), messages.len() as u32, 0) };
    if sent >= 0 {
        return Ok(sent as u64);
    }
    match io::Error::last_os_error() {
        // The receiver has no room at this moment.
        error if matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EAGAIN | libc::EINTR)) => Ok(0),
        error => Err(error).context("cannot send frames"),
    }
}
