//! The store's files, for people: listed and verified beside the store that writes them.

use std::path::PathBuf;

use lb_core::api::{
    CheckpointFile, CheckpointFileKind, CheckpointFiles, CheckpointOrigin, CheckpointVerified, RefusedCheckpoint,
    VerifiedFile,
};
use lb_core::auth::Keys;
use lb_core::checkpoint::Origin;
use lb_store::{FileKind, HostFiles, Listed, Name, Refused, Report, StoreError};

use crate::api::words;
use crate::config::{CheckpointPlace, CheckpointSettings};

/// The files, the newest first.
pub(super) fn list(place: &CheckpointPlace) -> Result<CheckpointFiles, StoreError> {
    let listed = lb_store::list(&HostFiles, place.path())?;
    let base = listed.iter().filter(|file| file.name.kind == FileKind::Snapshot).map(|file| file.name.number).max();
    let files = listed.iter().rev().map(|file| shown(file, base));
    Ok(CheckpointFiles {
        directory: place.path().display().to_string(),
        shared: place.is_shared(),
        files: files.collect(),
    })
}

fn shown(file: &Listed, base: Option<u64>) -> CheckpointFile {
    let Name { epoch, owner, boot, number, kind } = file.name;
    CheckpointFile {
        name: file.name.to_string(),
        kind: match kind {
            FileKind::Owner => CheckpointFileKind::Owner,
            FileKind::Unfinished => CheckpointFileKind::Unfinished,
            FileKind::Snapshot => CheckpointFileKind::Snapshot,
            FileKind::Log => CheckpointFileKind::Log,
        },
        origin: Some(CheckpointOrigin { owner: words::role(owner), boot, epoch }),
        bytes: file.size,
        unix_ms: file.first.map(|header| header.unix_ms),
        in_use: match kind {
            FileKind::Snapshot => base == Some(number),
            FileKind::Log => base.is_some_and(|base| base <= number),
            FileKind::Owner => true,
            FileKind::Unfinished => false,
        },
    }
}

/// What is in one file, or in all of the store.
pub(super) fn verify(
    path: Option<PathBuf>,
    settings: &CheckpointSettings,
    keys: &Keys,
) -> Result<CheckpointVerified, StoreError> {
    let paths = match path {
        Some(path) => vec![path],
        None => {
            let listed = lb_store::list(&HostFiles, settings.place.path())?;
            let is_read = |file: &Listed| matches!(file.name.kind, FileKind::Snapshot | FileKind::Log) && file.size > 0;
            listed.into_iter().filter(is_read).map(|file| file.path).collect()
        }
    };
    let verified = paths.iter().map(|path| lb_store::verify(&HostFiles, path, keys, settings.cluster_id()));
    let files: Vec<VerifiedFile> = verified.map(|report| found(&report)).collect();
    Ok(CheckpointVerified { ok: files.iter().all(|file| file.refused.is_none()), files })
}

fn found(report: &Report) -> VerifiedFile {
    VerifiedFile {
        file: report.path.display().to_string(),
        origin: report.newest.map(|newest| origin(&newest.origin)),
        records: report.records as u64,
        bytes: report.bytes,
        entries: report.entries as u64,
        skipped: report.skipped as u64,
        first: report.newest.map(|newest| newest.first),
        last: report.newest.map(|newest| newest.last),
        refused: report.refused.as_ref().map(refused),
    }
}

/// Whose it is, in the API's words.
pub(super) fn origin(origin: &Origin) -> CheckpointOrigin {
    CheckpointOrigin { owner: words::role(origin.owner), boot: origin.boot, epoch: origin.epoch }
}

/// What was not used, in the API's words.
pub(super) fn refused(refused: &Refused) -> RefusedCheckpoint {
    RefusedCheckpoint {
        file: refused.path.display().to_string(),
        offset: refused.offset,
        reason: refused.reason.to_string(),
    }
}
