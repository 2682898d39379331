//! The pair: what is read, what follows from it, and every way to get it wrong.

use lb_core::pair::{PathKind, PathOptions, Role};

use super::super::pair::line;
use super::super::*;
use super::{GOOD, errors, parse};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A pair of three paths behind [`GOOD`]. `[pair]` is in line 19.
const PAIR: &str = r#"[pair]
role = "primary"
[[pair.path]]
type = "udp"
interface = "eth1"
local = "192.0.2.2"
peer = "192.0.2.3:6800"
[[pair.path]]
type = "udp"
interface = "eth2"
local = "2001:db8::2"
peer = "[2001:db8::3]:6721"
[[pair.path]]
type = "serial"
device = "/dev/ttyS0"
"#;

fn pair(text: &str) -> PairSettings {
    parse(&format!("{GOOD}{text}")).unwrap().settings.pair.unwrap()
}

/// The errors of [`PAIR`] with one text replaced by another.
fn with(old: &str, new: &str) -> Vec<String> {
    assert!(PAIR.contains(old), "{old}");
    errors(&format!("{GOOD}{}", PAIR.replacen(old, new, 1)))
}

/// The errors of [`PAIR`] with keys in line 20, the first below `[pair]`.
fn with_keys(keys: &str) -> Vec<String> {
    with("[pair]\n", &format!("[pair]\n{keys}\n"))
}

/// The errors of [`PAIR`] with a table behind it, which begins in line 34.
fn with_table(table: &str) -> Vec<String> {
    errors(&format!("{GOOD}{PAIR}{table}"))
}

#[test]
fn a_pair_that_says_the_least() {
    let pair = pair(PAIR);
    let udp = |interface: &str, local: &str, peer: &str| PathSettings {
        way: Way::Udp(UdpWay {
            interface: interface.to_owned(),
            local: local.parse().unwrap(),
            peer: peer.parse().unwrap(),
        }),
        interval: ms(100),
        ack_timeout: ms(25),
        missed_limit: 3,
        rise: 3,
        fall: 6,
    };
    let serial = PathSettings {
        way: Way::Serial(SerialWay { device: "/dev/ttyS0".into(), baud: 115_200 }),
        ack_timeout: Duration::from_micros(10_358),
        ..udp("eth1", "192.0.2.2:6721", "192.0.2.3:6800")
    };
    let expected = PairSettings {
        role: Role::Primary,
        key_file: "/etc/understudy/keys".into(),
        paths: vec![
            udp("eth1", "192.0.2.2:6721", "192.0.2.3:6800"),
            udp("eth2", "[2001:db8::2]:6721", "[2001:db8::3]:6721"),
            serial,
        ],
        vip_groups: vec![VipGroup {
            name: "vips".to_owned(),
            interface: "eth0".to_owned(),
            vips: vec!["198.51.100.1".parse().unwrap()],
        }],
        track: TrackSettings {
            interfaces: vec!["eth0".to_owned()],
            gateways: Vec::new(),
            gateway_interval: ms(1_000),
            min_healthy_reals: 0,
        },
        hooks: HookSettings { notify: None, fence: None, timeout: ms(10_000), fence_required: false },
        preempt: false,
        failback_delay: ms(30_000),
        start_wait: ms(3_000),
        lease: ms(200),
        drain: ms(1_000),
        handover_timeout: ms(5_000),
        duplicate_detection: true,
        announce_interval: ms(10_000),
    };
    assert_eq!(pair, expected);
    assert_eq!(parse(GOOD).unwrap().settings.pair, None);
}

