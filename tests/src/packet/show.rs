//! A frame's fields as text, for failure messages. Reads whatever bytes it gets.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use lb_common::GUE_PORT;

use super::{ETHERTYPE_QINQ, ETHERTYPE_V4, ETHERTYPE_V6, ETHERTYPE_VLAN, checksum};

/// How many IP headers in one another, and quotes, are shown.
const DEPTH: usize = 4;

/// The frame's fields, one header a line.
#[must_use]
pub fn show(frame: &[u8]) -> String {
    let mut out = format!("frame of {} bytes\n", frame.len());
    if frame.len() < 14 {
        hex_line(&mut out, "cut-off ethernet", frame);
        return out;
    }
    let _ = writeln!(out, "  ethernet to {} from {}", mac(&frame[0..6]), mac(&frame[6..12]));
    let mut at = 12;
    while matches!(be16(frame, at), Some(ETHERTYPE_VLAN | ETHERTYPE_QINQ)) && at + 6 <= frame.len() {
        let tci = be16(frame, at + 2).unwrap_or(0);
        let _ = writeln!(out, "  tag 0x{:04x} tci 0x{tci:04x}", be16(frame, at).unwrap_or(0));
        at += 4;
    }
    match be16(frame, at) {
        Some(ETHERTYPE_V4) => show_v4(&mut out, &frame[at + 2..], 0),
        Some(ETHERTYPE_V6) => show_v6(&mut out, &frame[at + 2..], 0),
        Some(other) => hex_line(&mut out, &format!("ethertype 0x{other:04x}"), &frame[at + 2..]),
        None => hex_line(&mut out, "cut-off", &frame[at..]),
    }
    out
}

/// Both frames, and where they first differ.
#[must_use]
pub fn show_difference(wanted: &[u8], got: &[u8]) -> String {
    let first = wanted.iter().zip(got).position(|(a, b)| a != b).unwrap_or(wanted.len().min(got.len()));
    let byte = |frame: &[u8]| frame.get(first).map_or("no byte".to_owned(), |value| format!("0x{value:02x}"));
    format!(
        "first difference at byte {first}: wanted {}, got {}\nwanted {}got {}",
        byte(wanted),
        byte(got),
        show(wanted),
        show(got)
    )
}

fn show_v4(out: &mut String, bytes: &[u8], depth: usize) {
    if bytes.len() < 20 {
        return hex_line(out, "cut-off ipv4", bytes);
    }
    let total = usize::from(be16(bytes, 2).unwrap_or(0));
    let header_length = usize::from(bytes[0] & 15) * 4;
    let fragment = be16(bytes, 6).unwrap_or(0);
    let mut flags = String::new();
    for (bit, name) in [(0x8000, " reserved"), (0x4000, " DF"), (0x2000, " MF")] {
        if fragment & bit != 0 {
            flags.push_str(name);
        }
    }
    let _ = writeln!(
        out,
        "  ipv4 {} -> {} version {} ihl {} tos 0x{:02x} total length {total} id 0x{:04x}{flags} offset {} ttl {} protocol {} checksum 0x{:04x}{}",
        address_v4(&bytes[12..16]),
        address_v4(&bytes[16..20]),
        bytes[0] >> 4,
        bytes[0] & 15,
        bytes[1],
        be16(bytes, 4).unwrap_or(0),
        fragment & 0x1fff,
        bytes[8],
        bytes[9],
        be16(bytes, 10).unwrap_or(0),
        checksum_note(bytes, header_length),
    );
    if header_length < 20 || header_length > bytes.len() || total < header_length {
        return hex_line(out, "rest", &bytes[20..]);
    }
    if header_length > 20 {
        hex_line(out, "options", &bytes[20..header_length]);
    }
    let end = total.min(bytes.len());
    if fragment & 0x1fff == 0 {
        show_transport(out, bytes[9], &bytes[header_length..end], depth);
    } else {
        hex_line(out, "fragment", &bytes[header_length..end]);
    }
    if end < bytes.len() {
        hex_line(out, "padding", &bytes[end..]);
    }
}

