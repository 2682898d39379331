//! The keys of what is balanced: reports, scheduler, checks, reals, services.

use std::time::Duration;

use lb_config::TableKeys;
use lb_core::service::{DEFAULT_WEIGHT, MAX_NAME_LENGTH};

use super::super::{
    CHECK_TIMEOUT_RANGE, DEAD_BAND_PERCENT_RANGE, DEFAULT_FALL, DEFAULT_KEY_FILE, DEFAULT_RATE_LIMIT, DEFAULT_RISE,
    EXPIRE_RANGE, FLOOR_PERCENT_RANGE, FLOW_IDLE_TIMEOUT_RANGE, HOLD_AFTER_RANGE, HOT_ABOVE_PERCENT_RANGE,
    MAX_ACCESS_PREFIXES, MAX_ARGUMENTS, MAX_CHECK_TEXT, MAX_CHECKS_OF_SERVICE, MAX_DATAGRAM, MAX_HOST_LENGTH,
    MAX_LISTEN, MAX_QUIC_SERVER_IDS, MAX_STATUSES, MAX_WEIGHT, MONITOR_INTERVAL_RANGE, NEW_FLOWS_RANGE,
    QUIC_CONFIG_RANGE, QUIC_NONCE_RANGE, QUIC_OFFSET_RANGE, QUIC_SERVER_ID_RANGE, RATE_LIMIT_RANGE, RISE_FALL_RANGE,
    SCHEDULER_INTERVAL_RANGE, SLOW_START_RANGE, SMOOTHING_RANGE, STEP_PERCENT_RANGE, SYN_FLOOD_RANGE,
};
use super::{Absent, Key, Literal, Text, Value, boolean, duration, integer, names, text};

pub(super) const REPORTS_KEYS: [Key; 3] = [
    Key::restart(
        "listen",
        Value::List { of: &Value::Text(UDP_ADDRESS), count: 1..=MAX_LISTEN },
        Absent::Default(Literal::Texts(&["0.0.0.0:6720"])),
    ),
    Key::new("key_file", KEY_FILE, text(DEFAULT_KEY_FILE)),
    Key::new("rate_limit", Value::Integer(RATE_LIMIT_RANGE), integer(DEFAULT_RATE_LIMIT)),
];

/// Where keys are.
pub(super) const KEY_FILE: Value = Value::Path { example: "/etc/understudy/other-keys" };

const UDP_ADDRESS: Text = Text {
    what: "an address with a UDP port",
    length: 1..=64,
    pattern: "^(\\[[0-9A-Fa-f:.]+\\]|[0-9.]+):[0-9]+$",
    example: "192.0.2.1:6720",
};

/// Keys of `[reports]`.
pub const REPORTS: TableKeys = TableKeys { title: "`[reports]`", prefix: "reports.", keys: &names(&REPORTS_KEYS) };

pub(super) const SCHEDULER_KEYS: [Key; 9] = [
    Key::new("interval", Value::Duration(SCHEDULER_INTERVAL_RANGE), duration(Duration::from_secs(1))),
    Key::new("smoothing", Value::Duration(SMOOTHING_RANGE), duration(Duration::from_secs(4))),
    Key::new("step_percent", Value::Integer(STEP_PERCENT_RANGE), integer(10)),
    Key::new("dead_band_percent", Value::Integer(DEAD_BAND_PERCENT_RANGE), integer(5)),
    Key::new("floor_percent", Value::Integer(FLOOR_PERCENT_RANGE), integer(2)),
    Key::new("hold_after", Value::Integer(HOLD_AFTER_RANGE), integer(3)),
    Key::new("expire", Value::Duration(EXPIRE_RANGE), duration(Duration::from_secs(30))),
    Key::new("slow_start", Value::Duration(SLOW_START_RANGE), duration(Duration::from_secs(30))),
    Key::new("hot_above_percent", Value::Integer(HOT_ABOVE_PERCENT_RANGE), Absent::None),
];

/// Keys of `[scheduler]`.
pub const SCHEDULER: TableKeys =
    TableKeys { title: "`[scheduler]`", prefix: "scheduler.", keys: &names(&SCHEDULER_KEYS) };

