//! What the store wants of a file system, so that tests can put one in its place that loses, tears and fails.

mod host;

use std::{
    fmt,
    io::{self, Read, Write},
    path::Path,
};

pub use host::HostFiles;

/// A file system. A call may take as long as the disk does.
///
/// Each method fails where the disk does: it is full, read-only, broken or gone.
pub trait Files: fmt::Debug + Send + Sync {
    /// Makes a directory, and those above it, and waits until their names are on the disk. One that is there already is no error.
    ///
    /// # Errors
    /// It cannot be made.
    fn create_directory(&self, directory: &Path) -> io::Result<()>;

    /// Makes an empty file to be written to at its end.
    ///
    /// # Errors
    /// It is there already, or cannot be made.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>>;

    /// Opens a file to be read from its beginning.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;

    /// Gives a file another name in the same directory; a file that had that name is gone.
    ///
    /// # Errors
    /// It is not there, or cannot be renamed.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// It is not there, or cannot be removed.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The files of a directory, in no order.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    fn list(&self, directory: &Path) -> io::Result<Vec<Found>>;

    /// Waits until all names in a directory are on the disk.
    ///
    /// # Errors
    /// They are not; names that were made or changed since the last success may be lost.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Bytes that can still be written to the disk of a directory.
    ///
    /// # Errors
    /// The disk does not say.
    fn free_space(&self, directory: &Path) -> io::Result<u64>;
}

/// A file that is being written.
pub trait Output: Write + fmt::Debug + Send {
    /// Waits until all that was written is on the disk.
    ///
    /// # Errors
    /// It is not. What was written since the last success must be taken for lost, whatever a second call says.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its size, in bytes.
    pub size: u64,
}
