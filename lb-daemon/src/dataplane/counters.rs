//! The counters, summed over the CPUs.

use aya::maps::{MapData, PerCpuArray};
use lb_common::{DropReason, Event, TrafficCounters, map};

use super::{Dataplane, DataplaneError};

impl Dataplane {
    /// Packets dropped, by the index of [`DropReason`].
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn drops(&self) -> Result<Vec<u64>, DataplaneError> {
        sums(&self.maps.drops, map::DROPS, DropReason::COUNT)
    }

    /// Events, by the index of [`Event`].
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn events(&self) -> Result<Vec<u64>, DataplaneError> {
        sums(&self.maps.events, map::EVENTS, Event::COUNT)
    }

    /// What the service has been sent.
    ///
    /// # Errors
    /// The id is outside the map, or the kernel refuses to read it.
    pub fn service_counters(&self, service: u32) -> Result<TrafficCounters, DataplaneError> {
        traffic(&self.maps.service_counters, map::SERVICE_COUNTERS, service)
    }

    /// What the real has been sent.
    ///
    /// # Errors
    /// The id is outside the map, or the kernel refuses to read it.
    pub fn real_counters(&self, real: u16) -> Result<TrafficCounters, DataplaneError> {
        traffic(&self.maps.real_counters, map::REAL_COUNTERS, u32::from(real))
    }
}

fn sums(counters: &PerCpuArray<MapData, u64>, map: &'static str, count: u32) -> Result<Vec<u64>, DataplaneError> {
    (0..count)
        .map(|index| {
            let values =
                counters.get(&index, 0).map_err(|source| DataplaneError::Map { action: "read", map, source })?;
            Ok(values.iter().sum())
        })
        .collect()
}

fn traffic(
    counters: &PerCpuArray<MapData, TrafficCounters>,
    map: &'static str,
    index: u32,
) -> Result<TrafficCounters, DataplaneError> {
    let values = counters.get(&index, 0).map_err(|source| DataplaneError::Map { action: "read", map, source })?;
    Ok(values.iter().fold(TrafficCounters::default(), |sum, cpu| TrafficCounters {
        packets: sum.packets + cpu.packets,
        bytes: sum.bytes + cpu.bytes,
        syn: sum.syn + cpu.syn,
        fin: sum.fin + cpu.fin,
        rst: sum.rst + cpu.rst,
    }))
}
