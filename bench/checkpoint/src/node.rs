//! A node in this process: the daemon's own engine, data plane and store. The program is run frame by frame and attached nowhere.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use lb_common::{FlowKey, FlowValue, HalfOpenValue, SourceKey, SourceValue, TrafficCounters};
use lb_core::rows::{MapWrite, Rows};
use lb_daemon::checkpoint::{self, Prepared};
use lb_daemon::config::{self, Config, Settings};
use lb_daemon::dataplane::{AttachMode, Attached, Dataplane, FlowTimeouts, LeaseMap, Options, Sweep};
use lb_daemon::engine::{Engine, Forwarder, Linux, Parts};

use crate::nobody::Nobody;
use crate::world::{frame, next_hops};

/// An action of the program: the frame goes back out.
const XDP_TX: u32 = 3;
/// Bytes of a frame's destination.
const MAC_SIZE: usize = 6;
/// The interface of a run that is said to have come in by none.
const LOOPBACK: u32 = 1;

/// A node.
pub struct Node {
    /// What `lbd` has, too.
    pub engine: Engine,
    /// The lease, held by nobody else.
    pub lease: LeaseMap,
    dataplane: Shared,
    // The store and the ways to the maps stay open, as in `lbd`.
    _checkpoints: Prepared,
}

/// What a start was made of, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// Loading the program.
    pub load_ms: f64,
    /// Waiting until the disk has been read, which began with the load.
    pub disk_ms: f64,
    /// Table and maps.
    pub engine_ms: f64,
}

/// A data plane for the engine, of which the bench has a handle, too.
#[derive(Clone)]
struct Shared(Arc<Mutex<Dataplane>>);

impl Node {
    /// Starts a node as `lbd` does, with what its directory has.
    pub fn start(config: Config) -> Result<(Node, Took)> {
        let began = Instant::now();
        let reading = checkpoint::read(&config.settings)?;
        let (mut dataplane, adoption) = open(&config.settings)?;
        let load_ms = milliseconds(began);
        let began = Instant::now();
        let checkpoints = checkpoint::prepare(&config.settings, reading, &mut dataplane)?;
        let mut checkpoints = checkpoints.context("the bench's configuration keeps no checkpoints")?;
        let disk_ms = milliseconds(began);
        let began = Instant::now();
        let lease = dataplane.lease_map()?;
        let dataplane = Shared(Arc::new(Mutex::new(dataplane)));
        let mut engine = Engine::start(Parts {
            config_path: "/nonexistent".into(),
            config,
            forwarder: Box::new(dataplane.clone()),
            adoption,
            host: Box::new(Linux),
            watchers: Box::new(Nobody),
            checkpoints: checkpoints.engine_parts(),
        })?;
        engine.set_next_hops(next_hops());
        let engine_ms = milliseconds(began);
        Ok((Node { engine, lease, dataplane, _checkpoints: checkpoints }, Took { load_ms, disk_ms, engine_ms }))
    }

    /// Whither the program sends a packet of a flow: a MAC address; nothing where it does not.
    pub fn way(&self, number: u32) -> Result<Option<[u8; MAC_SIZE]>> {
        let verdict = self.dataplane.lock().test_run(&frame(number), LOOPBACK)?;
        let to = verdict.frame.first_chunk().copied();
        Ok(to.filter(|_| verdict.action == XDP_TX))
    }

    /// How many of the first flows do not go where they are to go.
    pub fn broken(&self, ways: &[[u8; MAC_SIZE]]) -> Result<u64> {
        let mut broken = 0;
        for (number, way) in (0..).zip(ways) {
            broken += u64::from(self.way(number)? != Some(*way));
        }
        Ok(broken)
    }

    /// Sees that a node that is silent is.
    pub fn must_be_silent(&self, number: u32) -> Result<()> {
        ensure!(self.way(number)?.is_none(), "a silent node forwards flow {number}");
        Ok(())
    }
}

/// The data plane of a configuration, pinned nowhere.
pub fn open(settings: &Settings) -> Result<(Dataplane, lb_daemon::dataplane::Adoption)> {
    let options = Options {
        pin_dir: None,
        max_reals: settings.limits.reals + 1,
        max_flows: settings.limits.flows,
        flow_events_size: settings.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.flow_events_size),
        debug_log: false,
    };
    Dataplane::open(&options).context("cannot set the XDP program up")
}

/// How long it has been.
pub fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Dataplane> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Forwarder for Shared {
    fn now_ns(&self) -> u64 {
        Dataplane::now_ns()
    }

    fn rows(&self) -> Result<Rows> {
        Ok(self.lock().rows()?)
    }

    fn apply(&mut self, writes: &[MapWrite]) -> Result<()> {
        Ok(self.lock().apply(writes)?)
    }

    fn attach(&mut self, _: &str, _: config::AttachMode) -> Result<Attached> {
        Ok(Attached { mode: AttachMode::Generic, adopted: false, ifindex: LOOPBACK, driver_refusal: None })
    }

    fn detach(&mut self, _: &str) -> Result<()> {
        Ok(())
    }

    fn detach_others(&mut self, _: &[String]) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn drops(&self) -> Result<Vec<u64>> {
        Ok(self.lock().drops()?)
    }

    fn events(&self) -> Result<Vec<u64>> {
        Ok(self.lock().events()?)
    }

    fn service_counters(&self, id: u32) -> Result<TrafficCounters> {
        Ok(self.lock().service_counters(id)?)
    }

    fn real_counters(&self, id: u16) -> Result<TrafficCounters> {
        Ok(self.lock().real_counters(id)?)
    }

    fn flows(
        &self,
        limit: usize,
        wanted: &mut dyn FnMut(&FlowKey, &FlowValue) -> bool,
    ) -> Result<Vec<(FlowKey, FlowValue)>> {
        Ok(self.lock().flows(limit, wanted)?)
    }

    fn source(&self, key: &SourceKey) -> Result<Option<SourceValue>> {
        Ok(self.lock().get_source(key)?)
    }

    fn flow(&self, key: &FlowKey) -> Result<Option<FlowValue>> {
        Ok(self.lock().get_flow(key)?)
    }

    fn half_open(&self, key: &FlowKey) -> Result<Option<HalfOpenValue>> {
        Ok(self.lock().get_half_open(key)?)
    }

    fn sweep_on(&mut self, sweep: &mut Sweep, now_ns: u64, timeouts: &FlowTimeouts) -> Result<bool> {
        Ok(self.lock().sweep_on(sweep, now_ns, timeouts)?)
    }
}
