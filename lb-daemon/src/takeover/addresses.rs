//! Puts the VIPs on their interfaces and takes them off. Each bears the mark of this program in the kernel
//! (`IFA_PROTO`), so that those that an operator put there are never removed, and those of a daemon that was killed are known.

use std::io;
use std::net::IpAddr;
use std::pin::pin;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use rtnetlink::Handle;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, CacheInfo,
};

use super::links::{error_of, within};

/// Whose the addresses are (`ip -d address` shows `proto 0x75`). The kernel's own numbers are 1 to 3.
pub(super) const MARK: u8 = b'u';
/// Seconds that stand for ever.
const FOREVER: u32 = u32::MAX;

/// A VIP on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) ifindex: u32,
    pub(super) vip: IpAddr,
}

/// A VIP that is on an interface.
#[derive(Clone, Debug)]
pub(super) struct Present {
    pub(super) place: Place,
    /// This program put it there.
    pub(super) ours: bool,
    message: AddressMessage,
}

/// Adds all VIPs at once. One that is there already is fine.
pub(super) async fn add(netlink: &Handle, places: &[Place]) -> Vec<(Place, io::Error)> {
    let added = join_all(places.iter().map(|place| add_one(netlink, *place))).await;
    failures(places.iter().copied(), added)
}

/// Removes what was found, if this program put it there.
pub(super) async fn remove(netlink: &Handle, present: Vec<Present>) -> Vec<(Place, io::Error)> {
    let ours: Vec<Present> = present.into_iter().filter(|present| present.ours).collect();
    let places: Vec<Place> = ours.iter().map(|present| present.place).collect();
    let removed = join_all(ours.into_iter().map(|present| remove_one(netlink, present.message))).await;
    failures(places.into_iter(), removed)
}

/// Which of the VIPs are on any interface.
///
/// # Errors
/// The kernel does not list its addresses.
pub(super) async fn present(netlink: &Handle, vips: &[IpAddr]) -> io::Result<Vec<Present>> {
    list(netlink, |present| vips.contains(&present.place.vip)).await
}

/// All addresses that this program has put on interfaces of this host, whatever the configuration says today.
///
/// # Errors
/// The kernel does not list its addresses.
pub(super) async fn ours(netlink: &Handle) -> io::Result<Vec<Present>> {
    list(netlink, |present| present.ours).await
}

async fn list(netlink: &Handle, wanted: impl Fn(&Present) -> bool) -> io::Result<Vec<Present>> {
    let list = async {
        let mut answers = pin!(netlink.address().get().execute());
        let mut found = Vec::new();
        while let Some(answer) = answers.next().await {
            let message = answer.map_err(|error| error_of("list of addresses", error))?;
            found.extend(read(message).filter(&wanted));
        }
        Ok(found)
    };
    within("list of addresses", list).await
}

async fn add_one(netlink: &Handle, place: Place) -> io::Result<()> {
    let length = if place.vip.is_ipv4() { 32 } else { 128 };
    let mut request = netlink.address().add(place.ifindex, place.vip, length);
    mark(request.message_mut(), place.vip);
    let add = async { request.execute().await.map_err(|error| error_of("new address", error)) };
    match within("new address", add).await {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        outcome => outcome,
    }
}

/// Marks it as ours. An IPv6 address is used at once, without the kernel's own detection of duplicates; and being deprecated from the
/// beginning it is no source of packets of this host.
fn mark(message: &mut AddressMessage, vip: IpAddr) {
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(MARK)));
    if vip.is_ipv6() {
        message.header.flags |= AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        let mut lifetimes = CacheInfo::default();
        lifetimes.ifa_preferred = 0;
        lifetimes.ifa_valid = FOREVER;
        message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
    }
}

async fn remove_one(netlink: &Handle, message: AddressMessage) -> io::Result<()> {
    let remove = async { netlink.address().del(message).execute().await.map_err(|error| error_of("removal", error)) };
    match within("removal of an address", remove).await {
        // It has gone by itself: with its interface, say.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => Ok(()),
        outcome => outcome,
    }
}

fn failures(places: impl Iterator<Item = Place>, outcomes: Vec<io::Result<()>>) -> Vec<(Place, io::Error)> {
    places.zip(outcomes).filter_map(|(place, outcome)| Some((place, outcome.err()?))).collect()
}

fn read(message: AddressMessage) -> Option<Present> {
    let mut local = None;
    let mut address = None;
    let mut ours = false;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Protocol(AddressProtocol::Other(MARK)) => ours = true,
            _ => {}
        }
    }
    let place = Place { ifindex: message.header.index, vip: local.or(address)? };
    Some(Present { place, ours, message })
}
