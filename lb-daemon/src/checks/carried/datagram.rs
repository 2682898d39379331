//! One datagram, or one echo request, over the probe's own stack, and the answer to it.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use smoltcp::iface::SocketHandle;
use smoltcp::socket::{icmp, udp};
use smoltcp::wire::IpListenEndpoint;

use super::super::icmp::Echo;
use super::super::probe::Failure;
use super::super::udp::{MAX_DATAGRAM, PORT_UNREACHABLE};
use super::stack::Stack;

/// Answers that wait to be looked at.
const ANSWERS: usize = 4;
/// Bytes of the largest ICMP message that is looked at.
const MAX_MESSAGE: usize = 2048;
/// Bytes of the headers of IP and UDP.
const HEADERS_V4: usize = 20 + 8;
const HEADERS_V6: usize = 40 + 8;

/// Sends a datagram and returns the first answer. An ICMP error about it is a failure.
pub(super) async fn exchange(
    stack: &mut Stack,
    from: SocketAddr,
    to: SocketAddr,
    send: &[u8],
) -> Result<Vec<u8>, Failure> {
    let headers = if to.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
    if send.len() + headers > stack.mtu() {
        return Err(Failure::new(format_args!("a datagram of {} bytes does not fit in a packet", send.len())));
    }
    let socket = add_udp(stack, from, to, send)?;
    let errors = add_icmp(stack, icmp::Endpoint::Udp(IpListenEndpoint { addr: None, port: from.port() }))?;
    let answered = poll_fn(|cx| poll_answer(stack, socket, errors, to, cx)).await;
    answered.map_err(|error| Failure::io(&error))?
}

/// Adds a socket with a datagram to send. The buffers' size bounds the answer's.
fn add_udp(stack: &mut Stack, from: SocketAddr, to: SocketAddr, send: &[u8]) -> Result<SocketHandle, Failure> {
    let received = udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; ANSWERS], vec![0; MAX_DATAGRAM]);
    let sent = udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 1], vec![0; send.len()]);
    let mut socket = udp::Socket::new(received, sent);
    let unsent = |error: &dyn std::fmt::Display| Failure::new(format_args!("cannot send the datagram: {error}"));
    socket.bind(from).map_err(|error| unsent(&error))?;
    socket.send_slice(send, smoltcp::wire::IpEndpoint::from(to)).map_err(|error| unsent(&error))?;
    Ok(stack.sockets.add(socket))
}

fn poll_answer(
    stack: &mut Stack,
    socket: SocketHandle,
    errors: SocketHandle,
    to: SocketAddr,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Result<Vec<u8>, Failure>>> {
    stack.turn(cx)?;
    if stack.sockets.get::<icmp::Socket<'_>>(errors).can_recv() {
        return Poll::Ready(Ok(Err(Failure::new(PORT_UNREACHABLE))));
    }
    let socket = stack.sockets.get_mut::<udp::Socket<'_>>(socket);
    while let Ok((answer, from)) = socket.recv() {
        if SocketAddr::new(from.endpoint.addr.into(), from.endpoint.port) == to {
            return Poll::Ready(Ok(Ok(answer.to_vec())));
        }
    }
    Poll::Pending
}

/// Asks for an echo and waits for it.
pub(super) async fn echo(stack: &mut Stack, echo: &Echo, from: IpAddr, to: IpAddr) -> Result<(), Failure> {
    let handle = add_icmp(stack, icmp::Endpoint::Ident(echo.id))?;
    let message = match (from, to) {
        (IpAddr::V6(from), IpAddr::V6(to)) => echo.message_v6(from, to),
        _ => echo.message_v4(),
    };
    let socket = stack.sockets.get_mut::<icmp::Socket<'_>>(handle);
    let sent = socket.send_slice(&message, to.into());
    sent.map_err(|error| Failure::new(format_args!("cannot send the echo request: {error}")))?;
    let answered = poll_fn(|cx| poll_echo(stack, handle, echo, to, cx)).await;
    answered.map_err(|error| Failure::io(&error))
}

fn add_icmp(stack: &mut Stack, endpoint: icmp::Endpoint) -> Result<SocketHandle, Failure> {
    let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; ANSWERS], vec![0; MAX_MESSAGE]);
    let mut socket = icmp::Socket::new(buffer(), buffer());
    socket.bind(endpoint).map_err(|error| Failure::new(format_args!("cannot listen for ICMP: {error}")))?;
    Ok(stack.sockets.add(socket))
}

fn poll_echo(
    stack: &mut Stack,
    handle: SocketHandle,
    echo: &Echo,
    to: IpAddr,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    stack.turn(cx)?;
    let socket = stack.sockets.get_mut::<icmp::Socket<'_>>(handle);
    while let Ok((message, from)) = socket.recv() {
        if IpAddr::from(from) == to && echo.is_answered_by(message, to.is_ipv4(), false) {
            return Poll::Ready(Ok(()));
        }
    }
    Poll::Pending
}