fn show_v6(out: &mut String, bytes: &[u8], depth: usize) {
    if bytes.len() < 40 {
        return hex_line(out, "cut-off ipv6", bytes);
    }
    let first = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let length = usize::from(be16(bytes, 4).unwrap_or(0));
    let _ = writeln!(
        out,
        "  ipv6 {} -> {} version {} class 0x{:02x} label 0x{:05x} payload length {length} next header {} hop limit {}",
        address_v6(&bytes[8..24]),
        address_v6(&bytes[24..40]),
        bytes[0] >> 4,
        (first >> 20) & 0xff,
        first & 0xf_ffff,
        bytes[6],
        bytes[7],
    );
    let end = (40 + length).min(bytes.len());
    show_payload_v6(out, bytes[6], &bytes[40..end], depth);
    if end < bytes.len() {
        hex_line(out, "padding", &bytes[end..]);
    }
}

fn show_payload_v6(out: &mut String, mut next: u8, mut rest: &[u8], depth: usize) {
    while matches!(next, 0 | 43 | 44 | 60) && rest.len() >= 8 {
        let length = if next == 44 { 8 } else { (usize::from(rest[1]) + 1) * 8 };
        if next == 44 {
            let offset = be16(rest, 2).unwrap_or(0);
            let id = u32::from_be_bytes([rest[4], rest[5], rest[6], rest[7]]);
            let more = if offset & 1 != 0 { " more" } else { "" };
            let _ = writeln!(out, "  fragment offset {}{more} id 0x{id:08x} next header {}", offset >> 3, rest[0]);
            if offset >> 3 != 0 {
                return hex_line(out, "fragment", &rest[8..]);
            }
        } else {
            let _ = writeln!(out, "  extension {next} of {length} bytes, next header {}", rest[0]);
        }
        next = rest[0];
        if length > rest.len() {
            return hex_line(out, "cut-off extension", rest);
        }
        rest = &rest[length..];
    }
    show_transport(out, next, rest, depth);
}

fn show_transport(out: &mut String, protocol: u8, bytes: &[u8], depth: usize) {
    match protocol {
        _ if depth >= DEPTH => hex_line(out, "deeper", bytes),
        4 => show_v4(out, bytes, depth + 1),
        41 => show_v6(out, bytes, depth + 1),
        6 if bytes.len() >= 20 => show_tcp(out, bytes),
        17 if bytes.len() >= 8 => show_udp(out, bytes, depth),
        132 if bytes.len() >= 12 => show_sctp(out, bytes),
        1 | 58 if bytes.len() >= 8 => show_icmp(out, protocol, bytes, depth),
        _ => hex_line(out, &format!("protocol {protocol}"), bytes),
    }
}

fn show_tcp(out: &mut String, bytes: &[u8]) {
    let mut flags = String::new();
    for (bit, name) in ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"].iter().enumerate() {
        if bytes[13] & (1 << bit) != 0 {
            flags.push(' ');
            flags.push_str(name);
        }
    }
    let _ = writeln!(
        out,
        "  tcp {} -> {}{flags} offset {} checksum 0x{:04x}",
        be16(bytes, 0).unwrap_or(0),
        be16(bytes, 2).unwrap_or(0),
        bytes[12] >> 4,
        be16(bytes, 16).unwrap_or(0),
    );
    hex_line(out, "data", &bytes[20..]);
}

fn show_sctp(out: &mut String, bytes: &[u8]) {
    let _ = writeln!(
        out,
        "  sctp {} -> {} tag {}",
        be16(bytes, 0).unwrap_or(0),
        be16(bytes, 2).unwrap_or(0),
        hex(&bytes[4..8])
    );
    hex_line(out, "data", &bytes[12..]);
}

