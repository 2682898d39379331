//! The nftables table that keeps clients' TCP segments small enough for the tunnel.
//!
//! The maximum segment size that a server offers in its SYN-ACK is what the client then sends. Only replies from VIPs are touched.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Mode;

/// Our table, with its family.
pub(crate) const TABLE: &str = "inet understudy_agent";
const CHAIN: &str = "replies";
/// Bytes of the headers without options.
const IPV4_HEADER: u32 = 20;
const IPV6_HEADER: u32 = 40;
const TCP_HEADER: u32 = 20;
const UDP_HEADER: u32 = 8;

/// The largest segment that may be sent to each VIP, in bytes.
pub(crate) type Segments = BTreeMap<IpAddr, u32>;

/// Bytes that the outer headers take in this mode, with an outer IP header of this family.
pub(crate) fn outer_headers(mode: Mode, outer_is_v6: bool) -> u32 {
    match mode {
        Mode::Dsr => 0,
        Mode::Ipip => ip_header(outer_is_v6),
        Mode::Gue => ip_header(outer_is_v6) + UDP_HEADER,
    }
}

fn ip_header(is_v6: bool) -> u32 {
    if is_v6 { IPV6_HEADER } else { IPV4_HEADER }
}

/// The largest TCP segment for a VIP whose packets come in outer headers, through a link of this MTU, in bytes.
pub(crate) fn largest_segment(mtu: u32, vip: IpAddr, mode: Mode, outer_is_v6: bool) -> u32 {
    mtu.saturating_sub(outer_headers(mode, outer_is_v6) + ip_header(vip.is_ipv6()) + TCP_HEADER)
}

/// What tells nft to have this table instead of the one that may be there, in one transaction.
pub(crate) fn replace(segments: &Segments) -> String {
    let mut text = format!("add table {TABLE}; delete table {TABLE}; add table {TABLE}; ");
    text += &format!("add chain {TABLE} {CHAIN} {{ type filter hook postrouting priority mangle; }}");
    for ((is_v6, size), vips) in by_size(segments) {
        let family = if is_v6 { "ip6" } else { "ip" };
        let vips = vips.join(", ");
        text += &format!(
            "; add rule {TABLE} {CHAIN} {family} saddr {{ {vips} }} tcp flags syn tcp option maxseg size > {size} \
             tcp option maxseg size set {size}"
        );
    }
    text
}

fn by_size(segments: &Segments) -> BTreeMap<(bool, u32), Vec<String>> {
    let mut groups = BTreeMap::<_, Vec<String>>::new();
    for (vip, size) in segments {
        groups.entry((vip.is_ipv6(), *size)).or_default().push(vip.to_string());
    }
    groups
}

/// The segment sizes in a listing of the table.
pub(crate) fn parse(listing: &str) -> Segments {
    let mut segments = Segments::new();
    let mut vips = Vec::new();
    let mut words = listing.split_whitespace();
    while let Some(word) = words.next() {
        if word == "saddr" {
            vips = addresses(&mut words);
        } else if word == "set"
            && let Some(Ok(size)) = words.next().map(|word| word.trim_end_matches(';').parse())
        {
            segments.extend(vips.drain(..).map(|vip| (vip, size)));
        }
    }
    segments
}

/// One address, or several in braces.
fn addresses<'a>(words: &mut impl Iterator<Item = &'a str>) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut many = false;
    for word in words {
        many |= word.starts_with('{');
        found.extend(word.trim_matches(['{', '}', ',']).parse::<IpAddr>());
        if !many || word.ends_with('}') {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_left_of_the_mtu_is_the_largest_segment() {
        assert_eq!(largest_segment(1500, ip("192.0.2.100"), Mode::Ipip, false), 1440);
        assert_eq!(largest_segment(1500, ip("192.0.2.100"), Mode::Ipip, true), 1420);
        assert_eq!(largest_segment(1500, ip("2001:db8::100"), Mode::Ipip, true), 1400);
        assert_eq!(largest_segment(9000, ip("2001:db8::100"), Mode::Ipip, true), 8900);
        assert_eq!(largest_segment(1500, ip("192.0.2.100"), Mode::Gue, false), 1432);
        assert_eq!(largest_segment(1500, ip("2001:db8::100"), Mode::Gue, true), 1392);
        assert_eq!(largest_segment(10, ip("2001:db8::100"), Mode::Ipip, true), 0, "no overflow");
    }

    #[test]
    fn vips_of_one_size_share_a_rule() {
        let segments =
            Segments::from([(ip("192.0.2.100"), 1440), (ip("192.0.2.101"), 1440), (ip("2001:db8::1"), 1400)]);
        assert_eq!(
            replace(&segments),
            "add table inet understudy_agent; delete table inet understudy_agent; add table inet understudy_agent; \
             add chain inet understudy_agent replies { type filter hook postrouting priority mangle; }; \
             add rule inet understudy_agent replies ip saddr { 192.0.2.100, 192.0.2.101 } tcp flags syn \
             tcp option maxseg size > 1440 tcp option maxseg size set 1440; \
             add rule inet understudy_agent replies ip6 saddr { 2001:db8::1 } tcp flags syn \
             tcp option maxseg size > 1400 tcp option maxseg size set 1400"
        );
    }

    #[test]
    fn a_listing_is_read_whether_or_not_it_breaks_lines_and_writes_braces() {
        let listing = "table inet understudy_agent {\n\tchain replies {\n\
            \t\ttype filter hook postrouting priority mangle; policy accept;\n\
            \t\tip saddr 192.0.2.100 tcp flags syn tcp option maxseg size > 1440 tcp option maxseg size set 1440\n\
            \t\tip6 saddr { 2001:db8::1, 2001:db8::2,\n\t\t\t     2001:db8::3 } tcp flags syn \
            tcp option maxseg size > 1400 tcp option maxseg size set 1400\n\t}\n}\n";
        let found = parse(listing);
        let expected = [("192.0.2.100", 1440), ("2001:db8::1", 1400), ("2001:db8::2", 1400), ("2001:db8::3", 1400)];
        assert_eq!(found, expected.map(|(vip, size)| (ip(vip), size)).into());
        assert_eq!(parse("table inet understudy_agent {\n}\n"), Segments::new());
        assert_eq!(parse("ip saddr { 192.0.2.1 set"), Segments::new());
    }
}
