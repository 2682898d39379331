//! Every kind of wrong configuration, with the message that it gets and the place that the message points at.

mod checkpoint;
mod clients;
mod fuzz;
mod http;
mod monitoring;
mod pair;
mod quic;
mod tunnel;
mod vip_prefix;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use lb_config::{MAX_FILE_SIZE, MAX_SHOWN};
use lb_core::service::{Mode, Ports, Protocol};

use super::*;

/// A file that is right, of which each test makes one that is wrong.
const GOOD: &str = r#"interfaces = ["eth0"]

[[real]]
name = "web1"
address = "192.0.2.11"

[[real]]
name = "web2"
address = "192.0.2.12"
weight = 50

[[service]]
name = "web"
vip = "198.51.100.1"
protocol = "tcp"
port = 80
mode = "dsr"
reals = ["web1", { name = "web2", weight = 20 }]
"#;

fn group_id(name: &str) -> Option<u32> {
    (name == "adm").then_some(4)
}

fn parse(source: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("lbd.toml"), source, &group_id)
}

/// What is said of a wrong file: of each error `line:column title | help`.
fn errors(source: &str) -> Vec<String> {
    let Err(error) = parse(source) else { return Vec::new() };
    let ConfigError::Invalid { diagnostics, .. } = &error else { panic!("{error}") };
    let text = error.to_string();
    diagnostics
        .iter()
        .map(|diagnostic| {
            let (line, column) = place(source, diagnostic.span.start);
            let shown = format!("--> lbd.toml:{line}:{column}");
            assert!(text.contains(&shown), "{shown} is not in:\n{text}");
            format!("{line}:{column} {} | {}", diagnostic.title, diagnostic.help)
        })
        .collect()
}

fn place(source: &str, offset: usize) -> (usize, usize) {
    let before = &source[..offset];
    (before.matches('\n').count() + 1, before.chars().rev().take_while(|&c| c != '\n').count() + 1)
}

/// The errors of [`GOOD`] with one text replaced by another.
fn with(old: &str, new: &str) -> Vec<String> {
    assert!(GOOD.contains(old), "{old}");
    errors(&GOOD.replacen(old, new, 1))
}

/// The errors of [`GOOD`] with a line put before it; the line is line 1.
fn with_line(line: &str) -> Vec<String> {
    errors(&format!("{line}\n{GOOD}"))
}

#[test]
fn a_right_file_gives_what_it_says() {
    let config = parse(GOOD).unwrap();
    let service = &config.cluster.services()[0];
    assert_eq!((service.protocol, service.ports, service.mode), (Protocol::Tcp, Ports::Single(80), Mode::Dsr));
    assert_eq!(service.reals[0].weight, None);
    assert_eq!(service.reals[1].weight, Some(20));
    assert_eq!(config.cluster.reals()[0].weight, 100);
    assert_eq!(config.cluster.reals()[1].weight, 50);
    let expected = Settings {
        interfaces: vec!["eth0".to_owned()],
        attach_mode: AttachMode::Auto,
        state_dir: "/var/lib/understudy".into(),
        run_dir: "/run/understudy".into(),
        bpf_dir: "/sys/fs/bpf/understudy".into(),
        flow_idle_timeout: Duration::from_secs(900),
        monitor_interval: Duration::from_secs(1),
        reports: None,
        pair: None,
        checkpoint: None,
        limits: Limits { reals: 4_095, flows: 262_144 },
        api_group: None,
        api_readers: None,
        http: Vec::new(),
        log: LogLevel::Info,
        bpf_log: false,
    };
    assert_eq!(config.settings, expected);
}

#[test]
fn every_setting_is_read() {
    let settings = "attach_mode = \"generic\"\nstate_dir = \"/a\"\nrun_dir = \"/b\"\nbpf_dir = \"/c\"\n\
                    flow_idle_timeout = \"90s\"\nmonitor_interval = \"500ms\"\nlog = \"debug\"\nbpf_log = true\n";
    let tables = "[limits]\nreals = 10\nflows = 2048\n[api]\ngroup = \"adm\"\n[http]\nlisten = \"192.0.2.2:6780\"\n[reports]\n\
                  listen = [\"192.0.2.2:6720\", \"[2001:db8::2]:7\"]\nkey_file = \"/d\"\nrate_limit = 7\n";
    let config = parse(&format!("{settings}{GOOD}{tables}")).unwrap();
    let expected = Settings {
        interfaces: vec!["eth0".to_owned()],
        attach_mode: AttachMode::Generic,
        state_dir: "/a".into(),
        run_dir: "/b".into(),
        bpf_dir: "/c".into(),
        flow_idle_timeout: Duration::from_secs(90),
        monitor_interval: Duration::from_millis(500),
        reports: Some(ReportSettings {
            listen: vec!["192.0.2.2:6720".parse().unwrap(), "[2001:db8::2]:7".parse().unwrap()],
            key_file: "/d".into(),
            rate_limit: 7,
        }),
        pair: None,
        checkpoint: None,
        limits: Limits { reals: 10, flows: 2_048 },
        api_group: Some(Group { name: "adm".to_owned(), gid: 4 }),
        api_readers: None,
        http: vec!["192.0.2.2:6780".parse().unwrap()],
        log: LogLevel::Debug,
        bpf_log: true,
    };
    assert_eq!(config.settings, expected);
}

