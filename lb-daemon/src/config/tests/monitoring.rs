//! Checks, agent-checks, reports and the law of weights: what is read, and every way to get it wrong.

use lb_core::check::{Check, Http, Kind, Tls, Via};
use lb_core::monitoring::{AgentCheck, AllDown, Scheduling};
use lb_core::scheduler::SchedulerOptions;

use super::super::*;
use super::{GOOD, errors, parse, with_line};

/// [`GOOD`] with a check behind it, that `keys` are added to, and that the service names. The check begins in line 20.
fn source(keys: &str) -> String {
    let good = GOOD.replace("mode = \"dsr\"\n", "mode = \"dsr\"\nchecks = [\"alive\"]\n");
    format!("{good}[[check]]\nname = \"alive\"\n{keys}")
}

fn check(keys: &str) -> Check {
    let config = parse(&source(keys)).unwrap();
    (*config.monitoring.services["web"].checks[0]).clone()
}

fn kind(keys: &str) -> Kind {
    check(keys).kind
}

/// The only error of a check with these keys; they begin in line 22.
fn error(keys: &str) -> String {
    let found = errors(&source(keys));
    assert_eq!(found.len(), 1, "{keys}\n{found:#?}");
    found[0].clone()
}

fn http(path: &str) -> Http {
    Http { method: "GET".to_owned(), path: path.to_owned(), host: None, statuses: vec![200..=399], body: None }
}

#[test]
fn a_check_that_says_the_least() {
    let expected = Check {
        name: "alive".to_owned(),
        kind: Kind::Tcp,
        port: None,
        interval_ms: 1_000,
        timeout_ms: 400,
        rise: 2,
        fall: 3,
        via: Via::Address,
        source: None,
    };
    assert_eq!(check("type = \"tcp\""), expected);
}

#[test]
fn a_check_that_says_everything() {
    let keys = "type = \"tcp\"\nport = 81\ninterval = \"2s\"\ntimeout = \"1s\"\nrise = 4\nfall = 5\nvia = \"service\"\n\
                source = \"192.0.2.2\"";
    let expected = Check {
        name: "alive".to_owned(),
        kind: Kind::Tcp,
        port: Some(81),
        interval_ms: 2_000,
        timeout_ms: 1_000,
        rise: 4,
        fall: 5,
        via: Via::Service,
        source: Some("192.0.2.2".parse().unwrap()),
    };
    assert_eq!(check(keys), expected);
}

#[test]
fn each_type_of_check() {
    assert_eq!(kind("type = \"icmp\""), Kind::Icmp);
    assert_eq!(kind("type = \"http\""), Kind::Http(http("/")));
    let keys = "type = \"http\"\nmethod = \"POST\"\npath = \"/a?b=c\"\nhost = \"www.example.org:8080\"\n\
                status = [200, \"204\", \"300-399\"]\nbody = \"fine\"";
    let expected = Http {
        method: "POST".to_owned(),
        path: "/a?b=c".to_owned(),
        host: Some("www.example.org:8080".to_owned()),
        statuses: vec![200..=200, 204..=204, 300..=399],
        body: Some("fine".to_owned()),
    };
    assert_eq!(kind(keys), Kind::Http(expected));
    let tls = Tls { verify: true, server_name: None, ca_file: None };
    assert_eq!(kind("type = \"https\"\npath = \"/x\""), Kind::Https(http("/x"), tls));
    let tls = Tls { verify: true, server_name: Some("a.example".to_owned()), ca_file: Some("/ca.pem".into()) };
    let keys = "type = \"https\"\nserver_name = \"a.example\"\nca_file = \"/ca.pem\"";
    assert_eq!(kind(keys), Kind::Https(http("/"), tls));
    let tls = Tls { verify: false, server_name: None, ca_file: None };
    assert_eq!(kind("type = \"https\"\nverify = false"), Kind::Https(http("/"), tls));
    assert_eq!(kind("type = \"udp\"\nsend = \"é\""), Kind::Udp { send: vec![0xc3, 0xa9], expect: None });
    let expected = Kind::Udp { send: vec![0, 0xff], expect: Some(vec![0x1a]) };
    assert_eq!(kind("type = \"udp\"\nsend_hex = \"00fF\"\nexpect_hex = \"1a\""), expected);
    let expected = Kind::Exec { command: vec!["/bin/test".to_owned(), "-e".to_owned(), "/x".to_owned()] };
    assert_eq!(kind("type = \"exec\"\ncommand = [\"/bin/test\", \"-e\", \"/x\"]"), expected);
}

