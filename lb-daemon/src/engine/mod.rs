//! The one owner of the scheduling table and the data plane. Everything that changes either goes through here, one change
//! after the other: reloads, what operators ask for, next hops, the passing of time.
//!
//! A change is made on a copy of the table, the peer is told of it, the difference is written to the maps, and only then the copy becomes
//! the table. When a write fails, the maps are brought back to what the table says. The engine blocks in the kernel, on the disk, and for a
//! moment on the peer, so it has a thread of its own ([`Handle`]).
//!
//! While this node follows another, that one says what the table is (`checkpoint`).

mod balance;
mod checkpoint;
mod explain;
mod floods;
mod forwarder;
mod host;
mod inside;
mod interfaces;
mod listeners;
mod live;
mod pace;
mod pair;
mod reload;
mod replies;
mod simulate;
#[cfg(test)]
pub(crate) mod test_support;
#[cfg(test)]
mod tests;
mod thread;
mod tick;
mod trace;
mod troubles;
mod views;
mod watchers;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lb_core::api;
use lb_core::rows::{Rows, diff};
use lb_core::service::Mode;
use lb_core::table::{AdminState, Learned, RealView, SavedState, SchedulingTable, TableError, TableOptions};
use tracing::{debug, info, warn};

use crate::config::{Config, Origin, Settings};
use crate::dataplane::{Adoption, Sweep};
use crate::next_hop::{Update, Watch};
use crate::state::StateFile;

use balance::Balance;
use checkpoint::Keeping;
pub use checkpoint::{Applied, CheckpointParts, Checkpoints, Flows, Imported, NotApplied, Restored, Snapshot};
pub use forwarder::Forwarder;
pub use host::{Host, Linux};
use interfaces::Interface;
pub use live::LiveError;
pub use pair::Digests;
pub use simulate::Question;
pub use thread::{Handle, Stopped};
pub use tick::TICK;
pub use trace::{TraceNames, TraceReal};
use troubles::Troubles;
pub use views::FlowQuery;
pub use watchers::{Senders, Watchers};

const NS_PER_MS: u64 = 1_000_000;

/// What an engine is made of.
pub struct Parts {
    /// The configuration file, for reloads.
    pub config_path: PathBuf,
    /// What it says.
    pub config: Config,
    /// The data plane.
    pub forwarder: Box<dyn Forwarder>,
    /// What was found of an earlier one.
    pub adoption: Adoption,
    /// The host.
    pub host: Box<dyn Host>,
    /// Those who watch the reals.
    pub watchers: Box<dyn Watchers>,
    /// What checkpoints need; none where none are kept.
    pub checkpoints: Option<CheckpointParts>,
}

/// Why a change was not made. Table and maps are as before, unless the error says that it was done.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The table refused it.
    #[error(transparent)]
    Refused(#[from] TableError),
    /// The maps could not be written.
    #[error("the maps could not be written, and nothing was changed: {0:#}")]
    Maps(anyhow::Error),
    /// The active node says what the table is.
    #[error("this node is standby, and follows what the active node says: ask the active node")]
    Follows,
    /// Whether there is an active node is not known.
    #[error(
        "this node is in a pair and does not know yet which node is active: ask the active node, or try again soon"
    )]
    NotKnownYet,
    /// There is nothing to take a checkpoint in.
    #[error("this node keeps no checkpoints: give it `[checkpoint]`")]
    NoCheckpoints,
    /// It was made, and what came of it cannot be shown.
    #[error("done, but the counters cannot be read: {0:#}")]
    Unseen(anyhow::Error),
}

/// The engine. See the module's own page.
pub struct Engine {
    config_path: PathBuf,
    /// What the configuration in use was made of.
    origin: Origin,
    settings: Settings,
    table: SchedulingTable,
    forwarder: Box<dyn Forwarder>,
    adoption: Adoption,
    host: Box<dyn Host>,
    watchers: Box<dyn Watchers>,
    balance: Balance,
    state: StateFile,
    troubles: Troubles,
    floods: floods::Floods,
    interfaces: Vec<Interface>,
    /// What the search for next hops says, by real.
    notes: BTreeMap<String, Note>,
    /// Next hops that are not in the maps yet, by real.
    new_next_hops: BTreeMap<String, Update>,
    /// The maps may differ from the table: bringing them back failed.
    maps_uncertain: bool,
    /// Until then attaching waits for next hops; none when it waits no longer.
    attach_by_ns: Option<u64>,
    next_sweep_ns: u64,
    /// A sweep of the flow table that is under way, and when it began.
    sweeping: Option<(u64, Sweep)>,
    next_save_ns: u64,
    /// Flows that the last sweep counted.
    flows: u64,
    /// A remembered flow counts as seen then at the earliest: when it was really seen only a predecessor knew.
    seen_floor_ns: u64,
    /// Until then the plan is the predecessor's.
    plan_held_until_ns: u64,
    /// None where no checkpoints are kept.
    keeping: Option<Keeping>,
    started_ns: u64,
    loaded_ns: u64,
    /// How long the last change of the maps took.
    maps_took: Duration,
}

