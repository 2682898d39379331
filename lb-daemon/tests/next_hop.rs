//! Next hops against the kernel's own neighbours, routes and links, in network namespaces of the test's own.
//! Needs root.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lb_daemon::next_hop::{NextHop, NextHops, Timing, Update, Watch};
use tokio::sync::mpsc::Receiver;

/// A test that waits longer than this has failed; none waits by design.
const PATIENCE: Duration = Duration::from_secs(30);

const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];
const OTHER_GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xfd];
const REAL_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x11];
const LB_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A network namespace, removed when dropped.
struct Namespace(String);

impl Namespace {
    fn new(tag: &str) -> Self {
        static SWEEP: Once = Once::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        SWEEP.call_once(remove_leftovers);
        let name = format!("us-nh-{}-{}{tag}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        run("ip", &["netns", "add", &name]);
        let namespace = Self(name);
        namespace.ip("link set lo up");
        namespace
    }

    /// Runs `ip ARGUMENTS` inside.
    fn ip(&self, arguments: &str) {
        let mut all = vec!["-n", &self.0];
        all.extend(arguments.split_whitespace());
        run("ip", &all);
    }

    /// Writes a file under /proc/sys/net as seen from inside.
    fn set(&self, key: &str, value: &str) {
        let file = format!("/proc/sys/net/{key}");
        self.inside(|| std::fs::write(&file, value).unwrap_or_else(|error| panic!("{file}: {error}")));
    }

    /// Runs a closure on a thread that is inside.
    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let file = File::open(Path::new("/run/netns").join(&self.0)).unwrap();
                // SAFETY: the descriptor is open, and setns changes this thread alone.
                let outcome = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
                assert_eq!(outcome, 0, "setns: {}", std::io::Error::last_os_error());
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a future in a runtime whose sockets are all inside.
    fn run<F: Future<Output = ()>>(&self, work: impl FnOnce() -> F + Send) {
        self.inside(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { tokio::time::timeout(PATIENCE, work()).await.expect("the test got stuck") });
        });
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Removes namespaces of test processes that are gone.
fn remove_leftovers() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix("us-nh-").and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = Command::new("ip").args(["netns", "del", &name]).status();
        }
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {error} (these tests need root)", arguments.join(" "));
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

/// The load balancer and one other host on one link: `lb0` (192.0.2.1, 2001:db8::1) and `far0`.
struct Pair {
    lb: Namespace,
    far: Namespace,
}

impl Pair {
    fn new(far_mac: [u8; 6]) -> Self {
        let pair = Self { lb: Namespace::new("lb"), far: Namespace::new("far") };
        pair.connect("lb0", &pair.far, "far0", far_mac);
        pair.lb.ip("addr add 192.0.2.1/24 dev lb0");
        pair.lb.ip("addr add 2001:db8::1/64 dev lb0 nodad");
        pair
    }

    /// Another link from the load balancer to a host.
    fn connect(&self, near: &str, host: &Namespace, far: &str, far_mac: [u8; 6]) {
        let near_mac = mac(LB_MAC);
        let far_mac = mac(far_mac);
        let far_namespace = &host.0;
        self.lb.ip(&format!(
            "link add {near} address {near_mac} type veth peer name {far} address {far_mac} netns {far_namespace}"
        ));
        self.lb.ip(&format!("link set {near} up"));
        host.ip(&format!("link set {far} up"));
    }

    /// Gives the far host the addresses of a real: 192.0.2.11 and 2001:db8::11.
    fn with_real(self) -> Self {
        self.far.ip("addr add 192.0.2.11/24 dev far0");
        self.far.ip("addr add 2001:db8::11/64 dev far0 nodad");
        self
    }

    /// Gives the far host the addresses of a gateway: 192.0.2.254 and 2001:db8::fe.
    fn with_gateway(self) -> Self {
        self.far.ip("addr add 192.0.2.254/24 dev far0");
        self.far.ip("addr add 2001:db8::fe/64 dev far0 nodad");
        self
    }
}

/// Short pauses, and no regular look that could hide a missed change.
fn quick() -> Timing {
    Timing {
        first_retry: Duration::from_millis(100),
        longest_retry: Duration::from_millis(500),
        confirm: Duration::from_millis(200),
        refresh: Duration::from_secs(3600),
        ..Timing::default()
    }
}

