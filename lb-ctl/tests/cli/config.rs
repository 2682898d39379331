//! `lbctl add`, `remove` and `config`: what is asked of the daemon.

use super::daemon::{Server, assert_fails, ok, text};

const CHANGED: &str = r#"{"generation":8,"changed":true,"persistent":true,"warnings":[]}"#;
const CONFIG: &str = r#"{"file":"/etc/lbd.toml","text":"interfaces = [\"eth0\"]\n","reals":[],
"services":[{"name":"web","vip":"198.51.100.1","port":80,"reals":["web1",{"name":"web2","weight":5}]}]}"#;

fn body(request: &str) -> serde_json::Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn a_service_is_sent_as_the_configuration_has_it() {
    let arguments =
        ["add", "service", "tls", "--vip", "198.51.100.1", "--port", "443", "--mode", "dsr", "--real", "web1"];
    let more = ["--real", "web2=20", "--check", "alive", "--all-down", "reset", "--persist"];
    let (output, requests) = Server::new(&[ok(CHANGED)]).run(&[arguments.as_slice(), &more].concat());
    assert_eq!(text(&output.stdout), "service tls is now in use, for good (generation 8)\n");
    assert!(requests[0].starts_with("POST /v1/services?persist=true HTTP/1.1\r\n"), "{}", requests[0]);
    let expected = serde_json::json!({
        "name": "tls", "vip": "198.51.100.1", "port": 443, "protocol": "tcp", "mode": "dsr", "checks": ["alive"],
        "all_down": "reset", "reals": ["web1", { "name": "web2", "weight": 20 }],
    });
    assert_eq!(body(&requests[0]), expected);
}

#[test]
fn a_service_with_affinity_may_be_of_a_group() {
    let arguments =
        ["add", "service", "tls", "--vip", "198.51.100.1", "--port", "443", "--mode", "dsr", "--real", "web1"];
    let sent = |more: &[&str]| {
        let (_, requests) = Server::new(&[ok(CHANGED)]).run(&[arguments.as_slice(), more].concat());
        body(&requests[0])["affinity"].clone()
    };
    assert_eq!(sent(&["--affinity"]), serde_json::json!({}));
    assert_eq!(sent(&["--affinity-group", "shop"]), serde_json::json!({ "group": "shop" }));
    assert_eq!(sent(&[]), serde_json::Value::Null);
}

#[test]
fn a_real_is_added_and_then_put_into_its_services() {
    let arguments = ["add", "real", "web3", "192.0.2.13", "--weight", "7", "--service", "web"];
    let (output, requests) = Server::new(&[ok(CONFIG), ok(CHANGED), ok(CHANGED)]).run(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(requests[1].starts_with("POST /v1/reals?persist=false "), "{}", requests[1]);
    assert_eq!(body(&requests[1]), serde_json::json!({ "name": "web3", "address": "192.0.2.13", "weight": 7 }));
    assert!(requests[2].starts_with("POST /v1/services?persist=false "), "{}", requests[2]);
    assert_eq!(body(&requests[2])["reals"], serde_json::json!(["web1", { "name": "web2", "weight": 5 }, "web3"]));
}

#[test]
fn ports_of_reals_are_sent_with_their_names() {
    let arguments = ["add", "service", "web", "--vip", "198.51.100.1", "--port", "80", "--mode", "nat"];
    let reals = ["--real", "web1:8080", "--real", "web2:8081=20"];
    let (_, requests) = Server::new(&[ok(CHANGED)]).run(&[arguments.as_slice(), &reals].concat());
    let expected = [
        serde_json::json!({ "name": "web1", "port": 8080 }),
        serde_json::json!({ "name": "web2", "weight": 20, "port": 8081 }),
    ];
    assert_eq!(body(&requests[0])["reals"].as_array().unwrap(), &expected);
    for (real, expected) in [
        ("web3", serde_json::json!(["web1", { "name": "web2", "weight": 5 }, { "name": "web3", "port": 8080 }])),
        ("web2", serde_json::json!(["web1", { "name": "web2", "weight": 5, "port": 8080 }])),
        ("web1", serde_json::json!([{ "name": "web1", "port": 8080 }, { "name": "web2", "weight": 5 }])),
    ] {
        let arguments = ["add", "real", real, "192.0.2.13", "--service", "web:8080"];
        let (_, requests) = Server::new(&[ok(CONFIG), ok(CHANGED), ok(CHANGED)]).run(&arguments);
        assert_eq!(body(&requests[2])["reals"], expected, "{real}");
    }
}

#[test]
fn a_service_that_is_not_there_gets_no_real() {
    let arguments = ["add", "real", "web3", "192.0.2.13", "--service", "wbe"];
    let (output, requests) = Server::new(&[ok(CONFIG)]).run(&arguments);
    assert_fails(&output, 1, &["there is no service \"wbe\"", "nothing was changed"]);
    assert_eq!(requests.len(), 1);
}

#[test]
fn things_are_removed_by_their_names() {
    for (kind, path) in [("service", "/v1/services/x"), ("real", "/v1/reals/x")] {
        let (output, requests) = Server::new(&[ok(CHANGED)]).run(&["remove", kind, "x", "--persist"]);
        assert_eq!(text(&output.stdout), format!("{kind} x is now removed, for good (generation 8)\n"));
        assert!(requests[0].starts_with(&format!("DELETE {path}?persist=true HTTP/1.1\r\n")), "{}", requests[0]);
    }
}

#[test]
fn the_configuration_in_use_is_printed_as_it_is() {
    let (output, requests) = Server::new(&[ok(CONFIG)]).run(&["config", "show"]);
    assert_eq!(text(&output.stdout), "interfaces = [\"eth0\"]\n");
    assert!(requests[0].starts_with("GET /v1/config HTTP/1.1\r\n"), "{}", requests[0]);
}