/// What the search for next hops says of a real.
struct Note {
    /// What an operator should know; empty when all is well.
    text: String,
    /// Since when there has been no next hop.
    missing_since_ns: Option<u64>,
}

/// How long an attachment to new maps waits for next hops: without them the program would only drop.
const ATTACH_PATIENCE: Duration = Duration::from_secs(2);

impl Engine {
    /// Brings the maps in line with the configuration and what was saved, and attaches the program. After new maps were made
    /// that waits a moment for next hops; ticks and updates do it then.
    ///
    /// # Errors
    /// The maps cannot be read or written. Programs attached by an earlier daemon go on as they are.
    pub fn start(parts: Parts) -> anyhow::Result<Self> {
        let Parts { config_path, config, mut forwarder, adoption, host, watchers, checkpoints } = parts;
        let Config { cluster, monitoring, settings, origin } = config;
        say_adoption(&adoption, &settings);
        let now_ns = forwarder.now_ns();
        let mut troubles = Troubles::default();
        let mut state = StateFile::new(&settings.state_dir);
        let mut pace = pace::Pace::new();
        let rows = forwarder.rows().context("cannot read what the maps hold")?;
        pace.step("maps read");
        let now_ms = now_ns / NS_PER_MS;
        let (mut table, learned) = restore(&settings, &rows, now_ms, &mut state, &mut troubles)?;
        let saved_generation = table.generation();
        table.replace(cluster, now_ms).context("cannot take the configuration over")?;
        let balance = Balance::new(&table, monitoring, &learned, now_ms);
        table.set_plan(&balance.plan(&table), now_ms);
        pace.step("table");
        switch(&mut *forwarder, &rows, &table.rows())
            .map_err(|failed| failed.error.context("cannot write the maps, which go on as they were"))?;
        pace.step("maps written");
        let services = table.cluster().services().len();
        info!("services ({services}) in place in {pace}");
        let (keeping, restored) = checkpoints.map(CheckpointParts::keeping).unzip();
        let interfaces = settings.interfaces.iter().map(|name| Interface::new(name)).collect();
        let mut engine = Self {
            config_path,
            origin,
            settings,
            table,
            forwarder,
            adoption,
            host,
            watchers,
            balance,
            state,
            troubles,
            floods: floods::Floods::new(),
            interfaces,
            notes: BTreeMap::new(),
            new_next_hops: BTreeMap::new(),
            maps_uncertain: false,
            attach_by_ns: None,
            next_sweep_ns: now_ns,
            sweeping: None,
            next_save_ns: now_ns,
            flows: 0,
            seen_floor_ns: 0,
            plan_held_until_ns: 0,
            keeping,
            started_ns: now_ns,
            loaded_ns: now_ns,
            maps_took: Duration::ZERO,
        };
        if let Some(restored) = restored.flatten() {
            engine.restore(restored, saved_generation);
        }
        if engine.settings.pair.is_some() {
            engine.wait_for_owner();
        }
        engine.say_unfit_changes();
        engine.keep_what_differs();
        engine.leave_other_interfaces();
        engine.watch_next_hops();
        engine.watch_checks();
        engine.watch_reports(&learned);
        engine.save_if_behind();
        engine.begin_to_attach(now_ns);
        engine.check_host();
        Ok(engine)
    }

    /// Does what a successor wants done; the program and its maps stay in the kernel and go on.
    pub fn stop(&mut self) {
        self.save();
        info!("stopped; the XDP program stays attached and goes on (`lbd detach` takes it off)");
    }

