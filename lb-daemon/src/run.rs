//! `lbd run`: puts the parts together and keeps them going until a signal ends it.

mod pair;
mod watchdog;
mod watchers;

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use lb_common::DEFAULT_FLOW_EVENTS_SIZE;
use lb_config::lock::Lock;
use lb_config::service::{Phase, Signals, notify, notify_status};
use lb_config::{keys, logging};
use lb_core::auth::Keys;
use lb_core::service::Cluster;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{self, MissedTickBehavior};
use tracing::{info, warn};

use crate::checkpoint::{self, Keeper, Who};
use crate::config::{Config, Settings};
use crate::dataplane::{self, Adoption, Dataplane};
use crate::engine::{Engine, Handle, Linux, Parts, TICK};
use crate::memory::Memory;
use crate::reports::Updates;
use crate::{api, doctor, next_hop, peer, preflight, sandbox, web};
use pair::{Ground, Pair};
use watchdog::Watchdog;
use watchers::{Everyone, News};

/// How long requests that have begun may take to end at a stop.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked whether the program is attached, at the start.
const ATTACH_LOOK: Duration = Duration::from_millis(20);
/// Most pieces of news of one kind that the engine takes at once.
const BATCH: usize = 4_096;
/// Threads for API, netlink, checks and agents. One would do for the work; with two, a check that computes for long (TLS)
/// holds up neither the API nor other checks.
const WORKERS: usize = 2;

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// It cannot start: the configuration is wrong, a privilege is missing, another lbd runs, or the kernel refuses.
pub fn run(config_path: &Path) -> anyhow::Result<()> {
    // A reload and the status name the same file, wherever they look from.
    let config_path = &std::path::absolute(config_path).context("cannot tell where the configuration file is")?;
    let config = Config::load_to_start(config_path)?;
    logging::start(config.settings.log);
    doctor::remember_clocks();
    info!("lbd {} starts with {}", env!("CARGO_PKG_VERSION"), config_path.display());
    let keys = config.settings.reports.as_ref().map(|reports| keys::read(&reports.key_file)).transpose()?;
    let pair_keys = config.settings.pair.as_ref().map(|pair| peer::read_keys(&pair.key_file)).transpose()?;
    preflight::check_privileges()?;
    let _locks = take_locks(&config.settings)?;
    let reading = checkpoint::read(&config.settings)?;
    let (mut dataplane, adoption) = open_dataplane(&config.settings, &config.cluster)?;
    let ground = pair::prepare(&config.settings, pair_keys, &mut dataplane)?;
    let checkpoints = checkpoint::prepare(&config.settings, reading, &mut dataplane)?;
    // The thread that read the disk has ended: this is the only one. To adopt rings took what is given up here.
    sandbox::enter(&config, config_path)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.context("cannot start the event loop")?;
    let prepared = Prepared { config, keys, ground, dataplane, adoption, checkpoints };
    let outcome = runtime.block_on(serve(config_path, prepared));
    runtime.shutdown_timeout(STOP_PATIENCE);
    outcome
}

fn take_locks(settings: &Settings) -> anyhow::Result<(Lock, Lock)> {
    let run_dir = Lock::take("lbd", &settings.run_dir, "run_dir")?;
    let bpf_dir = Lock::take("lbd", &settings.bpf_dir, "bpf_dir")?;
    Ok((run_dir, bpf_dir))
}

fn open_dataplane(settings: &Settings, cluster: &Cluster) -> anyhow::Result<(Dataplane, Adoption)> {
    let options = dataplane::Options {
        pin_dir: Some(settings.bpf_dir.clone()),
        // Ids are below it, and id 0 is no real.
        max_reals: settings.limits.reals + 1,
        max_flows: settings.limits.flows,
        flow_events_size: flow_events_size(settings),
        debug_log: settings.bpf_log,
    };
    if !Dataplane::would_adopt(&options)? {
        Memory::of(settings, cluster).check()?;
    }
    Dataplane::open(&options).context("cannot set the XDP program up")
}

