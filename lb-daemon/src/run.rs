//! `lbd run`: puts the parts together and keeps them going until a signal ends it.

mod watchers;

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use lb_config::lock::Lock;
use lb_config::service::{Phase, Signals, notify};
use lb_config::{keys, logging};
use lb_core::auth::Keys;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{self, MissedTickBehavior};
use tracing::{info, warn};

use crate::config::{Config, Settings};
use crate::dataplane::{self, Adoption, Dataplane};
use crate::engine::{Engine, Handle, Linux, Parts, TICK};
use crate::reports::Updates;
use crate::{api, preflight};
use watchers::{Everyone, News};

/// How long requests that have begun may take to end at a stop.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// Most pieces of news of one kind that the engine takes at once.
const BATCH: usize = 64;
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
    let config = Config::load(config_path)?;
    logging::start(config.settings.log);
    info!("lbd {} starts with {}", env!("CARGO_PKG_VERSION"), config_path.display());
    let keys = config.settings.reports.as_ref().map(|reports| keys::read(&reports.key_file)).transpose()?;
    preflight::check_privileges()?;
    let _locks = take_locks(&config.settings)?;
    let (dataplane, adoption) = open_dataplane(&config.settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.context("cannot start the event loop")?;
    let outcome = runtime.block_on(serve(config_path, config, keys, dataplane, adoption));
    runtime.shutdown_timeout(STOP_PATIENCE);
    outcome
}

fn take_locks(settings: &Settings) -> anyhow::Result<(Lock, Lock)> {
    let run_dir = Lock::take("lbd", &settings.run_dir, "run_dir")?;
    let bpf_dir = Lock::take("lbd", &settings.bpf_dir, "bpf_dir")?;
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
    let opened = Dataplane::open(&options).context("cannot set the XDP program up")?;
    if settings.pair.is_none() {
        // Whoever ran before may have been one of a pair.
        opened.0.lease_map().context("cannot set the XDP program up")?.store_solo();
    }
    Ok(opened)
}

async fn serve(
    config_path: &Path,
    config: Config,
    keys: Option<Keys>,
    dataplane: Dataplane,
    adoption: Adoption,
) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let settings = config.settings.clone();
    let (watchers, news) = Everyone::start(settings.reports.as_ref().zip(keys), &settings.state_dir)?;
    let engine = Engine::start(Parts {
        config_path: config_path.to_owned(),
        config,
        forwarder: Box::new(dataplane),
        adoption,
        host: Box::new(Linux),
        watchers: Box::new(watchers),
    })?;
    let socket_path = settings.socket();
    let socket = api::bind(&socket_path, settings.api_group.as_ref())
        .with_context(|| format!("cannot make the API's socket {}", socket_path.display()))?;
    let (engine, thread) = Handle::spawn(engine).context("cannot start the engine's thread")?;
    let (stop, stopped) = watch::channel(false);
    let served = api::Served { engine: engine.clone(), pair: None };
    let server = tokio::spawn(api::serve(socket, served, stopped));
    let feeders = feed(&engine, news);
    let outcome = keep_going(&engine, &mut signals).await;
    notify(Phase::Stopping);
    stop_all(engine, stop, server, feeders, thread).await?;
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
            notify(Phase::Ready);
        }
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
    let mut batch = Vec::with_capacity(BATCH);
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

async fn stop_all(
    engine: Handle,
    stop: watch::Sender<bool>,
    mut server: JoinHandle<std::io::Result<()>>,
    mut feeders: JoinSet<()>,
    thread: thread::JoinHandle<()>,
) -> anyhow::Result<()> {
    // Nobody listens any more when the server has ended by itself.
    let _ = stop.send(true);
    if time::timeout(STOP_PATIENCE, &mut server).await.is_err() {
        server.abort();
        warn!("requests that did not end were cut off");
    }
    feeders.abort_all();
    while feeders.join_next().await.is_some() {}
    let engine_stopped = engine.call(Engine::stop).await;
    drop(engine);
    if engine_stopped.is_err() && thread.join().is_err() {
        anyhow::bail!(
            "the engine has failed; the XDP program goes on as it was, and the log above says where it failed"
        );
    }
    Ok(())
}
