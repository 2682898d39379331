//! The few kernel calls that aya has not, or not without its objects: single entries of a map, mmap of an array, a run of a program,
//! clocks, and what file system a path is on. (Batches are in [`super::batch`].)

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    sync::atomic::AtomicU64,
};

const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_MAP_DELETE_ELEM: libc::c_long = 3;
const BPF_OBJ_GET: libc::c_long = 7;
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_LINK_DETACH: libc::c_long = 34;
/// `flags` of an update: only where there is no entry.
const BPF_NOEXIST: u64 = 1;
/// What every page size is a multiple of.
const SMALLEST_PAGE: u32 = 4_096;

/// `union bpf_attr` as BPF_OBJ_GET reads it (linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct ObjectAttr {
    path: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// `union bpf_attr` as BPF_LINK_DETACH reads it (linux/bpf.h).
#[repr(C)]
struct LinkAttr {
    link_fd: u32,
}

/// Takes the program of the link pinned at `path` off its interface, before this returns. (When a pin is just removed, the kernel
/// detaches some time later, and until then refuses another attachment.) An interface that has gone is no error.
///
/// # Errors
/// ENOENT when there is no such pin; others as bpf(2) gives them.
pub(super) fn detach_pinned_link(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attr = ObjectAttr { path: path.as_ptr() as u64, ..ObjectAttr::default() };
    // SAFETY: the attribute is as long as said, its path is a C string, and both outlive the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET, &raw const attr, size_of::<ObjectAttr>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given this descriptor to us alone.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let attr = LinkAttr { link_fd: fd.as_raw_fd() as u32 };
    // SAFETY: the attribute is as long as said and outlives the call.
    match unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_DETACH, &raw const attr, size_of::<LinkAttr>()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `union bpf_attr` as the commands on one element read it (linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct ElementAttr {
    map_fd: u32,
    reserved: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Reads one entry; `None` where there is none.
///
/// # Errors
/// As bpf(2) gives them.
pub(super) fn lookup<K: aya::Pod, V: aya::Pod + Default>(map: BorrowedFd<'_>, key: &K) -> io::Result<Option<V>> {
    let mut value = V::default();
    let attr = ElementAttr {
        map_fd: map.as_raw_fd() as u32,
        key: (&raw const *key) as u64,
        value: (&raw mut value) as u64,
        ..ElementAttr::default()
    };
    // SAFETY: the attribute is as long as said, key and value are of the map's sizes (the caller's types are the map's) and outlive the
    // call. `Pod` says that any bytes are a value.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_LOOKUP_ELEM, &raw const attr, size_of::<ElementAttr>()) };
    if result == 0 {
        return Ok(Some(value));
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ENOENT) { Ok(None) } else { Err(error) }
}

/// Writes one entry where there is none; says whether there was none.
///
/// # Errors
/// As bpf(2) gives them, say E2BIG when the map is full.
pub(super) fn insert<K: aya::Pod, V: aya::Pod>(map: BorrowedFd<'_>, key: &K, value: &V) -> io::Result<bool> {
    let attr = ElementAttr {
        map_fd: map.as_raw_fd() as u32,
        key: (&raw const *key) as u64,
        value: (&raw const *value) as u64,
        flags: BPF_NOEXIST,
        ..ElementAttr::default()
    };
    // SAFETY: the attribute is as long as said, key and value are of the map's sizes (the caller's types are the map's) and outlive the
    // call, which only reads them.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_UPDATE_ELEM, &raw const attr, size_of::<ElementAttr>()) };
    if result == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::EEXIST) { Ok(false) } else { Err(error) }
}

/// Deletes one entry.
///
/// # Errors
/// ENOENT when there is none; others as bpf(2) gives them.
pub(super) fn delete<K: aya::Pod>(map: BorrowedFd<'_>, key: &K) -> io::Result<()> {
    let attr = ElementAttr { map_fd: map.as_raw_fd() as u32, key: (&raw const *key) as u64, ..ElementAttr::default() };
    // SAFETY: the attribute is as long as said, the key is of the map's key size (the caller's type is the map's), and both
    // outlive the call, which only reads them.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_DELETE_ELEM, &raw const attr, size_of::<ElementAttr>()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `union bpf_attr` as BPF_PROG_TEST_RUN reads it (linux/bpf.h), up to the fields that are not used here.
#[repr(C)]
#[derive(Default)]
struct RunAttr {
    program_fd: u32,
    verdict: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
}

/// Runs an XDP program once on `frame`, of 14 bytes at least, and copies what it leaves to `out`.
///
/// # Errors
/// As bpf(2) gives them, say ENOSPC when `out` is too short.
pub(super) fn run_program(program: BorrowedFd<'_>, frame: &[u8], out: &mut [u8]) -> io::Result<()> {
    let mut attr = RunAttr {
        program_fd: program.as_raw_fd() as u32,
        data_size_in: frame.len() as u32,
        data_size_out: out.len() as u32,
        data_in: frame.as_ptr() as u64,
        data_out: out.as_mut_ptr() as u64,
        ..RunAttr::default()
    };
    // SAFETY: the attribute is as long as said; its pointers lead to as many bytes as it says, and all of it outlives the call.
    match unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_TEST_RUN, &raw mut attr, size_of::<RunAttr>()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// An array map whose entries are whole 8-byte words, mapped into memory.
pub(super) struct MappedArray {
    start: *mut AtomicU64,
    entries: usize,
    bytes: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is accessed by atomic operations only.
unsafe impl Send for MappedArray {}

impl MappedArray {
    /// Maps the first `entries` words of an array that was made with `BPF_F_MMAPABLE`.
    ///
    /// # Errors
    /// As mmap(2) gives them.
    pub(super) fn new(map: BorrowedFd<'_>, entries: usize) -> io::Result<Self> {
        let bytes = entries * size_of::<u64>();
        // SAFETY: a fresh mapping at an address of the kernel's choice disturbs no other memory.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start: start.cast(), entries, bytes })
    }

    /// The words. Atomic, since the kernel reads them meanwhile.
    pub(super) fn values(&self) -> &[AtomicU64] {
        // SAFETY: the mapping holds `entries` 8-byte values at a page's start until `self` is dropped; the kernel and other
        // processes access them by whole words only.
        unsafe { std::slice::from_raw_parts(self.start, self.entries) }
    }
}

impl Drop for MappedArray {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length, and no reference into it outlives `self`.
        unsafe { libc::munmap(self.start.cast(), self.bytes) };
    }
}

/// Whether `path` is on a BPF file system.
///
/// # Errors
/// As statfs(2) gives them.
pub(super) fn is_bpffs(path: &Path) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut stat = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path is a C string, and the buffer is as large as the call wants.
    if unsafe { libc::statfs(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded, so it has filled the buffer.
    Ok(unsafe { stat.assume_init() }.f_type == libc::BPF_FS_MAGIC)
}

/// Nanoseconds of CLOCK_MONOTONIC_COARSE: the clock of the flow table.
pub(super) fn monotonic_coarse_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC_COARSE)
}

/// Nanoseconds of CLOCK_MONOTONIC, by which the kernel's ticks come.
pub(super) fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds of CLOCK_BOOTTIME: the pair's clock, which goes on while the host is suspended.
pub(super) fn boot_ns() -> u64 {
    clock_ns(libc::CLOCK_BOOTTIME)
}

/// Nanoseconds from one tick of the kernel to the next: a jiffy.
pub(super) fn tick_ns() -> u64 {
    let mut length = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock is one that Linux has, and the buffer is a timespec. It cannot fail then.
    unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut length) };
    (length.tv_nsec as u64).max(1)
}

/// Bytes of a page.
pub(super) fn page_size() -> u32 {
    // SAFETY: the call has no conditions.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u32::try_from(bytes).unwrap_or(SMALLEST_PAGE)
}

/// Nanoseconds for which this thread has run, in the kernel or out of it.
pub(super) fn thread_cpu_ns() -> u64 {
    clock_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock is one that Linux has, and the buffer is a timespec. It cannot fail then.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
