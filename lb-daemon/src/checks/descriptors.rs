//! Room for the descriptors of many checks: the usual soft limit of 1024 is too low for all that may be under way at once.

use std::io;

use tracing::warn;

/// What the rest of the process is left.
const OTHERS: usize = 1024;

/// Raises the soft limit of open descriptors where `checks` would not fit beside the rest. Without room a check is not
/// made, and says so.
pub(super) fn make_room(checks: usize) {
    if let Err(error) = raise((checks + OTHERS) as libc::rlim_t) {
        warn!("cannot raise the limit of open descriptors for checks: {error}");
    }
}

fn raise(wanted: libc::rlim_t) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a limit of our own, which the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur >= wanted {
        return Ok(());
    }
    limit.rlim_cur = wanted.min(limit.rlim_max);
    // SAFETY: the pointer is to a limit that outlives the call, which only reads it.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
