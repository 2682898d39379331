//! A server that says its name, and notices packets of other servers' connections.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use lb_lab::Namespace;
use lb_tests::stage::real_name;
use quinn::{ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, Incoming, TokioRuntime};
use quinn_proto::InvalidCid;

use super::{Encoding, Tls, World, transport};

/// Bytes of a question.
const QUESTION: usize = 64;

/// By connection id: the server that has made it.
pub type Issued = Arc<Mutex<HashMap<Vec<u8>, u8>>>;

/// It runs as long as its world.
pub struct Server {
    number: u8,
    issued: Issued,
    strays: Arc<AtomicUsize>,
}

impl Server {
    /// Packets that have come here, and whose connection ids are another server's.
    pub fn strays(&self) -> usize {
        self.strays.load(Ordering::Relaxed)
    }

    /// Connection ids that it has made.
    pub fn issued(&self) -> usize {
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.values().filter(|server| **server == self.number).count()
    }
}

impl World {
    /// Starts the server of the real `number`, counted from 0.
    pub fn serve(
        &self,
        namespace: &Namespace,
        number: u8,
        address: SocketAddr,
        encoding: Encoding,
        tls: &Tls,
    ) -> Result<Server> {
        let socket = namespace.run(|| Ok(UdpSocket::bind(address)?));
        let socket = socket.with_context(|| format!("cannot serve at {address}"))?;
        let strays = Arc::new(AtomicUsize::new(0));
        let generator = Generator { encoding, number, issued: self.issued.clone(), strays: strays.clone() };
        let mut endpoint = EndpointConfig::default();
        endpoint.cid_generator(move || Box::new(generator.clone()));
        let mut config = tls.server()?;
        config.transport_config(transport().into());
        let _inside = self.runtime.enter();
        let endpoint = Endpoint::new(endpoint, Some(config), socket, Arc::new(TokioRuntime));
        let endpoint = endpoint.with_context(|| format!("cannot serve at {address}"))?;
        self.runtime.spawn(accept(endpoint, real_name(number)));
        Ok(Server { number, issued: self.issued.clone(), strays })
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
    issued: Issued,
    strays: Arc<AtomicUsize>,
}

impl ConnectionIdGenerator for Generator {
    fn generate_cid(&mut self) -> ConnectionId {
        let id = self.encoding.connection_id(self.number);
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), self.number);
        ConnectionId::new(&id)
    }

    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if issued.get(&id[..]).is_some_and(|server| *server != self.number) {
            self.strays.fetch_add(1, Ordering::Relaxed);
        }
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
