//! An engine without a kernel, for tests: a data plane of plain values that fails when it is told to, and a host of
//! plain values.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use lb_common::{
    DropReason, Event, FlowKey, FlowValue, Guard, HalfOpenValue, ServiceOptions, SourceKey, SourceValue,
    TrafficCounters,
};
use lb_core::auth::Keys;
use lb_core::check::Target;
use lb_core::checkpoint::Entry;
use lb_core::report::Mark;
use lb_core::rows::{MapWrite, Rows};
use lb_core::table::NextHop;

use super::{CheckpointParts, Checkpoints, Engine, Flows, Forwarder, Host, Parts, Restored, Senders, Watchers};
use crate::config::{self, CheckpointSettings, Config, PairSettings};
use crate::dataplane::{Adoption, AttachMode, Attached, FlowTimeouts, Sweep};
use crate::forwarding::Family;
use crate::next_hop::{Update, Watch};
use crate::reports::Counters;

/// What the fakes hold; tests look into it and change it.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) now_ns: u64,
    pub(crate) rows: Rows,
    /// How many writes succeed before one fails, for each of the next calls; calls beyond the list succeed.
    pub(crate) writes_before_failure: Vec<usize>,
    pub(crate) fail_reading: bool,
    pub(crate) writes: usize,
    /// Calls that write.
    pub(crate) applies: usize,
    pub(crate) attached: BTreeMap<String, u32>,
    pub(crate) refuse_to_attach: BTreeMap<String, String>,
    pub(crate) interfaces: BTreeMap<String, u32>,
    pub(crate) addresses: HashSet<IpAddr>,
    /// Where the host does not forward.
    pub(crate) forwards_not: HashSet<(String, Family)>,
    pub(crate) drops: Vec<u64>,
    pub(crate) service_counters: BTreeMap<u32, TrafficCounters>,
    pub(crate) real_counters: BTreeMap<u16, TrafficCounters>,
    pub(crate) flows: Vec<(FlowKey, FlowValue)>,
    pub(crate) sweeps: u64,
    pub(crate) watched: Vec<Watch>,
    pub(crate) targets: Vec<Target>,
    pub(crate) senders: Senders,
    pub(crate) keys: Option<(Keys, u32)>,
    /// The pair's settings and keys, when they were set.
    pub(crate) pair: Option<(PairSettings, Keys)>,
    pub(crate) marks: BTreeMap<String, Mark>,
    /// Somebody wants to know what changes.
    pub(crate) wanted: bool,
    /// What was told, and whether the maps had it by then.
    pub(crate) told: Vec<Told>,
    /// The settings, when they were set.
    pub(crate) checkpoint: Option<CheckpointSettings>,
    /// Flows cannot be written, for this reason.
    pub(crate) refuse_flows: Option<String>,
    /// Why flows were told not to be written.
    pub(crate) unwritten: Vec<String>,
    /// How often everything was asked for.
    pub(crate) asked_for_all: u32,
    pub(crate) half_open: Vec<(FlowKey, HalfOpenValue)>,
    /// What the disk has, for the next start.
    pub(crate) restored: Option<Restored>,
}

/// What the engine has told for checkpoints.
pub(crate) struct Told {
    pub(crate) entries: Vec<Entry>,
    /// What the maps held at that instant.
    pub(crate) rows: Rows,
}

/// One world, seen by a data plane, a host and a test.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<World>>);

impl Fake {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }
}

impl Forwarder for Fake {
    fn now_ns(&self) -> u64 {
        self.world().now_ns
    }

    fn rows(&self) -> anyhow::Result<Rows> {
        let world = self.world();
        anyhow::ensure!(!world.fail_reading, "the kernel refuses to read");
        Ok(world.rows.clone())
    }

