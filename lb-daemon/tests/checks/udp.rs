//! Datagrams to the real's address.

use lb_core::check::{Kind, Target};

use crate::servers;
use crate::stage::{SHORT, Stage, With as _, assert_failed, assert_passed, check, target};

fn ping(expect: Option<&[u8]>, port: u16) -> Target {
    let kind = Kind::Udp { send: b"PING".to_vec(), expect: expect.map(<[u8]>::to_vec) };
    Target { port, ..target(kind) }
}

fn echo(datagram: &[u8]) -> Vec<u8> {
    [b"you said ", datagram].concat()
}

#[test]
fn answer_passes_where_it_contains_what_is_expected() {
    Stage::new().block_on(async {
        let port = servers::udp(Some(echo)).await;
        assert_passed(&check(ping(None, port)).await);
        assert_passed(&check(ping(Some(b"said PING"), port)).await);
        let unexpected = check(ping(Some(b"PONG"), port)).await;
        assert_failed(&unexpected, "the answer (13 bytes) is not the expected one");
    });
}

#[test]
fn empty_datagrams_are_sent_and_taken() {
    Stage::new().block_on(async {
        let port = servers::udp(Some(|datagram| datagram.to_vec())).await;
        let kind = Kind::Udp { send: Vec::new(), expect: None };
        assert_passed(&check(Target { port, ..target(kind) }).await);
    });
}

#[test]
fn closed_port_and_silence_fail() {
    Stage::new().block_on(async {
        let port = servers::closed_udp().await;
        assert_failed(&check(ping(None, port)).await, "port unreachable");
        let port = servers::udp(None).await;
        assert_failed(&check(ping(None, port).within(SHORT)).await, "no answer in 1000 ms");
    });
}