pub(super) const CHECK_KEYS: [Key; 22] = [
    Key::new("name", Value::Name, Absent::Required),
    Key::new("type", Value::Words(&["tcp", "http", "https", "udp", "icmp", "exec"]), Absent::Required),
    Key::new("interval", Value::Duration(MONITOR_INTERVAL_RANGE), Absent::Derived("`monitor_interval`")),
    Key::new("timeout", Value::Duration(CHECK_TIMEOUT_RANGE), Absent::Derived("40% of the interval")),
    Key::new("rise", Value::Integer(RISE_FALL_RANGE), integer(DEFAULT_RISE)),
    Key::new("fall", Value::Integer(RISE_FALL_RANGE), integer(DEFAULT_FALL)),
    Key::new(
        "port",
        Value::Integer(1..=65_535),
        Absent::Derived("the service's port, or the first of its range; in mode `nat` the real's own port"),
    ),
    Key::new("via", Value::Words(&["address", "service"]), text("address")),
    Key::new("source", Value::Address, Absent::Derived("the one that the host would use")),
    Key::new("method", Value::Words(&["GET", "HEAD", "OPTIONS", "POST"]), text("GET")),
    Key::new("path", Value::Text(URL_PATH), text("/")),
    Key::new("host", Value::Text(HOST), Absent::Derived("the address that is asked")),
    Key::new("status", STATUSES, Absent::Default(Literal::Texts(&["200-399"]))),
    Key::new("body", Value::Text(BODY), Absent::None),
    Key::new("verify", Value::Boolean, boolean(true)),
    Key::new("server_name", Value::Text(HOST), Absent::Derived("`check.host`, or the address that is asked")),
    Key::new(
        "ca_file",
        Value::Path { example: "/etc/understudy/ca.pem" },
        Absent::Derived("the authorities that the host trusts"),
    ),
    Key::new("send", Value::Text(DATAGRAM), Absent::None),
    Key::new("send_hex", Value::Text(Text { length: 2..=2 * MAX_DATAGRAM, ..HEX }), Absent::None),
    Key::new("expect", Value::Text(EXPECTED), Absent::Derived("any answer will do")),
    Key::new("expect_hex", Value::Text(HEX), Absent::None),
    Key::new("command", COMMAND, Absent::RequiredFor("exec")),
];

const URL_PATH: Text = Text {
    what: "a path from its first slash",
    length: 1..=MAX_CHECK_TEXT,
    pattern: "^/[!-\"$-~]*$",
    example: "/health",
};
const HOST: Text = Text {
    what: "a name or an address",
    length: 1..=MAX_HOST_LENGTH,
    pattern: "^[A-Za-z0-9._:\\[\\]-]+$",
    example: "www.example.org",
};
const BODY: Text =
    Text { what: "a text of at most 4096 bytes", length: 1..=MAX_CHECK_TEXT, pattern: "", example: "ok" };
const DATAGRAM: Text =
    Text { what: "a text of 1 to 1200 bytes", length: 1..=MAX_DATAGRAM, pattern: "", example: "ping" };
const EXPECTED: Text =
    Text { what: "a text of 1 to 4096 bytes", length: 1..=MAX_CHECK_TEXT, pattern: "", example: "pong" };
const HEX: Text = Text {
    what: "the same in hex digits",
    length: 2..=2 * MAX_CHECK_TEXT,
    pattern: "^([0-9A-Fa-f]{2})+$",
    example: "00ff",
};

const STATUSES: Value = Value::List {
    of: &Value::Either(&[
        Value::Integer(100..=599),
        Value::Text(Text {
            what: "a range of them",
            length: 3..=7,
            pattern: "^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$",
            example: "300-399",
        }),
    ]),
    count: 1..=MAX_STATUSES,
};

/// A program and its arguments.
pub(super) const COMMAND: Value = Value::List {
    of: &Value::Text(Text {
        what: "a text: the path of a program, then its arguments",
        length: 0..=MAX_CHECK_TEXT,
        pattern: "",
        example: "/usr/local/bin/program",
    }),
    count: 1..=MAX_ARGUMENTS,
};

