//! The limit on open files, which thousands of sockets reach.

use std::io;

use anyhow::{Context, Result, bail};

/// Files that a test has open beside its flows.
const SPARE: u64 = 500;

/// Raises this process's limit so far that it can hold `flows` sockets. Processes that it starts inherit it.
///
/// # Errors
/// The hard limit is too low.
pub fn raise_open_files(flows: usize) -> Result<()> {
    let wanted = flows as u64 + SPARE;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a structure of the type that the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error()).context("cannot read the limit on open files");
    }
    if limit.rlim_max < wanted {
        bail!("{wanted} open files are needed and {} allowed: raise the hard limit (ulimit -Hn)", limit.rlim_max);
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the pointer is to a filled structure of the type that the call reads.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error()).context("cannot raise the limit on open files");
    }
    Ok(())
}
