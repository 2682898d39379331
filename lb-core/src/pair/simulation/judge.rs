//! What has to come out when nothing goes wrong any more.

use super::host::Host;
use super::schedule::{Fault, ROLES, fastest, is_fit, slowest_detection};
use super::watch::Violation;
use super::world::World;
use crate::pair::{Micros, PathId, Role, State};

/// Facts are told as often as this on a path of datagrams, and a primary that preempts waits for them.
const FACTS_US: Micros = 1_100_000;

/// Who has to serve.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// One of these, and nobody else; by role.
    One([bool; 2]),
    /// All of these, for they cannot know of each other.
    Each([bool; 2]),
    /// Nothing can be said.
    Anything,
}

/// Runs on after the last fault, until what has to come out has come, and then for a while in which it has to stay so. With `patience`
/// it takes all the time that there is first, so that nothing is left to be done after it.
pub(super) fn settle(world: &mut World, patience: bool) -> Result<(), Violation> {
    let bound = world.now + longest_unrest(world);
    while world.now < bound && (patience || !is_met(world)) {
        world.step_until(bound)?;
    }
    if !is_met(world) {
        return Err(format!("{:?} was to come out by now, and {}", expected(world), who_serves(world)));
    }
    let owners = world.watch.owners;
    let lasts = if patience { longest_unrest(world) / 4 } else { 4 * fastest(&world.schedule.options[0]) };
    let end = world.now + lasts;
    while world.now < end {
        world.step_until(end)?;
    }
    let moves = justified_moves(world, lasts);
    if patience && world.watch.owners > owners + moves {
        return Err("the VIPs move although all is well".to_owned());
    }
    if patience && !is_met(world) {
        return Err(format!("{:?} came out and did not stay, {}", expected(world), who_serves(world)));
    }
    if patience { check_rest(world) } else { Ok(()) }
}

/// Where no path works both ways, a claim may be heard that cannot be answered: then the VIPs move, and not often. By a serial line alone a primary
/// that preempts waits long for the standby's facts.
fn justified_moves(world: &World, lasts: Micros) -> u64 {
    let options = &world.schedule.options[0];
    match expected(world) {
        Expected::Anything => 1 + lasts / options.failback_delay_us,
        _ => u64::from(options.preempt && !world.is_connected_by_datagrams()),
    }
}

/// So long may it take until all is as it should be.
fn longest_unrest(world: &World) -> Micros {
    let options = &world.schedule.options[0];
    let once = options.start_wait_us
        + slowest_detection(options)
        + options.handover_timeout_us
        + options.drain_us
        + options.failback_delay_us;
    let slow = world.hosts.iter().map(|host| host.acquire_us + host.disk.write_us).sum::<u64>();
    let compared = if options.preempt { 2 * FACTS_US } else { 0 };
    3 * once + 4 * slow + 20 * fastest(options) + compared + longest_grace(world)
}

fn longest_grace(world: &World) -> Micros {
    let grace = |fault: &Fault| if let Fault::Restart { grace_us, .. } = fault { *grace_us } else { 0 };
    world.schedule.faults.iter().map(|(_, fault)| grace(fault)).max().unwrap_or_default()
}

fn expected(world: &World) -> Expected {
    let able = ROLES.map(|role| world.hosts[role as usize].is_able());
    let running = ROLES.map(|role| world.hosts[role as usize].is_running());
    match running {
        [true, true] if world.is_connected() => among_two(world, able),
        [true, true] if is_apart(world) && able != [false, false] => each(world, able),
        [true, true] | [false, false] => Expected::Anything,
        _ if able == [false, false] => Expected::Anything,
        _ => Expected::One(able),
    }
}

/// A node that an operator holds back goes on where it serves already.
fn among_two(world: &World, able: [bool; 2]) -> Expected {
    let held_and_fit = |host: &Host| !host.forbidden && host.fitness > 0;
    let may = ROLES.map(|role| held_and_fit(&world.hosts[role as usize]));
    if able == [false, false] { Expected::Anything } else { Expected::One(may) }
}

/// One that is held back, or is not fit, may go on alone.
fn each(world: &World, able: [bool; 2]) -> Expected {
    if able == [true, true] || ROLES.iter().any(|role| world.hosts[*role as usize].forbidden) {
        Expected::Each(able)
    } else {
        Expected::Anything
    }
}

/// No path carries anything in either direction.
fn is_apart(world: &World) -> bool {
    let paths = 0..world.schedule.lines.len() as PathId;
    paths.into_iter().all(|path| ROLES.iter().all(|role| world.network.line(path, *role).is_cut))
}

fn is_met(world: &World) -> bool {
    let waits = |role: Role| world.hosts[role as usize].is_running() && !world.wishes[role as usize].is_empty();
    if ROLES.into_iter().any(waits) {
        return false;
    }
    let serves = ROLES.map(|role| world.hosts[role as usize].plane.serves(world.now));
    match expected(world) {
        Expected::One(may) => serves == [may[0], false] || serves == [false, may[1]],
        Expected::Each(able) => serves == able,
        Expected::Anything => true,
    }
}

pub(super) fn who_serves(world: &World) -> String {
    let of = |role: Role| {
        let host = &world.hosts[role as usize];
        let state = host.node().map(|node| (node.state(), node.epoch()));
        format!("{role:?} is {state:?}, {:?} until {}", host.plane.service, host.plane.until)
    };
    format!("at {} {}; {}", world.now, of(Role::Primary), of(Role::Standby))
}

/// With all time that there is: addresses are where the service is, nobody waits for an answer, a primary that preempts serves.
fn check_rest(world: &World) -> Result<(), Violation> {
    for host in &world.hosts {
        let serves = host.plane.serves(world.now);
        // Where frames get through one way only, a takeover may be under way at any time: it serves, and its addresses come.
        let takes_over = host.node().is_some_and(|node| node.state() == State::TakingOver);
        if host.is_running() && serves != host.has_addresses && !(serves && takes_over) {
            return Err(format!("{:?} serves: {serves}, has the addresses: {}", host.role, host.has_addresses));
        }
        if host.is_running() && !world.wishes[host.role as usize].is_empty() {
            return Err(format!("{:?} never answers {:?}", host.role, world.wishes[host.role as usize]));
        }
    }
    let options = &world.schedule.options[0];
    let are_alike = world.hosts.iter().all(|host| host.is_able() && is_fit(host.fitness))
        && world.hosts[0].facts == world.hosts[1].facts;
    let primary_serves = world.hosts[Role::Primary as usize].plane.serves(world.now);
    if options.preempt && are_alike && world.is_connected_by_datagrams() && !primary_serves {
        return Err("the primary does not take the VIPs back".to_owned());
    }
    Ok(())
}

/// The number of times that the VIPs may have moved, for what has gone wrong.
pub(super) fn check_flapping(world: &World) -> Result<(), Violation> {
    let faults = world.schedule.faults.len() as u64;
    let each = if world.schedule.options[0].preempt { 2 } else { 1 };
    let most = 1 + each * (faults + world.watch.by_need);
    if world.watch.owners > most {
        return Err(format!("the VIPs have moved {} times for {faults} faults", world.watch.owners));
    }
    Ok(())
}
