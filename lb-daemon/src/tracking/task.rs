//! Watches what is tracked, and tells what comes of it when it is another than before.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use lb_core::pair::{Fitness, Input};
use rtnetlink::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::warn;

use super::assess::{Lacks, assess};
use super::carrier::Carrier;
use super::gateway::{Gateway, way_to};
use super::{Settings, Tell};
use crate::takeover::frames::question;
use crate::takeover::links::{self, Change, Changes, Link};
use crate::takeover::packets::{Listener, Sender};

/// How often all interfaces are looked at, whatever the kernel tells: it does not tell when a program is detached.
const LOOK: Duration = Duration::from_secs(1);

/// The tracking at work.
pub(super) struct Task {
    settings: watch::Receiver<Settings>,
    healthy_reals: watch::Receiver<Option<u32>>,
    tell: Tell,
    told: Option<(Fitness, String)>,
    netlink: Handle,
    connection: JoinHandle<()>,
    changes: Changes,
    sender: Sender,
    listener: Listener,
    /// By interface.
    carriers: BTreeMap<String, Carrier>,
    /// Interfaces without the XDP program.
    detached: Vec<String>,
    gateways: Vec<Gateway>,
    has_looked: bool,
    next_look: Instant,
    next_questions: Instant,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Task {
    /// Opens the sockets, in the network namespace of the calling thread. Must be called inside the runtime.
    ///
    /// # Errors
    /// The kernel gives no socket.
    pub(super) fn open(
        mut settings: watch::Receiver<Settings>,
        healthy_reals: watch::Receiver<Option<u32>>,
        tell: Tell,
    ) -> io::Result<Self> {
        let addresses = settings.borrow_and_update().gateways.clone();
        let (listener, changes, sender) = (Listener::open(&addresses)?, Changes::open()?, Sender::open()?);
        let (connection, netlink, _unsolicited) = rtnetlink::new_connection()?;
        let now = Instant::now();
        Ok(Self {
            settings,
            healthy_reals,
            tell,
            told: None,
            netlink,
            connection: tokio::spawn(connection),
            changes,
            sender,
            listener,
            carriers: BTreeMap::new(),
            detached: Vec::new(),
            gateways: addresses.into_iter().map(Gateway::new).collect(),
            has_looked: false,
            next_look: now,
            next_questions: now,
        })
    }

    /// Watches until nobody wants to know any more.
    pub(super) async fn run(mut self) {
        while let Some(outcome) = self.wait_and_take().await {
            if let Err(error) = outcome {
                self.recover(&error).await;
            }
            if self.has_looked {
                self.tell();
            }
        }
    }

    /// Takes what happens next. None when nobody wants to know any more.
    async fn wait_and_take(&mut self) -> Option<io::Result<()>> {
        let due = self.due();
        tokio::select! {
            biased;
            changed = self.settings.changed() => match changed {
                Ok(()) => return Some(self.take_settings()),
                Err(_) => return None,
            },
            changes = self.changes.next() => match changes {
                Ok(changes) => self.take_changes(changes),
                Err(error) => return Some(Err(error)),
            },
            () = sleep_until(due) => self.do_what_is_due().await,
            heard = self.listener.next() => match heard {
                Ok(heard) => self.hear(heard.claim.address),
                Err(error) => return Some(Err(error)),
            },
            Ok(()) = self.healthy_reals.changed() => {}
        }
        Some(Ok(()))
    }

    fn due(&self) -> Instant {
        let carriers = self.carriers.values().filter_map(|carrier| carrier.due());
        let questions = (!self.gateways.is_empty()).then_some(self.next_questions);
        carriers.chain(questions).fold(self.next_look, Instant::min)
    }

    async fn do_what_is_due(&mut self) {
        let now = Instant::now();
        let is_carrier_due = self.carriers.values().any(|carrier| carrier.due().is_some_and(|due| due <= now));
        if self.next_look <= now || is_carrier_due {
            self.next_look = now + LOOK;
            self.look().await;
        }
        if !self.gateways.is_empty() && self.next_questions <= now {
            self.next_questions = now + self.settings.borrow().gateway_interval;
            self.ask_gateways().await;
        }
    }

    /// Looks at all interfaces. One that the kernel says nothing of cannot be relied on.
    async fn look(&mut self) {
        let Settings { interfaces, attached, program, .. } = self.settings.borrow().clone();
        self.carriers.retain(|interface, _| interfaces.contains(interface));
        for interface in &interfaces {
            let link = self.link(interface).await;
            self.take_carrier(interface, link.is_some_and(|link| link.carrier));
        }
        self.detached.clear();
        for interface in attached {
            if !self.link(&interface).await.is_some_and(|link| link.has_program(program)) {
                self.detached.push(interface);
            }
        }
        self.has_looked = true;
    }

    async fn link(&self, interface: &str) -> Option<Link> {
        links::by_name(&self.netlink, interface).await.ok().flatten()
    }

    fn take_changes(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Is(link) if self.is_tracked(&link.name) => self.take_carrier(&link.name, link.carrier),
                Change::Gone(name) if self.is_tracked(&name) => self.take_carrier(&name, false),
                Change::Is(_) | Change::Gone(_) => {}
                Change::Unknown => self.next_look = Instant::now(),
            }
        }
    }

    fn is_tracked(&self, interface: &str) -> bool {
        self.settings.borrow().interfaces.iter().any(|tracked| tracked == interface)
    }

    fn take_carrier(&mut self, interface: &str, is_up: bool) {
        let before = self.carriers.get(interface).copied();
        let carrier = before.map_or_else(|| Carrier::found(is_up), |before| before.hear(is_up, Instant::now()));
        self.carriers.insert(interface.to_owned(), carrier);
    }

    /// Asks each gateway. One that cannot be asked does not answer.
    async fn ask_gateways(&mut self) {
        self.gateways.iter_mut().for_each(Gateway::ask);
        let Settings { vips, interfaces, .. } = self.settings.borrow().clone();
        for gateway in &self.gateways {
            let Some(way) = way_to(gateway.address, &vips, &interfaces) else { continue };
            let Some(link) = self.link(&way.interface).await else { continue };
            if let Some(frame) = link.mac.and_then(|mac| question(gateway.address, way.from, mac)) {
                // A link that is down carries no question, and there will be no answer.
                let _ = self.sender.send(link.index, &frame);
            }
        }
    }

    fn hear(&mut self, address: IpAddr) {
        self.gateways.iter_mut().filter(|gateway| gateway.address == address).for_each(Gateway::hear);
    }

    fn take_settings(&mut self) -> io::Result<()> {
        let wanted = self.settings.borrow_and_update().gateways.clone();
        let listener = Listener::open(&wanted);
        let known = |address| self.gateways.iter().find(|gateway| gateway.address == address).cloned();
        self.gateways =
            wanted.into_iter().map(|address| known(address).unwrap_or_else(|| Gateway::new(address))).collect();
        self.next_look = Instant::now();
        self.next_questions = self.next_look;
        self.listener = listener?;
        Ok(())
    }

    /// A socket has failed: opens all of them again, after a while.
    async fn recover(&mut self, error: &io::Error) {
        warn!("tracking: a socket has failed ({error}); it is opened again");
        sleep(LOOK).await;
        let addresses = self.settings.borrow().gateways.clone();
        if let (Ok(changes), Ok(listener)) = (Changes::open(), Listener::open(&addresses)) {
            (self.changes, self.listener) = (changes, listener);
        }
        self.next_look = Instant::now();
    }

    /// Tells what the node lacks, if that is new.
    fn tell(&mut self) {
        let assessed = assess(&self.lacks());
        if self.told.as_ref() != Some(&assessed) {
            self.told = Some(assessed.clone());
            let (fitness, reason) = assessed;
            (self.tell)(Input::Fitness { fitness, reason });
        }
    }

    fn lacks(&self) -> Lacks {
        let carriers = self.carriers.iter().filter_map(|(interface, carrier)| carrier.describe(interface));
        let detached = self.detached.iter().map(|interface| format!("the XDP program is not attached to {interface}"));
        let silent = self.gateways.iter().filter(|gateway| gateway.is_silent()).map(|gateway| gateway.address);
        let wanted = self.settings.borrow().min_healthy_reals;
        let healthy = *self.healthy_reals.borrow();
        Lacks {
            interfaces: carriers.chain(detached).collect(),
            gateways: silent.collect(),
            reals: healthy.filter(|healthy| *healthy < wanted).map(|healthy| (healthy, wanted)),
        }
    }
}
