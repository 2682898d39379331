//! The services, reals and flows of the bench: the same in every process of it, from their numbers alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use lb_common::{FlowKey, NO_REAL, PROTOCOL_TCP, SLOT_MARKED, SLOT_REMEMBERS, Slot};
use lb_core::checkpoint::{Dictionary, Entry, FlowEntry, Origin, SlotChange};
use lb_core::pair::Role;
use lb_core::table::{NextHop, SchedulingTable, TableOptions};
use lb_daemon::config::Config;
use lb_daemon::next_hop::Update;
use lb_tests::packet::{ACK, Packet};
use lb_tests::world::{flow_key, index_of};

use crate::case::Case;

/// The text of the key file: no secret.
pub const KEYS: &str = lb_lab::KEYS;
/// The interface that the program is run for, and sends by.
pub const INTERFACE: &str = "lo";
const LOOPBACK: u32 = 1;
const REALS: u8 = 10;
const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const PORT: u16 = 80;
/// Clients are in 198.18.0.0/15.
const FIRST_CLIENT: u32 = 0xc612_0000;
const CLIENT_BITS: u32 = 17;
const FIRST_CLIENT_PORT: u16 = 1_024;
/// The flow table has room for so many flows at least.
const LEAST_ROOM: u32 = 262_144;

/// The flows of a case, as their owner has them.
pub struct World {
    /// The owner's table: the slots of remembered flows are marked.
    pub table: SchedulingTable,
    /// What is remembered. Each flow goes to another real than its slot says.
    pub remembered: Vec<FlowEntry>,
    service: u16,
    case: Case,
    /// Last byte of address and MAC, by real id.
    numbers: BTreeMap<u16, u8>,
}

/// The configuration of a node whose files are in `directory`.
pub fn config(directory: &Path, case: Case) -> Result<Config> {
    let path = directory.join("lbd.toml");
    let room = LEAST_ROOM.max(case.remembered * 2);
    let mut text = format!(
        "interfaces = [{INTERFACE:?}]\nstate_dir = {state:?}\nrun_dir = {directory:?}\nbpf_dir = {directory:?}\n\
         [limits]\nflows = {room}\n[checkpoint]\nkey_file = {keys:?}\ninterval = \"1500ms\"\n",
        state = directory.join("state"),
        keys = directory.join("keys"),
    );
    for number in 1..=REALS {
        writeln!(text, "[[real]]\nname = {:?}\naddress = \"{}\"", name(number), address(number))?;
    }
    let reals: Vec<String> = (1..=REALS).map(name).collect();
    writeln!(
        text,
        "[[service]]\nname = \"web\"\nvip = \"{VIP}\"\nport = {PORT}\nprotocol = \"tcp\"\nmode = \"dsr\"\nreals = {reals:?}"
    )?;
    Config::parse(&path, &text, &|_| None).map_err(|error| anyhow!("the bench's configuration is wrong: {error}"))
}

/// Whose checkpoints they are.
pub fn origin(config: &Config) -> Result<Origin> {
    let settings = config.settings.checkpoint.as_ref().context("the bench's configuration keeps no checkpoints")?;
    Ok(Origin { cluster: settings.cluster_id(), owner: Role::Primary, boot: 1, epoch: 1 })
}

/// The next hops of all reals, as the search for them would find them.
pub fn next_hops() -> Vec<Update> {
    let next_hop = |number| NextHop {
        ifindex: LOOPBACK,
        next_hop_mac: mac(number),
        source_mac: [0x02, 0, 0, 2, 0, 0],
        tunnel_source: Ipv4Addr::UNSPECIFIED.into(),
        mtu: 1_500,
    };
    (1..=REALS)
        .map(|number| Update { real: name(number), next_hop: Some(next_hop(number)), note: String::new() })
        .collect()
}

/// The key of a flow.
pub fn key(number: u32) -> FlowKey {
    flow_key(client(number), (VIP.into(), PORT), PROTOCOL_TCP)
}

/// What all flows are to: a VIP and a port.
pub fn service() -> (IpAddr, u16) {
    (VIP.into(), PORT)
}

/// A packet in the middle of a flow.
pub fn frame(number: u32) -> Vec<u8> {
    let (client, port) = client(number);
    Packet::ip(client, VIP.into()).tcp(port, PORT, ACK).bytes()
}

