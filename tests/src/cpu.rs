//! The CPU that a thread of a test keeps to.

use std::io::Error;
use std::mem::{size_of, zeroed};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};

/// Has the calling thread run on one CPU only, and says on which: one after the other of those that it may run on.
///
/// # Errors
/// The kernel refuses.
pub fn keep_to_one() -> Result<usize> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // SAFETY: a set of CPUs is a plain array of bits, for which zero is a value.
    let mut allowed: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: the kernel writes no more than the size says, and `allowed` is that large.
    let status = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut allowed) };
    ensure!(status == 0, "asking which CPUs a thread may run on: {}", Error::last_os_error());
    // SAFETY: the numbers are below the size of the set.
    let cpus = (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &allowed) });
    let cpus: Vec<usize> = cpus.collect();
    ensure!(!cpus.is_empty(), "the thread may run on no CPU");
    let cpu = cpus[NEXT.fetch_add(1, Ordering::Relaxed) % cpus.len()];
    // SAFETY: as above.
    let mut one: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: `cpu` is of the set above, so it is below its size.
    unsafe { libc::CPU_SET(cpu, &mut one) };
    // SAFETY: the kernel reads no more than the size says, and `one` is that large.
    if unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &one) } != 0 {
        return Err(Error::last_os_error()).with_context(|| format!("keeping a thread to CPU {cpu}"));
    }
    Ok(cpu)
}