/// Where no checkpoints are kept nothing is written to it.
fn flow_events_size(settings: &Settings) -> u32 {
    settings.checkpoint.as_ref().map_or(DEFAULT_FLOW_EVENTS_SIZE, |checkpoint| checkpoint.flow_events_size)
}

/// What is there before anything runs.
struct Prepared {
    config: Config,
    /// For reports.
    keys: Option<Keys>,
    /// What the pair stands on; none for a solo node.
    ground: Option<Ground>,
    dataplane: Dataplane,
    adoption: Adoption,
    /// None where no checkpoints are kept.
    checkpoints: Option<checkpoint::Prepared>,
}

async fn serve(config_path: &Path, prepared: Prepared) -> anyhow::Result<()> {
    let Prepared { config, keys, ground, dataplane, adoption, mut checkpoints } = prepared;
    let mut signals = Signals::new()?;
    let settings = config.settings.clone();
    let tracer = dataplane.tracer().context("cannot trace packets")?;
    let wanted = dataplane.wanted_neighbours().context("cannot read which neighbours replies want")?;
    let (watchers, news) = Everyone::start(settings.reports.as_ref().zip(keys), &settings.state_dir)?;
    let engine = Engine::start(Parts {
        config_path: config_path.to_owned(),
        config,
        forwarder: Box::new(dataplane),
        adoption,
        host: Box::new(Linux),
        watchers: Box::new(watchers),
        checkpoints: checkpoints.as_mut().and_then(checkpoint::Prepared::engine_parts),
    })?;
    let socket_path = settings.socket();
    let socket = api::bind(&socket_path, api::Access::of(&settings))
        .with_context(|| format!("cannot make the API's socket {}", socket_path.display()))?;
    let (engine, thread) = Handle::spawn(engine).context("cannot start the engine's thread")?;
    let (stop, stopped) = watch::channel(false);
    let pair_changes = news.pair.clone();
    let mut feeders = feed(&engine, news);
    let pair = match (ground, &settings.pair) {
        (Some(ground), Some(pair)) => {
            wait_until_attached(&engine).await?;
            Some(Pair::start(ground, pair, &settings.state_dir, &engine, pair_changes).await?)
        }
        _ => None,
    };
    let keeper = match checkpoints {
        Some(prepared) => Some(Keeper::start(prepared, &engine, who(pair.as_ref(), &settings)).await?),
        None => None,
    };
    let served = api::Served {
        engine: engine.clone(),
        pair: pair.as_ref().map(Pair::control),
        trace: Some(api::Tracing::new(tracer, stopped.clone())),
        checkpoint: keeper.as_ref().map(Keeper::control),
        history: api::Recording::default(),
    };
    let recording = served.history.clone().keep(served.clone(), stopped.clone());
    let web = tokio::spawn(web::serve(settings.http.clone(), served.clone(), stopped.clone()));
    feeders.spawn(recording);
    feeders.spawn(next_hop::find_wanted(wanted));
    let server = tokio::spawn(api::serve(socket, served, stopped));
    let outcome = keep_going(&engine, pair.as_ref(), &mut signals).await;
    notify(Phase::Stopping);
    if let Some(pair) = &pair {
        pair.hand_over().await;
    }
    let running = Running { stop, server, web, feeders, pair, keeper, thread };
    stop_all(engine, running).await?;
    outcome
}

fn who(pair: Option<&Pair>, settings: &Settings) -> Who {
    match (pair, &settings.pair) {
        (Some(pair), Some(settings)) => pair.who(settings),
        _ => Who::Solo,
    }
}

/// Waits until the program is attached wherever it can be, which the engine gives a limit to: before, this node is not fit.
async fn wait_until_attached(engine: &Handle) -> anyhow::Result<()> {
    let attached = |engine: &mut Engine| {
        engine.tick();
        engine.is_ready()
    };
    while !engine.call(attached).await? {
        time::sleep(ATTACH_LOOK).await;
    }
    Ok(())
}

