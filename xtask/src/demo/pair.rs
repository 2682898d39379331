//! `cargo xtask demo --pair`: two load balancers, and a client that never stops. An operator shifts weight, so that new connections become exceptions,
//! which the standby learns by checkpoints. The active node is cut off and comes back; then an operator hands the VIP over. Every step has to happen,
//! or the demo fails.

mod stage;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use lb_lab::{
    Cut, Load, Node, PairNetwork, Pinned, Probe, Sample, Talk, Tally, interrupt, longest_gap, lost, wait_for,
};

use stage::{HEARTBEAT_MS, MISSED_LIMIT, Stage};

use super::{LOAD_PAUSE, answered, failed, reasons};

const LOAD_THREADS: usize = 2;
/// TCP connections that stay open through everything.
const CONNECTIONS: usize = 20;
/// Another weight for the first real; it had 100.
const WEIGHT: &str = "25";
const BEFORE: Duration = Duration::from_secs(2);
const BETWEEN: Duration = Duration::from_secs(1);
/// How long the client goes on after the last step.
const AFTER: Duration = Duration::from_secs(2);
/// How long the other node may take to serve before the demo gives up.
const LIMIT: Duration = Duration::from_secs(20);

/// Everything that the client does at the same time.
struct Client {
    load: Load,
    pinned: Pinned,
    probe: Probe,
}

/// What came of it. Times are those of the probe.
struct Seen {
    tallies: Vec<Tally>,
    talk: Talk,
    samples: Vec<Sample>,
}

/// When something began and ended, by the probe's clock.
type Span = std::ops::Range<Duration>;

/// Builds the network, shows the failover, the return and the handover, and takes everything down.
pub fn show() -> Result<()> {
    let stage = Stage::set()?;
    let client = Client::start(&stage)?;
    println!(
        "The client sends requests over new connections, talks on {CONNECTIONS} that stay open, and asks an echo each millisecond."
    );
    interrupt::pause(BEFORE)?;
    let active = stage.active()?;
    let exceptions = shift_weight(&stage, active)?;
    let failover = fail_over(&stage, &client, active)?;
    come_back(&stage, active)?;
    interrupt::pause(BETWEEN)?;
    let handover = hand_over(&stage, &client)?;
    interrupt::pause(AFTER)?;
    let mut seen = client.stop()?;
    seen.add(exceptions.close()?);
    report(&seen, &failover, &handover);
    judge(&seen, &failover, &handover)
}

impl Client {
    fn start(stage: &Stage) -> Result<Client> {
        let from = stage.network.client.handle();
        let pinned = Pinned::open(&from, stage.tcp_echo(), CONNECTIONS)?;
        let load = Load::start(&from, &[stage.web()], LOAD_THREADS, LOAD_PAUSE);
        let probe = Probe::start(&from, stage.udp_echo())?;
        Ok(Client { load, pinned, probe })
    }

    fn wait_for_answer(&self) -> Result<()> {
        let now = Instant::now();
        wait_for("an answer to the probe", LIMIT, || Ok(self.probe.answered_since(now).then_some(())))
    }

    fn stop(self) -> Result<Seen> {
        Ok(Seen { tallies: self.load.stop()?, talk: self.pinned.close()?, samples: self.probe.stop()? })
    }
}

impl Seen {
    fn add(&mut self, talk: Talk) {
        self.talk.connections += talk.connections;
        self.talk.answers += talk.answers;
        self.talk.broken.extend(talk.broken);
    }
}

/// Moves slots, and opens connections in them: where each of those goes is in the flow table alone.
fn shift_weight(stage: &Stage, active: usize) -> Result<Pinned> {
    println!(
        "\nAn operator shifts weight, and {CONNECTIONS} more connections begin. {} learns of them:",
        name(1 - active)
    );
    stage.show(active, &["weight", "real-1", WEIGHT])?;
    let exceptions = Pinned::open(&stage.network.client.handle(), stage.tcp_echo(), CONNECTIONS)?;
    stage.wait_until_in_sync(1 - active)?;
    stage.show(1 - active, &["checkpoint", "show"])?;
    Ok(exceptions)
}

fn fail_over(stage: &Stage, client: &Client, active: usize) -> Result<Span> {
    let (old, new) = (name(active), 1 - active);
    client.wait_for_answer()?;
    let start = client.probe.elapsed();
    stage.network.cut(&Cut::node(active))?;
    client.wait_for_answer()?;
    let end = client.probe.elapsed();
    println!("\n{old}, the active node, is cut off: both NICs and the serial line. {} serves:", name(new));
    stage.nodes[new].wait_for_state("active")?;
    stage.wait_until_paths_are_down(new)?;
    stage.show(new, &["pair"])?;
    stage.show(new, &["paths"])?;
    Ok(start..end)
}

fn come_back(stage: &Stage, node: usize) -> Result<()> {
    stage.network.mend(&Cut::node(node))?;
    let mended = Instant::now();
    stage.nodes[node].wait_for_state("standby")?;
    stage.nodes.iter().try_for_each(Node::wait_until_ready_for_each_other)?;
    let took = mended.elapsed().as_secs_f64();
    println!("\nThe links of {} are mended. After {took:.1} s it is a standby, and all paths are up:", name(node));
    stage.show(node, &["pair"])?;
    stage.show(node, &["paths"])
}

fn hand_over(stage: &Stage, client: &Client) -> Result<Span> {
    let from = stage.active()?;
    let start = client.probe.elapsed();
    println!("\n{} hands the VIP over to {}:", name(from), name(1 - from));
    stage.show(from, &["handover"])?;
    stage.nodes[1 - from].wait_for_state("active")?;
    stage.nodes[from].wait_for_state("standby")?;
    interrupt::pause(BETWEEN)?;
    stage.show(1 - from, &["events"])?;
    Ok(start..client.probe.elapsed())
}

fn name(node: usize) -> String {
    PairNetwork::node_name(node)
}

/// What was sent in this time.
fn during<'a>(samples: &'a [Sample], span: &Span) -> &'a [Sample] {
    let at = |limit: Duration| samples.partition_point(|sample| sample.sent < limit);
    &samples[at(span.start)..at(span.end)]
}

fn report(seen: &Seen, failover: &Span, handover: &Span) {
    let gap = longest_gap(during(&seen.samples, failover));
    println!(
        "\nthe gap that the client saw: {:.0} ms (heartbeats each {HEARTBEAT_MS} ms, {MISSED_LIMIT} missed), {} probes lost",
        gap.length.as_secs_f64() * 1e3,
        gap.lost
    );
    println!("the handover: {} probes lost", lost(during(&seen.samples, handover)));
    println!("requests: {}, failed: {}", answered(&seen.tallies), failed(&seen.tallies));
    println!(
        "open connections: {}, broken: {}, answers: {}",
        seen.talk.connections,
        seen.talk.broken.len(),
        seen.talk.answers
    );
}

fn judge(seen: &Seen, failover: &Span, handover: &Span) -> Result<()> {
    if longest_gap(during(&seen.samples, failover)).lost == 0 {
        bail!("the active node was cut off, and no probe was lost");
    }
    if lost(during(&seen.samples, handover)) > 0 {
        bail!("{} probes were lost in the handover", lost(during(&seen.samples, handover)));
    }
    if failed(&seen.tallies) > 0 {
        bail!("{} requests failed, among them: {}", failed(&seen.tallies), reasons(&seen.tallies));
    }
    if let Some(reason) = seen.talk.broken.first() {
        bail!("{} connections broke, the first one: {reason}", seen.talk.broken.len());
    }
    Ok(())
}
