//! The lease in its map, and the clock that it is in.

use lb_common::{DropReason, NODE_DRAINING, NODE_SERVING, NODE_SILENT, NodeState};
use lb_core::{
    pair::Service,
    rows::{Rows, diff},
};
use lb_daemon::dataplane::{Adoption, Dataplane, Jiffies};

use super::{Bpffs, XDP_TX, options, rows, syn};

const XDP_DROP: u32 = 1;

#[test]
fn what_is_stored_is_in_the_map() {
    let (dataplane, _) = Dataplane::open(&options(None)).unwrap();
    let lease = dataplane.lease_map().unwrap();
    assert_eq!(lease.load(), NodeState::default(), "a new map says solo");

    let row = |service, lease_until| NodeState { lease_until, service, flags: 0 };
    lease.store(Service::Serving, u64::MAX);
    assert_eq!(lease.load(), row(NODE_SERVING, u64::MAX));
    lease.store(Service::Draining, 7);
    assert_eq!(lease.load(), row(NODE_DRAINING, 7));
    lease.store(Service::Silent, 9);
    assert_eq!(lease.load(), row(NODE_SILENT, 0), "no deadline is left that a later word could make use of");
    lease.store_solo();
    assert_eq!(lease.load(), NodeState::default());
}

#[test]
fn the_lease_outlives_the_daemon() {
    let bpffs = Bpffs::new();
    let pinned = options(Some(bpffs.dir()));
    let (dataplane, _) = Dataplane::open(&pinned).unwrap();
    dataplane.lease_map().unwrap().store(Service::Serving, 1 << 40);
    drop(dataplane);

    let (dataplane, adoption) = Dataplane::open(&pinned).unwrap();

    assert_eq!(adoption, Adoption::Adopted);
    let wanted = NodeState { lease_until: 1 << 40, service: NODE_SERVING, flags: 0 };
    assert_eq!(dataplane.lease_map().unwrap().load(), wanted);
}

#[test]
fn a_lease_ends_by_itself() {
    let (mut dataplane, _) = Dataplane::open(&options(None)).unwrap();
    dataplane.apply(&diff(&Rows::default(), &rows())).unwrap();
    let jiffies = dataplane.jiffies().unwrap();
    let lease = dataplane.lease_map().unwrap();
    lease.store(Service::Silent, 0);
    assert_eq!(dataplane.test_run(&syn(80), 1).unwrap().action, XDP_DROP);

    // The machine may be so busy that a short lease ends before the first packet.
    let mut length = 10;
    let until = loop {
        let until = jiffies.now().unwrap() + length;
        lease.store(Service::Serving, until);
        if forwarded_until(&dataplane, &jiffies, until) > 0 {
            break until;
        }
        length *= 2;
    };

    let expired = || dataplane.drops().unwrap()[DropReason::LeaseExpired as usize];
    let before = expired();
    assert_eq!(dataplane.test_run(&syn(80), 1).unwrap().action, XDP_DROP);
    assert_eq!(expired(), before + 1);
    let untouched = NodeState { lease_until: until, service: NODE_SERVING, flags: 0 };
    assert_eq!(lease.load(), untouched, "nobody has told the program");
    lease.store(Service::Serving, u64::MAX);
    assert_eq!(dataplane.test_run(&syn(80), 1).unwrap().action, XDP_TX, "renewed");
}

/// Runs packets until the lease has ended, and says how many went out before.
fn forwarded_until(dataplane: &Dataplane, jiffies: &Jiffies, until: u64) -> u32 {
    let mut forwarded = 0;
    loop {
        let action = dataplane.test_run(&syn(80), 1).unwrap().action;
        if jiffies.now().unwrap() >= until {
            return forwarded;
        }
        // The packet came before this jiffy, so its lease still ran.
        assert_eq!(action, XDP_TX);
        forwarded += 1;
    }
}

/// Microseconds of the pair's clock.
fn boot_us() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock is one that Linux has, and the buffer is a timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

#[test]
fn jiffies_come_by_the_pairs_clock() {
    let (mut dataplane, _) = Dataplane::open(&options(None)).unwrap();
    let jiffies = dataplane.jiffies().unwrap();
    assert!((100..=1_000).contains(&jiffies.hz()), "{}", jiffies.hz());

    let before = jiffies.now().unwrap();
    let at = jiffies.at(boot_us());
    assert!(at + jiffies.hz() > before, "{at} is not about {before}");
    // A tick may be late, so a jiffy that has begun by the clock is waited for. It does come.
    while jiffies.now().unwrap() < at {}

    assert!(dataplane.jiffies().is_ok(), "asked for once more");
}
