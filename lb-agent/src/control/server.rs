//! The agent's side.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lb_core::report::Availability;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time;
use tracing::warn;

use super::{MAX_LINE, QUESTION, REFUSAL, state, word};

/// Most connections at once; further ones wait.
const MAX_CONNECTIONS: usize = 8;
/// How long a connection may take.
const CONNECTION_LIMIT: Duration = Duration::from_secs(5);
/// Pause after the host had no descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What somebody wants to know, or to be said.
#[derive(Debug)]
pub(crate) struct Wish {
    /// What shall be said of the real from now on; none: what is said already.
    pub(crate) state: Option<Availability>,
    /// Gets what is said then, or why it is not what was wanted.
    pub(crate) answer: oneshot::Sender<Result<Availability, String>>,
}

/// The socket. Its file goes with it.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Makes the socket, in place of one that a killed agent left. The caller has made sure that no other agent uses it.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        // Made under another name, so that it can be reached by nobody before it has its mode.
        let new = path.with_extension("new");
        remove(&new)?;
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, Permissions::from_mode(0o600))?;
        fs::rename(&new, path)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Hands wishes on for ever.
    pub(crate) async fn serve(self, wishes: mpsc::Sender<Wish>) {
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            // The semaphore is never closed.
            let Ok(permit) = connections.clone().acquire_owned().await else { continue };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let wishes = wishes.clone();
                    tokio::spawn(async move {
                        // Whoever is too slow, or gone, asks again.
                        let _ = time::timeout(CONNECTION_LIMIT, serve_one(stream, wishes)).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    warn!("control socket: cannot take a connection: {error}");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // It may be gone; whoever starts next replaces it anyway.
        let _ = fs::remove_file(&self.path);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn serve_one(mut stream: UnixStream, wishes: mpsc::Sender<Wish>) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut line = String::new();
    BufReader::new(read.take(MAX_LINE)).read_line(&mut line).await?;
    let answer = match grant(line.trim_end(), &wishes).await {
        Ok(state) => format!("{}\n", word(state)),
        Err(reason) => format!("{REFUSAL}{reason}\n"),
    };
    write.write_all(answer.as_bytes()).await
}

async fn grant(line: &str, wishes: &mpsc::Sender<Wish>) -> Result<Availability, String> {
    let (question, wanted) = line.split_once(' ').map_or((line, None), |(question, wanted)| (question, Some(wanted)));
    if question != QUESTION {
        return Err(format!("this is no question; ask `{QUESTION}`"));
    }
    let state = wanted.map(state).transpose()?;
    let (answer, answered) = oneshot::channel();
    let stopping = || "it is about to stop".to_owned();
    wishes.send(Wish { state, answer }).await.map_err(|_| stopping())?;
    answered.await.map_err(|_| stopping())?
}
