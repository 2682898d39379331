//! What the daemon shows over TCP, where the configuration wants it: the status page, `/metrics`, and what may be read of the API.
//!
//! Whoever reaches the address may read; nobody can change anything. So everything is bounded: connections, the size of a request, how
//! long it may take to come, how long a connection lives, and how many requests ask the engine at once.

mod connection;
mod page;
mod routes;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time;
use tracing::{debug, info};

use crate::api::Served;
use crate::engine::Handle;

/// Most connections at once, over all addresses; further ones wait.
const MAX_CONNECTIONS: usize = 32;
/// How often an address that cannot be listened on is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// Pause after the host had no descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves on these addresses until `stop` changes. An address that cannot be listened on is a warning in the status, and is tried again.
pub async fn serve(addresses: Vec<SocketAddr>, served: Served, mut stop: watch::Receiver<bool>) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let router = routes::router(served.clone());
    let mut listeners = JoinSet::new();
    for address in addresses {
        let listener = Listening {
            address,
            router: router.clone(),
            engine: served.engine.clone(),
            connections: connections.clone(),
        };
        listeners.spawn(listener.run());
    }
    // An error means that nobody can ask for a stop any more, which is one. What is dropped here ends.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// One address that is served.
struct Listening {
    address: SocketAddr,
    router: Router,
    engine: Handle,
    connections: Arc<Semaphore>,
}

impl Listening {
    async fn run(self) {
        let Some(listener) = self.bind().await else { return };
        info!("the status page is at http://{}/", self.address);
        let mut connections = JoinSet::new();
        loop {
            // The semaphore is never closed.
            let Ok(permit) = self.connections.clone().acquire_owned().await else { return };
            let stream = accept(&listener).await;
            let router = self.router.clone();
            connections.spawn(async move {
                connection::serve(stream, router).await;
                drop(permit);
            });
            // Those that have ended are forgotten.
            while connections.try_join_next().is_some() {}
        }
    }

    /// None: the engine has stopped.
    async fn bind(&self) -> Option<TcpListener> {
        loop {
            let outcome = TcpListener::bind(self.address).await;
            let problem = outcome.as_ref().err().map(|error| problem(self.address, error));
            let address = self.address;
            self.engine.call(move |engine| engine.note_http(address, problem)).await.ok()?;
            match outcome {
                Ok(listener) => return Some(listener),
                Err(_) => time::sleep(RETRY).await,
            }
        }
    }
}

/// Why an address cannot be listened on, and what to do.
fn problem(address: SocketAddr, error: &io::Error) -> String {
    let what = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("another program has port {}: stop it (`ss -ltnp` names it)", address.port())
        }
        io::ErrorKind::AddrNotAvailable => format!("no interface has {}: add it", address.ip()),
        io::ErrorKind::PermissionDenied => {
            format!("the host does not allow port {}: take one above 1023", address.port())
        }
        _ => format!("{error}: mend that"),
    };
    format!(
        "{what}, or set another `http.listen`; status page and metrics are not served there, and lbd tries again every {} seconds",
        RETRY.as_secs()
    )
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                debug!("HTTP: a connection failed: {error}");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
