//! Runs everything that keeps checkpoints, and has it follow the pair: who serves leads, who does not follows.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lb_core::auth::Keys;
use lb_core::checkpoint::ledger::NotInSync;
use lb_core::checkpoint::{Entry, Origin, Sequence};
use lb_core::pair::view::Level;
use lb_core::pair::{Epoch, Input, Role, Service, State};
use lb_store::Restored;
use tokio::runtime::Handle as Runtime;
use tokio::task::{self, JoinSet};
use tokio::time;
use tracing::{info, warn};

use super::commit::{self, Committer, Everything, unix_ms};
use super::control::Control;
use super::flows::Listener;
use super::hub::Hub;
use super::line;
use super::pace::{Known, Pace};
use super::pieces;
use super::prepare::Prepared;
use super::stream::{self, Stream};
use crate::api::CheckpointControl;
use crate::config::{PairSettings, UdpWay, Way};
use crate::dataplane::FlowTable;
use crate::engine::{Engine, Handle, Snapshot, Stopped};
use crate::peer::{self, Peer};

/// How often it is looked who serves. Nothing waits for it: packets are forwarded by then.
const LOOK: Duration = Duration::from_millis(20);
/// How soon after one another two changes of what the peer has are told, at the soonest.
const SETTLE: Duration = Duration::from_millis(10);
/// How often the pair is told whether the peer has everything, if that does not change.
const REPEAT: Duration = Duration::from_secs(1);
/// How often flows are counted.
const COUNT: Duration = Duration::from_secs(1);
/// How long the last commit may take at a stop.
const PATIENCE: Duration = Duration::from_secs(3);

/// Who this node is.
pub enum Who {
    /// It has no peer.
    Solo,
    /// One of a pair.
    Paired {
        /// The heartbeats.
        peer: Peer,
        /// The pair's settings.
        settings: Box<PairSettings>,
        /// The generation of this start.
        boot: u32,
    },
}

/// Everything that keeps checkpoints.
pub struct Keeper {
    listener: Listener,
    committer: Arc<Committer>,
    control: Arc<Control>,
    tasks: JoinSet<()>,
}

/// What the parts of a keeper share.
pub(super) struct Common {
    pub(super) hub: Arc<Hub>,
    pub(super) engine: Handle,
    pub(super) table: Arc<FlowTable>,
    /// Whom the engine follows.
    pub(super) followed: Mutex<Option<Origin>>,
    /// Whom this node followed before it led, and how far.
    pub(super) succeeded: Mutex<Option<(Origin, Sequence)>>,
    /// Flows that the flow table remembers, as the engine counted them last.
    pub(super) flows: AtomicU64,
    /// What goes over the serial line.
    pub(super) line: line::Told,
}

/// What this node is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    Lead(Epoch),
    Follow,
}