#[test]
fn a_pair_that_says_everything() {
    let text = r#"[pair]
role = "standby"
key_file = "/a"
heartbeat_interval = "10ms"
missed_limit = 4
ack_timeout = "3ms"
rise = 5
fall = 9
lease = "28ms"
preempt = true
failback_delay = "0s"
start_wait = "1s"
handover_timeout = "2s"
drain = "360ms"
duplicate_detection = false
announce_interval = "1m"
[[pair.path]]
type = "udp"
interface = "eth1"
local = "192.0.2.2:1"
peer = "192.0.2.3:2"
[[pair.path]]
type = "serial"
device = "/dev/ttyUSB0"
baud = 19200
heartbeat_interval = "200ms"
missed_limit = 2
ack_timeout = "80ms"
[[pair.vip_group]]
name = "public"
interface = "eth0"
vips = ["198.51.100.1"]
[pair.track]
interfaces = ["eth0", "eth3"]
gateway = ["192.0.2.1"]
gateway_interval = "500ms"
min_healthy_reals = 2
[pair.hooks]
notify = ["/b", "x"]
fence = ["/c"]
timeout = "3s"
fence_required = true
"#;
    let pair = pair(text);
    let udp = PathOptions {
        kind: PathKind::Udp,
        interval_us: 10_000,
        ack_timeout_us: 3_000,
        missed_limit: 4,
        rise: 5,
        fall: 9,
    };
    let serial =
        PathOptions { kind: PathKind::Serial, interval_us: 200_000, ack_timeout_us: 80_000, missed_limit: 2, ..udp };
    let options = pair.options(7);
    assert_eq!(options.paths, [udp, serial]);
    assert_eq!((options.role, options.boot, options.preempt), (Role::Standby, 7, true));
    assert_eq!((options.lease_us, options.start_wait_us, options.failback_delay_us), (28_000, 1_000_000, 0));
    assert_eq!((options.drain_us, options.handover_timeout_us), (360_000, 2_000_000));
    assert_eq!((pair.key_file, pair.duplicate_detection, pair.announce_interval), ("/a".into(), false, ms(60_000)));
    assert_eq!(pair.vip_groups[0].name, "public");
    let track = TrackSettings {
        interfaces: vec!["eth0".to_owned(), "eth3".to_owned()],
        gateways: vec!["192.0.2.1".parse().unwrap()],
        gateway_interval: ms(500),
        min_healthy_reals: 2,
    };
    assert_eq!(pair.track, track);
    let hooks = HookSettings {
        notify: Some(vec!["/b".to_owned(), "x".to_owned()]),
        fence: Some(vec!["/c".to_owned()]),
        timeout: ms(3_000),
        fence_required: true,
    };
    assert_eq!(pair.hooks, hooks);
}

#[test]
fn defaults_follow_the_interval_and_the_line() {
    let fast = |keys: &str| pair(&PAIR.replacen("[pair]\n", &format!("[pair]\n{keys}\n"), 1));
    let pair = fast("heartbeat_interval = \"10ms\"");
    let timeouts: Vec<u128> = pair.paths.iter().map(|path| path.ack_timeout.as_micros()).collect();
    assert_eq!(timeouts, [2_500, 2_500, 9_500]);
    assert_eq!(pair.lease, ms(20));
    let slow = PAIR.replacen("[pair]\n", "[pair]\nheartbeat_interval = \"10s\"\nmissed_limit = 20\n", 1);
    let pair = self::pair(&format!("{slow}[scheduler]\ninterval = \"11s\"\n"));
    assert_eq!((pair.start_wait, pair.lease, pair.paths[0].fall), (ms(210_000), ms(190_000), 40));
}

#[test]
fn a_line_that_is_too_slow() {
    let slow = "give this path a heartbeat_interval of its own of";
    assert_eq!(
        with("\"/dev/ttyS0\"\n", "\"/dev/ttyS0\"\nbaud = 9600\n"),
        [format!(
            "34:8 a heartbeat_interval of 100ms leaves no time for the frames at 9600 baud | {slow} \"119ms\" or more, \
             or have both ends of the line run at 19200 baud or more"
        )]
    );
    assert_eq!(
        with("\"/dev/ttyS0\"\n", "\"/dev/ttyS0\"\nheartbeat_interval = \"5ms\"\n"),
        [format!(
            "34:22 a heartbeat_interval of 5ms leaves no time for the frames at 115200 baud | {slow} \"10ms\" or more, \
             or have both ends of the line run at 230400 baud or more"
        )]
    );
    assert_eq!(
        with_keys("heartbeat_interval = \"5ms\""),
        [format!(
            "32:1 a heartbeat_interval of 5ms leaves no time for the frames at 115200 baud | {slow} \"10ms\" or more, \
             or have both ends of the line run at 230400 baud or more"
        )]
    );
    assert_eq!(
        with("\"/dev/ttyS0\"\n", "\"/dev/ttyS0\"\nack_timeout = \"9ms\"\n"),
        ["34:15 no ack can come in 9ms at 115200 baud | remove it: the default suits the line"]
    );
}

