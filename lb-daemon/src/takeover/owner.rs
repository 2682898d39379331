//! The ownership of the VIPs, as the kernel and the link see it: taken, announced, defended, given up.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::join_all;
use lb_core::pair::Input;
use rtnetlink::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::info;

use super::addresses::{self, Place, Present};
use super::announce::{Announced, Schedule, announce};
use super::attachments;
use super::frames::{Claim, probe};
use super::links::{self, Change, Link};
use super::packets::Sender;
use super::rival::Rivals;
use super::{Settings, Surroundings, Trouble};

/// What troubles with the VIPs' addresses are filed under.
const ADDRESSES: &str = "VIP addresses";
/// What hosts that claim VIPs are filed under.
const RIVALS: &str = "VIP rivals";

/// Owns the VIPs, or does not.
pub(super) struct Owner {
    settings: Settings,
    surroundings: Arc<dyn Surroundings>,
    netlink: Handle,
    connection: JoinHandle<()>,
    sender: Sender,
    /// The groups' interfaces as they were last seen, by name.
    links: BTreeMap<String, Link>,
    /// What is announced, and when again; none when this node owns nothing.
    owned: Option<(Vec<Announced>, Schedule)>,
    rivals: Rivals,
    is_rival_told: bool,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Owner {
    /// Opens the sockets, in the network namespace of the calling thread. Must be called inside the runtime.
    ///
    /// # Errors
    /// The kernel gives no socket.
    pub(super) fn open(settings: Settings, surroundings: Arc<dyn Surroundings>) -> io::Result<Self> {
        let (connection, netlink, _unsolicited) = rtnetlink::new_connection()?;
        let connection = tokio::spawn(connection);
        let sender = Sender::open()?;
        let (links, rivals) = (BTreeMap::new(), Rivals::default());
        Ok(Self {
            settings,
            surroundings,
            netlink,
            connection,
            sender,
            links,
            owned: None,
            rivals,
            is_rival_told: false,
        })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn vips(&self) -> Vec<IpAddr> {
        vips_of(&self.settings)
    }

    /// When [`Owner::announce_again`] is due; none when this node owns nothing.
    pub(super) fn due(&self) -> Option<Instant> {
        self.owned.as_ref().map(|(_, schedule)| schedule.due())
    }

    /// Becomes the owner: announces the VIPs where they can be served, verifies the attachments and adds the VIPs.
    ///
    /// The kernel may take long for its interfaces and addresses: whoever changes any network of the host holds the others up. The
    /// program forwards without the addresses, so the clients that know a VIP are told first.
    pub(super) async fn acquire(&mut self) {
        let ready = self.places_ready();
        self.owned = Some((ready.clone(), Schedule::begin(Instant::now())));
        self.announce();
        let (vips, problems) = self.put_up().await;
        if let Some((announced, _)) = &mut self.owned {
            announced.clone_from(&vips);
        }
        if vips != ready {
            self.announce();
        }
        let outcome = if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) };
        self.surroundings.reply(Input::Acquired(outcome));
        self.tell_addresses(&problems, true);
    }

    /// Removes the VIPs that this program has added.
    pub(super) async fn release(&mut self) {
        self.owned = None;
        self.rivals.clear();
        self.tell_rivals();
        let vips = self.vips();
        match addresses::present(&self.netlink, &vips).await {
            Ok(present) => self.take_down(present).await,
            Err(error) => self.tell_addresses(&[format!("the addresses cannot be listed: {error}")], true),
        }
    }

    /// Announces the VIPs, if this node owns them and is not about to give them up.
    pub(super) fn announce(&self) {
        if let Some((vips, _)) = &self.owned
            && self.surroundings.is_owner()
        {
            self.send_announcements(vips.iter());
        }
    }

    /// Announces by the schedule. Once in an interval the VIPs are put back, too, should somebody have taken them off.
    pub(super) async fn announce_again(&mut self) {
        let Some((_, schedule)) = &mut self.owned else { return };
        let now = Instant::now();
        let is_settled = schedule.is_settled();
        schedule.advance(now, self.settings.announce_interval);
        if is_settled {
            self.rivals.forget_silent(now);
            self.tell_rivals();
            self.put_back().await;
        }
        self.announce();
    }

    /// A host claims a VIP. Returns whether it is another host.
    pub(super) fn hear(&mut self, claim: Claim) -> bool {
        if self.links.values().any(|link| link.mac == Some(claim.mac)) {
            return false;
        }
        // The claim of a peer that this node has just given way to is no rival's.
        if let Some((vips, _)) = &self.owned
            && self.surroundings.is_owner()
            && self.rivals.hear(claim, Instant::now())
        {
            self.send_announcements(vips.iter().filter(|announced| announced.vip == claim.address));
            self.tell_rivals();
        }
        true
    }

    /// Interfaces are different. One that has its carrier again gets its VIPs again (the kernel takes IPv6 addresses off an interface
    /// that is set down), and they are announced on it.
    pub(super) async fn take_changes(&mut self, changes: Vec<Change>) {
        if self.take_over(changes) && self.owned.is_some() {
            self.put_back().await;
            self.announce();
        }
    }

    /// Whether it owns the VIPs.
    pub(super) fn is_owner(&self) -> bool {
        self.owned.is_some()
    }

    /// Takes other settings over. An owner then owns just their VIPs. Returns whether there are VIPs among them that were none before.
    pub(super) async fn set(&mut self, settings: Settings) -> bool {
        let (before, after) = (self.vips(), vips_of(&settings));
        let dropped: Vec<IpAddr> = before.iter().copied().filter(|vip| !after.contains(vip)).collect();
        self.settings = settings;
        if let Ok(present) = addresses::present(&self.netlink, &dropped).await {
            addresses::remove(&self.netlink, present).await;
        }
        self.look().await;
        if self.owned.is_some() {
            self.put_back().await;
            self.announce();
        }
        after.iter().any(|vip| !before.contains(vip))
    }