/// Keys of a `[[check]]`. Which of them a check can have depends on its type.
pub const CHECK: TableKeys = TableKeys { title: "`[[check]]`", prefix: "check.", keys: &names(&CHECK_KEYS) };

pub(super) const REAL_KEYS: [Key; 4] = [
    Key::new("name", Value::Name, Absent::Required),
    Key::new("address", Value::Address, Absent::Required),
    Key::new("weight", Value::Integer(0..=MAX_WEIGHT), integer(DEFAULT_WEIGHT)),
    Key::new("agent_check", Value::Either(&[Value::Text(AGENT_URL), Value::Table(&AGENT_CHECK_KEYS)]), Absent::None),
];

const AGENT_URL: Text = Text {
    what: "where an agent listens: `tcp://`, an IP address, a colon and a port",
    length: 1..=80,
    pattern: "^tcp://(\\[[0-9A-Fa-f:.]+\\]|[0-9.]+):[0-9]+$",
    example: "tcp://192.0.2.11:9777",
};

/// Keys of a `[[real]]`.
pub const REAL: TableKeys = TableKeys { title: "`[[real]]`", prefix: "real.", keys: &names(&REAL_KEYS) };

const AGENT_CHECK_KEYS: [Key; 2] = [
    Key::new("url", Value::Text(AGENT_URL), Absent::Required),
    Key::new("interval", Value::Duration(MONITOR_INTERVAL_RANGE), Absent::Derived("`monitor_interval`")),
];

/// Keys of a real's `agent_check`.
pub const AGENT_CHECK: TableKeys =
    TableKeys { title: "`agent_check`", prefix: "real.agent_check.", keys: &names(&AGENT_CHECK_KEYS) };

const VIP: Value =
    Value::Text(Text { what: "an IPv4 or IPv6 address, or a prefix of them", example: "192.0.2.1", ..PREFIX });

pub(super) const SERVICE_KEYS: [Key; 16] = [
    Key::new("name", Value::Name, Absent::Required),
    Key::new("vip", VIP, Absent::Required),
    Key::new("protocol", Value::Words(&["tcp", "udp", "sctp"]), Absent::Required),
    Key::new("port", PORTS, Absent::Required),
    Key::new("mode", Value::Words(&["dsr", "ipip", "gue", "nat"]), Absent::Required),
    Key::new("checks", Value::List { of: &Value::Name, count: 0..=MAX_CHECKS_OF_SERVICE }, Absent::None),
    Key::new("all_down", Value::Words(&["drop", "reset", "last-known"]), text("drop")),
    Key::new("scheduling", Value::Words(&["load", "static"]), text("load")),
    Key::new("one_packet", Value::Boolean, boolean(false)),
    Key::new("allow", PREFIXES, Absent::None),
    Key::new("deny", PREFIXES, Absent::None),
    Key::new("reals", MEMBERS, Absent::Required),
    Key::new("affinity", Value::Table(&AFFINITY_KEYS), Absent::None),
    Key::new("new_flow_limit", Value::Table(&NEW_FLOW_LIMIT_KEYS), Absent::None),
    Key::new("syn_flood", Value::Table(&SYN_FLOOD_KEYS), Absent::None),
    Key::new("quic", Value::Tables(&QUIC_KEYS), Absent::None),
];

const PREFIXES: Value = Value::List { of: &Value::Text(PREFIX), count: 1..=MAX_ACCESS_PREFIXES };

const AFFINITY_GROUP: Text = Text {
    what: "the name of an affinity group",
    length: 1..=MAX_NAME_LENGTH,
    pattern: "^[A-Za-z0-9._-]+$",
    example: "shop",
};

const AFFINITY_KEYS: [Key; 3] = [
    Key::new("prefix", Value::Integer(1..=128), Absent::Derived("32 for an IPv4 VIP, 128 for an IPv6 one")),
    Key::new("timeout", Value::Duration(FLOW_IDLE_TIMEOUT_RANGE), Absent::Derived("`flow_idle_timeout`")),
    Key::new("group", Value::Text(AFFINITY_GROUP), Absent::None),
];

