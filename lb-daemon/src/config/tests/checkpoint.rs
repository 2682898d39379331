//! Checkpoints: what is read, what follows from it, and every way to get it wrong.

use super::super::*;
use super::{GOOD, errors, parse};

/// A solo node's checkpoints behind [`GOOD`]. `[checkpoint]` is in line 19.
const SOLO: &str = "[checkpoint]\nkey_file = \"/etc/keys\"\n";

/// A pair of one path behind [`GOOD`].
const PAIR: &str = r#"[pair]
role = "primary"
key_file = "/pair/keys"
[[pair.path]]
type = "udp"
interface = "eth1"
local = "192.0.2.2"
peer = "192.0.2.3"
"#;

fn settings(text: &str) -> Option<CheckpointSettings> {
    parse(&format!("{GOOD}{text}")).unwrap().settings.checkpoint
}

/// The errors of [`SOLO`] with keys in line 21, the first below its own.
fn with_keys(keys: &str) -> Vec<String> {
    errors(&format!("{GOOD}{SOLO}{keys}\n"))
}

#[test]
fn a_pair_has_checkpoints_and_a_solo_node_where_it_says_so() {
    assert_eq!(settings(""), None);
    let expected = CheckpointSettings {
        interval: CheckpointInterval::Auto,
        least_interval: Duration::from_millis(1_001),
        max_interval: Duration::from_secs(60),
        stream_interval: Duration::from_millis(2),
        write_ahead_timeout: Duration::from_millis(50),
        grace: Duration::from_secs(3),
        place: CheckpointPlace::Own("/var/lib/understudy/checkpoint".into()),
        cluster: "understudy".to_owned(),
        key_file: "/pair/keys".into(),
        max_size: 1 << 30,
        max_backlog: 16 << 20,
        flow_events_size: 1 << 20,
        mean_time_between_failures: Duration::from_secs(30 * 86_400),
        flow_weight: Duration::from_secs(1),
    };
    assert_eq!(settings(PAIR), Some(expected.clone()));
    assert_eq!(settings(&format!("{PAIR}[checkpoint]\n")), Some(expected.clone()));
    let solo = CheckpointSettings { key_file: "/etc/keys".into(), ..expected };
    assert_eq!(settings(SOLO), Some(solo));
}

#[test]
fn every_key_is_read() {
    let text = r#"[checkpoint]
interval = "200ms"
max_interval = "10s"
stream_interval = "5ms"
write_ahead_timeout = "20ms"
grace = "0s"
directory = "/a"
cluster = "east-1"
key_file = "/b"
max_size = "64MiB"
max_backlog = "2MiB"
flow_events_size = "64KiB"
mean_time_between_failures = "90d"
flow_weight = "250ms"
[scheduler]
interval = "150ms"
"#;
    let expected = CheckpointSettings {
        interval: CheckpointInterval::Fixed(Duration::from_millis(200)),
        least_interval: Duration::from_millis(151),
        max_interval: Duration::from_secs(10),
        stream_interval: Duration::from_millis(5),
        write_ahead_timeout: Duration::from_millis(20),
        grace: Duration::ZERO,
        place: CheckpointPlace::Own("/a".into()),
        cluster: "east-1".to_owned(),
        key_file: "/b".into(),
        max_size: 64 << 20,
        max_backlog: 2 << 20,
        flow_events_size: 64 << 10,
        mean_time_between_failures: Duration::from_secs(90 * 86_400),
        flow_weight: Duration::from_millis(250),
    };
    assert_eq!(settings(text), Some(expected.clone()));
    let pair = settings(&format!("{text}{PAIR}")).unwrap();
    assert_eq!(pair, expected, "what is said goes before what the pair has");
    let shared = settings(&text.replace("directory", "shared")).unwrap();
    assert_eq!(shared.place, CheckpointPlace::Shared("/a".into()));
    assert!(shared.place.is_shared());
}

#[test]
fn defaults_follow_other_keys() {
    let own = parse(&format!("state_dir = \"/s\"\n{GOOD}{SOLO}")).unwrap().settings.checkpoint.unwrap();
    assert_eq!(own.place.path(), Path::new("/s/checkpoint"));
    let slow = settings(&format!("{SOLO}[scheduler]\ninterval = \"40s\"\nexpire = \"1m\"\n")).unwrap();
    assert_eq!((slow.least_interval, slow.max_interval), (Duration::from_millis(40_001), Duration::from_secs(80)));
}

