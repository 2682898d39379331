//! The active node of a pair is cut off again and again while an operator changes weights all the time: no established TCP connection breaks,
//! and no flow goes to another real server than before. Needs root.
//!
//! `UNDERSTUDY_CHECKPOINT_FULL=1` makes it 2,000 connections, 100,000 synthetic flows and 10 failovers with heartbeats each 10 ms, and prints what came
//! of them (with `--nocapture`). It wants a machine that does nothing else, and a release build: where the heartbeats' thread is held up for 30 ms the
//! nodes take over by themselves, also while the standby is still being told everything. A failover with such a takeover between it and the next one
//! is no failover of a pair that is in sync: it is counted apart, and another one is made in its place.

use std::collections::BTreeMap;
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
const ROUND_LIMIT: Duration = Duration::from_secs(120);
/// From a flow's first data until the active node has put it into a batch for the standby, at most: it gathers flows for 2 ms, and its thread
/// may have to wait for a CPU. A younger flow is not established yet, and counted as at risk.
const GATHERING: Duration = Duration::from_millis(500);
/// What the nodes wait for and have room for, on a machine that has other things to do: a change of the table waits for the standby for as long
/// as it takes, and flows that are remembered while `lbd` waits for a CPU find room.
const CHECKPOINT: &str = "[checkpoint]\nwrite_ahead_timeout = \"5s\"\nflow_events_size = \"16MiB\"\n";

/// Failovers that are made in place of those with a takeover that no cut explains, at most, for each that is wanted.
const TRIES: usize = 3;

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
    let first_epoch = stage.nodes[0].epoch()?;
    let weights = stage.move_weights(0);
    let amount = Amount { first: scale.flows, most: 2 * scale.flows };
    let synthetic = stage.synthetic(DISCARD, amount, 0)?;
    let connections = open(&stage, &weights, scale.connections)?;
    synthetic.wait_for_flows(scale.flows).with_context(|| stage.story())?;
    stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
    let traffic = Traffic { weights: &weights, synthetic: &synthetic, connections: &connections };
    // A takeover while the flows began found a standby that was not told everything yet.
    let began_clean = stage.nodes[0].epoch()? == first_epoch;
    let mut cuts: Vec<CutOff> = Vec::new();
    while cuts.iter().filter(|cut| cut.is_clean).count() < scale.failovers && cuts.len() < TRIES * scale.failovers {
        cuts.push(fail_over(&stage, &traffic)?);
    }
    let changes = weights.stop()?;
    let (flows, rounds) = (synthetic.stop()?, connections.rounds());
    let broken = connections.stop()?;
    let verdict = Verdict::of(&flows, &cuts, began_clean);
    println!("{}", verdict.summary(&cuts, changes));
    println!("{} of {} connections broke in {rounds} rounds of requests", broken.len(), scale.connections);
    let clean = cuts.iter().filter(|cut| cut.is_clean).count();
    ensure!(
        clean >= scale.failovers,
        "only {clean} of {} failovers had no other takeover beside them: {cuts:?}",
        cuts.len()
    );
    ensure!(changes as usize > scale.failovers, "weights have hardly moved: {changes} changes");
    ensure!(verdict.at_risk < flows.len() / 2, "most flows were at risk: nothing is tested");
    let some = &broken[..broken.len().min(5)];
    ensure!(
        broken.is_empty(),
        "{} connections broke: {some:?}; {}\n{}",
        broken.len(),
        verdict.told(&cuts),
        stage.story()
    );
    ensure!(verdict.broken.is_empty(), "{}\n{}", verdict.told(&cuts), stage.story());
    Ok(())
}

/// When the active node was cut off.
#[derive(Clone, Debug)]
struct CutOff {
    at: Instant,
    /// The standby had applied what the active node had told it before this, as it said just before the cut.
    acked: Instant,
    /// From the cut before this one to the next one there was no takeover but by the cuts.
    is_clean: bool,
    /// What each node that took over in that time had: from its log.
    began_with: Vec<String>,
}

/// All that goes through the pair.
struct Traffic<'a> {
    weights: &'a MovingWeights,
    synthetic: &'a Synthetic,
    connections: &'a Connections,
}

/// Cuts the active node off, waits until the other one serves every flow, and until the first one is back
/// and in sync.
fn fail_over(stage: &PairStage, traffic: &Traffic) -> Result<CutOff> {
    let owner = stage.wait_for_any_owner()?;
    stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
    let epoch = stage.nodes[owner].epoch()?;
    let acked = acked(&stage.nodes[owner])?;
    let logged = stage.nodes.iter().map(|node| node.lbd.log().len()).collect::<Vec<_>>();
    let at = Instant::now();
    stage.network.cut(&Cut::node(owner))?;
    stage.nodes[1 - owner].wait_for_state("active")?;
    traffic.go_to(stage, 1 - owner)?;
    stage.wait_to_be_known(1 - owner)?;
    traffic.wait_for_round(stage)?;
    stage.network.mend(&Cut::node(owner))?;
    let heir = stage.wait_for_any_owner()?;
    traffic.go_to(stage, heir)?;
    stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
    // After another takeover flows may go elsewhere only when they are heard of again: here, and not after the next cut.
    traffic.wait_for_round(stage)?;
    let is_clean = stage.nodes.iter().map(Node::epoch).all(|now| now.is_ok_and(|now| now == epoch + 1));
    let began_with = stage.nodes.iter().zip(logged).flat_map(|(node, from)| leads(&node.lbd.log()[from..])).collect();
    Ok(CutOff { at, acked, is_clean, began_with })
}