    fn apply(&mut self, writes: &[MapWrite]) -> anyhow::Result<()> {
        let mut world = self.world();
        world.applies += 1;
        let failing = !world.writes_before_failure.is_empty();
        let allowed = if failing { world.writes_before_failure.remove(0) } else { usize::MAX };
        for (count, write) in writes.iter().enumerate() {
            anyhow::ensure!(count < allowed, "map services is full");
            write_row(&mut world.rows, write);
            world.writes += 1;
        }
        Ok(())
    }

    fn attach(&mut self, interface: &str, mode: config::AttachMode) -> anyhow::Result<Attached> {
        let mut world = self.world();
        if let Some(reason) = world.refuse_to_attach.get(interface) {
            anyhow::bail!("{reason}");
        }
        let ifindex = *world.interfaces.get(interface).ok_or_else(|| anyhow::anyhow!("no such interface"))?;
        world.attached.insert(interface.to_owned(), ifindex);
        let mode = if mode == config::AttachMode::Generic { AttachMode::Generic } else { AttachMode::Driver };
        Ok(Attached { mode, adopted: false, ifindex, driver_refusal: None })
    }

    fn detach(&mut self, interface: &str) -> anyhow::Result<()> {
        self.world().attached.remove(interface);
        Ok(())
    }

    fn detach_others(&mut self, keep: &[String]) -> anyhow::Result<Vec<String>> {
        let mut world = self.world();
        let others: Vec<String> = world.attached.keys().filter(|name| !keep.contains(name)).cloned().collect();
        world.attached.retain(|name, _| keep.contains(name));
        Ok(others)
    }

    fn drops(&self) -> anyhow::Result<Vec<u64>> {
        let mut drops = self.world().drops.clone();
        drops.resize(DropReason::COUNT as usize, 0);
        Ok(drops)
    }

    fn events(&self) -> anyhow::Result<Vec<u64>> {
        Ok(vec![0; Event::COUNT as usize])
    }

    fn service_counters(&self, id: u32) -> anyhow::Result<TrafficCounters> {
        Ok(self.world().service_counters.get(&id).copied().unwrap_or_default())
    }

    fn real_counters(&self, id: u16) -> anyhow::Result<TrafficCounters> {
        Ok(self.world().real_counters.get(&id).copied().unwrap_or_default())
    }

    fn flows(
        &self,
        limit: usize,
        wanted: &mut dyn FnMut(&FlowKey, &FlowValue) -> bool,
    ) -> anyhow::Result<Vec<(FlowKey, FlowValue)>> {
        let world = self.world();
        Ok(world.flows.iter().filter(|(key, value)| wanted(key, value)).take(limit).copied().collect())
    }

    fn flow(&self, key: &FlowKey) -> anyhow::Result<Option<FlowValue>> {
        Ok(self.world().flows.iter().find(|(known, _)| known == key).map(|(_, value)| *value))
    }

    fn half_open(&self, key: &FlowKey) -> anyhow::Result<Option<HalfOpenValue>> {
        Ok(self.world().half_open.iter().find(|(known, _)| known == key).map(|(_, value)| *value))
    }

    fn source(&self, _: &SourceKey) -> anyhow::Result<Option<SourceValue>> {
        Ok(None)
    }

    fn sweep_on(&mut self, sweep: &mut Sweep, now_ns: u64, timeouts: &FlowTimeouts) -> anyhow::Result<bool> {
        let mut world = self.world();
        world.sweeps += 1;
        let seen_ns = |flow: &FlowValue| flow.last_seen_ns.max(timeouts.seen_floor_ns);
        let timeout_ns = |flow: &FlowValue| {
            timeouts.open_of_service_ns.get(&flow.service.into()).copied().unwrap_or(timeouts.open_ns)
        };
        let is_over = |(_, flow): &mut (FlowKey, FlowValue)| now_ns - seen_ns(flow) > timeout_ns(flow);
        let forgotten = world.flows.extract_if(.., is_over).map(|(key, _)| key).collect();
        sweep.in_use = world.flows.iter().map(|(_, flow)| (flow.service, flow.slot)).collect();
        sweep.forgotten = forgotten;
        sweep.flows = world.flows.len() as u64;
        Ok(false)
    }
}

