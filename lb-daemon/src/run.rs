//! `lbd run`: puts the parts together and keeps them going until a signal ends it.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use lb_config::logging;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{self, MissedTickBehavior};
use tracing::{info, warn};

use crate::config::{Config, Settings};
use crate::dataplane::{self, Adoption, Dataplane};
use crate::engine::{Engine, Handle, Linux, Parts, TICK};
use crate::lock::Lock;
use crate::next_hop::{NextHops, Timing, Update};
use crate::{api, preflight};

/// How long requests that have begun may take to end at a stop.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// Most next hops that are written to the maps at once.
const NEXT_HOP_BATCH: usize = 64;

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// It cannot start: the configuration is wrong, a privilege is missing, another lbd runs, or the kernel refuses.
pub fn run(config_path: &Path) -> anyhow::Result<()> {
    // A reload and the status name the same file, wherever they look from.
    let config_path = &std::path::absolute(config_path).context("cannot tell where the configuration file is")?;
    let config = Config::load(config_path)?;
    logging::start(config.settings.log);
    info!("lbd {} starts with {}", env!("CARGO_PKG_VERSION"), config_path.display());
    preflight::check_privileges()?;
    let _locks = take_locks(&config.settings)?;
    let (dataplane, adoption) = open_dataplane(&config.settings)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the event loop")?;
    runtime.block_on(serve(config_path, config, dataplane, adoption))
}

fn take_locks(settings: &Settings) -> anyhow::Result<(Lock, Lock)> {
    let run_dir = Lock::take(&settings.run_dir, "run_dir")?;
    let bpf_dir = Lock::take(&settings.bpf_dir, "bpf_dir")?;
    Ok((run_dir, bpf_dir))
}

fn open_dataplane(settings: &Settings) -> anyhow::Result<(Dataplane, Adoption)> {
    let options = dataplane::Options {
        pin_dir: Some(settings.bpf_dir.clone()),
        // Ids are below it, and id 0 is no real.
        max_reals: settings.limits.reals + 1,
        max_flows: settings.limits.flows,
        debug_log: settings.bpf_log,
    };
    Dataplane::open(&options).context("cannot set the XDP program up")
}

async fn serve(config_path: &Path, config: Config, dataplane: Dataplane, adoption: Adoption) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let (next_hops, updates) = NextHops::start(Vec::new(), Timing::default())?;
    let next_hops = Arc::new(next_hops);
    let watcher = next_hops.clone();
    let settings = config.settings.clone();
    let engine = Engine::start(Parts {
        config_path: config_path.to_owned(),
        config,
        forwarder: Box::new(dataplane),
        adoption,
        host: Box::new(Linux),
        watcher: Box::new(move |watches| watcher.watch(watches)),
    })?;
    let socket_path = settings.socket();
    let socket = api::bind(&socket_path, settings.api_group.as_ref())
        .with_context(|| format!("cannot make the API's socket {}", socket_path.display()))?;
    let (engine, thread) = Handle::spawn(engine).context("cannot start the engine's thread")?;
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(api::serve(socket, engine.clone(), stopped));
    let feeder = tokio::spawn(feed(engine.clone(), updates));
    let outcome = keep_going(&engine, &mut signals).await;
    notify(&[NotifyState::Stopping]);
    stop_all(engine, stop, server, feeder, thread).await?;
    outcome
}

/// Ticks and obeys signals until one says stop.
async fn keep_going(engine: &Handle, signals: &mut Signals) -> anyhow::Result<()> {
    let mut ticks = time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ready_told = false;
    loop {
        tokio::select! {
            _ = ticks.tick() => engine.call(Engine::tick).await?,
            _ = signals.hangup.recv() => reload(engine).await?,
            _ = signals.terminate.recv() => return Ok(()),
            _ = signals.interrupt.recv() => return Ok(()),
        }
        if !ready_told && engine.call(|engine| engine.is_ready()).await? {
            ready_told = true;
            notify(&[NotifyState::Ready]);
        }
    }
}

async fn reload(engine: &Handle) -> anyhow::Result<()> {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
    // The engine logs what comes of it.
    let _ = engine.call(Engine::reload).await?;
    notify(&[NotifyState::Ready]);
    Ok(())
}

/// Carries next hops to the engine, as many at once as have come.
async fn feed(engine: Handle, mut updates: mpsc::Receiver<Update>) {
    let mut batch = Vec::with_capacity(NEXT_HOP_BATCH);
    while updates.recv_many(&mut batch, NEXT_HOP_BATCH).await > 0 {
        let batch = std::mem::take(&mut batch);
        if engine.call(move |engine| engine.set_next_hops(batch)).await.is_err() {
            return;
        }
    }
}

async fn stop_all(
    engine: Handle,
    stop: watch::Sender<bool>,
    mut server: JoinHandle<std::io::Result<()>>,
    feeder: JoinHandle<()>,
    thread: thread::JoinHandle<()>,
) -> anyhow::Result<()> {
    // Nobody listens any more when the server has ended by itself.
    let _ = stop.send(true);
    if time::timeout(STOP_PATIENCE, &mut server).await.is_err() {
        server.abort();
        warn!("requests that did not end were cut off");
    }
    feeder.abort();
    let engine_stopped = engine.call(Engine::stop).await;
    drop(engine);
    if engine_stopped.is_err() && thread.join().is_err() {
        anyhow::bail!(
            "the engine has failed; the XDP program goes on as it was, and the log above says where it failed"
        );
    }
    Ok(())
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }
}

/// Tells systemd, if it started us.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("systemd could not be told: {error}");
    }
}
