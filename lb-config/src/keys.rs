//! The file of secret keys: read only where nobody else can have read or written it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use lb_core::auth::Keys;
use thiserror::Error;

/// The largest key file that is read, in bytes.
pub const MAX_KEY_FILE_SIZE: u64 = 1 << 20;

/// A key file that cannot be used.
#[derive(Debug, Error)]
#[error("cannot use the key file {}: {problem}", .path.display())]
pub struct KeyFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, and what to do. No secret is quoted.
    pub problem: String,
}

/// Bytes of an AES-128 key.
pub const AES_KEY_SIZE: usize = 16;

/// How to make a file of numbered keys, but for its name.
const MAKE_KEYS: &str = "echo \"1 $(openssl rand -hex 32)\"";
/// The same of a file with one AES-128 key.
const MAKE_AES_KEY: &str = "openssl rand -hex 16";

/// The keys of a key file.
///
/// # Errors
/// It cannot be read, is no regular file, is owned by another user than root and this process's, can be read or written
/// by others, is too large, or does not hold keys.
pub fn read(path: &Path) -> Result<Keys, KeyFileError> {
    let text = read_text(path, MAKE_KEYS).map_err(|problem| KeyFileError { path: path.to_owned(), problem })?;
    Keys::parse(&text).map_err(|error| KeyFileError { path: path.to_owned(), problem: error.to_string() })
}

/// The AES-128 key of a file that has nothing else: 32 hex digits.
///
/// # Errors
/// As [`read`], or it does not hold such a key.
pub fn read_aes128(path: &Path) -> Result<[u8; AES_KEY_SIZE], KeyFileError> {
    let text = read_text(path, MAKE_AES_KEY).and_then(|text| {
        let problem = || format!("it must hold 32 hex digits and nothing else; make one: {}", make(path, MAKE_AES_KEY));
        aes128(text.trim()).ok_or_else(problem)
    });
    text.map_err(|problem| KeyFileError { path: path.to_owned(), problem })
}

fn aes128(hex: &str) -> Option<[u8; AES_KEY_SIZE]> {
    let is_hex = hex.len() == 2 * AES_KEY_SIZE && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(hex, 16).ok()).flatten().map(u128::to_be_bytes)
}

fn read_text(path: &Path, make: &str) -> Result<String, String> {
    let cannot_read = |error: io::Error| cannot_read(path, &error, make);
    let file = open(path).map_err(cannot_read)?;
    refuse_unsafe(path, &file.metadata().map_err(cannot_read)?)?;
    let mut bytes = Vec::new();
    file.take(MAX_KEY_FILE_SIZE + 1).read_to_end(&mut bytes).map_err(cannot_read)?;
    if bytes.len() as u64 > MAX_KEY_FILE_SIZE {
        return Err(format!("it is larger than {} KiB; leave only the keys that are in use", MAX_KEY_FILE_SIZE >> 10));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8; write it again as UTF-8".to_owned())
}

/// Opens without waiting for a writer, should the file be a pipe.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Looks at the file that was opened, so that it cannot be another one by now.
fn refuse_unsafe(path: &Path, metadata: &Metadata) -> Result<(), String> {
    let path = path.display();
    let me = nix::unistd::geteuid().as_raw();
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if !metadata.is_file() {
        return Err("it is not a regular file; name a file that has one key a line".to_owned());
    }
    if owner != 0 && owner != me {
        return Err(format!(
            "it belongs to user {owner}, who could change it; give it to its reader: chown {me} {path}"
        ));
    }
    if mode & 0o077 != 0 {
        return Err(format!("others than its owner can get at it (mode {mode:04o}); shut them out: chmod 600 {path}"));
    }
    Ok(())
}

fn make(path: &Path, command: &str) -> String {
    format!("(umask 077; {command} > {})", path.display())
}

fn cannot_read(path: &Path, error: &io::Error, command: &str) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("{error}; make one: {}", make(path, command)),
        _ => format!("{error}; see that this process may read it"),
    }
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

    const GOOD: &[u8] = b"1 000102030405060708090a0b0c0d0e0f\n";

    #[test]
    fn a_file_of_ones_own_is_read() {
        for mode in [0o600, 0o400] {
            assert!(read(&KeyFile::new(GOOD, mode).path).unwrap().get(1).is_some());
        }
    }

    #[test]
    fn a_file_that_others_can_get_at_is_refused() {
        for mode in [0o640, 0o620, 0o604, 0o602, 0o601] {
            let expected =
                format!("others than its owner can get at it (mode {mode:04o}); shut them out: chmod 600 PATH");
            assert_eq!(KeyFile::new(GOOD, mode).refusal(), expected);
        }
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        let file = KeyFile::new(GOOD, 0o600);
        if nix::unistd::geteuid().is_root() {
            chown(&file.path, Some(65_534), None).unwrap();
            let expected = "it belongs to user 65534, who could change it; give it to its reader: chown 0 PATH";
            assert_eq!(file.refusal(), expected);
        }
    }

    #[test]
    fn an_aes_key_is_32_hex_digits() {
        let digits = "8f95f09245765f80256934E50C66207F";
        let key = 0x8f95_f092_4576_5f80_2569_34e5_0c66_207f_u128.to_be_bytes();
        for text in [digits.to_owned(), format!("{digits}\n"), format!("\n {digits} \n")] {
            assert_eq!(read_aes128(&KeyFile::new(text.as_bytes(), 0o600).path).unwrap(), key);
        }
        let file = KeyFile::new(b"", 0o600);
        let refusal =
            || read_aes128(&file.path).unwrap_err().to_string().replace(&file.path.display().to_string(), "PATH");
        let wrong = "cannot use the key file PATH: it must hold 32 hex digits and nothing else; \
                     make one: (umask 077; openssl rand -hex 16 > PATH)";
        for text in [
            String::new(),
            digits[1..].to_owned(),
            format!("0{digits}"),
            format!("+{}", &digits[1..]),
            format!("1 {digits}"),
        ] {
            std::fs::write(&file.path, &text).unwrap();
            assert_eq!(refusal(), wrong, "{text:?}");
        }
        std::fs::write(&file.path, digits).unwrap();
        set_permissions(&file.path, Permissions::from_mode(0o640)).unwrap();
        assert!(refusal().ends_with("(mode 0640); shut them out: chmod 600 PATH"), "{}", refusal());
        std::fs::remove_file(&file.path).unwrap();
        let missing = "cannot use the key file PATH: No such file or directory (os error 2); \
                       make one: (umask 077; openssl rand -hex 16 > PATH)";
        assert_eq!(refusal(), missing);
    }

    #[test]
    fn what_is_no_file_of_keys_is_refused() {
        let file = KeyFile::new(b"1 \xff", 0o600);
        assert_eq!(file.refusal(), "it is not UTF-8; write it again as UTF-8");
        std::fs::write(&file.path, "# none\n1 00\n").unwrap();
        assert!(file.refusal().starts_with("line 2: the secret must be 32 to 128 hex digits"), "{}", file.refusal());
        File::create(&file.path).unwrap().set_len(MAX_KEY_FILE_SIZE + 1).unwrap();
        assert_eq!(file.refusal(), "it is larger than 1024 KiB; leave only the keys that are in use");
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
