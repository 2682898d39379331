//! What time brings: slots that forget, flows that are over, saving that is tried again, interfaces that come and go, and
//! a look at the host. When slots forget and flows are over is the owner's to say, on a node that follows one.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use lb_core::table::HANDSHAKE_TIMEOUT_MS;
use tracing::debug;

use super::{Engine, NS_PER_MS, Note};
use crate::dataplane::{FlowTimeouts, Sweep};

/// How often [`Engine::tick`] wants to be called.
pub const TICK: Duration = Duration::from_secs(1);
/// How often the flow table is swept, at most.
const SWEEP: Duration = Duration::from_secs(5);
/// How often the state is saved when only its generation has grown, and how often a save that failed is tried again.
const SAVE: Duration = Duration::from_secs(10);
/// How long a real may be without a next hop before that is a trouble: one that is well answers sooner.
const NEXT_HOP_PATIENCE: Duration = Duration::from_secs(1);
/// How long a flow is remembered after its client's FIN, at most: as IPVS has it.
const FIN_TIMEOUT: Duration = Duration::from_mins(2);
/// How long a flow is remembered after its client's RST, at most: as IPVS has it.
const RST_TIMEOUT: Duration = Duration::from_secs(10);

impl Engine {
    /// Does what is due.
    pub fn tick(&mut self) {
        self.take_next_hops();
        self.attach_when_ready();
        if self.is_ready() {
            self.check_interfaces();
        }
        self.check_host();
        self.wait_no_longer_when_due();
        self.expire();
        self.sweep_when_due();
        self.look_for_floods();
        self.save_when_due();
    }

    /// Looks whether what the configuration takes for granted is so.
    pub(super) fn check_host(&mut self) {
        self.check_vips();
        self.check_reals();
        self.check_replies();
    }

    /// Slots that have remembered long enough forget their previous reals. Being a change that is tried each time, this
    /// also writes maps again that are uncertain.
    fn expire(&mut self) {
        // The owner says when slots forget.
        let is_due = !self.is_ruled_by_owner();
        let expired = self.change(|table, now_ms| {
            if is_due {
                table.expire(now_ms);
            }
            Ok(())
        });
        if let Err(error) = expired {
            // The maps' own trouble is told by itself; the slots are due again at the next tick.
            debug!("slots could not be marked: {error}");
        }
    }

    fn sweep_when_due(&mut self) {
        let now_ns = self.forwarder.now_ns();
        if now_ns < self.next_sweep_ns {
            return;
        }
        let (began_ns, mut sweep) = self.sweeping.take().unwrap_or_else(|| (now_ns, Sweep::default()));
        let more = match self.forwarder.sweep_on(&mut sweep, now_ns, &self.flow_timeouts()) {
            Ok(more) => more,
            Err(error) => {
                self.next_sweep_ns = now_ns + self.sweep_interval().as_nanos() as u64;
                self.troubles.warning("flow table", format!("cannot be swept, and may fill up: {error:#}"));
                return;
            }
        };
        self.troubles.clear("flow table");
        self.tell_forgotten(&std::mem::take(&mut sweep.forgotten));
        if more {
            // A great table is swept in portions: whatever else is to be done waits for one only.
            self.sweeping = Some((began_ns, sweep));
            return;
        }
        self.next_sweep_ns = began_ns + self.sweep_interval().as_nanos() as u64;
        self.flows = sweep.flows;
        if self.is_ruled_by_owner() {
            return;
        }
        let cleaned = self.change(|table, _| {
            table.flows_in_use(&sweep.in_use, began_ns / NS_PER_MS);
            Ok(())
        });
        if let Err(error) = cleaned {
            debug!("slots could not be made clean: {error}");
        }
    }

    /// No longer than the shortest time after which a flow may be forgotten.
    fn sweep_interval(&self) -> Duration {
        let own = self.table.idle_timeouts_ms().into_values().min().map(Duration::from_millis);
        SWEEP.min(self.settings.flow_idle_timeout).min(own.unwrap_or(SWEEP))
    }

