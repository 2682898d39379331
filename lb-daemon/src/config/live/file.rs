//! The file of the changes that persist: TOML as in the configuration, written by lbd and nobody else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lb_config::{ConfigError, read_file};
use lb_core::api::ConfigItemKind;
use toml::{Table, Value};

use super::{Fate, Item, Layer};
use crate::state::replace_file;

/// Name of the file in `state_dir`.
pub const LIVE_FILE: &str = "live.toml";

const HEAD: &str = "# Written by lbd: services and reals that its API was asked to change for good, on top of the configuration file.\n\
                    # `lbctl config diff` shows them, and `lbctl add` and `lbctl remove` change them.\n";

/// Where the changes that persist are kept.
#[derive(Clone, Debug)]
pub struct LiveFile(PathBuf);

/// The changes that persist cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LiveFileError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ConfigError),
    /// It is not what was written.
    #[error("{} is damaged: {reason}; mend it, or remove it: what it held is lost then", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It does not fit the configuration file.
    #[error("the changes in {} do not fit the configuration file:\n{error}", .file.display())]
    Unfit {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        error: ConfigError,
    },
}

impl LiveFile {
    /// The file in this directory, which need not exist.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self(state_dir.join(LIVE_FILE))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What it says; nothing where it is not there.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written.
    pub fn load(&self) -> Result<Layer, LiveFileError> {
        // One that may not be looked at is not missing.
        if matches!(self.0.try_exists(), Ok(false)) {
            return Ok(Layer::default());
        }
        let text = read_file(&self.0)?;
        layer(&text).map_err(|reason| LiveFileError::Damaged { file: self.0.clone(), reason })
    }

    /// Writes the changes: without any there is no file.
    ///
    /// # Errors
    /// The disk does not take it, and the file is as it was.
    pub fn save(&self, layer: &Layer) -> io::Result<()> {
        if !layer.is_empty() {
            return replace_file(&self.0, text(layer).as_bytes());
        }
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The key that lists what is removed.
fn removed_key(kind: ConfigItemKind) -> String {
    format!("removed_{kind}s")
}

fn text(layer: &Layer) -> String {
    let mut document = Table::new();
    for (Item { kind, name }, fate) in &layer.0 {
        let (key, value) = match fate {
            Fate::Put(table) => (kind.word().to_owned(), Value::Table(table.clone())),
            Fate::Removed => (removed_key(*kind), Value::String(name.clone())),
        };
        if let Value::Array(array) = document.entry(key).or_insert_with(|| Value::Array(Vec::new())) {
            array.push(value);
        }
    }
    format!("{HEAD}\n{document}")
}

fn layer(text: &str) -> Result<Layer, String> {
    let document: Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let mut layer = Layer::default();
    for kind in [ConfigItemKind::Real, ConfigItemKind::Service] {
        for entry in array(&document, kind.word())? {
            let table = entry.as_table().ok_or_else(|| format!("a `{kind}` that is no table"))?;
            let name = table.get("name").and_then(Value::as_str).ok_or_else(|| format!("a `{kind}` without a name"))?;
            layer.0.insert(Item { kind, name: name.to_owned() }, Fate::Put(table.clone()));
        }
        for entry in array(&document, &removed_key(kind))? {
            let name = entry.as_str().ok_or_else(|| format!("an entry of `{}` is no name", removed_key(kind)))?;
            layer.0.insert(Item { kind, name: name.to_owned() }, Fate::Removed);
        }
    }
    Ok(layer)
}

fn array<'a>(document: &'a Table, key: &str) -> Result<&'a [Value], String> {
    match document.get(key) {
        Some(value) => value.as_array().map(Vec::as_slice).ok_or_else(|| format!("`{key}` is no list")),
        None => Ok(&[]),
    }
}