impl Host for Fake {
    fn interface_index(&self, name: &str) -> Option<u32> {
        self.world().interfaces.get(name).copied()
    }

    fn interface_name(&self, index: u32) -> Option<String> {
        self.world().interfaces.iter().find(|(_, own)| **own == index).map(|(name, _)| name.clone())
    }

    fn addresses(&self) -> Option<HashSet<IpAddr>> {
        Some(self.world().addresses.clone())
    }

    fn forwards(&self, interface: &str, family: Family) -> Option<bool> {
        Some(!self.world().forwards_not.contains(&(interface.to_owned(), family)))
    }
}

impl Watchers for Fake {
    fn watch_next_hops(&self, watches: Vec<Watch>) {
        self.world().watched = watches;
    }

    fn watch_checks(&self, targets: Vec<Target>) {
        self.world().targets = targets;
    }

    fn watch_reports(&self, senders: Senders) {
        self.world().senders = senders;
    }

    fn set_report_keys(&self, keys: Keys, rate_limit: u32) {
        self.world().keys = Some((keys, rate_limit));
    }

    fn set_pair(&self, settings: &PairSettings, keys: Keys) {
        self.world().pair = Some((settings.clone(), keys));
    }

    fn report_marks(&self) -> BTreeMap<String, Mark> {
        self.world().marks.clone()
    }

    fn report_counters(&self) -> (Counters, Vec<SocketAddr>) {
        (Counters::default(), vec!["192.0.2.1:6720".parse().unwrap()])
    }
}

impl Checkpoints for Fake {
    fn is_wanted(&self) -> bool {
        self.world().wanted
    }

    fn write_ahead(&mut self, entries: Vec<Entry>, _: u64) {
        let mut world = self.world();
        let rows = world.rows.clone();
        world.told.push(Told { entries, rows });
    }

    fn tell(&mut self, entries: Vec<Entry>, generation: u64) {
        self.write_ahead(entries, generation);
    }

    fn forgotten(&mut self, flows: &[FlowKey]) {
        self.write_ahead(vec![Entry::Forgotten(flows.to_vec())], 0);
    }

    fn unwritten(&mut self, why: &str) {
        self.world().unwritten.push(why.to_owned());
    }

    fn set(&mut self, settings: &CheckpointSettings) {
        self.world().checkpoint = Some(settings.clone());
    }

    fn ask_for_all(&mut self) {
        self.world().asked_for_all += 1;
    }
}

impl Flows for Fake {
    fn put(&self, flows: &[(FlowKey, FlowValue)]) -> anyhow::Result<()> {
        let mut world = self.world();
        if let Some(why) = &world.refuse_flows {
            anyhow::bail!("{why}");
        }
        world.flows.retain(|(key, _)| flows.iter().all(|(new, _)| new != key));
        world.flows.extend_from_slice(flows);
        Ok(())
    }

    fn put_new(&self, flows: &[(FlowKey, FlowValue)]) -> anyhow::Result<Vec<(FlowKey, FlowValue)>> {
        let mut world = self.world();
        let is_new = |(key, _): &&(FlowKey, FlowValue)| world.flows.iter().all(|(own, _)| own != key);
        let new: Vec<_> = flows.iter().filter(is_new).copied().collect();
        world.flows.extend_from_slice(&new);
        Ok(new)
    }

    fn put_new_half_open(&self, flows: &[(FlowKey, HalfOpenValue)]) -> anyhow::Result<()> {
        let mut world = self.world();
        let is_new = |(key, _): &&(FlowKey, HalfOpenValue)| world.half_open.iter().all(|(own, _)| own != key);
        let new: Vec<_> = flows.iter().filter(is_new).copied().collect();
        world.half_open.extend_from_slice(&new);
        Ok(())
    }