#[test]
fn the_interval_and_the_timeout_follow_monitor_interval() {
    let config = parse(&format!("monitor_interval = \"500ms\"\n{}", source("type = \"tcp\""))).unwrap();
    let check = &config.monitoring.services["web"].checks[0];
    assert_eq!((check.interval_ms, check.timeout_ms), (500, 200));
    assert_eq!(config.settings.monitor_interval, Duration::from_millis(500));
}

#[test]
fn services_and_reals_say_how_they_are_watched() {
    let source = source("type = \"tcp\"")
        .replace("[[check]]", "all_down = \"last-known\"\nscheduling = \"static\"\n[[check]]")
        .replace("192.0.2.11\"", "192.0.2.11\"\nagent_check = \"tcp://192.0.2.11:9777\"")
        .replace("= 50", "= 50\nagent_check = { url = \"tcp://[2001:db8::12]:9\", interval = \"5s\" }");
    let monitoring = parse(&source).unwrap().monitoring;
    assert_eq!(monitoring.services["web"].all_down, AllDown::LastKnown);
    assert_eq!(monitoring.services["web"].scheduling, Scheduling::Static);
    let agent = |address: &str, interval_ms| Some(AgentCheck { address: address.parse().unwrap(), interval_ms });
    assert_eq!(monitoring.reals["web1"].agent_check, agent("192.0.2.11:9777", 1_000));
    assert_eq!(monitoring.reals["web2"].agent_check, agent("[2001:db8::12]:9", 5_000));
    assert_eq!(monitoring.scheduler, SchedulerOptions::default());
    assert_eq!(parse(GOOD).unwrap().monitoring.services["web"].all_down, AllDown::Drop);
}

#[test]
fn the_law_of_weights_is_read() {
    let table = "[scheduler]\ninterval = \"500ms\"\nsmoothing = \"2s\"\nstep_percent = 20\ndead_band_percent = 1\n\
                 floor_percent = 3\nhold_after = 4\nexpire = \"1m\"\nslow_start = \"0s\"\nhot_above_percent = 120\n";
    let expected = SchedulerOptions {
        interval_ms: 500,
        smoothing_ms: 2_000,
        step: 0.2,
        dead_band: 0.01,
        floor: 0.03,
        hold_after: 4,
        expire_ms: 60_000,
        slow_start_ms: 0,
        hot_above: Some(1.2),
    };
    assert_eq!(parse(&format!("{GOOD}{table}")).unwrap().monitoring.scheduler, expected);
}

#[test]
fn reports_have_defaults() {
    let expected = ReportSettings {
        listen: vec!["0.0.0.0:6720".parse().unwrap()],
        key_file: "/etc/understudy/keys".into(),
        rate_limit: 20,
    };
    assert_eq!(parse(&format!("{GOOD}[reports]\n")).unwrap().settings.reports, Some(expected));
}

