//! Holds the XDP program to a [`State`]: puts the state into its maps, runs frames through it, reads back what they changed.

use std::collections::HashSet;
use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_common::{
    ACCESS_FIXED_BITS, FlowEvent, FlowKey, FragmentKey, NodeState, SourceValue, TraceEvent, TraceFilter,
    TrafficCounters, WantedNeighbour,
};
use lb_core::rows::{Rows, diff};
use lb_daemon::dataplane::{AttachMode, Dataplane, FlowEvents, LeaseMap, Options, Tracer, WantedNeighbours};

use crate::cpu;
use crate::kernel::{Kernel, WAY_LINK};
use crate::model::{COARSE_NOW, Effects, HEADROOM, Limits, Outcome, State, Verdict};
use crate::packet::{show, show_difference};

/// The interface that the kernel takes a frame to come in by where nothing else is said: loopback.
pub const LOOPBACK: u32 = 1;
/// The shortest frame that BPF_PROG_TEST_RUN takes.
pub const SHORTEST_FRAME: usize = 14;
/// Longer than any test.
const TRACE_LASTS: Duration = Duration::from_secs(3_600);
/// Bytes of metadata that leave no room before a frame: of 256 bytes the kernel keeps 40 for itself.
const METADATA: usize = 216;

/// Times of `sources` below it are so long past that they are not moved: no clock of a running machine is there.
const LONG_PAST: u64 = 1_000_000;

/// The loaded program, and what its maps and the kernel's tables have been made to hold.
///
/// It has a network namespace of its own, which the thread that has loaded it is in from then on, and a CPU that it keeps to, since the
/// program looks at what its own CPU has counted. Frames are run on that thread only.
pub struct Harness {
    kernel: Kernel,
    dataplane: Dataplane,
    lease: LeaseMap,
    flow_events: FlowEvents,
    wanted: WantedNeighbours,
    tracer: Tracer,
    limits: Limits,
    rows: Rows,
    cpu: usize,
    /// CLOCK_MONOTONIC_COARSE when the state was put in: the model's [`COARSE_NOW`].
    clock: u64,
    may_have_sources: bool,
    /// The counters as they stood when the state was put in.
    base: Effects,
    services: Vec<u32>,
    reals: Vec<u16>,
    takes_metadata: bool,
}

/// The keys of the tables that can only be asked for an entry, not listed.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Of `half_open`.
    pub flows: HashSet<FlowKey>,
    /// Of `fragments`.
    pub fragments: HashSet<FragmentKey>,
}

impl Harness {
    /// Moves the calling thread to a network namespace of its own, for good, and loads the program with maps of these sizes. Nothing
    /// is pinned. It is attached to the namespace's link, so that frames can be run as if they had come in by it.
    ///
    /// # Errors
    /// No privilege, or a kernel that cannot run the program.
    pub fn load(limits: Limits) -> Result<Self> {
        let options = Options {
            pin_dir: None,
            max_reals: limits.max_reals,
            max_flows: limits.max_flows,
            flow_events_size: limits.flow_events_size,
            debug_log: false,
        };
        let cpu = cpu::keep_to_one()?;
        let kernel = Kernel::of_this_thread()?;
        let (mut dataplane, _) = Dataplane::open(&options)
            .context("this test runs the XDP program in the kernel: run it as root (or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON), outside of containers that forbid bpf(2)")?;
        dataplane.attach(WAY_LINK, AttachMode::Driver)?;
        let (lease, flow_events, tracer) = (dataplane.lease_map()?, dataplane.flow_events()?, dataplane.tracer()?);
        let wanted = dataplane.wanted_neighbours()?;
        let (rows, base) = (Rows::default(), Effects::default());
        let takes_metadata = dataplane.test_run_behind(METADATA, &[0; SHORTEST_FRAME]).is_ok();
        Ok(Self {
            kernel,
            dataplane,
            lease,
            flow_events,
            wanted,
            tracer,
            limits,
            rows,
            cpu,
            clock: 0,
            may_have_sources: false,
            base,
            services: Vec::new(),
            reals: Vec::new(),
            takes_metadata,
        })
    }

    /// Whether the kernel can run a frame as this one: older ones (Linux 6.1) cannot take its headroom away, and none
    /// takes a frame below [`SHORTEST_FRAME`].
    #[must_use]
    pub fn can_run(&self, state: &State, frame: &[u8]) -> bool {
        frame.len() >= SHORTEST_FRAME && (state.headroom >= HEADROOM || self.takes_metadata)
    }

