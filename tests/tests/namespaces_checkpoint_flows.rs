//! The active node of a pair is cut off again and again while an operator changes weights all the time: no established TCP connection breaks,
//! and no flow goes to another real server than before. Needs root.
//!
//! `UNDERSTUDY_CHECKPOINT_FULL=1` makes it 2,000 connections, 100,000 synthetic flows and 10 failovers with heartbeats each 10 ms, and prints what came
//! of them (with `--nocapture`). It wants a machine that does nothing else: where the heartbeats' thread is held up, the nodes take over by themselves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use lb_lab::{Cut, Node, WebServer, wait_for};
use lb_tests::pair::{Amount, LIMIT, MovingWeights, PairSetting, PairStage, Synthetic, SyntheticFlow};
use lb_tests::stage::{HTTP, real_name};
use lb_tests::traffic::{Broken, Flows};

/// Where synthetic flows go: nobody listens.
const DISCARD: u16 = 9;
const REALS: u8 = 3;
/// Connections that are opened between one change of the weights and the next.
const OPENED_AT_ONCE: usize = 100;
/// How long two rounds of requests may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// From a flow's first data until the active node has put it into a batch for the standby, at most: it gathers flows for 2 ms, and its thread
/// may have to wait for a CPU. A younger flow is not established yet, and counted as at risk.
const GATHERING: Duration = Duration::from_millis(500);
/// What the nodes wait for and have room for, on a machine that has other things to do: a change of the table waits for the standby for as long
/// as it takes, and flows that are remembered while `lbd` waits for a CPU find room.
const CHECKPOINT: &str = "[checkpoint]\nwrite_ahead_timeout = \"5s\"\nflow_events_size = \"16MiB\"\n";

/// How much there is of everything.
struct Scale {
    connections: usize,
    flows: usize,
    failovers: usize,
    /// Tb and n.
    heartbeat_ms: u32,
    missed_limit: u32,
}

impl Scale {
    fn get() -> Scale {
        match std::env::var_os("UNDERSTUDY_CHECKPOINT_FULL") {
            Some(_) => Scale { connections: 2_000, flows: 100_000, failovers: 10, heartbeat_ms: 10, missed_limit: 3 },
            // As the other tests have it: a busy machine is no dead peer.
            None => Scale { connections: 300, flows: 10_000, failovers: 3, heartbeat_ms: 40, missed_limit: 15 },
        }
    }
}

#[test]
fn nothing_that_was_established_breaks_when_the_active_node_is_cut_off_again_and_again() -> Result<()> {
    let scale = Scale::get();
    let stage = PairStage::set_as(PairSetting {
        reals: REALS,
        heartbeat_ms: scale.heartbeat_ms,
        missed_limit: scale.missed_limit,
        more: CHECKPOINT.to_string(),
        services: vec![("web", "tcp", HTTP), ("discard", "tcp", DISCARD)],
    })?;
    let _web = start_web(&stage)?;
    stage.be_known()?;
    let weights = stage.move_weights(0);
    let amount = Amount { first: scale.flows, most: 2 * scale.flows };
    let synthetic = stage.synthetic(DISCARD, amount, 0)?;
    let connections = open(&stage, &weights, scale.connections)?;
    synthetic.wait_for_flows(scale.flows).with_context(|| stage.story())?;
    stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
    let mut cuts = Vec::new();
    for _ in 0..scale.failovers {
        cuts.push(fail_over(&stage, &weights, &synthetic, &connections)?);
    }
    let changes = weights.stop()?;
    let (flows, rounds) = (synthetic.stop()?, connections.rounds());
    let broken = connections.stop()?;
    let verdict = Verdict::of(&flows, &cuts);
    println!(
        "{} failovers, {changes} changes of weights; {} of {} connections broke in {rounds} rounds of requests; of {} synthetic flows {} \
         that were established went elsewhere, {} were at risk, of which {} went elsewhere; the standby lagged by {:?}",
        cuts.len(),
        broken.len(),
        scale.connections,
        flows.len(),
        verdict.broken.len(),
        verdict.at_risk,
        verdict.at_risk_moved,
        cuts.iter().map(|cut| cut.at - cut.acked).collect::<Vec<_>>(),
    );
    ensure!(changes as usize > scale.failovers, "weights have hardly moved: {changes} changes");
    ensure!(verdict.at_risk < flows.len() / 2, "most flows were at risk: nothing is tested");
    ensure!(broken.is_empty(), "{} connections broke: {:?}", broken.len(), &broken[..broken.len().min(5)]);
    let some = &verdict.broken[..verdict.broken.len().min(5)];
    ensure!(some.is_empty(), "{} flows went to another real server, cuts at {cuts:?}: {some:?}", verdict.broken.len());
    Ok(())
}

/// When the active node was cut off.
#[derive(Clone, Copy, Debug)]
struct CutOff {
    at: Instant,
    /// The standby had applied what the active node had told it before this, as it said just before the cut.
    acked: Instant,
}

