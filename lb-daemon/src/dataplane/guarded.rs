//! What the program changes of services with flags, put into any state by tests: sources, and one CPU's counters.

use std::os::fd::AsFd;

use aya::{maps::PerCpuValues, util::nr_cpus};
use lb_common::{SourceKey, SourceValue, TrafficCounters, map};

use super::{
    Dataplane, DataplaneError,
    flows::{delete_all, each},
    rows::written,
};

impl Dataplane {
    /// Sets when a source's next new flow would be due.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn put_source(&mut self, key: &SourceKey, value: &SourceValue) -> Result<(), DataplaneError> {
        written(self.maps.sources.insert(key, value, 0), map::SOURCES)
    }

    /// All sources.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn sources(&self) -> Result<Vec<(SourceKey, SourceValue)>, DataplaneError> {
        let mut sources = Vec::new();
        each(self.maps.fds.sources.as_fd(), map::SOURCES, |key: &SourceKey, value: &SourceValue| {
            sources.push((*key, *value));
            true
        })?;
        Ok(sources)
    }

    /// Forgets all sources.
    ///
    /// # Errors
    /// The kernel refuses to read or write the map.
    pub fn clear_sources(&mut self) -> Result<(), DataplaneError> {
        let keys: Vec<SourceKey> = self.sources()?.into_iter().map(|(key, _)| key).collect();
        delete_all(self.maps.fds.sources.as_fd(), map::SOURCES, &keys).map(drop)
    }

    /// Sets what one CPU has counted for a service. The other CPUs have counted nothing.
    ///
    /// # Errors
    /// The id is outside the map, or the kernel refuses.
    pub fn put_service_counters(
        &mut self,
        service: u32,
        cpu: usize,
        counters: TrafficCounters,
    ) -> Result<(), DataplaneError> {
        let map = map::SERVICE_COUNTERS;
        let failed = |source| DataplaneError::MapCall { action: "write", map, source };
        let cpus = nr_cpus().map_err(|(_, source)| failed(source))?;
        let mut values = vec![TrafficCounters::default(); cpus];
        if let Some(own) = values.get_mut(cpu) {
            *own = counters;
        }
        let values = PerCpuValues::try_from(values).map_err(failed)?;
        written(self.maps.service_counters.set(service, values, 0), map)
    }
}
