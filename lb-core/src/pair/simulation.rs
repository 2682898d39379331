//! Two nodes on one virtual clock, with faults that follow from a seed.
//!
//! A scenario is two configurations, a network and some faults ([`schedule`], [`incidents`]); hosts ([`host`]) with a daemon ([`actions`]) that can be stopped, killed and
//! restarted and a data plane that does what it was last told; lines ([`network`]) that lose, delay, double, reorder, and are cut in
//! one direction or both. Some scenarios go through the wire's codec ([`codec`]).
//!
//! A node *serves* at an instant when its data plane was last told to serve, and the lease has not passed. After each event ([`watch`]):
//!
//! 1. At most one node serves while any path works both ways. A path works both ways for a node when an answer to a frame of its own has
//!    come within the least time that n asks in vain take, counted in time that its daemon had. So a second node may begin to serve only
//!    when all its asks were in vain on all usable paths, be it that they were cut or that the network lost each of them.
//!    A takeover of need has no other excuse either. Where the daemon of the other node had stopped, even that is no excuse, unless frames were lost
//!    before: its lease ends first.
//! 2. Where two serve all the same, the lower claim is silent as soon as one frame of the higher one can have come by any path: Tb, the way, and the lateness of a timer
//!    after the last loss on that path. Of equal epochs, and with nothing that proves the frame new, after n silent periods more.
//! 3. The epoch of a node never falls while its daemon runs, nor below what is on the disk at a start, and each of its claims is higher than all it has made before.
//! 4. When nothing goes wrong any more ([`judge`]), exactly one of two able nodes that hear each other serves within a bound, and a lone able node does.
//! 5. The VIPs move no oftener than faults justify, and stay where they are when all is well.
//! 6. While nothing is wrong but what an operator or the tracking asks for, there is no instant at which no node forwards.
//! 7. A daemon that goes on when its lease has passed does not serve before its peer has answered it, or n asks were in vain since.
//! 8. The data plane does what the node thinks it does; the addresses are where the service is; each wish is answered once.
//!
//! `UNDERSTUDY_PAIR_SCENARIOS=N cargo test -p lb-core pair::simulation` runs N scenarios, `UNDERSTUDY_PAIR_SEED=S` begins with seed S. A failure
//! prints its seed, its schedule, what came last, and the command that runs that seed alone.

mod actions;
mod clock;
mod codec;
mod faults;
mod host;
mod incidents;
mod judge;
mod network;
mod report;
mod schedule;
mod theory;
mod watch;
mod world;

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use report::{Totals, failure};
use schedule::Schedule;
use watch::Violation;
use world::World;

/// Scenarios, unless the environment says otherwise.
const SCENARIOS: u64 = 100_000;
/// Seed of the first one, unless the environment says otherwise.
const SEED: u64 = 0x0075_6e64_6572_7374;
const THREADS: u64 = 2;
/// One scenario in so many takes all the time that it may take to settle.
const PATIENT: u64 = 8;

const SEED_VARIABLE: &str = "UNDERSTUDY_PAIR_SEED";
const SCENARIOS_VARIABLE: &str = "UNDERSTUDY_PAIR_SCENARIOS";

#[test]
fn one_owner_whatever_goes_wrong() {
    let first = from_environment(SEED_VARIABLE, SEED);
    let scenarios = from_environment(SCENARIOS_VARIABLE, SCENARIOS);
    let next = AtomicU64::new(0);
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| work(first, scenarios, &next))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread panicked")).collect()
    });
    let mut totals = Totals::default();
    let mut failed: Option<u64> = None;
    for result in results {
        match result {
            Ok(part) => totals.join(&part),
            Err(seed) => failed = Some(failed.map_or(seed, |other| other.min(seed))),
        }
    }
    if let Some(seed) = failed {
        panic!("{}", failure(seed));
    }
    println!("{scenarios} scenarios from seed {first}: {totals:?}");
    if scenarios >= SCENARIOS {
        totals.assert_nothing_is_missing();
    }
}

/// Runs scenarios until there are no more, or one fails: its seed.
fn work(first: u64, scenarios: u64, next: &AtomicU64) -> Result<Totals, u64> {
    let mut totals = Totals::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= scenarios {
            return Ok(totals);
        }
        let seed = first.wrapping_add(number);
        let mut world = World::new(Schedule::new(seed), false);
        if run(&mut world).is_err() {
            next.store(scenarios, Ordering::Relaxed);
            return Err(seed);
        }
        totals.add(&world);
    }
}

fn run(world: &mut World) -> Result<(), Violation> {
    while world.faults_left > 0 {
        world.step()?;
    }
    judge::settle(world, world.schedule.seed.is_multiple_of(PATIENT))?;
    judge::check_flapping(world)
}

fn from_environment(variable: &str, otherwise: u64) -> u64 {
    match env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")),
        Err(_) => otherwise,
    }
}
