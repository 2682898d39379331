//! A TCP connection to a real's own address.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::probe::{Failure, TimeLimit};
use crate::source;

/// Connects.
pub(super) async fn connect(to: SocketAddr, limit: TimeLimit) -> Result<TcpStream, Failure> {
    let connect = async { source::connect(to).await.map_err(|error| Failure::io(&error)) };
    limit.bound("connection", connect).await
}