    /// Sets what the operator wants of a real.
    ///
    /// # Errors
    /// There is no such real, this node follows another, or the maps cannot be written.
    pub fn set_admin(&mut self, real: &str, admin: api::AdminState) -> Result<api::RealChanged, ChangeError> {
        self.refuse_unless_owner()?;
        let state = views::admin_state(admin);
        let changed = self.change_both(|table, balance, now_ms| {
            let before = table.generation();
            table.set_admin(real, state, now_ms)?;
            if state == AdminState::Enabled && table.generation() != before {
                balance.operator_enabled(real, table, now_ms);
            }
            Ok(Vec::new())
        })?;
        if changed {
            info!("real {real}: {admin}");
        }
        self.real_changed(real, changed)
    }

    /// Sets the operator's weight for a real; none goes back to the configured one.
    ///
    /// # Errors
    /// There is no such real, the weight is too great, this node follows another, or the maps cannot be written.
    pub fn set_weight(&mut self, real: &str, weight: Option<u32>) -> Result<api::RealChanged, ChangeError> {
        self.refuse_unless_owner()?;
        let changed = self.change_both(|table, _, now_ms| {
            table.set_weight(real, weight, now_ms)?;
            Ok(Vec::new())
        })?;
        if changed {
            let weight = weight.map_or_else(|| "as configured".to_owned(), |weight| weight.to_string());
            info!("real {real}: weight {weight}");
        }
        self.real_changed(real, changed)
    }

    /// Takes over what the search for next hops has found.
    pub fn set_next_hops(&mut self, updates: Vec<Update>) {
        for update in updates {
            if self.table.cluster().real(&update.real).is_some() {
                self.note(&update);
                self.new_next_hops.insert(update.real.clone(), update);
            }
        }
        self.take_next_hops();
        self.check_reals();
        self.attach_when_ready();
    }

    fn note(&mut self, update: &Update) {
        let now_ns = self.forwarder.now_ns();
        let before = self.notes.get(&update.real).and_then(|note| note.missing_since_ns);
        let missing_since_ns = update.next_hop.is_none().then(|| before.unwrap_or(now_ns));
        self.notes.insert(update.real.clone(), Note { text: update.note.clone(), missing_since_ns });
    }

    /// Writes the next hops that are not in the maps yet.
    fn take_next_hops(&mut self) {
        if self.new_next_hops.is_empty() {
            return;
        }
        let updates = std::mem::take(&mut self.new_next_hops);
        let result = self.change(|table, _| {
            for update in updates.values() {
                // Of a real that has just gone, or of an address that it has just lost.
                if let Err(error) = table.set_next_hop(&update.real, update.next_hop) {
                    debug!("next hop ignored: {error}");
                }
            }
            Ok(())
        });
        match result {
            Ok(changed) => {
                self.troubles.clear("next hops");
                if changed {
                    self.watch_checks();
                }
            }
            Err(error) => {
                self.new_next_hops = updates;
                self.troubles.degraded("next hops", format!("{error}; tried again soon"));
            }
        }
    }

    fn real_changed(&mut self, name: &str, changed: bool) -> Result<api::RealChanged, ChangeError> {
        self.save_if_behind();
        self.check_reals();
        let warnings = self.state_warning().map(|warning| format!("state: {warning}")).into_iter().collect();
        match self.real(name).map_err(ChangeError::Unseen)? {
            Some(real) => Ok(api::RealChanged { generation: self.table.generation(), changed, real, warnings }),
            None => Err(TableError::UnknownReal { name: name.to_owned() }.into()),
        }
    }

    /// Changes the table and the maps, or neither; the peer hears of it before the maps do. Returns whether the table is different. Maps that are uncertain are
    /// written also when it is not.
    fn change(
        &mut self,
        change: impl FnOnce(&mut SchedulingTable, u64) -> Result<(), TableError>,
    ) -> Result<bool, ChangeError> {
        let mut next = self.table.clone();
        change(&mut next, self.now_ms())?;
        if next.generation() == self.table.generation() && !self.maps_uncertain {
            return Ok(false);
        }
        let told = self.tell_ahead(&next);
        if let Err(error) = self.write_maps(&next) {
            if told {
                self.tell_back(&next);
            }
            return Err(ChangeError::Maps(error));
        }
        let changed = next.generation() != self.table.generation();
        self.table = next;
        Ok(changed)
    }

