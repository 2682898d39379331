//! Keeps the program attached to the interfaces of the configuration: to those that exist now, and to others when they appear.

use std::time::Duration;

use lb_core::api;
use tracing::info;

use super::{ATTACH_PATIENCE, Engine};
use crate::dataplane::{Adoption, AttachMode, Attached};

/// How long an interface that refused the program is left alone.
const RETRY: Duration = Duration::from_secs(10);

/// One interface of the configuration.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) name: String,
    attached: Option<Attached>,
    retry_ns: u64,
}

impl Interface {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), attached: None, retry_ns: 0 }
    }

    /// How the program runs on it.
    pub(super) fn mode(&self) -> Option<api::AttachMode> {
        match self.attached.as_ref()?.mode {
            AttachMode::Driver => Some(api::AttachMode::Driver),
            AttachMode::Auto | AttachMode::Generic => Some(api::AttachMode::Generic),
        }
    }

    /// What troubles with it are filed under.
    pub(super) fn subject(&self) -> String {
        format!("interface {}", self.name)
    }
}

impl Engine {
    /// Takes the program off interfaces that the configuration no longer names: it has changed while no daemon ran.
    pub(super) fn leave_other_interfaces(&mut self) {
        match self.forwarder.detach_others(&self.settings.interfaces) {
            Ok(removed) => removed.iter().for_each(|what| info!("removed {what}, since it is not configured")),
            Err(error) => {
                let message = format!("what an earlier lbd attached cannot be removed, and still forwards: {error:#}");
                self.troubles.warning("other interfaces", message);
            }
        }
    }

    /// Attaches now where the maps went on, and after a moment where they are new.
    pub(super) fn begin_to_attach(&mut self, now_ns: u64) {
        if self.adoption == Adoption::Adopted {
            self.check_interfaces();
        } else {
            self.attach_by_ns = Some(now_ns + ATTACH_PATIENCE.as_nanos() as u64);
            self.attach_when_ready();
        }
    }

    /// The program is attached wherever it can be, or was tried to be.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.attach_by_ns.is_none()
    }

    /// Ends the wait for next hops once all are known, or it has been long enough.
    pub(super) fn attach_when_ready(&mut self) {
        let Some(by_ns) = self.attach_by_ns else { return };
        let held = self.table.slots_held();
        let all_known = self.table.reals().all(|real| real.next_hop.is_some() || !held.contains_key(&real.id));
        if all_known || self.forwarder.now_ns() >= by_ns {
            self.attach_by_ns = None;
            self.check_interfaces();
        }
    }

    /// Attaches where the program is missing, and notices where an interface has gone or is another one now.
    pub(super) fn check_interfaces(&mut self) {
        let mut interfaces = std::mem::take(&mut self.interfaces);
        for interface in &mut interfaces {
            self.check_interface(interface);
        }
        self.interfaces = interfaces;
        self.check_any_interface();
    }

    /// Takes the program off interfaces that are no longer configured, and on to new ones.
    pub(super) fn set_interfaces(&mut self, names: &[String]) {
        let (kept, dropped): (Vec<Interface>, Vec<Interface>) =
            std::mem::take(&mut self.interfaces).into_iter().partition(|interface| names.contains(&interface.name));
        for interface in dropped {
            self.troubles.forget(&interface.subject());
            match self.forwarder.detach(&interface.name) {
                Ok(()) => info!("interface {}: detached, since it is no longer configured", interface.name),
                Err(error) => {
                    let message = format!("cannot be detached from, and still forwards: {error:#}");
                    self.troubles.warning(interface.subject(), message);
                }
            }
        }
        let mut kept = kept;
        for name in names {
            if !kept.iter().any(|interface| interface.name == *name) {
                kept.push(Interface::new(name));
            }
        }
        kept.sort_by_key(|interface| names.iter().position(|name| *name == interface.name));
        self.interfaces = kept;
        if self.is_ready() {
            self.check_interfaces();
        }
    }

    pub(super) fn check_interface(&mut self, interface: &mut Interface) {
        let index = self.host.interface_index(&interface.name);
        if let Some(attached) = &interface.attached
            && index != Some(attached.ifindex)
        {
            self.let_go(interface);
        }
        match index {
            Some(_) if interface.attached.is_some() => {}
            Some(_) => self.attach(interface),
            None => {
                interface.retry_ns = 0;
                let message = "does not exist; lbd attaches to it when it appears (`ip link` shows what there is)";
                self.troubles.degraded(interface.subject(), message);
            }
        }
    }

    /// The interface has gone, or has come anew with another index.
    pub(super) fn let_go(&mut self, interface: &mut Interface) {
        interface.attached = None;
        interface.retry_ns = 0;
        if let Err(error) = self.forwarder.detach(&interface.name) {
            info!("{}: what is left of the attachment cannot be removed: {error:#}", interface.subject());
        }
    }

    fn attach(&mut self, interface: &mut Interface) {
        let now_ns = self.forwarder.now_ns();
        if now_ns < interface.retry_ns {
            return;
        }
        match self.forwarder.attach(&interface.name, self.settings.attach_mode) {
            Ok(attached) => {
                interface.attached = Some(attached.clone());
                self.troubles.clear(&interface.subject());
                info!("{}: {}", interface.subject(), describe(&attached));
            }
            Err(error) => {
                interface.retry_ns = now_ns + RETRY.as_nanos() as u64;
                self.troubles.degraded(interface.subject(), format!("{error:#}"));
            }
        }
    }

    fn check_any_interface(&mut self) {
        if self.interfaces.iter().any(|interface| interface.attached.is_some()) {
            self.troubles.clear("interfaces");
        } else {
            let message = "the XDP program is attached to none: no packet is balanced until one works";
            self.troubles.degraded("interfaces", message);
        }
    }
}

fn describe(attached: &Attached) -> String {
    let mode = match attached.mode {
        AttachMode::Driver => "driver mode",
        AttachMode::Auto | AttachMode::Generic => "generic mode, which is slower than driver mode",
    };
    let how = if attached.adopted { "attached before, program replaced without a gap" } else { "attached" };
    let why = attached.driver_refusal.as_ref().map_or_else(String::new, |refusal| format!(" ({refusal})"));
    format!("{how}, in {mode}{why}")
}
