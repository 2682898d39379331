//! The clients: sessions that begin at random instants, whatever the servers do, and ask requests of random cost.
//!
//! Which sessions begin when, and what they ask, follows from the seed alone: every policy gets the same ones.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use lb_lab::NamespaceHandle;
use rand::{RngExt as _, SeedableRng as _};
use rand_xorshift::XorShiftRng;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// Sessions that are open at once, at most: more would say that the load is too much for the servers.
const MAX_SESSIONS: usize = 4_000;
/// Shape of the Pareto distribution of a request's cost. Below 2 the tail is heavy.
const COST_SHAPE: f64 = 1.5;
/// The dearest request costs as many times the cheapest.
const COST_RANGE: f64 = 20.0;

/// What the clients do.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name in the figures.
    pub name: &'static str,
    /// Requests of a session, over one connection.
    pub requests: u32,
    /// The mean pause between two requests of a session.
    pub pause: Duration,
    /// What the agents report as hits: the requests that the server has counted, or (`None`) what an agent counts unless it
    /// is told otherwise, connections.
    pub hits: Option<&'static str>,
}

/// Pages with many parts, over connections that are kept open, as browsers do.
pub const SESSIONS: Workload =
    Workload { name: "sessions", requests: 15, pause: Duration::from_millis(300), hits: Some("/hits") };
/// A connection for each request.
pub const SINGLE: Workload = Workload { name: "single", requests: 1, pause: Duration::ZERO, hits: None };

/// A load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What the clients do.
    pub workload: Workload,
    /// Requests per second, in the mean.
    pub rate: f64,
    /// The mean CPU time that a request costs.
    pub cost: Duration,
    /// Decides everything that is random.
    pub seed: u64,
}

/// What became of the requests that were asked while it counted.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// How long each took.
    pub latencies: Vec<Duration>,
    /// Requests without a good answer.
    pub failed: u64,
    /// Why the first one failed.
    pub reason: Option<String>,
}

/// Puts the load on `target` from a namespace: for `warm_up` without counting, then for `measured`. `at_start` is called when
/// the counting begins, `at_end` when it ends; sessions that are open then are cut off.
pub fn run(
    from: &NamespaceHandle,
    target: SocketAddr,
    load: Load,
    [warm_up, measured]: [Duration; 2],
    mut at_start: impl FnMut() -> Result<()> + Send,
    mut at_end: impl FnMut() -> Result<()> + Send,
) -> Result<Outcome> {
    from.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
        runtime.block_on(async {
            let begun = Instant::now();
            let window = (begun + warm_up, begun + warm_up + measured);
            let outcome = Arc::new(Mutex::new(Outcome::default()));
            let mut sessions = JoinSet::new();
            let mut arrivals = Arrivals::new(load, begun);
            let mut counting = false;
            while let Some((at, session)) = arrivals.next().filter(|(at, _)| *at < window.1) {
                if !counting && at >= window.0 {
                    sleep_until(window.0).await;
                    at_start()?;
                    counting = true;
                }
                sleep_until(at).await;
                while sessions.try_join_next().is_some() {}
                if sessions.len() < MAX_SESSIONS {
                    sessions.spawn(session.run(target, window, outcome.clone()));
                }
            }
            sleep_until(window.1).await;
            at_end()?;
            // Who waits for an answer still gets it, so that the slowest requests count.
            let _ = timeout(PATIENCE, async { while sessions.join_next().await.is_some() {} }).await;
            sessions.abort_all();
            let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(outcome.clone())
        })
    })
}

/// The sessions, by the time when they begin.
struct Arrivals {
    load: Load,
    random: XorShiftRng,
    at: Instant,
}

impl Arrivals {
    fn new(load: Load, begun: Instant) -> Self {
        // Neighbouring seeds of this generator begin alike.
        Self { load, random: XorShiftRng::seed_from_u64(load.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)), at: begun }
    }
}

impl Iterator for Arrivals {
    type Item = (Instant, Session);

