//! A Python with aioquic, for QUIC servers and clients that are not of this project's language.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// From this package's directory, as the other path here.
const ENVIRONMENT: &str = "../../target/aioquic";
/// What it holds, by versions and hashes.
const REQUIREMENTS: &str = "../tests/quic/requirements.txt";
/// In the environment: a copy of the requirements, written when all of them are installed.
const STAMP: &str = "installed.txt";

/// A virtual environment of Python, made once.
#[derive(Debug)]
pub struct Aioquic {
    /// Where it lies.
    pub directory: PathBuf,
    /// The file with the requirements.
    pub requirements: PathBuf,
}

impl Default for Aioquic {
    fn default() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self { directory: here.join(ENVIRONMENT), requirements: here.join(REQUIREMENTS) }
    }
}

impl Aioquic {
    /// Whether it is there with just what is required.
    ///
    /// # Errors
    /// The requirements cannot be read.
    pub fn is_installed(&self) -> Result<bool> {
        let required = self.required()?;
        // What cannot be read is not installed.
        Ok(fs::read_to_string(self.directory.join(STAMP)).is_ok_and(|installed| installed == required))
    }

    /// Notes that everything is installed.
    ///
    /// # Errors
    /// The note cannot be written.
    pub fn note_installed(&self) -> Result<()> {
        let stamp = self.directory.join(STAMP);
        fs::write(&stamp, self.required()?).with_context(|| format!("cannot write {}", stamp.display()))
    }

    /// The interpreter in it, whether or not it is there.
    #[must_use]
    pub fn interpreter(&self) -> PathBuf {
        self.directory.join("bin/python")
    }

    /// The interpreter that has aioquic.
    ///
    /// # Errors
    /// The environment is missing or an old one.
    pub fn python(&self) -> Result<PathBuf> {
        if !self.is_installed()? {
            bail!(
                "no aioquic, as {} has it, in {}: run `cargo xtask test --only aioquic`",
                self.requirements.display(),
                self.directory.display()
            );
        }
        Ok(self.interpreter())
    }

    fn required(&self) -> Result<String> {
        let file = &self.requirements;
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
    }
}
