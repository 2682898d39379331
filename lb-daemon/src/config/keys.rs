//! Every key that a configuration file may have, by table. docs/reference/config.md describes each; a test holds
//! the two together.

use lb_config::TableKeys;

/// Keys outside every table.
pub const TOP: TableKeys = TableKeys {
    title: "the file",
    prefix: "",
    keys: &[
        "interfaces",
        "attach_mode",
        "state_dir",
        "run_dir",
        "bpf_dir",
        "flow_idle_timeout",
        "log",
        "bpf_log",
        "limits",
        "api",
        "real",
        "service",
    ],
};

/// Keys of `[limits]`.
pub const LIMITS: TableKeys = TableKeys { title: "`[limits]`", prefix: "limits.", keys: &["reals", "flows"] };

/// Keys of `[api]`.
pub const API: TableKeys = TableKeys { title: "`[api]`", prefix: "api.", keys: &["group"] };

/// Keys of a `[[real]]`.
pub const REAL: TableKeys = TableKeys { title: "`[[real]]`", prefix: "real.", keys: &["name", "address", "weight"] };

/// Keys of a `[[service]]`.
pub const SERVICE: TableKeys = TableKeys {
    title: "`[[service]]`",
    prefix: "service.",
    keys: &["name", "vip", "protocol", "port", "mode", "reals"],
};

/// Keys of an entry of a service's `reals`.
pub const MEMBER: TableKeys =
    TableKeys { title: "an entry of `reals`", prefix: "service.reals.", keys: &["name", "weight"] };

/// Every table.
pub const ALL: [&TableKeys; 6] = [&TOP, &LIMITS, &API, &REAL, &SERVICE, &MEMBER];
