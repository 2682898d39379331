//! The keys of tunnels.

use lb_config::TableKeys;

use super::{Absent, Key, Text, Value, balance::PREFIX, integer, names};

pub(super) const TUNNEL_KEYS: [Key; 3] = [
    Key::new("gue_port", Value::Integer(1..=65_535), integer(lb_common::GUE_PORT as u32)),
    Key::new("source_v4", Value::Text(Text { example: "198.18.0.0/16", ..PREFIX }), Absent::None),
    Key::new("source_v6", Value::Text(Text { example: "2001:db8:ffff::/96", ..PREFIX }), Absent::None),
];

/// Keys of `[tunnel]`.
pub const TUNNEL: TableKeys = TableKeys { title: "`[tunnel]`", prefix: "tunnel.", keys: &names(&TUNNEL_KEYS) };
