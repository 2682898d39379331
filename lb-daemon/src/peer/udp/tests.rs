//! Real sockets in two namespaces with a cable between them.

use std::net::UdpSocket;
use std::os::fd::AsFd;

use lb_lab::{Namespace, Run, connect};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::*;

/// How long is waited for what must come, in milliseconds.
const LIMIT_MS: u16 = 10_000;

/// Two hosts with a cable between their `eth1`.
struct Stage {
    a: Namespace,
    b: Namespace,
    _run: Run,
}

impl Stage {
    fn build() -> Self {
        let run = Run::start().unwrap();
        let (a, b) = (Namespace::new(&run, "a").unwrap(), Namespace::new(&run, "b").unwrap());
        connect(&a, "eth1", &b, "eth1").unwrap();
        for (host, number) in [(&a, 1), (&b, 2)] {
            host.add_address("eth1", format!("192.0.2.{number}").parse().unwrap(), 24).unwrap();
            host.add_address("eth1", format!("2001:db8::{number}").parse().unwrap(), 64).unwrap();
            host.up("eth1").unwrap();
        }
        Self { a, b, _run: run }
    }

    fn open(&self, host: &Namespace, way: &UdpWay) -> Result<UdpPath, String> {
        host.run(|| Ok(open(way))).unwrap().map(|(path, _)| path)
    }
}

fn way(local: &str, peer: &str) -> UdpWay {
    UdpWay { interface: "eth1".to_owned(), local: local.parse().unwrap(), peer: peer.parse().unwrap() }
}

fn a_way() -> UdpWay {
    way("192.0.2.1:6721", "192.0.2.2:6721")
}

fn b_way() -> UdpWay {
    way("192.0.2.2:6721", "192.0.2.1:6721")
}

/// What comes in next.
fn hear(path: &mut UdpPath, buffer: &mut [u8]) -> Heard {
    loop {
        let heard = path.receive(buffer).unwrap();
        if heard != Heard::Nothing && heard != Heard::Again {
            return heard;
        }
        wait(path.fd());
    }
}

fn wait(fd: impl AsFd) {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    assert!(poll(&mut fds, PollTimeout::from(LIMIT_MS)).unwrap() > 0, "nothing came");
}

#[test]
fn frames_go_both_ways_in_both_families() {
    let stage = Stage::build();
    for [local, peer] in [["192.0.2.1:6721", "192.0.2.2:6721"], ["[2001:db8::1]:6721", "[2001:db8::2]:6721"]] {
        let mut a = stage.open(&stage.a, &way(local, peer)).unwrap();
        let mut b = stage.open(&stage.b, &way(peer, local)).unwrap();
        let mut buffer = [0; 64];
        assert_eq!(a.receive(&mut buffer).unwrap(), Heard::Nothing);
        for text in [b"ask".as_slice(), b"another"] {
            assert_eq!(a.send(text).unwrap(), Sent::Whole);
            assert_eq!(hear(&mut b, &mut buffer), Heard::Frame(text.len()));
            assert_eq!(&buffer[..text.len()], text);
        }
        assert_eq!(b.send(b"ack").unwrap(), Sent::Whole);
        assert_eq!(hear(&mut a, &mut buffer), Heard::Frame(3));
    }
}

#[test]
fn what_was_forwarded_or_is_too_long_is_told_from_frames() {
    let stage = Stage::build();
    let mut a = stage.open(&stage.a, &a_way()).unwrap();
    let mut buffer = [0; 64];
    let near = stage.b.run(|| Ok(UdpSocket::bind("192.0.2.2:6721")?)).unwrap();
    for hops in [254, 64, 1] {
        near.set_ttl(hops).unwrap();
        near.send_to(b"from afar", "192.0.2.1:6721").unwrap();
        assert_eq!(hear(&mut a, &mut buffer), Heard::Forwarded, "{hops} hops");
    }
    near.set_ttl(255).unwrap();
    near.send_to(&[0; 65], "192.0.2.1:6721").unwrap();
    assert_eq!(hear(&mut a, &mut buffer), Heard::Garbage);
    near.send_to(&[0; 64], "192.0.2.1:6721").unwrap();
    assert_eq!(hear(&mut a, &mut buffer), Heard::Frame(64));
}