#[test]
fn keys_that_do_not_fit_the_type() {
    let types = "checks of these types have";
    let cases = [
        (
            "type = \"icmp\"\nport = 80",
            format!(
                "23:1 a check of type `icmp` has no `port` | remove it; {types} `port`: `tcp`, `http`, `https`, `udp`"
            ),
        ),
        (
            "type = \"exec\"\ncommand = [\"/x\"]\nvia = \"service\"",
            format!(
                "24:1 a check of type `exec` has no `via` | remove it; {types} `via`: `tcp`, `http`, `https`, `udp`, `icmp`"
            ),
        ),
        (
            "type = \"tcp\"\npath = \"/\"",
            format!("23:1 a check of type `tcp` has no `path` | remove it; {types} `path`: `http`, `https`"),
        ),
        (
            "type = \"http\"\nverify = false",
            "23:1 a check of type `http` has no `verify` | remove it, or write type = \"https\"".to_owned(),
        ),
        (
            "type = \"http\"\nca_file = \"/ca\"",
            "23:1 a check of type `http` has no `ca_file` | remove it, or write type = \"https\"".to_owned(),
        ),
        (
            "type = \"http\"\nserver_name = \"a\"",
            "23:1 a check of type `http` has no `server_name` | remove it, or write type = \"https\"".to_owned(),
        ),
        (
            "type = \"tcp\"\nsend = \"x\"",
            "23:1 a check of type `tcp` has no `send` | remove it, or write type = \"udp\"".to_owned(),
        ),
        (
            "type = \"tcp\"\nexpect_hex = \"00\"",
            "23:1 a check of type `tcp` has no `expect_hex` | remove it, or write type = \"udp\"".to_owned(),
        ),
        (
            "type = \"tcp\"\ncommand = [\"/x\"]",
            "23:1 a check of type `tcp` has no `command` | remove it, or write type = \"exec\"".to_owned(),
        ),
    ];
    for (keys, expected) in cases {
        assert_eq!(error(keys), expected);
    }
}

#[test]
fn keys_of_a_check_that_are_missing() {
    let cases = [
        ("", "20:1 `type` is missing | add a line like this: type = \"tcp\""),
        ("type = \"udp\"", "20:1 `send` is missing | add a line like this: send = \"ping\""),
        (
            "type = \"exec\"",
            "20:1 `command` is missing | add a line like this: command = [\"/usr/local/bin/check\", \"--fast\"]",
        ),
    ];
    for (keys, expected) in cases {
        assert_eq!(error(keys), expected);
    }
    assert_eq!(
        errors(&format!("{GOOD}[[check]]\ntype = \"tcp\"\n")),
        ["19:1 `name` is missing | add a line like this: name = \"alive\""]
    );
}

