//! The directory of a store: its files by name, and what all parts of the store need to know of it.

use std::{path::PathBuf, sync::Arc};

use lb_core::{auth::Keys, pair::Role};

use crate::{
    error::StoreError,
    files::{Files, Output},
    name::{FileKind, Name, Rank},
    reader::Source,
};

/// How a store is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster whose checkpoints it keeps.
    pub cluster: u64,
    /// What its records are authenticated with.
    pub keys: Keys,
    /// Most bytes of all files together.
    pub max_size: u64,
    /// This node's configured role.
    pub owner: Role,
    /// The other node writes to the same directory when it is the owner.
    pub shared: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Directory {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) path: PathBuf,
    pub(crate) options: Options,
}

/// A file of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreFile {
    pub(crate) name: Name,
    pub(crate) size: u64,
}

impl Directory {
    pub(crate) fn path_of(&self, name: Name) -> PathBuf {
        self.path.join(name.to_string())
    }

    pub(crate) fn rank(&self, name: Name) -> Rank {
        name.rank(self.options.shared)
    }

    /// The store's files, from the oldest to the newest; others are left out.
    pub(crate) fn list(&self) -> Result<Vec<StoreFile>, StoreError> {
        let found = self.files.list(&self.path).map_err(StoreError::disk("list", &self.path))?;
        let mut files: Vec<StoreFile> = found
            .iter()
            .filter_map(|found| Some(StoreFile { name: Name::parse(&found.name)?, size: found.size }))
            .collect();
        files.sort_by_key(|file| (self.rank(file.name), file.name.kind));
        Ok(files)
    }

    /// To read its files.
    pub(crate) fn source(&self) -> Source<'_> {
        let Options { keys, cluster, max_size, .. } = &self.options;
        Source { files: &*self.files, keys, cluster: *cluster, max_size: *max_size }
    }

    pub(crate) fn create(&self, name: Name) -> Result<Box<dyn Output>, StoreError> {
        let path = self.path_of(name);
        self.files.create(&path).map_err(StoreError::disk("create", &path))
    }

    /// Makes a file with this content. It is on the disk then, its name need not be.
    pub(crate) fn write(&self, name: Name, bytes: &[u8]) -> Result<(), StoreError> {
        let mut output = self.create(name)?;
        let path = self.path_of(name);
        output.write_all(bytes).map_err(StoreError::disk("write to", &path))?;
        output.sync().map_err(StoreError::disk("flush", &path))
    }

    /// Makes an unfinished snapshot one that counts. Nothing is on the disk before the directory is.
    pub(crate) fn finish(&self, unfinished: Name) -> Result<(), StoreError> {
        let from = self.path_of(unfinished);
        let to = self.path_of(unfinished.with(FileKind::Snapshot));
        self.files.rename(&from, &to).map_err(StoreError::disk("rename", &from))?;
        self.sync()
    }

    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.files.sync_directory(&self.path).map_err(StoreError::disk("flush", &self.path))
    }

    /// Removes snapshots and logs that are older than `oldest_kept`, and unfinished snapshots and owners that are older than `newest`. What
    /// cannot be removed is tried again the next time.
    pub(crate) fn remove_older(&self, oldest_kept: Name, newest: Name) {
        let Ok(files) = self.list() else { return };
        for StoreFile { name, .. } in files {
            let is_old = match name.kind {
                FileKind::Owner => name.seniority() < newest.seniority(),
                FileKind::Unfinished => self.rank(name) < self.rank(newest),
                FileKind::Snapshot | FileKind::Log => self.rank(name) < self.rank(oldest_kept),
            };
            if is_old {
                self.remove(name);
            }
        }
    }

    /// Removes a file, where that is possible: one that stays is in nobody's way.
    pub(crate) fn remove(&self, name: Name) {
        let _ = self.files.remove(&self.path_of(name));
    }

    /// All files together have so many bytes more than they may.
    pub(crate) fn too_large(&self, excess: u64) -> StoreError {
        let limit = self.options.max_size;
        StoreError::TooLarge { directory: self.path.clone(), needed: limit.saturating_add(excess), limit }
    }

    pub(crate) fn size(&self) -> Result<u64, StoreError> {
        Ok(self.list()?.iter().map(|file| file.size).sum())
    }
}
