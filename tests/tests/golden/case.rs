//! A golden case: a world, the frames that come in, and what is expected of each, said by hand.
//!
//! What an expectation does not name must not change.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use lb_common::{
    DropReason, Event, FLOW_EVENT_FORGOTTEN, FLOW_OPEN, FlowEvent, FlowKey, FlowValue, FragmentKey, FragmentValue,
    HalfOpenValue, Slot, SourceKey, SourceValue, TrafficCounters, WantedNeighbour,
};
use lb_tests::model::{Effects, State, Verdict, WAY_IFINDEX};
use lb_tests::packet::Packet;
use lb_tests::world::{address_of, index_of};

/// A named case.
pub struct Case {
    pub name: String,
    pub state: State,
    pub steps: Vec<Step>,
    /// Maps and ring buffers are read at the end, and not after each frame.
    pub reads_at_end: bool,
    /// The interface that the frames come in by.
    pub ingress: u32,
}

/// A frame and what is expected of it.
pub struct Step {
    pub frame: Vec<u8>,
    pub expect: Expect,
}

/// Starts a case.
pub fn case(name: impl Into<String>, mut state: State) -> Case {
    state.rings.values_mut().for_each(share);
    Case { name: name.into(), state, steps: Vec::new(), reads_at_end: false, ingress: super::world::INGRESS }
}

/// Rings are half a megabyte each, and many cases have the same: they are one, while they are in use.
fn share(ring: &mut Arc<[Slot]>) {
    static RINGS: Mutex<Vec<Weak<[Slot]>>> = Mutex::new(Vec::new());
    // Others have it already.
    if Arc::strong_count(ring) > 1 {
        return;
    }
    let mut rings = RINGS.lock().unwrap_or_else(PoisonError::into_inner);
    rings.retain(|known| known.strong_count() > 0);
    match rings.iter().filter_map(Weak::upgrade).find(|known| known == ring) {
        Some(known) => *ring = known,
        None => rings.push(Arc::downgrade(ring)),
    }
}

/// Starts a case in a changed world.
pub fn case_with(name: impl Into<String>, change: impl FnOnce(&mut State)) -> Case {
    let mut state = super::world::world();
    change(&mut state);
    case(name, state)
}

impl Case {
    /// The frames come in by this interface.
    pub fn by(self, ingress: u32) -> Self {
        Self { ingress, ..self }
    }

    /// The next frame that comes in.
    pub fn send(self, packet: &Packet, expect: Expect) -> Self {
        self.send_bytes(packet.bytes(), expect)
    }

    /// The next frame that comes in, as bytes.
    pub fn send_bytes(mut self, frame: Vec<u8>, expect: Expect) -> Self {
        self.steps.push(Step { frame, expect });
        self
    }
}

/// What is expected of a frame.
#[derive(Clone)]
pub struct Expect {
    pub verdict: Verdict,
    /// Bytes out; `None`: as they came in, or dropped.
    pub frame: Option<Vec<u8>>,
    pub redirect: Option<u32>,
    pub drop: Option<DropReason>,
    pub events: Vec<Event>,
    /// What is told of flows.
    pub told: Vec<FlowEvent>,
    /// The neighbours that are asked for.
    pub wanted: Vec<WantedNeighbour>,
    counted: Option<(u32, u16, TrafficCounters)>,
    flows: Vec<(FlowKey, Option<FlowValue>)>,
    half_open: Vec<(FlowKey, Option<HalfOpenValue>)>,
    fragments: Vec<(FragmentKey, FragmentValue)>,
    sources: Vec<(SourceKey, SourceValue)>,
}