#[test]
fn values_of_a_check_that_cannot_be() {
    let path = "write a path from its first slash, and escape what is not ASCII, as in path = \"/health?of=caf%C3%A9\"";
    let host = "write a name or an address alone, as in \"www.example.org\"";
    let status = "23:11 an entry of `status` is no status and no range of them | write it like this: status = [200, \"300-399\"]";
    let hex = "23:12 `send_hex` is not made of bytes | write two hex digits a byte, as in send_hex = \"00ff\"";
    let cases = [
        ("type = \"htpp\"", "22:8 `type` cannot be \"htpp\" | did you mean `http`?".to_owned()),
        ("type = \"tcp\"\ninterval = \"99ms\"", "23:12 `interval` is out of range | it can be 100ms to 1h".to_owned()),
        ("type = \"tcp\"\ninterval = \"61m\"", "23:12 `interval` is out of range | it can be 100ms to 1h".to_owned()),
        ("type = \"tcp\"\ntimeout = \"9ms\"", "23:11 `timeout` is out of range | it can be 10ms to 1h".to_owned()),
        ("type = \"tcp\"\ninterval = 1", "23:12 `interval` must be a string | write it like this: interval = \"1s\"".to_owned()),
        ("type = \"tcp\"\nrise = 0", "23:8 `rise` is out of range | it can be 1 to 100".to_owned()),
        ("type = \"tcp\"\nfall = 101", "23:8 `fall` is out of range | it can be 1 to 100".to_owned()),
        ("type = \"tcp\"\nport = 0", "23:8 `port` is out of range | it can be 1 to 65535".to_owned()),
        ("type = \"tcp\"\nvia = \"vip\"", "23:7 `via` cannot be \"vip\" | it can be `address`, `service`".to_owned()),
        (
            "type = \"tcp\"\nvia = \"service\"\nsource = \"eth0\"",
            "24:10 `source` is not an IP address: \"eth0\" | write an IPv4 or IPv6 address, as in source = \"192.0.2.2\"; names are not looked up".to_owned(),
        ),
        (
            "type = \"tcp\"\nsource = \"192.0.2.2\"",
            "23:10 `source` is for checks that go via the service | add via = \"service\", or remove `source`: the host chooses the source address then".to_owned(),
        ),
        ("type = \"http\"\nmethod = \"get\"", "23:10 `method` cannot be \"get\" | it can be `GET`, `HEAD`, `OPTIONS`, `POST`".to_owned()),
        ("type = \"http\"\npath = \"health\"", format!("23:8 `path` cannot be \"health\" | {path}")),
        ("type = \"http\"\npath = \"/a b\"", format!("23:8 `path` cannot be \"/a b\" | {path}")),
        ("type = \"http\"\npath = \"/a\\r\\nX: y\"", format!("23:8 `path` cannot be \"/a\\r\\nX: y\" | {path}")),
        ("type = \"http\"\nhost = \"http://a\"", format!("23:8 `host` cannot be \"http://a\" | {host}")),
        ("type = \"https\"\nserver_name = \"\"", format!("23:15 `server_name` cannot be \"\" | {host}")),
        ("type = \"http\"\nbody = \"\"", "23:8 `body` cannot be \"\" | write some text, or remove the key".to_owned()),
        (
            "type = \"http\"\nmethod = \"HEAD\"\nbody = \"ok\"",
            "24:8 the answer to HEAD has no body | write method = \"GET\", or remove `body`".to_owned(),
        ),
        ("type = \"http\"\nstatus = 200", "23:10 `status` must be a list | write it like this: status = [200, \"300-399\"]".to_owned()),
        ("type = \"http\"\nstatus = []", "23:10 `status` has 0 entries | it can have 1 to 64, as in status = [200, \"300-399\"]".to_owned()),
        ("type = \"http\"\nstatus = [99]", status.to_owned()),
        ("type = \"http\"\nstatus = [600]", status.to_owned()),
        ("type = \"http\"\nstatus = [-200]", status.to_owned()),
        ("type = \"http\"\nstatus = [\"ok\"]", status.to_owned()),
        ("type = \"http\"\nstatus = [\"399-200\"]", status.to_owned()),
        ("type = \"http\"\nstatus = [true]", status.to_owned()),
        ("type = \"https\"\nverify = \"no\"", "23:10 `verify` must be true or false | write it like this: verify = true".to_owned()),
        (
            "type = \"https\"\nca_file = \"ca.pem\"",
            "23:11 `ca_file` is not an absolute path: \"ca.pem\" | write the whole path, as in ca_file = \"/etc/understudy/ca.pem\"".to_owned(),
        ),
        (
            "type = \"https\"\nverify = false\nca_file = \"/ca.pem\"",
            "24:11 `ca_file` has no use with verify = false | remove one of the two".to_owned(),
        ),
        ("type = \"udp\"\nsend = \"\"", "23:8 `send` has 0 bytes | it can have 1 to 1200".to_owned()),
        ("type = \"udp\"\nsend = \"a\"\nexpect = \"\"", "24:10 `expect` has 0 bytes | it can have 1 to 4096".to_owned()),
        ("type = \"udp\"\nsend_hex = \"0\"", hex.to_owned()),
        ("type = \"udp\"\nsend_hex = \"0g\"", hex.to_owned()),
        ("type = \"udp\"\nsend_hex = \"+1\"", hex.to_owned()),
        ("type = \"udp\"\nsend = \"a\"\nsend_hex = \"00\"", "24:12 `send_hex` beside `send` | remove one of the two".to_owned()),
        (
            "type = \"exec\"\ncommand = \"/bin/true\"",
            "23:11 `command` must be a list | write it like this: command = [\"/usr/local/bin/check\", \"--fast\"]".to_owned(),
        ),
        (
            "type = \"exec\"\ncommand = []",
            "23:11 `command` is empty | name a program and its arguments, as in command = [\"/usr/local/bin/check\", \"--fast\"]".to_owned(),
        ),
        (
            "type = \"exec\"\ncommand = [\"true\"]",
            "23:12 `command` is not an absolute path: \"true\" | write the whole path, as in command = [\"/usr/local/bin/check\", \"--fast\"]".to_owned(),
        ),
        (
            "type = \"exec\"\ncommand = [\"/bin/true\", \"\\u0000\"]",
            "23:25 `command` cannot be \"\\0\" | write it without the character U+0000".to_owned(),
        ),
    ];
    for (keys, expected) in cases {
        assert_eq!(error(keys), expected);
    }
}

