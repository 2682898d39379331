//! Wrong configurations, with the message that each gets and the place that it points at.

use lb_config::ConfigError;

use super::*;
use crate::measure::{CpuOf, HitsOf, NetworkOf, Options, Pace};
use crate::source::Origin;

/// A file that is right, of which each test makes one that is wrong.
const GOOD: &str = "name = \"web1\"\nload_balancers = [\"192.0.2.2:6720\"]\n";

fn parse(source: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("agent.toml"), source)
}

/// What is said of a wrong file: of each error `line:column title | help`.
fn errors(source: &str) -> Vec<String> {
    let Err(error) = parse(source) else { return Vec::new() };
    let ConfigError::Invalid { diagnostics, .. } = &error else { panic!("{error}") };
    let place = |offset: usize| {
        let before = &source[..offset];
        (before.matches('\n').count() + 1, before.chars().rev().take_while(|&c| c != '\n').count() + 1)
    };
    let line = |(line, column), title: &str, help: &str| format!("{line}:{column} {title} | {help}");
    diagnostics.iter().map(|wrong| line(place(wrong.span.start), &wrong.title, &wrong.help)).collect()
}

/// The errors of [`GOOD`] with a line put before it; the line is line 1.
fn with_line(line: &str) -> Vec<String> {
    errors(&format!("{line}\n{GOOD}"))
}

#[test]
fn a_short_file_has_defaults_for_the_rest() {
    let config = parse(GOOD).unwrap();
    let expected = Config {
        name: "web1".to_owned(),
        load_balancers: vec!["192.0.2.2:6720".parse().unwrap()],
        key_file: DEFAULT_KEY_FILE.into(),
        report_interval: DEFAULT_REPORT_INTERVAL,
        stop_delay: Duration::ZERO,
        measure: Options::default(),
        fixed: Fixed {
            agent_check_listen: None,
            state_dir: DEFAULT_STATE_DIR.into(),
            run_dir: DEFAULT_RUN_DIR.into(),
            log: LogLevel::Info,
        },
    };
    assert_eq!(config, expected);
}

#[test]
fn every_key_says_what_it_says() {
    let config = parse(
        r#"
name = "web1"
load_balancers = ["192.0.2.2:6720", "[2001:db8::2]:6720"]
key_file = "/k"
report_interval = "250ms"
stop_delay = "5s"
agent_check_listen = "[::]:9777"
cgroup = "/web"
memory = false
interfaces = ["eth0", "eth1"]
link_speed = "2Gbit"
hits = { command = ["/bin/hits", "-a"] }
custom = { file = "/run/share" }
source_timeout = "3s"
state_dir = "/s"
run_dir = "/r"
log = "debug"
"#,
    )
    .unwrap();
    let expected = Config {
        name: "web1".to_owned(),
        load_balancers: vec!["192.0.2.2:6720".parse().unwrap(), "[2001:db8::2]:6720".parse().unwrap()],
        key_file: "/k".into(),
        report_interval: Duration::from_millis(250),
        stop_delay: Duration::from_secs(5),
        measure: Options {
            cpu: CpuOf::Cgroup("/web".into()),
            memory: false,
            network: NetworkOf {
                interfaces: vec!["eth0".to_owned(), "eth1".to_owned()],
                link_speed: Some(250_000_000),
            },
            hits: HitsOf::Counter(Origin::Command(vec!["/bin/hits".to_owned(), "-a".to_owned()])),
            custom: Some(Origin::File("/run/share".into())),
            pace: Pace { interval: Duration::from_millis(250), timeout: Duration::from_secs(3) },
        },
        fixed: Fixed {
            agent_check_listen: Some("[::]:9777".parse().unwrap()),
            state_dir: "/s".into(),
            run_dir: "/r".into(),
            log: LogLevel::Debug,
        },
    };
    assert_eq!(config, expected);
}

