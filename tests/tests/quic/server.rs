//! A server by quinn that says its name, and notices packets of other servers' connections.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use lb_lab::Namespace;
use lb_tests::stage::real_name;
use quinn::{ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, Incoming, TokioRuntime};
use quinn_proto::InvalidCid;

use super::{Encoding, World, transport};

/// Bytes of a question.
const QUESTION: usize = 64;

/// Connection ids.
type Ids = Arc<Mutex<HashSet<Vec<u8>>>>;

/// It runs as long as its world.
pub struct Server {
    issued: Ids,
    unknown: Ids,
}

impl super::Server for Server {
    fn issued(&self) -> Result<HashSet<Vec<u8>>> {
        Ok(self.issued.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn unknown(&self) -> Result<HashSet<Vec<u8>>> {
        Ok(self.unknown.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl World {
    /// See [`World::serve`].
    pub(super) fn serve_by_quinn(
        &self,
        namespace: &Namespace,
        number: u8,
        address: SocketAddr,
        encoding: Encoding,
    ) -> Result<Server> {
        let socket = namespace.run(|| Ok(UdpSocket::bind(address)?));
        let socket = socket.with_context(|| format!("cannot serve at {address}"))?;
        let (issued, unknown) = (Ids::default(), Ids::default());
        let generator = Generator { encoding, number, issued: issued.clone(), unknown: unknown.clone() };
        let mut endpoint = EndpointConfig::default();
        endpoint.cid_generator(move || Box::new(generator.clone()));
        let mut config = self.tls.server()?;
        config.transport_config(transport().into());
        let _inside = self.runtime.enter();
        let endpoint = Endpoint::new(endpoint, Some(config), socket, Arc::new(TokioRuntime));
        let endpoint = endpoint.with_context(|| format!("cannot serve at {address}"))?;
        self.runtime.spawn(accept(endpoint, real_name(number)));
        Ok(Server { issued, unknown })
    }
}

async fn accept(endpoint: Endpoint, name: String) {
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(answer(incoming, name.clone()));
    }
}

/// Answers each question with the server's name and where it sees the client.
async fn answer(incoming: Incoming, name: String) {
    let Ok(connection) = incoming.await else { return };
    while let Ok((mut to, mut from)) = connection.accept_bi().await {
        if from.read_to_end(QUESTION).await.is_err() {
            return;
        }
        let answer = format!("{name} {}", connection.remote_address());
        if to.write_all(answer.as_bytes()).await.is_err() || to.finish().is_err() {
            return;
        }
    }
}

/// Makes the server's connection ids. An endpoint asks it, too, about packets of connections that it does not know.
#[derive(Clone)]
struct Generator {
    encoding: Encoding,
    number: u8,
    issued: Ids,
    unknown: Ids,
}

impl ConnectionIdGenerator for Generator {
    fn generate_cid(&mut self) -> ConnectionId {
        let id = self.encoding.connection_id(self.number);
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        ConnectionId::new(&id)
    }

    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_vec());
        // It would be answered with a reset that its client cannot tell from noise.
        Err(InvalidCid)
    }

    fn cid_len(&self) -> usize {
        self.encoding.id_length()
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
