//! `[tunnel]`.

use lb_config::{Problems, Spanned, Table};
use lb_core::service::Prefix;

use super::text::prefix;

/// `[tunnel]`.
#[derive(Debug, Default)]
pub(in crate::config) struct RawTunnel {
    pub(in crate::config) gue_port: Option<u16>,
    pub(in crate::config) source_v4: Option<Spanned<Prefix>>,
    pub(in crate::config) source_v6: Option<Spanned<Prefix>>,
}

pub(super) fn tunnel(table: &Table<'_, '_>, problems: &mut Problems) -> RawTunnel {
    let gue_port = table.integer("gue_port", 1..=u32::from(u16::MAX), problems);
    let mut source = |key, example| prefix(key, &table.string(key, example, problems)?, problems);
    RawTunnel {
        gue_port: gue_port.and_then(|port| u16::try_from(port.into_inner()).ok()),
        source_v4: source("source_v4", "\"198.18.0.0/16\""),
        source_v6: source("source_v6", "\"2001:db8:ffff::/96\""),
    }
}