#[test]
fn values_of_a_check_that_are_too_long() {
    let long = |length: usize| "a".repeat(length);
    let cases = [
        (format!("type = \"http\"\npath = \"/{}\"", long(4096)), "23:8 `path` is too long | it can have 4096 bytes"),
        (format!("type = \"http\"\nbody = \"{}\"", long(4097)), "23:8 `body` is too long | it can have 4096 bytes"),
        (format!("type = \"http\"\nhost = \"{}\"", long(256)), "23:8 `host` is too long | it can have 255 bytes"),
        (format!("type = \"udp\"\nsend = \"{}\"", long(1201)), "23:8 `send` has 1201 bytes | it can have 1 to 1200"),
        (
            format!("type = \"udp\"\nsend_hex = \"{}\"", long(2402)),
            "23:12 `send_hex` has 1201 bytes | it can have 1 to 1200",
        ),
        (
            format!("type = \"http\"\nstatus = [{}]", "200, ".repeat(65)),
            "23:10 `status` has 65 entries | it can have 1 to 64, as in status = [200, \"300-399\"]",
        ),
        (
            format!("type = \"exec\"\ncommand = [\"/x\"{}]", ", \"y\"".repeat(64)),
            "23:11 `command` has 65 entries | it can have 64",
        ),
        (
            format!("type = \"exec\"\ncommand = [\"/x\", \"{}\"]", long(4097)),
            "23:18 `command` is too long | it can have 4096 bytes",
        ),
    ];
    for (keys, expected) in cases {
        assert_eq!(error(&keys), expected);
    }
}

#[test]
fn a_timeout_must_be_shorter_than_the_interval() {
    let text = |place: &str| {
        format!("{place} check \"alive\": its timeout is not shorter than its interval | a good timeout is 400ms")
    };
    assert_eq!(error("type = \"tcp\"\ntimeout = \"1s\""), text("23:11"));
    assert_eq!(error("type = \"tcp\"\ninterval = \"1s\"\ntimeout = \"2s\""), text("24:11"));
    check("type = \"tcp\"\ntimeout = \"999ms\"");
    let shown = parse(&source("type = \"tcp\"\ntimeout = \"1s\"")).unwrap_err().to_string();
    assert!(shown.contains("timeout 1s, interval 1s"), "{shown}");
}

