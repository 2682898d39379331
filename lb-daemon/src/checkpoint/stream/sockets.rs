//! The TCP sockets of a path: on its interface alone, and quick to notice that nobody is there.

use std::io;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::config::UdpWay;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4;
/// What was sent and is not acked by the peer's host for so long ends the connection.
const USER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// Listens on the path.
///
/// # Errors
/// The interface or the address is not there, or the port is taken. The text names it.
pub(super) fn listen(way: &UdpWay) -> Result<TcpListener, String> {
    let listen = || {
        let socket = open(way)?;
        socket.set_reuse_address(true)?;
        socket.bind(&way.local.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    listen().map_err(|error| describe("listen", way, &error))
}

/// Connects to the peer by the path.
///
/// # Errors
/// It cannot be done, or takes too long. The text names the path and the peer.
pub(super) async fn connect(way: &UdpWay) -> Result<TcpStream, String> {
    let bound = || {
        let socket = open(way)?;
        let mut from = way.local;
        from.set_port(0);
        socket.bind(&from.into())?;
        Ok(TcpSocket::from_std_stream(socket.into()))
    };
    let socket = bound().map_err(|error| describe("connect", way, &error))?;
    match timeout(CONNECT_TIMEOUT, socket.connect(way.peer)).await {
        Ok(Ok(stream)) => {
            tune(&stream).map_err(|error| describe("connect", way, &error))?;
            Ok(stream)
        }
        Ok(Err(error)) => Err(describe("connect", way, &error)),
        Err(_) => {
            Err(format!("{}: {} does not answer within {} ms", way.interface, way.peer, CONNECT_TIMEOUT.as_millis()))
        }
    }
}

/// Sets what every connection has.
pub(super) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_user_timeout(Some(USER_TIMEOUT))
}

fn open(way: &UdpWay) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(way.local), Type::STREAM, Some(Protocol::TCP))?;
    socket.bind_device(Some(way.interface.as_bytes()))?;
    if way.local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn describe(what: &str, way: &UdpWay, error: &io::Error) -> String {
    let UdpWay { interface, local, peer } = way;
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => format!("{interface}: there is no address {}: add it", local.ip()),
        io::ErrorKind::AddrInUse => {
            format!("{interface}: TCP port {} of {} is taken: `ss -ltnp` shows by whom", local.port(), local.ip())
        }
        io::ErrorKind::ConnectionRefused => format!("{interface}: nobody listens on {peer} of the peer"),
        _ if what == "listen" => format!("{interface}: cannot listen on {local}: {error}"),
        _ => format!("{interface}: cannot connect to {peer}: {error}"),
    }
}
