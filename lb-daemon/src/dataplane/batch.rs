//! Many entries of a hash map by one kernel call, which aya has not.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;
const BPF_MAP_UPDATE_BATCH: libc::c_long = 26;
const BPF_MAP_DELETE_BATCH: libc::c_long = 27;

/// `union bpf_attr` as the batch commands read it (linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Reads up to `keys.len()` entries of a hash map. `position` is where the last batch ended, `None` at first; it is set to
/// where this one ends, or to `None` at the map's end. Returns how many entries were read.
///
/// # Errors
/// ENOSPC when one bucket has more entries than fit; others as bpf(2) gives them.
pub(super) fn lookup_batch<K: aya::Pod, V: aya::Pod>(
    map: BorrowedFd<'_>,
    position: &mut Option<u32>,
    keys: &mut [K],
    values: &mut [V],
) -> io::Result<usize> {
    let mut end = 0_u32;
    let start = position.unwrap_or(0);
    let mut attr = BatchAttr {
        in_batch: position.map_or(0, |_| (&raw const start) as u64),
        out_batch: (&raw mut end) as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.as_mut_ptr() as u64,
        count: keys.len().min(values.len()) as u32,
        map_fd: map.as_raw_fd() as u32,
        ..BatchAttr::default()
    };
    // SAFETY: the attribute is as long as said; its pointers lead to a u32 each and to `count` keys and values of the map's
    // sizes (the callers' types are the map's), and all of it outlives the call. `Pod` says that any bytes are a value.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_LOOKUP_BATCH, &raw mut attr, size_of::<BatchAttr>()) };
    if result == 0 {
        *position = Some(end);
        return Ok(attr.count as usize);
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ENOENT) {
        *position = None;
        return Ok(attr.count as usize);
    }
    Err(error)
}

/// Writes as many entries as there are keys, each with the value beside it. Returns how many were written before the first that the
/// kernel refused, and its error.
pub(super) fn update_batch<K: aya::Pod, V: aya::Pod>(
    map: BorrowedFd<'_>,
    keys: &[K],
    values: &[V],
) -> (usize, io::Result<()>) {
    let count = keys.len().min(values.len());
    write(BPF_MAP_UPDATE_BATCH, map, &keys[..count], values.as_ptr() as u64)
}

/// Deletes the entries of these keys. Returns how many were deleted before the first that the kernel refused, and its error: ENOENT
/// where there is no entry.
pub(super) fn delete_batch<K: aya::Pod>(map: BorrowedFd<'_>, keys: &[K]) -> (usize, io::Result<()>) {
    write(BPF_MAP_DELETE_BATCH, map, keys, 0)
}

/// `values` is the address of as many values of the map's value size as there are keys, or 0 where the command reads none.
fn write<K: aya::Pod>(command: libc::c_long, map: BorrowedFd<'_>, keys: &[K], values: u64) -> (usize, io::Result<()>) {
    if keys.is_empty() {
        return (0, Ok(()));
    }
    let mut attr = BatchAttr {
        keys: keys.as_ptr() as u64,
        values,
        count: keys.len() as u32,
        map_fd: map.as_raw_fd() as u32,
        ..BatchAttr::default()
    };
    // SAFETY: the attribute is as long as said; its pointers lead to `count` keys, and values where the command reads them, of the map's
    // sizes (the callers' types are the map's). All of it outlives the call, which only reads them.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attr, size_of::<BatchAttr>()) };
    if result == 0 {
        return (keys.len(), Ok(()));
    }
    let error = io::Error::last_os_error();
    // Some refusals come before the kernel has begun, and leave the count as it was.
    let done = if attr.count < keys.len() as u32 { attr.count as usize } else { 0 };
    (done, Err(error))
}
