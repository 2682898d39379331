//! What a node of a pair has beside the engine: heartbeats, takeover, journal, and what carries news between them.

mod control;
mod deputies;
mod feed;
mod surroundings;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use lb_core::auth::Keys;
use lb_core::pair::{Answer, Input, Micros, Service, State, detection_time};
use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinSet};
use tokio::time;
use tracing::{info, warn};

use crate::api::{PairControl, words};
use crate::checkpoint::Who;
use crate::config::{PairSettings, Settings};
use crate::dataplane::{Dataplane, Jiffies, LeaseMap};
use crate::engine::Handle;
use crate::journal::{self, Journal};
use crate::peer::{self, Peer, clock};
use crate::takeover::{self, Loaded, Takeover, Trouble};
use crate::tracking::{self, Tracking};

use control::Control;
use deputies::Deputies;
use surroundings::Around;

/// Troubles that wait for the engine; further ones are lost.
const TROUBLES: usize = 64;
/// How much longer than a handover the end of this node's part may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Microseconds of a millisecond.
const US_PER_MS: Micros = 1_000;

/// New settings of the pair and its keys, after a reload.
pub(super) type Change = Option<(PairSettings, Keys)>;

/// What has to be there before the engine takes the data plane.
pub(super) struct Ground {
    lease: LeaseMap,
    jiffies: Jiffies,
    /// Id of the XDP program, where the kernel tells.
    program: Option<u32>,
    loaded: Loaded,
    keys: Keys,
}

/// Everything that runs for the pair.
pub(super) struct Pair {
    peer: Peer,
    heartbeat: JoinHandle<()>,
    takeover: Takeover,
    control: Arc<Control>,
    tasks: JoinSet<()>,
    restart: watch::Receiver<bool>,
    /// The longest that a handover may take.
    limit: Duration,
    /// This start's generation.
    boot: u32,
}

/// Has the data plane silent until the pair's node says otherwise, or goes on where an announced restart left it. A solo node's
/// serves.
///
/// # Errors
/// The lease cannot be kept.
pub(super) fn prepare(
    settings: &Settings,
    keys: Option<Keys>,
    dataplane: &mut Dataplane,
) -> anyhow::Result<Option<Ground>> {
    let lease = dataplane.lease_map().context("cannot keep the lease")?;
    let Some(keys) = keys else {
        lease.store_solo();
        return Ok(None);
    };
    let loaded = takeover::load(&settings.state_dir, clock::now());
    if let Some(problem) = &loaded.problem {
        warn!("pair file: {problem}");
    }
    if loaded.memory.resume_until.is_none() {
        lease.store(Service::Silent, 0);
    }
    let jiffies = dataplane.jiffies().context("cannot keep the lease")?;
    let program = dataplane.program_id();
    Ok(Some(Ground { lease, jiffies, program, loaded, keys }))
}

impl Pair {
    /// Starts everything.
    ///
    /// # Errors
    /// A thread or a socket cannot be had.
    pub(super) async fn start(
        ground: Ground,
        pair: &PairSettings,
        state_dir: &Path,
        engine: &Handle,
        changes: watch::Receiver<Change>,
    ) -> anyhow::Result<Self> {
        let Ground { lease, jiffies, program, loaded, keys } = ground;
        say_detection(pair);
        let boot = loaded.boot;
        let (jobs, queue) = takeover::channel();
        let (troubles, troubles_told) = mpsc::channel(TROUBLES);
        let journal = journal(pair, boot, state_dir, troubles.clone()).context("cannot start the journal")?;
        // A daemon that goes on in the place of another one does not look.
        let is_clear = Arc::new(AtomicBool::new(!pair.duplicate_detection || loaded.memory.resume_until.is_some()));
        let hands = Box::new(Deputies::new(lease, jiffies, jobs.clone(), journal.clone(), is_clear.clone()));
        let owns = hands.owns();
        let ways = pair.paths.iter().map(|path| path.way.clone()).collect();
        let (tracking, mut fitness) = start_tracking(tracking::Settings::of(pair, program)).await?;
        let first = first_of(&mut fitness).await;
        let parts = peer::Parts { options: pair.options(boot), memory: loaded.memory, keys, ways, first, hands };
        let (peer, heartbeat) = peer::start(parts).context("cannot start the heartbeats")?;
        let around = Arc::new(Around { peer: peer.clone(), engine: engine.clone(), troubles, owns, is_clear });
        let state_dir = state_dir.to_owned();
        let takeover = start_takeover(takeover::Settings::of(pair, program), loaded, state_dir, queue, around).await?;
        let (restarting, restart) = watch::channel(false);
        let control = Arc::new(Control::new(peer.clone(), jobs.clone(), journal, restarting));
        let mut tasks = JoinSet::new();
        tasks.spawn(feed::troubles(engine.clone(), troubles_told));
        tasks.spawn(feed::facts(engine.clone(), peer.clone(), pair.path_options()));
        tasks.spawn(feed::fitness(peer.clone(), fitness));
        tasks.spawn(feed::health(engine.clone(), tracking.clone()));
        tasks.spawn(feed::changes(feed::Users { peer: peer.clone(), jobs, tracking, boot, program }, changes));
        let limit = pair.handover_timeout + pair.drain + PATIENCE;
        Ok(Self { peer, heartbeat, takeover, control, tasks, restart, limit, boot })
    }