    /// Asks each VIP's link who has it.
    pub(super) fn probe(&self) {
        for announced in self.places().0 {
            // A link that is down has nobody who could answer.
            let _ = self.sender.send(announced.ifindex, &probe(announced.vip, announced.mac));
        }
    }

    /// Looks at the groups' interfaces.
    pub(super) async fn look(&mut self) {
        let names = self.settings.groups.iter().map(|group| group.interface.as_str());
        let found = join_all(names.map(|name| links::by_name(&self.netlink, name))).await;
        let found = found.into_iter().filter_map(|link| link.ok().flatten());
        self.links = found.map(|link| (link.name.clone(), link)).collect();
    }

    async fn put_back(&mut self) {
        let (vips, problems) = self.put_up().await;
        if let Some((announced, _)) = &mut self.owned {
            *announced = vips;
        }
        self.tell_addresses(&problems, true);
    }

    /// Puts the VIPs up. Returns what to announce, and what is wrong.
    async fn put_up(&mut self) -> (Vec<Announced>, Vec<String>) {
        self.look().await;
        let unattached = attachments::verify(self.links.values(), self.settings.program, &*self.surroundings).await;
        let (vips, missing) = self.places();
        let places: Vec<Place> =
            vips.iter().map(|announced| Place { ifindex: announced.ifindex, vip: announced.vip }).collect();
        let failed = addresses::add(&self.netlink, &places).await;
        let failed = failed.iter().map(|failure| self.describe(failure));
        let problems = unattached.into_iter().chain(missing).chain(failed).collect();
        (vips, problems)
    }

    async fn take_down(&self, present: Vec<Present>) {
        let strange = present.iter().filter(|present| !present.ours).map(|present| present.place);
        let strange: Vec<String> = strange.map(|place| self.describe_strange(place)).collect();
        let failed = addresses::remove(&self.netlink, present).await;
        let problems: Vec<String> = failed.iter().map(|failure| self.describe(failure)).chain(strange).collect();
        self.tell_addresses(&problems, !failed.is_empty());
    }

    /// What to announce where, and what cannot be for want of an interface.
    fn places(&self) -> (Vec<Announced>, Vec<String>) {
        let mut vips = Vec::new();
        let mut missing = Vec::new();
        for group in &self.settings.groups {
            match self.links.get(&group.interface).and_then(|link| Some((link.index, link.mac?))) {
                Some((ifindex, mac)) => {
                    vips.extend(group.vips.iter().map(|vip| Announced { vip: *vip, ifindex, mac }));
                }
                None => missing.push(format!("VIP group {}: there is no interface {}", group.name, group.interface)),
            }
        }
        (vips, missing)
    }

    /// What can be announced ahead of its address: the interface is there, and the program is attached to it.
    fn places_ready(&self) -> Vec<Announced> {
        let has_it = |link: &Link| link.has_program(self.settings.program);
        let attached =
            |announced: &Announced| self.links.values().any(|link| link.index == announced.ifindex && has_it(link));
        self.places().0.into_iter().filter(attached).collect()
    }

    /// Returns whether an interface has its carrier again.
    fn take_over(&mut self, changes: Vec<Change>) -> bool {
        let mut is_back = false;
        for change in changes {
            match change {
                Change::Is(link) if self.settings.groups.iter().any(|group| group.interface == link.name) => {
                    let had_carrier = self.links.get(&link.name).is_some_and(|before| before.carrier);
                    is_back |= link.carrier && !had_carrier;
                    self.links.insert(link.name.clone(), link);
                }
                Change::Is(_) => {}
                Change::Gone(name) => drop(self.links.remove(&name)),
                Change::Unknown => is_back = true,
            }
        }
        is_back
    }

    fn send_announcements<'a>(&self, vips: impl IntoIterator<Item = &'a Announced>) {
        if let Err((announced, error)) = announce(&self.sender, vips) {
            info!("{} cannot be announced: {error}", announced.vip);
        }
    }

    fn tell_rivals(&mut self) {
        let message = self.rivals.describe();
        if message.is_some() || self.is_rival_told {
            self.is_rival_told = message.is_some();
            self.surroundings.trouble(Trouble { subject: RIVALS.to_owned(), message, degraded: true });
        }
    }

    fn tell_addresses(&self, problems: &[String], degraded: bool) {
        let message = (!problems.is_empty()).then(|| problems.join("; "));
        self.surroundings.trouble(Trouble { subject: ADDRESSES.to_owned(), message, degraded });
    }

    fn describe(&self, (place, error): &(Place, io::Error)) -> String {
        format!("{} on {}: {error}", place.vip, self.interface(place.ifindex))
    }

    fn describe_strange(&self, place: Place) -> String {
        let (vip, interface) = (place.vip, self.interface(place.ifindex));
        format!(
            "{vip} is on {interface}, and lbd did not put it there: remove it (`ip address del {vip} dev {interface}`), \
             since in a pair only the active node has it"
        )
    }

    fn interface(&self, ifindex: u32) -> String {
        let link = self.links.values().find(|link| link.index == ifindex);
        link.map_or_else(|| format!("interface {ifindex}"), |link| link.name.clone())
    }
}

fn vips_of(settings: &Settings) -> Vec<IpAddr> {
    settings.groups.iter().flat_map(|group| group.vips.iter().copied()).collect()
}
