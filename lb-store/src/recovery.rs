//! What a directory holds: the newest good snapshot, and what its logs add to it.

use lb_core::checkpoint::{Origin, Sequence, image::Image, record::Decoded};

use crate::{
    directory::{Directory, StoreFile},
    error::{Reason, Refused, StoreError},
    log::Replay,
    name::{FileKind, Name},
    snapshot::{self, Stamp},
};

/// How often a directory is read anew, when the other node removes what is being read from a shared disk.
const ATTEMPTS: usize = 3;

/// What was found on the disk.
#[derive(Debug, Default)]
pub struct Recovery {
    /// The newest state that can be used.
    pub newest: Option<Restored>,
    /// What is not used, and why.
    pub refused: Vec<Refused>,
    /// Why the disk could not be looked at; the store may be used all the same, once the disk is back.
    pub trouble: Option<StoreError>,
}

/// A state as it was acknowledged.
#[derive(Debug)]
pub struct Restored {
    /// Whose it is.
    pub origin: Origin,
    /// The last batch in it.
    pub sequence: Sequence,
    /// The scheduling table's generation.
    pub generation: u64,
    /// When it was written, in milliseconds since 1970: ages in the image are of this instant. It is the image's own: a clock that was set back
    /// since makes no slot younger.
    pub unix_ms: u64,
    /// What was known.
    pub image: Image,
}

impl Restored {
    fn new(stamp: Stamp, image: Image) -> Self {
        let Stamp { origin, sequence, generation, unix_ms: _ } = stamp;
        Self { origin, sequence, generation, unix_ms: image.unix_ms(), image }
    }
}

/// Reads a directory. Says, too, which snapshot is used.
pub(crate) fn recover(directory: &Directory) -> (Recovery, Option<Name>) {
    let mut found = attempt(directory);
    for _ in 1..ATTEMPTS {
        if !directory.options.shared || found.0.newest.is_some() || found.0.refused.is_empty() {
            break;
        }
        found = attempt(directory);
    }
    found
}

fn attempt(directory: &Directory) -> (Recovery, Option<Name>) {
    let mut recovery = Recovery::default();
    let files = match directory.list() {
        Ok(files) => files,
        Err(trouble) => {
            recovery.trouble = (!trouble.is_not_found()).then_some(trouble);
            return (recovery, None);
        }
    };
    let base = newest_snapshot(directory, &files, &mut recovery);
    refuse_unused(directory, &files, base, &mut recovery);
    (recovery, base)
}

/// Reads the newest good snapshot, and the logs from it on.
fn newest_snapshot(directory: &Directory, files: &[StoreFile], recovery: &mut Recovery) -> Option<Name> {
    for file in files.iter().rev().filter(|file| file.name.kind == FileKind::Snapshot) {
        match snapshot::read(directory, file.name) {
            Ok((mut stamp, mut image)) => {
                let logs = files.iter().map(|file| file.name);
                let replayed = replay(directory, file.name, logs, &mut stamp, &mut image);
                recovery.refused.extend(replayed.err());
                recovery.newest = Some(Restored::new(stamp, image));
                return Some(file.name);
            }
            Err(refused) => recovery.refused.push(refused),
        }
    }
    None
}

/// Adds to a snapshot what its logs say, up to the first commit that is not good. `names` are in rising order.
pub(crate) fn replay(
    directory: &Directory,
    snapshot: Name,
    names: impl Iterator<Item = Name>,
    stamp: &mut Stamp,
    image: &mut Image,
) -> Result<(), Refused> {
    let mut take = |decoded: &Decoded| snapshot::apply(image, decoded);
    let mut replay = Replay { stamp: Some(*stamp), name: Some(snapshot), take: &mut take };
    let mut logs = names.filter(|name| is_log_of(*name, snapshot));
    let result = logs.try_for_each(|name| replay.read(directory.source(), &directory.path_of(name)));
    *stamp = replay.stamp.unwrap_or(*stamp);
    result
}

fn is_log_of(name: Name, snapshot: Name) -> bool {
    name.kind == FileKind::Log && name.seniority() == snapshot.seniority() && name.number >= snapshot.number
}

/// Says of each file that is not used why.
fn refuse_unused(directory: &Directory, files: &[StoreFile], base: Option<Name>, recovery: &mut Recovery) {
    for StoreFile { name, size } in files {
        let path = directory.path_of(*name);
        let is_newer = base.is_some_and(|base| directory.rank(*name) < directory.rank(base));
        let reason = match name.kind {
            FileKind::Owner => continue,
            FileKind::Unfinished => Reason::Unfinished,
            FileKind::Snapshot | FileKind::Log if is_newer => Reason::Older,
            FileKind::Log if *size > 0 && !base.is_some_and(|base| is_log_of(*name, base)) => Reason::NoSnapshot,
            FileKind::Snapshot | FileKind::Log => continue,
        };
        recovery.refused.push(Refused { path, offset: 0, reason });
    }
}