    /// For the API.
    pub(super) fn control(&self) -> Arc<dyn PairControl> {
        self.control.clone()
    }

    /// Who this node is, for those who keep checkpoints.
    pub(super) fn who(&self, settings: &PairSettings) -> Who {
        Who::Paired { peer: self.peer.clone(), settings: Box::new(settings.clone()), boot: self.boot }
    }

    /// What the node is, for systemd; and whether it knows its place.
    ///
    /// # Errors
    /// There are no heartbeats any more. The node is silent, and its peer takes over: a new start is needed.
    pub(super) fn status(&self) -> anyhow::Result<(String, bool)> {
        anyhow::ensure!(!self.heartbeat.is_finished(), "the heartbeat thread has failed; the log above says where");
        let view = self.peer.view();
        let state = view.pair.state;
        Ok((format!("{}, epoch {}", words::state(state), view.pair.epoch), state != State::Starting))
    }

    /// How long ago the heartbeat thread last came round.
    pub(super) fn heartbeat_age(&self) -> Duration {
        Duration::from_micros(clock::now().saturating_sub(self.peer.turned()))
    }

    /// Returns when this daemon shall end, since a successor is about to go on in its place.
    pub(super) async fn restart_wanted(&self) {
        let mut restart = self.restart.clone();
        if restart.wait_for(|wanted| *wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Moves the VIPs to the peer, where it can take them, unless a successor goes on in this daemon's place.
    pub(super) async fn hand_over(&self) {
        if *self.restart.borrow() {
            return;
        }
        match time::timeout(self.limit, self.peer.ask(Input::Stop)).await {
            Ok(Ok(outcome)) => match outcome.answer {
                Answer::Done => {}
                Answer::Refused(why) => warn!("the VIPs stay with nobody: {why}"),
            },
            Ok(Err(error)) => warn!("the VIPs could not be handed over: {error}"),
            Err(_) => warn!("the VIPs could not be handed over within {:?}", self.limit),
        }
    }

    /// Ends everything, after what has been asked for is done.
    pub(super) async fn end(self) {
        let Self { peer, heartbeat, takeover, control, mut tasks, .. } = self;
        if let Err(error) = peer.end() {
            warn!("{error}");
        }
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
        drop(control);
        let joined = task::spawn_blocking(move || {
            let failed = heartbeat.join().is_err();
            takeover.join();
            failed
        });
        match time::timeout(PATIENCE, joined).await {
            Ok(Ok(false)) => {}
            Ok(_) => warn!("the heartbeat thread has failed; the log above says where"),
            Err(_) => warn!("the takeover does not end; what it has not done stays undone"),
        }
    }
}

fn say_detection(pair: &PairSettings) {
    let (min, mean, max) = detection_time(&pair.path_options());
    let ms = |us: Micros| us as f64 / US_PER_MS as f64;
    info!(
        "pair: a dead peer is noticed after {:.1} to {:.1} ms, {:.1} ms in the mean, by {} paths",
        ms(min),
        ms(max),
        ms(mean),
        pair.paths.len()
    );
}

fn journal(
    pair: &PairSettings,
    boot: u32,
    state_dir: &Path,
    troubles: mpsc::Sender<Trouble>,
) -> std::io::Result<Journal> {
    let tell = move |trouble| {
        // What finds the queue full is told again when it changes.
        let _ = troubles.try_send(trouble);
    };
    let paths = pair.paths.iter().map(|path| path.way.to_string()).collect();
    Journal::start(state_dir, journal::Parts { boot, paths, clock: Box::new(unix_ms), tell: Box::new(tell) })
}

/// The wall clock's time of a time of the pair's clock.
fn unix_ms(at: Micros) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    now.saturating_sub(clock::now().saturating_sub(at) / US_PER_MS)
}

/// The tracking, and what it says of this node's fitness. It waits for its sockets, which an event loop must not.
async fn start_tracking(
    settings: tracking::Settings,
) -> anyhow::Result<(Arc<Tracking>, watch::Receiver<Option<Input>>)> {
    let (told, fitness) = watch::channel(None);
    let tell = move |input| {
        told.send_replace(Some(input));
    };
    let start = move || tracking::start(settings, Arc::new(tell));
    let tracking = task::spawn_blocking(start).await?.context("cannot start the tracking")?;
    Ok((Arc::new(tracking), fitness))
}

/// The first word of this node's fitness: without it the node would claim what it cannot serve.
async fn first_of(fitness: &mut watch::Receiver<Option<Input>>) -> Vec<Input> {
    match time::timeout(PATIENCE, fitness.wait_for(Option::is_some)).await {
        Ok(Ok(first)) => first.clone().into_iter().collect(),
        Ok(Err(_)) | Err(_) => {
            warn!("pair: the tracking says nothing; this node counts as fit");
            Vec::new()
        }
    }
}

/// It waits for its sockets, as the tracking does.
async fn start_takeover(
    settings: takeover::Settings,
    loaded: Loaded,
    state_dir: PathBuf,
    queue: takeover::JobQueue,
    around: Arc<Around>,
) -> anyhow::Result<Takeover> {
    let start = move || takeover::start(settings, &loaded, &state_dir, queue, around);
    task::spawn_blocking(start).await?.context("cannot start the takeover")
}
