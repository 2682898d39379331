//! `lbctl simulate` and `lbctl trace`.

use super::daemon::{Directory, Server, assert_fails, http, lbctl, ok, text};

const SIMULATION: &str = r#"{"client":"203.0.113.7","client_port":40000,"vip":"192.0.2.80","vip_port":80,"protocol":"tcp","syn":true,
"fate":"FATE","reason":REASON,"service":"web","mode":"dsr","slot":31643,"found_by":"slot","real":"web-1","address":"198.51.100.11",
"next_hop":null,"lines":["192.0.2.80:80 is service web (mode dsr)","so it goes to web-1"]}"#;

const PACKET: &str = r#"{"packet":{"unix_ns":1763848988123456789,"verdict":"redirect","client":"203.0.113.7","client_port":40000,
"vip":"192.0.2.80","vip_port":80,"protocol":6,"flags":"S","length":60,"service":"web","slot":31643,"real":"web-1","ingress":"eth0",
"egress":"eth1","frame":"02ff00"}}"#;

fn simulation(fate: &str, reason: &str) -> String {
    ok(&SIMULATION.replace("FATE", fate).replace("REASON", reason))
}

fn lines(lines: &[&str]) -> String {
    ok(&lines.iter().map(|line| line.replace('\n', "") + "\n").collect::<String>())
}

#[test]
fn a_simulation_says_where_and_why() {
    let arguments = ["simulate", "--from", "203.0.113.7", "--to", "192.0.2.80:80", "--syn"];
    let (output, requests) = Server::new(&[simulation("forward", "null")]).run(&arguments);
    let wanted = "GET /v1/simulate?from=203.0.113.7:40000&to=192.0.2.80:80&protocol=tcp&syn=true HTTP/1.1\r\n";
    assert!(requests[0].starts_with(wanted), "{}", requests[0]);
    let wanted = "TCP 203.0.113.7:40000 -> 192.0.2.80:80 SYN: web-1\n  192.0.2.80:80 is service web (mode dsr)\n  so it goes to web-1\n";
    assert_eq!(text(&output.stdout), wanted);

    let (output, _) = Server::new(&[simulation("drop", r#""no_next_hop""#)]).run(&arguments);
    assert!(text(&output.stdout).contains("SYN: drop no_next_hop\n"), "{}", text(&output.stdout));
    let arguments = ["simulate", "--from", "[2001:db8::7]:5", "--to", "[2001:db8::80]:53", "--protocol", "udp"];
    let (_, requests) = Server::new(&[simulation("forward", "null")]).run(&arguments);
    let wanted = "GET /v1/simulate?from=[2001:db8::7]:5&to=[2001:db8::80]:53&protocol=udp&syn=false ";
    assert!(requests[0].starts_with(wanted), "{}", requests[0]);
}

#[test]
fn a_trace_has_a_line_for_each_packet_and_a_file() {
    let directory = Directory::new();
    let file = directory.0.join("trace.pcap");
    let path = file.to_str().unwrap();
    let answer = lines(&[PACKET, r#"{"lost":3}"#, PACKET]);
    let arguments = ["trace", "192.0.2.80:80", "--client", "203.0.113.0/24", "--count", "2", "--pcap", path];
    let (output, requests) = Server::new(std::slice::from_ref(&answer)).run(&arguments);
    let wanted = "GET /v1/trace?vip=192.0.2.80&seconds=60&port=80&client=203.0.113.0/24&count=2&frames=true ";
    assert!(requests[0].starts_with(wanted), "{}", requests[0]);
    let printed: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(printed.len(), 4, "{printed:?}");
    assert!(
        printed[1].contains("TCP 203.0.113.7:40000 > 192.0.2.80:80 [S] 60 B, slot 31643, real web-1, eth0 -> eth1")
    );
    assert!(printed[2].starts_with("3 packets were not shown"), "{printed:?}");
    assert_eq!(std::fs::read(&file).unwrap().len(), 24 + 2 * (16 + 3));

    let (output, requests) = Server::new(&[answer]).run(&["trace", "2001:db8::80", "--seconds", "5", "--json"]);
    assert!(requests[0].starts_with("GET /v1/trace?vip=2001:db8::80&seconds=5 "), "{}", requests[0]);
    assert_eq!(text(&output.stdout).lines().nth(1), Some(r#"{"lost":3}"#));
}

#[test]
fn a_trace_that_is_refused_or_makes_no_sense_says_so() {
    let refusal = http("409 Conflict", r#"{"error":"another trace is running","hint":"wait"}"#);
    let (output, _) = Server::new(&[refusal]).run(&["trace", "192.0.2.80"]);
    assert_fails(&output, 1, &["another trace is running"]);
    let (output, _) = Server::new(&[lines(&["hello"])]).run(&["trace", "192.0.2.80"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is not lbd's"), "{}", text(&output.stderr));
    let directory = Directory::new();
    let file = directory.0.join("no/such/file");
    let output = lbctl(&directory.socket(), &["trace", "192.0.2.80", "--pcap", file.to_str().unwrap()]);
    assert_fails(&output, 1, &["cannot write", "no/such/file"]);
}

#[test]
fn wrong_usage_asks_nothing() {
    let directory = Directory::new();
    for arguments in [
        &["simulate", "--from", "203.0.113.7"][..],
        &["simulate", "--from", "203.0.113.7", "--to", "192.0.2.80"],
        &["simulate", "--from", "203.0.113.7", "--to", "192.0.2.80:80", "--protocol", "icmp"],
        &["trace"],
        &["trace", "web"],
        &["trace", "192.0.2.80", "--client", "203.0.113.0/33"],
        &["trace", "192.0.2.80", "--count", "0"],
        &["trace", "192.0.2.80", "--seconds", "3601"],
    ] {
        assert_eq!(lbctl(&directory.socket(), arguments).status.code(), Some(2), "{arguments:?}");
    }
}
