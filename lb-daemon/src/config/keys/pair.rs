//! The keys of `[pair]` and of the tables below it.

use lb_config::TableKeys;

use super::super::{
    ACK_TIMEOUT_RANGE, ANNOUNCE_INTERVAL_RANGE, BAUD_RANGE, DEFAULT_ANNOUNCE_INTERVAL, DEFAULT_BAUD, DEFAULT_DRAIN,
    DEFAULT_FAILBACK_DELAY, DEFAULT_GATEWAY_INTERVAL, DEFAULT_HANDOVER_TIMEOUT, DEFAULT_HEARTBEAT_INTERVAL,
    DEFAULT_HOOK_TIMEOUT, DEFAULT_KEY_FILE, DEFAULT_MISSED_LIMIT, DEFAULT_PATH_RISE, DEFAULT_START_WAIT, DRAIN_RANGE,
    FAILBACK_DELAY_RANGE, GATEWAY_INTERVAL_RANGE, HANDOVER_TIMEOUT_RANGE, HEARTBEAT_INTERVAL_RANGE, HOOK_TIMEOUT_RANGE,
    LEASE_RANGE, MAX_GATEWAYS, MISSED_LIMIT_RANGE, REALS_RANGE, RISE_FALL_RANGE, START_WAIT_RANGE,
};
use super::balance::{COMMAND, KEY_FILE};
use super::{Absent, Key, Text, Value, boolean, duration, integer, names, text};

pub(super) const PAIR_KEYS: [Key; 19] = [
    Key::restart("role", Value::Words(&["primary", "standby"]), Absent::Required),
    Key::restart("key_file", KEY_FILE, text(DEFAULT_KEY_FILE)),
    Key::restart("heartbeat_interval", Value::Duration(HEARTBEAT_INTERVAL_RANGE), duration(DEFAULT_HEARTBEAT_INTERVAL)),
    Key::restart("missed_limit", Value::Integer(MISSED_LIMIT_RANGE), integer(DEFAULT_MISSED_LIMIT)),
    Key::restart(
        "ack_timeout",
        Value::Duration(ACK_TIMEOUT_RANGE),
        Absent::Derived("a quarter of the path's interval"),
    ),
    Key::new("rise", Value::Integer(RISE_FALL_RANGE), integer(DEFAULT_PATH_RISE)),
    Key::new("fall", Value::Integer(RISE_FALL_RANGE), Absent::Derived("twice the `missed_limit`")),
    Key::new("lease", Value::Duration(LEASE_RANGE), Absent::Derived("(n - 1) Tb of the fastest path")),
    Key::new("preempt", Value::Boolean, boolean(false)),
    Key::new("failback_delay", Value::Duration(FAILBACK_DELAY_RANGE), duration(DEFAULT_FAILBACK_DELAY)),
    Key::new("start_wait", Value::Duration(START_WAIT_RANGE), duration(DEFAULT_START_WAIT)),
    Key::new("handover_timeout", Value::Duration(HANDOVER_TIMEOUT_RANGE), duration(DEFAULT_HANDOVER_TIMEOUT)),
    Key::new("drain", Value::Duration(DRAIN_RANGE), duration(DEFAULT_DRAIN)),
    Key::new("duplicate_detection", Value::Boolean, boolean(true)),
    Key::new("announce_interval", Value::Duration(ANNOUNCE_INTERVAL_RANGE), duration(DEFAULT_ANNOUNCE_INTERVAL)),
    Key::restart("path", Value::Tables(&PATH_KEYS), Absent::Required),
    Key::new("vip_group", Value::Tables(&VIP_GROUP_KEYS), Absent::None),
    Key::new("track", Value::Table(&TRACK_KEYS), Absent::None),
    Key::new("hooks", Value::Table(&HOOKS_KEYS), Absent::None),
];

