//! UDP: datagrams to an echo service, one from each of many ports, over flows that stay open, or one after the other
//! without end.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use lb_lab::NamespaceHandle;

use super::pattern;

const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of the longest name that comes before the echo, and a space.
const MAX_NAME: usize = 65;

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
            let real = open(target)
                .and_then(|socket| ask(&socket, port as u64, length))
                .with_context(|| format!("datagram {port} of {length} bytes to {target}"))?;
            *echoes.entry(real).or_default() += 1;
        }
        Ok(echoes)
    })
}

/// UDP flows that stay open, each of which knows the real server that answered it first.
#[derive(Debug)]
pub struct UdpFlows {
    flows: Vec<(UdpSocket, String)>,
}

impl UdpFlows {
    /// Sends a datagram from each of `count` new ports.
    ///
    /// # Errors
    /// An answer does not come or is wrong.
    pub fn open(from: &NamespaceHandle, target: SocketAddr, count: usize) -> Result<UdpFlows> {
        let open_one = |number: usize| {
            let socket = open(target)?;
            let real = ask(&socket, number as u64, 1)?;
            Ok((socket, real))
        };
        Ok(UdpFlows { flows: from.run(|| (0..count).map(open_one).collect())? })
    }

    /// Sends another datagram over each flow.
    ///
    /// # Errors
    /// An answer does not come, is wrong, or is another real server's.
    pub fn ask_whole(&self) -> Result<()> {
        for (number, (socket, real)) in self.flows.iter().enumerate() {
            let answered = ask(socket, number as u64, 1).with_context(|| format!("a flow of {real}"))?;
            if answered != *real {
                bail!("a flow of {real} was answered by {answered}");
            }
        }
        Ok(())
    }

    /// Flows of a real server.
    pub fn of(&self, real: &str) -> usize {
        self.flows.iter().filter(|flow| flow.1 == real).count()
    }
}

/// One datagram after the other over one flow, each as soon as the last one was answered: the loss of a single packet
/// shows. Dropped, it stops.
#[derive(Debug)]
pub struct Volley {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Volley {
    /// Starts a volley from a namespace.
    pub fn start(from: &NamespaceHandle, target: SocketAddr) -> Result<Volley> {
        let socket = from.run(|| open(target))?;
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (stop.clone(), answered.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let number = count.load(Ordering::Relaxed);
                ask(&socket, number, 1).with_context(|| format!("datagram {number}"))?;
                count.store(number + 1, Ordering::Relaxed);
            }
            Ok(())
        });
        Ok(Volley { stop, answered, thread: Some(thread) })
    }

    /// Datagrams that were answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Stops the volley.
    ///
    /// # Errors
    /// A datagram or its answer was lost.
    pub fn stop(mut self) -> Result<u64> {
        self.join()?;
        Ok(self.answered())
    }

    fn join(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().map_err(|_| anyhow!("the thread of the volley has panicked"))?
    }
}

impl Drop for Volley {
    fn drop(&mut self) {
        let _ = self.join();
    }
}

/// A socket that takes answers from the target only.
fn open(target: SocketAddr) -> Result<UdpSocket> {
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).context("cannot open a socket")?;
    socket.connect(target).with_context(|| format!("cannot connect to {target}"))?;
    socket.set_read_timeout(Some(ANSWER_LIMIT)).context("cannot set a time limit")?;
    Ok(socket)
}

/// Sends bytes of the pattern and returns the name of the real server that sent them back.
fn ask(socket: &UdpSocket, offset: u64, length: usize) -> Result<String> {
    let sent = pattern(offset, length);
    socket.send(sent).context("cannot send")?;
    let mut buffer = vec![0; length + MAX_NAME];
    let received = socket.recv(&mut buffer).context("no answer")?;
    let Some(space) = buffer[..received].iter().position(|byte| *byte == b' ') else {
        bail!("the answer names no real server");
    };
    if buffer[space + 1..received] != *sent {
        bail!("the answer is not what was sent");
    }
    Ok(String::from_utf8_lossy(&buffer[..space]).into_owned())
}
