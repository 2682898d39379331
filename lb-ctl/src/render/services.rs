//! `lbctl services`, in the shape of `ipvsadm -Ln`: a line for each service, and a `->` line for each of its reals.

use lb_core::api::{AdminState, Health, Ports, QuicEncoding, Service, ServiceList, ServiceReal};

use super::table::{Side, Table};
use super::{Style, endpoint, short_duration, state};

/// Most prefixes that are shown of a list.
const MOST_PREFIXES: usize = 3;

/// Every service with its reals.
pub fn services(list: &ServiceList, style: Style) -> String {
    if list.services.is_empty() {
        return "No services are configured.\n".to_owned();
    }
    let columns = [
        ("  -> Address", Side::Left),
        ("Real", Side::Left),
        ("Weight", Side::Right),
        ("Slots", Side::Right),
        ("Share", Side::Right),
        ("State", Side::Left),
    ];
    let mut reals = Table::new(&columns);
    for real in list.services.iter().flat_map(|service| service.reals.iter().map(move |real| row(service, real))) {
        reals.row(real);
    }
    let mut lines = reals.lines().into_iter();
    let heading = lines.next().unwrap_or_default();
    let mut text = format!("{}\n{}\n", style.bold("Prot VIP:Port Mode Service"), style.bold(&heading));
    for service in &list.services {
        text += &format!("{}\n", style.bold(&service_line(service)));
        text += &extras(service, style);
        text += &moving(service);
        if service.reals.is_empty() {
            text += "  -> no real\n";
        }
        for (real, line) in service.reals.iter().zip(&mut lines) {
            text += &format!("{}\n", coloured(real, &line, style));
        }
    }
    text
}

fn service_line(service: &Service) -> String {
    let protocol = service.protocol.word().to_uppercase();
    format!("{protocol:<4} {} {} {}", service.endpoint(), service.mode, service.name)
}

/// What most services do not have, a line each.
fn extras(service: &Service, style: Style) -> String {
    let mut lines = Vec::new();
    if service.one_packet {
        lines.push("one packet: each goes to a real of its own".to_owned());
    }
    lines.extend(service.affinity.as_ref().map(|affinity| {
        format!(
            "affinity: clients of /{}, remembered for {}{}",
            affinity.prefix,
            short_duration(affinity.timeout_seconds),
            affinity.group.as_ref().map(|group| format!(", in group {group}")).unwrap_or_default()
        )
    }));
    lines.extend(service.quic.iter().map(quic));
    let guards = service.guards.clone().unwrap_or_default();
    let listed = |word, prefixes: &[String]| (!prefixes.is_empty()).then(|| format!("{word}: {}", some(prefixes)));
    lines.extend(listed("allow", &guards.allow).into_iter().chain(listed("deny", &guards.deny)));
    lines.extend(guards.new_flow_limit.map(|limit| {
        format!("new flows: {} a second, {} at once, for each /{}", limit.rate, limit.burst, limit.prefix)
    }));
    let mut text: String = lines.iter().map(|line| format!("     {line}\n")).collect();
    if let Some(flood) = guards.syn_flood {
        let line = format!("     SYN flood: above {} SYNs a second", flood.threshold);
        text += &if flood.flooded { style.bad(&format!("{line}; there is one")) } else { line };
        text += "\n";
    }
    text
}

/// How connection ids are read.
fn quic(encoding: &QuicEncoding) -> String {
    let QuicEncoding { config, offset, server_id_length, nonce_length, encrypted } = encoding;
    match config {
        None => format!("quic: server id of {server_id_length} bytes after {offset}, in the clear"),
        Some(config) => {
            let how = if *encrypted { "encrypted" } else { "in the clear" };
            format!("quic config {config}: server id of {server_id_length} bytes, nonce of {nonce_length}, {how}")
        }
    }
}

/// The first of them, and how many more there are.
fn some(prefixes: &[String]) -> String {
    let shown = prefixes.iter().take(MOST_PREFIXES).cloned().collect::<Vec<_>>().join(", ");
    match prefixes.len().saturating_sub(MOST_PREFIXES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The slots that still send some flows by the flow table; nothing when there is none.
fn moving(service: &Service) -> String {
    let slots = service.slots;
    if slots.remembering == 0 && slots.marked == 0 {
        return String::new();
    }
    format!("     slots: {} clean, {} remembering, {} marked\n", slots.clean, slots.remembering, slots.marked)
}

fn row(service: &Service, real: &ServiceReal) -> Vec<String> {
    vec![
        format!("  -> {}", served_at(real)),
        real.name.clone(),
        weight(real),
        real.slots.to_string(),
        share(service, real),
        state_and_way(real),
    ]
}

/// The real's address, with the port where that is rewritten.
fn served_at(real: &ServiceReal) -> String {
    real.port
        .map_or_else(|| real.address.to_string(), |port| endpoint(real.address, &Ports { first: port, last: port }))
}

/// The weight in use, and the configured one in brackets where it differs.
fn weight(real: &ServiceReal) -> String {
    if real.effective_weight == real.weight {
        real.weight.to_string()
    } else {
        format!("{} ({})", real.effective_weight, real.weight)
    }
}

/// The part of new flows that the real gets.
fn share(service: &Service, real: &ServiceReal) -> String {
    let slots = service.slots;
    let all = u64::from(slots.clean) + u64::from(slots.remembering) + u64::from(slots.marked);
    if all == 0 {
        return "-".to_owned();
    }
    format!("{:.1}%", 100.0 * f64::from(real.slots) / all as f64)
}

fn state_and_way(real: &ServiceReal) -> String {
    let next_hop = if real.next_hop_resolved { "" } else { ", no next hop" };
    format!("{}{next_hop}", state(real.admin, real.health))
}

fn coloured(real: &ServiceReal, line: &str, style: Style) -> String {
    match (real.admin, real.health) {
        (AdminState::Drained | AdminState::Disabled, _) => style.notable(line),
        (AdminState::Enabled, Health::Down) => style.bad(line),
        (AdminState::Enabled, _) if !real.next_hop_resolved => style.bad(line),
        (AdminState::Enabled, Health::Partly | Health::Joining) => style.notable(line),
        (AdminState::Enabled, Health::Up | Health::Unchecked) => line.to_owned(),
    }
}