#[test]
fn times_that_do_not_fit_together() {
    assert_eq!(
        with_keys("lease = \"225ms\""),
        ["20:9 `lease` is not shorter than the earliest takeover | remove it, or write lease = \"200ms\" or less"]
    );
    assert!(with_keys("lease = \"206ms\"").is_empty());
    assert_eq!(
        with_keys("lease = \"207ms\"").len(),
        1,
        "the serial line's ask is 4.3 ms under way, and its ack timeout 10.4 ms"
    );
    assert_eq!(
        with_keys("start_wait = \"399ms\""),
        [
            "20:14 `start_wait` is shorter than it takes to find out that the peer is dead | remove it, or write start_wait = \"400ms\" or more"
        ]
    );
    let slow = with_keys("drain = \"149ms\"");
    let help = "remove it, or write drain = \"150ms\" or more";
    assert_eq!(slow, [format!("20:9 `drain` is shorter than it may take the peer to hear that it can serve | {help}")]);
    assert!(with_keys("drain = \"150ms\"").is_empty(), "Tb 100 ms and twice W 25 ms of the UDP paths");
    let slow_line = PAIR.replace("\"/dev/ttyS0\"\n", "\"/dev/ttyS0\"\nheartbeat_interval = \"1s\"\n");
    assert_eq!(pair(&slow_line).drain, ms(1_021), "twice the serial line's W of 10.4 ms, in whole milliseconds");
    let udp_only = PAIR.replace("[[pair.path]]\ntype = \"serial\"\ndevice = \"/dev/ttyS0\"\n", "");
    let fast = udp_only.replace("[pair]\n", "[pair]\nheartbeat_interval = \"5ms\"\nmissed_limit = 2\n");
    assert_eq!(
        errors(&format!("{GOOD}{fast}")),
        [
            "21:16 the peer would take over so early that only a lease of 5ms is safe | a lease has to be 8ms or more: raise `missed_limit` or `heartbeat_interval`"
        ]
    );
    assert_eq!(
        with("peer = \"192.0.2.3:6800\"\n", "peer = \"192.0.2.3\"\nack_timeout = \"100ms\"\n"),
        [
            "26:15 `ack_timeout` is not shorter than the interval of the path | remove it, or write ack_timeout = \"25ms\""
        ]
    );
    assert_eq!(
        with("\"/dev/ttyS0\"\n", "\"/dev/ttyS0\"\nmissed_limit = 7\n[pair.track]\nmin_healthy_reals = 3\n"),
        [
            "36:21 `min_healthy_reals` is 3, and there are 2 reals | write a number that can be reached, or 0: the reals do not count"
        ]
    );
    assert_eq!(
        with_keys("fall = 2"),
        [
            "20:8 `fall` is less than the missed_limit of path udp eth1 | write fall = 3 or more",
            "20:8 `fall` is less than the missed_limit of path udp eth2 | write fall = 3 or more",
            "20:8 `fall` is less than the missed_limit of path serial /dev/ttyS0 | write fall = 3 or more"
        ]
    );
    let help = "name the program, as in fence = [\"/usr/local/bin/fence\"], or remove `fence_required`";
    assert_eq!(
        with_table("[pair.hooks]\nfence_required = true\n"),
        [format!("35:1 `fence_required` without a `fence` | {help}")]
    );
    assert!(with_table("[pair.hooks]\nfence_required = false\n").is_empty());
}

