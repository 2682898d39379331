//! What packets change in the maps, and how two such sets differ.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Debug, Write};
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};

use lb_common::{
    DropReason, Event, FAMILY_V4, FlowKey, FlowValue, FragmentKey, FragmentValue, HalfOpenValue, PROTOCOL_SCTP,
    PROTOCOL_TCP, SourceKey, SourceValue, TrafficCounters,
};

/// What packets change in the maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// `flows`.
    pub flows: HashMap<FlowKey, FlowValue>,
    /// `half_open`.
    pub half_open: HashMap<FlowKey, HalfOpenValue>,
    /// `fragments`.
    pub fragments: HashMap<FragmentKey, FragmentValue>,
    /// `sources`, by a clock that stands at [`super::COARSE_NOW`].
    pub sources: HashMap<SourceKey, SourceValue>,
    /// So much later than that the clock may have been when `sources` was written, in nanoseconds.
    pub clock_ran_ns: u64,
    /// `service_counters`; a service that is missing has counted nothing.
    pub service_counters: BTreeMap<u32, TrafficCounters>,
    /// `real_counters`; a real that is missing has counted nothing.
    pub real_counters: BTreeMap<u16, TrafficCounters>,
    /// `drops`, by [`DropReason`].
    pub drops: [u64; DropReason::COUNT as usize],
    /// `events`, by [`Event`].
    pub events: [u64; Event::COUNT as usize],
}

impl Effects {
    /// What `got` has otherwise than `self`, a line each. Times of flows are left out: two clocks never agree. Those of `sources` may be
    /// later by what the clock of `got` ran.
    #[must_use]
    pub fn differences(&self, got: &Self) -> Vec<String> {
        let mut out = Vec::new();
        differ(&mut out, "flows", &timeless(&self.flows), &timeless(&got.flows), show_flow);
        differ(&mut out, "half_open", &beginless(&self.half_open), &beginless(&got.half_open), show_flow);
        differ(&mut out, "fragments", &self.fragments, &got.fragments, show_fragment);
        let sources = in_time(&self.sources, got);
        differ(&mut out, "sources", &self.sources, &sources, |key| {
            format!("of service {} {:x?}", key.service, key.address)
        });
        let services = (counted(&self.service_counters), counted(&got.service_counters));
        differ(&mut out, "service_counters", &services.0, &services.1, |id| format!("service {id}"));
        let reals = (counted(&self.real_counters), counted(&got.real_counters));
        differ(&mut out, "real_counters", &reals.0, &reals.1, |id| format!("real {id}"));
        for reason in DropReason::ALL {
            differ_number(&mut out, "drops", reason.name(), self.drops[*reason as usize], got.drops[*reason as usize]);
        }
        for event in Event::ALL {
            differ_number(&mut out, "events", event.name(), self.events[*event as usize], got.events[*event as usize]);
        }
        out
    }
}

fn timeless(flows: &HashMap<FlowKey, FlowValue>) -> HashMap<FlowKey, FlowValue> {
    flows.iter().map(|(key, value)| (*key, FlowValue { last_seen_ns: 0, ..*value })).collect()
}

fn beginless(flows: &HashMap<FlowKey, HalfOpenValue>) -> HashMap<FlowKey, HalfOpenValue> {
    flows.iter().map(|(key, value)| (*key, HalfOpenValue { began_ns: 0, ..*value })).collect()
}

/// The sources that `got` has, those of which are as `wanted` that are so but for the clock's run.
fn in_time(wanted: &HashMap<SourceKey, SourceValue>, got: &Effects) -> HashMap<SourceKey, SourceValue> {
    let mut sources = got.sources.clone();
    for (key, value) in &mut sources {
        if let Some(wanted) = wanted.get(key)
            && (wanted.due_ns..=wanted.due_ns.saturating_add(got.clock_ran_ns)).contains(&value.due_ns)
        {
            *value = *wanted;
        }
    }
    sources
}

