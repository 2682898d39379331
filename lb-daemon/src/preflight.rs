//! What `lbd` needs of its process before it touches anything, so that a missing privilege is named and is not the
//! obscure failure of a later step.

use std::fs;

/// The capabilities that `lbd run` needs, with their bits (capability.h of the kernel).
const NEEDED: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];
/// Stands for CAP_PERFMON and CAP_BPF.
const SYS_ADMIN: u32 = 21;

/// The process lacks a privilege.
#[derive(Debug, thiserror::Error)]
#[error("not permitted: {missing} missing; run lbd as root, or give it CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON")]
pub struct Unprivileged {
    missing: String,
}

/// Checks the privileges of this process.
///
/// # Errors
/// One is missing.
pub fn check_privileges() -> Result<(), Unprivileged> {
    let missing = missing();
    if missing.is_empty() { Ok(()) } else { Err(Unprivileged { missing: missing.join(", ") }) }
}

/// The capabilities that this process lacks.
#[must_use]
pub fn missing() -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    // Without /proc the kernel's own refusals have to do.
    effective_capabilities(&status).map(missing_capabilities).unwrap_or_default()
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing_capabilities(effective: u64) -> Vec<&'static str> {
    let has = |bit: u32| effective >> bit & 1 == 1;
    let lacks = |bit: u32| !has(bit) && (bit == NEEDED[0].0 || !has(SYS_ADMIN));
    NEEDED.iter().filter(|(bit, _)| lacks(*bit)).map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_capability_is_named() {
        assert_eq!(missing_capabilities(0), ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]);
        assert_eq!(missing_capabilities(1 << 12 | 1 << 38), ["CAP_BPF"]);
        assert_eq!(missing_capabilities(1 << 21), ["CAP_NET_ADMIN"]);
        assert!(missing_capabilities(1 << 12 | 1 << 21).is_empty());
        assert!(missing_capabilities(1 << 12 | 1 << 38 | 1 << 39).is_empty());
    }

    #[test]
    fn capabilities_are_read_from_the_status_file() {
        assert_eq!(effective_capabilities("Name:\tlbd\nCapEff:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
        assert_eq!(effective_capabilities("Name:\tlbd\n"), None);
    }
}
