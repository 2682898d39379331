//! `lbctl` as it is run: what it asks of the daemon, what it prints where, and how it exits. The daemon is a few bytes
//! from a thread.

mod checkpoint;
mod config;
mod daemon;
mod models;
mod packets;
mod top;

use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

use daemon::{Directory, Server, assert_fails, http, lbctl, ok, text};

const STATUS: &str = r#"{"version":"0.1.0","pid":4711,"uptime_seconds":5,"generation":7,"config_path":"/etc/lbd.toml",
"config_age_seconds":5,"degraded":DEGRADED,"warnings":[],"interfaces":[{"name":"eth1","mode":"driver"}],
"adoption":"fresh","bpf_dir":"/sys/fs/bpf/understudy","state":{"path":"/var/lib/state.json","saved":true},
"services":0,"reals":0,"flows":0,"flow_limit":10,"a_field_of_the_future":1}"#;

const CHANGED: &str = r#"{"generation":8,"changed":true,"warnings":[],"real":{"name":"web-1","id":1,
"address":"192.0.2.11","weight":100,"weight_override":null,"admin":"drained","services":["web"],"slots":0,
"next_hop":null,"counters":{"packets":0,"bytes":0,"syn":0,"fin":0,"rst":0}}}"#;

const PATHS: &str = r#"{"paths":[{"id":0,"name":"udp eth1","kind":"udp","state":"STATE","silent":false,"interval_ms":10.0,
"rtt":null,"loss":0.0,"missed_in_a_row":0,"heard_ms":null,"counters":{"sent":0,"unsent":0,"received":0,"asked":0,"acked":0,
"missed":0,"void":0,"unanswered":0},"refused":[],"quality":QUALITY}],"overall":QUALITY}"#;

const PAIR: &str = r#"{"role":"primary","state":"STATE","state_seconds":1.0,"epoch":7,"boot":5,"fitness":100,"held":false,
"lease":{"service":"serving","remaining_ms":18.4,"expired":false,"reconfirming":false},
"peer":{"health":"alive","heard_ms":4.2,"says":null,"same_role_frames":0},
"sync":{"state":"in-sync","reason":"all is the same"},"detection":{"min_ms":29.5,"mean_ms":34.5,"max_ms":39.5},
"quality":QUALITY,"stalls":{"count":0,"longest_ms":0.0,"total_ms":0.0},"handicaps":[]}"#;

const QUALITY: &str =
    r#"{"detections":0,"detection_mean_ms":null,"detection_max_ms":null,"mistakes":0,"accuracy":1.0}"#;

const STEERED: &str = r#"{"state":"standby","epoch":8,"held":false}"#;

fn with_state(answer: &str, state: &str) -> String {
    answer.replace("STATE", state).replace("QUALITY", QUALITY)
}

fn status(degraded: bool) -> String {
    STATUS.replace("DEGRADED", &degraded.to_string())
}

