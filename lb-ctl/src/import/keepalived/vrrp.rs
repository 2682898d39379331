//! `vrrp_instance`: the pair.

use std::net::IpAddr;

use super::parse::Statement;
use super::{milliseconds, no_counterpart};
use crate::import::draft::{Draft, Pair, UdpPath, is_interface};
use crate::import::remarks::Remarks;

/// Heartbeats are this frequent at least, and more frequent than weights are decided (1 s), in milliseconds.
const HEARTBEATS: std::ops::Range<u64> = 5..1_000;
/// The longest `failback_delay`, in milliseconds.
const MAX_FAILBACK_DELAY: u64 = 3_600_000;
const MAX_PATHS: usize = 8;

/// Takes an instance into the pair.
pub(super) fn read(instance: &Statement, draft: &mut Draft, remarks: &mut Remarks) {
    let Some(interface) = instance.inner("interface").filter(|name| is_interface(name)) else {
        return remarks.add(instance.line, "a vrrp_instance without an interface: left out");
    };
    draft.add_interface(interface);
    let mut pair = draft.pair.take().unwrap_or_default();
    let is_first = pair.groups.is_empty();
    take_role(instance, is_first, &mut pair, remarks);
    take_path(instance, interface, &mut pair, remarks);
    for inner in instance.block() {
        take_line(inner, interface, draft, &mut pair, remarks);
    }
    draft.pair = Some(pair);
}

/// VRRP takes the address back where nothing else is said.
fn take_role(instance: &Statement, is_first: bool, pair: &mut Pair, remarks: &mut Remarks) {
    let standby = instance.inner("state") != Some("MASTER");
    if !is_first && standby != pair.standby {
        remarks.add(instance.line, "one node is active for all VIPs: the role is that of the first vrrp_instance");
    }
    if is_first {
        pair.standby = standby;
        pair.preempt = !standby && instance.find("nopreempt").is_none();
    }
}

fn take_path(instance: &Statement, interface: &str, pair: &mut Pair, remarks: &mut Remarks) {
    let parsed = |text: Option<&str>| text.and_then(|text| text.parse::<IpAddr>().ok());
    let local = parsed(instance.inner("unicast_src_ip"));
    let peers = instance.find("unicast_peer").map(Statement::block).unwrap_or_default();
    let peer = peers.first().and_then(|peer| parsed(Some(peer.word())));
    if let Some(surplus) = peers.get(1) {
        remarks.add(surplus.line, "unicast_peer: a pair has one peer. The others are left out");
    }
    let (Some(local), Some(peer)) = (local, peer) else {
        return remarks.add(
            instance.line,
            "no unicast_src_ip and unicast_peer: heartbeats go from address to address here. Write a [[pair.path]]",
        );
    };
    let known = pair.paths.iter().any(|path| path.local == local);
    if !known && local.is_ipv4() == peer.is_ipv4() && local != peer && pair.paths.len() < MAX_PATHS {
        pair.paths.push(UdpPath { interface: interface.to_owned(), local, peer });
    }
}

fn take_line(inner: &Statement, interface: &str, draft: &mut Draft, pair: &mut Pair, remarks: &mut Remarks) {
    match inner.word() {
        "state" | "interface" | "unicast_src_ip" | "unicast_peer" | "nopreempt" | "preempt" | "priority" => {}
        "virtual_router_id" | "version" | "strict_mode" => {}
        "advert_int" => advert_int(inner, pair, remarks),
        "preempt_delay" => {
            let delay = inner.value().and_then(milliseconds);
            pair.failback_delay = delay.filter(|delay| *delay <= MAX_FAILBACK_DELAY).or(pair.failback_delay);
        }
        "virtual_ipaddress" | "virtual_ipaddress_excluded" => {
            inner.block().iter().for_each(|address| virtual_address(address, interface, draft, pair, remarks));
        }
        "track_interface" => track(inner, pair),
        "authentication" => remarks.add(
            inner.line,
            "authentication: put a key into /etc/understudy/keys, the same on both nodes (docs/reference/reports.md)",
        ),
        word if word.starts_with("notify") => {
            remarks.add(
                inner.line,
                format!("`{word}`: `pair.hooks.notify` is run at each change of state, with other arguments"),
            );
        }
        "track_script" => remarks
            .add(inner.line, "track_script has no counterpart; [pair.track] looks at carriers, gateways and reals"),
        _ => no_counterpart(inner, remarks),
    }
}

fn advert_int(inner: &Statement, pair: &mut Pair, remarks: &mut Remarks) {
    let interval = inner.value().and_then(milliseconds).filter(|interval| HEARTBEATS.contains(interval));
    if interval.is_none() {
        remarks.add(inner.line, "advert_int: heartbeat_interval stays at its default of 100ms");
    }
    pair.heartbeat_interval = interval.or(pair.heartbeat_interval);
}

/// `ADDRESS[/LENGTH] [dev NAME] ...`
fn virtual_address(line: &Statement, interface: &str, draft: &mut Draft, pair: &mut Pair, remarks: &mut Remarks) {
    let (address, length) = line.word().split_once('/').unwrap_or((line.word(), ""));
    let Ok(address) = address.parse::<IpAddr>() else {
        return remarks.add(line.line, "not an address: left out");
    };
    let whole = if address.is_ipv4() { "32" } else { "128" };
    if !length.is_empty() && length != whole {
        remarks.add(line.line, format!("a VIP is put on its interface as /{whole}"));
    }
    let named = line.words.iter().skip_while(|word| *word != "dev").nth(1).filter(|name| is_interface(name));
    let interface = named.map_or(interface, String::as_str);
    draft.add_interface(interface);
    match pair.groups.iter_mut().find(|(name, _)| name == interface) {
        Some((_, addresses)) => addresses.push(address),
        None => pair.groups.push((interface.to_owned(), vec![address])),
    }
}

fn track(inner: &Statement, pair: &mut Pair) {
    for name in inner.block().iter().map(Statement::word).filter(|name| is_interface(name)) {
        if !pair.tracked.iter().any(|known| known == name) {
            pair.tracked.push(name.to_owned());
        }
    }
}

/// What is true of the pair as a whole.
pub(super) fn complete(draft: &mut Draft, remarks: &mut Remarks) {
    let Some(pair) = &mut draft.pair else { return };
    let locals: Vec<IpAddr> = pair.paths.iter().map(|path| path.local).collect();
    pair.paths.retain(|path| !locals.contains(&path.peer));
    if pair.paths.is_empty() {
        remarks.in_general("[pair] is written as a comment: it needs a [[pair.path]]. Two and a serial line are good");
    } else {
        remarks.in_general("[pair] needs a key in /etc/understudy/keys, the same on both nodes. More paths are good, one of them a serial line (docs/pair.md)");
    }
}