    fn end_half_open(&self, flows: &[FlowKey]) -> anyhow::Result<()> {
        self.world().half_open.retain(|(key, _)| !flows.contains(key));
        Ok(())
    }

    fn put_half_open(&self, flows: &[(FlowKey, HalfOpenValue)]) -> anyhow::Result<()> {
        self.world().half_open.extend_from_slice(flows);
        Ok(())
    }

    fn forget(&self, flows: &[FlowKey]) -> anyhow::Result<()> {
        self.world().flows.retain(|(key, _)| !flows.contains(key));
        self.end_half_open(flows)
    }

    fn each(&self, visit: &mut dyn FnMut(&FlowKey, &FlowValue) -> bool) -> anyhow::Result<()> {
        let flows = self.world().flows.clone();
        flows.iter().all(|(key, value)| visit(key, value));
        Ok(())
    }
}

/// Does to rows what the kernel does to maps.
fn write_row(rows: &mut Rows, write: &MapWrite) {
    match write.clone() {
        MapWrite::Real { id, value: Some(value) } => drop(rows.reals.insert(id, value)),
        MapWrite::Real { id, value: None } => drop(rows.reals.remove(&id)),
        MapWrite::NewRing { service, slots, like: _ } => drop(rows.rings.insert(service, slots)),
        MapWrite::RemoveRing { service } => drop(rows.rings.remove(&service)),
        MapWrite::Slots { service, changes } => {
            let mut slots = rows.rings[&service].to_vec();
            changes.iter().for_each(|&(index, slot)| slots[index as usize] = slot);
            rows.rings.insert(service, slots.into());
        }
        MapWrite::Vip { key, value: Some(value) } => drop(rows.vips.insert(key, value)),
        MapWrite::Vip { key, value: None } => drop(rows.vips.remove(&key)),
        MapWrite::VipPrefix { bits, key, value: Some(value) } => drop(rows.vip_prefixes.insert((bits, key), value)),
        MapWrite::VipPrefix { bits, key, value: None } => drop(rows.vip_prefixes.remove(&(bits, key))),
        MapWrite::Service { key, value: Some(value) } => drop(rows.services.insert(key, value)),
        MapWrite::Service { key, value: None } => drop(rows.services.remove(&key)),
        MapWrite::PortRange { bits, key, value: Some(value) } => drop(rows.port_ranges.insert((bits, key), value)),
        MapWrite::PortRange { bits, key, value: None } => drop(rows.port_ranges.remove(&(bits, key))),
        MapWrite::ServiceOptions { service, value } if value == ServiceOptions::default() => {
            rows.service_options.remove(&service);
        }
        MapWrite::ServiceOptions { service, value } => drop(rows.service_options.insert(service, value)),
        MapWrite::Guard { service, value } if value == Guard::default() => drop(rows.guards.remove(&service)),
        MapWrite::Guard { service, value } => drop(rows.guards.insert(service, value)),
        MapWrite::Access { bits, key, value: Some(value) } => drop(rows.access.insert((bits, key), value)),
        MapWrite::Access { bits, key, value: None } => drop(rows.access.remove(&(bits, key))),
        MapWrite::Quic { key, value: Some(value) } => drop(rows.quic.insert(key, value)),
        MapWrite::Quic { key, value: None } => drop(rows.quic.remove(&key)),
        MapWrite::QuicServer { key, value: Some(value) } => drop(rows.quic_servers.insert(key, value)),
        MapWrite::QuicServer { key, value: None } => drop(rows.quic_servers.remove(&key)),
        MapWrite::Nat { value } => rows.nat = value,
        MapWrite::NatPort { key, value: Some(value) } => drop(rows.nat_ports.insert(key, value)),
        MapWrite::NatPort { key, value: None } => drop(rows.nat_ports.remove(&key)),
        MapWrite::NatReply { key, value: Some(value) } => drop(rows.nat_replies.insert(key, value)),
        MapWrite::NatReply { key, value: None } => drop(rows.nat_replies.remove(&key)),
        MapWrite::ResetServiceCounters { .. } | MapWrite::ResetRealCounters { .. } => {}
    }
}

