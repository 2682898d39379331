//! Looks at files without using them.

use std::{
    fmt,
    io::Read as _,
    path::{Path, PathBuf},
};

use lb_core::{
    auth::Keys,
    checkpoint::record::{self, Decoded, HEAD_SIZE, Header, Kind},
};

use crate::{
    error::{Refused, StoreError},
    files::Files,
    log::Replay,
    name::{FileKind, Name},
    reader::Source,
    snapshot,
};

/// What a file was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// What its records are.
    pub kind: Option<Kind>,
    /// How many records are good.
    pub records: usize,
    /// How many bytes these have.
    pub bytes: u64,
    /// How many entries they have.
    pub entries: usize,
    /// How many more entries are of kinds that this program does not know.
    pub skipped: usize,
    /// What the last of them says of itself.
    pub newest: Option<Header>,
    /// What is wrong; nothing when all is good.
    pub refused: Option<Refused>,
}

impl Report {
    /// All of the file is good.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.refused.is_none()
    }

    fn count(&mut self, decoded: &Decoded) {
        self.kind = Some(decoded.header.kind);
        self.records += 1;
        self.bytes += decoded.size as u64;
        self.entries += decoded.entries.len();
        self.skipped += decoded.skipped;
        self.newest = Some(decoded.header);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, records, entries, bytes, .. } = self;
        match &self.refused {
            None => write!(f, "{}: good, {entries} entries in {records} records of {bytes} bytes", path.display()),
            Some(refused) => write!(f, "{refused}; {records} records of {bytes} bytes before it are good"),
        }
    }
}

/// Reads a snapshot or a log as the store does, whatever its name, and says what is in it, or why it is refused.
#[must_use]
pub fn verify(files: &dyn Files, path: &Path, keys: &Keys, cluster: u64) -> Report {
    let source = Source { files, keys, cluster, max_size: u64::MAX };
    let mut report = Report {
        path: path.to_owned(),
        kind: None,
        records: 0,
        bytes: 0,
        entries: 0,
        skipped: 0,
        newest: None,
        refused: None,
    };
    let name = path.file_name().and_then(|name| Name::parse(&name.to_string_lossy()));
    let is_log = match name {
        Some(name) => name.kind == FileKind::Log,
        None => first_header(files, path).is_some_and(|header| header.kind == Kind::Delta),
    };
    let mut count = |decoded: &Decoded| report.count(decoded);
    let read = if is_log {
        Replay { stamp: None, name, take: &mut count }.read(source, path)
    } else {
        snapshot::read_parts(source, path, name, &mut count).map(|_| ())
    };
    report.refused = read.err();
    report
}

/// A file of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The file.
    pub path: PathBuf,
    /// What its name says.
    pub name: Name,
    /// Its size, in bytes.
    pub size: u64,
    /// What its first record says of itself, where there is one. It is not authenticated.
    pub first: Option<Header>,
}

/// The files of a store's directory, from the lowest number to the highest.
///
/// # Errors
/// The directory cannot be read.
pub fn list(files: &dyn Files, directory: &Path) -> Result<Vec<Listed>, StoreError> {
    let found = files.list(directory).map_err(StoreError::disk("list", directory))?;
    let mut listed: Vec<Listed> = found
        .into_iter()
        .filter_map(|found| {
            let name = Name::parse(&found.name)?;
            let path = directory.join(&found.name);
            Some(Listed { first: first_header(files, &path), path, name, size: found.size })
        })
        .collect();
    listed.sort_by_key(|file| (file.name.number, file.name.kind));
    Ok(listed)
}

fn first_header(files: &dyn Files, path: &Path) -> Option<Header> {
    let mut head = Vec::new();
    let file = files.open(path).ok()?;
    file.take(HEAD_SIZE as u64).read_to_end(&mut head).ok()?;
    record::peek(&head).ok().map(|(header, _)| header)
}
