//! Sources whose new flows are limited: read, and forgotten with the limit.

use std::{collections::HashSet, os::fd::AsFd};

use lb_common::{SourceKey, SourceValue, map};

use super::{
    Dataplane, DataplaneError,
    flows::{delete_all, each, found},
};

impl Dataplane {
    /// What is known of a source.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn get_source(&self, key: &SourceKey) -> Result<Option<SourceValue>, DataplaneError> {
        found(self.maps.sources.get(key, 0), map::SOURCES)
    }

    /// Forgets the sources of services that limit them no more: later services of their ids must not have them.
    pub(super) fn forget_sources(&self, services: &HashSet<u32>) -> Result<(), DataplaneError> {
        let mut over = Vec::new();
        each(self.maps.fds.sources.as_fd(), map::SOURCES, |key: &SourceKey, _: &SourceValue| {
            over.extend(services.contains(&key.service).then_some(*key));
            true
        })?;
        delete_all(self.maps.fds.sources.as_fd(), map::SOURCES, &over)?;
        Ok(())
    }
}
