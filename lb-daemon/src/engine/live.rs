//! Changes of services and reals by the API: as a reload, all or nothing, and flows of other services and reals go on.

#[cfg(test)]
mod tests;

use std::fmt;

use lb_config::read_file;
use lb_core::api::{ConfigChanged, ConfigDiff, ConfigInUse, ConfigItemKind, ErrorBody, Reloaded};
use tracing::{error, info, warn};

use super::Engine;
use crate::config::Config;
use crate::config::live::{Fate, Item, Layer, Live, LiveFile};

/// Why services and reals stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// There is nothing of that name to remove.
    #[error("there is no {kind} {name:?}")]
    Unknown {
        /// What it should be.
        kind: ConfigItemKind,
        /// Its name.
        name: String,
    },
    /// The configuration would be wrong.
    #[error("{}", .0.error)]
    Refused(ErrorBody),
    /// The change would not persist.
    #[error("nothing was changed: cannot write {file}: {error}")]
    Unsaved {
        /// Where it would be kept.
        file: String,
        /// What the disk says.
        error: std::io::Error,
    },
}

/// What peers have to do with it.
const PEER: &str = "the peer does not have this change: make it there, too";

impl Engine {
    /// Adds, replaces or removes a service or real; with `persist` for good, else until a restart or reload.
    ///
    /// # Errors
    /// There is no such thing to remove, the configuration would be wrong, or the change cannot be kept. Nothing has changed then.
    pub fn change_live(&mut self, item: Item, fate: Fate, persist: bool) -> Result<ConfigChanged, LiveError> {
        let what = Change { item: &item, fate: &fate, persist }.to_string();
        let result = self.try_change_live(item, fate, persist);
        match &result {
            Ok(_) => info!("{what}"),
            Err(error) => error!("not done: {what}: {error}"),
        }
        result
    }

    fn try_change_live(&mut self, item: Item, fate: Fate, persist: bool) -> Result<ConfigChanged, LiveError> {
        if fate == Fate::Removed && !self.origin.knows(&item) {
            return Err(LiveError::Unknown { kind: item.kind, name: item.name });
        }
        let live = self.origin.with(item, fate, persist);
        let config = Config::with_live(&self.config_path, &self.origin.file, live.clone())
            .map_err(|error| LiveError::Refused(ErrorBody { error: error.to_string(), hint: None }))?;
        let Reloaded { generation, changed, mut warnings } = self.keep_and_take_over(config, &live)?;
        if self.settings.pair.is_some() {
            warnings.push(format!("pair: {PEER}"));
        }
        Ok(ConfigChanged { generation, changed, persistent: persist, warnings })
    }

    /// Writes what persists before it is in use, and takes it back where it cannot be used.
    fn keep_and_take_over(&mut self, config: Config, live: &Live) -> Result<Reloaded, LiveError> {
        let before = self.origin.live.persistent.clone();
        let is_kept = self.origin.unfit.is_none() && before == live.persistent;
        if !is_kept {
            self.keep(&live.persistent)?;
        }
        self.take_over(config).map_err(|body| {
            if !is_kept && let Err(error) = self.keep(&before) {
                error!("{error}: a restart would take over a change that was refused");
            }
            LiveError::Refused(body)
        })
    }

    fn keep(&self, layer: &Layer) -> Result<(), LiveError> {
        let file = LiveFile::new(&self.settings.state_dir);
        file.save(layer).map_err(|error| LiveError::Unsaved { file: file.path().display().to_string(), error })
    }

    /// Forgets kept changes that the file says by itself now: otherwise they would lie over what it says next.
    pub(super) fn keep_what_differs(&mut self) {
        let kept = LiveFile::new(&self.settings.state_dir).load();
        let differs = kept.is_ok_and(|kept| kept != self.origin.live.persistent);
        if differs
            && self.origin.unfit.is_none()
            && let Err(error) = self.keep(&self.origin.live.persistent)
        {
            warn!("{error}: changes that the file has by now are kept all the same");
        }
    }

    /// Changes that should persist and do not fit the file stand among the troubles until they do.
    pub(super) fn say_unfit_changes(&mut self) {
        match &self.origin.unfit {
            Some(unfit) => self.troubles.degraded("live changes", format!("not in use: {unfit}")),
            None => self.troubles.clear("live changes"),
        }
    }

    /// The configuration in use.
    #[must_use]
    pub fn config_in_use(&self) -> ConfigInUse {
        ConfigInUse {
            file: self.config_path.display().to_string(),
            text: self.origin.text(),
            reals: self.origin.items(ConfigItemKind::Real),
            services: self.origin.items(ConfigItemKind::Service),
        }
    }

    /// What differs from the file.
    #[must_use]
    pub fn config_diff(&self) -> ConfigDiff {
        ConfigDiff {
            file: self.config_path.display().to_string(),
            file_edited: read_file(&self.config_path).ok().as_ref() != Some(&self.origin.file),
            unfit: self.origin.unfit.clone(),
            changes: self.origin.differences(),
        }
    }
}

/// A change, for the log.
struct Change<'a> {
    item: &'a Item,
    fate: &'a Fate,
    persist: bool,
}

impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fate {
            Fate::Put(_) => "put",
            Fate::Removed => "removed",
        };
        let until = if self.persist { "for good" } else { "until a restart or reload" };
        write!(f, "{} {} {what} by the API, {until}", self.item.kind, self.item.name)
    }
}