fn show_udp(out: &mut String, bytes: &[u8], depth: usize) {
    let _ = writeln!(
        out,
        "  udp {} -> {} length {} checksum 0x{:04x}",
        be16(bytes, 0).unwrap_or(0),
        be16(bytes, 2).unwrap_or(0),
        be16(bytes, 4).unwrap_or(0),
        be16(bytes, 6).unwrap_or(0),
    );
    match (be16(bytes, 2), bytes.get(8).map(|byte| byte >> 4)) {
        (Some(GUE_PORT), Some(4)) => show_v4(out, &bytes[8..], depth + 1),
        (Some(GUE_PORT), Some(6)) => show_v6(out, &bytes[8..], depth + 1),
        _ => hex_line(out, "data", &bytes[8..]),
    }
}

fn show_icmp(out: &mut String, protocol: u8, bytes: &[u8], depth: usize) {
    let name = if protocol == 1 { "icmp" } else { "icmpv6" };
    let _ = writeln!(
        out,
        "  {name} type {} code {} checksum 0x{:04x} rest {}",
        bytes[0],
        bytes[1],
        be16(bytes, 2).unwrap_or(0),
        hex(&bytes[4..8])
    );
    match (protocol, bytes[0]) {
        (1, 3 | 11 | 12) => show_v4(out, &bytes[8..], depth + 1),
        (58, 1..=4) => show_v6(out, &bytes[8..], depth + 1),
        _ => hex_line(out, "data", &bytes[8..]),
    }
}

fn checksum_note(bytes: &[u8], header_length: usize) -> &'static str {
    match bytes.get(..header_length) {
        Some(header) if header_length >= 20 && checksum(header) == 0 => "",
        _ => " (wrong)",
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn mac(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

fn address_v4(bytes: &[u8]) -> Ipv4Addr {
    let mut octets = [0; 4];
    octets.copy_from_slice(bytes);
    octets.into()
}

fn address_v6(bytes: &[u8]) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(bytes);
    octets.into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex_line(out: &mut String, what: &str, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let shown = &bytes[..bytes.len().min(32)];
    let more = if shown.len() < bytes.len() { ".." } else { "" };
    let _ = writeln!(out, "  {what}, {} bytes: {}{more}", bytes.len(), hex(shown));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, SYN};

    fn frame() -> Packet {
        let quoted = Packet::v4([192, 0, 2, 1].into(), [198, 51, 100, 1].into()).tcp(80, 40_000, SYN);
        Packet::v4([203, 0, 113, 1].into(), [192, 0, 2, 1].into())
            .icmp(3, 4, [0, 0, 5, 0xdc])
            .quote(&quoted, 40)
            .vlan(5)
    }

    #[test]
    fn every_header_has_its_line() {
        let text = show(&frame().pad_to(120).bytes());
        for part in
            ["tag 0x8100 tci 0x0005", "203.0.113.1 -> 192.0.2.1", "icmp type 3 code 4", "80 -> 40000 SYN", "padding"]
        {
            assert!(text.contains(part), "no '{part}' in\n{text}");
        }
        assert!(!text.contains("wrong"), "{text}");
        assert!(show(&frame().edit_v4(|ip| ip.checksum = Some(1)).bytes()).contains("(wrong)"));
    }

    #[test]
    fn any_cut_off_frame_is_shown() {
        let six = Packet::v6([0x20; 16].into(), [0x21; 16].into()).extension(0, 2).fragment6(1, 0, true).udp(1, 2);
        for frame in [frame().bytes(), six.bytes()] {
            for length in 0..=frame.len() {
                assert!(show(&frame[..length]).starts_with(&format!("frame of {length} bytes")));
            }
        }
    }

    #[test]
    fn the_first_difference_is_named() {
        let frame = frame().bytes();
        let mut other = frame.clone();
        other[20] ^= 0xff;
        assert!(show_difference(&frame, &other).starts_with("first difference at byte 20"));
        assert!(show_difference(&frame, &frame[..30]).contains("at byte 30: wanted 0x"));
    }
}