impl World {
    /// The world of a case.
    pub fn new(config: &Config, case: Case) -> Result<World> {
        let mut table = SchedulingTable::new(TableOptions::default());
        table.replace(config.cluster.clone(), 0)?;
        let service = table.services().next().context("no service")?.id;
        let numbered = |(number, real): (u8, u16)| (real, number);
        let ids: BTreeMap<String, u16> = table.reals().map(|real| (real.real.name.clone(), real.id)).collect();
        let numbers = (1..=REALS).filter_map(|number| Some((number, *ids.get(&name(number))?))).map(numbered);
        let numbers: BTreeMap<u16, u8> = numbers.collect();
        ensure!(numbers.len() == usize::from(REALS), "the table has not all reals");
        let service = u16::try_from(service).context("service id")?;
        let mut world = World { table, remembered: Vec::new(), service, case, numbers };
        world.remember()?;
        Ok(world)
    }

    /// Marks the slots of the first flows, and gives each of these flows another real.
    fn remember(&mut self) -> Result<()> {
        let ring = self.ring()?;
        let mut marked = BTreeMap::new();
        for number in 0..self.case.remembered {
            let key = key(number);
            let index = index_of(&key);
            let slot = ring.get(index as usize).context("slot")?;
            marked.insert(index, Slot { state: SLOT_MARKED, ..*slot });
            self.remembered.push(self.exception(key, slot.real));
        }
        let changes = marked.into_iter().map(|(index, slot)| SlotChange { index, slot, age_ms: 0 });
        self.change_slots(changes.collect());
        Ok(())
    }

    fn exception(&self, key: FlowKey, real: u16) -> FlowEntry {
        let next = self.numbers.range(real + 1..).next().or_else(|| self.numbers.first_key_value());
        FlowEntry { key, service: self.service, real: next.map_or(real, |(next, _)| *next) }
    }

    /// Flows that come up beside those of the case: numbers from `first` on.
    pub fn more(&self, first: u32, count: u32) -> Result<Vec<FlowEntry>> {
        let ring = self.ring()?;
        let real = |key: &FlowKey| ring.get(index_of(key) as usize).map(|slot| slot.real).context("slot");
        (first..first + count).map(key).map(|key| Ok(self.exception(key, real(&key)?))).collect()
    }

    /// Marks the slots of these indices, or has those that are marked remember. None gets clean, and packets go where they went.
    pub fn toggle_slots(&mut self, indices: impl Iterator<Item = u32>) -> Result<()> {
        let ring = self.ring()?;
        let toggled = |index: u32| {
            let slot = *ring.get(index as usize).context("slot")?;
            let slot = match slot.state {
                SLOT_MARKED => Slot { previous: slot.real, state: SLOT_REMEMBERS, ..slot },
                _ => Slot { previous: NO_REAL, state: SLOT_MARKED, ..slot },
            };
            Ok(SlotChange { index, slot, age_ms: 0 })
        };
        let changes = indices.map(toggled).collect::<Result<_>>()?;
        self.change_slots(changes);
        Ok(())
    }

    fn change_slots(&mut self, changes: Vec<SlotChange>) {
        // The table's own ids are the owner's: this node follows itself.
        let mut dictionary = Dictionary::default();
        let names = self.table.checkpoint(&BTreeMap::new(), 0);
        names.iter().for_each(|entry| dictionary.learn(entry));
        self.table.follow(&[Entry::Slots { service: self.service, changes }], &mut dictionary, 0);
    }

    /// The slots of the service.
    pub fn ring(&self) -> Result<Arc<[Slot]>> {
        let entries = self.table.checkpoint(&BTreeMap::new(), 0);
        let ring =
            entries.into_iter().find_map(|entry| if let Entry::Ring(ring) = entry { Some(ring.slots) } else { None });
        ring.context("the service has no ring")
    }

    /// Where packets of each of the first `limit` flows of the case are to go: the real's MAC address. The remembered ones come first.
    pub fn ways(&self, limit: u32) -> Result<Vec<[u8; 6]>> {
        let ring = self.ring()?;
        let real = |number: u32| match self.remembered.get(number as usize) {
            Some(flow) => Some(flow.real),
            None => ring.get(index_of(&key(number)) as usize).map(|slot| slot.real),
        };
        let way = |number| real(number).and_then(|id| self.numbers.get(&id)).map(|&number| mac(number)).context("real");
        (0..self.case.flows.min(limit)).map(way).collect()
    }
}

/// The client of a flow, and its port.
pub fn client(number: u32) -> (IpAddr, u16) {
    let address = FIRST_CLIENT + (number & ((1 << CLIENT_BITS) - 1));
    (Ipv4Addr::from_bits(address).into(), FIRST_CLIENT_PORT + (number >> CLIENT_BITS) as u16)
}

fn name(number: u8) -> String {
    format!("real-{number}")
}

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, number)
}

fn mac(number: u8) -> [u8; 6] {
    [0x02, 0, 0, 1, 0, number]
}
