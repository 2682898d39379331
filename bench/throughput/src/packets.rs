//! Small packets: how many a second come through each system, with one CPU for everything.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lb_lab::interrupt;

use crate::balancers::FLOOD_PORT;
use crate::cpu::{self, Runs};
use crate::flood::{Counter, Flood, Generator, Outcome, ROOM, TARGETS, stand_aside, use_both};
use crate::report::{Metric, Record};
use crate::system::{Lane, System};
use crate::world::{REALS, World};

/// Flows that come in turn: a multiple of [`TARGETS`].
const FLOWS: u32 = 4_095;
/// The first client's address: 198.19.128.0.
const CLIENTS: u32 = 0xc613_8000;
/// Each real server must get so much of its even share at least.
const LEAST_SHARE: f64 = 0.5;
/// Of a second: the one CPU is busy all the time.
const MICROSECONDS: f64 = 1e6;

/// How long each system is flooded in a round, before it counts and while it counts; and how many rounds.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub times: [Duration; 2],
    pub rounds: usize,
}

/// Floods all systems in turn, round after round.
pub fn measure(world: &World, records: &mut [Record], pace: Pace) -> Result<()> {
    stand_aside()?;
    world.poll(true)?;
    let mut generator = Generator::load(records.iter().any(|record| record.guest))?;
    let mut counters = Vec::new();
    for real in &world.reals {
        let mut counter = Counter::load()?;
        world.entrances().try_for_each(|interface| counter.attach(real, interface))?;
        counters.push(counter);
    }
    for round in 1..=pace.rounds {
        for record in records.iter_mut().filter(|record| record.system.forwards_packets()) {
            interrupt::check()?;
            let outcome = flood(world, &mut generator, &counters, record.system, pace.times);
            let outcome = outcome.with_context(|| format!("packets through {}", record.system))?;
            let (rate, lost) = (outcome.rates.iter().sum::<f64>(), outcome.lost.max(0.0) * 100.0);
            record.add(Metric::Packets, rate, MICROSECONDS / rate);
            let (rounds, system) = (pace.rounds, record.system);
            println!("round {round} of {rounds}: {system:<16} {rate:>10.0} packets a second, {lost:.1}% were lost");
        }
    }
    for record in records.iter().filter(|record| record.system.lane() == Some(Lane::Understudy)) {
        interrupt::check()?;
        let each_ns = time(world, &mut generator, &counters, record.system, pace.times)?;
        println!("{:<16} the XDP program alone takes {each_ns:.0} ns a packet", record.system);
    }
    drop(counters);
    world.poll(false)?;
    use_both()
}

/// Nanoseconds that the XDP program takes a packet, by the kernel's statistics; these cost time themselves, so the run counts for
/// nothing else.
fn time(
    world: &World,
    generator: &mut Generator,
    counters: &[Counter],
    system: System,
    times: [Duration; 2],
) -> Result<f64> {
    let program = cpu::program_at(world.lb(Lane::Understudy)?, "eth0")?;
    let _on = cpu::count_runs()?;
    let before = Runs::of(program)?;
    flood(world, generator, counters, system, times)?;
    Ok(Runs::of(program)?.since(before).each_ns())
}

fn flood(
    world: &World,
    generator: &mut Generator,
    counters: &[Counter],
    system: System,
    times: [Duration; 2],
) -> Result<Outcome> {
    let packets = packets(world, system)?;
    let outcome = generator.flood(&world.client.handle(), packets, counters, system.arrives_as(), times)?;
    let rates = &outcome.rates;
    let least = rates.iter().sum::<f64>() / f64::from(REALS) * LEAST_SHARE;
    if system != System::Direct && rates.iter().any(|share| *share < least) {
        bail!("the packets are not spread over the real servers: {rates:.0?} a second");
    }
    Ok(outcome)
}

/// What the generator sends to a system.
fn packets(world: &World, system: System) -> Result<Flood> {
    let targets = world.targets(system);
    let mut in_turn = targets.iter().cycle().map(|target| on_the_wire(*target));
    let mut flood = Flood {
        ifindex: world.client.ifindex(world.way(system))?,
        flows: FLOWS,
        client: CLIENTS,
        port: FLOOD_PORT.into(),
        room: if system.is_tunnel() { ROOM as u32 } else { 0 },
        targets: [0; TARGETS],
        macs: words(world.macs(system)?),
    };
    for target in &mut flood.targets {
        *target = in_turn.next().flatten().context("a system without an IPv4 address")?;
    }
    Ok(flood)
}

fn on_the_wire(address: IpAddr) -> Option<u32> {
    match address {
        IpAddr::V4(address) => Some(u32::from_ne_bytes(address.octets())),
        IpAddr::V6(_) => None,
    }
}

/// Two MAC addresses as three words.
fn words([a, b]: [[u8; 6]; 2]) -> [u32; 3] {
    let word = |bytes| u32::from_ne_bytes(bytes);
    [word([a[0], a[1], a[2], a[3]]), word([a[4], a[5], b[0], b[1]]), word([b[2], b[3], b[4], b[5]])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_on_the_wire() {
        let words = words([[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]]);
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(on_the_wire([198, 18, 0, 101].into()).map(u32::to_ne_bytes), Some([198, 18, 0, 101]));
        assert_eq!(FLOWS as usize % TARGETS, 0);
    }
}
