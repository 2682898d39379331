//! HTTP/1 over the daemon's unix socket.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use lb_core::api::{ErrorBody, MAX_CHECKPOINT_CONTENT};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

/// How long an answer may take. A reload with many services takes a while.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// The longest answer, in bytes: a checkpoint can be as long as one that is taken in again.
const MAX_ANSWER: usize = MAX_CHECKPOINT_CONTENT;
/// Most that is kept of an answer that comes line by line, in bytes.
const MAX_LINE: usize = 16 << 20;

/// Why there is no answer. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody can be talked to at the socket.
    #[error("cannot reach lbd at {}: {}", socket.display(), unreachable(source))]
    Connect { socket: PathBuf, source: io::Error },
    /// The daemon went away in the middle.
    #[error("lbd at {} closed the connection without an answer: it may be restarting, try again", socket.display())]
    Closed { socket: PathBuf },
    /// The daemon is stuck.
    #[error("lbd at {} gave no answer within {} seconds: look at its log", socket.display(), ANSWER_LIMIT.as_secs())]
    Silent { socket: PathBuf },
    /// The daemon refused.
    #[error("{}", refusal(.0))]
    Refused(ErrorBody),
    /// The answer cannot be understood.
    #[error("the answer from {} is not lbd's ({what}): is it lbd that listens there, of version {} like lbctl?", socket.display(), env!("CARGO_PKG_VERSION"))]
    Garbage { socket: PathBuf, what: String },
}

impl ClientError {
    /// Whether the daemon could not be reached at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Closed { .. } | Self::Silent { .. })
    }
}

fn unreachable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "no such socket: start lbd (lbd run --config FILE), or name its socket with --socket".to_owned()
        }
        io::ErrorKind::ConnectionRefused => "nobody listens: lbd is not running, start it".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied: run lbctl as root".to_owned(),
        _ => format!("{error}: check the path that --socket or UNDERSTUDY_SOCKET gives"),
    }
}

fn refusal(body: &ErrorBody) -> String {
    match &body.hint {
        Some(hint) => format!("{}\n  {hint}", body.error),
        None => body.error.clone(),
    }
}

/// An answer, and the bytes that it came in.
pub struct Answer<T> {
    /// What it says.
    pub value: T,
    /// The JSON as the daemon wrote it, with fields that this version may not know.
    pub json: String,
}

/// A client of one daemon.
pub struct Client<'a> {
    socket: &'a Path,
}

impl<'a> Client<'a> {
    /// A client of the daemon that listens at `socket`.
    pub fn new(socket: &'a Path) -> Self {
        Self { socket }
    }

    /// Asks for something.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, ClientError> {
        self.request(Method::GET, path, Bytes::new()).await
    }

    /// Has something done.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Answer<T>, ClientError> {
        let body = match body.map(serde_json::to_vec).transpose() {
            Ok(body) => body.unwrap_or_default(),
            Err(error) => return Err(self.garbage(&error)),
        };
        self.send(path, body).await
    }

    /// As [`Client::post`], with a body that is JSON already.
    pub async fn send<T: DeserializeOwned>(&self, path: &str, json: Vec<u8>) -> Result<Answer<T>, ClientError> {
        self.request(Method::POST, path, Bytes::from(json)).await
    }

    /// Asks for something that comes line by line, for as long as the daemon likes.
    pub async fn lines(&self, path: &str) -> Result<Lines<'_, 'a>, ClientError> {
        let begun = self.begin(Method::GET, path, Bytes::new());
        let begun = tokio::time::timeout(ANSWER_LIMIT, begun).await;
        let (response, connection) = begun.unwrap_or(Err(ClientError::Silent { socket: self.socket.to_owned() }))?;
        if response.status().is_success() {
            return Ok(Lines {
                client: self,
                body: response.into_body(),
                lines: VecDeque::new(),
                read: Vec::new(),
                _connection: connection,
            });
        }
        let (status, body) = self.read(response).await?;
        self.understand::<serde::de::IgnoredAny>(status, body)?;
        Err(self.garbage(&format!("status {status}")))
    }

    /// Has something removed.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, ClientError> {
        self.request(Method::DELETE, path, Bytes::new()).await
    }

    async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Answer<T>, ClientError> {
        match tokio::time::timeout(ANSWER_LIMIT, self.exchange(method, path, body)).await {
            Ok(Ok((status, body))) => self.understand(status, body),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ClientError::Silent { socket: self.socket.to_owned() }),
        }
    }

    /// One request on a connection of its own.
    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let (response, _connection) = self.begin(method, path, body).await?;
        self.read(response).await
    }

    /// Sends a request on a connection of its own.
    async fn begin(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(Response<Incoming>, Connection), ClientError> {
        let stream = UnixStream::connect(self.socket)
            .await
            .map_err(|source| ClientError::Connect { socket: self.socket.to_owned(), source })?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.broken(&error))?;
        let connection = Connection(tokio::spawn(async {
            // What is wrong with it shows where the answer is read.
            let _ = connection.await;
        }));
        let mut request = Request::builder().method(method).uri(path).header(HOST, "lbd");
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body)).map_err(|error| self.garbage(&error))?;
        let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        Ok((response, connection))
    }

    async fn read(&self, response: Response<Incoming>) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let status = response.status();
        match Limited::new(response.into_body(), MAX_ANSWER).collect().await {
            Ok(body) => Ok((status, body.to_bytes().to_vec())),
            Err(error) => match error.downcast::<hyper::Error>() {
                Ok(error) => Err(self.broken(&error)),
                Err(error) => Err(self.garbage(&error)),
            },
        }
    }

    fn understand<T: DeserializeOwned>(&self, status: StatusCode, body: Vec<u8>) -> Result<Answer<T>, ClientError> {
        let json = String::from_utf8(body).map_err(|error| self.garbage(&error))?;
        if status.is_success() {
            let value = serde_json::from_str(&json).map_err(|error| self.garbage(&error))?;
            return Ok(Answer { value, json });
        }
        match serde_json::from_str(&json) {
            Ok(error) => Err(ClientError::Refused(error)),
            Err(_) => Err(self.garbage(&format!("status {status}"))),
        }
    }

    /// The connection failed after it was made.
    fn broken(&self, error: &hyper::Error) -> ClientError {
        if error.is_parse() {
            return self.garbage(error);
        }
        ClientError::Closed { socket: self.socket.to_owned() }
    }

    /// The answer cannot be understood.
    pub fn garbage(&self, what: &impl ToString) -> ClientError {
        ClientError::Garbage { socket: self.socket.to_owned(), what: what.to_string() }
    }
}

/// The task that keeps a connection going. It ends with this.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer that comes line by line.
pub struct Lines<'a, 'c> {
    client: &'a Client<'c>,
    body: Incoming,
    /// Lines that have come and were not given out yet.
    lines: VecDeque<Vec<u8>>,
    /// The beginning of the next one.
    read: Vec<u8>,
    _connection: Connection,
}

impl Lines<'_, '_> {
    /// The next line; none at the end.
    pub async fn next(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return String::from_utf8(line).map(Some).map_err(|error| self.client.garbage(&error));
            }
            if self.read.len() > MAX_LINE {
                return Err(self.client.garbage(&"a line without an end"));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|error| self.client.broken(&error))?;
            self.read.extend(frame.into_data().unwrap_or_default());
            let mut lines: VecDeque<Vec<u8>> = self.read.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            self.read = lines.pop_back().unwrap_or_default();
            self.lines = lines;
        }
    }
}
