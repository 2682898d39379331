//! The kernel: its release, and what it can do for BPF programs.

use std::fs;
use std::path::Path;

use nix::sys::statfs::{FsType, statfs};

use super::Kernel;

/// What a BPF file system says that it is (magic.h of the kernel).
const BPF_FS: FsType = FsType(0xcafe_4a11);

/// All but what depends on the configuration and this process.
pub(super) fn look() -> Kernel {
    Kernel {
        release: read("/proc/sys/kernel/osrelease").unwrap_or_default(),
        btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        jit: read("/proc/sys/net/core/bpf_jit_enable").and_then(|text| text.parse().ok()),
        ..Kernel::default()
    }
}

/// Whether the directory is on a BPF file system, or the one that it would be made in.
pub(super) fn is_bpf_file_system(directory: &Path) -> Option<bool> {
    let there = directory.ancestors().find(|above| above.is_dir())?;
    statfs(there).ok().map(|stat| stat.filesystem_type() == BPF_FS)
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}
