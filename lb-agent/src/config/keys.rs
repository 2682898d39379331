//! Every key that a configuration file may have, by table. docs/reference/agent.md describes each; a test holds the two
//! together.

use lb_config::TableKeys;

/// Keys outside every table.
pub const TOP: TableKeys = TableKeys {
    title: "the file",
    prefix: "",
    keys: &[
        "name",
        "load_balancers",
        "key_file",
        "report_interval",
        "stop_delay",
        "agent_check_listen",
        "cgroup",
        "memory",
        "interfaces",
        "link_speed",
        "hits",
        "custom",
        "source_timeout",
        "state_dir",
        "run_dir",
        "log",
    ],
};

/// Keys of `hits`, where it is a table.
pub const HITS: TableKeys = TableKeys { title: "`hits`", prefix: "hits.", keys: &["stub_status", "http", "command"] };

/// Keys of `custom`.
pub const CUSTOM: TableKeys = TableKeys { title: "`custom`", prefix: "custom.", keys: &["file", "http", "command"] };

/// Every table.
pub const ALL: [&TableKeys; 3] = [&TOP, &HITS, &CUSTOM];
