//! Many TCP flows that stay open: HTTP connections, each of which knows the real server that answered it first.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use lb_lab::NamespaceHandle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::raise_open_files;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n";
/// Connection attempts at one time: well below what a listener queues.
const CONNECTING: usize = 256;
/// How long one answer may take while thousands of others are on their way.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Bytes of the largest answer.
const MAX_ANSWER: usize = 1024;

/// Open flows from one namespace to one service. Dropped, they are closed.
#[derive(Debug)]
pub struct Flows {
    runtime: Runtime,
    flows: Vec<Flow>,
}

#[derive(Debug)]
struct Flow {
    stream: TcpStream,
    real: String,
}

/// A flow that broke: its connection ended, or another real server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Who had answered it before.
    pub real: String,
    /// What happened.
    pub reason: String,
}

impl Flows {
    /// Opens `count` connections from an address of a namespace, and asks once over each.
    ///
    /// # Errors
    /// Any connection fails.
    pub fn open(from: &NamespaceHandle, client: IpAddr, target: SocketAddr, count: usize) -> Result<Flows> {
        raise_open_files(count)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let flows = from.run(|| runtime.block_on(open_all(client, target, count)))?;
        Ok(Flows { runtime, flows })
    }

    /// Asks once over every flow, all at the same time. Flows that break are closed and returned.
    pub fn ask_all(&mut self) -> Result<Vec<Broken>> {
        let flows = std::mem::take(&mut self.flows);
        let (flows, broken) = self.runtime.block_on(ask_all(flows))?;
        self.flows = flows;
        Ok(broken)
    }

    /// Asks once over every flow, all at the same time.
    ///
    /// # Errors
    /// Any flow breaks.
    pub fn ask_whole(&mut self) -> Result<()> {
        let count = self.len();
        match self.ask_all()?.as_slice() {
            [] => Ok(()),
            broken => bail!("{} of {count} flows broke, the first one: {:?}", broken.len(), broken[0]),
        }
    }

    /// Open flows by real server.
    pub fn by_real(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for flow in &self.flows {
            *counts.entry(flow.real.clone()).or_default() += 1;
        }
        counts
    }

    /// Number of open flows.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }
}

async fn open_all(client: IpAddr, target: SocketAddr, count: usize) -> Result<Vec<Flow>> {
    let permits = Arc::new(Semaphore::new(CONNECTING));
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let permits = permits.clone();
        tasks.spawn(async move {
            let _permit = permits.acquire().await?;
            let mut stream = in_time(connect(client, target)).await?;
            let real = in_time(exchange(&mut stream)).await?;
            Ok(Flow { stream, real })
        });
    }
    let flows: Result<Vec<Flow>> = tasks.join_all().await.into_iter().collect();
    flows.with_context(|| format!("cannot open {count} flows to {target}"))
}

async fn connect(client: IpAddr, target: SocketAddr) -> Result<TcpStream> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.context("cannot open a socket")?;
    socket.bind(SocketAddr::new(client, 0)).with_context(|| format!("cannot use {client}"))?;
    socket.connect(target).await.with_context(|| format!("cannot connect to {target}"))
}

async fn ask_all(flows: Vec<Flow>) -> Result<(Vec<Flow>, Vec<Broken>)> {
    let mut tasks = JoinSet::new();
    for mut flow in flows {
        tasks.spawn(async move {
            let answer = in_time(exchange(&mut flow.stream)).await;
            (flow, answer)
        });
    }
    let (mut whole, mut broken) = (Vec::new(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (flow, answer) = done.context("a task of the flows has panicked")?;
        match answer {
            Ok(real) if real == flow.real => whole.push(flow),
            Ok(real) => broken.push(Broken { real: flow.real, reason: format!("answered by {real}") }),
            Err(error) => broken.push(Broken { real: flow.real, reason: format!("{error:#}") }),
        }
    }
    Ok((whole, broken))
}

async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(ANSWER_LIMIT, work).await.map_err(|_| anyhow!("no answer within {ANSWER_LIMIT:?}"))?
}

/// Sends one request and returns the name of the real server that answered.
pub(super) async fn exchange(stream: &mut TcpStream) -> Result<String> {
    stream.write_all(REQUEST).await.context("cannot send")?;
    let mut answer = Vec::with_capacity(MAX_ANSWER);
    loop {
        if stream.read_buf(&mut answer).await.context("cannot receive")? == 0 {
            bail!("the connection was closed");
        }
        if let Some(body) = body(&answer)? {
            return Ok(body);
        }
        if answer.len() >= MAX_ANSWER {
            bail!("an answer of more than {MAX_ANSWER} bytes");
        }
    }
}

/// The body without its line end, once the answer is complete.
fn body(answer: &[u8]) -> Result<Option<String>> {
    let text = std::str::from_utf8(answer).context("the answer is no text")?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    if !head.starts_with("HTTP/1.1 200") {
        bail!("answered `{}`", head.lines().next().unwrap_or_default());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length: usize = length.and_then(|length| length.parse().ok()).context("no Content-Length")?;
    Ok((body.len() >= length).then(|| body.trim_end().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_at_its_content_length() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nreal-1\n";
        assert_eq!(body(whole).unwrap(), Some("real-1".to_string()));
        for cut in 0..whole.len() {
            assert_eq!(body(&whole[..cut]).ok().flatten(), None, "{cut}");
        }
        assert!(body(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").is_err());
    }
}