#[test]
fn sources_of_hits_and_of_the_custom_measure() {
    let measured = |line: &str| parse(&format!("{line}\n{GOOD}")).unwrap().measure;
    let page = || Origin::Http("http://127.0.0.1:81/s".parse().unwrap());
    assert_eq!(measured("hits = \"kernel\"").hits, HitsOf::Kernel);
    assert_eq!(measured("hits = \"none\"").hits, HitsOf::Nothing);
    assert_eq!(measured("hits = { stub_status = \"http://127.0.0.1:81/s\" }").hits, HitsOf::StubStatus(page()));
    assert_eq!(measured("hits.http = \"http://127.0.0.1:81/s\"").hits, HitsOf::Counter(page()));
    assert_eq!(measured("custom.http = \"http://127.0.0.1:81/s\"").custom, Some(page()));
    let command = Some(Origin::Command(vec!["/bin/share".to_owned()]));
    assert_eq!(measured("custom.command = [\"/bin/share\"]").custom, command);
    assert_eq!(measured("cgroup = \"auto\"").cpu, CpuOf::Auto);
    assert_eq!(measured("cgroup = \"host\"").cpu, CpuOf::Host);
    assert_eq!(measured("link_speed = \"100Mbit\"").network.link_speed, Some(12_500_000));
}

#[test]
fn an_agent_that_is_only_asked_needs_no_load_balancer() {
    assert!(parse("name = \"web1\"\nagent_check_listen = \"192.0.2.11:9777\"\n").unwrap().load_balancers.is_empty());
    let help = "add a line like this: load_balancers = [\"192.0.2.2:6720\"], or agent_check_listen = \"0.0.0.0:9777\" \
                for those that ask";
    assert_eq!(errors("name = \"web1\"\n"), [format!("1:1 nobody would hear of this real | {help}")]);
    let empty = errors("name = \"web1\"\nload_balancers = []\n");
    assert_eq!(empty, [format!("2:18 nobody would hear of this real | {help}")]);
}

#[test]
fn names_and_addresses_that_cannot_be() {
    assert_eq!(
        errors("load_balancers = [\"192.0.2.2:6720\"]"),
        ["1:1 `name` is missing | add a line like this: name = \"web1\""]
    );
    let wrong = errors(&GOOD.replace("web1", "web 1"));
    assert!(wrong[0].starts_with("1:8 not a real's name: \"web 1\" | a name has 1 to 64 letters"), "{wrong:#?}");
    let wrong = errors(&GOOD.replace(":6720", ""));
    assert!(
        wrong[0].starts_with("2:19 `load_balancers` is not an address with a port: \"192.0.2.2\" | "),
        "{wrong:#?}"
    );
    let twice = errors(&GOOD.replace("[\"192.0.2.2:6720\"]", "[\"192.0.2.2:1\", \"192.0.2.2:1\"]"));
    assert_eq!(twice, ["2:34 load balancer \"192.0.2.2:1\" is there twice | remove one of them"]);
    let many: Vec<String> = (1..=MAX_LOAD_BALANCERS + 1).map(|port| format!("\"192.0.2.2:{port}\"")).collect();
    let wrong = errors(&format!("name = \"web1\"\nload_balancers = [{}]", many.join(", ")));
    assert_eq!(wrong, ["2:18 `load_balancers` has 65 entries | it can have 64"]);
    let wrong = with_line("agent_check_listen = \"9777\"");
    assert!(wrong[0].starts_with("1:22 `agent_check_listen` is not an address with a port: \"9777\" | "), "{wrong:#?}");
}

