//! Threads that measure, or that stand in for hardware: they go before all others, and wait to the microsecond.

use std::os::fd::RawFd;
use std::ptr::null;
use std::time::Duration;

/// How a thread of the lab stands among those with a fixed priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// It sends probes and notes answers.
    Probe,
    /// It stands in for a serial line's hardware.
    Line,
    /// It is woken as the heartbeats of `lbd` are.
    Heartbeat,
}

/// Gives the calling thread a fixed priority, where that is allowed, and exact timers.
pub fn prefer(rank: Rank) {
    let priority = match rank {
        Rank::Probe => 1,
        Rank::Line => 2,
        Rank::Heartbeat => 50,
    };
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the parameters outlive the call; 0 is the calling thread. Where it is refused, timing is a bit worse.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &parameters) };
    // SAFETY: PR_SET_TIMERSLACK takes a number and changes this thread only.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
}

/// Waits until one of the descriptors can be read, or the time is up. Says whether one can.
pub fn wait_readable(descriptors: &[RawFd], limit: Duration) -> bool {
    let entry = |descriptor: &RawFd| libc::pollfd { fd: *descriptor, events: libc::POLLIN, revents: 0 };
    let mut entries: Vec<libc::pollfd> = descriptors.iter().map(entry).collect();
    let limit = libc::timespec {
        tv_sec: limit.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    };
    // SAFETY: the entries are as many as told and outlive the call, as the limit does; no signal mask is given.
    unsafe { libc::ppoll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, &limit, null()) > 0 }
}
