//! How the reals of a cluster are watched, and what follows: what is configured beside services and reals.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use crate::{check::Check, scheduler::SchedulerOptions};

/// What is configured. Built by the configuration's reader, which has checked that names lead somewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Monitoring {
    /// By service name; services without an entry have the default.
    pub services: BTreeMap<String, ServiceMonitoring>,
    /// By real name; reals without an entry have the default.
    pub reals: BTreeMap<String, RealMonitoring>,
    /// The law of weights.
    pub scheduler: SchedulerOptions,
}

/// Of one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceMonitoring {
    /// Each is made of every real of the service. A real is up in the service while all of them say so.
    pub checks: Vec<Arc<Check>>,
    /// What becomes of packets while no real of the service is up.
    pub all_down: AllDown,
    /// Where the weights come from.
    pub scheduling: Scheduling,
}

/// What becomes of a service's packets while none of its reals is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllDown {
    /// They are dropped.
    #[default]
    Drop,
    /// TCP is answered with a RST, the rest is dropped.
    Reset,
    /// They go where they went before any real was down: the checks may be wrong.
    LastKnown,
}

/// Where a service's weights come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheduling {
    /// From the load that the reals report; the configured weights are where it starts.
    #[default]
    Load,
    /// From the configuration alone.
    Static,
}

/// Of one real.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RealMonitoring {
    /// Where an agent that speaks HAProxy's agent-check protocol is asked, in place of waiting for reports.
    pub agent_check: Option<AgentCheck>,
}

/// An agent that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentCheck {
    /// Where it listens.
    pub address: SocketAddr,
    /// How often it is asked, in milliseconds.
    pub interval_ms: u64,
}
