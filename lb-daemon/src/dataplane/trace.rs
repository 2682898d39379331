//! Packets that an operator wants to see, one record each: what the filter is, and what the program has written.

use std::time::Duration;

use aya::maps::{Array, MapData, RingBuf};
use lb_common::{NODE_TRACES, TRACE_FRAME, TraceEvent, TraceFilter, map};

use super::{
    Dataplane, DataplaneError,
    flow_events::open,
    lease::set_flag,
    sys::{self, MappedArray},
};

/// Records that one call reads at most. The buffer holds no more.
const MOST_AT_ONCE: usize = 4_096;

/// The reading end of `trace_events`, and the filter. For one at a time.
pub struct Tracer {
    ring: RingBuf<MapData>,
    filter: Array<MapData, TraceFilter>,
    node: MappedArray,
    /// The newest record of each CPU, by its number.
    sequences: Vec<Option<u64>>,
}

impl Dataplane {
    /// The tracer. It goes on being of use when the `Dataplane` has gone. Nothing is traced yet, whatever an earlier daemon has left on.
    ///
    /// # Errors
    /// The process has no descriptors or no address space left.
    pub fn tracer(&self) -> Result<Tracer, DataplaneError> {
        let tracer = Tracer {
            ring: open(&self.maps.fds.trace_events, map::TRACE_EVENTS)?,
            filter: open(&self.maps.fds.trace_filter, map::TRACE_FILTER)?,
            node: self.node_row()?,
            sequences: Vec::new(),
        };
        tracer.stop();
        Ok(tracer)
    }
}

impl Tracer {
    /// Begins to trace what fits the filter, for so long. Its `until_ns` is set here.
    ///
    /// # Errors
    /// The kernel refuses to write the filter.
    pub fn start(&mut self, filter: &TraceFilter, lasts: Duration) -> Result<(), DataplaneError> {
        // What an earlier trace has left.
        self.drain(|_| ());
        self.sequences.clear();
        let lasts_ns = u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX);
        let filter = TraceFilter { until_ns: sys::monotonic_ns().saturating_add(lasts_ns), ..*filter };
        self.filter.set(0, filter, 0).map_err(|source| DataplaneError::Map {
            action: "write",
            map: map::TRACE_FILTER,
            source,
        })?;
        set_flag(&self.node, NODE_TRACES, true);
        Ok(())
    }

    /// Traces no more.
    pub fn stop(&self) {
        set_flag(&self.node, NODE_TRACES, false);
    }

    /// Reads what has been written. Returns how many packets had no room in the buffer.
    pub fn drain(&mut self, mut told: impl FnMut(&TraceEvent)) -> u64 {
        let mut lost = 0;
        for _ in 0..MOST_AT_ONCE {
            let Some(record) = self.ring.next() else { break };
            // What is of another length is of no program that this daemon knows.
            if record.len() != size_of::<TraceEvent>() {
                continue;
            }
            // SAFETY: the record is as long, and any bytes are a value (`TraceEvent` is `Pod`). The read needs no alignment.
            let event = unsafe { record.as_ptr().cast::<TraceEvent>().read_unaligned() };
            drop(record);
            lost += missing(&mut self.sequences, &event);
            told(&event);
        }
        lost
    }

    /// What lies between a record's time and now, by the clock that it has.
    #[must_use]
    pub fn age(event: &TraceEvent) -> Duration {
        Duration::from_nanos(sys::monotonic_ns().saturating_sub(event.time_ns))
    }
}

/// The bytes of the frame that a record has.
#[must_use]
pub fn captured(event: &TraceEvent) -> &[u8] {
    &event.frame[..usize::from(event.captured).min(TRACE_FRAME)]
}

/// How many records of this one's CPU are missing before it.
fn missing(sequences: &mut Vec<Option<u64>>, event: &TraceEvent) -> u64 {
    let cpu = event.cpu as usize;
    if cpu >= sequences.len() {
        sequences.resize(cpu.min(usize::from(u16::MAX)) + 1, None);
    }
    let Some(newest) = sequences.get_mut(cpu) else { return 0 };
    let wanted = newest.replace(event.sequence).map(|before| before.wrapping_add(1));
    wanted.map_or(0, |wanted| event.sequence.saturating_sub(wanted))
}

#[cfg(test)]
mod tests {
    use lb_common::FlowKey;

    use super::*;

    fn event(cpu: u32, sequence: u64) -> TraceEvent {
        TraceEvent {
            time_ns: 0,
            sequence,
            key: FlowKey::default(),
            cpu,
            ingress_ifindex: 0,
            slot: 0,
            length: 0,
            service: 0,
            real: 0,
            action: 0,
            drop_reason: 0,
            event: 0,
            tcp_flags: 0,
            has_ports: 0,
            has_slot: 0,
            captured: 0,
            reserved: 0,
            frame: [0; TRACE_FRAME],
        }
    }

    #[test]
    fn a_gap_in_the_numbers_of_a_cpu_is_a_loss() {
        let mut sequences = Vec::new();
        let lost = [(0, 7), (0, 8), (3, 1), (0, 12), (3, 2), (u32::MAX, 5)];
        let lost: Vec<u64> = lost.iter().map(|(cpu, number)| missing(&mut sequences, &event(*cpu, *number))).collect();
        assert_eq!(lost, [0, 0, 0, 3, 0, 0]);
    }

    #[test]
    fn a_record_that_says_too_much_is_cut() {
        let wrong = TraceEvent { captured: u16::MAX, ..event(0, 1) };
        assert_eq!(captured(&wrong).len(), TRACE_FRAME);
    }
}
