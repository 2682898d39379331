//! HTTP over TLS to the real's address: which certificates are good.

use std::fs;
use std::path::{Path, PathBuf};

use lb_core::check::{Http, Kind, Target, Tls};

use crate::http::get;
use crate::servers;
use crate::stage::{SHORT, Stage, With as _, assert_failed, assert_passed, check, target};
use crate::web::{EXPIRED, GOOD, HTTP, OTHER, SELF_SIGNED, Web};

fn checked(ca_file: &Path) -> Tls {
    Tls { verify: true, server_name: None, ca_file: Some(ca_file.to_path_buf()) }
}

fn unchecked() -> Tls {
    Tls { verify: false, server_name: None, ca_file: None }
}

fn at(port: u16, tls: Tls) -> Target {
    Target { port, ..target(Kind::Https(get("/"), tls)) }
}

#[test]
fn certificate_must_be_good_where_it_is_checked() {
    let stage = Stage::new();
    let web = Web::start(&stage.run, &stage.namespace, &[]);
    let tls = || checked(&web.authority);
    assert_passed(&stage.check(at(GOOD, tls())));
    assert_failed(&stage.check(at(OTHER, tls())), "the certificate is not for web.example");
    assert_failed(&stage.check(at(EXPIRED, tls())), "the certificate has expired");
    assert_failed(&stage.check(at(SELF_SIGNED, tls())), "the certificate is by an unknown authority");
}

#[test]
fn any_certificate_will_do_where_none_is_checked() {
    let stage = Stage::new();
    let _web = Web::start(&stage.run, &stage.namespace, &[]);
    for port in [GOOD, OTHER, EXPIRED, SELF_SIGNED] {
        assert_passed(&stage.check(at(port, unchecked())));
    }
}

#[test]
fn name_is_the_configured_one_or_the_host_or_the_address() {
    let stage = Stage::new();
    let web = Web::start(&stage.run, &stage.namespace, &[]);
    let says = |body: &str, host: Option<&str>, name: Option<&str>, port| {
        let http = Http { host: host.map(str::to_string), body: Some(body.to_string()), ..get("/") };
        let tls = Tls { server_name: name.map(str::to_string), ..checked(&web.authority) };
        stage.check(Target { port, ..target(Kind::Https(http, tls)) })
    };
    assert_passed(&says("sni=web.example host=web.example\n", Some("web.example"), None, GOOD));
    assert_passed(&says("sni=web.example host=web.example:8443\n", Some("web.example:8443"), None, GOOD));
    assert_passed(&says("sni=other.example host=web.example\n", Some("web.example"), Some("other.example"), OTHER));
    // The certificate has the address; a name would not be sent for one.
    assert_passed(&says("sni= host=192.0.2.21\n", None, None, GOOD));
    assert_failed(&says("", None, None, OTHER), "the certificate is not for 192.0.2.21");
}

#[test]
fn authorities_that_cannot_be_read_are_told() {
    let stage = Stage::new();
    let _web = Web::start(&stage.run, &stage.namespace, &[]);
    let missing = PathBuf::from("/nowhere/authority.pem");
    let reason = "cannot read /nowhere/authority.pem: no such file or directory";
    assert_failed(&stage.check(at(GOOD, checked(&missing))), reason);
    let empty = stage.run.dir().join("empty.pem");
    fs::write(&empty, "").unwrap();
    assert_failed(&stage.check(at(GOOD, checked(&empty))), &format!("no certificate in {}", empty.display()));
}

#[test]
fn server_without_tls_fails() {
    let stage = Stage::new();
    let _web = Web::start(&stage.run, &stage.namespace, &[]);
    assert_failed(&stage.check(at(HTTP, unchecked())), "TLS: received corrupt message of type InvalidContentType");
    stage.block_on(async {
        let port = servers::tcp(servers::silent).await;
        assert_failed(&check(at(port, unchecked()).within(SHORT)).await, "no TLS handshake in 1000 ms");
    });
}
