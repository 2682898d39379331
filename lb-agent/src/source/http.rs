//! One GET on a connection of its own.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::MAX_ANSWER;

const DEFAULT_PORT: u16 = 80;

/// An address that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    uri: Uri,
    address: SocketAddr,
}

/// Why an address cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is none.
    #[error("it is no address of a page")]
    Form,
    /// It has another scheme.
    #[error("only http:// can be asked")]
    Scheme,
    /// It has a name that would have to be looked up, each time, with the server's load as it is.
    #[error("names are not looked up; give an IP address or localhost")]
    Name,
    /// It has a user in it.
    #[error("names and passwords are not sent")]
    User,
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text.parse().map_err(|_| UrlError::Form)?;
        if uri.scheme_str().ok_or(UrlError::Form)? != "http" {
            return Err(UrlError::Scheme);
        }
        let authority = uri.authority().ok_or(UrlError::Form)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::User);
        }
        let host = address_of(authority.host()).ok_or(UrlError::Name)?;
        let port = match authority.as_str()[authority.host().len()..].strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| UrlError::Form)?,
            None => DEFAULT_PORT,
        };
        if port == 0 {
            return Err(UrlError::Form);
        }
        Ok(Self { address: SocketAddr::new(host, port), uri })
    }
}

fn address_of(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None if host == "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

/// The body that the address answers with.
pub(super) async fn get(url: &Url) -> Result<String, String> {
    let stream = TcpStream::connect(url.address).await.map_err(|error| error.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let _connection = AbortOnDrop(tokio::spawn(connection));
    let path = url.uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = url.uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("lb-agent/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    read(sender.send_request(request).await.map_err(|error| error.to_string())?).await
}

async fn read(response: Response<Incoming>) -> Result<String, String> {
    if !response.status().is_success() {
        return Err(format!("it answers {}", response.status()));
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| format!("its answer cannot be read (it can have {MAX_ANSWER} bytes): {error}"))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

/// The connection ends with the request, also where nobody waits for it any longer.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_can_be_asked() {
        let cases = [
            ("http://127.0.0.1/status", "127.0.0.1:80"),
            ("http://localhost:8080/a?b=c", "127.0.0.1:8080"),
            ("http://[2001:db8::1]:81", "[2001:db8::1]:81"),
            ("http://[::1]/", "[::1]:80"),
        ];
        for (text, address) in cases {
            assert_eq!(text.parse::<Url>().unwrap().address.to_string(), address, "{text}");
        }
    }

    #[test]
    fn addresses_that_cannot() {
        let cases = [
            ("https://192.0.2.1/", UrlError::Scheme),
            ("unix:/run/x", UrlError::Form),
            ("/status", UrlError::Form),
            ("", UrlError::Form),
            ("http://192.0.2.1:0/", UrlError::Form),
            ("http://192.0.2.1:65536/", UrlError::Form),
            ("http://192.0.2.1:/", UrlError::Form),
            ("http://me:secret@192.0.2.1/", UrlError::User),
            ("http://www.example.com/", UrlError::Name),
            ("http://[192.0.2.1]/", UrlError::Name),
            ("http://192.0.2.1/a b", UrlError::Form),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Url>(), Err(expected), "{text:?}");
        }
    }
}
