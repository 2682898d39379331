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
        "http",
        "reports",
        "scheduler",
        "check",
        "real",
        "service",
        "pair",
        "checkpoint",
    ],
};

/// Keys of `[limits]`.
pub const LIMITS: TableKeys = TableKeys { title: "`[limits]`", prefix: "limits.", keys: &["reals", "flows"] };

/// Keys of `[api]`.
pub const API: TableKeys = TableKeys { title: "`[api]`", prefix: "api.", keys: &["group"] };

/// Keys of `[http]`.
pub const HTTP: TableKeys = TableKeys { title: "`[http]`", prefix: "http.", keys: &["listen"] };

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

/// Keys of `[pair]`.
pub const PAIR: TableKeys = TableKeys {
    title: "`[pair]`",
    prefix: "pair.",
    keys: &[
        "role",
        "key_file",
        "heartbeat_interval",
        "missed_limit",
        "ack_timeout",
        "rise",
        "fall",
        "lease",
        "preempt",
        "failback_delay",
        "start_wait",
        "handover_timeout",
        "drain",
        "duplicate_detection",
        "announce_interval",
        "path",
        "vip_group",
        "track",
        "hooks",
    ],
};

/// Keys of a `[[pair.path]]`. Which of them a path can have depends on its type.
pub const PATH: TableKeys = TableKeys {
    title: "`[[pair.path]]`",
    prefix: "pair.path.",
    keys: &[
        "type",
        "interface",
        "local",
        "peer",
        "device",
        "baud",
        "heartbeat_interval",
        "missed_limit",
        "ack_timeout",
    ],
};

/// Keys of a `[[pair.vip_group]]`.
pub const VIP_GROUP: TableKeys =
    TableKeys { title: "`[[pair.vip_group]]`", prefix: "pair.vip_group.", keys: &["name", "interface", "vips"] };

/// Keys of `[pair.track]`.
pub const TRACK: TableKeys = TableKeys {
    title: "`[pair.track]`",
    prefix: "pair.track.",
    keys: &["interfaces", "gateway", "gateway_interval", "min_healthy_reals"],
};

/// Keys of `[pair.hooks]`.
pub const HOOKS: TableKeys = TableKeys {
    title: "`[pair.hooks]`",
    prefix: "pair.hooks.",
    keys: &["notify", "fence", "timeout", "fence_required"],
};

/// Keys of `[checkpoint]`.
pub const CHECKPOINT: TableKeys = TableKeys {
    title: "`[checkpoint]`",
    prefix: "checkpoint.",
    keys: &[
        "interval",
        "max_interval",
        "stream_interval",
        "write_ahead_timeout",
        "grace",
        "directory",
        "shared",
        "cluster",
        "key_file",
        "max_size",
        "max_backlog",
        "flow_events_size",
        "mean_time_between_failures",
        "flow_weight",
    ],
};

/// Every table.
pub const ALL: [&TableKeys; 17] = [
    &TOP,
    &LIMITS,
    &API,
    &HTTP,
    &REPORTS,
    &SCHEDULER,
    &CHECK,
    &REAL,
    &AGENT_CHECK,
    &SERVICE,
    &MEMBER,
    &PAIR,
    &PATH,
    &VIP_GROUP,
    &TRACK,
    &HOOKS,
    &CHECKPOINT,
];