#[test]
fn names_of_checks() {
    let unknown = |name: &str| errors(&source("type = \"tcp\"").replace("[\"alive\"]", &format!("[\"{name}\"]")));
    assert_eq!(
        unknown("alvie"),
        ["18:11 check \"alvie\" of service \"web\": no such check is defined | did you mean `alive`?"]
    );
    assert_eq!(
        unknown("ready"),
        ["18:11 check \"ready\" of service \"web\": no such check is defined | define it, or correct the name"]
    );
    let twice = format!("{}\n[[check]]\nname = \"alive\"\ntype = \"icmp\"\n", source("type = \"tcp\""));
    assert_eq!(errors(&twice), ["24:8 check \"alive\": the name is given twice | rename one of the two"]);
    assert!(parse(&twice).unwrap_err().to_string().contains("------- first here"));
    let odd = source("type = \"tcp\"").replace("alive", "a live");
    assert_eq!(
        errors(&odd),
        [
            "21:8 check \"a live\": the name must be 1 to 64 letters, digits, dots, underscores or hyphens | choose another name"
        ]
    );
    let listed_twice = source("type = \"tcp\"").replace("[\"alive\"]", "[\"alive\", \"alive\"]");
    assert_eq!(errors(&listed_twice), ["18:20 check \"alive\" is there twice | remove one of them"]);
    let not_a_list = source("type = \"tcp\"").replace("[\"alive\"]", "\"alive\"");
    assert_eq!(errors(&not_a_list), ["18:10 `checks` must be a list | write it like this: checks = [\"alive\"]"]);
}

#[test]
fn checks_that_do_not_fit_their_service() {
    let with_ports =
        |ports: &str, keys: &str| errors(&source(keys).replace("port = 80\n", &format!("port = {ports}\n")));
    let add_port = "add a `port` to the check \"alive\"";
    let no_port = format!(
        "18:11 check \"alive\" of service \"web\": the service has no port of its own to be checked | {add_port}"
    );
    for keys in ["type = \"tcp\"", "type = \"http\"", "type = \"https\"", "type = \"udp\"\nsend = \"a\""] {
        assert_eq!(with_ports("\"any\"", keys), [no_port.as_str()]);
        assert_eq!(with_ports("\"any\"", &format!("{keys}\nport = 80")), [""; 0]);
        assert_eq!(with_ports("\"80-89\"", keys), [""; 0]);
        assert_eq!(
            with_ports("\"80-89\"", &format!("{keys}\nvia = \"service\"")),
            [format!("18:11 check \"alive\" of service \"web\": the service has more than one port | {add_port}")]
        );
        assert_eq!(with_ports("\"80-89\"", &format!("{keys}\nvia = \"service\"\nport = 80")), [""; 0]);
    }
    assert_eq!(with_ports("\"any\"", "type = \"icmp\"\nvia = \"service\""), [""; 0]);
    assert_eq!(with_ports("\"any\"", "type = \"exec\"\ncommand = [\"/x\"]"), [""; 0]);
    assert_eq!(
        error("type = \"tcp\"\nvia = \"service\"\nsource = \"2001:db8::2\""),
        "18:11 check \"alive\" of service \"web\": no packet can go from 2001:db8::2 to the VIP 198.51.100.1 | \
         give this service a check whose `source` is of the VIP's family"
    );
    assert_eq!(
        error("type = \"tcp\"\nvia = \"service\"\nsource = \"198.51.100.1\""),
        "18:11 check \"alive\" of service \"web\": its `source` is the VIP: answers would not come back | name another address"
    );
}

#[test]
fn more_checks_than_can_be() {
    let checks = |count: usize| -> String {
        (0..count).map(|n| format!("[[check]]\nname = \"c{n}\"\ntype = \"icmp\"\n")).collect()
    };
    let found = errors(&format!("{GOOD}{}", checks(MAX_CHECKS + 1)));
    assert_eq!(found, [format!("{}:8 there are 1025 checks | 1024 can be", 20 + 3 * MAX_CHECKS)]);
    let names: Vec<String> = (0..=MAX_CHECKS_OF_SERVICE).map(|n| format!("\"c{n}\"")).collect();
    let service = GOOD.replace("mode = \"dsr\"\n", &format!("mode = \"dsr\"\nchecks = [\n{}]\n", names.join(",\n")));
    let found = errors(&format!("{service}{}", checks(17)));
    assert_eq!(found, ["35:1 service \"web\" has 17 checks | it can have 16"]);
}