    fn flow_timeouts(&self) -> FlowTimeouts {
        let idle = self.settings.flow_idle_timeout;
        let (is_ruled, own) = (self.is_ruled_by_owner(), self.table.idle_timeouts_ms());
        // The owner says when flows are over, but for those that were never more than a SYN.
        let ns = |timeout: Duration| if is_ruled { u64::MAX } else { timeout.min(idle).as_nanos() as u64 };
        FlowTimeouts {
            open_ns: ns(idle),
            open_of_service_ns: own
                .into_iter()
                .map(|(id, ms)| (id, if is_ruled { u64::MAX } else { ms * NS_PER_MS }))
                .collect(),
            fin_ns: ns(FIN_TIMEOUT),
            rst_ns: ns(RST_TIMEOUT),
            half_open_ns: Duration::from_millis(HANDSHAKE_TIMEOUT_MS).min(idle).as_nanos() as u64,
            seen_floor_ns: self.seen_floor_ns,
        }
    }

    fn save_when_due(&mut self) {
        if self.forwarder.now_ns() >= self.next_save_ns {
            self.save();
        }
    }

    /// Saves at once what a restart must not forget.
    pub(super) fn save_if_behind(&mut self) {
        if self.state.is_behind(&self.table.saved()) {
            self.save();
        }
    }

    /// Saves the newest state, unless it is saved.
    pub(super) fn save(&mut self) {
        self.next_save_ns = self.forwarder.now_ns() + SAVE.as_nanos() as u64;
        let state = self.saved();
        if self.state.is_same(&state) {
            return;
        }
        self.state.save(state);
        match self.state_warning() {
            Some(warning) => self.troubles.degraded("state", warning),
            None => self.troubles.clear("state"),
        }
    }

    /// Why a restart would forget what operators have set; none when it would not.
    pub(super) fn state_warning(&self) -> Option<String> {
        let error = self.state.error()?;
        Some(format!(
            "cannot be saved to {}: {error}; traffic goes on, but a restart of lbd forgets the newest changes: \
             make room or make it writable, and lbd tries again every {} seconds",
            self.state.path().display(),
            SAVE.as_secs()
        ))
    }

    /// A VIP that is on no interface is answered for by nobody, unless it is routed here.
    fn check_vips(&mut self) {
        // In a pair they come and go with the takeover.
        if self.settings.pair.is_some() {
            return;
        }
        let Some(addresses) = self.host.addresses() else { return };
        let interface = self.settings.interfaces.first().map_or("eth0", String::as_str);
        let mut gone = self.troubles.subjects("vip ");
        // Whole prefixes are routed.
        let single = self.table.cluster().services().iter().filter(|service| service.vip_prefix.is_none());
        let vips: BTreeSet<IpAddr> = single.map(|service| service.vip).collect();
        for vip in vips {
            let subject = format!("vip {vip}");
            gone.remove(&subject);
            if addresses.contains(&vip) {
                self.troubles.clear(&subject);
                continue;
            }
            let length = if vip.is_ipv4() { 32 } else { 128 };
            let message = format!(
                "on no interface of this host: unless it is routed here, no packet for it comes; \
                 ip address add {vip}/{length} dev {interface}"
            );
            self.troubles.warning(subject, message);
        }
        gone.iter().for_each(|subject| self.troubles.forget(subject));
    }

    /// A real without a next hop loses packets.
    pub(super) fn check_reals(&mut self) {
        let patient_until_ns = self.forwarder.now_ns().saturating_sub(NEXT_HOP_PATIENCE.as_nanos() as u64);
        let mut gone = self.troubles.subjects("real ");
        for real in self.table.reals() {
            let subject = format!("real {}", real.real.name);
            gone.remove(&subject);
            // Before the first look there is nothing to say.
            let Some(Note { text, missing_since_ns }) = self.notes.get(&real.real.name) else { continue };
            let address = real.real.address;
            match real.next_hop {
                Some(_) if text.is_empty() => self.troubles.clear(&subject),
                Some(_) => self.troubles.warning(subject, format!("{address}: {text}")),
                None if missing_since_ns.is_some_and(|since_ns| since_ns > patient_until_ns) => {}
                None => self.troubles.degraded(subject, format!("{address}: no next hop is known: {text}")),
            }
        }
        gone.iter().for_each(|subject| self.troubles.forget(subject));
    }
}
