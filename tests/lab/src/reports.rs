//! What agents and the daemon need of each other: a key file that both read, and where reports go.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::run::Run;
use crate::topology::Plan;

/// The text of a key file with one key for all reals. Not a secret here.
pub const KEYS: &str = "1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
/// The port that the daemon takes reports on.
const PORT: u16 = 6720;

/// The key file of a run.
pub fn key_file(run: &Run) -> PathBuf {
    run.dir().join("keys")
}

/// Writes the key file of a run, for its owner alone.
pub fn write_keys(run: &Run, text: &str) -> Result<()> {
    write_key_file(&key_file(run), text)
}

/// Writes a key file, for its owner alone.
pub fn write_key_file(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(0o600))
        .with_context(|| format!("cannot close {} to others", path.display()))
}

/// The lines of the daemon's configuration that have it take reports.
pub fn takes_reports(run: &Run) -> String {
    format!("[reports]\nlisten = [\"0.0.0.0:{PORT}\"]\nkey_file = {:?}", key_file(run))
}

impl Plan {
    /// Where the daemon takes reports.
    pub fn report_address(&self) -> SocketAddr {
        SocketAddr::new(self.lb_addresses()[0], PORT)
    }
}
