//! Who writes to a shared disk. A file says so, made anew for each owner: its name has epoch, role and start, and it holds a signed record of
//! the same origin.
//!
//! A lock does not do: on a shared disk it goes when a node is cut off, and its writes may come later. So a writer only makes files of
//! its own, and acknowledges a commit only when no newer owner is there *after* the disk has the commit. Who claims the disk reads it
//! *after* its own owner file is on the disk: what was acknowledged before is there, and what is not there was not acknowledged.

use lb_core::checkpoint::{
    Origin,
    record::{self, Kind},
};

use crate::{
    directory::Directory,
    error::{Reason, StoreError},
    name::{FileKind, Name},
    snapshot::Stamp,
};

/// Makes an origin the owner of the disk.
pub(crate) fn claim(directory: &Directory, origin: &Origin, number: u64) -> Result<Name, StoreError> {
    let name = Name::new(origin, number, FileKind::Owner);
    refuse_newer(directory, name)?;
    let claimed = write(directory, name, origin);
    if claimed.is_err() {
        directory.remove(name);
    }
    claimed?;
    refuse_newer(directory, name)?;
    Ok(name)
}

fn write(directory: &Directory, name: Name, origin: &Origin) -> Result<(), StoreError> {
    let stamp = Stamp { origin: *origin, sequence: 0, generation: 0, unix_ms: 0 };
    let record = record::encode(&stamp.header(Kind::Full, 0), &[], &directory.options.keys)?;
    directory.write(name, &record)?;
    directory.sync()
}

/// An error where there is an owner that is newer than the one of this name.
pub(crate) fn refuse_newer(directory: &Directory, own: Name) -> Result<(), StoreError> {
    let files = directory.list()?;
    let mut owners = files.iter().map(|file| file.name).filter(|name| name.kind == FileKind::Owner);
    match owners.find(|name| name.seniority() > own.seniority() && may_be_authentic(directory, *name)) {
        Some(name) => Err(StoreError::Superseded { path: directory.path_of(name), epoch: name.epoch }),
        None => Ok(()),
    }
}

/// A file that is not whole yet, or that somebody else made, makes nobody the owner. One that cannot be read may.
fn may_be_authentic(directory: &Directory, name: Name) -> bool {
    let read = directory.source().open(&directory.path_of(name)).and_then(|mut records| records.next().transpose());
    match read {
        Ok(Some((_, decoded))) => name.is_of(&decoded.header.origin),
        Ok(None) => false,
        Err(refused) => matches!(refused.reason, Reason::Unreadable(_)),
    }
}