/// Keys of `[pair]`.
pub const PAIR: TableKeys = TableKeys { title: "`[pair]`", prefix: "pair.", keys: &names(&PAIR_KEYS) };

const PATH_KEYS: [Key; 9] = [
    Key::restart("type", Value::Words(&["udp", "serial"]), Absent::Required),
    Key::restart("interface", Value::Interface, Absent::RequiredFor("udp")),
    Key::restart("local", Value::Text(PEER_ADDRESS), Absent::RequiredFor("udp")),
    Key::restart("peer", Value::Text(PEER_ADDRESS), Absent::RequiredFor("udp")),
    Key::restart("device", Value::Path { example: "/dev/ttyS0" }, Absent::RequiredFor("serial")),
    Key::restart("baud", Value::Integer(BAUD_RANGE), integer(DEFAULT_BAUD)),
    Key::restart(
        "heartbeat_interval",
        Value::Duration(HEARTBEAT_INTERVAL_RANGE),
        Absent::Derived("`pair.heartbeat_interval`"),
    ),
    Key::restart("missed_limit", Value::Integer(MISSED_LIMIT_RANGE), Absent::Derived("`pair.missed_limit`")),
    Key::restart("ack_timeout", Value::Duration(ACK_TIMEOUT_RANGE), Absent::Derived("`pair.ack_timeout`")),
];

const PEER_ADDRESS: Text = Text {
    what: "an IPv4 or IPv6 address, with or without a UDP port",
    length: 1..=64,
    pattern: "^[0-9A-Fa-f:.\\[\\]]+$",
    example: "192.0.2.2",
};

/// Keys of a `[[pair.path]]`. Which of them a path can have depends on its type.
pub const PATH: TableKeys = TableKeys { title: "`[[pair.path]]`", prefix: "pair.path.", keys: &names(&PATH_KEYS) };

const VIP_GROUP_KEYS: [Key; 4] = [
    Key::new("name", Value::Name, Absent::Required),
    Key::new("interface", Value::Interface, Absent::Required),
    Key::new("vips", Value::List { of: &Value::Address, count: 0..=usize::MAX }, Absent::Required),
    Key::new("gateways", Value::List { of: &Value::Address, count: 0..=usize::MAX }, Absent::None),
];

/// Keys of a `[[pair.vip_group]]`.
pub const VIP_GROUP: TableKeys =
    TableKeys { title: "`[[pair.vip_group]]`", prefix: "pair.vip_group.", keys: &names(&VIP_GROUP_KEYS) };

const TRACK_KEYS: [Key; 4] = [
    Key::new(
        "interfaces",
        Value::List { of: &Value::Interface, count: 0..=usize::MAX },
        Absent::Derived("the interfaces of the VIP groups"),
    ),
    Key::new("gateway", Value::List { of: &Value::Address, count: 0..=MAX_GATEWAYS }, Absent::None),
    Key::new("gateway_interval", Value::Duration(GATEWAY_INTERVAL_RANGE), duration(DEFAULT_GATEWAY_INTERVAL)),
    Key::new("min_healthy_reals", Value::Integer(0..=*REALS_RANGE.end()), integer(0)),
];

/// Keys of `[pair.track]`.
pub const TRACK: TableKeys = TableKeys { title: "`[pair.track]`", prefix: "pair.track.", keys: &names(&TRACK_KEYS) };

const HOOKS_KEYS: [Key; 4] = [
    Key::new("notify", COMMAND, Absent::None),
    Key::new("fence", COMMAND, Absent::None),
    Key::new("timeout", Value::Duration(HOOK_TIMEOUT_RANGE), duration(DEFAULT_HOOK_TIMEOUT)),
    Key::new("fence_required", Value::Boolean, boolean(false)),
];

/// Keys of `[pair.hooks]`.
pub const HOOKS: TableKeys = TableKeys { title: "`[pair.hooks]`", prefix: "pair.hooks.", keys: &names(&HOOKS_KEYS) };
