//! Servers that do not behave, as tasks beside the checks: they end with the runtime.

use std::future::Future;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::stage::{REAL, ip};

/// How often a slow server says something.
const DRIP: std::time::Duration = std::time::Duration::from_millis(5);
const PLENTY: [u8; 4096] = [b'x'; 4096];

/// Serves each connection to a free port of the real, and returns the port.
pub async fn tcp<F, Served>(serve: F) -> u16
where
    F: Fn(TcpStream) -> Served + Send + 'static,
    Served: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(SocketAddr::new(ip(REAL), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    port
}

/// Accepts and says nothing.
pub async fn silent(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
    std::future::pending().await
}

/// Accepts and closes at once.
pub async fn closing(stream: TcpStream) {
    drop(stream);
}

/// Reads what is asked and closes.
pub async fn hanging_up(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 4096]).await;
}

/// Says an HTTP head one byte after the other, and never gets to its end.
pub async fn dribbling(mut stream: TcpStream) {
    let head = b"HTTP/1.1 200 OK\r\nx-slow: ".iter().copied().chain(std::iter::repeat(b'x'));
    for byte in head {
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(DRIP).await;
    }
}

/// Says nothing but headers, without an end.
pub async fn endless_head(mut stream: TcpStream) {
    let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
    while sent.is_ok() {
        sent = stream.write_all(b"x-more: and more\r\n").await;
    }
}

/// Answers with a head of `size` bytes and a little more.
pub async fn long_head(mut stream: TcpStream, size: usize) {
    let head = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(size));
    let _ = stream.write_all(head.as_bytes()).await;
    silent(stream).await;
}

/// Says a body without an end.
pub async fn endless_body(mut stream: TcpStream) {
    let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
    while sent.is_ok() {
        sent = stream.write_all(&PLENTY).await;
    }
}

/// Speaks another protocol.
pub async fn not_http(mut stream: TcpStream) {
    let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
    silent(stream).await;
}

/// What is answered to a datagram.
pub type Answer = fn(&[u8]) -> Vec<u8>;

/// Answers each datagram to a free port of the real with `answer`, or not at all, and returns the port.
pub async fn udp(answer: Option<Answer>) -> u16 {
    let socket = UdpSocket::bind(SocketAddr::new(ip(REAL), 0)).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            if let Some(answer) = answer {
                let _ = socket.send_to(&answer(&buffer[..length]), from).await;
            }
        }
    });
    port
}

/// A port of the real that nobody listens on: one that was just free.
pub async fn closed_tcp() -> u16 {
    TcpListener::bind(SocketAddr::new(ip(REAL), 0)).await.unwrap().local_addr().unwrap().port()
}

/// As [`closed_tcp`], for UDP.
pub async fn closed_udp() -> u16 {
    UdpSocket::bind(SocketAddr::new(ip(REAL), 0)).await.unwrap().local_addr().unwrap().port()
}
