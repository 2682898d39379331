//! The stream between the two nodes of a pair: the standby takes the active node's checkpoints by TCP, over the interfaces of the pair's UDP
//! paths. docs/reference/checkpoint-stream.md is its protocol, [`lb_core::checkpoint::session`] the two machines that speak it.
//!
//! Both nodes listen on every path, and serve while their ledger leads. While it follows they connect. Nothing here looks at anything at
//! intervals but clocks: what is new in the ledger wakes who sends it.

mod client;
mod follower;
mod owner;
mod server;
mod sockets;
#[cfg(test)]
mod tests;
mod view;
mod wire;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use lb_core::auth::Keys;
use lb_core::checkpoint::session::{self, Nonce};
use lb_core::checkpoint::{Batch, Entry, Origin, Sequence};
use lb_core::pair::Role;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

pub use view::{FullView, StreamView};

use super::hub::Hub;
use crate::config::UdpWay;

/// Most connections that are served at once, of all paths: one that works, one that takes its place, and two that have to be told no.
const MAX_CONNECTIONS: usize = 4;

/// Everything that the owner has, for a follower that begins.
pub struct Full {
    /// Whose it is.
    pub origin: Origin,
    /// After which batch things were so, or later.
    pub sequence: Sequence,
    /// The scheduling table's generation then.
    pub generation: u64,
    /// In how many parts, as far as can be told.
    pub parts_estimate: u32,
    /// The parts, no faster than they are taken; or why there are no more. They end where everything is said.
    pub parts: mpsc::Receiver<Result<Vec<Entry>, String>>,
}

/// What the stream wants of this node. Errors are sentences; each ends the connection.
pub trait Ledgers: Send + Sync + 'static {
    /// The ledger.
    fn hub(&self) -> &Hub;
    /// For the peer: everything that this node has.
    fn full(&self) -> BoxFuture<'_, Result<Full, String>>;
    /// From the peer: everything follows. What this node has counts no more.
    fn begin_full(&self, origin: Origin) -> BoxFuture<'_, Result<(), String>>;
    /// A part of it.
    fn full_part(&self, entries: Vec<Entry>) -> BoxFuture<'_, Result<(), String>>;
    /// That was everything: it is in the maps when this is done, and in the ledger.
    fn end_full(&self, sequence: Sequence, generation: u64) -> BoxFuture<'_, Result<(), String>>;
    /// From the peer: what has changed, in this order. It is in the maps when this is done, and in the ledger. From one that led before this
    /// node only flows are taken of which this node knows nothing.
    fn apply(&self, batches: Vec<Batch>) -> BoxFuture<'_, Result<(), String>>;
}

/// Who this node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Me {
    /// Its cluster.
    pub cluster: u64,
    /// Its configured role.
    pub role: Role,
    /// The generation of its start.
    pub boot: u32,
}

/// How the stream goes.
pub struct Options {
    /// Who this node is.
    pub me: Me,
    /// The pair's keys.
    pub keys: Arc<Keys>,
    /// The paths by which the peer is reached, the preferred one first.
    pub paths: Vec<UdpWay>,
}

/// The stream, which ends when this is dropped.
pub struct Stream {
    common: Arc<Common>,
    _tasks: JoinSet<()>,
}

/// What all its tasks share.
struct Common {
    me: session::Me,
    keys: Mutex<Arc<Keys>>,
    ledgers: Arc<dyn Ledgers>,
    view: Mutex<StreamView>,
    /// Grows with each follower that takes the place of the one before.
    followers: watch::Sender<u64>,
    /// Interfaces of paths that are down while another one is up.
    down: watch::Sender<BTreeSet<String>>,
}

/// Begins to listen on all paths, and to connect whenever this node follows. To be called within a runtime.
#[must_use]
pub fn spawn(options: Options, ledgers: Arc<dyn Ledgers>) -> Stream {
    let Options { me: Me { cluster, role, boot }, keys, paths } = options;
    let common = Arc::new(Common {
        me: session::Me::new(cluster, role, boot),
        keys: Mutex::new(keys),
        ledgers,
        view: Mutex::default(),
        followers: watch::Sender::new(0),
        down: watch::Sender::new(BTreeSet::new()),
    });
    let mut tasks = JoinSet::new();
    let places = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    for way in &paths {
        tasks.spawn(server::listen(common.clone(), way.clone(), places.clone()));
    }
    tasks.spawn(client::follow(common.clone(), paths));
    Stream { common, _tasks: tasks }
}

impl Stream {
    /// How it goes.
    #[must_use]
    pub fn view(&self) -> StreamView {
        self.common.see(|view| view.clone())
    }

    /// The heartbeats say that the paths by these interfaces are down, and another one is up: a connection that goes by one of them is given up at
    /// once, and made by the other.
    pub fn set_down(&self, interfaces: BTreeSet<String>) {
        self.common.down.send_if_modified(|before| {
            let is_new = *before != interfaces;
            *before = interfaces;
            is_new
        });
    }

    /// Takes other keys for the connections from now on.
    pub fn set_keys(&self, keys: Arc<Keys>) {
        *self.common.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }
}

impl Common {
    fn keys(&self) -> Arc<Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn see<R>(&self, look: impl FnOnce(&mut StreamView) -> R) -> R {
        look(&mut self.view.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A number that nobody can guess.
fn nonce() -> Result<Nonce, String> {
    let mut nonce = Nonce::default();
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut nonce).map_err(|_| "the kernel gives no random numbers".to_owned())?;
    Ok(nonce)
}
