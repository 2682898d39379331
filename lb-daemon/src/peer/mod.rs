//! The heartbeats: the paths to the peer, and the thread that asks, answers, and keeps the lease.
//!
//! The thread owns the [`Node`], which decides everything. What the node wants done beyond frames is for the [`Hands`]. Devices
//! are opened and closed by a thread for each path ([`keeper`]), since the kernel may take its time for that.

pub(crate) mod clock;
mod commands;
mod device;
mod keeper;
mod path;
pub(crate) mod realtime;
mod remarks;
mod serial;
#[cfg(test)]
mod tests;
mod thread;
mod udp;
mod view;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use lb_core::auth::Keys;
use lb_core::pair::wire;
use lb_core::pair::{Epoch, Event, Input, Lease, Memory, Micros, Node, Options, PathId};
use tokio::sync::oneshot;

use crate::config::Way;
use commands::{Command, Commands};
use path::Path;
use serial::behind::{self, Untaken};
use thread::Thread;
use view::Shared;

pub use commands::{NotTaken, Outcome};
pub use serial::behind::Line;
pub use view::{DeviceCounters, DeviceView, View};

/// Does what the node wants done. No call may wait for anything: they come from the heartbeat thread.
pub trait Hands: Send {
    /// Tells the data plane, unless that is what it was told last.
    fn lease(&mut self, lease: Lease);
    /// Has the epoch put on disk; [`Input::Reserved`] says that it is there.
    fn reserve(&mut self, epoch: Epoch);
    /// Has this node made the owner of the VIPs; [`Input::Acquired`] says how that came out.
    fn acquire(&mut self, epoch: Epoch, fence: bool);
    /// Has the VIPs given up.
    fn release(&mut self);
    /// Has something logged and kept.
    fn tell(&mut self, event: Event);
}

/// What the thread is made of.
pub struct Parts {
    /// How the node takes part.
    pub options: Options,
    /// What it knows from before.
    pub memory: Memory,
    /// The keys; one of them must be good for the pair.
    pub keys: Keys,
    /// The paths' devices, in the order of [`Options::paths`].
    pub ways: Vec<Way>,
    /// What the node is told before it is woken first: how able it is.
    pub first: Vec<Input>,
    /// Who does what the node decides.
    pub hands: Box<dyn Hands>,
}

/// A way to the heartbeat thread, which ends when it is told to ([`Peer::end`]).
#[derive(Clone)]
pub struct Peer {
    commands: Commands,
    shared: Arc<Shared>,
    line: Untaken,
}

/// The keys of a key file, one of them good for the pair.
///
/// # Errors
/// The file cannot be used, or has no such key.
pub fn read_keys(path: &std::path::Path) -> anyhow::Result<Keys> {
    let keys = lb_config::keys::read(path)?;
    wire::signing_key(&keys).with_context(|| format!("cannot use the key file {}", path.display()))?;
    Ok(keys)
}

/// Starts the threads, in the network namespace of the calling thread.
///
/// # Errors
/// The host has no thread or descriptor to give.
pub fn start(parts: Parts) -> io::Result<(Peer, JoinHandle<()>)> {
    let Parts { options, memory, keys, ways, first, hands } = parts;
    let (commands, inbox) = commands::channel()?;
    let (behind, line) = behind::pair(&options.paths, &ways, &commands);
    let paths = paths(ways, &commands)?;
    let role = options.role;
    let now = clock::now();
    let mut node = Node::new(options, memory, now);
    first.into_iter().for_each(|input| node.handle(input, now));
    let view = View { pair: node.view(now), devices: paths.iter().map(|path| path.view(now)).collect() };
    let shared = Arc::new(Shared::new(view));
    let peer = Peer { commands, shared: shared.clone(), line };
    let (waiting, next_publish, ended) = (None, now, false);
    let thread = Thread { node, role, keys, paths, behind, inbox, hands, shared, waiting, next_publish, ended };
    Ok((peer, thread.spawn()?))
}

fn paths(ways: Vec<Way>, commands: &Commands) -> io::Result<Vec<Path>> {
    let path = |(path, way): (PathId, Way)| {
        let name = way.to_string();
        Ok(Path::new(name, keeper::start(path, way, commands.clone())?))
    };
    (0..).zip(ways).map(path).collect()
}

impl Peer {
    /// Lets the node know something, or has it do something. Does not wait.
    ///
    /// # Errors
    /// The thread takes no commands now.
    pub fn tell(&self, input: Input) -> Result<(), NotTaken> {
        self.commands.send(Command::Input(input, None))
    }

    /// Has the node do something that is answered ([`Input::Handover`], [`Input::Stop`], [`Input::Restart`]), and waits for what
    /// comes of it. The node itself limits how long that takes.
    ///
    /// # Errors
    /// The thread takes no commands now, or has ended.
    pub async fn ask(&self, input: Input) -> Result<Outcome, NotTaken> {
        let (answer, outcome) = oneshot::channel();
        self.commands.send(Command::Input(input, Some(answer)))?;
        outcome.await.map_err(|_| NotTaken)
    }

    /// Replaces the keys.
    ///
    /// # Errors
    /// The thread takes no commands now.
    pub fn set_keys(&self, keys: Keys) -> Result<(), NotTaken> {
        self.commands.send(Command::Keys(keys))
    }

    /// Replaces the options, as far as they may change without a restart.
    ///
    /// # Errors
    /// The thread takes no commands now.
    pub fn set_options(&self, options: Options) -> Result<(), NotTaken> {
        self.commands.send(Command::Options(options))
    }

    /// The serial line for the scheduling table: for the first who takes it, and where there is one with room beside its heartbeats.
    #[must_use]
    pub fn take_line(&self) -> Option<Line> {
        behind::take(&self.line)
    }

    /// How the pair is: at most a tenth of a second old.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.shared.view()
    }

    /// When the thread last came round, on the clock of [`clock::now`]. It does so each tenth of a second at least.
    #[must_use]
    pub fn turned(&self) -> Micros {
        self.shared.turned()
    }

    /// What the host did not let the thread have, each in one line that says what to do.
    #[must_use]
    pub fn handicaps(&self) -> Vec<String> {
        self.shared.handicaps()
    }

    /// Has the thread end. The data plane stays as it is told by then.
    ///
    /// # Errors
    /// The thread takes no commands now, or has ended.
    pub fn end(&self) -> Result<(), NotTaken> {
        self.commands.send(Command::End)
    }
}