impl Keeper {
    /// Starts everything. Must be called inside the runtime.
    ///
    /// # Errors
    /// A thread cannot be had.
    pub async fn start(prepared: Prepared, engine: &Handle, who: Who) -> anyhow::Result<Self> {
        let Prepared { settings, keys, hub, store, events, table, found, .. } = prepared;
        let common = Arc::new(Common {
            hub: hub.clone(),
            engine: engine.clone(),
            table,
            followed: Mutex::new(None),
            succeeded: Mutex::new(None),
            flows: AtomicU64::new(0),
            line: line::Told::default(),
        });
        let listener = Listener::start(Box::new(events), hub.clone());
        let listener = listener.context("cannot read the flow events")?;
        let committer = Committer::start(commit::Parts {
            store,
            hub: hub.clone(),
            gather: gather(common.clone()),
            pace: Pace::new(&hub, known(common.clone())),
            inherit: settings.place.is_shared().then(|| inherit(common.clone())),
        });
        let committer = Arc::new(committer.context("cannot start the checkpoints' thread")?);
        let mut tasks = JoinSet::new();
        tasks.spawn(count_flows(common.clone()));
        let cluster = settings.cluster_id();
        let stream = match who {
            Who::Solo => {
                let boot = u32::try_from(unix_ms() / 1_000).unwrap_or(u32::MAX);
                common.lead(Origin { cluster, owner: Role::Primary, boot, epoch: 0 }).await?;
                None
            }
            Who::Paired { peer, settings: pair, boot } => {
                let me = stream::Me { cluster, role: pair.role, boot };
                tasks.spawn(duties(common.clone(), peer.clone(), me));
                tasks.spawn(carried(hub.clone(), peer.clone()));
                if let Some(line) = peer.take_line() {
                    tasks.spawn(line::carry(common.clone(), peer.clone(), line, me));
                }
                let options = stream::Options { me, keys: Arc::new(keys.clone()), paths: udp_paths(&pair) };
                let stream = Arc::new(stream::spawn(options, common.clone()));
                tasks.spawn(paths(stream.clone(), peer, pair));
                Some(stream)
            }
        };
        let keys = Arc::new(Mutex::new(Arc::new(keys)));
        tasks.spawn(take_settings(hub, committer.clone(), stream.clone(), keys.clone()));
        let counts = listener.counts();
        let committed = committer.clone();
        let control = Control { common, keys, committer: committed, counts, stream, found };
        let control = Arc::new(control);
        Ok(Self { listener, committer, control, tasks })
    }

    /// For the API.
    #[must_use]
    pub fn control(&self) -> Arc<dyn CheckpointControl> {
        self.control.clone()
    }

    /// Ends everything, after a last commit; unless the disk takes too long.
    pub async fn end(self) {
        let Self { listener, committer, control, mut tasks } = self;
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
        drop(control);
        let ended = task::spawn_blocking(move || {
            listener.end();
            if let Some(committer) = Arc::into_inner(committer) {
                committer.end();
            }
        });
        if time::timeout(PATIENCE, ended).await.is_err() {
            warn!("checkpoints: the disk takes too long; the last one is not on it");
        }
    }
}

fn udp_paths(pair: &PairSettings) -> Vec<UdpWay> {
    let udp = |way: &Way| if let Way::Udp(way) = way { Some(way.clone()) } else { None };
    pair.paths.iter().filter_map(|path| udp(&path.way)).collect()
}

/// Tells the thread that commits how many flows there are.
fn known(common: Arc<Common>) -> Known {
    Box::new(move || common.flows())
}

/// Gives the thread that commits everything for a snapshot.
fn gather(common: Arc<Common>) -> commit::Gather {
    let runtime = Runtime::current();
    Box::new(move || {
        let (snapshot, (origin, sequence)) = runtime.block_on(common.snapshot()).ok()??;
        let Snapshot { entries, generation, .. } = snapshot;
        let mut pieces = pieces::all(entries, common.table.clone());
        let parts = Box::new(std::iter::from_fn(move || pieces.blocking_recv()));
        Some(Everything { origin, sequence, generation, parts })
    })
}

/// Takes in what the owner before this node has written to a disk that both have, after the last that it could tell.
fn inherit(common: Arc<Common>) -> commit::Inherit {
    let runtime = Runtime::current();
    Box::new(move |left| {
        let Restored { origin, sequence, image, .. } = left;
        if !common.succeeded().is_some_and(|(before, until)| before == origin && until < sequence) {
            return;
        }
        let mut flows = 0;
        for entry in image.entries().filter(|entry| matches!(entry, Entry::Remembered(_))) {
            match runtime.block_on(common.take_last_words(origin, vec![entry])) {
                Ok(new) => flows += new,
                Err(error) => return warn!("checkpoints: what the shared disk has cannot be taken over: {error}"),
            }
        }
        info!("checkpoints: the shared disk had more than the peer could tell: {flows} flows");
    })
}

impl Common {
    /// The table, and the batch after which it was so.
    pub(super) async fn snapshot(&self) -> Result<Option<(Snapshot, (Origin, Sequence))>, Stopped> {
        let hub = self.hub.clone();
        let take = move |engine: &mut Engine| {
            let held = hub.look(|ledger, _| ledger.held())?;
            Some((engine.checkpoint_all(), held))
        };
        self.engine.call(take).await
    }

