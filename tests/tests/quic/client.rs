//! A client with one connection, which it takes along to other addresses and ports.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use anyhow::{Context, Result};
use lb_lab::{NamespaceHandle, wait_for};
use lb_tests::stage::LIMIT;
use quinn::{Connection, Endpoint, EndpointConfig, TokioRuntime};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{ANSWER_LIMIT, NAME, Tls, World, transport};

/// Bytes of an answer.
const ANSWER: usize = 256;

/// Where connections come from, and where they go.
pub struct Client<'a> {
    pub world: &'a World,
    pub namespace: NamespaceHandle,
    pub service: SocketAddr,
    pub tls: &'a Tls,
}

/// An open connection.
pub struct Open<'a> {
    world: &'a World,
    endpoint: Endpoint,
    connection: Connection,
    local: SocketAddr,
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its name.
    pub real: String,
    /// Where it sees the client.
    pub seen_at: SocketAddr,
}

impl<'a> Client<'a> {
    /// Opens a connection from an address; port 0 is any.
    pub fn connect(&self, from: SocketAddr) -> Result<Open<'a>> {
        let socket = self.bind(from)?;
        let local = socket.local_addr()?;
        let mut config = self.tls.client()?;
        config.transport_config(transport().into());
        let (connection, endpoint) = self.world.runtime.block_on(async {
            let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime))?;
            let connecting = endpoint.connect_with(config, self.service, NAME)?;
            let connection = timeout(ANSWER_LIMIT, connecting).await.context("nobody answers")??;
            anyhow::Ok((connection, endpoint))
        })?;
        Ok(Open { world: self.world, endpoint, connection, local })
    }

    /// The socket of a connection that has ended may be about to go.
    fn bind(&self, from: SocketAddr) -> Result<UdpSocket> {
        let socket = || match UdpSocket::bind(from) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
            bound => bound.map(Some).with_context(|| format!("cannot send from {from}")),
        };
        self.namespace.run(|| wait_for(&format!("the address {from}"), LIMIT, socket))
    }
}

impl Open<'_> {
    /// Where it is now.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Goes on from another address and port.
    pub fn move_to(&mut self, client: &Client, to: SocketAddr) -> Result<()> {
        let socket = client.bind(to)?;
        self.local = socket.local_addr()?;
        let _inside = self.world.runtime.enter();
        self.endpoint.rebind(socket).context("cannot move")
    }

    /// Asks who is at the other end.
    pub fn ask(&self) -> Result<Answer> {
        let asked = async {
            timeout(ANSWER_LIMIT, ask(self.connection.clone())).await.context("the connection is not answered")?
        };
        self.world.runtime.block_on(asked)
    }

    /// Asks, and does not wait. Dropped, the question goes on; no one answers it.
    pub fn ask_in_vain(&self) -> JoinHandle<Result<Answer>> {
        self.world.runtime.spawn(ask(self.connection.clone()))
    }

    /// Ends it, and waits until the other end knows.
    pub fn close(self) -> Result<()> {
        self.connection.close(0_u8.into(), b"");
        let idle = async { timeout(ANSWER_LIMIT, self.endpoint.wait_idle()).await };
        self.world.runtime.block_on(idle).context("the connection does not end")
    }
}

async fn ask(connection: Connection) -> Result<Answer> {
    let (mut to, mut from) = connection.open_bi().await?;
    to.write_all(b"who").await?;
    to.finish()?;
    let text = String::from_utf8(from.read_to_end(ANSWER).await?)?;
    let (real, seen_at) = text.split_once(' ').with_context(|| format!("{text:?} says too little"))?;
    Ok(Answer { real: real.to_owned(), seen_at: seen_at.parse()? })
}
