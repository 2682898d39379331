//! QUIC servers with connection ids by a load balancer's rules, and clients that move: of quinn, and of aioquic.

mod aioquic;
mod client;
mod encoding;
mod server;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
pub use encoding::Encoding;
use lb_lab::{Namespace, NamespaceHandle};
use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::runtime::Runtime;

/// The name that the servers' certificate is for.
pub const NAME: &str = "quic.example";
/// How long an answer may take: the first packet of a connection is sent again a few times meanwhile.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// Whose code an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    Quinn,
    Aioquic,
}

impl Library {
    pub const ALL: [Self; 2] = [Self::Quinn, Self::Aioquic];
}

/// A server of one real. It runs as long as this, or its world.
pub trait Server {
    /// Connection ids that it has made.
    fn issued(&self) -> Result<HashSet<Vec<u8>>>;
    /// Connection ids of packets that have come and are of no connection that it knows.
    fn unknown(&self) -> Result<HashSet<Vec<u8>>>;
}

/// What opens connections.
pub trait Client {
    /// Opens a connection from an address; port 0 is any.
    fn connect(&self, from: SocketAddr) -> Result<Box<dyn Connection + '_>>;
}

/// An open connection.
pub trait Connection {
    /// Where it is now.
    fn local(&self) -> SocketAddr;
    /// Goes on from another address and port.
    fn move_to(&mut self, to: SocketAddr) -> Result<()>;
    /// Asks who is at the other end.
    fn ask(&self) -> Result<Answer>;
    /// Asks, and does not wait. No one answers, so it is asked again and again as long as the connection is there.
    fn ask_in_vain(&self) -> Result<()>;
    /// Ends it. Its port is free again.
    fn close(self: Box<Self>) -> Result<()>;
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its name.
    pub real: String,
    /// Where it sees the client.
    pub seen_at: SocketAddr,
}

impl Answer {
    fn parse(text: &str) -> Result<Answer> {
        let (real, seen_at) = text.split_once(' ').with_context(|| format!("{text:?} says too little"))?;
        Ok(Answer { real: real.to_owned(), seen_at: seen_at.parse()? })
    }
}

/// Packets at servers whose connection ids are another's: how many ids they have.
pub fn strays(servers: &[Box<dyn Server>]) -> Result<usize> {
    let issued: Vec<_> = servers.iter().map(|server| server.issued()).collect::<Result<_>>()?;
    let mut strays = 0;
    for (at, server) in servers.iter().enumerate() {
        let of_another = |id: &Vec<u8>| issued.iter().enumerate().any(|(other, ids)| other != at && ids.contains(id));
        strays += server.unknown()?.iter().filter(|id| of_another(id)).count();
    }
    Ok(strays)
}

/// What runs servers and clients.
pub struct World {
    runtime: Runtime,
    tls: Tls,
}

impl World {
    /// A world with files in this directory.
    pub fn new(directory: &Path) -> Result<Arc<World>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Ok(Arc::new(World { runtime: runtime.context("cannot make threads")?, tls: Tls::make(directory)? }))
    }

    /// Starts the server of the real `number`, counted from 0.
    pub fn serve(
        &self,
        library: Library,
        namespace: &Namespace,
        number: u8,
        address: SocketAddr,
        encoding: Encoding,
    ) -> Result<Box<dyn Server>> {
        Ok(match library {
            Library::Quinn => Box::new(self.serve_by_quinn(namespace, number, address, encoding)?),
            Library::Aioquic => Box::new(aioquic::Server::start(&self.tls, namespace, number, address, encoding)?),
        })
    }

    /// A client of the service.
    pub fn client(
        self: &Arc<Self>,
        library: Library,
        namespace: NamespaceHandle,
        service: SocketAddr,
    ) -> Result<Box<dyn Client>> {
        Ok(match library {
            Library::Quinn => Box::new(client::Client { world: self.clone(), namespace, service }),
            Library::Aioquic => Box::new(aioquic::Client::start(&self.tls, &namespace, service)?),
        })
    }
}

/// A certificate of the test's own.
struct Tls {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    files: aioquic::Files,
}

impl Tls {
    fn make(directory: &Path) -> Result<Tls> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).context("cannot make a certificate")?;
        let (certificate, key) = (made.cert.der().clone(), made.signing_key.serialize_der());
        let files = aioquic::Files::write(directory, &certificate, &key)?;
        Ok(Tls { certificate, key, files })
    }

    fn server(&self) -> Result<quinn::ServerConfig> {
        let key = PrivatePkcs8KeyDer::from(self.key.clone());
        let config = quinn::ServerConfig::with_single_cert(vec![self.certificate.clone()], key.into());
        config.context("the certificate is of no use")
    }

    fn client(&self) -> Result<quinn::ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).context("the certificate is of no use")?;
        quinn::ClientConfig::with_root_certificates(roots.into()).context("the client takes no certificates")
    }
}

/// One datagram is one packet on the wire: a test network's links need not cut them.
fn transport() -> quinn::TransportConfig {
    let mut transport = quinn::TransportConfig::default();
    transport.enable_segmentation_offload(false).mtu_discovery_config(None);
    transport
}