#[test]
fn what_others_send_does_not_come_in() {
    let stage = Stage::build();
    let mut a = stage.open(&stage.a, &a_way()).unwrap();
    stage.b.add_address("eth1", "192.0.2.3".parse().unwrap(), 24).unwrap();
    for stranger in ["192.0.2.3:6721", "192.0.2.2:9"] {
        let socket = stage.b.run(|| Ok(UdpSocket::bind(stranger)?)).unwrap();
        socket.set_ttl(255).unwrap();
        socket.send_to(b"other", "192.0.2.1:6721").unwrap();
    }
    let mut b = stage.open(&stage.b, &b_way()).unwrap();
    b.send(b"peer").unwrap();
    let mut buffer = [0; 64];
    assert_eq!(hear(&mut a, &mut buffer), Heard::Frame(4), "theirs came before, on the same cable");
    assert_eq!(&buffer[..4], b"peer");
}

#[test]
fn a_peer_or_a_network_that_is_not_there_loses_frames_and_not_the_path() {
    let stage = Stage::build();
    let mut a = stage.open(&stage.a, &a_way()).unwrap();
    let mut buffer = [0; 64];
    a.send(b"to nobody").unwrap();
    // The other host says that nobody listens.
    wait(a.fd());
    assert_eq!(a.receive(&mut buffer).unwrap(), Heard::Again);
    stage.a.ip("link set dev eth1 down").unwrap();
    assert_eq!(a.send(b"to nowhere").unwrap(), Sent::Lost);
    assert_eq!(a.receive(&mut buffer).unwrap(), Heard::Nothing);
    stage.a.up("eth1").unwrap();
    let mut b = stage.open(&stage.b, &b_way()).unwrap();
    a.send(b"again").unwrap();
    assert_eq!(hear(&mut b, &mut buffer), Heard::Frame(5));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let stage = Stage::build();
    let refusal = |way: &UdpWay| stage.open(&stage.a, way).err().unwrap();
    let missing = UdpWay { interface: "eth7".to_owned(), ..a_way() };
    let no_eth7 = "there is no interface eth7, or it has another name now (`ip link` shows what there is)";
    assert_eq!(refusal(&missing), no_eth7);
    let own = way("192.0.2.1:6721", "192.0.2.1:6721");
    assert_eq!(refusal(&own), "the peer's address 192.0.2.1 is this host's own: `peer` names the other node");
    assert_eq!(refusal(&way("192.0.2.9:6721", "192.0.2.2:6721")), "eth1 has no address 192.0.2.9: add it");
    let _first = stage.open(&stage.a, &a_way()).unwrap();
    assert_eq!(refusal(&a_way()), "port 6721 of 192.0.2.1 is taken: `ss -lunp` shows by whom");
}

#[test]
fn an_interface_that_goes_or_is_renamed_is_noticed() {
    let stage = Stage::build();
    let way = a_way();
    let (mut path, watch) = stage.a.run(|| Ok(open(&way))).unwrap().unwrap();
    let stale = || stage.a.run(|| Ok(watch.stale())).unwrap();
    assert_eq!(stale(), None);
    stage.a.ip("link set dev eth1 down").unwrap();
    stage.a.ip("link set dev eth1 name other").unwrap();
    let no_eth1 = "there is no interface eth1, or it has another name now (`ip link` shows what there is)";
    assert_eq!(stale().as_deref(), Some(no_eth1));
    stage.a.ip("link add name eth1 type bridge").unwrap();
    assert_eq!(stale().as_deref(), Some("eth1 is another interface now"));
    stage.a.ip("link del dev other").unwrap();
    assert_eq!(path.send(b"x").unwrap(), Sent::Lost);
    assert_eq!(path.receive(&mut [0; 64]).unwrap(), Heard::Nothing);
}