    /// This node says what the table is, from now on.
    pub(super) async fn lead(&self, origin: Origin) -> Result<(), Stopped> {
        let hub = self.hub.clone();
        let lead = move |engine: &mut Engine| {
            let (held, sync) = hub.look(|ledger, now| (ledger.held(), ledger.sync(now)));
            engine.lead();
            hub.change(|ledger, _| ledger.lead(origin));
            (held, sync)
        };
        // Whom it followed is kept: that one's last words are still to come.
        let (held, sync) = self.engine.call(lead).await?;
        *lock(&self.succeeded) = held;
        info!("checkpoints: leads (epoch {}), {}", origin.epoch, begins(held.is_some(), sync));
        Ok(())
    }

    async fn follow(&self) -> Result<(), Stopped> {
        self.hub.change(|ledger, _| ledger.follow());
        self.engine.call(|engine| engine.wait_for_owner()).await
    }

    /// Flows that the flow table remembers, some seconds ago.
    pub(super) fn flows(&self) -> u64 {
        self.flows.load(Ordering::Relaxed)
    }

    fn succeeded(&self) -> Option<(Origin, Sequence)> {
        *lock(&self.succeeded)
    }

    pub(super) fn followed(&self) -> MutexGuard<'_, Option<Origin>> {
        lock(&self.followed)
    }
}

/// What a node begins to lead with, for the log: whether flows may break.
fn begins(has_followed: bool, sync: Result<(), NotInSync>) -> String {
    match sync {
        Ok(()) if has_followed => "with all that had come from the active node".to_owned(),
        Err(why @ (NotInSync::Filling(_) | NotInSync::FlowsUnwritten(_) | NotInSync::NoOwner(_))) => {
            format!("with what it had when it found: {why}")
        }
        Ok(()) | Err(_) => "with what it knew itself".to_owned(),
    }
}

pub(super) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the node's state wants of it. One that gives the VIPs up goes on with what it did.
fn duty_of(state: State, service: Service, epoch: Epoch) -> Option<Duty> {
    match state {
        State::Active => Some(Duty::Lead(epoch)),
        State::TakingOver if service == Service::Serving => Some(Duty::Lead(epoch)),
        State::Starting | State::Standby | State::Fenced => Some(Duty::Follow),
        State::TakingOver | State::Yielding => None,
    }
}

/// Leads or follows as the node does.
async fn duties(common: Arc<Common>, peer: Peer, me: stream::Me) {
    let mut current = None;
    loop {
        let wanted = {
            let view = peer.view();
            duty_of(view.pair.state, view.pair.lease.service, view.pair.epoch)
        };
        if let Some(duty) = wanted.filter(|duty| current != Some(*duty)) {
            let stream::Me { cluster, role, boot } = me;
            let done = match duty {
                Duty::Lead(epoch) => common.lead(Origin { cluster, owner: role, boot, epoch }).await,
                Duty::Follow => common.follow().await,
            };
            if done.is_err() {
                return;
            }
            current = wanted;
        }
        time::sleep(LOOK).await;
    }
}

/// Takes over what a reload has changed: the interval, the most bytes on disk, and the keys of the stream, of the disk and of what is verified.
async fn take_settings(
    hub: Arc<Hub>,
    committer: Arc<Committer>,
    stream: Option<Arc<Stream>>,
    keys: Arc<Mutex<Arc<Keys>>>,
) {
    let mut settings = hub.settings();
    while settings.changed().await.is_ok() {
        let now = settings.borrow_and_update().clone();
        let read = peer::read_keys(&now.key_file);
        let read = read.inspect_err(|error| warn!("checkpoints: the keys in use stay: {error:#}")).ok();
        committer.take_settings(read.clone(), now.max_size);
        let Some(read) = read.map(Arc::new) else { continue };
        *lock(&keys) = read.clone();
        if let Some(stream) = &stream {
            stream.set_keys(read);
        }
    }
}

