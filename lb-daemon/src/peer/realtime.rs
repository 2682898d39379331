//! What keeps a thread on the CPU when the host is busy: a real-time priority, and memory that is never paged out.

use std::io;

use nix::sys::mman::{MlockAllFlags, mlockall};

/// Priority of the thread that sends and takes heartbeats.
pub(crate) const HEARTBEAT_PRIORITY: i32 = 50;
/// Bytes of its stack that the thread has touched before it begins, so that no page of it is missing later.
const STACK: usize = 256 << 10;
/// The smallest page there is, in bytes.
const PAGE: usize = 4 << 10;

/// Gives the calling thread a real-time priority (SCHED_FIFO) and exact timers. Its children do not inherit it.
///
/// # Errors
/// The process may not. The text says what follows and what to do.
pub(crate) fn schedule(priority: i32) -> Result<(), String> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: 0 is the calling thread; the parameters live through the call and are not kept.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameters) } == 0
    {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    // SAFETY: the call takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
    Err(format!(
        "no real-time priority ({error}): on a busy host heartbeats come late; \
         give lbd CAP_SYS_NICE, or LimitRTPRIO={priority} in its systemd unit"
    ))
}

/// Keeps all memory of the process in RAM: what is there now, and what is used later from when it is first used.
///
/// # Errors
/// The process may not. The text says what follows and what to do.
pub(crate) fn lock_memory() -> Result<(), String> {
    let present = mlockall(MlockAllFlags::MCL_CURRENT);
    // Whole stacks and arenas of threads to come would be taken without ON_FAULT, and never used.
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    let locked = present.and_then(|()| mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault));
    touch_stack();
    locked.map_err(|error| {
        format!(
            "memory cannot be locked ({error}): under memory pressure heartbeats come late; \
             give lbd CAP_IPC_LOCK, or LimitMEMLOCK=infinity in its systemd unit"
        )
    })
}

/// Uses the stack of the calling thread once.
#[inline(never)]
fn touch_stack() {
    let mut stack = [0_u8; STACK];
    for page in stack.chunks_mut(PAGE) {
        // Written for the kernel to see: the compiler must not leave it out.
        std::hint::black_box(page)[0] = 1;
    }
    std::hint::black_box(&stack);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_its_priority_or_hears_why_not() {
        let (outcome, policy) = std::thread::spawn(|| {
            let outcome = schedule(HEARTBEAT_PRIORITY);
            // SAFETY: 0 is the calling thread.
            (outcome, unsafe { libc::sched_getscheduler(0) })
        })
        .join()
        .unwrap();
        match outcome {
            Ok(()) => assert_eq!(policy, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK),
            Err(why) => assert!(why.contains("CAP_SYS_NICE") && policy == libc::SCHED_OTHER, "{why}"),
        }
    }

    #[test]
    fn a_priority_that_there_is_not_is_refused() {
        let why = std::thread::spawn(|| schedule(1000)).join().unwrap().unwrap_err();
        assert!(why.starts_with("no real-time priority (Invalid argument"), "{why}");
    }
}