fn tunnel(real: &str, address: &str) -> Watch {
    let address = address.parse().unwrap();
    Watch { real: real.to_owned(), address, needs_tunnel: true, needs_same_link: false, known: None }
}

fn dsr(real: &str, address: &str) -> Watch {
    Watch { needs_tunnel: false, needs_same_link: true, ..tunnel(real, address) }
}

/// What has been found, in order. What came of other reals than the one that was waited for stays until it is asked for.
struct Updates {
    arriving: Receiver<Update>,
    passed_over: VecDeque<Update>,
}

fn start(watches: Vec<Watch>) -> (NextHops, Updates) {
    let (task, arriving) = NextHops::start(watches, quick()).unwrap();
    (task, Updates { arriving, passed_over: VecDeque::new() })
}

impl Updates {
    async fn recv(&mut self) -> Option<Update> {
        match self.passed_over.pop_front() {
            None => self.arriving.recv().await,
            update => update,
        }
    }
}

/// Reads updates until one of the real is as wanted.
async fn until(updates: &mut Updates, real: &str, wanted: impl Fn(&Update) -> bool) -> Update {
    let (mut seen, mut of_others) = (Vec::new(), VecDeque::new());
    let search = async {
        while let Some(update) = updates.recv().await {
            if update.real != real {
                of_others.push_back(update);
            } else if wanted(&update) {
                return Some(update);
            } else {
                seen.push(update);
            }
        }
        None
    };
    let found = tokio::time::timeout(PATIENCE / 2, search).await;
    of_others.append(&mut updates.passed_over);
    updates.passed_over = of_others;
    match found {
        Ok(Some(update)) => update,
        _ => panic!("no such update of {real} came, but: {seen:#?}; of others: {:#?}", updates.passed_over),
    }
}