fn stats(at_ns: u64, packets: u64) -> String {
    let counters = format!(r#"{{"packets":{packets},"bytes":0,"syn":0,"fin":0,"rst":0}}"#);
    format!(r#"{{"at_ns":{at_ns},"total":{counters},"services":[],"reals":[],"dropped":0}}"#)
}

#[test]
fn a_healthy_daemon_gives_0_and_a_degraded_one_4() {
    for (degraded, code, word) in [(false, 0, ": ok\n"), (true, 4, ": degraded\n")] {
        let (output, requests) = Server::new(&[ok(&status(degraded))]).run(&["status"]);
        assert_eq!(output.status.code(), Some(code));
        assert!(text(&output.stdout).contains(word), "{}", text(&output.stdout));
        assert!(!text(&output.stdout).contains('\x1b'), "no colours but on a terminal");
        assert!(requests[0].starts_with("GET /v1/status HTTP/1.1\r\n"), "{}", requests[0]);
    }
}

#[test]
fn json_is_the_daemons_own() {
    for arguments in [["--json", "status"], ["status", "-j"]] {
        let (output, _) = Server::new(&[ok(&status(true))]).run(&arguments);
        assert_eq!(output.status.code(), Some(4));
        assert_eq!(text(&output.stdout), status(true) + "\n");
    }
}

#[test]
fn a_socket_without_a_daemon_gives_3() {
    let directory = Directory::new();
    let socket = directory.socket();
    let missing = lbctl(&socket, &["status"]);
    assert_fails(&missing, 3, &[&socket.display().to_string(), "no such socket", "lbd run --config", "--socket"]);
    assert_eq!(text(&missing.stderr).lines().count(), 1);

    drop(UnixListener::bind(&socket).unwrap());
    assert_fails(&lbctl(&socket, &["reload"]), 3, &["nobody listens", "not running"]);
}

#[test]
fn a_daemon_that_goes_away_gives_3() {
    let half_an_answer = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"version\"";
    for answer in ["", "HTTP/1.1 200", half_an_answer] {
        let (output, _) = Server::new(&[answer.to_owned()]).run(&["status"]);
        assert_fails(&output, 3, &["closed the connection", "try again"]);
    }
}

#[test]
fn an_answer_that_is_not_lbds_gives_1() {
    let answers = [
        "SSH-2.0-OpenSSH_9.2\r\n".repeat(20),
        ok("<html>hello</html>"),
        ok(r#"{"version":"0.1.0"}"#),
        ok(""),
        http("500 Internal Server Error", "oops"),
        http("404 Not Found", ""),
    ];
    for answer in answers {
        let (output, _) = Server::new(std::slice::from_ref(&answer)).run(&["status"]);
        assert_fails(&output, 1, &["is not lbd's", "is it lbd that listens there"]);
    }
}

#[test]
fn a_refusal_gives_1_with_the_daemons_words() {
    let body = r#"{"error":"no real `web-9`","hint":"lbctl reals lists them"}"#;
    let (output, _) = Server::new(&[http("404 Not Found", body)]).run(&["drain", "web-9"]);
    assert_fails(&output, 1, &["lbctl: no real `web-9`\n  lbctl reals lists them\n"]);
    let body = r#"{"error":"lbd.toml:3:1: unknown key"}"#;
    let (output, _) = Server::new(&[http("400 Bad Request", body)]).run(&["--json", "reload"]);
    assert_fails(&output, 1, &["lbctl: lbd.toml:3:1: unknown key\n"]);
}

#[test]
fn wrong_usage_gives_2_and_asks_nothing() {
    let directory = Directory::new();
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["weight", "web-1"],
        &["weight", "web-1", "70000"],
        &["weight", "web-1", "heavy"],
        &["drain"],
        &["drain", "a/b"],
        &["explain"],
        &["explain", "a/b"],
        &["flows", "--limit", "0"],
        &["flows", "--limit", "100001"],
        &["flows", "--vip", "example.com"],
        &["stats", "--interval", "2"],
        &["stats", "--rate", "--interval", "0"],
    ] {
        let output = lbctl(&directory.socket(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn each_command_asks_for_what_it_needs() {
    let empty_services = r#"{"generation":1,"services":[]}"#;
    let empty_reals = r#"{"generation":1,"reals":[]}"#;
    let empty_flows = r#"{"flows":[],"truncated":false}"#;
    let empty_drops = r#"{"at_ns":0,"drops":[],"events":[]}"#;
    let reloaded = r#"{"generation":9,"changed":true,"warnings":[]}"#;
    let one = stats(0, 0);
    let explanation = r#"{"real":"web-1","lines":["weight 100"]}"#;
    let reports = r#"{"listen":[],"accepted":0,"refused":[],"senders":[],"agent_checks":[]}"#;
    let cases: [(&[&str], &str, &str, &str); 17] = [
        (&["services"], empty_services, "GET /v1/services", ""),
        (&["reals"], empty_reals, "GET /v1/reals", ""),
        (&["table"], empty_reals, "GET /v1/table", ""),
        (&["explain", "web-1"], explanation, "GET /v1/reals/web-1/explain", ""),
        (&["reports"], reports, "GET /v1/reports", ""),
        (&["flows"], empty_flows, "GET /v1/flows?limit=100", ""),
        (&["flows", "--limit", "5"], empty_flows, "GET /v1/flows?limit=5", ""),
        (&["flows", "--vip", "192.0.2.80"], empty_flows, "GET /v1/flows?vip=192.0.2.80&limit=100", ""),
        (&["flows", "--vip", "2001:db8::80"], empty_flows, "GET /v1/flows?vip=2001:db8::80&limit=100", ""),
        (&["stats"], &one, "GET /v1/stats", ""),
        (&["drops"], empty_drops, "GET /v1/drops", ""),
        (&["drain", "web-1"], CHANGED, "POST /v1/reals/web-1/admin", r#"{"state":"drained"}"#),
        (&["enable", "web-1"], CHANGED, "POST /v1/reals/web-1/admin", r#"{"state":"enabled"}"#),
        (&["disable", "web-1"], CHANGED, "POST /v1/reals/web-1/admin", r#"{"state":"disabled"}"#),
        (&["weight", "web-1", "50"], CHANGED, "POST /v1/reals/web-1/weight", r#"{"weight":50}"#),
        (&["weight", "web-1", "default"], CHANGED, "POST /v1/reals/web-1/weight", r#"{"weight":null}"#),
        (&["reload"], reloaded, "POST /v1/reload", ""),
    ];
    for (arguments, answer, wanted, wanted_body) in cases {
        for json in [false, true] {
            let arguments: Vec<&str> = arguments.iter().copied().chain(json.then_some("--json")).collect();
            let (output, requests) = Server::new(&[ok(answer)]).run(&arguments);
            assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
            let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
            assert_eq!(head.lines().next(), Some(format!("{wanted} HTTP/1.1").as_str()), "{arguments:?}");
            assert_eq!(body, wanted_body, "{arguments:?}");
            let printed = text(&output.stdout);
            assert_eq!(printed == format!("{answer}\n"), json, "{arguments:?}: {printed}");
        }
    }
}

#[test]
fn rates_take_two_samples() {
    let samples = [ok(&stats(1_000_000_000, 100)), ok(&stats(3_000_000_000, 500))];
    let arguments = ["stats", "--rate", "--interval", "0.1"];
    let start = Instant::now();
    let (output, requests) = Server::new(&samples).run(&arguments);
    assert!(start.elapsed() >= Duration::from_millis(100), "an interval apart");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(requests.len(), 2);
    assert!(text(&output.stdout).contains("(all)          200"), "{}", text(&output.stdout));

    let (output, _) = Server::new(&samples).run(&[&arguments[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["total"]["packets"], 200.0);
    assert_eq!(json["seconds"], 2.0);
}

#[test]
fn the_socket_may_come_from_the_environment() {
    let server = Server::new(&[ok(&status(false))]);
    let output = Command::new(env!("CARGO_BIN_EXE_lbctl"))
        .env("UNDERSTUDY_SOCKET", server.directory.socket())
        .arg("status")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    server.thread.join().unwrap();
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let server = Server::new(&[ok(&status(false))]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_lbctl"))
        .arg("--socket")
        .arg(server.directory.socket())
        .arg("status")
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    server.thread.join().unwrap();
}

#[test]
fn a_pair_with_something_wrong_gives_4() {
    let cases = [
        ("pair", PAIR, "active", 0),
        ("pair", PAIR, "fenced", 4),
        ("paths", PATHS, "up", 0),
        ("paths", PATHS, "unknown", 0),
        ("paths", PATHS, "down", 4),
    ];
    for (command, answer, state, code) in cases {
        for arguments in [vec![command], vec![command, "--json"]] {
            let (output, requests) = Server::new(&[ok(&with_state(answer, state))]).run(&arguments);
            assert_eq!(output.status.code(), Some(code), "{command} {state}: {}", text(&output.stderr));
            assert!(text(&output.stdout).contains(state), "{}", text(&output.stdout));
            assert!(requests[0].starts_with(&format!("GET /v1/{command} HTTP/1.1\r\n")), "{}", requests[0]);
        }
    }
}

#[test]
fn a_pair_is_steered_by_posts() {
    let cases: [(&[&str], &str, &str, &str); 6] = [
        (&["handover"], "handover", r#"{"force":false}"#, "Handed over: this node is now standby (epoch 8)\n"),
        (&["handover", "--force"], "handover", r#"{"force":true}"#, "Handed over"),
        (&["hold", "on"], "hold", r#"{"held":true}"#, "This node is standby"),
        (&["hold", "off"], "hold", r#"{"held":false}"#, "This node is standby"),
        (&["restart"], "restart", r#"{"grace_ms":5000}"#, "lbd ends"),
        (&["restart", "--grace", "700ms"], "restart", r#"{"grace_ms":700}"#, "lbd ends"),
    ];
    for (arguments, path, body, said) in cases {
        let (output, requests) = Server::new(&[ok(STEERED)]).run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stdout).starts_with(said), "{}", text(&output.stdout));
        assert!(requests[0].starts_with(&format!("POST /v1/pair/{path} HTTP/1.1\r\n")), "{}", requests[0]);
        assert!(requests[0].ends_with(&format!("\r\n\r\n{body}")), "{}", requests[0]);
    }
}

#[test]
fn a_handover_that_is_refused_says_why() {
    let refusal = http("409 Conflict", r#"{"error":"the standby is not in sync: the nodes' slots differ"}"#);
    let (output, _) = Server::new(&[refusal]).run(&["handover"]);
    assert_fails(&output, 1, &["the standby is not in sync: the nodes' slots differ"]);
}

#[test]
fn events_are_limited() {
    let (output, requests) = Server::new(&[ok(r#"{"events":[],"truncated":false}"#)]).run(&["events", "--limit", "7"]);
    assert_eq!(text(&output.stdout), "Nothing has happened yet.\n");
    assert!(requests[0].starts_with("GET /v1/events?limit=7 HTTP/1.1\r\n"), "{}", requests[0]);
    for wrong in ["0", "1001"] {
        assert_eq!(lbctl(std::path::Path::new("/nowhere"), &["events", "--limit", wrong]).status.code(), Some(2));
    }
}