/// 16 checks, 64 reals, and services that make each of all of them.
fn checks_of_reals(services: usize) -> String {
    let list = |names: &[String]| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    let checks: Vec<String> = (0..16).map(|n| format!("c{n}")).collect();
    let reals: Vec<String> = (0..64).map(|n| format!("r{n}")).collect();
    let mut source = "interfaces = [\"eth0\"]\n".to_owned();
    for check in &checks {
        source += &format!("[[check]]\nname = \"{check}\"\ntype = \"icmp\"\n");
    }
    for (n, real) in reals.iter().enumerate() {
        source += &format!("[[real]]\nname = \"{real}\"\naddress = \"192.0.2.{}\"\n", n + 1);
    }
    for n in 0..services {
        let vip = format!("vip = \"198.51.100.{}\"\nprotocol = \"tcp\"\nport = 80\nmode = \"dsr\"", n + 1);
        let lists = format!("reals = [{}]\nchecks = [{}]", list(&reals), list(&checks));
        source += &format!("[[service]]\nname = \"s{n}\"\n{vip}\n{lists}\n");
    }
    source
}

#[test]
fn more_checks_of_reals_than_can_be() {
    assert_eq!(errors(&checks_of_reals(64)), [""; 0]);
    let expected = "755:8 services before and at \"s64\" have 66560 checks of reals | \
                    there can be 65536: the reals of each service times its checks";
    assert_eq!(errors(&checks_of_reals(65)), [expected]);
}

#[test]
fn agents_that_cannot_be_asked() {
    let with = |agent: &str| errors(&GOOD.replace("weight = 50", &format!("agent_check = {agent}")));
    let help = "as in agent_check = \"tcp://192.0.2.11:9777\", an IPv6 address in brackets; names are not looked up";
    for url in [
        "",
        "192.0.2.11:9777",
        "tcp://192.0.2.11",
        "tcp://192.0.2.11:0",
        "tcp://web1:9777",
        "udp://192.0.2.11:9777",
        "tcp://192.0.2.11:9777/",
        "tcp://2001:db8::1:9777",
        "tcp://192.0.2.11:65536",
    ] {
        assert_eq!(
            with(&format!("{url:?}")),
            [format!("10:15 `agent_check` is not where an agent listens: {url:?} | write it {help}")]
        );
    }
    let cases = [
        ("9777", "10:15 `agent_check` must be a string | write it like this: agent_check = \"tcp://192.0.2.11:9777\""),
        ("{}", "10:15 `url` is missing | add a line like this: url = \"tcp://192.0.2.11:9777\""),
        (
            "{ url = \"tcp://a:1\" }",
            "10:23 `url` is not where an agent listens: \"tcp://a:1\" | write it as in url = \"tcp://192.0.2.11:9777\", an IPv6 address in brackets; names are not looked up",
        ),
        (
            "{ url = \"tcp://192.0.2.11:1\", interval = \"1ms\" }",
            "10:56 `interval` is out of range | it can be 100ms to 1h",
        ),
        (
            "{ url = \"tcp://192.0.2.11:1\", every = \"1s\" }",
            "10:45 `agent_check` has no key `every` | its keys are `url`, `interval`",
        ),
    ];
    for (agent, expected) in cases {
        assert_eq!(with(agent), [expected]);
    }
}

#[test]
fn words_of_services_that_cannot_be() {
    let with = |line: &str| errors(&GOOD.replace("mode = \"dsr\"", &format!("mode = \"dsr\"\n{line}")));
    assert_eq!(with("all_down = \"rest\""), ["18:12 `all_down` cannot be \"rest\" | did you mean `reset`?"]);
    assert_eq!(
        with("all_down = \"last\""),
        ["18:12 `all_down` cannot be \"last\" | it can be `drop`, `reset`, `last-known`"]
    );
    assert_eq!(with("scheduling = \"rr\""), ["18:14 `scheduling` cannot be \"rr\" | it can be `load`, `static`"]);
}

