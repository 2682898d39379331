//! The figures of a soak.

use std::fmt;

use serde::Serialize;

use crate::client::Seen;
use crate::diary::{Diary, Takeover};
use crate::stage::Stage;
use crate::wake::Lateness;

/// Events so close to a takeover are printed with it, in milliseconds.
const AROUND_MS: u64 = 60;

/// What was seen in a soak.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which.
    pub soak: &'static str,
    /// How long.
    pub minutes: f64,
    /// Tb.
    pub interval_ms: f64,
    /// n.
    pub missed_limit: u32,
    /// Each takeover.
    pub takeovers: Vec<Told>,
    /// How many takeovers may be there and no more.
    pub takeovers_allowed: u64,
    /// How often a path was called down.
    pub path_alarms: usize,
    /// Packets that a node dropped because its lease had ended.
    pub dropped_without_lease: u64,
    /// What both nodes say of their heartbeat threads.
    pub stalls: [Stalled; 2],
    /// What clients saw.
    pub client: Seen,
    /// What only the hogs have.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub hogs: Option<Hogs>,
    /// What only the loss has.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// It was as it should be.
    pub passed: bool,
}

/// A takeover, and what was known around it.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// Seconds since the start.
    pub at_s: f64,
    /// The node that took over: 1 or 2.
    pub node: usize,
    /// Its epoch.
    pub epoch: u32,
    /// For how long the node that was active was off the CPU, in milliseconds, where that explains it.
    pub explained_by_stall_ms: Option<f64>,
    /// What both nodes noted around it.
    pub story: Vec<String>,
}

/// How a node's heartbeat thread was held up, as the node itself has measured.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Stalled {
    /// How often it was so late that it believed nothing of that time.
    pub count: u64,
    /// The longest, in milliseconds.
    pub longest_ms: f64,
    /// All together, in milliseconds.
    pub total_ms: f64,
}

/// Figures of the hogs.
#[derive(Clone, Debug, Serialize)]
pub struct Hogs {
    /// Threads that took all the CPU time they got.
    pub hogs: usize,
    /// Datagrams of the flood, a second.
    pub flood_a_second: f64,
    /// Takeovers that no stall explains.
    pub unexplained: usize,
    /// How late a thread with the heartbeats' priority was woken.
    pub woken_late: Lateness,
    /// How late a thread without was.
    pub woken_late_without_priority: Lateness,
}

/// Figures of the loss.
#[derive(Clone, Debug, Serialize)]
pub struct Loss {
    /// The share of asks without an ack in time, of each path.
    pub two_way_loss: Vec<f64>,
    /// Asks of each path that were decided.
    pub asks: Vec<u64>,
    /// Takeovers that theory expects.
    pub takeovers_expected: f64,
}

impl Told {
    /// A takeover with its story.
    pub fn new(takeover: &Takeover, diary: &Diary, explained_by_stall_ms: Option<f64>) -> Told {
        Told {
            at_s: diary.seconds(takeover.at_ms),
            node: takeover.by + 1,
            epoch: takeover.epoch,
            explained_by_stall_ms,
            story: diary.around(takeover.at_ms, AROUND_MS),
        }
    }
}

/// What both nodes say of their heartbeat threads since they were started.
pub fn stalls(stage: &Stage) -> anyhow::Result<[Stalled; 2]> {
    let of = |node| -> anyhow::Result<Stalled> {
        let stalls = stage.pair(node)?.stalls;
        Ok(Stalled { count: stalls.count, longest_ms: stalls.longest_ms, total_ms: stalls.total_ms })
    };
    Ok([of(0)?, of(1)?])
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for takeover in &self.takeovers {
            writeln!(f, "{takeover}")?;
        }
        let verdict = if self.passed { "as it should be" } else { "NOT as it should be" };
        writeln!(
            f,
            "{}: {} minutes at {} ms x {}: {verdict}",
            self.soak, self.minutes, self.interval_ms, self.missed_limit
        )?;
        writeln!(f, "  takeovers           {}, at most {} allowed", self.takeovers.len(), self.takeovers_allowed)?;
        writeln!(f, "  path alarms         {}", self.path_alarms)?;
        writeln!(f, "  without a lease     {} packets dropped", self.dropped_without_lease)?;
        for (node, stalled) in (1..).zip(&self.stalls) {
            let Stalled { count, longest_ms, total_ms } = stalled;
            writeln!(f, "  stalls of lb-{node}      {count}, {longest_ms:.1} ms at most, {total_ms:.1} ms together")?;
        }
        let Seen { probes, lost, gaps, gap_ms_max, dual_active_ms_max, dual_active_ms_total } = self.client;
        writeln!(f, "  probes              {lost} of {probes} lost, {gaps} gaps, {gap_ms_max:.1} ms at most")?;
        writeln!(f, "  two owners          {dual_active_ms_max:.1} ms at most, {dual_active_ms_total} ms together")?;
        self.hogs.as_ref().map_or(Ok(()), |hogs| write!(f, "{hogs}"))?;
        self.loss.as_ref().map_or(Ok(()), |loss| write!(f, "{loss}"))
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { at_s, node, epoch, .. } = self;
        write!(f, "{at_s:.3} s: lb-{node} takes over, epoch {epoch}")?;
        if let Some(stall) = self.explained_by_stall_ms {
            write!(f, "; explained: the active node was off the CPU for {stall:.1} ms")?;
        }
        self.story.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

impl fmt::Display for Hogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  unexplained         {}", self.unexplained)?;
        writeln!(f, "  load                {} hogs, {:.0} datagrams a second", self.hogs, self.flood_a_second)?;
        writeln!(f, "  woken late          {}", self.woken_late)?;
        writeln!(f, "  without priority    {}", self.woken_late_without_priority)?;
        writeln!(f, "  the kernel's tick   {:.1} ms late at most", self.woken_late.tick_late_ms)
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, (loss, asks)) in self.two_way_loss.iter().zip(&self.asks).enumerate() {
            writeln!(f, "  path {path}              {:.1}% of {asks} asks without an ack", 100.0 * loss)?;
        }
        writeln!(f, "  theory expects      {:.1} takeovers", self.takeovers_expected)
    }
}