#[test]
fn intervals_that_do_not_go_up() {
    let shorter = "or a shorter `scheduler.interval`";
    assert_eq!(
        with_keys("interval = \"1s\""),
        [format!(
            "21:12 `interval` is not longer than `scheduler.interval` | write interval = \"1001ms\" or more, {shorter}"
        )]
    );
    assert!(with_keys("interval = \"1001ms\"").is_empty());
    assert_eq!(
        with_keys("max_interval = \"1s\""),
        [format!(
            "21:16 `max_interval` is not longer than `scheduler.interval` | write max_interval = \"1001ms\" or more, {shorter}"
        )]
    );
    assert_eq!(
        with_keys("interval = \"61s\""),
        ["21:12 `interval` is longer than `max_interval` | write interval = \"1m\" or less, or raise `max_interval`"]
    );
    assert!(with_keys("interval = \"60s\"").is_empty());
    assert!(with_keys("interval = \"61s\"\nmax_interval = \"61s\"").is_empty());
}

#[test]
fn heartbeats_that_are_slower_than_decisions() {
    let rule = "heartbeats come first (Tb), then decisions about weights (Tm), then checkpoints (Tc), each less often than the one before";
    let expected =
        |place: &str| [format!("{place} `scheduler.interval` is not longer than the heartbeat_interval | {rule}")];
    let slow = PAIR.replace("role =", "heartbeat_interval = \"1s\"\nrole =");
    assert_eq!(errors(&format!("{GOOD}{slow}")), expected("20:22"));
    let on_path = format!("{PAIR}heartbeat_interval = \"2s\"\n");
    assert_eq!(errors(&format!("{GOOD}{on_path}")), expected("27:22"));
    let scheduler = "[scheduler]\ninterval = \"100ms\"\n";
    assert_eq!(errors(&format!("{GOOD}{PAIR}{scheduler}")), expected("28:12"), "Tb is 100 ms by default");
    let serial = "[[pair.path]]\ntype = \"serial\"\ndevice = \"/dev/ttyS0\"\nheartbeat_interval = \"1s\"\n";
    assert!(errors(&format!("{GOOD}{PAIR}{serial}")).is_empty(), "the fastest path counts");
}

#[test]
fn places_and_keys_that_cannot_be() {
    assert_eq!(
        errors(&format!("{GOOD}[checkpoint]\n")),
        ["19:1 `key_file` is missing | add a line like this: key_file = \"/etc/understudy/keys\""]
    );
    let text = parse(&format!("{GOOD}{SOLO}directory = \"/a\"\nshared = \"/b\"\n")).unwrap_err().to_string();
    assert!(text.contains("--> lbd.toml:22:10") && text.contains("---- the other one"), "{text}");
    let help = "keep `shared` for a disk that both nodes have, or `directory` for one of this node's own";
    assert_eq!(
        with_keys("directory = \"/a\"\nshared = \"/b\""),
        [format!("22:10 `directory` and `shared` together | {help}")]
    );
    for (key, path, column) in
        [("directory", "/var/lib/understudy/checkpoint", 13), ("shared", "/mnt/shared/understudy", 10)]
    {
        assert_eq!(
            with_keys(&format!("{key} = \"checkpoint\"")),
            [format!(
                "21:{column} `{key}` is not an absolute path: \"checkpoint\" | write the whole path, as in {key} = {path:?}"
            )]
        );
    }
    let name = "a name has 1 to 64 letters, digits, dots, underscores or hyphens";
    assert_eq!(with_keys("cluster = \"east 1\""), [format!("21:11 not a name of a cluster: \"east 1\" | {name}")]);
    assert_eq!(
        errors(&format!("{GOOD}[checkpoint]\nkey_file = \"keys\"\n")),
        [
            "20:12 `key_file` is not an absolute path: \"keys\" | write the whole path, as in key_file = \"/etc/understudy/keys\""
        ]
    );
}