    fn next(&mut self) -> Option<Self::Item> {
        let Workload { requests, pause, .. } = self.load.workload;
        let gap = f64::from(requests) / self.load.rate;
        self.at += exponential(&mut self.random, Duration::from_secs_f64(gap));
        let asked = (0..requests).map(|n| {
            let pause = if n == 0 { Duration::ZERO } else { exponential(&mut self.random, pause) };
            (pause, cost(&mut self.random, self.load.cost))
        });
        let session = Session { requests: asked.collect() };
        Some((self.at, session))
    }
}

/// Requests over one connection: the pause before each, and the CPU time that it costs.
struct Session {
    requests: Vec<(Duration, Duration)>,
}

impl Session {
    async fn run(self, target: SocketAddr, window: (Instant, Instant), outcome: Arc<Mutex<Outcome>>) {
        let mut connection = None;
        for (pause, cost) in self.requests {
            tokio::time::sleep(pause).await;
            let begun = Instant::now();
            if begun >= window.1 {
                return;
            }
            let asked = timeout(PATIENCE, ask(&mut connection, target, cost)).await;
            let result = asked.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer in {PATIENCE:?}")));
            if begun >= window.0 {
                let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
                match &result {
                    Ok(()) => outcome.latencies.push(begun.elapsed()),
                    Err(error) => {
                        outcome.failed += 1;
                        outcome.reason.get_or_insert_with(|| format!("{error:#}"));
                    }
                }
            }
            if result.is_err() {
                return;
            }
        }
    }
}

/// One request, over the session's connection. Connecting is part of the first one's time.
async fn ask(connection: &mut Option<SendRequest<Empty<Bytes>>>, target: SocketAddr, cost: Duration) -> Result<()> {
    if connection.is_none() {
        let stream = TcpStream::connect(target).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        *connection = Some(sender);
    }
    let Some(sender) = connection else { anyhow::bail!("no connection") };
    let request = Request::get(format!("/work/{}", cost.as_micros()))
        .header(header::HOST, target.to_string())
        .body(Empty::new())?;
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    anyhow::ensure!(response.status().is_success(), "status {}", response.status());
    response.into_body().collect().await?;
    Ok(())
}

fn exponential(random: &mut XorShiftRng, mean: Duration) -> Duration {
    mean.mul_f64(-(1.0 - random.random::<f64>()).ln())
}

/// A cost from a bounded Pareto distribution of the given mean.
fn cost(random: &mut XorShiftRng, mean: Duration) -> Duration {
    let tail = 1.0 - COST_RANGE.powf(-COST_SHAPE);
    let mean_of_least = COST_SHAPE / (COST_SHAPE - 1.0) * (1.0 - COST_RANGE.powf(1.0 - COST_SHAPE)) / tail;
    let times_least = (1.0 - random.random::<f64>() * tail).powf(-1.0 / COST_SHAPE);
    mean.mul_f64(times_least / mean_of_least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_sessions_at_the_wanted_rate_and_cost() {
        let cost = Duration::from_millis(3);
        let load = Load { workload: SESSIONS, rate: 200.0, cost, seed: 7 };
        let begun = Instant::now();
        let list = |seed| -> Vec<(Instant, Vec<(Duration, Duration)>)> {
            let arrivals = Arrivals::new(Load { seed, ..load }, begun);
            arrivals.take(20_000).map(|(at, session)| (at, session.requests)).collect()
        };
        let sessions = list(7);
        assert!(sessions == list(7) && sessions != list(8));
        let seconds = sessions.last().unwrap().0.duration_since(begun).as_secs_f64();
        let requests: Vec<_> = sessions.iter().flat_map(|(_, requests)| requests).collect();
        let rate = requests.len() as f64 / seconds;
        assert!((190.0..210.0).contains(&rate), "{rate}");
        let mean = requests.iter().map(|(_, cost)| cost.as_secs_f64()).sum::<f64>() / requests.len() as f64;
        assert!((0.98..1.02).contains(&(mean / cost.as_secs_f64())), "{mean}");
    }
}
