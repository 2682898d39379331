//! HTTP requests to the real's address: nginx, and servers that do not behave.

use lb_core::check::{Http, Kind, Target};

use crate::servers;
use crate::stage::{REAL_V6, SHORT, Stage, With as _, assert_failed, assert_passed, check, ip, target};
use crate::web::{LAST, WELL, Web};

pub fn get(path: &str) -> Http {
    Http {
        method: "GET".to_string(),
        path: path.to_string(),
        host: Some("web.example".to_string()),
        statuses: vec![200..=299],
        body: None,
    }
}

fn plain(http: Http) -> Target {
    target(Kind::Http(http))
}

fn at(port: u16, body: Option<&str>) -> Target {
    Target { port, ..plain(Http { body: body.map(str::to_string), ..get("/") }) }
}

#[test]
fn status_must_be_one_of_those_that_are_wanted() {
    let stage = Stage::new();
    let _web = Web::start(&stage.run, &stage.namespace, &[]);
    assert_passed(&stage.check(plain(get("/"))));
    assert_passed(&stage.check(Target { address: ip(REAL_V6), ..plain(get("/")) }));
    assert_failed(&stage.check(plain(get("/sick"))), "status 503");
    assert_failed(&stage.check(plain(get("/away"))), "status 302");
    let either = Http { statuses: vec![200..=200, 300..=399], ..get("/away") };
    assert_passed(&stage.check(plain(either)));
    let sick = Http { statuses: vec![503..=503], ..get("/sick") };
    assert_passed(&stage.check(plain(sick)));
}

#[test]
fn body_must_contain_what_is_wanted() {
    let stage = Stage::new();
    let _web = Web::start(&stage.run, &stage.namespace, &[]);
    let with = |path, body: &str| plain(Http { body: Some(body.to_string()), ..get(path) });
    assert_passed(&stage.check(with("/", WELL)));
    assert_passed(&stage.check(with("/long", LAST)));
    assert_failed(&stage.check(with("/", "web2")), "the body does not contain \"web2\"");
    assert_failed(&stage.check(plain(Http { body: Some(WELL.to_string()), ..get("/sick") })), "status 503");
}

#[test]
fn host_and_method_are_sent_and_the_address_stands_in_for_the_host() {
    let stage = Stage::new();
    let _web = Web::start(&stage.run, &stage.namespace, &[]);
    assert_failed(&stage.check(plain(Http { host: None, ..get("/") })), "status 404");
    assert_passed(&stage.check(plain(Http { method: "HEAD".to_string(), ..get("/") })));
    let agent = |body: &str| Http { body: Some(body.to_string()), method: "OPTIONS".to_string(), ..get("/agent") };
    assert_passed(&stage.check(plain(agent("OPTIONS understudy-check/"))));
}

#[test]
fn server_that_closes_or_speaks_otherwise_fails() {
    Stage::new().block_on(async {
        let port = servers::tcp(servers::hanging_up).await;
        let reason = "the connection was closed before the answer ended";
        assert_failed(&check(at(port, None)).await, reason);
        let port = servers::tcp(servers::not_http).await;
        assert_failed(&check(at(port, None)).await, "the answer is not HTTP");
        let port = servers::closed_tcp().await;
        assert_failed(&check(at(port, None)).await, "connection refused");
    });
}

#[test]
fn server_that_is_silent_or_slow_runs_into_the_time_limit() {
    Stage::new().block_on(async {
        for port in [servers::tcp(servers::silent).await, servers::tcp(servers::dribbling).await] {
            assert_failed(&check(at(port, None).within(SHORT)).await, "no answer in 1000 ms");
        }
    });
}

#[test]
fn endless_answers_are_cut_off() {
    Stage::new().block_on(async {
        let port = servers::tcp(servers::endless_head).await;
        let reason = "the head of the answer has more than 16384 bytes or too many headers";
        assert_failed(&check(at(port, None)).await, reason);
        let port = servers::tcp(|stream| servers::long_head(stream, 20_000)).await;
        assert_failed(&check(at(port, None)).await, reason);
        let port = servers::tcp(|stream| servers::long_head(stream, 12_000)).await;
        assert_passed(&check(at(port, None)).await);
        let port = servers::tcp(servers::endless_body).await;
        assert_passed(&check(at(port, None)).await);
        let reason = "the first 65536 bytes of the body do not contain \"well\"";
        assert_failed(&check(at(port, Some("well"))).await, reason);
    });
}
