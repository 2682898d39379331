//! The file of secret keys: read only where nobody else can have read or written it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The largest key file that is read, in bytes.
pub const MAX_KEY_FILE_SIZE: u64 = 1 << 20;

/// A key file that cannot be used.
#[derive(Debug, Error)]
#[error("cannot use the key file {}: {reason}; {fix}", .path.display())]
pub struct KeyFileError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
    /// What to do.
    pub fix: String,
}

/// The text of a key file.
///
/// # Errors
/// It cannot be read, is no regular file, is owned by another user than root and this process's, can be read or written
/// by others, is too large, or is not UTF-8.
pub fn read(path: &Path) -> Result<String, KeyFileError> {
    let failed = |(reason, fix)| KeyFileError { path: path.to_owned(), reason, fix };
    let file = open(path).map_err(|error| failed(cannot_read(path, &error)))?;
    let metadata = file.metadata().map_err(|error| failed(cannot_read(path, &error)))?;
    refuse_unsafe(path, &metadata).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_KEY_FILE_SIZE + 1).read_to_end(&mut bytes).map_err(|error| failed(cannot_read(path, &error)))?;
    if bytes.len() as u64 > MAX_KEY_FILE_SIZE {
        return Err(failed(too_large(path)));
    }
    String::from_utf8(bytes).map_err(|_| failed(("it is not UTF-8".to_owned(), "write it again as UTF-8".to_owned())))
}

/// Opens without waiting for a writer, should the file be a pipe.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

type Refused = (String, String);

/// Looks at the file that was opened, so that it cannot be another one by now.
fn refuse_unsafe(path: &Path, metadata: &Metadata) -> Result<(), Refused> {
    let shown = path.display();
    let me = nix::unistd::geteuid().as_raw();
    if !metadata.is_file() {
        return Err(("it is not a regular file".to_owned(), "name a file that has one key a line".to_owned()));
    }
    if metadata.uid() != 0 && metadata.uid() != me {
        let reason = format!("it belongs to user {}, who could change it", metadata.uid());
        return Err((reason, format!("give it to the user that reads it: chown {me} {shown}")));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        let reason = format!("others than its owner can get at it (mode {mode:04o})");
        return Err((reason, format!("shut them out: chmod 600 {shown}")));
    }
    if metadata.len() > MAX_KEY_FILE_SIZE {
        return Err(too_large(path));
    }
    Ok(())
}

fn cannot_read(path: &Path, error: &io::Error) -> Refused {
    let fix = match error.kind() {
        io::ErrorKind::NotFound => {
            format!("make one: (umask 077; echo \"1 $(openssl rand -hex 32)\" > {})", path.display())
        }
        _ => "see that this process may read it".to_owned(),
    };
    (error.to_string(), fix)
}

fn too_large(path: &Path) -> Refused {
    let reason = format!("it is larger than {} KiB", MAX_KEY_FILE_SIZE >> 10);
    (reason, format!("leave only the keys that are in use in {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::*;

    struct KeyFile {
        _directory: tempfile::TempDir,
        path: PathBuf,
    }

    impl KeyFile {
        fn new(content: &[u8], mode: u32) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("keys");
            std::fs::write(&path, content).unwrap();
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            Self { _directory: directory, path }
        }

        /// What is said after the path.
        fn refusal(&self) -> String {
            let text = read(&self.path).unwrap_err().to_string();
            let path = self.path.display().to_string();
            text.strip_prefix(&format!("cannot use the key file {path}: ")).unwrap().replace(&path, "PATH")
        }
    }

    #[test]
    fn a_file_of_ones_own_is_read() {
        for mode in [0o600, 0o400] {
            assert_eq!(read(&KeyFile::new(b"1 00ff\n", mode).path).unwrap(), "1 00ff\n");
        }
    }

    #[test]
    fn a_file_that_others_can_get_at_is_refused() {
        for mode in [0o640, 0o620, 0o604, 0o602, 0o601] {
            let expected =
                format!("others than its owner can get at it (mode {mode:04o}); shut them out: chmod 600 PATH");
            assert_eq!(KeyFile::new(b"1 00ff\n", mode).refusal(), expected);
        }
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        let file = KeyFile::new(b"1 00ff\n", 0o600);
        if nix::unistd::geteuid().is_root() {
            chown(&file.path, Some(65_534), None).unwrap();
            let expected =
                "it belongs to user 65534, who could change it; give it to the user that reads it: chown 0 PATH";
            assert_eq!(file.refusal(), expected);
        }
    }

    #[test]
    fn what_is_no_file_of_text_is_refused() {
        let file = KeyFile::new(b"1 \xff", 0o600);
        assert_eq!(file.refusal(), "it is not UTF-8; write it again as UTF-8");
        File::create(&file.path).unwrap().set_len(MAX_KEY_FILE_SIZE + 1).unwrap();
        assert_eq!(file.refusal(), "it is larger than 1024 KiB; leave only the keys that are in use in PATH");
        std::fs::remove_file(&file.path).unwrap();
        let missing = "No such file or directory (os error 2); \
                       make one: (umask 077; echo \"1 $(openssl rand -hex 32)\" > PATH)";
        assert_eq!(file.refusal(), missing);
        std::fs::create_dir(&file.path).unwrap();
        assert_eq!(file.refusal(), "it is not a regular file; name a file that has one key a line");
        std::fs::remove_dir(&file.path).unwrap();
        nix::unistd::mkfifo(&file.path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(file.refusal(), "it is not a regular file; name a file that has one key a line");
    }
}
