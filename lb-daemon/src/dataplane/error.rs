//! What can go wrong between the daemon and the kernel's BPF.

use std::{io, path::PathBuf};

use aya::{EbpfError, maps::MapError, pin::PinError, programs::ProgramError};
use thiserror::Error;

/// An error of the data plane: what failed, with which input, and what to do.
#[derive(Debug, Error)]
pub enum DataplaneError {
    /// The process may not load BPF programs.
    #[error("not permitted to use BPF: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    NotPermitted,
    /// The kernel has no BTF.
    #[error(
        "the kernel has no BTF (/sys/kernel/btf/vmlinux is missing): use a kernel built with CONFIG_DEBUG_INFO_BTF"
    )]
    NoBtf,
    /// The pin directory cannot be made or is on no bpffs.
    #[error("cannot pin under {}: mount a BPF file system there or above it (mount -t bpf bpf /sys/fs/bpf), or set bpf_dir", path.display())]
    PinDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A pin cannot be removed or read.
    #[error("cannot {action} {}", path.display())]
    Pin {
        /// What was tried.
        action: &'static str,
        /// The pin.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused the object.
    #[error("the kernel refused to load the XDP program or its maps")]
    Load(#[source] Box<EbpfError>),
    /// The embedded object lacks something: it was built from other sources.
    #[error("the XDP object has no {what}: rebuild lbd")]
    Object {
        /// The missing map or program.
        what: &'static str,
    },
    /// A step with the program failed.
    #[error("cannot {step} the XDP program")]
    Program {
        /// What was tried.
        step: &'static str,
        /// Why.
        source: ProgramError,
    },
    /// A map operation failed.
    #[error("cannot {action} map {map}{}", full_hint(source))]
    Map {
        /// What was tried.
        action: &'static str,
        /// The map's name.
        map: &'static str,
        /// Why.
        source: MapError,
    },
    /// A raw BPF call on a map failed.
    #[error("cannot {action} map {map}")]
    MapCall {
        /// What was tried.
        action: &'static str,
        /// The map's name.
        map: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The interface does not exist.
    #[error("interface {interface} does not exist: it is attached to when it appears (ip link shows what there is)")]
    NoInterface {
        /// Its name.
        interface: String,
    },
    /// Another XDP program is attached.
    #[error(
        "interface {interface} has another XDP program already: see it with `bpftool net show dev {interface}`, \
         remove it with `ip link set dev {interface} xdp off`, or with `lbd detach --config ..` if it is another lbd's"
    )]
    Occupied {
        /// The interface.
        interface: String,
    },
    /// The kernel or driver refused the attachment.
    #[error("cannot attach to interface {interface} in {mode} mode{hint}")]
    Attach {
        /// The interface.
        interface: String,
        /// The mode that was tried.
        mode: &'static str,
        /// What may help.
        hint: &'static str,
        /// Why.
        source: Box<ProgramError>,
    },
    /// The attachment cannot be pinned.
    #[error("cannot pin the attachment to interface {interface}: it would end with lbd")]
    PinLink {
        /// The interface.
        interface: String,
        /// Why.
        source: PinError,
    },
    /// The kernel attached by netlink instead of a link.
    #[error(
        "the kernel has no BPF links for XDP (Linux 5.9 or later has): interface {interface} cannot be attached for good"
    )]
    NoLink {
        /// The interface.
        interface: String,
    },
    /// The kernel does not tell its jiffies.
    #[error("cannot read the kernel's jiffies, which leases are in")]
    Jiffies(#[source] io::Error),
    /// Something outside the maps' bounds was to be written.
    #[error("{what} {id} is outside map {map}, which has {size} entries")]
    OutOfBounds {
        /// What was to be written.
        what: &'static str,
        /// Its id.
        id: u32,
        /// The map's name.
        map: &'static str,
        /// The map's size.
        size: u32,
    },
    /// The program's log cannot be read.
    #[error("cannot read the XDP program's log")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn full_hint(error: &MapError) -> &'static str {
    match error {
        MapError::SyscallError(error) if error.io_error.raw_os_error() == Some(libc::E2BIG) => ", which is full",
        _ => "",
    }
}