#[test]
fn an_error_shows_file_line_column_text_and_fix() {
    let text = parse(&GOOD.replace("weight = 50", "wieght = 50")).unwrap_err().to_string();
    let expected = "\
error: `[[real]]` has no key `wieght`
  --> lbd.toml:10:1
   |
10 | wieght = 50
   | ^^^^^^ unknown key
   |
   = help: did you mean `weight`?

lbd.toml: 1 error";
    assert_eq!(text, expected);
}

#[test]
fn all_errors_are_shown_in_the_order_of_the_file() {
    let source = GOOD.replace("eth0", "eth/0").replace("192.0.2.12", "web2.example").replace("= 80", "= 0");
    let expected = [
        "1:15 not a name of an interface: \"eth/0\" | a name has 1 to 15 bytes and neither spaces, slashes nor colons; `ip link` lists the interfaces",
        "9:11 `address` is not an IP address: \"web2.example\" | write an IPv4 or IPv6 address, as in address = \"192.0.2.11\"; names are not looked up",
        "16:8 `port` is out of range | it can be 1 to 65535",
    ];
    assert_eq!(errors(&source), expected);
}

#[test]
fn text_that_is_not_toml() {
    assert_eq!(
        with("port = 80", "port = "),
        [
            "16:8 this is not TOML: string values must be quoted, expected literal string | https://toml.io has TOML's rules on one page"
        ]
    );
}

#[test]
fn unknown_keys() {
    let line = "1:1 the file has no key `interface` | did you mean `interfaces`?";
    assert_eq!(with_line("interface = 1"), [line]);
    let keys = "`interfaces`, `attach_mode`, `state_dir`, `run_dir`, `bpf_dir`, `flow_idle_timeout`, \
                `monitor_interval`, `log`, `bpf_log`, `limits`, `tunnel`, `api`, `http`, `reports`, `scheduler`, `check`, `real`, `service`, \
                `pair`, `checkpoint`";
    assert_eq!(with_line("color = 1"), [format!("1:1 the file has no key `color` | its keys are {keys}")]);
    assert_eq!(with_line("limits.flow = 1"), ["1:8 `[limits]` has no key `flow` | did you mean `flows`?"]);
    assert_eq!(with_line("api.user = 1"), ["1:5 `[api]` has no key `user` | its keys are `group`, `readers`"]);
    assert_eq!(with("port =", "ports ="), ["12:1 `port` is missing | add a line like this: port = 80", PORTS]);
    assert_eq!(
        with("weight = 20", "wait = 20"),
        [
            "18:35 an entry of `reals` has no key `wait` | its keys are `name`, `weight`, `port`, `fallback`, `quic_server_ids`"
        ]
    );
}

const PORTS: &str = "16:1 `[[service]]` has no key `ports` | did you mean `port`?";

#[test]
fn missing_keys() {
    assert_eq!(
        with("interfaces = [\"eth0\"]", ""),
        ["1:1 `interfaces` is missing | add a line like this: interfaces = [\"eth0\"]"]
    );
    assert_eq!(with("name = \"web1\"", ""), ["3:1 `name` is missing | add a line like this: name = \"web1\""]);
    assert_eq!(
        with("address = \"192.0.2.12\"", ""),
        ["7:1 `address` is missing | add a line like this: address = \"192.0.2.11\""]
    );
    let cases = [
        ("name = \"web\"\n", "name = \"web\""),
        ("vip = \"198.51.100.1\"\n", "vip = \"192.0.2.1\""),
        ("protocol = \"tcp\"\n", "protocol = \"tcp\""),
        ("port = 80\n", "port = 80"),
        ("mode = \"dsr\"\n", "mode = \"dsr\""),
        ("reals = [\"web1\", { name = \"web2\", weight = 20 }]\n", "reals = [\"web1\", \"web2\"]"),
    ];
    for (line, example) in cases {
        let (key, _) = example.split_once(' ').unwrap();
        assert_eq!(with(line, "\n"), [format!("12:1 `{key}` is missing | add a line like this: {example}")]);
    }
    assert_eq!(
        with("{ name = \"web2\", weight = 20 }", "{ weight = 20 }"),
        ["18:18 `name` is missing | add a line like this: name = \"web2\""]
    );
}

