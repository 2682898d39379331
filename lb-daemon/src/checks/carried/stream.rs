//! A TCP connection over the probe's own stack.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{RecvError, Socket, SocketBuffer, State};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::probe::Failure;
use super::hold::Held;
use super::stack::Stack;

/// Bytes that wait to be read: the window that the real is offered.
const RECEIVE_BUFFER: usize = 32 << 10;
/// Bytes that wait to be acknowledged.
const SEND_BUFFER: usize = 16 << 10;

/// A connection. Dropped, it is reset, so that nothing is left of it on either side.
pub(super) struct CarriedStream {
    stack: Stack,
    handle: SocketHandle,
    _held: Held,
}

impl CarriedStream {
    /// Connects to a port of the VIP, from the port that is held.
    pub(super) async fn connect(mut stack: Stack, vip: IpAddr, port: u16, held: Held) -> Result<Self, Failure> {
        let mut socket =
            Socket::new(SocketBuffer::new(vec![0; RECEIVE_BUFFER]), SocketBuffer::new(vec![0; SEND_BUFFER]));
        socket.set_nagle_enabled(false);
        let connected = socket.connect(stack.interface.context(), SocketAddr::new(vip, port), held.port());
        connected.map_err(|error| Failure::new(format_args!("cannot connect: {error}")))?;
        let handle = stack.sockets.add(socket);
        let mut stream = Self { stack, handle, _held: held };
        let opened = poll_fn(|cx| stream.poll_open(cx)).await;
        opened.map_err(|error| Failure::io(&error))?;
        Ok(stream)
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stack.turn(cx)?;
        match self.socket().state() {
            State::SynSent | State::SynReceived => Poll::Pending,
            State::Closed => Poll::Ready(Err(io::Error::from_raw_os_error(libc::ECONNREFUSED))),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.stack.sockets.get_mut(self.handle)
    }
}

impl AsyncRead for CarriedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stack.turn(cx)?;
        let socket = self.socket();
        match socket.recv_slice(buffer.initialize_unfilled()) {
            Ok(0) => {
                socket.register_recv_waker(cx.waker());
                Poll::Pending
            }
            Ok(length) => {
                buffer.advance(length);
                // The window is open again.
                self.stack.work()?;
                Poll::Ready(Ok(()))
            }
            Err(RecvError::Finished) => Poll::Ready(Ok(())),
            Err(RecvError::InvalidState) => Poll::Ready(Err(io::Error::from_raw_os_error(libc::ECONNRESET))),
        }
    }
}

impl AsyncWrite for CarriedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stack.turn(cx)?;
        let socket = self.socket();
        match socket.send_slice(bytes) {
            Ok(0) if !bytes.is_empty() => {
                socket.register_send_waker(cx.waker());
                Poll::Pending
            }
            Ok(length) => {
                self.stack.work()?;
                Poll::Ready(Ok(length))
            }
            Err(_) => Poll::Ready(Err(ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stack.turn(cx)?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().close();
        self.stack.turn(cx)?;
        Poll::Ready(Ok(()))
    }
}

impl Drop for CarriedStream {
    fn drop(&mut self) {
        self.socket().abort();
        // Without the reset the real notices later by itself.
        let _ = self.stack.work();
    }
}
