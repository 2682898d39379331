//! Every key that a configuration file may have, by table, with what it can be and what holds where the file does not have it. The
//! readers take the names from here; the schema, `lbd config` and the check of docs/reference/config.md take everything. Tests hold
//! it to what the readers do, key by key.

mod balance;
mod checkpoint;
mod key;
mod pair;
mod tunnel;

use std::time::Duration;

use lb_config::TableKeys;

use super::{
    DEFAULT_BPF_DIR, DEFAULT_FLOW_IDLE_TIMEOUT, DEFAULT_MONITOR_INTERVAL, DEFAULT_REALS, DEFAULT_RUN_DIR,
    DEFAULT_STATE_DIR, FLOW_IDLE_TIMEOUT_RANGE, FLOWS_RANGE, MAX_INTERFACES, MONITOR_INTERVAL_RANGE, REALS_RANGE,
};

pub use balance::{
    AFFINITY, AGENT_CHECK, CHECK, MEMBER, NEW_FLOW_LIMIT, QUIC, REAL, REPORTS, SCHEDULER, SERVICE, SYN_FLOOD,
};
pub use checkpoint::CHECKPOINT;
pub use key::{Absent, Key, Literal, Text, Value};
pub use pair::{HOOKS, PAIR, PATH, TRACK, VIP_GROUP};
pub use tunnel::TUNNEL;

/// All keys outside every table, and below them those of every table.
pub const FILE: &[Key] = &TOP_KEYS;

const TOP_KEYS: [Key; 20] = [
    Key::new("interfaces", Value::List { of: &Value::Interface, count: 1..=MAX_INTERFACES }, Absent::Required),
    Key::restart("attach_mode", Value::Words(&["auto", "driver", "generic"]), text("auto")),
    Key::restart("state_dir", Value::Path { example: "/srv/understudy" }, text(DEFAULT_STATE_DIR)),
    Key::restart("run_dir", Value::Path { example: "/run/lbd" }, text(DEFAULT_RUN_DIR)),
    Key::restart("bpf_dir", Value::Path { example: "/sys/fs/bpf/lbd" }, text(DEFAULT_BPF_DIR)),
    Key::new("flow_idle_timeout", Value::Duration(FLOW_IDLE_TIMEOUT_RANGE), duration(DEFAULT_FLOW_IDLE_TIMEOUT)),
    Key::new("monitor_interval", Value::Duration(MONITOR_INTERVAL_RANGE), duration(DEFAULT_MONITOR_INTERVAL)),
    Key::restart("log", Value::Words(&["error", "warn", "info", "debug", "trace"]), text("info")),
    Key::restart("bpf_log", Value::Boolean, boolean(false)),
    Key::new("limits", Value::Table(&LIMITS_KEYS), Absent::None),
    Key::new("tunnel", Value::Table(&tunnel::TUNNEL_KEYS), Absent::None),
    Key::new("api", Value::Table(&API_KEYS), Absent::None),
    Key::new("http", Value::Table(&HTTP_KEYS), Absent::None),
    Key::new("reports", Value::Table(&balance::REPORTS_KEYS), Absent::None),
    Key::new("scheduler", Value::Table(&balance::SCHEDULER_KEYS), Absent::None),
    Key::new("check", Value::Tables(&balance::CHECK_KEYS), Absent::None),
    Key::new("real", Value::Tables(&balance::REAL_KEYS), Absent::None),
    Key::new("service", Value::Tables(&balance::SERVICE_KEYS), Absent::None),
    Key::new("pair", Value::Table(&pair::PAIR_KEYS), Absent::None),
    Key::new("checkpoint", Value::Table(&checkpoint::CHECKPOINT_KEYS), Absent::None),
];

/// Keys outside every table.
pub const TOP: TableKeys = TableKeys { title: "the file", prefix: "", keys: &names(&TOP_KEYS) };

const LIMITS_KEYS: [Key; 2] = [
    Key::restart("reals", Value::Integer(REALS_RANGE), integer(DEFAULT_REALS)),
    Key::restart("flows", Value::Integer(FLOWS_RANGE), integer(lb_common::DEFAULT_MAX_FLOWS)),
];

/// Keys of `[limits]`.
pub const LIMITS: TableKeys = TableKeys { title: "`[limits]`", prefix: "limits.", keys: &names(&LIMITS_KEYS) };

const API_KEYS: [Key; 2] = [
    Key::restart("group", Value::Text(GROUP), Absent::None),
    Key::restart("readers", Value::Text(GROUP), Absent::None),
];

const GROUP: Text =
    Text { what: "the name of a group of the host", length: 1..=32, pattern: "^[^:\\s]+$", example: "adm" };

/// Keys of `[api]`.
pub const API: TableKeys = TableKeys { title: "`[api]`", prefix: "api.", keys: &names(&API_KEYS) };

const HTTP_KEYS: [Key; 1] = [Key::restart("listen", HTTP_LISTEN, Absent::Required)];

const HTTP_LISTEN: Value = Value::Either(&[
    Value::Text(TCP_ADDRESS),
    Value::List { of: &Value::Text(TCP_ADDRESS), count: 1..=super::MAX_HTTP_LISTEN },
]);

const TCP_ADDRESS: Text = Text {
    what: "an address with a TCP port",
    length: 1..=64,
    pattern: "^(\\[[0-9A-Fa-f:.]+\\]|[0-9.]+):[0-9]+$",
    example: "192.0.2.2:6780",
};

/// Keys of `[http]`.
pub const HTTP: TableKeys = TableKeys { title: "`[http]`", prefix: "http.", keys: &names(&HTTP_KEYS) };

/// Every key with its name from the top of the file on, as in `pair.path.baud`: those of a table before those of the tables below
/// it. Tables themselves are not among them, unless something else can stand in their place.
#[must_use]
pub fn all() -> Vec<(String, &'static Key)> {
    let mut found = Vec::new();
    collect(FILE, "", &mut found);
    found
}

fn collect(keys: &'static [Key], prefix: &str, found: &mut Vec<(String, &'static Key)>) {
    let values = keys.iter().filter(|key| !key.is_table());
    found.extend(values.map(|key| (format!("{prefix}{}", key.name), key)));
    for key in keys {
        collect(key.keys(), &format!("{prefix}{}.", key.name), found);
    }
}

/// What the reader of a table has to know of its keys.
const fn names<const N: usize>(keys: &[Key; N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut index = 0;
    while index < N {
        names[index] = keys[index].name;
        index += 1;
    }
    names
}

const fn boolean(value: bool) -> Absent {
    Absent::Default(Literal::Boolean(value))
}

const fn integer(number: u32) -> Absent {
    Absent::Default(Literal::Integer(number))
}

const fn duration(duration: Duration) -> Absent {
    Absent::Default(Literal::Duration(duration))
}

const fn size(bytes: u64) -> Absent {
    Absent::Default(Literal::Size(bytes))
}

const fn text(text: &'static str) -> Absent {
    Absent::Default(Literal::Text(text))
}
