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
        "monitor_interval",
        "log",
        "bpf_log",
        "limits",
        "api",
        "reports",
        "scheduler",
        "check",
        "real",
        "service",
    ],
};

/// Keys of `[limits]`.
pub const LIMITS: TableKeys = TableKeys { title: "`[limits]`", prefix: "limits.", keys: &["reals", "flows"] };

/// Keys of `[api]`.
pub const API: TableKeys = TableKeys { title: "`[api]`", prefix: "api.", keys: &["group"] };

/// Keys of `[reports]`.
pub const REPORTS: TableKeys =
    TableKeys { title: "`[reports]`", prefix: "reports.", keys: &["listen", "key_file", "rate_limit"] };

/// Keys of `[scheduler]`.
pub const SCHEDULER: TableKeys = TableKeys {
    title: "`[scheduler]`",
    prefix: "scheduler.",
    keys: &[
        "interval",
        "smoothing",
        "step_percent",
        "dead_band_percent",
        "floor_percent",
        "hold_after",
        "expire",
        "slow_start",
        "hot_above_percent",
    ],
};

/// Keys of a `[[check]]`. Which of them a check can have depends on its type.
pub const CHECK: TableKeys = TableKeys {
    title: "`[[check]]`",
    prefix: "check.",
    keys: &[
        "name",
        "type",
        "interval",
        "timeout",
        "rise",
        "fall",
        "port",
        "via",
        "source",
        "method",
        "path",
        "host",
        "status",
        "body",
        "verify",
        "server_name",
        "ca_file",
        "send",
        "send_hex",
        "expect",
        "expect_hex",
        "command",
    ],
};

/// Keys of a `[[real]]`.
pub const REAL: TableKeys =
    TableKeys { title: "`[[real]]`", prefix: "real.", keys: &["name", "address", "weight", "agent_check"] };

/// Keys of a real's `agent_check`.
pub const AGENT_CHECK: TableKeys =
    TableKeys { title: "`agent_check`", prefix: "real.agent_check.", keys: &["url", "interval"] };

/// Keys of a `[[service]]`.
pub const SERVICE: TableKeys = TableKeys {
    title: "`[[service]]`",
    prefix: "service.",
    keys: &["name", "vip", "protocol", "port", "mode", "checks", "all_down", "scheduling", "reals"],
};

/// Keys of an entry of a service's `reals`.
pub const MEMBER: TableKeys =
    TableKeys { title: "an entry of `reals`", prefix: "service.reals.", keys: &["name", "weight"] };

/// Every table.
pub const ALL: [&TableKeys; 10] =
    [&TOP, &LIMITS, &API, &REPORTS, &SCHEDULER, &CHECK, &REAL, &AGENT_CHECK, &SERVICE, &MEMBER];
