//! TLS over a connection of any kind, with the server's certificate checked or not.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lb_core::check::{Http, Tls};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::warn;

use super::probe::{Failure, Stream, TimeLimit};

/// How long authorities that were read are used before they are read again.
const FRESH: Duration = Duration::from_secs(60);
/// How long authorities that no check asks for are kept.
const KEPT: Duration = Duration::from_secs(3600);
/// How long reading them may take.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of the largest file of authorities.
const MAX_CA_FILE: u64 = 4 << 20;

/// How TLS is spoken, by whose certificates are good: read once for all checks that trust the same.
#[derive(Debug, Default)]
pub(super) struct Configs {
    kept: Mutex<HashMap<Trust, Kept>>,
}

#[derive(Debug)]
struct Kept {
    read: Instant,
    config: Arc<ClientConfig>,
}

/// Whose certificates are good.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Trust {
    /// Everybody's: the check of the certificate is off.
    Everybody,
    /// Those of the host's authorities.
    Host,
    /// Those of the authorities in a file.
    File(PathBuf),
}

impl Trust {
    fn of(tls: &Tls) -> Self {
        match (&tls.ca_file, tls.verify) {
            (_, false) => Self::Everybody,
            (Some(file), true) => Self::File(file.clone()),
            (None, true) => Self::Host,
        }
    }
}

/// Whether the authorities that the check trusts can be read.
pub(super) fn look(tls: &Tls) -> Result<(), Failure> {
    build(&Trust::of(tls)).map(drop)
}

impl Configs {
    /// What the check needs.
    pub(super) async fn get(&self, tls: &Tls) -> Result<Arc<ClientConfig>, Failure> {
        let trust = Trust::of(tls);
        let mut kept = self.kept.lock().await;
        kept.retain(|_, one| one.read.elapsed() < KEPT);
        if let Some(fresh) = kept.get(&trust).filter(|one| one.read.elapsed() < FRESH) {
            return Ok(fresh.config.clone());
        }
        let config = match (build_aside(&trust).await, kept.get(&trust)) {
            (Ok(config), _) => config,
            // A file that is just being replaced is no reason to call every real dead.
            (Err(failure), Some(old)) => {
                warn!("the authorities that were read before stay in use: {}", failure.into_reason());
                old.config.clone()
            }
            (Err(failure), None) => return Err(failure),
        };
        kept.insert(trust, Kept { read: Instant::now(), config: config.clone() });
        Ok(config)
    }
}

/// Reads files on a thread that may wait.
async fn build_aside(trust: &Trust) -> Result<Arc<ClientConfig>, Failure> {
    let trust = trust.clone();
    match timeout(READ_LIMIT, tokio::task::spawn_blocking(move || build(&trust))).await {
        Ok(Ok(built)) => built,
        Ok(Err(_)) => Err(Failure::new("reading the authorities has failed")),
        Err(_) => Err(Failure::new(format_args!("the authorities cannot be read in {READ_LIMIT:?}"))),
    }
}

fn build(trust: &Trust) -> Result<Arc<ClientConfig>, Failure> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Failure::new(format_args!("TLS cannot be spoken: {error}")))?;
    let builder = match trust {
        Trust::Everybody => builder.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked(provider))),
        Trust::Host => builder.with_root_certificates(host_authorities()?),
        Trust::File(path) => builder.with_root_certificates(authorities_in(path)?),
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Each check makes a whole handshake: that is what it checks.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn host_authorities() -> Result<RootCertStore, Failure> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        return Err(Failure::new("this host has no certificate authorities; give ca_file, or verify = false"));
    }
    Ok(store)
}

fn authorities_in(path: &Path) -> Result<RootCertStore, Failure> {
    let text = read(path).map_err(|error| Failure::system(&format!("cannot read {}", path.display()), &error))?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let added = certificate.ok().and_then(|certificate| store.add(certificate).ok());
        added.ok_or_else(|| Failure::new(format_args!("a certificate in {} is unsound", path.display())))?;
    }
    if store.is_empty() {
        return Err(Failure::new(format_args!("no certificate in {}", path.display())));
    }
    Ok(store)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let length = File::open(path)?.take(MAX_CA_FILE + 1).read_to_end(&mut text)?;
    if length as u64 > MAX_CA_FILE {
        return Err(io::Error::other(format!("it has more than {MAX_CA_FILE} bytes")));
    }
    Ok(text)
}

/// The name that the server is asked for and that its certificate must have.
pub(super) fn server_name(tls: &Tls, http: &Http, address: IpAddr) -> Result<ServerName<'static>, Failure> {
    let name = match (&tls.server_name, &http.host) {
        (Some(name), _) => name.clone(),
        (None, Some(host)) => without_port(host).to_string(),
        (None, None) => return Ok(address.into()),
    };
    ServerName::try_from(name.clone()).map_err(|_| Failure::new(format_args!("{name:?} is no name for TLS")))
}

/// The host of `host`, `host:port`, `[address]:port` or `address`.
fn without_port(host: &str) -> &str {
    if let Some(bracketed) = host.strip_prefix('[') {
        return bracketed.split(']').next().unwrap_or(bracketed);
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => name,
        _ => host,
    }
}

/// Shakes hands with the server.
pub(super) async fn handshake<S: Stream>(
    stream: S,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    limit: TimeLimit,
) -> Result<TlsStream<S>, Failure> {
    let shake =
        async { TlsConnector::from(config).connect(name.clone(), stream).await.map_err(|e| failure(&e, &name)) };
    limit.bound("TLS handshake", shake).await
}

fn failure(error: &io::Error, name: &ServerName<'_>) -> Failure {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return Failure::system("no TLS handshake", error);
    };
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            Failure::new("the certificate has expired")
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => Failure::new("the certificate is not valid yet"),
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Failure::new(format_args!("the certificate is not for {}", name.to_str())),
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            Failure::new("the certificate is by an unknown authority")
        }
        other => Failure::new(format_args!("TLS: {other}")),
    }
}

/// Takes any certificate: the check of it is off, so whoever answers is taken for the real.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn write_authority(path: &Path) {
        let certificate = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap();
        fs::write(path, certificate.pem()).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn authorities_are_read_again_and_old_ones_outlive_an_unsound_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("authority.pem");
        let tls = Tls { verify: true, server_name: None, ca_file: Some(file.clone()) };
        let configs = Configs::default();
        assert!(configs.get(&tls).await.is_err(), "there is no file");
        write_authority(&file);
        let first = configs.get(&tls).await.unwrap();
        fs::write(&file, "").unwrap();
        assert!(Arc::ptr_eq(&configs.get(&tls).await.unwrap(), &first), "read just now");
        tokio::time::advance(FRESH).await;
        assert!(Arc::ptr_eq(&configs.get(&tls).await.unwrap(), &first), "the file is unsound");
        write_authority(&file);
        tokio::time::advance(FRESH).await;
        assert!(!Arc::ptr_eq(&configs.get(&tls).await.unwrap(), &first), "the file is another");
        fs::remove_file(&file).unwrap();
        tokio::time::advance(KEPT).await;
        assert!(configs.get(&tls).await.is_err(), "nobody asked for long");
    }

    #[test]
    fn host_header_loses_its_port() {
        let hosts =
            ["a.example", "a.example:8443", "192.0.2.1:443", "[2001:db8::1]:443", "[2001:db8::1]", "2001:db8::1"];
        let names = ["a.example", "a.example", "192.0.2.1", "2001:db8::1", "2001:db8::1", "2001:db8::1"];
        assert_eq!(hosts.map(without_port), names);
    }
}