/// A configuration of one service `web` with the reals `web1` and `web2`.
pub(crate) const CONFIG: &str = r#"interfaces = ["eth0"]
state_dir = "STATE_DIR"

[[real]]
name = "web1"
address = "192.0.2.11"

[[real]]
name = "web2"
address = "192.0.2.12"

[[service]]
name = "web"
vip = "198.51.100.1"
protocol = "tcp"
port = 80
mode = "dsr"
reals = ["web1", "web2"]
"#;

/// An engine's directory and world.
pub(crate) struct Bench {
    pub(crate) fake: Fake,
    pub(crate) directory: tempfile::TempDir,
}

impl Bench {
    /// A world in which all is well.
    pub(crate) fn new() -> Self {
        let bench = Self { fake: Fake::default(), directory: tempfile::tempdir().unwrap() };
        {
            let mut world = bench.fake.world();
            world.now_ns = 1_000_000_000_000;
            world.interfaces.insert("eth0".to_owned(), 2);
            world.addresses.insert("198.51.100.1".parse().unwrap());
        }
        bench.write_config(CONFIG);
        bench
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.directory.path().join("lbd.toml")
    }

    pub(crate) fn write_config(&self, text: &str) {
        let text = text.replace("STATE_DIR", path_str(&self.state_dir()));
        std::fs::write(self.config_path(), text).unwrap();
    }

    /// Starts an engine on the world as it is.
    pub(crate) fn start(&self) -> anyhow::Result<Engine> {
        self.start_with(Adoption::Adopted)
    }

    /// As [`Bench::start`], with the changes that persist.
    pub(crate) fn start_as_lbd_does(&self) -> anyhow::Result<Engine> {
        self.start_from(Config::load_to_start(&self.config_path()).unwrap(), Adoption::Adopted)
    }

    pub(crate) fn start_with(&self, adoption: Adoption) -> anyhow::Result<Engine> {
        self.start_from(Config::load(&self.config_path()).unwrap(), adoption)
    }

    fn start_from(&self, config: Config, adoption: Adoption) -> anyhow::Result<Engine> {
        Engine::start(Parts {
            config_path: self.config_path(),
            config,
            forwarder: Box::new(self.fake.clone()),
            adoption,
            host: Box::new(self.fake.clone()),
            watchers: Box::new(self.fake.clone()),
            checkpoints: self.checkpoints(),
        })
    }

    /// What an engine that keeps checkpoints has for them; none where the configuration has none.
    fn checkpoints(&self) -> Option<CheckpointParts> {
        Config::load(&self.config_path()).unwrap().settings.checkpoint?;
        let restored = self.fake.world().restored.take();
        let fake = || self.fake.clone();
        Some(CheckpointParts { checkpoints: Box::new(fake()), flows: Box::new(fake()), restored })
    }

    /// Lets time pass and the engine notice.
    pub(crate) fn pass(&self, engine: &mut Engine, seconds: u64) {
        self.fake.world().now_ns += seconds * 1_000_000_000;
        engine.tick();
    }
}

fn path_str(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// News of a next hop.
pub(crate) fn resolved(real: &str, last_byte: u8) -> Update {
    let next_hop = NextHop {
        ifindex: 2,
        next_hop_mac: [2, 0, 0, 0, 0, last_byte],
        source_mac: [2, 0, 0, 0, 0, 1],
        tunnel_source: "192.0.2.1".parse().unwrap(),
        mtu: 1500,
    };
    Update { real: real.to_owned(), next_hop: Some(next_hop), note: String::new() }
}
