//! UDP: datagrams from many ports to an echo service.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lb_lab::NamespaceHandle;

use super::pattern;

const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of the largest datagram.
const MAX_DATAGRAM: usize = 65_535;

/// Answers by real server.
pub type Echoes = BTreeMap<String, usize>;

/// Sends one datagram of `length` bytes from each of `ports` new ports, one after the other, and compares the answers.
///
/// # Errors
/// An answer does not come, comes from elsewhere, or is not `NAME ` and the datagram.
pub fn echo_datagrams(from: &NamespaceHandle, target: SocketAddr, ports: usize, length: usize) -> Result<Echoes> {
    from.run(|| {
        let mut echoes = Echoes::new();
        for port in 0..ports {
            let real = echo(target, port as u64, length)
                .with_context(|| format!("datagram {port} of {length} bytes to {target}"))?;
            *echoes.entry(real).or_default() += 1;
        }
        Ok(echoes)
    })
}

fn echo(target: SocketAddr, offset: u64, length: usize) -> Result<String> {
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).context("cannot open a socket")?;
    // A connected socket takes answers from the VIP only.
    socket.connect(target).context("cannot connect")?;
    socket.set_read_timeout(Some(ANSWER_LIMIT)).context("cannot set a time limit")?;
    let sent = pattern(offset, length);
    socket.send(sent).context("cannot send")?;
    let mut buffer = vec![0; MAX_DATAGRAM];
    let received = socket.recv(&mut buffer).context("no answer")?;
    let Some(space) = buffer[..received].iter().position(|byte| *byte == b' ') else {
        bail!("the answer names no real server");
    };
    if buffer[space + 1..received] != *sent {
        bail!("the answer is not what was sent");
    }
    Ok(String::from_utf8_lossy(&buffer[..space]).into_owned())
}
