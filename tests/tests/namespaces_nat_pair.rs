//! NAT through a pair: the reals route back through a gateway that moves with the VIPs. Needs root.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use lb_lab::{Pinned, Server, wait_for};
use lb_tests::pair::{LIMIT, PairStage, close_unbroken};

const ECHO: u16 = 7;
const CONNECTIONS: usize = 20;
const GATEWAYS: [&str; 2] = ["192.0.2.254", "2001:db8::254"];

/// A pair whose services are all in mode `nat`. The reals have no VIPs, and reach the client through the gateway alone.
fn set() -> Result<(PairStage, Vec<Server>)> {
    let [vip, vip6] = lb_lab::PairPlan::default().vip_addresses(0);
    let group = format!(
        "[[pair.vip_group]]\nname = \"all\"\ninterface = \"eth0\"\nvips = [\"{vip}\", \"{vip6}\"]\ngateways = {GATEWAYS:?}\n"
    );
    let mut stage = PairStage::prepare(&format!("failback_delay = \"1s\"\n{group}"))?;
    let client = stage.network.plan.client_addresses();
    let mut servers = Vec::new();
    for (index, real) in (0..).zip(&stage.network.reals) {
        for (gateway, client) in GATEWAYS.into_iter().zip(client) {
            real.ip(&format!("route add {client} via {gateway}"))?;
        }
        for address in [vip, vip6] {
            real.ip(&format!("address del {address}/{} dev lo", if address.is_ipv4() { 32 } else { 128 }))?;
        }
        for address in stage.network.plan.real_addresses(index) {
            servers.push(Server::tcp_echo(real, SocketAddr::new(address, ECHO))?);
        }
    }
    for (node, lb) in stage.network.lbs.iter().enumerate() {
        lb.sysctl("net/ipv4/ip_forward", "1")?;
        lb.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        stage.configure(node, &[("mode = \"dsr\"", "mode = \"nat\"")])?;
    }
    stage.start_both()?;
    Ok((stage, servers))
}

/// Waits until all connections have been answered anew.
fn flows(pinned: &[Pinned]) -> Result<()> {
    for pinned in pinned {
        let before = pinned.answers();
        let all = || (pinned.answers() > before + 2 * CONNECTIONS as u64).then_some(());
        wait_for("answers on connections through NAT", LIMIT, || Ok(all()))?;
    }
    Ok(())
}

/// The active node alone has the gateways.
fn who_has_the_gateways(stage: &PairStage, owner: usize) -> Result<()> {
    for (node, lb) in stage.network.lbs.iter().enumerate() {
        let held = lb.ip("-o address show dev eth0")?;
        for gateway in GATEWAYS {
            ensure!(held.contains(&format!(" {gateway}/")) == (node == owner), "{node}: {held}");
        }
    }
    Ok(())
}

#[test]
fn connections_outlive_a_handover_and_a_takeover() -> Result<()> {
    let (mut stage, _servers) = set()?;
    who_has_the_gateways(&stage, 0)?;
    let client = stage.network.client.handle();
    let targets = stage.network.plan.vip_addresses(0).map(|vip| SocketAddr::new(vip, ECHO));
    let pinned: Vec<Pinned> =
        targets.iter().map(|target| Pinned::open(&client, *target, CONNECTIONS)).collect::<Result<_>>()?;
    flows(&pinned)?;
    stage.nodes[0].lbd.lbctl(&["handover"]).with_context(|| stage.story())?;
    stage.wait_for_owner(1)?;
    flows(&pinned).with_context(|| stage.story())?;
    who_has_the_gateways(&stage, 1)?;
    stage.nodes[1].lbd.kill()?;
    stage.nodes[0].wait_for_state("active")?;
    flows(&pinned).with_context(|| stage.story())?;
    pinned.into_iter().try_for_each(close_unbroken)
}