#[test]
fn addresses_of_paths_that_cannot_be() {
    let own = "write the address that the node has on the interface of this path";
    for address in ["0.0.0.0", "127.0.0.1", "224.0.0.18", "255.255.255.255"] {
        assert_eq!(with("192.0.2.2", address), [format!("24:9 `local` cannot be {address} | {own}")]);
    }
    assert_eq!(with("[2001:db8::3]:6721", "::1"), [format!("30:8 `peer` cannot be ::1 | {own}")]);
    assert_eq!(
        with("192.0.2.3:6800", "198.51.100.1"),
        ["25:8 `peer` is the VIP of service \"web\" | write an address that stays on its node"]
    );
    assert_eq!(
        with("192.0.2.3:6800", "2001:db8::4"),
        [
            "25:8 no packet can go from 192.0.2.2 to 2001:db8::4 | give both ends of the path an address of the same family"
        ]
    );
    assert_eq!(
        with("192.0.2.3:6800", "192.0.2.2:6800"),
        ["25:8 `peer` is this node's own address 192.0.2.2 | write the address of the other node"]
    );
    let help = "write local = \"192.0.2.2\"; with a port it is \"192.0.2.2:6721\" or \"[2001:db8::2]:6721\"; names are not looked up";
    for text in ["lb1.example", "192.0.2.2:0", "192.0.2.2/24", "2001:db8::2:70000"] {
        assert_eq!(with("192.0.2.2", text), [format!("24:9 `local` is not an address: {text:?} | {help}")]);
    }
}

#[test]
fn paths_that_cannot_be() {
    assert_eq!(
        errors(&format!("{GOOD}[pair]\nrole = \"primary\"\n")),
        [
            "19:1 the pair has no paths | add a table [[pair.path]] for each way to the peer: two NICs and a serial line are good"
        ]
    );
    let serial = "[[pair.path]]\ntype = \"serial\"\ndevice = \"/dev/ttyS0\"\n";
    assert_eq!(with_table(serial), ["36:10 two paths have the device /dev/ttyS0 | remove one"]);
    assert_eq!(
        with("\"2001:db8::2\"", "\"192.0.2.2\"").first().map(String::as_str),
        Some("29:9 two paths have the address 192.0.2.2:6721 | remove one")
    );
    let many: String = (1..=6).map(|n| serial.replace("ttyS0", &format!("ttyS{n}"))).collect();
    assert_eq!(with_table(&many), ["49:1 there are 9 paths | 8 can be"]);
    assert_eq!(
        with("\"eth1\"", "\"eth/1\""),
        [
            "23:13 not a name of an interface: \"eth/1\" | a name has 1 to 15 bytes and neither spaces, slashes nor colons; `ip link` lists the interfaces"
        ]
    );
    assert_eq!(
        with("\"/dev/ttyS0\"", "\"ttyS0\""),
        ["33:10 `device` is not an absolute path: \"ttyS0\" | write the whole path, as in device = \"/dev/ttyS0\""]
    );
    assert_eq!(
        with("device = \"/dev/ttyS0\"", "device = \"/dev/ttyS0\"\nlocal = \"192.0.2.9\""),
        ["34:1 a path of type `serial` has no `local` | remove it, or write type = \"udp\""]
    );
    assert_eq!(
        with("interface = \"eth1\"", "interface = \"eth1\"\nbaud = 9600"),
        ["24:1 a path of type `udp` has no `baud` | remove it, or write type = \"serial\""]
    );
    assert_eq!(with("\"serial\"", "\"seriel\""), ["32:8 `type` cannot be \"seriel\" | did you mean `serial`?"]);
    assert_eq!(
        with("interface = \"eth1\"\n", ""),
        ["21:1 `interface` is missing | add a line like this: interface = \"eth1\""]
    );
    assert_eq!(
        with("device = \"/dev/ttyS0\"\n", ""),
        ["31:1 `device` is missing | add a line like this: device = \"/dev/ttyS0\""]
    );
}

