//! The ownership of the VIPs, as the kernel and the link see it: taken, announced, given up.

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

use super::addresses::{self, Place};
use super::announce::{Announced, Schedule, announce};
use super::links::{self, Link};
use super::packets::Sender;
use super::{Settings, Surroundings, Trouble};

/// What troubles with the VIPs' addresses are filed under.
const ADDRESSES: &str = "VIP addresses";

/// Owns the VIPs, or does not.
pub(super) struct Owner {
    settings: Settings,
    surroundings: Arc<dyn Surroundings>,
    netlink: Handle,
    connection: JoinHandle<()>,
    sender: Sender,
    /// What is announced, and when again; none when this node owns nothing.
    owned: Option<(Vec<Announced>, Schedule)>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Owner {
    /// Opens the sockets, in the network namespace of the calling thread. Must be called inside the runtime.
    pub(super) fn open(settings: Settings, surroundings: Arc<dyn Surroundings>) -> io::Result<Self> {
        let (connection, netlink, _unsolicited) = rtnetlink::new_connection()?;
        let connection = tokio::spawn(connection);
        Ok(Self { settings, surroundings, netlink, connection, sender: Sender::open()?, owned: None })
    }

    /// When [`Owner::announce_again`] is due; none when this node owns nothing.
    pub(super) fn due(&self) -> Option<Instant> {
        self.owned.as_ref().map(|(_, schedule)| schedule.due())
    }

    /// Adds the VIPs and announces them.
    pub(super) async fn acquire(&mut self) {
        let links = self.links().await;
        let (vips, missing) = self.places(&links);
        let failed = self.add(&vips).await;
        self.owned = Some((vips, Schedule::begin(Instant::now())));
        self.announce();
        let problems: Vec<String> = missing.into_iter().chain(failed).collect();
        self.tell_addresses(&problems);
        let outcome = if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) };
        self.surroundings.reply(Input::Acquired(outcome));
    }

    /// Removes the VIPs that this program has added.
    pub(super) async fn release(&mut self) {
        self.owned = None;
        let vips = self.vips();
        let problems: Vec<String> = match addresses::present(&self.netlink, &vips).await {
            Ok(present) => addresses::remove(&self.netlink, present).await.iter().map(describe).collect(),
            Err(error) => vec![format!("cannot list the addresses: {error}")],
        };
        self.tell_addresses(&problems);
    }

    /// Announces the VIPs, if this node owns them.
    pub(super) fn announce(&self) {
        if let Some((vips, _)) = &self.owned
            && let Err((announced, error)) = announce(&self.sender, vips)
        {
            info!("{} cannot be announced: {error}", announced.vip);
        }
    }

    /// Announces by the schedule.
    pub(super) fn announce_again(&mut self) {
        self.announce();
        if let Some((_, schedule)) = &mut self.owned {
            schedule.advance(Instant::now(), self.settings.announce_interval);
        }
    }

    /// Takes other settings over. An owner then owns just their VIPs.
    pub(super) async fn set(&mut self, settings: Settings) {
        let dropped: Vec<IpAddr> = {
            let new: Vec<IpAddr> = vips_of(&settings);
            self.vips().into_iter().filter(|vip| !new.contains(vip)).collect()
        };
        self.settings = settings;
        if let Ok(present) = addresses::present(&self.netlink, &dropped).await {
            addresses::remove(&self.netlink, present).await;
        }
        if self.owned.is_some() {
            self.acquire().await;
        }
    }

    fn vips(&self) -> Vec<IpAddr> {
        vips_of(&self.settings)
    }

    /// The groups' interfaces, by name.
    async fn links(&self) -> BTreeMap<String, Link> {
        let names = self.settings.groups.iter().map(|group| group.interface.as_str());
        let found = join_all(names.map(|name| links::by_name(&self.netlink, name))).await;
        found.into_iter().filter_map(|link| link.ok().flatten()).map(|link| (link.name.clone(), link)).collect()
    }

    /// What to announce where, and what cannot be for want of an interface.
    fn places(&self, links: &BTreeMap<String, Link>) -> (Vec<Announced>, Vec<String>) {
        let mut vips = Vec::new();
        let mut missing = Vec::new();
        for group in &self.settings.groups {
            match links.get(&group.interface).and_then(|link| Some((link.index, link.mac?))) {
                Some((ifindex, mac)) => {
                    vips.extend(group.vips.iter().map(|vip| Announced { vip: *vip, ifindex, mac }));
                }
                None => missing.push(format!("VIP group {}: there is no interface {}", group.name, group.interface)),
            }
        }
        (vips, missing)
    }

    async fn add(&self, vips: &[Announced]) -> Vec<String> {
        let places: Vec<Place> =
            vips.iter().map(|announced| Place { ifindex: announced.ifindex, vip: announced.vip }).collect();
        addresses::add(&self.netlink, &places).await.iter().map(describe).collect()
    }

    fn tell_addresses(&self, problems: &[String]) {
        let message = (!problems.is_empty()).then(|| problems.join("; "));
        self.surroundings.trouble(Trouble { subject: ADDRESSES.to_owned(), message, degraded: true });
    }
}

fn vips_of(settings: &Settings) -> Vec<IpAddr> {
    settings.groups.iter().flat_map(|group| group.vips.iter().copied()).collect()
}

fn describe((place, error): &(Place, io::Error)) -> String {
    format!("{} on interface {}: {error}", place.vip, place.ifindex)
}