#[test]
fn values_of_the_wrong_type() {
    let cases = [
        (
            "interfaces = [\"eth0\"]",
            "interfaces = \"eth0\"",
            "1:14 `interfaces` must be a list | write it like this: interfaces = [\"eth0\"]",
        ),
        ("\"eth0\"", "7", "1:15 `interfaces` must be a string | write it like this: interfaces = [\"eth0\"]"),
        ("\"192.0.2.11\"", "11", "5:11 `address` must be a string | write it like this: address = \"192.0.2.11\""),
        ("weight = 50", "weight = 0.5", "10:10 `weight` must be an integer | write it like this: weight = 65535"),
        ("weight = 50", "weight = \"50\"", "10:10 `weight` must be an integer | write it like this: weight = 65535"),
        (
            "port = 80",
            "port = true",
            "16:8 `port` cannot be a boolean | write port = 80, or port = \"8000-8099\", or port = \"any\"; ports go from 1 to 65535",
        ),
        ("\"tcp\"", "6", "15:12 `protocol` must be a string | write it like this: protocol = \"tcp\""),
        (
            "[\"web1\", {",
            "[1, {",
            "18:10 `reals` must be a string | write it like this: reals = [\"web1\", { name = \"web2\", weight = 50 }]",
        ),
    ];
    for (old, new, expected) in cases {
        assert_eq!(with(old, new), [expected]);
    }
    let lines = [
        ("attach_mode = 1", "1:15 `attach_mode` must be a string | write it like this: attach_mode = \"auto\""),
        ("bpf_log = \"yes\"", "1:11 `bpf_log` must be true or false | write it like this: bpf_log = true"),
        (
            "state_dir = 1",
            "1:13 `state_dir` must be a string | write it like this: state_dir = \"/var/lib/understudy\"",
        ),
        (
            "flow_idle_timeout = 900",
            "1:21 `flow_idle_timeout` must be a string | write it like this: flow_idle_timeout = \"15m\"",
        ),
        ("limits = 7", "1:10 `[limits]` must be a table | its keys are `reals`, `flows`"),
        ("api = \"adm\"", "1:7 `[api]` must be a table | its keys are `group`, `readers`"),
    ];
    for (line, expected) in lines {
        assert_eq!(with_line(line), [expected]);
    }
    assert_eq!(
        errors("interfaces = [\"eth0\"]\n[real]\nname = \"web1\"\n"),
        ["2:1 `real` must be a list | write it like this: [[real]] on a line of its own, and below it the keys"]
    );
}

#[test]
fn values_out_of_range() {
    let lines = [
        ("limits.reals = 0", "1:16 `reals` is out of range | it can be 1 to 65535"),
        ("limits.reals = 65536", "1:16 `reals` is out of range | it can be 1 to 65535"),
        ("limits.flows = 1023", "1:16 `flows` is out of range | it can be 1024 to 16777216"),
        ("limits.flows = 99999999999999999999", "1:16 `flows` is out of range | it can be 1024 to 16777216"),
        ("flow_idle_timeout = \"0s\"", "1:21 `flow_idle_timeout` is out of range | it can be 1s to 1d"),
        ("flow_idle_timeout = \"25h\"", "1:21 `flow_idle_timeout` is out of range | it can be 1s to 1d"),
    ];
    for (line, expected) in lines {
        assert_eq!(with_line(line), [expected]);
    }
    assert_eq!(with("weight = 50", "weight = 65536"), ["10:10 `weight` is out of range | it can be 0 to 65535"]);
    assert_eq!(with("weight = 20", "weight = -1"), ["18:44 `weight` is out of range | it can be 0 to 65535"]);
    assert_eq!(with("port = 80", "port = 65536"), ["16:8 `port` is out of range | it can be 1 to 65535"]);
}

