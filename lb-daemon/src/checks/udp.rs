//! A datagram to a real's own address, and the judgement of an answer that came by any way.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::UdpSocket;

use super::probe::{Failure, TimeLimit};
use crate::source;

/// Bytes of the largest datagram.
pub(super) const MAX_DATAGRAM: usize = 65_535;
/// The reason for a port that nobody listens on.
pub(super) const PORT_UNREACHABLE: &str = "port unreachable";

/// Sends a datagram and returns the first answer.
pub(super) async fn exchange(to: SocketAddr, send: &[u8], limit: TimeLimit) -> Result<Vec<u8>, Failure> {
    let exchange = async { exchange_here(to, send).await.map_err(|error| failure(&error)) };
    limit.bound("answer", exchange).await
}

async fn exchange_here(to: SocketAddr, send: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind(source::towards(to.ip())).await?;
    // Connected, it is told of ICMP errors, and hears nobody else.
    socket.connect(to).await?;
    socket.send(send).await?;
    let mut answer = vec![0; MAX_DATAGRAM];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::ConnectionRefused => Failure::new(PORT_UNREACHABLE),
        _ => Failure::io(error),
    }
}

/// Whether an answer is a success: it contains what is expected.
pub(super) fn judge(answer: &[u8], expect: Option<&[u8]>) -> Result<(), Failure> {
    match expect {
        Some(expected) if !contains(answer, expected) => {
            Err(Failure::new(format_args!("the answer ({} bytes) is not the expected one", answer.len())))
        }
        _ => Ok(()),
    }
}

/// Whether `part` is somewhere in `whole`.
pub(super) fn contains(whole: &[u8], part: &[u8]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_must_contain_what_is_expected() {
        assert_eq!(judge(b"say PONG!", Some(b"PONG")), Ok(()));
        assert_eq!(judge(b"", None), Ok(()));
        assert_eq!(judge(b"", Some(b"")), Ok(()));
        let failure = judge(b"PON", Some(b"PONG")).unwrap_err();
        assert_eq!(failure.into_reason(), "the answer (3 bytes) is not the expected one");
    }
}