#[test]
fn reports_that_cannot_come_in() {
    let address = "write an IPv4 address or an IPv6 address in brackets, a colon and a port from 1 to 65535, \
                   as in listen = [\"0.0.0.0:6720\"]; names are not looked up";
    let cases = [
        ("reports.listen = []".to_owned(), "1:18 `listen` is empty | name an address and a port, as in listen = [\"0.0.0.0:6720\"], or remove `[reports]`".to_owned()),
        ("reports.listen = \"0.0.0.0:6720\"".to_owned(), "1:18 `listen` must be a list | write it like this: listen = [\"0.0.0.0:6720\"]".to_owned()),
        ("reports.listen = [\"0.0.0.0\"]".to_owned(), format!("1:19 `listen` is not an address with a port: \"0.0.0.0\" | {address}")),
        ("reports.listen = [\"192.0.2.2:0\"]".to_owned(), format!("1:19 `listen` is not an address with a port: \"192.0.2.2:0\" | {address}")),
        ("reports.listen = [\"[::]:1\", \"[::]:1\"]".to_owned(), "1:29 address [::]:1 is there twice | remove one of them".to_owned()),
        (
            format!("reports.listen = [{}]", (1..=17).map(|port| format!("\"[::]:{port}\"")).collect::<Vec<_>>().join(", ")),
            "1:18 `listen` has 17 entries | it can have 16".to_owned(),
        ),
        (
            "reports.key_file = \"keys\"".to_owned(),
            "1:20 `key_file` is not an absolute path: \"keys\" | write the whole path, as in key_file = \"/etc/understudy/keys\"".to_owned(),
        ),
        ("reports.rate_limit = 0".to_owned(), "1:22 `rate_limit` is out of range | it can be 1 to 1000".to_owned()),
        ("reports.rate = 1".to_owned(), "1:9 `[reports]` has no key `rate` | its keys are `listen`, `key_file`, `rate_limit`".to_owned()),
        ("monitor_interval = \"2h\"".to_owned(), "1:20 `monitor_interval` is out of range | it can be 100ms to 1h".to_owned()),
    ];
    for (line, expected) in cases {
        assert_eq!(with_line(&line), [expected]);
    }
}

#[test]
fn a_law_of_weights_that_cannot_be() {
    let not_longer = "`expire` is not longer than the interval of the scheduler | the interval is";
    let cases = [
        ("interval = \"99ms\"", "1:22 `interval` is out of range | it can be 100ms to 1m".to_owned()),
        ("smoothing = \"11m\"", "1:23 `smoothing` is out of range | it can be 100ms to 10m".to_owned()),
        ("step_percent = 0", "1:26 `step_percent` is out of range | it can be 1 to 100".to_owned()),
        ("dead_band_percent = 51", "1:31 `dead_band_percent` is out of range | it can be 0 to 50".to_owned()),
        ("floor_percent = 0", "1:27 `floor_percent` is out of range | it can be 1 to 50".to_owned()),
        ("hold_after = 0", "1:24 `hold_after` is out of range | it can be 1 to 1000".to_owned()),
        ("expire = \"25h\"", "1:20 `expire` is out of range | it can be 1s to 1d".to_owned()),
        ("slow_start = \"61m\"", "1:24 `slow_start` is out of range | it can be 0ms to 1h".to_owned()),
        ("hot_above_percent = 656", "1:31 `hot_above_percent` is out of range | it can be 1 to 655".to_owned()),
        ("expire = \"1s\"", format!("1:20 {not_longer} 1s; a good `expire` is 30 times as long")),
        ("interval = \"1m\"", format!("1:22 {not_longer} 1m; a good `expire` is 30 times as long")),
        ("step = 1", "1:11 `[scheduler]` has no key `step` | its keys are `interval`, `smoothing`, `step_percent`, `dead_band_percent`, `floor_percent`, `hold_after`, `expire`, `slow_start`, `hot_above_percent`".to_owned()),
    ];
    for (key, expected) in cases {
        assert_eq!(with_line(&format!("scheduler.{key}")), [expected]);
    }
}
