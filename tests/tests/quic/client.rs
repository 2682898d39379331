//! A client by quinn: a connection, which it takes along to other addresses and ports.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use anyhow::{Context, Result};
use lb_lab::{NamespaceHandle, wait_for};
use lb_tests::stage::LIMIT;
use quinn::{Connection, Endpoint, EndpointConfig, TokioRuntime};
use tokio::time::timeout;

use super::{ANSWER_LIMIT, Answer, NAME, World, transport};

/// Bytes of an answer.
const ANSWER: usize = 256;

/// Where connections come from, and where they go.
pub struct Client {
    pub world: Arc<World>,
    pub namespace: NamespaceHandle,
    pub service: SocketAddr,
}

struct Open<'a> {
    client: &'a Client,
    endpoint: Endpoint,
    connection: Connection,
    local: SocketAddr,
}

impl super::Client for Client {
    fn connect(&self, from: SocketAddr) -> Result<Box<dyn super::Connection + '_>> {
        let socket = self.bind(from)?;
        let local = socket.local_addr()?;
        let mut config = self.world.tls.client()?;
        config.transport_config(transport().into());
        let (connection, endpoint) = self.world.runtime.block_on(async {
            let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime))?;
            let connecting = endpoint.connect_with(config, self.service, NAME)?;
            let connection = timeout(ANSWER_LIMIT, connecting).await.context("nobody answers")??;
            anyhow::Ok((connection, endpoint))
        })?;
        Ok(Box::new(Open { client: self, endpoint, connection, local }))
    }
}

impl Client {
    /// The socket of a connection that has ended may be about to go.
    fn bind(&self, from: SocketAddr) -> Result<UdpSocket> {
        let socket = || match UdpSocket::bind(from) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
            bound => bound.map(Some).with_context(|| format!("cannot send from {from}")),
        };
        self.namespace.run(|| wait_for(&format!("the address {from}"), LIMIT, socket))
    }
}

impl super::Connection for Open<'_> {
    fn local(&self) -> SocketAddr {
        self.local
    }

    /// With another connection id.
    fn move_to(&mut self, to: SocketAddr) -> Result<()> {
        let socket = self.client.bind(to)?;
        self.local = socket.local_addr()?;
        let _inside = self.client.world.runtime.enter();
        self.endpoint.rebind(socket).context("cannot move")
    }

    fn ask(&self) -> Result<Answer> {
        let asked = async {
            timeout(ANSWER_LIMIT, ask(self.connection.clone())).await.context("the connection is not answered")?
        };
        self.client.world.runtime.block_on(asked)
    }

    fn ask_in_vain(&self) -> Result<()> {
        drop(self.client.world.runtime.spawn(ask(self.connection.clone())));
        Ok(())
    }

    /// The other end knows, too.
    fn close(self: Box<Self>) -> Result<()> {
        self.connection.close(0_u8.into(), b"");
        let idle = async { timeout(ANSWER_LIMIT, self.endpoint.wait_idle()).await };
        self.client.world.runtime.block_on(idle).context("the connection does not end")
    }
}

async fn ask(connection: Connection) -> Result<Answer> {
    let (mut to, mut from) = connection.open_bi().await?;
    to.write_all(b"who").await?;
    to.finish()?;
    Answer::parse(&String::from_utf8(from.read_to_end(ANSWER).await?)?)
}