impl Expect {
    fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            frame: None,
            redirect: None,
            drop: None,
            events: Vec::new(),
            told: Vec::new(),
            wanted: Vec::new(),
            counted: None,
            flows: Vec::new(),
            half_open: Vec::new(),
            fragments: Vec::new(),
            sources: Vec::new(),
        }
    }

    /// The event is counted.
    pub fn event(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    /// It is told that the flow is remembered, or half-open.
    pub fn tells(mut self, kind: u16, key: FlowKey, service: u32, real: u16) -> Self {
        let (service, slot) = (service as u16, index_of(&key));
        self.told.push(FlowEvent { key, service, real, slot, kind, reserved: [0; 3] });
        self
    }

    /// It is told that the flow is forgotten.
    pub fn tells_forgotten(mut self, key: FlowKey) -> Self {
        self.told.push(FlowEvent { key, kind: FLOW_EVENT_FORGOTTEN, ..FlowEvent::default() });
        self
    }

    /// The MAC address of this next hop is asked for.
    pub fn wants(mut self, next_hop: IpAddr) -> Self {
        let (address, family) = address_of(next_hop);
        self.wanted.push(WantedNeighbour { address, ifindex: WAY_IFINDEX, family, reserved: [0; 3] });
        self
    }

    /// A packet of `bytes` bytes is counted for the service and the real.
    pub fn counts(mut self, service: u32, real: u16, bytes: u64) -> Self {
        self.counted = Some((service, real, TrafficCounters { packets: 1, bytes, ..TrafficCounters::default() }));
        self
    }

    fn flag(mut self, set: impl FnOnce(&mut TrafficCounters)) -> Self {
        let (_, _, counters) = self.counted.as_mut().expect("counts() before a flag");
        set(counters);
        self
    }

    /// The packet counts as a SYN.
    pub fn syn(self) -> Self {
        self.flag(|counters| counters.syn = 1)
    }

    /// The packet counts as a FIN.
    pub fn fin(self) -> Self {
        self.flag(|counters| counters.fin = 1)
    }

    /// The packet counts as a RST.
    pub fn rst(self) -> Self {
        self.flag(|counters| counters.rst = 1)
    }

    /// The flow table has the flow in this state.
    pub fn flow(mut self, key: FlowKey, service: u32, real: u16, state: u16) -> Self {
        let slot = index_of(&key);
        let service = service as u16;
        self.flows.push((key, Some(FlowValue { slot, real, service, state, ..FlowValue::default() })));
        self
    }

    /// The flow is new in the flow table, open, and that is counted.
    pub fn remembers(self, key: FlowKey, service: u32, real: u16) -> Self {
        self.flow(key, service, real, FLOW_OPEN).event(Event::FlowRemembered)
    }

    /// The flow is gone from the flow table.
    pub fn forgets(mut self, key: FlowKey) -> Self {
        self.flows.push((key, None));
        self
    }

    /// The flow is half-open.
    pub fn half_open(mut self, key: FlowKey, service: u32, real: u16) -> Self {
        let value = HalfOpenValue { began_ns: 0, slot: index_of(&key), real, service: service as u16 };
        self.half_open.push((key, Some(value)));
        self
    }

    /// The flow is half-open no more.
    pub fn half_open_gone(mut self, key: FlowKey) -> Self {
        self.half_open.push((key, None));
        self
    }

    /// The fragments of this packet go to the real.
    pub fn fragment(mut self, key: FragmentKey, service: u32, real: u16, mode: u8) -> Self {
        self.fragments.push((key, FragmentValue { service, real, mode, reserved: 0 }));
        self
    }

    /// The source's next new flow is due then.
    pub fn source(mut self, key: SourceKey, due_ns: u64) -> Self {
        self.sources.push((key, SourceValue { due_ns }));
        self
    }

    /// Makes of what the maps held what they must hold now.
    pub fn apply(&self, effects: &mut Effects) {
        if let Some(reason) = self.drop {
            effects.drops[reason as usize] += 1;
        }
        for event in &self.events {
            effects.events[*event as usize] += 1;
        }
        if let Some((service, real, counters)) = self.counted {
            add(effects.service_counters.entry(service).or_default(), counters);
            add(effects.real_counters.entry(real).or_default(), counters);
        }
        for (key, value) in &self.flows {
            match value {
                Some(value) => effects.flows.insert(*key, *value),
                None => effects.flows.remove(key),
            };
        }
        for (key, value) in &self.half_open {
            match value {
                Some(value) => effects.half_open.insert(*key, *value),
                None => effects.half_open.remove(key),
            };
        }
        effects.fragments.extend(self.fragments.iter().copied());
        effects.sources.extend(self.sources.iter().copied());
    }
}

fn add(counters: &mut TrafficCounters, more: TrafficCounters) {
    counters.packets += more.packets;
    counters.bytes += more.bytes;
    counters.syn += more.syn;
    counters.fin += more.fin;
    counters.rst += more.rst;
}

/// Left to the kernel untouched, and nothing is counted: no business of the load balancer's.
pub fn pass() -> Expect {
    Expect::new(Verdict::Pass)
}

/// Left to the kernel untouched, though it is for a VIP.
pub fn pass_for_vip() -> Expect {
    Expect::new(Verdict::Pass).event(Event::VipPassed)
}

/// Dropped.
pub fn drop(reason: DropReason) -> Expect {
    Expect { drop: Some(reason), ..Expect::new(Verdict::Drop) }
}

/// Sent back out of the interface that it came in by, as this.
pub fn tx(packet: &Packet) -> Expect {
    tx_bytes(packet.bytes())
}

/// Sent back out of the interface that it came in by, as these bytes.
pub fn tx_bytes(frame: Vec<u8>) -> Expect {
    Expect { frame: Some(frame), ..Expect::new(Verdict::Tx) }
}

/// Sent out of another interface, as this.
pub fn redirect(packet: &Packet, ifindex: u32) -> Expect {
    redirect_bytes(packet.bytes(), ifindex)
}

/// Sent out of another interface, as these bytes.
pub fn redirect_bytes(frame: Vec<u8>, ifindex: u32) -> Expect {
    Expect { frame: Some(frame), redirect: Some(ifindex), ..Expect::new(Verdict::Redirect) }
}