#[test]
fn values_without_a_meaning() {
    let lines = [
        ("attach_mode = \"drv\"", "1:15 `attach_mode` cannot be \"drv\" | it can be `auto`, `driver`, `generic`"),
        ("attach_mode = \"native\"", "1:15 `attach_mode` cannot be \"native\" | it can be `auto`, `driver`, `generic`"),
        ("log = \"warning\"", "1:7 `log` cannot be \"warning\" | it can be `error`, `warn`, `info`, `debug`, `trace`"),
        ("log = \"Info\"", "1:7 `log` cannot be \"Info\" | did you mean `info`?"),
        (
            "flow_idle_timeout = \"15 minutes\"",
            "1:21 `flow_idle_timeout` is not a duration: \"15 minutes\" | write a whole number and a unit: ms, s, m, h or d, as in flow_idle_timeout = \"15m\"",
        ),
        (
            "state_dir = \"state\"",
            "1:13 `state_dir` is not an absolute path: \"state\" | write the whole path, as in state_dir = \"/var/lib/understudy\"",
        ),
        (
            "bpf_dir = \"\"",
            "1:11 `bpf_dir` is not an absolute path: \"\" | write the whole path, as in bpf_dir = \"/sys/fs/bpf/understudy\"",
        ),
        (
            "api.group = \"lbops\"",
            "1:13 this host has no group \"lbops\" | make it with `groupadd --system lbops`, or name a group that `getent group` lists",
        ),
    ];
    for (line, expected) in lines {
        assert_eq!(with_line(line), [expected]);
    }
    let long = format!("run_dir = \"/{}\"", "r".repeat(98));
    assert_eq!(
        with_line(&long),
        ["1:11 `run_dir` is too long | a unix socket's path is short: `run_dir` can have 98 bytes"]
    );
    assert_eq!(with("\"tcp\"", "\"tpc\""), ["15:12 `protocol` cannot be \"tpc\" | did you mean `tcp`?"]);
    assert_eq!(
        with("\"dsr\"", "\"vxlan\""),
        ["17:8 `mode` cannot be \"vxlan\" | it can be `dsr`, `ipip`, `gue`, `nat`"]
    );
    let ports = "write port = 80, or port = \"8000-8099\", or port = \"any\"; ports go from 1 to 65535";
    assert_eq!(with("port = 80", "port = \"http\""), [format!("16:8 `port` cannot be \"http\" | {ports}")]);
    assert_eq!(
        with("192.0.2.11", "192.0.2.11/32"),
        ["5:11 `address` is not an IP address: \"192.0.2.11/32\" | write the address alone, without a prefix length"]
    );
}

#[test]
fn interfaces_that_cannot_be() {
    assert_eq!(
        with("[\"eth0\"]", "[]"),
        [
            "1:14 `interfaces` is empty | name the interface that clients' packets come in by, as in interfaces = [\"eth0\"]"
        ]
    );
    assert_eq!(
        with("[\"eth0\"]", "[\"eth0\", \"eth0\"]"),
        ["1:23 interface \"eth0\" is there twice | remove one of them"]
    );
    let many: Vec<String> = (0..=MAX_INTERFACES).map(|n| format!("\"eth{n}\"")).collect();
    assert_eq!(
        with("[\"eth0\"]", &format!("[{}]", many.join(", "))),
        ["1:14 `interfaces` has 65 entries | it can have 64"]
    );
}

#[test]
fn items_that_do_not_fit_together() {
    let cases = [
        (
            "\"web1\"\naddress",
            "\"web 1\"\naddress",
            "4:8 real \"web 1\": the name must be 1 to 64 letters, digits, dots, underscores or hyphens | ",
        ),
        (
            "[\"web1\"",
            "[\"wbe1\"",
            "18:10 real \"wbe1\" of service \"web\": no such real is defined | did you mean `web1`?",
        ),
        (
            "[\"web1\"",
            "[\"mail\"",
            "18:10 real \"mail\" of service \"web\": no such real is defined | define it, or correct the name",
        ),
        (
            "[\"web1\"",
            "[\"web2\"",
            "18:27 real \"web2\" of service \"web\": the real is listed twice | remove one of the two",
        ),
        (
            "[\"web1\", { name = \"web2\", weight = 20 }]",
            "[]",
            "18:9 service \"web\": it has no reals | list at least one",
        ),
        (
            "192.0.2.12",
            "2001:db8::12",
            "18:27 real \"web2\" of service \"web\": mode dsr cannot carry packets for 198.51.100.1 to 2001:db8::12 | use a real of the VIP's family, or mode ipip",
        ),
        (
            "192.0.2.12",
            "198.51.100.1",
            "9:11 real \"web2\": the address 198.51.100.1 is the VIP of service \"web\" | give the real's own address",
        ),
        (
            "port = 80",
            "port = \"99-80\"",
            "16:8 service \"web\": the port range 99-80 is the wrong way round | write 80-99",
        ),
    ];
    for (old, new, expected) in cases {
        let found = with(old, new);
        assert!(found.iter().any(|found| found.starts_with(expected)), "{expected}\n{found:#?}");
    }
    assert!(with("198.51.100.1", "224.0.0.1")[0].starts_with("14:7 service \"web\": 224.0.0.1 is a multicast"));
}