#[test]
fn values_out_of_range_or_without_a_meaning() {
    let cases = [
        (
            "role = \"primary\"",
            "role = \"master\"",
            "20:8 `role` cannot be \"master\" | it can be `primary`, `standby`",
        ),
        ("role = \"primary\"\n", "", "19:1 `role` is missing | add a line like this: role = \"primary\""),
    ];
    for (old, new, expected) in cases {
        assert_eq!(with(old, new), [expected]);
    }
    let cases = [
        ("heartbeat_interval = \"4ms\"", "20:22 `heartbeat_interval` is out of range | it can be 5ms to 10s"),
        ("heartbeat_interval = \"11s\"", "20:22 `heartbeat_interval` is out of range | it can be 5ms to 10s"),
        ("missed_limit = 1", "20:16 `missed_limit` is out of range | it can be 2 to 20"),
        ("missed_limit = 21", "20:16 `missed_limit` is out of range | it can be 2 to 20"),
        ("ack_timeout = \"0ms\"", "20:15 `ack_timeout` is out of range | it can be 1ms to 10s"),
        ("rise = 0", "20:8 `rise` is out of range | it can be 1 to 100"),
        ("fall = 101", "20:8 `fall` is out of range | it can be 1 to 100"),
        ("lease = \"7ms\"", "20:9 `lease` is out of range | it can be 8ms to 4m"),
        ("failback_delay = \"61m\"", "20:18 `failback_delay` is out of range | it can be 0ms to 1h"),
        ("start_wait = \"99ms\"", "20:14 `start_wait` is out of range | it can be 100ms to 10m"),
        ("handover_timeout = \"51s\"", "20:20 `handover_timeout` is out of range | it can be 100ms to 50s"),
        ("drain = \"61s\"", "20:9 `drain` is out of range | it can be 0ms to 1m"),
        ("announce_interval = \"999ms\"", "20:21 `announce_interval` is out of range | it can be 1s to 1h"),
        ("preempt = 1", "20:11 `preempt` must be true or false | write it like this: preempt = true"),
        (
            "wait = 1",
            "20:1 `[pair]` has no key `wait` | its keys are `role`, `key_file`, `heartbeat_interval`, `missed_limit`, `ack_timeout`, `rise`, `fall`, `lease`, `preempt`, `failback_delay`, `start_wait`, `handover_timeout`, `drain`, `duplicate_detection`, `announce_interval`, `path`, `vip_group`, `track`, `hooks`",
        ),
        (
            "key_file = \"keys\"",
            "20:12 `key_file` is not an absolute path: \"keys\" | write the whole path, as in key_file = \"/etc/understudy/keys\"",
        ),
    ];
    for (keys, expected) in cases {
        let found = with_keys(keys);
        assert!(found.contains(&expected.to_owned()), "{expected}\n{found:#?}");
    }
    assert_eq!(
        errors(&format!("{GOOD}[pair]\nrole = \"primary\"\npath = 1\n")),
        ["21:8 `path` must be a list | write it like this: [[pair.path]] on a line of its own, and below it the keys"]
    );
    assert_eq!(
        with("\"/dev/ttyS0\"\n", "\"/dev/ttyS0\"\nbaud = 300\n"),
        ["34:8 `baud` is out of range | it can be 1200 to 4000000"]
    );
    let cases = [
        (
            "[pair.track]\ngateway = [\"gw\"]",
            "35:12 `gateway` is not an IP address: \"gw\" | write an IPv4 or IPv6 address, as in gateway = [\"192.0.2.1\"]; names are not looked up",
        ),
        (
            "[pair.track]\ngateway = [\"192.0.2.1\", \"192.0.2.1\"]",
            "35:25 gateway 192.0.2.1 is there twice | remove one of them",
        ),
        (
            "[pair.track]\ninterfaces = [\"a b\"]",
            "35:15 not a name of an interface: \"a b\" | a name has 1 to 15 bytes and neither spaces, slashes nor colons; `ip link` lists the interfaces",
        ),
        (
            "[pair.track]\ngateway_interval = \"1ms\"",
            "35:20 `gateway_interval` is out of range | it can be 100ms to 1m",
        ),
        (
            "[pair.hooks]\nnotify = []",
            "35:10 `notify` is empty | name a program and its arguments, as in notify = [\"/usr/local/bin/hook\", \"--fast\"]",
        ),
        (
            "[pair.hooks]\nfence = [\"fence\"]",
            "35:10 `fence` is not an absolute path: \"fence\" | write the whole path, as in fence = [\"/usr/local/bin/hook\", \"--fast\"]",
        ),
        ("[pair.hooks]\ntimeout = \"11m\"", "35:11 `timeout` is out of range | it can be 100ms to 10m"),
    ];
    for (table, expected) in cases {
        assert_eq!(with_table(table), [expected]);
    }
    let gateways: Vec<String> = (1..=9).map(|n| format!("\"192.0.2.{n}\"")).collect();
    let found = with_table(&format!("[pair.track]\ngateway = [{}]", gateways.join(", ")));
    assert_eq!(found, ["35:116 `gateway` has 9 entries | it can have 8"]);
}

