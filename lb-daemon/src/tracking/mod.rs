//! How able this node is to serve, as far as the host can tell: do its interfaces have a carrier and the XDP program, do its gateways
//! answer, are there healthy reals. The better node serves; `lb_core::pair` decides who that is.
//!
//! What gets worse is told at once. A carrier that comes back has to stay for a moment first, so that one that flaps moves
//! nothing to and fro.

mod assess;
mod carrier;
mod gateway;
mod task;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lb_core::pair::Input;
use tokio::runtime;
use tokio::sync::watch;

use crate::config::PairSettings;

pub use assess::{FEW_REALS, SILENT_GATEWAY};
use task::Task;

/// What is tracked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Interfaces that must have a carrier.
    pub interfaces: Vec<String>,
    /// Interfaces that must have the XDP program.
    pub attached: Vec<String>,
    /// Its id; none: any program will do.
    pub program: Option<u32>,
    /// Addresses on a link of this host that must answer.
    pub gateways: Vec<IpAddr>,
    /// Between two questions to a gateway.
    pub gateway_interval: Duration,
    /// The node is less fit with fewer healthy reals; 0: they do not count.
    pub min_healthy_reals: u32,
    /// Never the source of a question: an active node has them, and another does not.
    pub vips: Vec<IpAddr>,
}

impl Settings {
    /// What a pair's configuration says of it; and the id of this daemon's XDP program.
    #[must_use]
    pub fn of(pair: &PairSettings, program: Option<u32>) -> Self {
        Self {
            interfaces: pair.track.interfaces.clone(),
            attached: pair.vip_groups.iter().map(|group| group.interface.clone()).collect(),
            program,
            gateways: pair.track.gateways.clone(),
            gateway_interval: pair.track.gateway_interval,
            min_healthy_reals: pair.track.min_healthy_reals,
            vips: pair.vips().collect(),
        }
    }
}

/// Where what is found is told: [`Input::Fitness`], whenever it is another. Must not wait for anything.
pub type Tell = Arc<dyn Fn(Input) + Send + Sync>;

/// The running tracking. It ends when this is dropped.
#[derive(Debug)]
pub struct Tracking {
    settings: watch::Sender<Settings>,
    healthy_reals: watch::Sender<Option<u32>>,
}

impl Tracking {
    /// Tracks something else from now on.
    pub fn set(&self, settings: Settings) {
        self.settings.send_if_modified(|before| {
            let is_new = *before != settings;
            *before = settings;
            is_new
        });
    }

    /// So many reals are healthy. Before the first word of it their number does not count.
    pub fn set_healthy_reals(&self, healthy: u32) {
        self.healthy_reals.send_if_modified(|before| before.replace(healthy) != Some(healthy));
    }
}

/// Starts to track on a thread of its own, in the network namespace of the calling thread.
///
/// # Errors
/// A socket or a thread cannot be had.
pub fn start(settings: Settings, tell: Tell) -> io::Result<Tracking> {
    let (settings, new_settings) = watch::channel(settings);
    let (healthy_reals, new_healthy) = watch::channel(None);
    let (opened, outcome) = std::sync::mpsc::sync_channel(1);
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let work = async move {
        match Task::open(new_settings, new_healthy, tell) {
            Ok(task) => {
                let _ = opened.send(Ok(()));
                task.run().await;
            }
            // Who has asked waits for it.
            Err(error) => drop(opened.send(Err(error))),
        }
    };
    thread::Builder::new().name("tracking".to_owned()).spawn(move || runtime.block_on(work))?;
    outcome.recv().map_err(|_| io::Error::other("the tracking's thread has ended at once"))??;
    Ok(Tracking { settings, healthy_reals })
}