/// Asks the engine for the count of flows now and then, so that who looks waits for nobody.
async fn count_flows(common: Arc<Common>) {
    while let Ok(flows) = common.engine.call(|engine| engine.flow_count()).await {
        common.flows.store(flows, Ordering::Relaxed);
        time::sleep(COUNT).await;
    }
}

/// Tells the stream which paths are down.
async fn paths(stream: Arc<Stream>, peer: Peer, pair: Box<PairSettings>) {
    let interfaces: Vec<Option<String>> = pair.paths.iter().map(|path| interface_of(&path.way)).collect();
    loop {
        let view = peer.view();
        let levels = view.pair.paths.iter().map(|path| path.level);
        let paths: Vec<(Level, &str)> =
            levels.zip(&interfaces).filter_map(|(level, interface)| Some((level, interface.as_deref()?))).collect();
        stream.set_down(down(&paths));
        time::sleep(LOOK).await;
    }
}

fn interface_of(way: &Way) -> Option<String> {
    if let Way::Udp(way) = way { Some(way.interface.clone()) } else { None }
}

/// The interfaces of the paths that are down, where the stream could go by another one.
fn down(paths: &[(Level, &str)]) -> BTreeSet<String> {
    if !paths.iter().any(|(level, _)| *level == Level::Up) {
        return BTreeSet::new();
    }
    let down = paths.iter().filter(|(level, _)| *level == Level::Down);
    down.map(|(_, interface)| (*interface).to_owned()).collect()
}

/// Tells the pair whether the peer has all that the active node has learned.
async fn carried(hub: Arc<Hub>, peer: Peer) {
    let mut changes = hub.changes();
    let mut told = None;
    loop {
        let carried = hub.look(|ledger, now| ledger.sync(now).is_ok());
        if is_to_be_told(told, carried, Instant::now()) && peer.tell(Input::Carried(carried)).is_ok() {
            told = Some((carried, Instant::now()));
        }
        // Time alone makes a follower late, too.
        let _ = time::timeout(LOOK, changes.changed()).await;
        time::sleep(SETTLE).await;
    }
}

/// Each change is told, and each second what has not changed.
fn is_to_be_told(told: Option<(bool, Instant)>, carried: bool, now: Instant) -> bool {
    told.is_none_or(|(before, at)| before != carried || now.duration_since(at) >= REPEAT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_given_up_where_another_one_is_up() {
        let down = |paths: &[(Level, &str)]| down(paths).into_iter().collect::<Vec<_>>();
        assert_eq!(down(&[(Level::Down, "eth0"), (Level::Up, "eth1")]), ["eth0"]);
        assert!(down(&[(Level::Up, "eth0"), (Level::Unknown, "eth1")]).is_empty());
        assert!(down(&[(Level::Down, "eth0"), (Level::Down, "eth1")]).is_empty(), "there is no better one");
        assert!(down(&[(Level::Down, "eth0"), (Level::Unknown, "eth1")]).is_empty());
    }

    #[test]
    fn who_serves_leads_and_who_yields_goes_on_with_it() {
        let (serving, silent) = (Service::Serving, Service::Silent);
        assert_eq!(duty_of(State::Active, serving, 7), Some(Duty::Lead(7)));
        assert_eq!(duty_of(State::TakingOver, serving, 7), Some(Duty::Lead(7)));
        assert_eq!(duty_of(State::TakingOver, silent, 7), None);
        assert_eq!(duty_of(State::Yielding, serving, 7), None);
        for state in [State::Starting, State::Standby, State::Fenced] {
            assert_eq!(duty_of(state, silent, 7), Some(Duty::Follow));
        }
    }

    #[test]
    fn what_the_peer_has_is_told_at_each_change_and_each_second() {
        let now = Instant::now();
        assert!(is_to_be_told(None, false, now));
        assert!(!is_to_be_told(Some((true, now)), true, now + REPEAT - Duration::from_millis(1)));
        assert!(is_to_be_told(Some((true, now)), true, now + REPEAT));
        assert!(is_to_be_told(Some((true, now)), false, now));
    }
}