/// The next hop of the first update that has one and nothing to complain of.
async fn resolved(updates: &mut Updates, real: &str) -> NextHop {
    let update = until(updates, real, |update| update.next_hop.is_some() && update.note.is_empty()).await;
    update.next_hop.unwrap()
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

#[test]
fn reals_on_the_link_are_found() {
    let pair = Pair::new(REAL_MAC).with_real();
    pair.lb.run(|| async {
        let watches = vec![tunnel("v4", "192.0.2.11"), tunnel("v6", "2001:db8::11")];
        let (_task, mut updates) = start(watches);
        for (real, source) in [("v4", "192.0.2.1"), ("v6", "2001:db8::1")] {
            let found = resolved(&mut updates, real).await;
            assert_eq!(found.next_hop_mac, REAL_MAC, "{real}");
            assert_eq!(found.source_mac, LB_MAC, "{real}");
            assert_eq!(found.tunnel_source, ip(source), "{real}");
            assert_eq!(found.mtu, 1500, "{real}");
            assert_ne!(found.ifindex, 0, "{real}");
        }
    });
}

#[test]
fn reals_behind_a_gateway_are_found_with_the_mtu_of_their_route() {
    let pair = Pair::new(GATEWAY_MAC).with_gateway();
    pair.lb.ip("route add 198.51.100.0/24 via 192.0.2.254 mtu 1400");
    pair.lb.ip("-6 route add 2001:db8:b::/48 via 2001:db8::fe mtu 1320");
    pair.lb.run(|| async {
        let watches = vec![tunnel("v4", "198.51.100.11"), tunnel("v6", "2001:db8:b::11")];
        let (_task, mut updates) = start(watches);
        for (real, mtu, source) in [("v4", 1400, "192.0.2.1"), ("v6", 1320, "2001:db8::1")] {
            let found = resolved(&mut updates, real).await;
            assert_eq!(found.next_hop_mac, GATEWAY_MAC, "{real}");
            assert_eq!(found.mtu, mtu, "{real}");
            assert_eq!(found.tunnel_source, ip(source), "{real}");
        }
    });
    pair.lb.run(|| async {
        let (_task, mut updates) = start(vec![dsr("dsr", "198.51.100.12")]);
        let update = until(&mut updates, "dsr", |update| update.next_hop.is_some()).await;
        assert!(update.note.contains("behind the gateway 192.0.2.254"), "{}", update.note);
    });
}

#[test]
fn a_neighbour_that_changes_its_mac_is_followed() {
    let pair = Pair::new(REAL_MAC).with_real();
    for (family, key) in [("ipv4", "arp_notify"), ("ipv6", "ndisc_notify")] {
        pair.far.set(&format!("{family}/conf/far0/{key}"), "1");
    }
    pair.lb.set("ipv4/neigh/lb0/locktime", "0");
    pair.lb.run(|| async {
        let watches = vec![tunnel("v4", "192.0.2.11"), tunnel("v6", "2001:db8::11")];
        let (_task, mut updates) = start(watches);
        assert_eq!(resolved(&mut updates, "v4").await.next_hop_mac, REAL_MAC);
        assert_eq!(resolved(&mut updates, "v6").await.next_hop_mac, REAL_MAC);
        pair.far.ip("link set far0 address 02:00:00:00:00:12");
        let changed = |update: &Update| update.next_hop.is_some_and(|found| found.next_hop_mac[5] == 0x12);
        until(&mut updates, "v4", changed).await;
        until(&mut updates, "v6", changed).await;
    });
}

#[test]
fn a_link_that_flaps_keeps_the_next_hop_and_says_so() {
    let pair = Pair::new(REAL_MAC).with_real();
    pair.lb.run(|| async {
        let (_task, mut updates) = start(vec![tunnel("web", "192.0.2.11")]);
        let found = resolved(&mut updates, "web").await;

        pair.far.ip("link set far0 down");
        let update = until(&mut updates, "web", |update| update.note.contains("lb0 has no carrier")).await;
        assert_eq!(update.next_hop, Some(found));
        assert!(update.note.ends_with("the last known next hop stays in use"), "{}", update.note);
        pair.far.ip("link set far0 up");
        assert_eq!(resolved(&mut updates, "web").await, found);

        pair.lb.ip("link set lb0 down");
        let update = until(&mut updates, "web", |update| update.note.contains("no route to 192.0.2.11")).await;
        assert_eq!(update.next_hop, Some(found));
        pair.lb.ip("link set lb0 up");
        assert_eq!(resolved(&mut updates, "web").await, found);
    });
}

#[test]
fn a_link_that_changes_its_mtu_or_mac_is_followed() {
    let pair = Pair::new(REAL_MAC).with_real();
    pair.lb.run(|| async {
        let (_task, mut updates) = start(vec![tunnel("web", "192.0.2.11")]);
        let found = resolved(&mut updates, "web").await;
        pair.lb.ip("link set lb0 mtu 1400");
        until(&mut updates, "web", |update| update.next_hop == Some(NextHop { mtu: 1400, ..found })).await;
        pair.lb.ip("link set lb0 address 02:00:00:00:00:02");
        let renamed = |update: &Update| update.next_hop.is_some_and(|hop| hop.source_mac == [2, 0, 0, 0, 0, 2]);
        until(&mut updates, "web", renamed).await;
    });
}

#[test]
fn a_changed_route_is_followed_to_another_gateway() {
    let pair = Pair::new(GATEWAY_MAC).with_gateway();
    let other = Namespace::new("other");
    pair.connect("lb1", &other, "other0", OTHER_GATEWAY_MAC);
    pair.lb.ip("addr add 203.0.113.1/24 dev lb1");
    other.ip("addr add 203.0.113.254/24 dev other0");
    pair.lb.ip("route add 198.51.100.0/24 via 192.0.2.254");
    pair.lb.run(|| async {
        let (_task, mut updates) = start(vec![tunnel("web", "198.51.100.11")]);
        let first = resolved(&mut updates, "web").await;
        assert_eq!(first.next_hop_mac, GATEWAY_MAC);

        pair.lb.ip("route replace 198.51.100.0/24 via 203.0.113.254");
        let via_other = |update: &Update| update.next_hop.is_some_and(|hop| hop.next_hop_mac == OTHER_GATEWAY_MAC);
        let second = until(&mut updates, "web", via_other).await.next_hop.unwrap();
        assert_ne!(second.ifindex, first.ifindex);
        assert_eq!(second.tunnel_source, ip("203.0.113.1"));

        pair.lb.ip("route add 198.51.100.11/32 via 192.0.2.254");
        until(&mut updates, "web", |update| update.next_hop == Some(first)).await;

        pair.lb.ip("route del 198.51.100.11/32");
        pair.lb.ip("route del 198.51.100.0/24");
        let update = until(&mut updates, "web", |update| update.note.contains("no route to 198.51.100.11")).await;
        assert!(update.next_hop.is_some(), "the last next hop stays in use");
        assert!(update.note.contains("ip route add 198.51.100.11/32"), "{}", update.note);
    });
}

#[test]
fn a_real_that_is_absent_is_found_when_it_appears() {
    let pair = Pair::new(REAL_MAC);
    pair.lb.set("ipv4/neigh/lb0/retrans_time_ms", "100");
    pair.lb.set("ipv6/neigh/lb0/retrans_time_ms", "100");
    pair.lb.run(|| async {
        let watches = vec![tunnel("v4", "192.0.2.11"), tunnel("v6", "2001:db8::11")];
        let (_task, mut updates) = start(watches);
        let silent = |update: &Update| update.next_hop.is_none() && update.note.starts_with("no ");
        let note = until(&mut updates, "v4", silent).await.note;
        assert!(note.starts_with("no ARP answer from 192.0.2.11 on lb0"), "{note}");
        let note = until(&mut updates, "v6", silent).await.note;
        assert!(note.starts_with("no ND answer from 2001:db8::11 on lb0"), "{note}");

        pair.far.ip("addr add 192.0.2.11/24 dev far0");
        pair.far.ip("addr add 2001:db8::11/64 dev far0 nodad");
        assert_eq!(resolved(&mut updates, "v4").await.next_hop_mac, REAL_MAC);
        assert_eq!(resolved(&mut updates, "v6").await.next_hop_mac, REAL_MAC);
    });
}

#[test]
fn a_neighbour_that_falls_silent_keeps_its_mac() {
    let pair = Pair::new(REAL_MAC).with_real();
    pair.lb.set("ipv4/neigh/lb0/retrans_time_ms", "100");
    pair.lb.run(|| async {
        let (_task, mut updates) = start(vec![tunnel("web", "192.0.2.11")]);
        let found = resolved(&mut updates, "web").await;
        pair.far.ip("addr del 192.0.2.11/24 dev far0");
        pair.lb.ip("neigh del 192.0.2.11 dev lb0");
        let update = until(&mut updates, "web", |update| update.note.contains("no ARP answer")).await;
        assert_eq!(update.next_hop, Some(found));
    });
}

#[test]
fn a_stale_neighbour_is_confirmed_by_the_kernel() {
    let pair = Pair::new(REAL_MAC).with_real();
    pair.lb.set("ipv4/neigh/lb0/delay_first_probe_time", "0");
    pair.lb.run(|| async {
        let (_task, mut updates) = start(vec![tunnel("web", "192.0.2.11")]);
        let found = resolved(&mut updates, "web").await;
        // The entry goes stale with a wrong MAC: only a probe, whose answer has the right one, can mend it.
        pair.lb.ip("neigh replace 192.0.2.11 lladdr 02:00:00:00:00:99 nud stale dev lb0");
        until(&mut updates, "web", |update| update.next_hop.is_some_and(|hop| hop.next_hop_mac[5] == 0x99)).await;
        until(&mut updates, "web", |update| update.next_hop == Some(found)).await;
    });
}

#[test]
fn a_permanent_neighbour_is_used_and_left_alone() {
    let pair = Pair::new(REAL_MAC);
    pair.lb.ip("neigh add 192.0.2.11 lladdr 02:00:00:00:00:77 nud permanent dev lb0");
    pair.lb.run(|| async {
        let (_task, mut updates) = start(vec![tunnel("web", "192.0.2.11")]);
        assert_eq!(resolved(&mut updates, "web").await.next_hop_mac, [2, 0, 0, 0, 0, 0x77]);
    });
    let output = Command::new("ip").args(["-n", &pair.lb.0, "neigh", "show", "192.0.2.11"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("PERMANENT"));
}

#[test]
fn addresses_that_cannot_be_reals_are_named() {
    let pair = Pair::new(REAL_MAC);
    pair.lb.ip("route add blackhole 198.51.100.0/24");
    let cases = [
        ("own-v4", "192.0.2.1", "is an address of this host"),
        ("own-v6", "2001:db8::1", "is an address of this host"),
        ("broadcast", "192.0.2.255", "is a broadcast or multicast address"),
        ("blackhole", "198.51.100.1", "the route to 198.51.100.1 refuses packets"),
        ("none-v4", "203.0.113.1", "no route to 203.0.113.1: ip route add 203.0.113.1/32"),
        ("none-v6", "2001:db8:ff::1", "no route to 2001:db8:ff::1: ip -6 route add 2001:db8:ff::1/128"),
    ];
    pair.lb.run(|| async {
        let watches = cases.iter().map(|(real, address, _)| tunnel(real, address)).collect();
        let (_task, mut updates) = start(watches);
        for _ in &cases {
            let update = updates.recv().await.unwrap();
            let wanted = cases.iter().find(|(real, ..)| *real == update.real).unwrap().2;
            assert!(update.note.contains(wanted), "{update:?}");
            assert_eq!(update.next_hop, None, "{update:?}");
        }
    });
}

#[test]
fn a_tunnel_needs_a_source_address_and_takes_one_that_appears() {
    let pair = Pair::new(REAL_MAC).with_real();
    pair.lb.ip("addr flush dev lb0");
    pair.lb.ip("route add 192.0.2.0/24 dev lb0");
    pair.lb.run(|| async {
        let (_task, mut updates) = start(vec![tunnel("web", "192.0.2.11")]);
        until(&mut updates, "web", |update| update.note.starts_with("no IPv4 address to send tunnel packets from"))
            .await;
        // No route to the real comes with this address: only the news of the address itself tells.
        pair.lb.ip("addr add 203.0.113.1/32 dev lb0");
        assert_eq!(resolved(&mut updates, "web").await.tunnel_source, ip("203.0.113.1"));
    });
}

#[test]
fn a_new_set_of_reals_keeps_what_is_known() {
    let pair = Pair::new(REAL_MAC).with_real();
    pair.far.ip("addr add 192.0.2.12/24 dev far0");
    pair.lb.run(|| async {
        let (task, mut updates) = start(vec![tunnel("a", "192.0.2.11")]);
        resolved(&mut updates, "a").await;
        task.watch(vec![tunnel("a", "192.0.2.11"), tunnel("b", "192.0.2.12")]);
        resolved(&mut updates, "b").await;
        task.watch(vec![tunnel("a", "192.0.2.12")]);
        // Nothing came of `a` in between: its address moves now, so this is the first news of it.
        let update = updates.recv().await.unwrap();
        assert_eq!(update.real, "a");
        drop(task);
        while updates.recv().await.is_some() {}
    });
}

#[test]
fn the_next_hop_of_an_earlier_daemon_stays_until_another_is_found() {
    let pair = Pair::new(REAL_MAC);
    let tunnel_source = ip("192.0.2.1");
    let known = NextHop { ifindex: 7, next_hop_mac: REAL_MAC, source_mac: LB_MAC, tunnel_source, mtu: 1500 };
    pair.lb.run(|| async {
        let watch = Watch { known: Some(known), ..tunnel("web", "192.0.2.11") };
        let (_task, mut updates) = start(vec![watch]);
        let update = updates.recv().await.unwrap();
        assert_eq!(update.next_hop, Some(known));
        assert!(update.note.starts_with("waiting for an ARP answer from 192.0.2.11"), "{}", update.note);
        pair.far.ip("addr add 192.0.2.11/24 dev far0");
        assert_ne!(resolved(&mut updates, "web").await, known);
    });
}

#[test]
fn news_that_the_kernel_could_not_deliver_is_made_up_for() {
    let pair = Pair::new(REAL_MAC).with_real();
    // The end of duplicate address detection would be news that is delivered, and looked into.
    pair.lb.ip("-6 addr flush dev lb0");
    pair.lb.run(|| async {
        let (_task, mut updates) = start(vec![tunnel("web", "192.0.2.11")]);
        resolved(&mut updates, "web").await;
        // This runtime has one thread, which is here: nothing is read while the socket overflows, and the change that
        // matters comes last.
        flood(&pair.lb);
        pair.lb.ip("neigh replace 192.0.2.11 lladdr 02:00:00:00:00:55 nud permanent dev lb0");
        until(&mut updates, "web", |update| update.next_hop.is_some_and(|hop| hop.next_hop_mac[5] == 0x55)).await;
    });
}

/// Makes more news than a netlink socket holds.
fn flood(namespace: &Namespace) {
    let file = std::env::temp_dir().join(format!("{}.batch", namespace.0));
    let lines: String = (0..30_000).map(|i| format!("route add 198.18.{}.{} dev lo\n", i / 256, i % 256)).collect();
    std::fs::write(&file, lines).unwrap();
    let path = file.to_string_lossy().into_owned();
    namespace.ip(&format!("-batch {path}"));
    std::fs::remove_file(&file).unwrap();
}