#[test]
fn values_out_of_range_or_without_a_meaning() {
    let sizes = "write a whole number and a unit: KiB, MiB or GiB, as in";
    let cases = [
        (
            "interval = \"Auto\"",
            "21:12 `interval` is not a duration: \"Auto\" | write a whole number and a unit: ms, s, m, h or d, as in interval = \"5s\"; or write interval = \"auto\""
                .to_owned(),
        ),
        ("interval = 5", "21:12 `interval` must be a string | write it like this: interval = \"auto\"".to_owned()),
        ("interval = \"61m\"", "21:12 `interval` is out of range | it can be 100ms to 1h".to_owned()),
        ("max_interval = \"99ms\"", "21:16 `max_interval` is out of range | it can be 100ms to 1h".to_owned()),
        ("stream_interval = \"0ms\"", "21:19 `stream_interval` is out of range | it can be 1ms to 100ms".to_owned()),
        (
            "write_ahead_timeout = \"11s\"",
            "21:23 `write_ahead_timeout` is out of range | it can be 1ms to 10s".to_owned(),
        ),
        ("grace = \"11m\"", "21:9 `grace` is out of range | it can be 0ms to 10m".to_owned()),
        ("max_size = \"15MiB\"", "21:12 `max_size` is out of range | it can be 16MiB to 1024GiB".to_owned()),
        ("max_size = \"1GB\"", format!("21:12 `max_size` is not a size: \"1GB\" | {sizes} max_size = \"1GiB\"")),
        ("max_backlog = \"2GiB\"", "21:15 `max_backlog` is out of range | it can be 1MiB to 1GiB".to_owned()),
        (
            "max_backlog = 1024",
            "21:15 `max_backlog` must be a string | write it like this: max_backlog = \"16MiB\"".to_owned(),
        ),
        (
            "flow_events_size = \"32KiB\"",
            "21:20 `flow_events_size` is out of range | it can be 64KiB to 256MiB".to_owned(),
        ),
        (
            "flow_events_size = \"3MiB\"",
            "21:20 `flow_events_size` is no power of two | write flow_events_size = \"4MiB\"".to_owned(),
        ),
        (
            "mean_time_between_failures = \"59m\"",
            "21:30 `mean_time_between_failures` is out of range | it can be 1h to 3650d".to_owned(),
        ),
        ("flow_weight = \"0s\"", "21:15 `flow_weight` is out of range | it can be 1ms to 1h".to_owned()),
        ("dir = \"/a\"", "21:1 `[checkpoint]` has no key `dir` | its keys are `interval`, `max_interval`, `stream_interval`, `write_ahead_timeout`, `grace`, `directory`, `shared`, `cluster`, `key_file`, `max_size`, `max_backlog`, `flow_events_size`, `mean_time_between_failures`, `flow_weight`".to_owned()),
    ];
    for (keys, expected) in cases {
        assert_eq!(with_keys(keys), [expected]);
    }
    assert_eq!(
        errors(&format!("checkpoint = 1\n{GOOD}"))[0].split(" | ").next(),
        Some("1:14 `[checkpoint]` must be a table")
    );
}

#[test]
fn what_a_reload_takes_over_and_what_waits() {
    let used = settings(SOLO).unwrap();
    let changed = |keys: &str| settings(&format!("{SOLO}{keys}\n")).unwrap();
    let all = changed(
        "interval = \"5s\"\nmax_size = \"64MiB\"\ngrace = \"9s\"\ndirectory = \"/a\"\ncluster = \"b\"\nflow_events_size = \"2MiB\"",
    );
    assert_eq!(used.waiting_keys(&all), ["checkpoint.directory", "checkpoint.cluster", "checkpoint.flow_events_size"]);
    let now = used.clone().reloaded(all.clone());
    assert_eq!((now.interval, now.max_size, now.grace), (all.interval, all.max_size, all.grace));
    assert_eq!((&now.place, &now.cluster, now.flow_events_size), (&used.place, &used.cluster, used.flow_events_size));
    assert_eq!(used.waiting_keys(&changed("shared = \"/var/lib/understudy/checkpoint\"")), ["checkpoint.shared"]);
    assert!(used.waiting_keys(&changed("interval = \"5s\"\nmax_backlog = \"2MiB\"")).is_empty());
}

/// The second example of the reference.
#[test]
fn the_example_of_the_reference_is_right() {
    let page = include_str!("../../../../docs/reference/config.md");
    let (_, example) = page.split_once("```toml\n[checkpoint]\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    assert_eq!(settings(&format!("{SOLO}{example}")).unwrap().max_interval, Duration::from_secs(30));
}