    fn write_maps(&mut self, next: &SchedulingTable) -> anyhow::Result<()> {
        let old = if self.maps_uncertain { self.forwarder.rows()? } else { self.table.rows() };
        let new = next.rows();
        let began = Instant::now();
        let switched = switch(&mut *self.forwarder, &old, &new);
        self.maps_took = began.elapsed();
        match switched {
            Ok(()) => {
                self.maps_are_right();
                Ok(())
            }
            Err(Failed { error, undone: Ok(()) }) => Err(error),
            Err(Failed { error, undone: Err(undo_error) }) => {
                self.maps_are_wrong(&undo_error);
                Err(error)
            }
        }
    }

    fn maps_are_right(&mut self) {
        self.maps_uncertain = false;
        self.troubles.clear("maps");
    }

    fn maps_are_wrong(&mut self, error: &anyhow::Error) {
        self.maps_uncertain = true;
        let message = format!("they may differ from what is configured, and are written again soon: {error:#}");
        self.troubles.degraded("maps", message);
    }

    /// Says which reals' next hops are wanted, and what for.
    fn watch_next_hops(&self) {
        let cluster = self.table.cluster();
        let used_in = |is_so: fn(Mode) -> bool| -> HashSet<&str> {
            let services = cluster.services().iter().filter(|service| is_so(service.mode));
            services.flat_map(|service| &service.reals).map(|member| member.real.as_str()).collect()
        };
        let (tunnels, links) = (used_in(Mode::is_tunnel), used_in(|mode| mode == Mode::Dsr));
        let watch = |real: RealView<'_>| Watch {
            real: real.real.name.clone(),
            address: real.real.address,
            needs_tunnel: tunnels.contains(real.real.name.as_str())
                && cluster.tunnel().source_to(real.real.address).is_none(),
            needs_same_link: links.contains(real.real.name.as_str()),
            known: real.next_hop.copied(),
        };
        self.watchers.watch_next_hops(self.table.reals().map(watch).collect());
    }

    fn now_ms(&self) -> u64 {
        self.forwarder.now_ns() / NS_PER_MS
    }
}

/// A switch of the maps that failed.
struct Failed {
    error: anyhow::Error,
    /// Whether the maps are as before.
    undone: anyhow::Result<()>,
}

/// Leads the maps from one state to another, or back to the first when that fails.
fn switch(forwarder: &mut dyn Forwarder, old: &Rows, new: &Rows) -> Result<(), Failed> {
    forwarder.apply(&diff(old, new)).map_err(|error| {
        // Which of the writes were made is not known: the maps tell.
        let undone = forwarder.rows().and_then(|rows| forwarder.apply(&diff(&rows, old)));
        Failed { error, undone }
    })
}

/// The table as the last daemon left it: from its state file, and from the maps' rows. And what it had learned of the reals.
fn restore(
    settings: &Settings,
    rows: &Rows,
    now_ms: u64,
    state: &mut StateFile,
    troubles: &mut Troubles,
) -> anyhow::Result<(SchedulingTable, BTreeMap<String, Learned>)> {
    let options = TableOptions {
        max_reals: settings.limits.reals + 1,
        flow_idle_timeout_ms: settings.flow_idle_timeout.as_millis() as u64,
    };
    let reason = match state.load() {
        Ok(saved) => {
            let saved = saved.unwrap_or_default();
            let learned = saved.learned.clone();
            match SchedulingTable::restore(options, saved, rows, now_ms) {
                Ok(table) => return Ok((table, learned)),
                Err(error) => format!("{}: {error}", state.path().display()),
            }
        }
        Err(error) => error.to_string(),
    };
    let moved = match state.set_aside() {
        Ok(aside) => format!("moved to {}", aside.display()),
        Err(error) => format!("it cannot be moved away ({error}) and will be overwritten"),
    };
    let message = format!(
        "{reason}; {moved}. What operators had set (drained, disabled, weights) is lost: set it again with lbctl"
    );
    troubles.warning("state file", message);
    let table = SchedulingTable::restore(options, SavedState::default(), rows, now_ms);
    Ok((table.context("cannot begin with an empty state")?, BTreeMap::new()))
}

fn say_adoption(adoption: &Adoption, settings: &Settings) {
    let directory = settings.bpf_dir.display();
    match adoption {
        Adoption::Fresh => info!("new maps in {directory}"),
        Adoption::Adopted => info!("maps in {directory} adopted: flows and counters go on"),
        Adoption::Replaced { reason } => warn!(
            "maps in {directory} replaced ({reason}): counters begin at zero, and flows that were remembered are forgotten"
        ),
    }
}