#[test]
fn vips_that_are_not_in_one_group() {
    let group = |name: &str, interface: &str, vips: &str| {
        format!("[[pair.vip_group]]\nname = \"{name}\"\ninterface = \"{interface}\"\nvips = [{vips}]\n")
    };
    let vip = "\"198.51.100.1\"";
    assert!(with_table(&group("public", "eth0", vip)).is_empty());
    assert_eq!(
        with_table(&group("public", "eth1", vip)),
        ["36:13 interface \"eth1\" is not one of `interfaces` | did you mean `eth0`?"]
    );
    assert_eq!(
        with_table(&group("public", "wan", vip)),
        ["36:13 interface \"wan\" is not one of `interfaces` | add \"wan\" to `interfaces`, or name one of them"]
    );
    assert_eq!(
        with_table(&group("pub lic", "eth0", vip)),
        [
            "35:8 VIP group \"pub lic\" cannot be named so | choose 1 to 64 letters, digits, dots, underscores or hyphens"
        ]
    );
    let homeless = "14:7 VIP 198.51.100.1 of service \"web\" is in no group | add it to the `vips` of a `[[pair.vip_group]]`, or remove all groups: all VIPs are then on the first interface";
    assert_eq!(
        with_table(&group("public", "eth0", "")),
        [homeless, "37:8 `vips` is empty | name a VIP of a service, as in vips = [\"192.0.2.1\"], or remove the group"]
    );
    assert_eq!(
        with_table(&group("public", "eth0", "\"198.51.100.2\"")),
        [homeless, "37:9 no service has the VIP 198.51.100.2 | remove it, or define the service"]
    );
    let twice = group("public", "eth0", vip) + &group("other", "eth0", vip);
    assert_eq!(with_table(&twice), ["41:9 the address 198.51.100.1 is in the groups twice | remove one of the two"]);
    let second = GOOD.replacen("[[service]]", "[[service]]\nname = \"tls\"\nvip = \"198.51.100.2\"\nprotocol = \"tcp\"\nport = 443\nmode = \"dsr\"\nreals = [\"web1\"]\n[[service]]", 1);
    let named_twice = group("public", "eth0", vip) + &group("public", "eth0", "\"198.51.100.2\"");
    let found = errors(&format!("{second}{PAIR}{named_twice}"));
    assert_eq!(found, ["46:8 VIP group \"public\": the name is given twice | rename one of the two"]);
}

#[test]
fn vips_that_are_prefixes_are_in_no_group() {
    let prefix = "[[service]]\nname = \"many\"\nvip = \"203.0.113.0/24\"\nprotocol = \"tcp\"\nport = 443\nmode = \"dsr\"\nreals = [\"web1\"]\n[[service]]";
    let good = GOOD.replacen("[[service]]", prefix, 1);
    let group = "[[pair.vip_group]]\nname = \"public\"\ninterface = \"eth0\"\nvips = [\"198.51.100.1\"]\n";
    for text in [format!("{good}{PAIR}"), format!("{good}{PAIR}{group}")] {
        let moved: Vec<String> =
            parse(&text).unwrap().settings.pair.unwrap().vips().map(|vip| vip.to_string()).collect();
        assert_eq!(moved, ["198.51.100.1"]);
    }
    let listed = group.replacen("198.51.100.1\"", "198.51.100.1\", \"203.0.113.0\"", 1);
    assert_eq!(
        errors(&format!("{good}{PAIR}{listed}")),
        ["44:25 no service has the VIP 203.0.113.0 | remove it, or define the service"]
    );
    let inside = PAIR.replacen("192.0.2.3:6800", "203.0.113.3", 1);
    assert_eq!(
        errors(&format!("{good}{inside}")),
        ["32:8 `peer` is the VIP of service \"many\" | write an address that stays on its node"]
    );
}