fn counted<K: Copy + Eq + Hash>(counters: &BTreeMap<K, TrafficCounters>) -> HashMap<K, TrafficCounters> {
    let used = counters.iter().filter(|(_, counters)| **counters != TrafficCounters::default());
    used.map(|(id, counters)| (*id, *counters)).collect()
}

fn differ<K, V>(
    out: &mut Vec<String>,
    map: &str,
    wanted: &HashMap<K, V>,
    got: &HashMap<K, V>,
    show: impl Fn(&K) -> String,
) where
    K: Eq + Hash,
    V: Debug + PartialEq,
{
    for (key, value) in wanted {
        match got.get(key) {
            Some(other) if other == value => {}
            Some(other) => out.push(format!("{map} {}: wanted {value:?}, got {other:?}", show(key))),
            None => out.push(format!("{map} {}: wanted {value:?}, got no entry", show(key))),
        }
    }
    for (key, value) in got.iter().filter(|(key, _)| !wanted.contains_key(key)) {
        out.push(format!("{map} {}: wanted no entry, got {value:?}", show(key)));
    }
}

fn differ_number(out: &mut Vec<String>, map: &str, name: &str, wanted: u64, got: u64) {
    if wanted != got {
        out.push(format!("{map} {name}: wanted {wanted}, got {got}"));
    }
}

/// A flow as people write it.
#[must_use]
pub fn show_flow(key: &FlowKey) -> String {
    let protocol = match key.service.protocol {
        PROTOCOL_TCP => "tcp",
        PROTOCOL_SCTP => "sctp",
        _ => "udp",
    };
    let mut out = String::new();
    let _ = write!(
        out,
        "{protocol} {} port {} -> {} port {}",
        show_address(&key.client, key.service.family),
        key.client_port,
        show_address(&key.service.vip, key.service.family),
        key.service.port
    );
    out
}

fn show_fragment(key: &FragmentKey) -> String {
    format!(
        "{} -> {} id 0x{:x} protocol {}",
        show_address(&key.source, key.family),
        show_address(&key.destination, key.family),
        key.id,
        key.protocol
    )
}

fn show_address(bytes: &[u8; 16], family: u8) -> IpAddr {
    if family == FAMILY_V4 {
        return Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into();
    }
    IpAddr::from(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_map_is_compared_and_times_are_not() {
        let wanted = Effects::default();
        let mut got = Effects::default();
        got.flows.insert(FlowKey::default(), FlowValue::default());
        got.half_open.insert(FlowKey::default(), HalfOpenValue::default());
        got.fragments.insert(FragmentKey::default(), FragmentValue::default());
        got.sources.insert(SourceKey::default(), SourceValue::default());
        got.service_counters.insert(1, TrafficCounters { packets: 1, ..TrafficCounters::default() });
        got.real_counters.insert(1, TrafficCounters { bytes: 1, ..TrafficCounters::default() });
        got.drops[3] = 1;
        got.events[2] = 1;
        assert_eq!(wanted.differences(&got).len(), 8);
        assert_eq!(got.differences(&wanted).len(), 8);
        let mut later = got.clone();
        later.flows.insert(FlowKey::default(), FlowValue { last_seen_ns: 9, ..FlowValue::default() });
        later.half_open.insert(FlowKey::default(), HalfOpenValue { began_ns: 9, ..HalfOpenValue::default() });
        later.real_counters.insert(7, TrafficCounters::default());
        assert_eq!(got.differences(&later), Vec::<String>::new());
        later.sources.insert(SourceKey::default(), SourceValue { due_ns: 9 });
        assert_eq!(got.differences(&later).len(), 1);
        later.clock_ran_ns = 9;
        assert_eq!(got.differences(&later), Vec::<String>::new());
        assert_eq!(later.differences(&got).len(), 1, "no clock runs backwards");
    }
}
