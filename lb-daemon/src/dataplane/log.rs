//! Carries the XDP program's own debug messages to the `log` facade.

use std::{os::fd::AsRawFd, thread};

use aya::Ebpf;
use aya_log::EbpfLogger;

use super::DataplaneError;

/// Starts a thread that hands the messages on for as long as the process lives.
pub(super) fn start(ebpf: &mut Ebpf) -> Result<(), DataplaneError> {
    let mut logger = EbpfLogger::init(ebpf).map_err(|error| DataplaneError::Log(Box::new(error)))?;
    thread::Builder::new()
        .name("bpf-log".into())
        .spawn(move || {
            loop {
                let mut poll = libc::pollfd { fd: logger.as_raw_fd(), events: libc::POLLIN, revents: 0 };
                // SAFETY: one pollfd is passed and it outlives the call.
                let ready = unsafe { libc::poll(&raw mut poll, 1, -1) };
                if ready > 0 {
                    logger.flush();
                }
            }
        })
        .map_err(|error| DataplaneError::Log(Box::new(error)))?;
    Ok(())
}