impl Traffic<'_> {
    fn go_to(&self, stage: &PairStage, node: usize) -> Result<()> {
        self.synthetic.aim(stage.network.mac(node)?);
        self.weights.follow(node);
        Ok(())
    }

    /// Waits until each flow has been heard of, by whichever node is active.
    fn wait_for_round(&self, stage: &PairStage) -> Result<()> {
        let wanted = [self.synthetic.rounds() + 2, self.connections.rounds() + 2];
        let done = wait_for("a frame and an answer of each flow", ROUND_LIMIT, || {
            let active = |node: &usize| stage.nodes[*node].state().is_ok_and(|state| state == "active");
            let all_active: Vec<usize> = (0..2).filter(active).collect();
            if let [only] = all_active[..] {
                self.go_to(stage, only)?;
            }
            let is_done = self.synthetic.rounds() >= wanted[0] && self.connections.rounds() >= wanted[1];
            Ok(is_done.then_some(()))
        });
        done.with_context(|| stage.story())
    }
}

/// Up to when the standby has acked everything, by the active node's own record.
fn acked(node: &Node) -> Result<Instant> {
    let asked = Instant::now();
    let shown = node.checkpoint()?;
    let lag_ms = shown["stream"]["lag_ms"].as_f64().with_context(|| format!("no lag in {shown}"))?;
    asked.checked_sub(Duration::from_secs_f64(lag_ms / 1e3)).context("the lag is longer than this host is up")
}

/// The lines by which a node says what it begins to lead with.
fn leads(log: &str) -> Vec<String> {
    let said = log.lines().filter_map(|line| line.split_once("checkpoints: leads ").map(|(_, said)| said.to_owned()));
    said.collect()
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

    /// Ends it, and says which have broken.
    fn stop(self) -> Result<Vec<Broken>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the thread of the connections has panicked"))?
    }
}

/// What has become of the synthetic flows.
struct Verdict<'a> {
    flows: usize,
    /// Flows that were established, and went elsewhere.
    broken: Vec<&'a SyntheticFlow>,
    /// Flows that were too young when the active node was cut off.
    at_risk: usize,
    /// Those of them that went elsewhere.
    at_risk_moved: usize,
    /// Times that a flow went elsewhere at or after a takeover that no cut explains.
    moved_beside: usize,
}

impl Verdict<'_> {
    fn of<'a>(flows: &'a [SyntheticFlow], cuts: &[CutOff], began_clean: bool) -> Verdict<'a> {
        let mut verdict =
            Verdict { flows: flows.len(), broken: Vec::new(), at_risk: 0, at_risk_moved: 0, moved_beside: 0 };
        for flow in flows {
            verdict.at_risk += cuts.iter().filter(|cut| flow.began <= cut.at && was_at_risk(flow, cut)).count();
            let mut is_broken = false;
            for change in &flow.changes {
                match cuts.iter().rfind(|cut| cut.at < change.seen) {
                    Some(cut) if !cut.is_clean => verdict.moved_beside += 1,
                    Some(cut) if was_at_risk(flow, cut) => verdict.at_risk_moved += 1,
                    None if !began_clean => verdict.moved_beside += 1,
                    Some(_) | None => is_broken = true,
                }
            }
            verdict.broken.extend(is_broken.then_some(flow));
        }
        verdict
    }

    fn summary(&self, cuts: &[CutOff], changes: u64) -> String {
        let clean = cuts.iter().filter(|cut| cut.is_clean).count();
        format!(
            "{clean} failovers (and {} with other takeovers beside them, after which {} flows went elsewhere), {changes} changes of weights; of {} \
             synthetic flows {} that were established went elsewhere, {} were at risk, of which {} went elsewhere; the standby lagged by {:?}",
            cuts.len() - clean,
            self.moved_beside,
            self.flows,
            self.broken.len(),
            self.at_risk,
            self.at_risk_moved,
            cuts.iter().map(|cut| cut.at - cut.acked).collect::<Vec<_>>(),
        ) + &beside(cuts)
    }

    /// When flows went elsewhere, beside the cuts.
    fn told(&self, cuts: &[CutOff]) -> String {
        let Some(first) = cuts.first().map(|cut| cut.at) else { return String::new() };
        let mut moves: BTreeMap<(i128, usize, usize), usize> = BTreeMap::new();
        for change in self.broken.iter().flat_map(|flow| &flow.changes) {
            *moves.entry((ms_after(first, change.seen), change.from, change.to)).or_default() += 1;
        }
        let moves: Vec<String> =
            moves.iter().map(|((ms, from, to), count)| format!("{ms} ms: {count} from {from} to {to}")).collect();
        let cuts: Vec<i128> = cuts.iter().map(|cut| ms_after(first, cut.at)).collect();
        let (count, some) = (self.broken.len(), &self.broken[..self.broken.len().min(3)]);
        format!("{count} flows went to another real server; cuts at {cuts:?} ms; {}; {some:?}", moves.join(", "))
    }
}

/// What the nodes had that took over beside the cuts.
fn beside(cuts: &[CutOff]) -> String {
    let of = |cut: &CutOff| format!("\nwith other takeovers beside it: {}", cut.began_with.join("; "));
    cuts.iter().filter(|cut| !cut.is_clean).map(of).collect()
}

/// Milliseconds from one instant to another, which may be the earlier one.
fn ms_after(from: Instant, to: Instant) -> i128 {
    match to.checked_duration_since(from) {
        Some(after) => after.as_millis() as i128,
        None => -(from.duration_since(to).as_millis() as i128),
    }
}

fn was_at_risk(flow: &SyntheticFlow, cut: &CutOff) -> bool {
    flow.established.is_none_or(|established| established + GATHERING > cut.acked)
}