#[test]
fn gateways_move_with_the_vips() {
    let group = |gateways: &str| {
        format!(
            "[[pair.vip_group]]\nname = \"public\"\ninterface = \"eth0\"\nvips = [\"198.51.100.1\"]\ngateways = [{gateways}]\n"
        )
    };
    let config = parse(&format!("{GOOD}{PAIR}{}", group("\"192.0.2.254\", \"2001:db8::254\""))).unwrap();
    let moved: Vec<String> = config.settings.pair.unwrap().vips().map(|address| address.to_string()).collect();
    assert_eq!(moved, ["198.51.100.1", "192.0.2.254", "2001:db8::254"]);
    assert_eq!(config.cluster.gateways().len(), 2);
    for (gateway, expected) in [
        (
            "198.51.100.1",
            "the gateway 198.51.100.1 is the VIP of service \"web\" | a VIP is in `vips`, and moves as well",
        ),
        ("192.0.2.11", "the gateway 192.0.2.11 is the address of real \"web1\" | give an address of this pair's own"),
        ("224.0.0.1", "the gateway 224.0.0.1 is no address of a host | give an address through which reals can route"),
    ] {
        let found = with_table(&group(&format!("{gateway:?}")));
        assert_eq!(found[0], format!("38:13 {expected}"));
    }
    let twice = with_table(&group("\"192.0.2.254\", \"192.0.2.254\""));
    assert_eq!(twice, ["38:28 the address 192.0.2.254 is in the groups twice | remove one of the two"]);
    let alone =
        "[[pair.vip_group]]\nname = \"inside\"\ninterface = \"eth0\"\nvips = []\ngateways = [\"192.0.2.254\"]\n";
    assert!(with_table(&(group("") + alone)).is_empty());
}

#[test]
fn the_time_that_detection_takes_follows_from_the_configuration() {
    assert_eq!(pair(PAIR).detection(), "a dead peer is found out in 225.0 to 325.0 ms, in the mean 275.0 ms");
    let fast = PAIR.replacen("[pair]\n", "[pair]\nheartbeat_interval = \"10ms\"\n", 1);
    assert_eq!(pair(&fast).detection(), "a dead peer is found out in 29.5 to 39.5 ms, in the mean 34.5 ms");
}

#[test]
fn the_example_of_the_reference_is_right() {
    let page = include_str!("../../../../docs/reference/config.md");
    let (_, example) = page.split_once("```toml\n[pair]").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let pair = pair(&format!("[pair]{example}"));
    assert_eq!((pair.paths.len(), pair.warnings().len()), (3, 0));
}

/// The reference has the least interval for some rates.
#[test]
fn the_table_of_rates_in_the_reference_is_right() {
    let page = include_str!("../../../../docs/reference/config.md");
    let (_, table) = page.split_once("| `baud` | least `heartbeat_interval` |").unwrap();
    let rows =
        table.lines().skip(2).map_while(|line| line.strip_prefix("| ")?.strip_suffix(" ms |")?.split_once(" | "));
    let rows: Vec<(u32, u64)> = rows.map(|(baud, least)| (baud.parse().unwrap(), least.parse().unwrap())).collect();
    assert_eq!(rows.len(), 6);
    for (baud, least) in rows {
        assert_eq!(line::least_interval(baud).max(*HEARTBEAT_INTERVAL_RANGE.start()), ms(least), "{baud}");
    }
}

#[test]
fn what_is_right_and_not_good_is_warned_of() {
    assert!(pair(PAIR).warnings().is_empty());
    let one_nic = PAIR.replace("\"eth2\"", "\"eth1\"");
    assert_eq!(
        pair(&one_nic).warnings(),
        ["paths 0 and 1 are both on eth1: when it fails, both do; have each path on an interface of its own"]
    );
    let (before, serial) = PAIR.split_at(PAIR.rfind("[[pair.path]]").unwrap());
    let serial_alone = format!("{}{serial}", before.split("[[pair.path]]").next().unwrap());
    assert_eq!(
        pair(&serial_alone).warnings(),
        [
            "serial /dev/ttyS0 is the only path: when it fails, each node takes the other for dead; add a path on another device"
        ]
    );
}