#[test]
fn values_that_cannot_be() {
    let speed = "write a whole number and Mbit or Gbit, at most 10000Gbit, as in link_speed = \"10Gbit\"";
    let cases = [
        ("report_interval = \"99ms\"", "1:19 `report_interval` is out of range | it can be 100ms to 1m".to_owned()),
        ("stop_delay = \"2h\"", "1:14 `stop_delay` is out of range | it can be 0ms to 1h".to_owned()),
        ("source_timeout = \"5ms\"", "1:18 `source_timeout` is out of range | it can be 10ms to 1m".to_owned()),
        ("link_speed = \"fast\"", format!("1:14 `link_speed` is not the speed of a link: \"fast\" | {speed}")),
        ("link_speed = \"+1Gbit\"", format!("1:14 `link_speed` is not the speed of a link: \"+1Gbit\" | {speed}")),
        ("link_speed = \"0Mbit\"", format!("1:14 `link_speed` is not the speed of a link: \"0Mbit\" | {speed}")),
        (
            "link_speed = \"10001Gbit\"",
            format!("1:14 `link_speed` is not the speed of a link: \"10001Gbit\" | {speed}"),
        ),
        (
            "log = \"loud\"",
            "1:7 `log` cannot be \"loud\" | it can be `error`, `warn`, `info`, `debug`, `trace`".to_owned(),
        ),
        ("interfaces = [\"a\", \"a\"]", "1:20 interface \"a\" is there twice | remove one of them".to_owned()),
        ("interface = \"eth0\"", "1:1 the file has no key `interface` | did you mean `interfaces`?".to_owned()),
    ];
    for (line, expected) in cases {
        assert_eq!(with_line(line), [expected]);
    }
    let wrong = with_line("cgroup = \"web\"");
    assert!(
        wrong[0].starts_with("1:10 `cgroup` cannot be \"web\" | it can be `auto`, `host`, or the path"),
        "{wrong:#?}"
    );
    let wrong = with_line(&format!("run_dir = \"/{}\"", "r".repeat(93)));
    assert_eq!(wrong, ["1:11 `run_dir` is too long | a unix socket's path is short: `run_dir` can have 93 bytes"]);
    assert!(with_line(&format!("run_dir = \"/{}\"", "r".repeat(92))).is_empty());
}

#[test]
fn sources_that_cannot_be() {
    let one = "give one of `file`, `http`, `command`, as in { file = \"/run/queue-share\" }";
    let program = "write the program's whole path and its arguments, as in \
                   command = [\"/usr/local/bin/count-hits\", \"--total\"]";
    let cases = [
        ("hits = \"kernal\"", "1:8 `hits` cannot be \"kernal\" | did you mean `kernel`?".to_owned()),
        ("custom = {}", format!("1:10 `custom` has 0 sources | {one}")),
        ("custom = { file = \"/a\", http = \"http://a\" }", format!("1:10 `custom` has 2 sources | {one}")),
        (
            "custom = { file = \"a\" }",
            "1:19 `file` is not an absolute path: \"a\" | write the whole path, as in file = \"/run/queue-share\"".to_owned(),
        ),
        (
            "hits = { http = \"https://a/\" }",
            "1:17 `http` cannot be \"https://a/\": only http:// can be asked | \
             write it like this: http = \"http://127.0.0.1:8080/status\""
                .to_owned(),
        ),
        ("hits = { command = [] }", format!("1:20 `command` is empty | {program}")),
        (
            "hits = { command = [\"hits\"] }",
            format!("1:21 the program of `command` is not an absolute path | {program}"),
        ),
        (
            "hits = { command = \"/bin/hits\" }",
            "1:20 `command` must be a list | write it like this: command = [\"/usr/local/bin/count-hits\", \"--total\"]"
                .to_owned(),
        ),
        ("hits = { page = \"x\" }", "1:10 `hits` has no key `page` | its keys are `stub_status`, `http`, `command`".to_owned()),
    ];
    for (line, expected) in cases {
        let wrong = with_line(line);
        assert!(wrong.contains(&expected), "{expected}\n{wrong:#?}");
    }
}

const PAGE: &str = include_str!("../../../docs/reference/agent.md");

/// Each key has a heading of its own in the reference, and each such heading is a key.
#[test]
fn the_reference_has_every_key() {
    let documented: Vec<&str> =
        PAGE.lines().filter_map(|line| line.strip_prefix("### `")?.split_once('`').map(|(key, _)| key)).collect();
    let names = |table: &lb_config::TableKeys| {
        let names: Vec<String> = table.keys.iter().map(|key| format!("{}{key}", table.prefix)).collect();
        names
    };
    let keys: Vec<String> = keys::ALL.iter().flat_map(|table| names(table)).collect();
    assert_eq!(documented, keys);
}

/// The example in the reference is a configuration that works.
#[test]
fn the_example_of_the_reference_is_right() {
    let (_, rest) = PAGE.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    parse(example).unwrap();
}