/// Keys of a service's `affinity`.
pub const AFFINITY: TableKeys =
    TableKeys { title: "`affinity`", prefix: "service.affinity.", keys: &names(&AFFINITY_KEYS) };

const NEW_FLOW_LIMIT_KEYS: [Key; 3] = [
    Key::new("rate", Value::Integer(NEW_FLOWS_RANGE), Absent::Required),
    Key::new("burst", Value::Integer(NEW_FLOWS_RANGE), Absent::Derived("the `rate`")),
    Key::new("prefix", Value::Integer(1..=128), Absent::Derived("32 for an IPv4 VIP, 64 for an IPv6 one")),
];

/// Keys of a service's `new_flow_limit`.
pub const NEW_FLOW_LIMIT: TableKeys =
    TableKeys { title: "`new_flow_limit`", prefix: "service.new_flow_limit.", keys: &names(&NEW_FLOW_LIMIT_KEYS) };

const SYN_FLOOD_KEYS: [Key; 1] = [Key::new("threshold", Value::Integer(SYN_FLOOD_RANGE), Absent::Required)];

/// Keys of a service's `syn_flood`.
pub const SYN_FLOOD: TableKeys =
    TableKeys { title: "`syn_flood`", prefix: "service.syn_flood.", keys: &names(&SYN_FLOOD_KEYS) };

const QUIC_KEYS: [Key; 6] = [
    Key::new("encoding", Value::Words(&["quic-lb", "plain"]), text("quic-lb")),
    Key::new("config", Value::Integer(QUIC_CONFIG_RANGE), integer(0)),
    Key::new("server_id_length", Value::Integer(QUIC_SERVER_ID_RANGE), Absent::Required),
    Key::new("nonce_length", Value::Integer(QUIC_NONCE_RANGE), Absent::RequiredFor("quic-lb")),
    Key::new("key_file", Value::Path { example: "/etc/understudy/quic.key" }, Absent::None),
    Key::new("offset", Value::Integer(QUIC_OFFSET_RANGE), integer(1)),
];

/// Keys of a `[[service.quic]]`. Which of them it can have depends on its encoding.
pub const QUIC: TableKeys =
    TableKeys { title: "`[[service.quic]]`", prefix: "service.quic.", keys: &names(&QUIC_KEYS) };

/// What stands for a real in connection ids.
const QUIC_SERVER_ID: Text =
    Text { what: "hex digits of 1 to 15 bytes", length: 2..=30, pattern: "^([0-9A-Fa-f]{2})+$", example: "0a" };

/// A block of addresses.
pub(super) const PREFIX: Text = Text {
    what: "an address, a slash and how many of its leading bits count",
    length: 1..=43,
    pattern: "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$",
    example: "192.0.2.0/24",
};

const PORTS: Value = Value::Either(&[
    Value::Integer(1..=65_535),
    Value::Text(Text {
        what: "a range of ports",
        length: 3..=11,
        pattern: "^([0-9]+-[0-9]+|any)$",
        example: "8000-8099",
    }),
    Value::Words(&["any"]),
]);

const MEMBERS: Value =
    Value::List { of: &Value::Either(&[Value::Name, Value::Table(&MEMBER_KEYS)]), count: 1..=usize::MAX };

/// Keys of a `[[service]]`.
pub const SERVICE: TableKeys = TableKeys { title: "`[[service]]`", prefix: "service.", keys: &names(&SERVICE_KEYS) };

const MEMBER_KEYS: [Key; 5] = [
    Key::new("name", Value::Name, Absent::Required),
    Key::new("weight", Value::Integer(0..=MAX_WEIGHT), Absent::Derived("the `real.weight`")),
    Key::new("port", Value::Integer(1..=65_535), Absent::Derived("the service's port")),
    Key::new("fallback", Value::Boolean, boolean(false)),
    Key::new(
        "quic_server_ids",
        Value::List { of: &Value::Text(QUIC_SERVER_ID), count: 1..=MAX_QUIC_SERVER_IDS },
        Absent::None,
    ),
];

/// Keys of an entry of a service's `reals`.
pub const MEMBER: TableKeys =
    TableKeys { title: "an entry of `reals`", prefix: "service.reals.", keys: &names(&MEMBER_KEYS) };
