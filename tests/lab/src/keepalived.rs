//! keepalived on both nodes of a pair's network: VRRPv3 moves the VIP by netlink and gratuitous ARP, and nothing else.
//! Who has the VIP gets the packets, and has to forward them by something else.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::pair::PairNetwork;
use crate::process::{Process, wait_for};

/// The first node's, the second node's. The protocol's own default is 100. The time that a backup adds to its wait is
/// (256 - priority)/256 of the interval.
const PRIORITIES: [u8; 2] = [101, 100];
const ROUTER_ID: u8 = 51;
const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How fast keepalived is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VrrpPace {
    /// From one advertisement to the next, in milliseconds: a multiple of 10.
    pub advert_ms: u32,
    /// So many that are missing make the backup take over.
    pub missed_limit: u32,
}

/// A running keepalived on each node. Dropped, both are killed.
#[derive(Debug)]
pub struct Keepalived {
    processes: [Option<Process>; 2],
}

impl Keepalived {
    /// Starts it on both nodes for a VIP, and waits until the first one has the VIP.
    pub fn start(network: &PairNetwork, vip: Ipv4Addr, pace: VrrpPace) -> Result<Keepalived> {
        let mut keepalived = Keepalived { processes: [None, None] };
        for node in 0..2 {
            keepalived.processes[node] = Some(spawn(network, node, vip, pace)?);
        }
        keepalived.wait_for_owner(network, vip, 0)?;
        Ok(keepalived)
    }

    /// Waits until the VIP is on this node, and only there.
    pub fn wait_for_owner(&mut self, network: &PairNetwork, vip: Ipv4Addr, owner: usize) -> Result<()> {
        let what = format!("{} alone to have {vip}", PairNetwork::node_name(owner));
        wait_for(&what, START_LIMIT, || {
            for process in self.processes.iter_mut().flatten() {
                if !process.is_running() {
                    bail!("keepalived has ended; it said: {}", process.log().trim());
                }
            }
            let has = [has_address(network, 0, vip)?, has_address(network, 1, vip)?];
            Ok((has[owner] && !has[1 - owner]).then_some(()))
        })
    }

    /// Stops both, as a service manager does, and waits for their end.
    pub fn stop(mut self) -> Result<()> {
        // The backup first: it shall not take over for an instant.
        for process in self.processes.iter_mut().rev() {
            if let Some(mut process) = process.take() {
                process.terminate(STOP_LIMIT)?;
            }
        }
        Ok(())
    }
}

fn spawn(network: &PairNetwork, node: usize, vip: Ipv4Addr, pace: VrrpPace) -> Result<Process> {
    let dir = network.node_dir(node);
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let config = dir.join("keepalived.conf");
    fs::write(&config, text(node, vip, pace)).with_context(|| format!("cannot write {}", config.display()))?;
    let mut command = network.lbs[node].command("keepalived");
    command.args(["--dont-fork", "--vrrp", "--log-console", "--use-file"]).arg(&config);
    command.arg("--pid").arg(dir.join("keepalived.pid")).arg("--vrrp_pid").arg(dir.join("vrrp.pid"));
    Process::spawn(&mut command, &dir.join("keepalived.log"))
}

fn text(node: usize, vip: Ipv4Addr, pace: VrrpPace) -> String {
    let VrrpPace { advert_ms, missed_limit } = pace;
    format!(
        "global_defs {{
  vrrp_version 3
}}
vrrp_instance service {{
  state BACKUP
  interface eth0
  virtual_router_id {ROUTER_ID}
  priority {}
  advert_int {}.{:02}
  down_timer_adverts {missed_limit}
  virtual_ipaddress {{
    {vip}/32
  }}
}}
",
        PRIORITIES[node],
        advert_ms / 1000,
        advert_ms % 1000 / 10,
    )
}

fn has_address(network: &PairNetwork, node: usize, address: Ipv4Addr) -> Result<bool> {
    let shown = network.lbs[node].ip("-4 -o address show dev eth0")?;
    Ok(shown.contains(&format!(" {address}/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_written_in_hundredths_of_a_second() {
        let vip = Ipv4Addr::new(192, 0, 2, 101);
        let line = |advert_ms| {
            let text = text(0, vip, VrrpPace { advert_ms, missed_limit: 3 });
            text.lines().find(|line| line.contains("advert_int")).map(|line| line.trim().to_string())
        };
        assert_eq!(line(10).as_deref(), Some("advert_int 0.01"));
        assert_eq!(line(100).as_deref(), Some("advert_int 0.10"));
        assert_eq!(line(1000).as_deref(), Some("advert_int 1.00"));
    }
}
