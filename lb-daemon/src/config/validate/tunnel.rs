//! What outer headers say: of which family and how long the sources' prefixes can be.

use std::ops::RangeInclusive;

use lb_config::{Diagnostic, Problems, Spanned};
use lb_core::service::{Prefix, TUNNEL_SOURCE_V4, TUNNEL_SOURCE_V6, Tunnel};

use super::super::raw::RawTunnel;

pub(super) fn tunnel(raw: &RawTunnel, problems: &mut Problems) -> Tunnel {
    Tunnel {
        gue_port: raw.gue_port.unwrap_or(lb_common::GUE_PORT),
        source_v4: source("source_v4", raw.source_v4.as_ref(), true, &TUNNEL_SOURCE_V4, problems),
        source_v6: source("source_v6", raw.source_v6.as_ref(), false, &TUNNEL_SOURCE_V6, problems),
    }
}

fn source(
    key: &str,
    prefix: Option<&Spanned<Prefix>>,
    v4: bool,
    lengths: &RangeInclusive<u8>,
    problems: &mut Problems,
) -> Option<Prefix> {
    let (span, prefix) = (prefix?.span(), *prefix?.get_ref());
    let family = if v4 { "IPv4" } else { "IPv6" };
    let mut refuse =
        |title: String, what: &str, help: String| problems.add(Diagnostic::new(span.clone(), title, what, help));
    if prefix.address().is_ipv4() != v4 {
        let help = format!("write {family}; `source_v4` and `source_v6` are what they are called");
        refuse(format!("`{key}` is not an {family} prefix"), "the other family", help);
    } else if !lengths.contains(&prefix.length()) {
        let help =
            format!("it can have /{} to /{}, so that some bits are left for the flows", lengths.start(), lengths.end());
        refuse(format!("`{key}` is too long or too short: {prefix}"), "not so many bits", help);
    } else if prefix.address().is_multicast() || prefix.address().is_loopback() || prefix.address().is_unspecified() {
        let help = "give a block that the reals take packets from, as in source_v4 = \"198.18.0.0/16\"".to_owned();
        refuse(format!("`{key}` has addresses that no packet can come from: {prefix}"), "no unicast addresses", help);
    }
    Some(prefix)
}
