//! The daemon is killed and started again, and no request notices.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lb_lab::{Connection, Load, Tally, interrupt};

use super::stage::{Stage, real_name};
use super::{failed, reasons};

/// How often the connection that stays open is used.
const HELD_PAUSE: Duration = Duration::from_millis(50);
const BEFORE_KILL: Duration = Duration::from_secs(3);
const WITHOUT_DAEMON: Duration = Duration::from_secs(2);
const AFTER_RESTART: Duration = Duration::from_secs(2);

/// A connection that is opened once and used through everything that happens.
struct Held {
    connection: Connection,
    requests: u32,
    servers: BTreeSet<String>,
}

/// Kills lbd in the middle of the load, starts it again, and tells who served what.
pub fn show(stage: &mut Stage, load: &Load) -> Result<()> {
    let target = stage.services[0].target;
    let mut held = Held::open(Connection::open(&stage.network.client.handle(), target)?);
    held.use_for(BEFORE_KILL)?;
    kill_and_restart(stage, load, &mut held)?;
    held.use_for(AFTER_RESTART)?;
    let tallies = load.tallies();
    report(stage, &tallies, &held);
    judge(&tallies, &held, stage.reals.len())
}

fn kill_and_restart(stage: &mut Stage, load: &Load, held: &mut Held) -> Result<()> {
    let pid = stage.lbd.running()?.pid();
    let before = load.requests();
    stage.lbd.kill()?;
    held.use_for(WITHOUT_DAEMON)?;
    println!("kill -9 of lbd (pid {pid}): {} requests while no daemon ran", load.requests() - before);
    let begun = Instant::now();
    stage.lbd.start_again()?;
    stage.lbd.wait_until_ready()?;
    let pid = stage.lbd.running()?.pid();
    println!("lbd started again (pid {pid}): ready after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

impl Held {
    fn open(connection: Connection) -> Held {
        Held { connection, requests: 0, servers: BTreeSet::new() }
    }

    /// Asks again and again over the one connection.
    fn use_for(&mut self, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            let server = self.connection.get("/").context("the connection that stayed open broke")?;
            self.servers.insert(server);
            self.requests += 1;
            interrupt::pause(HELD_PAUSE)?;
        }
        Ok(())
    }
}

fn report(stage: &Stage, tallies: &[Tally], held: &Held) {
    let reals = stage.reals.len();
    print!("\n{:<20}", "requests per real");
    (0..reals).for_each(|index| print!("{:>9}", real_name(index)));
    println!("{:>9}", "failed");
    for (service, tally) in stage.services.iter().zip(tallies) {
        print!("{:<20}", format!("  {} ({})", service.name, service.mode));
        (0..reals).for_each(|index| print!("{:>9}", tally.served.get(&real_name(index)).unwrap_or(&0)));
        println!("{:>9}", tally.failed);
    }
    let servers: Vec<&str> = held.servers.iter().map(String::as_str).collect();
    println!("the open connection: {} requests, all answered by {}", held.requests, servers.join(", "));
}

fn judge(tallies: &[Tally], held: &Held, reals: usize) -> Result<()> {
    if failed(tallies) > 0 {
        bail!("{} requests failed, among them: {}", failed(tallies), reasons(tallies));
    }
    if tallies.iter().any(|tally| tally.served.len() != reals) {
        bail!("a real server got no request");
    }
    if held.servers.len() != 1 {
        bail!("the open connection was answered by {} real servers", held.servers.len());
    }
    Ok(())
}