/// Ticks and obeys signals until one says stop, or a successor is about to go on.
async fn keep_going(engine: &Handle, pair: Option<&Pair>, signals: &mut Signals) -> anyhow::Result<()> {
    let mut ticks = time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watchdog = Watchdog::new();
    let mut ready_told = false;
    let mut status_told = String::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                engine.call(Engine::tick).await?;
                watchdog.tick(pair.map(Pair::heartbeat_age));
            }
            _ = signals.hangup.recv() => reload(engine).await?,
            _ = signals.terminate.recv() => return Ok(()),
            _ = signals.interrupt.recv() => return Ok(()),
            () = restart_wanted(pair) => return Ok(()),
        }
        let (status, in_place) = pair.map_or_else(|| Ok(("solo".to_owned(), true)), Pair::status)?;
        if status != status_told {
            notify_status(&status);
            status_told = status;
        }
        if !ready_told && in_place && engine.call(|engine| engine.is_ready()).await? {
            ready_told = true;
            notify(Phase::Ready);
        }
    }
}

/// A solo node has no successor to wait for.
async fn restart_wanted(pair: Option<&Pair>) {
    match pair {
        Some(pair) => pair.restart_wanted().await,
        None => std::future::pending().await,
    }
}

async fn reload(engine: &Handle) -> anyhow::Result<()> {
    notify(Phase::Reloading);
    // The engine logs what comes of it.
    let _ = engine.call(Engine::reload).await?;
    notify(Phase::Ready);
    Ok(())
}

/// Carries all news to the engine, and has it decide about weights.
fn feed(engine: &Handle, news: News) -> JoinSet<()> {
    let mut feeders = JoinSet::new();
    feeders.spawn(carry(engine.clone(), news.next_hops, Engine::set_next_hops));
    feeders.spawn(carry(engine.clone(), news.checks, |engine, results| engine.take_check_results(&results)));
    feeders.spawn(carry_reports(engine.clone(), news.reports));
    feeders.spawn(step(engine.clone()));
    feeders
}

/// Carries news of one kind, as much at once as has come.
async fn carry<T: Send + 'static>(engine: Handle, mut news: mpsc::Receiver<T>, take: fn(&mut Engine, Vec<T>)) {
    let mut batch = Vec::new();
    while news.recv_many(&mut batch, BATCH).await > 0 {
        let batch = std::mem::take(&mut batch);
        if engine.call(move |engine| take(engine, batch)).await.is_err() {
            return;
        }
    }
}

async fn carry_reports(engine: Handle, mut news: Updates) {
    while let Some(updates) = news.next().await {
        if engine.call(move |engine| engine.take_reports(&updates)).await.is_err() {
            return;
        }
    }
}

/// Has the engine decide about weights, each interval.
async fn step(engine: Handle) {
    while let Ok(interval) = engine.call(Engine::step).await {
        time::sleep(interval).await;
    }
}

/// What has to end before the engine.
struct Running {
    stop: watch::Sender<bool>,
    server: JoinHandle<std::io::Result<()>>,
    web: JoinHandle<()>,
    feeders: JoinSet<()>,
    pair: Option<Pair>,
    keeper: Option<Keeper>,
    thread: thread::JoinHandle<()>,
}

async fn stop_all(engine: Handle, running: Running) -> anyhow::Result<()> {
    let Running { stop, mut server, web, mut feeders, pair, keeper, thread } = running;
    // Nobody listens any more when the server has ended by itself.
    let _ = stop.send(true);
    if time::timeout(STOP_PATIENCE, &mut server).await.is_err() {
        server.abort();
        warn!("requests that did not end were cut off");
    }
    web.abort();
    feeders.abort_all();
    while feeders.join_next().await.is_some() {}
    if let Some(pair) = pair {
        pair.end().await;
    }
    if let Some(keeper) = keeper {
        keeper.end().await;
    }
    let engine_stopped = engine.call(Engine::stop).await;
    drop(engine);
    if engine_stopped.is_err() && thread.join().is_err() {
        anyhow::bail!(
            "the engine has failed; the XDP program goes on as it was, and the log above says where it failed"
        );
    }
    Ok(())
}
