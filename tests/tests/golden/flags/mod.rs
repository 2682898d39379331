//! Services with flags: guards, one packet, affinity, SYN floods.

pub mod access;
pub mod affinity;
pub mod flood;
pub mod one_packet;
pub mod rate;

use lb_common::{Guard, SERVICE_GUARDED};
use lb_tests::model::State;

/// Gives a service these guards.
pub fn guard(world: &mut State, service: u32, guard: Guard) {
    world.set_flags(service, SERVICE_GUARDED);
    world.guards.insert(service, guard);
}
