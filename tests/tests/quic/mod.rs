//! QUIC servers with connection ids by a load balancer's rules, and clients that move.

mod client;
mod encoding;
mod server;

use std::time::Duration;

use anyhow::{Context, Result};
pub use client::Client;
pub use encoding::Encoding;
use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
pub use server::Server;
use tokio::runtime::Runtime;

/// The name that the servers' certificate is for.
pub const NAME: &str = "quic.example";
/// How long an answer may take: the first packet of a connection is sent again a few times meanwhile.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// What runs servers and clients, and what servers know of one another's connection ids.
pub struct World {
    runtime: Runtime,
    issued: server::Issued,
}

impl World {
    pub fn new() -> Result<World> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Ok(World { runtime: runtime.context("cannot make threads")?, issued: server::Issued::default() })
    }
}

/// A certificate of the test's own.
pub struct Tls {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Tls {
    pub fn make() -> Result<Tls> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).context("cannot make a certificate")?;
        Ok(Tls { certificate: made.cert.der().clone(), key: made.signing_key.serialize_der() })
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
