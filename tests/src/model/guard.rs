//! Section 13: services with flags.

use lb_common::{
    ACCESS_DENY, AccessKey, DropReason, Event, FlowKey, GUARD_ACCESS, GUARD_FLOOD, GUARD_LISTED_ONLY, GUARD_RATE,
    Guard, SERVICE_AFFINITY, SERVICE_GUARDED, SERVICE_ONE_PACKET, SLOT_CLEAN, ServiceKey, ServiceValue, SourceKey,
    SourceValue,
};

use super::decide::Place;
use super::{Branch, End, State, flow_hash, one_packet_hash, slot_of};

/// CLOCK_MONOTONIC_COARSE at every frame. The kernel's own can be neither set nor foretold, so the harness moves all times of `sources`.
pub const COARSE_NOW: u64 = 1 << 50;

impl State {
    /// Step 1, for a packet that section 4 is for.
    pub(super) fn guard(&mut self, key: &FlowKey, service: ServiceValue, syn: bool) -> Result<(), End> {
        if service.flags & SERVICE_GUARDED == 0 {
            return Ok(());
        }
        let guard = self.guard_row(service.id);
        if guard.flags & GUARD_ACCESS != 0 {
            self.guard_access(key, service.id, &guard)?;
        }
        if guard.flags & GUARD_RATE != 0 {
            self.guard_rate(key, service.id, &guard, syn)?;
        }
        Ok(())
    }

    fn guard_access(&mut self, key: &FlowKey, service: u32, guard: &Guard) -> Result<(), End> {
        let listed_only = guard.flags & GUARD_LISTED_ONLY != 0;
        let (branch, allowed) = match self.longest_access_match(service, &key.client) {
            Some(ACCESS_DENY) => (Branch::AccessDenied, false),
            Some(_) => (Branch::AccessAllowed, true),
            None if listed_only => (Branch::AccessNotListed, false),
            None => (Branch::AccessOpen, true),
        };
        self.saw(branch);
        if allowed { Ok(()) } else { Err(End::Drop(DropReason::AccessDenied)) }
    }

    fn longest_access_match(&self, service: u32, source: &[u8; 16]) -> Option<u32> {
        (0..=128).rev().find_map(|bits| {
            let key = AccessKey { service: service.to_be_bytes(), address: first_bits(source, bits) };
            self.access.get(&(bits, key)).copied()
        })
    }

    fn guard_rate(&mut self, key: &FlowKey, service: u32, guard: &Guard, syn: bool) -> Result<(), End> {
        if !syn {
            self.saw(Branch::RateNoSyn);
            return Ok(());
        }
        let source = SourceKey { service, address: first_bits(&key.client, guard.source_bits.into()) };
        let entry = self.effects.sources.get(&source).copied();
        let due = entry.map_or(COARSE_NOW, |entry| entry.due_ns.max(COARSE_NOW));
        if due - COARSE_NOW > guard.burst_ns {
            self.saw(Branch::RateAbove);
            return Err(End::Drop(DropReason::RateLimited));
        }
        self.saw(match entry {
            None => Branch::RateNew,
            Some(entry) if entry.due_ns <= COARSE_NOW => Branch::RatePast,
            Some(_) => Branch::RateWithin,
        });
        self.effects.sources.insert(source, SourceValue { due_ns: due + guard.interval_ns });
        Ok(())
    }

    /// Step 2: the real of a packet that goes by itself; nothing where the service has no ring.
    pub(super) fn one_packet(&mut self, key: &FlowKey, service: ServiceValue) -> Option<u16> {
        let count = self.effects.service_counters.get(&service.id).map_or(0, |counters| counters.packets);
        let index = slot_of(one_packet_hash(flow_hash(key), count));
        let slot = self.rings.get(&service.id)?[index as usize];
        self.saw(if slot.state == SLOT_CLEAN { Branch::OnePacketClean } else { Branch::OnePacketNotClean });
        Some(slot.real)
    }

    /// The slot of a flow, or, with affinity (step 3), that of its client. Nothing where there is no ring.
    pub(super) fn place_of(&mut self, key: FlowKey, service: ServiceValue) -> Option<Place> {
        if service.flags & SERVICE_AFFINITY == 0 {
            return self.place(key, service);
        }
        let options = self.options(service.id);
        let client = FlowKey {
            client: first_bits(&key.client, options.affinity_bits.into()),
            service: ServiceKey {
                vip: options.vip,
                port: options.affinity_port,
                protocol: options.affinity_protocol,
                family: key.service.family,
            },
            client_port: options.affinity_client_port,
            reserved: 0,
        };
        let shared = options.affinity_service != service.id;
        self.saw(if shared { Branch::AffinityShared } else { Branch::AffinityOwn });
        let place = self.place(client, ServiceValue { id: options.affinity_service, ..service })?;
        Some(Place { is_client: true, ..place })
    }

    /// Step 4: whether a packet leaves nothing behind.
    pub(super) fn goes_unnoted(&mut self, place: &Place, service: ServiceValue, syn: bool) -> bool {
        let guarded = service.flags & SERVICE_GUARDED != 0;
        if !guarded || self.guard_row(service.id).flags & GUARD_FLOOD == 0 {
            return false;
        }
        let branch = match (place.is_client, place.slot.state == SLOT_CLEAN, syn) {
            (true, ..) => Branch::FloodClient,
            (_, true, _) => Branch::FloodClean,
            (.., false) => Branch::FloodNoSyn,
            (false, false, true) => Branch::FloodUnnoted,
        };
        self.saw(branch);
        let unnoted = branch == Branch::FloodUnnoted;
        if unnoted {
            self.event(Event::SynUnnoted);
        }
        unnoted
    }
}

/// Whether each packet of a service goes by itself.
pub(super) fn is_one_packet(service: ServiceValue) -> bool {
    service.flags & SERVICE_ONE_PACKET != 0
}

/// An address of which only the first bits are left.
pub(super) fn first_bits(address: &[u8; 16], bits: u32) -> [u8; 16] {
    let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
    (u128::from_be_bytes(*address) & mask).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::first_bits;

    #[test]
    fn the_first_bits_are_left() {
        let ones = [0xff; 16];
        assert_eq!(first_bits(&ones, 0), [0; 16]);
        assert_eq!(first_bits(&ones, 128), ones);
        let mut wanted = [0; 16];
        wanted[..4].copy_from_slice(&[0xff, 0xff, 0xff, 0xfc]);
        assert_eq!(first_bits(&ones, 30), wanted);
    }
}