#[test]
fn ports_of_reals() {
    let nat = GOOD.replace("\"dsr\"", "\"nat\"").replace("weight = 20", "weight = 20, port = 8080");
    let service = parse(&nat).unwrap().cluster.services()[0].clone();
    let ports: Vec<Option<u16>> = service.reals.iter().map(|member| service.real_port(member)).collect();
    assert_eq!((service.mode, ports), (Mode::Nat, vec![Some(80), Some(8080)]));
    for port in [0, 65_536] {
        let found = errors(&nat.replace("port = 8080", &format!("port = {port}")));
        assert_eq!(found, ["18:55 `port` is out of range | it can be 1 to 65535"]);
    }
    let found = errors(&nat.replace("port = 8080", "port = \"8080\""));
    assert!(found.len() == 1 && found[0].starts_with("18:55 `port`"), "{found:?}");
    let needs_nat = "real \"web2\" of service \"web\": a port of its own needs mode nat and a service of one port | leave `port` away, or use mode nat";
    assert_eq!(errors(&nat.replace("\"nat\"", "\"dsr\"")), [format!("18:55 {needs_nat}")]);
    let second = "[[service]]\nname = \"alt\"\nvip = \"198.51.100.2\"\nprotocol = \"tcp\"\nport = 8080\nmode = \"nat\"\nreals = [\"web2\"]\n";
    let clash = "real \"web2\" of service \"alt\": its replies would come from 192.0.2.12 tcp port 8080 like those to service \"web\" | let it serve one of the two at another port or address (of nat services of several ports a real can have one)";
    assert_eq!(errors(&format!("{nat}{second}")), [format!("25:10 {clash}")]);
}

#[test]
fn the_same_twice() {
    let real = "[[real]]\nname = \"web1\"\naddress = \"192.0.2.13\"\n";
    let text = parse(&format!("{GOOD}{real}")).unwrap_err().to_string();
    assert!(text.contains("--> lbd.toml:20:8"), "{text}");
    assert!(text.contains("------ first here"), "{text}");
    let service = &GOOD[GOOD.find("[[service]]").unwrap()..];
    let found = errors(&format!("{GOOD}{service}"));
    assert_eq!(found[0], "20:8 service \"web\": the name is given twice | rename one of the two");
    assert!(found[1].starts_with("23:8 service \"web\": 198.51.100.1 tcp port 80 is also claimed by"), "{found:#?}");
}

#[test]
fn more_reals_than_the_limit() {
    assert_eq!(
        with_line("limits.reals = 1"),
        ["9:8 2 reals, and `limits.reals` is 1 | raise `limits.reals` to 2 or more; it takes a restart of lbd"]
    );
}

#[test]
fn a_file_full_of_errors_shows_the_first_ones_and_counts_the_rest() {
    let source: String = (0..60).map(|n| format!("wrong{n} = 1\n")).collect();
    let text = parse(&source).unwrap_err().to_string();
    assert_eq!(text.matches("error: ").count(), MAX_SHOWN);
    assert!(text.ends_with("11 more errors are not shown\nlbd.toml: 61 errors"), "{text}");
}

#[test]
fn files_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lbd.toml");
    let load = || Config::load(&path).unwrap_err().to_string();
    let prefix = format!("cannot read the configuration file {}: ", path.display());
    assert_eq!(load(), format!("{prefix}No such file or directory (os error 2)"));
    std::fs::write(&path, b"log = \"info\"\n# caf\xe9\n").unwrap();
    assert_eq!(load(), format!("{prefix}line 2 is not UTF-8: save the file as UTF-8"));
    File::create(&path).unwrap().set_len(MAX_FILE_SIZE + 1).unwrap();
    assert_eq!(load(), format!("{prefix}it is larger than 16 MiB"));
}

/// Every example in the reference is a configuration that works, put together.
#[test]
fn the_example_of_the_reference_is_right() {
    let page = include_str!("../../../docs/reference/config.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    parse(example).unwrap();
}
