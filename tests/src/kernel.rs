//! The kernel's own routes and neighbours, made to say what a world declares ([`Ways`]), in a network namespace that goes away with
//! its thread.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use lb_lab::tool;

use crate::model::{Leads, Only, Route, WAY_IFINDEX, WAY_MAC, Ways};

/// The link that ways lead out of.
pub const WAY_LINK: &str = "us-way";
/// Its other end, which nobody listens at.
const FAR_LINK: &str = "us-far";
/// The tables of routes that are not for all packets have numbers from here on.
const FIRST_TABLE: usize = 1_000;

/// The network namespace of the thread that has made it.
pub struct Kernel {
    ways: Ways,
}

impl Kernel {
    /// Moves the calling thread, and what it starts, to a network namespace of its own with the link in it.
    ///
    /// # Errors
    /// No privilege, or a kernel without veths.
    pub fn of_this_thread() -> Result<Self> {
        // SAFETY: unshare takes no pointers and changes this thread only.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return Err(std::io::Error::last_os_error())
                .context("cannot make a network namespace: run this test as root (or with CAP_SYS_ADMIN)");
        }
        // No packets but those of the test: IPv6 on a link has some to send when it comes up.
        for interface in ["all", "default"] {
            set(&format!("ipv6/conf/{interface}/accept_dad"), "0")?;
        }
        let mac = show_mac(&WAY_MAC);
        batch(
            "-4",
            &[
                "link set lo up".to_owned(),
                format!("link add {WAY_LINK} index {WAY_IFINDEX} address {mac} type veth peer name {FAR_LINK}"),
                format!("link set {WAY_LINK} addrgenmode none"),
                format!("link set {FAR_LINK} addrgenmode none"),
                format!("link set {WAY_LINK} up"),
                format!("link set {FAR_LINK} up"),
            ],
        )?;
        let kernel = Self { ways: Ways::default() };
        kernel.forward(&Ways::default())?;
        Ok(kernel)
    }

    /// Makes the tables say this.
    ///
    /// # Errors
    /// The kernel refuses a route or a neighbour.
    pub fn set(&mut self, ways: &Ways) -> Result<()> {
        if self.ways.routes != ways.routes {
            change("del", &self.ways.routes)?;
            change("add", &ways.routes)?;
        }
        if (self.ways.forwards_v4, self.ways.forwards_v6) != (ways.forwards_v4, ways.forwards_v6) {
            self.forward(ways)?;
        }
        self.ways = ways.clone();
        Ok(())
    }

    fn forward(&self, ways: &Ways) -> Result<()> {
        for (family, forwards) in [("ipv4", ways.forwards_v4), ("ipv6", ways.forwards_v6)] {
            set(&format!("{family}/conf/all/forwarding"), if forwards { "1" } else { "0" })?;
        }
        Ok(())
    }
}

/// Adds or deletes routes, the rules that lead to them, and neighbours.
fn change(verb: &str, routes: &[Route]) -> Result<()> {
    for (option, is_v6) in [("-4", false), ("-6", true)] {
        let of_family = routes.iter().enumerate().filter(|(_, route)| route.to.is_ipv6() == is_v6);
        let mut lines: Vec<String> = of_family.flat_map(|(at, route)| route_lines(verb, at, route)).collect();
        lines.sort();
        batch(option, &lines)?;
        // Routes to one address may share their neighbour.
        let mut neighbours: Vec<String> =
            routes.iter().filter_map(|route| neighbour_line(verb, route, is_v6)).collect();
        neighbours.sort();
        neighbours.dedup();
        batch(option, &neighbours)?;
    }
    Ok(())
}

/// A route for all packets is in the main table, any other in one of its own.
fn route_lines(verb: &str, at: usize, route: &Route) -> Vec<String> {
    let to = route.to;
    let to_host = match route.leads {
        Leads::Out { gateway, mtu, .. } => {
            let family = if gateway.is_some_and(|gateway| gateway.is_ipv6() && to.is_ipv4()) { "inet6 " } else { "" };
            let via = gateway.map_or_else(String::new, |gateway| format!(" via {family}{gateway}"));
            let onlink = if gateway.is_some() { " onlink" } else { "" };
            format!("{to}{via} dev {WAY_LINK}{onlink} mtu lock {mtu}")
        }
        Leads::Own => format!("local {to} dev lo"),
        Leads::Blackhole => format!("blackhole {to}"),
        Leads::Unreachable => format!("unreachable {to}"),
        Leads::Prohibit => format!("prohibit {to}"),
    };
    if route.only == Only::default() {
        return vec![format!("route {verb} {to_host}")];
    }
    let table = FIRST_TABLE + at;
    let Only { source, protocol, class, ingress } = route.only;
    let mut rule = format!("rule {verb} pref {} to {to}", at + 1);
    let words = [
        source.map(|source| format!(" from {source}")),
        protocol.map(|protocol| format!(" ipproto {protocol}")),
        class.map(|class| format!(" tos 0x{class:02x}")),
        ingress.map(|ingress| format!(" iif {}", if ingress == WAY_IFINDEX { WAY_LINK } else { "lo" })),
    ];
    rule.extend(words.into_iter().flatten());
    vec![format!("route {verb} {to_host} table {table}"), format!("{rule} lookup {table}")]
}

fn neighbour_line(verb: &str, route: &Route, is_v6: bool) -> Option<String> {
    let Leads::Out { gateway, mac: Some(mac), .. } = route.leads else { return None };
    let address: IpAddr = gateway.unwrap_or(route.to);
    let line = format!("neigh {verb} {address} dev {WAY_LINK} lladdr {} nud permanent", show_mac(&mac));
    (address.is_ipv6() == is_v6).then_some(line)
}

/// Runs `ip` with a line of words each.
fn batch(option: &str, lines: &[String]) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut ip = tool("ip");
    ip.args([option, "-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = ip.spawn().context("cannot run `ip`")?;
    if let Some(mut words) = child.stdin.take() {
        writeln!(words, "{}", lines.join("\n")).context("telling `ip` what to do")?;
    }
    let output = child.wait_with_output().context("waiting for `ip`")?;
    if !output.status.success() {
        bail!("`ip {option}` failed: {} (of {lines:#?})", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Sets a parameter below /proc/sys/net, which shows a thread its own namespace's.
fn set(parameter: &str, value: &str) -> Result<()> {
    let path = Path::new("/proc/sys/net").join(parameter);
    fs::write(&path, value).with_context(|| format!("cannot set {} to {value}", path.display()))
}

fn show_mac(mac: &[u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
