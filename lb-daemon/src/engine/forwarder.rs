//! What the engine needs of the data plane: a trait, so that its tests can do without a kernel.

use lb_common::{FlowKey, FlowValue, HalfOpenValue, SourceKey, SourceValue, TrafficCounters};
use lb_core::rows::{MapWrite, Rows};

use crate::config;
use crate::dataplane::{AttachMode, Attached, Dataplane, FlowTimeouts, Sweep};

/// The maps, the program and its attachments. Every call may block in the kernel.
///
/// Errors are for people: they name what failed and what to do.
pub trait Forwarder: Send {
    /// The clock of the flow table, in nanoseconds; it never goes back.
    fn now_ns(&self) -> u64;
    /// What the maps hold.
    ///
    /// # Errors
    /// A map cannot be read.
    fn rows(&self) -> anyhow::Result<Rows>;
    /// Makes the writes, in order. On an error those before it stay made.
    ///
    /// # Errors
    /// A write was refused.
    fn apply(&mut self, writes: &[MapWrite]) -> anyhow::Result<()>;
    /// Attaches the program to an interface, or replaces its predecessor there.
    ///
    /// # Errors
    /// The interface does not take it.
    fn attach(&mut self, interface: &str, mode: config::AttachMode) -> anyhow::Result<Attached>;
    /// Takes the program off an interface.
    ///
    /// # Errors
    /// It cannot be taken off.
    fn detach(&mut self, interface: &str) -> anyhow::Result<()>;
    /// Takes off what an earlier daemon attached to other interfaces than these, and says what that was.
    ///
    /// # Errors
    /// It cannot be taken off.
    fn detach_others(&mut self, keep: &[String]) -> anyhow::Result<Vec<String>>;
    /// Packets dropped, by index of the drop reason.
    ///
    /// # Errors
    /// The map cannot be read.
    fn drops(&self) -> anyhow::Result<Vec<u64>>;
    /// Events, by index.
    ///
    /// # Errors
    /// The map cannot be read.
    fn events(&self) -> anyhow::Result<Vec<u64>>;
    /// What a service has been sent.
    ///
    /// # Errors
    /// The map cannot be read.
    fn service_counters(&self, id: u32) -> anyhow::Result<TrafficCounters>;
    /// What a real has been sent.
    ///
    /// # Errors
    /// The map cannot be read.
    fn real_counters(&self, id: u16) -> anyhow::Result<TrafficCounters>;
    /// Up to `limit` entries of the flow table that are wanted.
    ///
    /// # Errors
    /// The map cannot be read.
    fn flows(
        &self,
        limit: usize,
        wanted: &mut dyn FnMut(&FlowKey, &FlowValue) -> bool,
    ) -> anyhow::Result<Vec<(FlowKey, FlowValue)>>;
    /// What the flow table has of a flow.
    ///
    /// # Errors
    /// The map cannot be read.
    fn flow(&self, key: &FlowKey) -> anyhow::Result<Option<FlowValue>>;
    /// What is known of a half-open flow.
    ///
    /// # Errors
    /// The map cannot be read.
    fn half_open(&self, key: &FlowKey) -> anyhow::Result<Option<HalfOpenValue>>;
    /// What is known of a source whose new flows are limited.
    ///
    /// # Errors
    /// The map cannot be read.
    fn source(&self, key: &SourceKey) -> anyhow::Result<Option<SourceValue>>;
    /// Goes on with a sweep: forgets flows that are over, and says which slots have flows left. Returns whether there is more to be looked at.
    ///
    /// # Errors
    /// A map cannot be read or written.
    fn sweep_on(&mut self, sweep: &mut Sweep, now_ns: u64, timeouts: &FlowTimeouts) -> anyhow::Result<bool>;
}

impl Forwarder for Dataplane {
    fn now_ns(&self) -> u64 {
        Self::now_ns()
    }

    fn rows(&self) -> anyhow::Result<Rows> {
        Ok(Self::rows(self)?)
    }

    fn apply(&mut self, writes: &[MapWrite]) -> anyhow::Result<()> {
        Ok(Self::apply(self, writes)?)
    }

    fn attach(&mut self, interface: &str, mode: config::AttachMode) -> anyhow::Result<Attached> {
        let mode = match mode {
            config::AttachMode::Auto => AttachMode::Auto,
            config::AttachMode::Driver => AttachMode::Driver,
            config::AttachMode::Generic => AttachMode::Generic,
        };
        Ok(Self::attach(self, interface, mode)?)
    }

    fn detach(&mut self, interface: &str) -> anyhow::Result<()> {
        Ok(Self::detach(self, interface)?)
    }

    fn detach_others(&mut self, keep: &[String]) -> anyhow::Result<Vec<String>> {
        Ok(Self::detach_others(self, keep)?)
    }

    fn drops(&self) -> anyhow::Result<Vec<u64>> {
        Ok(Self::drops(self)?)
    }

    fn events(&self) -> anyhow::Result<Vec<u64>> {
        Ok(Self::events(self)?)
    }

    fn service_counters(&self, id: u32) -> anyhow::Result<TrafficCounters> {
        Ok(Self::service_counters(self, id)?)
    }

    fn real_counters(&self, id: u16) -> anyhow::Result<TrafficCounters> {
        Ok(Self::real_counters(self, id)?)
    }

    fn flows(
        &self,
        limit: usize,
        wanted: &mut dyn FnMut(&FlowKey, &FlowValue) -> bool,
    ) -> anyhow::Result<Vec<(FlowKey, FlowValue)>> {
        Ok(Self::flows(self, limit, wanted)?)
    }

    fn flow(&self, key: &FlowKey) -> anyhow::Result<Option<FlowValue>> {
        Ok(self.get_flow(key)?)
    }

    fn half_open(&self, key: &FlowKey) -> anyhow::Result<Option<HalfOpenValue>> {
        Ok(self.get_half_open(key)?)
    }

    fn source(&self, key: &SourceKey) -> anyhow::Result<Option<SourceValue>> {
        Ok(self.get_source(key)?)
    }

    fn sweep_on(&mut self, sweep: &mut Sweep, now_ns: u64, timeouts: &FlowTimeouts) -> anyhow::Result<bool> {
        Ok(Self::sweep_on(self, sweep, now_ns, timeouts)?)
    }
}
