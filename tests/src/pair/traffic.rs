//! Clients that never rest, and what they have lost: a probe each millisecond, TCP connections that stay open and talk, and new ones
//! all the time, over IPv4 and IPv6.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow, ensure};
use lb_lab::{Namespace, NamespaceHandle, Pinned, Probe, REQUEST_LIMIT, lost, wait_for};

use super::{CONNECTIONS, ECHO, LIMIT, PairStage, answered, close_unbroken};

const WORD: &[u8; 6] = b"hello\n";

/// Traffic of both families through the first VIP.
pub struct Traffic {
    probes: Vec<Probe>,
    pinned: Vec<Pinned>,
    newcomers: Vec<Newcomers>,
    /// The hosts that talk, and how many TCP segments they had sent again at the beginning.
    resent: Vec<(NamespaceHandle, u64)>,
}

impl PairStage {
    /// Starts all traffic, and waits until all of it flows.
    pub fn traffic(&self) -> Result<Traffic> {
        self.be_known()?;
        for host in self.network.reals.iter().chain([&self.network.client]) {
            be_patient(host)?;
        }
        let client = self.network.client.handle();
        let targets = self.network.plan.vip_addresses(0).map(|vip| SocketAddr::new(vip, ECHO));
        let probes = targets.iter().map(|target| Probe::start(&client, *target)).collect::<Result<Vec<_>>>()?;
        probes.iter().try_for_each(answered)?;
        let pinned = targets.iter().map(|target| Pinned::open(&client, *target, CONNECTIONS)).collect::<Result<_>>()?;
        let newcomers = targets.iter().map(|target| Newcomers::start(&client, *target)).collect();
        let hosts = self.network.reals.iter().chain([&self.network.client]).map(Namespace::handle);
        let resent = hosts.map(|host| Ok((host.clone(), segments_resent(&host)?))).collect::<Result<_>>()?;
        let traffic = Traffic { probes, pinned, newcomers, resent };
        traffic.flows()?;
        Ok(traffic)
    }
}

impl Traffic {
    /// Waits until all of it has been answered anew.
    pub fn flows(&self) -> Result<()> {
        self.probes.iter().try_for_each(answered)?;
        for (pinned, newcomers) in self.pinned.iter().zip(&self.newcomers) {
            let (talked, came) = (pinned.answers() + CONNECTIONS as u64, newcomers.served() + 1);
            let all = || (pinned.answers() > talked && newcomers.served() > came).then_some(());
            wait_for("answers on connections, old and new", LIMIT, || Ok(all()))?;
        }
        Ok(())
    }

    /// Ends it. No probe, no segment and no connection may have been lost.
    pub fn lost_nothing(self) -> Result<()> {
        for newcomers in self.newcomers {
            newcomers.end()?;
        }
        self.pinned.into_iter().try_for_each(close_unbroken)?;
        for (host, before) in &self.resent {
            let resent = segments_resent(host)?.saturating_sub(*before);
            ensure!(resent == 0, "{resent} TCP segments had to be sent again");
        }
        for probe in self.probes {
            let samples = probe.stop()?;
            let gone: Vec<_> = samples.iter().filter(|sample| !sample.answered).map(|sample| sample.sent).collect();
            let some = &gone[..gone.len().min(10)];
            ensure!(lost(&samples) == 0, "{} of {} probes were lost, at {some:?}", gone.len(), samples.len());
        }
        Ok(())
    }
}

/// A client that opens one connection after the other: each asks once.
struct Newcomers {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Newcomers {
    fn start(from: &NamespaceHandle, target: SocketAddr) -> Newcomers {
        let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (from, seen, counted) = (from.clone(), stop.clone(), served.clone());
        let thread = std::thread::spawn(move || {
            from.enter()?;
            while !seen.load(Ordering::Relaxed) {
                ask_once(target)?;
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        Newcomers { stop, served, thread: Some(thread) }
    }

    fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    fn end(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it has ended before")?;
        thread.join().map_err(|_| anyhow!("the thread of new connections has panicked"))?
    }
}

impl Drop for Newcomers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn ask_once(target: SocketAddr) -> Result<()> {
    let asked = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&target, REQUEST_LIMIT)?;
        stream.set_read_timeout(Some(REQUEST_LIMIT))?;
        stream.write_all(WORD)?;
        stream.read_exact(&mut [0; WORD.len()])
    };
    asked().with_context(|| format!("a new connection to {target} has failed"))
}

/// Has a host send no TCP segment again before it is lost, where the kernel can be told so (since Linux 6.11). Else it does within 200 ms, also
/// where the whole machine was held up for that long; and of a connection that has ended by then nobody can tell.
fn be_patient(host: &Namespace) -> Result<()> {
    for (name, value) in [("net/ipv4/tcp_rto_min_us", "3000000"), ("net/ipv4/tcp_early_retrans", "0")] {
        if Path::new("/proc/sys").join(name).exists() {
            host.sysctl(name, value)?;
        }
    }
    Ok(())
}

/// How many TCP segments a host has sent more than once, of either family.
///
/// What its peer says to have got twice (RFC 2883) was late and not lost, as it is where the whole machine was held up for longer than TCP waits.
fn segments_resent(host: &NamespaceHandle) -> Result<u64> {
    let read =
        |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}")).context("cannot read the counters");
    let (plain, extended) = host.run(|| Ok((read("snmp")?, read("netstat")?)))?;
    let resent =
        counter(&plain, "Tcp:", "RetransSegs").context("the kernel does not count segments that are sent again")?;
    let twice = counter(&extended, "TcpExt:", "TCPDSACKRecv").context("the kernel does not count what came twice")?;
    Ok(resent.saturating_sub(twice))
}

/// A counter of a table in which a line of names goes before each line of figures.
fn counter(table: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = table.lines().filter(|line| line.starts_with(group));
    let (names, figures) = (lines.next()?, lines.next()?);
    let place = names.split_whitespace().position(|word| word == name)?;
    figures.split_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_below_its_name() {
        let table = "Ip: Forwarding TTL\nIp: 1 64\nTcp: InSegs RetransSegs\nTcp: 77 3\n";
        assert_eq!(counter(table, "Tcp:", "RetransSegs"), Some(3));
        assert_eq!(counter(table, "Ip:", "TTL"), Some(64));
        assert_eq!(counter(table, "Udp:", "RetransSegs"), None);
        assert_eq!(counter(table, "Tcp:", "Retrans"), None);
    }
}
