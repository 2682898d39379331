//! The host's own file system.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use super::{Files, Found, Output};

/// Checkpoints tell who talks to whom: they are for their owner alone.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// The host's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostFiles;

impl Files for HostFiles {
    /// The directory's name is on the disk then.
    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        let was_there = directory.is_dir();
        if !was_there {
            parent.map_or(Ok(()), |parent| self.create_directory(parent))?;
            DirBuilder::new().mode(DIRECTORY_MODE).create(directory)?;
        }
        // A directory whose name is lost takes its files with it. Who may not read what it is in has not made it: whoever has, has kept it.
        match self.sync_directory(parent.unwrap_or(Path::new("."))) {
            Err(error) if was_there && error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            synced => synced,
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        let file = OpenOptions::new().append(true).create_new(true).mode(FILE_MODE).open(path)?;
        Ok(Box::new(HostFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) if metadata.is_file() => {
                    found.push(Found { name: entry.file_name().to_string_lossy().into_owned(), size: metadata.len() });
                }
                Ok(_) => {}
                // On a shared disk another node may remove what is being listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn free_space(&self, directory: &Path) -> io::Result<u64> {
        let status = nix::sys::statvfs::statvfs(directory)?;
        Ok(status.blocks_available().saturating_mul(status.fragment_size()))
    }
}

#[derive(Debug)]
struct HostFile(File);

impl Write for HostFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Output for HostFile {
    /// `fdatasync`: the size is written with the data, times are not.
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
