//! Where programs of this host wait for packets, by /proc/net.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Listener;

/// The state of a TCP socket that waits for connections, and of a UDP socket that is connected to nobody (tcp_states.h).
const WAITS: [(&str, bool, &str); 4] =
    [("tcp", true, "0A"), ("tcp6", true, "0A"), ("udp", false, "07"), ("udp6", false, "07")];

/// All of this network namespace.
pub(super) fn list() -> Vec<Listener> {
    let one = |(table, tcp, state): (&str, bool, &str)| {
        let text = fs::read_to_string(format!("/proc/self/net/{table}")).unwrap_or_default();
        parse(&text, state).into_iter().map(move |address| Listener { tcp, address }).collect::<Vec<_>>()
    };
    WAITS.into_iter().flat_map(one).collect()
}

/// A line: `0: 0100007F:1F90 00000000:0000 0A ...`, the address in words of four bytes in this machine's order.
fn parse(text: &str, state: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let local = words.next()?;
        (words.nth(1)? == state).then(|| socket_address(local))?
    };
    text.lines().skip(1).filter_map(address).collect()
}

fn socket_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let words = address.as_bytes().chunks(8).map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let address: IpAddr = match bytes.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_wait_are_read() {
        let text = "  sl  local_address rem_address   st tx_queue\n\
                    \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000\n\
                    \x20  1: 0100007F:1F91 0100007F:0050 01 00000000:00000000 00:00000000\n";
        let expected = if cfg!(target_endian = "little") { "127.0.0.1:8080" } else { "1.0.0.127:8080" };
        assert_eq!(parse(text, "0A"), [expected.parse().unwrap()]);
        let v6 = "sl\n 0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0\n";
        assert_eq!(parse(v6, "0A"), ["[::]:22".parse().unwrap()]);
        assert!(parse("", "0A").is_empty() && parse("sl\n 0: nonsense x 0A\n", "0A").is_empty());
    }
}
