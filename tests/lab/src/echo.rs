//! Small servers that the tests need beside nginx: echoes for UDP and TCP, and a TCP sink that reports what it received.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::namespace::Namespace;
use crate::process::wait_for;

/// How often an idle server looks whether it shall stop.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The same for a connection that talks: there may be many.
const STOP_LOOK: Duration = Duration::from_millis(500);
const ECHO_CHUNK: usize = 4096;
/// How long an address may be in use before that is an error.
const BIND_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of the largest datagram.
const MAX_DATAGRAM: usize = 65_535;
/// Bytes of datagrams that wait for an echo, bookkeeping counted: those of some twenty seconds from a client that sends each millisecond. An echo that
/// has to wait for a CPU, on a host that computes, is late and loses nothing.
const WAITING_ROOM: libc::c_int = 16 << 20;
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// A server on threads of this process. Dropped, it stops.
#[derive(Debug)]
pub struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers each datagram to `address` with `NAME ` and the datagram. The answer comes from `address`, as clients
    /// of a VIP expect it, so bind one server to each VIP.
    pub fn udp_echo(namespace: &Namespace, name: &str, address: SocketAddr) -> Result<Server> {
        let socket = bind(namespace, address, UdpSocket::bind)?;
        make_room(&socket, WAITING_ROOM).context("cannot make room for datagrams that wait")?;
        socket.set_read_timeout(Some(LOOK_AGAIN)).context("cannot set a time limit")?;
        let prefix = format!("{name} ").into_bytes();
        Ok(Server::spawn(move |stop| echo(&socket, &prefix, stop)))
    }

    /// Takes datagrams to `address` and reads none: what the socket has no room for is dropped.
    pub fn udp_sink(namespace: &Namespace, address: SocketAddr) -> Result<Server> {
        let socket = bind(namespace, address, UdpSocket::bind)?;
        Ok(Server::spawn(move |stop| {
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(LOOK_AGAIN);
            }
            drop(socket);
        }))
    }

    /// Reads each connection to `address` to its end, answers `NAME BYTES CHECKSUM` (see [`checksum`]) and closes it.
    pub fn tcp_sink(namespace: &Namespace, name: &str, address: SocketAddr) -> Result<Server> {
        let listener = bind(namespace, address, TcpListener::bind)?;
        listener.set_nonblocking(true).context("cannot make the listener non-blocking")?;
        let name = name.to_string();
        Ok(Server::spawn(move |stop| accept(&listener, stop, |stream, stop| drain(stream, &name, stop))))
    }

    /// Sends back what comes on each connection to `address`.
    pub fn tcp_echo(namespace: &Namespace, address: SocketAddr) -> Result<Server> {
        let listener = bind(namespace, address, TcpListener::bind)?;
        listener.set_nonblocking(true).context("cannot make the listener non-blocking")?;
        Ok(Server::spawn(move |stop| accept(&listener, stop, send_back)))
    }

    fn spawn(serve: impl FnOnce(&AtomicBool) + Send + 'static) -> Server {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        Server { stop, thread: Some(std::thread::spawn(move || serve(&seen))) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Adds bytes to a running checksum that depends on their order. Begin with 0.
pub fn checksum(running: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(running ^ FNV_OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)) ^ FNV_OFFSET
}

/// Opens a socket. One that was closed on the same address may live on for a moment: in a child process of another test,
/// between fork and exec.
fn bind<T: Send>(namespace: &Namespace, address: SocketAddr, open: fn(SocketAddr) -> io::Result<T>) -> Result<T> {
    let open = || match open(address) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
        other => other.map(Some).with_context(|| format!("cannot listen on {address}")),
    };
    namespace.run(|| wait_for(&format!("{address} to be free"), BIND_LIMIT, open))
}

/// Gives a socket room for so many bytes that wait to be read, bookkeeping counted: more than anybody but root may ask for.
pub fn make_room(socket: &impl AsRawFd, bytes: libc::c_int) -> io::Result<()> {
    // SAFETY: the option is an int, and outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const bytes).cast(),
            size_of_val(&bytes) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn echo(socket: &UdpSocket, prefix: &[u8], stop: &AtomicBool) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    let mut answer = Vec::with_capacity(MAX_DATAGRAM);
    while !stop.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            answer.clear();
            answer.extend_from_slice(prefix);
            answer.extend_from_slice(&buffer[..length]);
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn accept(listener: &TcpListener, stop: &AtomicBool, serve: impl Fn(TcpStream, &AtomicBool) + Sync) {
    let serve = &serve;
    std::thread::scope(|scope| {
        while !stop.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => drop(scope.spawn(move || serve(stream, stop))),
                Err(_) => std::thread::sleep(LOOK_AGAIN),
            }
        }
    });
}

/// Sends back what comes, until the connection ends.
fn send_back(mut stream: TcpStream, stop: &AtomicBool) {
    let ready = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(STOP_LOOK)));
    if ready.and_then(|()| stream.set_nodelay(true)).is_err() {
        return;
    }
    let mut buffer = [0; ECHO_CHUNK];
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) if stream.write_all(&buffer[..length]).is_err() => return,
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return,
            _ => {}
        }
    }
}

/// Reads a connection to its end and says what came. A connection that breaks gets no answer.
fn drain(mut stream: TcpStream, name: &str, stop: &AtomicBool) {
    if stream.set_nonblocking(false).is_err() || stream.set_read_timeout(Some(LOOK_AGAIN)).is_err() {
        return;
    }
    let (mut bytes, mut sum) = (0u64, 0u64);
    let mut buffer = vec![0; 1 << 16];
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) => {
                let _ = writeln!(stream, "{name} {bytes} {sum:016x}");
                return;
            }
            Ok(length) => {
                bytes += length as u64;
                sum = checksum(sum, &buffer[..length]);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_the_same_in_pieces_and_depends_on_order() {
        let whole = checksum(0, b"one two");
        assert_eq!(checksum(checksum(0, b"one"), b" two"), whole);
        assert_ne!(checksum(0, b"two one"), whole);
    }
}
