//! Services of a single port: rows of `services`, and of the index that the program looks into first.
//!
//! The index never says what `services` does not: its row is cleared before a service goes and written after one has come. Where
//! two services want one row, the first one has it until it goes.

use lb_common::{IndexedService, ServiceKey, ServiceValue, map, service_row};

use super::{
    DataplaneError, Maps,
    rows::{gone, written},
};

impl Maps {
    /// Adds a service, or changes it.
    pub(super) fn set_service(&mut self, key: &ServiceKey, value: ServiceValue) -> Result<(), DataplaneError> {
        let row = self.indexed(key)?;
        let free = row == IndexedService::default();
        if row.key == *key {
            self.clear_row(row)?;
        }
        written(self.services.insert(key, value, 0), map::SERVICES)?;
        if free || row.key == *key { self.fill_row(*key, value) } else { Ok(()) }
    }

    /// Removes a service. There being none is no error.
    pub(super) fn remove_service(&mut self, key: &ServiceKey) -> Result<(), DataplaneError> {
        let row = self.indexed(key)?;
        if row.key != *key {
            return gone(self.services.remove(key), map::SERVICES);
        }
        self.clear_row(row)?;
        // Who wants the row gets it when all that goes has gone: until then it is found without the index.
        self.index_is_due = true;
        gone(self.services.remove(key), map::SERVICES)
    }

    /// Gives the index's free rows to services that want them.
    pub(super) fn index_services(&mut self) -> Result<(), DataplaneError> {
        self.index_is_due = false;
        let services: Vec<_> = self
            .services
            .iter()
            .collect::<Result<_, _>>()
            .map_err(|source| DataplaneError::Map { action: "read", map: map::SERVICES, source })?;
        for (key, value) in services {
            if self.indexed(&key)? == IndexedService::default() {
                self.fill_row(key, value)?;
            }
        }
        Ok(())
    }

    fn indexed(&self, key: &ServiceKey) -> Result<IndexedService, DataplaneError> {
        self.service_index.get(&service_row(key), 0).map_err(|source| DataplaneError::Map {
            action: "read",
            map: map::SERVICE_INDEX,
            source,
        })
    }

    /// Writes a free row. The kernel copies it byte by byte for all that it promises: so the value first, and a key only then.
    fn fill_row(&mut self, key: ServiceKey, value: ServiceValue) -> Result<(), DataplaneError> {
        let nobody = IndexedService { key: ServiceKey::default(), value };
        let at = service_row(&key);
        written(self.service_index.set(at, nobody, 0), map::SERVICE_INDEX)?;
        written(self.service_index.set(at, IndexedService { key, value }, 0), map::SERVICE_INDEX)
    }

    /// Frees a row: first its key goes.
    fn clear_row(&mut self, row: IndexedService) -> Result<(), DataplaneError> {
        let at = service_row(&row.key);
        let nobody = IndexedService { key: ServiceKey::default(), ..row };
        written(self.service_index.set(at, nobody, 0), map::SERVICE_INDEX)?;
        written(self.service_index.set(at, IndexedService::default(), 0), map::SERVICE_INDEX)
    }
}
