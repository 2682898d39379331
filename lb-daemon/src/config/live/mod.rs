//! Services and reals that were changed by the API, beside the file: added, replaced or removed.
//!
//! Two layers lie on the file: changes that persist, which a file in `state_dir` holds, and above them those that last until a restart
//! or reload. The configuration is the file with both applied, and is checked whole, as if somebody had written it so.

mod differences;
mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lb_config::ConfigError;
use lb_core::api::{ConfigItem, ConfigItemKind};
use toml::{Table, Value};

use super::{Config, Host};

pub use file::{LIVE_FILE, LiveFile, LiveFileError};

/// What a configuration was made of.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The text of the file.
    pub file: String,
    /// What was changed beside it.
    pub live: Live,
    /// Why the changes that persist are not in use; `None`: they are, or there are none.
    pub unfit: Option<String>,
}

/// All changes beside the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// Those that persist.
    pub persistent: Layer,
    /// Those that last until a restart or reload.
    pub temporary: Layer,
}

/// Changes of one kind: what became of each service and real that was changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layer(BTreeMap<Item, Fate>);

/// A service or real, by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// What it is.
    pub kind: ConfigItemKind,
    /// Its name.
    pub name: String,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It is this now.
    Put(Table),
    /// It is no more.
    Removed,
}

impl Layer {
    /// Nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The document with the changes applied.
    fn on(&self, mut document: Table) -> Table {
        for (item, fate) in &self.0 {
            put(&mut document, item, fate);
        }
        document
    }

    /// Without what `below` says by itself.
    fn on_top_of(mut self, below: &Table) -> Self {
        self.0.retain(|item, fate| !fate.is_so(item, below));
        self
    }

    /// Notes a change of what is `below`: one that changes nothing is none.
    fn note(&mut self, item: Item, fate: Fate, below: &Table) {
        if fate.is_so(&item, below) {
            self.0.remove(&item);
        } else {
            self.0.insert(item, fate);
        }
    }
}

impl Fate {
    /// The document says so by itself.
    fn is_so(&self, item: &Item, document: &Table) -> bool {
        match self {
            Self::Put(table) => find(document, item) == Some(table),
            Self::Removed => find(document, item).is_none(),
        }
    }
}

impl Live {
    /// Nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.persistent.is_empty() && self.temporary.is_empty()
    }

    fn on(&self, document: Table) -> Table {
        self.temporary.on(self.persistent.on(document))
    }
}

impl Origin {
    /// The configuration as one document: the file with all changes.
    #[must_use]
    pub fn document(&self) -> Table {
        self.live.on(self.file_document())
    }

    /// The text of the configuration: the file itself where nothing was changed beside it.
    #[must_use]
    pub fn text(&self) -> String {
        if self.live.is_empty() { self.file.clone() } else { self.document().to_string() }
    }

    /// It is in use, or comes back with a reload.
    #[must_use]
    pub fn knows(&self, item: &Item) -> bool {
        find(&self.document(), item).is_some() || find(&self.live.persistent.on(self.file_document()), item).is_some()
    }

    /// All services or reals as they are now.
    #[must_use]
    pub fn items(&self, kind: ConfigItemKind) -> Vec<ConfigItem> {
        tables(&self.document(), kind).filter_map(|table| serde_json::to_value(table).ok()).collect()
    }

    /// The changes after one more.
    #[must_use]
    pub fn with(&self, item: Item, fate: Fate, persist: bool) -> Live {
        let Live { mut persistent, mut temporary } = self.live.clone();
        let file = self.file_document();
        if persist {
            temporary.0.remove(&item);
            persistent.note(item, fate, &file);
        } else {
            temporary.note(item, fate, &persistent.on(file));
        }
        Live { persistent, temporary }
    }

    /// A file that was read is TOML.
    fn file_document(&self) -> Table {
        self.file.parse().unwrap_or_default()
    }
}

impl Config {
    /// Reads and checks a file, with the changes that persist in its `state_dir`. Where they do not fit the file, or cannot be read, the
    /// file alone counts, and [`Origin::unfit`] says why: a node that has to start serves what it can.
    ///
    /// # Errors
    /// The file cannot be read, or it is wrong.
    pub fn load_to_start(path: &Path) -> Result<Self, ConfigError> {
        let config = Self::load(path)?;
        let unfit = match config.clone().with_persistent(path) {
            Ok(config) => return Ok(config),
            Err(error) => error.to_string(),
        };
        Ok(Self { origin: Origin { unfit: Some(unfit), ..config.origin }, ..config })
    }

    /// The configuration with the changes that persist in its `state_dir`, and no other.
    ///
    /// # Errors
    /// They cannot be read, or do not fit the file.
    pub fn with_persistent(self, path: &Path) -> Result<Self, LiveFileError> {
        let file = LiveFile::new(&self.settings.state_dir);
        let persistent = file.load()?.on_top_of(&self.origin.file_document());
        if persistent.is_empty() {
            return Ok(self);
        }
        let live = Live { persistent, temporary: Layer::default() };
        let file = file.path().to_owned();
        Self::with_live(path, &self.origin.file, live).map_err(|error| LiveFileError::Unfit { file, error })
    }

    /// The configuration that the text of the file at `path` and these changes make.
    ///
    /// # Errors
    /// They do not make one; the error shows it in the text of both together.
    pub fn with_live(path: &Path, file: &str, live: Live) -> Result<Self, ConfigError> {
        let origin = Origin { file: file.to_owned(), live, unfit: None };
        let path = if origin.live.is_empty() { path.to_owned() } else { together(path) };
        let config = Self::parse_on(&path, &origin.text(), &Host::THIS)?;
        Ok(Self { origin, ..config })
    }
}

/// What errors call the file with the changes.
fn together(path: &Path) -> PathBuf {
    PathBuf::from(format!("{} with live changes", path.display()))
}

fn put(document: &mut Table, item: &Item, fate: &Fate) {
    let key = item.kind.word().to_owned();
    let Value::Array(array) = document.entry(key).or_insert_with(|| Value::Array(Vec::new())) else { return };
    let place = array.iter().position(|entry| entry.as_table().is_some_and(|table| is(table, item)));
    match (fate, place) {
        (Fate::Put(table), Some(place)) => array[place] = Value::Table(table.clone()),
        (Fate::Put(table), None) => array.push(Value::Table(table.clone())),
        (Fate::Removed, Some(place)) => drop(array.remove(place)),
        (Fate::Removed, None) => {}
    }
}

fn find<'a>(document: &'a Table, item: &Item) -> Option<&'a Table> {
    tables(document, item.kind).find(|table| is(table, item))
}

fn tables(document: &Table, kind: ConfigItemKind) -> impl Iterator<Item = &Table> {
    document.get(kind.word()).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table)
}

fn is(table: &Table, item: &Item) -> bool {
    table.get("name").and_then(Value::as_str) == Some(&item.name)
}