    /// Makes the maps and the kernel's tables hold the state, and counters count from the state's on.
    ///
    /// # Errors
    /// The kernel refuses a write, or the state wants maps of other sizes.
    pub fn install(&mut self, state: &State) -> Result<()> {
        ensure!(state.limits == self.limits, "the program is loaded with {:?}, not {:?}", self.limits, state.limits);
        let rows = rows_of(state);
        self.dataplane.apply(&diff(&self.rows, &rows)).context("putting the state into the maps")?;
        self.rows = rows;
        self.services = state.services.values().chain(state.port_ranges.values()).map(|service| service.id).collect();
        self.services.sort_unstable();
        self.services.dedup();
        self.reals = (0..self.limits.max_reals.min(u32::from(u16::MAX))).map(|id| id as u16).collect();
        self.install_counters(&state.effects)?;
        self.install_tables(&state.effects)?;
        self.install_node(state.node);
        self.kernel.set(&state.ways)?;
        self.read_told()?;
        self.read_wanted();
        self.base = self.counters()?;
        subtract(&mut self.base, &state.effects);
        Ok(())
    }

    /// Changes what the node is to the VIPs.
    pub fn install_node(&self, node: NodeState) {
        self.lease.put(node);
    }

    fn asks_for_sources(&self) -> bool {
        !self.rows.guards.is_empty()
    }

    /// What this CPU has counted decides where a packet goes that goes by itself.
    fn install_counters(&mut self, effects: &Effects) -> Result<()> {
        for service in &self.services {
            let counters = effects.service_counters.get(service).copied().unwrap_or_default();
            self.dataplane.put_service_counters(*service, self.cpu, counters)?;
        }
        Ok(())
    }

    fn install_tables(&mut self, effects: &Effects) -> Result<()> {
        self.dataplane.clear_tables().context("emptying the tables")?;
        for (key, value) in &effects.flows {
            self.dataplane.put_flow(key, value)?;
        }
        for (key, value) in &effects.half_open {
            self.dataplane.put_half_open(key, value)?;
        }
        for (key, value) in &effects.fragments {
            self.dataplane.put_fragment(key, value)?;
        }
        self.clock = Dataplane::now_ns();
        // Going through so large a map takes longer than all else, so it is left out where nothing asks for sources.
        if self.may_have_sources || self.asks_for_sources() {
            self.dataplane.clear_sources()?;
        }
        self.may_have_sources = self.asks_for_sources();
        for (key, value) in &effects.sources {
            self.dataplane.put_source(key, &SourceValue { due_ns: moved(value.due_ns, COARSE_NOW, self.clock) })?;
        }
        Ok(())
    }

    /// Runs the program on a frame that came in by the interface `ingress`: [`LOOPBACK`] or the namespace's link. The state's headroom is
    /// before it, where it came in by loopback.
    ///
    /// # Errors
    /// The kernel refuses the frame, or the program returns no verdict of ours.
    pub fn run(&self, state: &State, frame: &[u8], ingress: u32) -> Result<(Verdict, Vec<u8>)> {
        let got = if state.headroom < HEADROOM && ingress == LOOPBACK {
            self.dataplane.test_run_behind(METADATA, frame)
        } else {
            self.dataplane.test_run(frame, ingress)
        };
        let got = got.with_context(|| format!("running the program on a {}", show(frame)))?;
        let verdict = Verdict::from_code(got.action)
            .with_context(|| format!("the program returned {} for a {}", got.action, show(frame)))?;
        Ok((verdict, got.frame))
    }

    /// What the maps hold now: tables as they are, counters from the state's on. `half_open` and `fragments` are looked
    /// up under the given keys only.
    ///
    /// # Errors
    /// The kernel refuses to read a map.
    pub fn effects(&self, keys: &Keys) -> Result<Effects> {
        let mut effects = self.counters()?;
        subtract(&mut effects, &self.base);
        effects.flows = self.dataplane.flows(usize::MAX, |_, _| true)?.into_iter().collect();
        let sources = if self.may_have_sources { self.dataplane.sources()? } else { Vec::new() };
        for (key, value) in sources {
            effects.sources.insert(key, SourceValue { due_ns: moved(value.due_ns, self.clock, COARSE_NOW) });
        }
        effects.clock_ran_ns = Dataplane::now_ns() - self.clock;
        for key in &keys.flows {
            if let Some(value) = self.dataplane.get_half_open(key)? {
                effects.half_open.insert(*key, value);
            }
        }
        for key in &keys.fragments {
            if let Some(value) = self.dataplane.get_fragment(key)? {
                effects.fragments.insert(*key, value);
            }
        }
        Ok(effects)
    }

    /// What the program has told of flows since this was last asked.
    ///
    /// # Errors
    /// None so far.
    pub fn read_told(&mut self) -> Result<Vec<FlowEvent>> {
        let mut told = Vec::new();
        self.flow_events.drain_as_told(|event| told.push(*event))?;
        Ok(told)
    }

    /// The neighbours that the program has asked for since this was last asked.
    pub fn read_wanted(&mut self) -> Vec<WantedNeighbour> {
        let mut wanted = Vec::new();
        self.wanted.drain(|neighbour| wanted.push(*neighbour));
        wanted
    }

    /// Traces the packets that fit the filter.
    ///
    /// # Errors
    /// The kernel refuses to write the filter.
    pub fn trace(&mut self, filter: &TraceFilter) -> Result<()> {
        Ok(self.tracer.start(filter, TRACE_LASTS)?)
    }

    /// Ends the trace.
    pub fn trace_no_more(&self) {
        self.tracer.stop();
    }

