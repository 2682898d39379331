//! What this process takes of the host.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

const KIB: u64 = 1_024;

/// Memory that is in use, in bytes.
pub fn resident() -> Result<u64> {
    let kib = field("/proc/self/status", "VmRSS:")?;
    Ok(kib * KIB)
}

/// The most memory that has been in use, in bytes.
pub fn peak() -> Result<u64> {
    let kib = field("/proc/self/status", "VmHWM:")?;
    Ok(kib * KIB)
}

/// Bytes that this process has written to files since its start, wherever they are by now.
pub fn written() -> Result<u64> {
    field("/proc/self/io", "wchar:")
}

/// CPU time that all threads have taken since the start.
pub fn cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).context("cannot read the CPU time")?;
    let of = |time: TimeVal| Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1_000);
    Ok(of(usage.user_time()) + of(usage.system_time()))
}

fn field(path: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    value.with_context(|| format!("{path} does not say {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_takes_is_seen() {
        let (written_before, cpu_before) = (written().unwrap(), cpu().unwrap());
        let filled = vec![1_u8; 64 << 20];
        assert!(resident().unwrap() >= filled.len() as u64);
        assert!(peak().unwrap() >= filled.len() as u64);
        fs::write("/dev/null", &filled[..1_000_000]).unwrap();
        assert!(written().unwrap() >= written_before + 1_000_000);
        assert!(cpu().unwrap() > cpu_before);
    }
}