/// Cuts the active node off, waits until the other one serves every flow, and until the first one is back
/// and in sync.
fn fail_over(
    stage: &PairStage,
    weights: &MovingWeights,
    synthetic: &Synthetic,
    connections: &Connections,
) -> Result<CutOff> {
    let owner = stage.wait_for_any_owner()?;
    let standby = 1 - owner;
    let acked = acked(&stage.nodes[owner])?;
    let at = Instant::now();
    stage.network.cut(&Cut::node(owner))?;
    stage.nodes[standby].wait_for_state("active")?;
    synthetic.aim(stage.network.mac(standby)?);
    weights.follow(standby);
    stage.wait_to_be_known(standby)?;
    synthetic.wait_for_round().with_context(|| stage.story())?;
    connections.wait_for_round()?;
    stage.network.mend(&Cut::node(owner))?;
    stage.wait_for_owner(standby)?;
    stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
    Ok(CutOff { at, acked })
}

/// Up to when the standby has acked everything, by the active node's own record.
fn acked(node: &Node) -> Result<Instant> {
    let asked = Instant::now();
    let shown = node.checkpoint()?;
    let lag_ms = shown["stream"]["lag_ms"].as_f64().with_context(|| format!("no lag in {shown}"))?;
    asked.checked_sub(Duration::from_secs_f64(lag_ms / 1e3)).context("the lag is longer than this host is up")
}

fn start_web(stage: &PairStage) -> Result<Vec<WebServer>> {
    let network = &stage.network;
    let start = |(index, real)| WebServer::start(&network.run, real, &real_name(index), &[HTTP]);
    (0..).zip(&network.reals).map(start).collect()
}

/// Opens connections, some at each of many weights, so that their slots have moved in between; and has all of them ask all the time.
fn open(stage: &PairStage, weights: &MovingWeights, count: usize) -> Result<Connections> {
    let client = stage.network.client.handle();
    let address = stage.network.plan.client_address().into();
    let service = SocketAddr::new(stage.network.plan.vip_v4(0).into(), HTTP);
    let mut flows = Vec::new();
    for _ in 0..count.div_ceil(OPENED_AT_ONCE) {
        flows.push(Flows::open(&client, address, service, OPENED_AT_ONCE)?);
        let changes = weights.changes();
        wait_for("weights to move", LIMIT, || Ok((weights.changes() > changes).then_some(())))?;
    }
    Ok(Connections::ask(flows))
}

/// Connections that ask all the time, and must always be answered by the same real server.
struct Connections {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    thread: JoinHandle<Result<Vec<Broken>>>,
}

impl Connections {
    fn ask(mut flows: Vec<Flows>) -> Connections {
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (seen, count) = (stop.clone(), rounds.clone());
        let thread = std::thread::spawn(move || {
            let mut broken = Vec::new();
            while !seen.load(Ordering::Relaxed) {
                for flows in &mut flows {
                    broken.extend(flows.ask_all()?);
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(broken)
        });
        Connections { stop, rounds, thread }
    }

    fn rounds(&self) -> usize {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Waits until each connection has asked anew.
    fn wait_for_round(&self) -> Result<()> {
        let wanted = self.rounds() + 2;
        wait_for("all connections to be answered", ANSWER_LIMIT, || Ok((self.rounds() >= wanted).then_some(())))
    }

    /// Ends it, and says which have broken.
    fn stop(self) -> Result<Vec<Broken>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the thread of the connections has panicked"))?
    }
}

/// What has become of the synthetic flows.
struct Verdict<'a> {
    /// Flows that were established, and went elsewhere.
    broken: Vec<&'a SyntheticFlow>,
    /// Flows that were too young when the active node was cut off.
    at_risk: usize,
    /// Those of them that went elsewhere.
    at_risk_moved: usize,
}

impl Verdict<'_> {
    fn of<'a>(flows: &'a [SyntheticFlow], cuts: &[CutOff]) -> Verdict<'a> {
        let mut verdict = Verdict { broken: Vec::new(), at_risk: 0, at_risk_moved: 0 };
        for flow in flows {
            verdict.at_risk += cuts.iter().filter(|cut| flow.began <= cut.at && was_at_risk(flow, cut)).count();
            let excused =
                |seen: Instant| cuts.iter().rfind(|cut| cut.at < seen).is_some_and(|cut| was_at_risk(flow, cut));
            match flow.changes.iter().filter(|change| excused(change.seen)).count() {
                some if some < flow.changes.len() => verdict.broken.push(flow),
                some => verdict.at_risk_moved += some,
            }
        }
        verdict
    }
}

fn was_at_risk(flow: &SyntheticFlow, cut: &CutOff) -> bool {
    flow.established.is_none_or(|established| established + GATHERING > cut.acked)
}