    /// The packets that were traced since this was last asked.
    pub fn traced(&mut self) -> Vec<TraceEvent> {
        let mut traced = Vec::new();
        self.tracer.drain(|event| traced.push(*event));
        traced
    }

    fn counters(&self) -> Result<Effects> {
        let mut effects = Effects::default();
        for service in &self.services {
            effects.service_counters.insert(*service, self.dataplane.service_counters(*service)?);
        }
        for real in &self.reals {
            effects.real_counters.insert(*real, self.dataplane.real_counters(*real)?);
        }
        effects.drops.copy_from_slice(&self.dataplane.drops()?);
        effects.events.copy_from_slice(&self.dataplane.events()?);
        Ok(effects)
    }
}

impl Keys {
    /// The keys of both.
    #[must_use]
    pub fn of(before: &Effects, after: &Effects) -> Self {
        let mut keys = Self::default();
        keys.add(before);
        keys.add(after);
        keys
    }

    /// Adds the keys of these entries.
    pub fn add(&mut self, effects: &Effects) {
        self.flows.extend(effects.half_open.keys());
        self.fragments.extend(effects.fragments.keys());
    }

    /// Adds the flow of the last frame, which may have lost its entry.
    pub fn note(&mut self, state: &State) {
        self.flows.extend(state.last_place.map(|(key, _)| key));
    }
}

/// A time by a clock that shows `to` where another shows `from`.
fn moved(time: u64, from: u64, to: u64) -> u64 {
    if time < LONG_PAST { time } else { time.wrapping_sub(from).wrapping_add(to) }
}

/// The rows of the maps that a state has.
#[must_use]
pub fn rows_of(state: &State) -> Rows {
    Rows {
        vips: state.vips.clone(),
        services: state.services.clone(),
        port_ranges: state.port_ranges.clone(),
        reals: state.reals.clone(),
        rings: state.rings.clone(),
        service_options: state.service_options.clone(),
        nat: state.nat,
        nat_ports: state.nat_ports.clone(),
        nat_replies: state.nat_replies.clone(),
        guards: state.guards.clone(),
        access: state.access.iter().map(|((bits, key), value)| ((ACCESS_FIXED_BITS + bits, *key), *value)).collect(),
        quic: state.quic.iter().map(|(key, row)| (*key, row.value())).collect(),
        quic_servers: state.quic_servers.clone(),
        vip_prefixes: state.vip_prefixes.clone(),
    }
}

/// What the program did otherwise than it should have, a line or more each; nothing where it did the same.
#[must_use]
pub fn compare(wanted: &Outcome, got: &(Verdict, Vec<u8>)) -> Vec<String> {
    let mut out = Vec::new();
    if wanted.verdict != got.0 {
        out.push(format!("verdict: wanted {:?}, got {:?}", wanted.verdict, got.0));
    }
    if wanted.verdict != Verdict::Drop && wanted.frame != got.1 {
        out.push(format!("frame: {}", show_difference(&wanted.frame, &got.1)));
    }
    out
}

/// What the program told of flows otherwise than it should have.
#[must_use]
pub fn compare_told(wanted: &[FlowEvent], got: &[FlowEvent]) -> Vec<String> {
    compare_records("told", wanted, got)
}

/// Which neighbours the program asked for otherwise than it should have.
#[must_use]
pub fn compare_wanted(wanted: &[WantedNeighbour], got: &[WantedNeighbour]) -> Vec<String> {
    compare_records("wanted neighbours", wanted, got)
}

fn compare_records<T: PartialEq + Debug>(what: &str, wanted: &[T], got: &[T]) -> Vec<String> {
    let differs = |at: &usize| wanted.get(*at) != got.get(*at);
    let first = (0..wanted.len().max(got.len())).find(differs);
    let line = |at: usize| {
        format!(
            "{what}, record {at} of {} and {}: wanted {:?}, got {:?}",
            wanted.len(),
            got.len(),
            wanted.get(at),
            got.get(at)
        )
    };
    first.map(line).into_iter().collect()
}

/// Takes the counters of `base` away from those of `effects`; wraps, so that either may be the greater.
fn subtract(effects: &mut Effects, base: &Effects) {
    fn less(counters: &mut TrafficCounters, base: &TrafficCounters) {
        counters.packets = counters.packets.wrapping_sub(base.packets);
        counters.bytes = counters.bytes.wrapping_sub(base.bytes);
        counters.syn = counters.syn.wrapping_sub(base.syn);
        counters.fin = counters.fin.wrapping_sub(base.fin);
        counters.rst = counters.rst.wrapping_sub(base.rst);
    }
    for (service, counters) in &base.service_counters {
        less(effects.service_counters.entry(*service).or_default(), counters);
    }
    for (real, counters) in &base.real_counters {
        less(effects.real_counters.entry(*real).or_default(), counters);
    }
    for (count, base) in effects.drops.iter_mut().zip(&base.drops).chain(effects.events.iter_mut().zip(&base.events)) {
        *count = count.wrapping_sub(*base);
    }
}
