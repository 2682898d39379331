//! The lines of `lbctl trace`.

use std::net::IpAddr;

use lb_core::api::{TraceLine, TraceVerdict, TracedPacket};

use super::{Style, endpoint};

/// What the columns are.
pub const TRACE_HEADING: &str = "Time (UTC)          Verdict   Flow, slot, real, interfaces";
const NS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// One packet in a line.
pub fn trace_line(line: &TraceLine, style: Style) -> String {
    let packet = match line {
        TraceLine::Packet(packet) => packet,
        TraceLine::Lost(count) => {
            return style.notable(&format!("{count} packets were not shown: they came faster than they could be read"));
        }
    };
    let verdict = format!("{:<9}", packet.verdict.word());
    let verdict = match packet.verdict {
        TraceVerdict::Drop | TraceVerdict::Aborted => style.bad(&verdict),
        TraceVerdict::Pass => style.notable(&verdict),
        TraceVerdict::Tx | TraceVerdict::Redirect => verdict,
    };
    let reason = packet.reason.as_ref().map(|reason| format!("{reason}: ")).unwrap_or_default();
    format!("{} {verdict} {reason}{}{}", time(packet.unix_ns), flow(packet), way(packet))
}

fn flow(packet: &TracedPacket) -> String {
    let end = |address: IpAddr, port: Option<u16>| port.map_or(address.to_string(), |port| endpoint(address, &port));
    let protocol = match packet.protocol {
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        132 => "SCTP".to_owned(),
        1 => "ICMP".to_owned(),
        58 => "ICMPv6".to_owned(),
        other => format!("protocol {other}"),
    };
    let (from, to) = (end(packet.client, packet.client_port), end(packet.vip, packet.vip_port));
    let flags = if packet.flags.is_empty() { String::new() } else { format!(" [{}]", packet.flags) };
    format!("{protocol} {from} > {to}{flags} {} B", packet.length)
}

/// Slot and real, and where it came in and left.
fn way(packet: &TracedPacket) -> String {
    let slot = match packet.slot {
        Some(slot) => format!(", slot {slot}"),
        None if packet.by_connection_id => ", by connection id".to_owned(),
        None => String::new(),
    };
    let real = packet.real.as_ref().map(|real| format!(", real {real}")).unwrap_or_default();
    let egress = packet.egress.as_ref().map(|egress| format!(" -> {egress}")).unwrap_or_default();
    format!("{slot}{real}, {}{egress}", packet.ingress)
}

/// The time of day, to the microsecond.
fn time(unix_ns: u64) -> String {
    let (seconds, microseconds) = (unix_ns / NS_PER_SECOND % SECONDS_PER_DAY, unix_ns % NS_PER_SECOND / 1000);
    format!("{:02}:{:02}:{:02}.{microseconds:06}    ", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(json: &str) -> String {
        let packet: TracedPacket = serde_json::from_str(json).unwrap();
        trace_line(&TraceLine::Packet(Box::new(packet)), Style::Plain)
    }

    #[test]
    fn a_packet_is_a_line() {
        let forwarded = r#"{"unix_ns":1763848988123456789,"verdict":"redirect","client":"203.0.113.7","client_port":40000,"vip":"192.0.2.80",
            "vip_port":80,"protocol":6,"flags":"S","length":74,"service":"web","slot":31643,"real":"web-1","ingress":"eth0","egress":"eth1"}"#;
        let wanted = "22:03:08.123456     redirect  TCP 203.0.113.7:40000 > 192.0.2.80:80 [S] 74 B, slot 31643, real web-1, eth0 -> eth1";
        assert_eq!(packet(forwarded), wanted);
        let named = forwarded.replace("\"slot\":31643", "\"by_connection_id\":true");
        assert_eq!(packet(&named), wanted.replace("slot 31643", "by connection id"));
        let dropped = r#"{"unix_ns":0,"verdict":"drop","reason":"fragment_unknown","client":"2001:db8::7","vip":"2001:db8::80",
            "protocol":17,"flags":"","length":1294,"ingress":"eth0"}"#;
        let wanted = "00:00:00.000000     drop      fragment_unknown: UDP 2001:db8::7 > 2001:db8::80 1294 B, eth0";
        assert_eq!(packet(dropped), wanted);
    }

    #[test]
    fn what_was_lost_is_said() {
        assert!(trace_line(&TraceLine::Lost(7), Style::Plain).starts_with("7 packets were not shown"));
    }
}
