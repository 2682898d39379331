//! A socket of a kind that tokio has none for: packets in and out, without blocking.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::task::{Context, Poll, ready};

use socket2::{SockAddr, Socket};
use tokio::io::unix::AsyncFd;

/// The socket, and room for the largest packet that is taken whole.
pub(super) struct PacketSocket {
    socket: AsyncFd<Socket>,
    buffer: Vec<MaybeUninit<u8>>,
}

impl PacketSocket {
    /// Takes a socket that does not block, inside a tokio runtime with I/O.
    pub(super) fn new(socket: Socket, max_packet: usize) -> io::Result<Self> {
        // SAFETY: the socket owns its descriptor, and is neither closed nor replaced while it is in the AsyncFd.
        let socket = unsafe { AsyncFd::register(socket) }?;
        Ok(Self { socket, buffer: vec![MaybeUninit::uninit(); max_packet] })
    }

    /// Sends to where the socket is connected to.
    pub(super) fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.socket.get_ref().send(packet).map(drop)
    }

    /// Sends.
    pub(super) fn send_to(&self, packet: &[u8], to: &SockAddr) -> io::Result<()> {
        self.socket.get_ref().send_to(packet, to).map(drop)
    }

    /// The next packet.
    pub(super) async fn receive(&mut self) -> io::Result<Vec<u8>> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// The next packet, if one is there; else the task is woken when one is.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            let buffer = &mut self.buffer;
            if let Ok(received) = ready.try_io(|socket| socket.get_ref().recv(buffer)) {
                return Poll::Ready(received.map(|length| initialised(&self.buffer[..length])));
            }
        }
    }
}

fn initialised(bytes: &[MaybeUninit<u8>]) -> Vec<u8> {
    // SAFETY: the caller hands over the bytes that the kernel has just written.
    bytes.iter().map(|byte| unsafe { byte.assume_init() }).collect()
}
