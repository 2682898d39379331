//! `lb-agent run`: puts the parts together and keeps them going until a signal ends it.

use std::future::{Future, pending};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use lb_config::lock::Lock;
use lb_config::service::{Phase, Signals, notify};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::time::{self, Instant, Interval, MissedTickBehavior};
use tracing::info;

use crate::agent::{self, Agent};
use crate::agent_check;
use crate::config::{Config, Fixed};
use crate::control::{Socket, Wish};

/// How often the last word is said, since any datagram may be lost.
const LAST_WORDS: u32 = 3;
/// From one of them to the next.
const LAST_WORDS_GAP: Duration = Duration::from_millis(5);
/// Most wishes that wait.
const MAX_WISHES: usize = 8;

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// It cannot start: the configuration or the keys are wrong, another agent runs, or a socket cannot be had.
pub fn run(config_path: &Path) -> anyhow::Result<()> {
    // A reload reads the same file, wherever it looks from.
    let config_path = std::path::absolute(config_path).context("cannot tell where the configuration file is")?;
    let config = Config::load(&config_path)?;
    lb_config::logging::start(config.fixed.log);
    let keys = agent::read_keys(&config)?;
    let _lock = Lock::take("lb-agent", &config.fixed.run_dir, "run_dir")?;
    info!("lb-agent {} starts for {} with {}", env!("CARGO_PKG_VERSION"), config.name, config_path.display());
    run_to_end(async { serve(Agent::new(config_path, config, keys)).await })?
}

/// Runs this on an event loop of one thread, and does not wait for what is left in it: a file may hang.
pub(crate) fn run_to_end<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the event loop")?;
    let outcome = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(outcome)
}

async fn serve(mut agent: Agent) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let fixed = agent.config().fixed.clone();
    let wishes = take_wishes(&fixed)?;
    if let Some(address) = fixed.agent_check_listen {
        let listener = agent_check::listen(address);
        let listener = listener.await.with_context(|| format!("cannot listen at {address} (`agent_check_listen`)"))?;
        tokio::spawn(agent_check::serve(listener, agent.said()));
    }
    agent.report();
    notify(Phase::Ready);
    keep_going(&mut agent, &mut signals, wishes).await;
    // The event loop ends with all that runs in it, and the socket's file goes with the socket.
    Ok(())
}

fn take_wishes(fixed: &Fixed) -> anyhow::Result<mpsc::Receiver<Wish>> {
    let path = fixed.socket();
    let socket = Socket::bind(&path).with_context(|| format!("cannot make the control socket {}", path.display()))?;
    let (wishes, wished) = mpsc::channel(MAX_WISHES);
    tokio::spawn(socket.serve(wishes));
    Ok(wished)
}

/// Reports and obeys until it has stopped: at a signal it says so, and goes on for `stop_delay`. A second signal ends it.
async fn keep_going(agent: &mut Agent, signals: &mut Signals, mut wishes: mpsc::Receiver<Wish>) {
    let mut ticks = ticks(agent.config());
    let mut end = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => agent.measure_and_report(),
            Some(wish) = wishes.recv() => agent.obey(wish),
            _ = signals.hangup.recv() => {
                reload(agent);
                ticks = self::ticks(agent.config());
            }
            () = stop(&mut signals.terminate, &mut signals.interrupt) => {
                if end.is_some() {
                    return;
                }
                say_last_words(agent).await;
                end = Some(Instant::now() + agent.config().stop_delay);
            }
            () = reached(end) => return,
        }
    }
}

/// One each interval, the first one after an interval: what is measured is what happens in it.
fn ticks(config: &Config) -> Interval {
    let interval = config.report_interval;
    let mut ticks = time::interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn say_last_words(agent: &mut Agent) {
    notify(Phase::Stopping);
    info!("stops in {} ms", agent.config().stop_delay.as_millis());
    agent.begin_to_stop();
    agent.report();
    for _ in 1..LAST_WORDS {
        time::sleep(LAST_WORDS_GAP).await;
        agent.report();
    }
}

async fn reached(end: Option<Instant>) {
    match end {
        Some(end) => time::sleep_until(end).await,
        None => pending().await,
    }
}

fn reload(agent: &mut Agent) {
    notify(Phase::Reloading);
    agent.reload();
    notify(Phase::Ready);
}

/// Until a signal comes that asks for an end.
async fn stop(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
