//! Where the VIPs are put: each VIP of a service in one group, and beside them gateways, which no service has. VIPs that are whole
//! prefixes are put nowhere: they are routed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Range;

use lb_config::{Diagnostic, Problems, Spanned, suggestion};
use lb_core::service::is_name;

use super::super::super::VipGroup;
use super::super::super::raw::{RawConfig, RawPair, RawService, RawVipGroup};

/// The name of the group that is there when the file has none.
const DEFAULT_GROUP: &str = "vips";

pub(super) fn vip_groups(raw: &RawConfig, pair: &RawPair, problems: &mut Problems) -> Vec<VipGroup> {
    if pair.vip_groups.is_empty() {
        return default_group(raw).into_iter().collect();
    }
    let mut names: HashMap<&str, Range<usize>> = HashMap::new();
    let mut placed: HashMap<IpAddr, Range<usize>> = HashMap::new();
    for group in &pair.vip_groups {
        refuse_name(group, &mut names, problems);
        refuse_interface(group, &raw.interfaces, problems);
        refuse_vips(group, raw, &mut placed, problems);
        refuse_gateways(group, raw, &mut placed, problems);
    }
    refuse_homeless(raw, &placed, problems);
    pair.vip_groups.iter().map(group).collect()
}

/// All VIPs on the first interface.
fn default_group(raw: &RawConfig) -> Option<VipGroup> {
    let mut vips: Vec<IpAddr> = Vec::new();
    for service in &raw.services {
        if let Some(vip) = placeable(service).filter(|vip| !vips.contains(vip)) {
            vips.push(vip);
        }
    }
    let interface = raw.interfaces.first()?.get_ref().clone();
    (!vips.is_empty()).then(|| VipGroup { name: DEFAULT_GROUP.to_owned(), interface, vips })
}

/// The service's VIP, where it is put on an interface.
fn placeable(service: &RawService) -> Option<IpAddr> {
    let vip = service.vip.get_ref();
    (vip.free_bits() == 0).then(|| vip.address())
}

fn group(raw: &RawVipGroup) -> VipGroup {
    VipGroup {
        name: raw.name.get_ref().clone(),
        interface: raw.interface.get_ref().clone(),
        vips: raw.vips.iter().chain(&raw.gateways).map(|address| *address.get_ref()).collect(),
    }
}

fn refuse_name<'a>(group: &'a RawVipGroup, names: &mut HashMap<&'a str, Range<usize>>, problems: &mut Problems) {
    let name = group.name.get_ref().as_str();
    if !is_name(name) {
        let help = "choose 1 to 64 letters, digits, dots, underscores or hyphens";
        problems.add(Diagnostic::new(
            group.name.span(),
            format!("VIP group {name:?} cannot be named so"),
            "here",
            help,
        ));
    }
    if let Some(first) = names.insert(name, group.name.span()) {
        let title = format!("VIP group {name:?}: the name is given twice");
        let diagnostic = Diagnostic::new(group.name.span(), title, "here", "rename one of the two");
        problems.add(diagnostic.with_context(first, "first here"));
    }
}

/// A VIP on an interface without the XDP program would be served by nobody.
fn refuse_interface(group: &RawVipGroup, interfaces: &[Spanned<String>], problems: &mut Problems) {
    let name = group.interface.get_ref();
    if interfaces.iter().any(|interface| interface.get_ref() == name) {
        return;
    }
    let names: Vec<&str> = interfaces.iter().map(|interface| interface.get_ref().as_str()).collect();
    let help = suggestion(name, &names).unwrap_or_else(|| format!("add {name:?} to `interfaces`, or name one of them"));
    let title = format!("interface {name:?} is not one of `interfaces`");
    problems.add(Diagnostic::new(group.interface.span(), title, "it has no XDP program", help));
}

fn refuse_vips(
    group: &RawVipGroup,
    raw: &RawConfig,
    placed: &mut HashMap<IpAddr, Range<usize>>,
    problems: &mut Problems,
) {
    if group.vips.is_empty() && group.gateways.is_empty() {
        let help = "name a VIP of a service, as in vips = [\"192.0.2.1\"], or remove the group";
        problems.add(Diagnostic::new(group.vips_span.clone(), "`vips` is empty", "no address", help));
    }
    for vip in &group.vips {
        let address = *vip.get_ref();
        if !raw.services.iter().any(|service| placeable(service) == Some(address)) {
            let help = "remove it, or define the service";
            problems.add(Diagnostic::new(vip.span(), format!("no service has the VIP {address}"), "here", help));
        }
        refuse_second(vip, placed, problems);
    }
}

fn refuse_second(address: &Spanned<IpAddr>, placed: &mut HashMap<IpAddr, Range<usize>>, problems: &mut Problems) {
    if let Some(first) = placed.insert(*address.get_ref(), address.span()) {
        let title = format!("the address {} is in the groups twice", address.get_ref());
        let diagnostic = Diagnostic::new(address.span(), title, "here again", "remove one of the two");
        problems.add(diagnostic.with_context(first, "first here"));
    }
}

fn refuse_gateways(
    group: &RawVipGroup,
    raw: &RawConfig,
    placed: &mut HashMap<IpAddr, Range<usize>>,
    problems: &mut Problems,
) {
    for gateway in &group.gateways {
        let address = *gateway.get_ref();
        let mut refuse = |what: String, help: &str| {
            problems.add(Diagnostic::new(gateway.span(), format!("the gateway {address} is {what}"), "here", help));
        };
        if let Some(service) = raw.services.iter().find(|service| service.vip.get_ref().address() == address) {
            refuse(format!("the VIP of service {:?}", service.name.get_ref()), "a VIP is in `vips`, and moves as well");
        }
        if let Some(real) = raw.reals.iter().find(|real| *real.address.get_ref() == address) {
            refuse(format!("the address of real {:?}", real.name.get_ref()), "give an address of this pair's own");
        }
        if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
            refuse("no address of a host".to_owned(), "give an address through which reals can route");
        }
        refuse_second(gateway, placed, problems);
    }
}

/// Notes VIPs that no group has.
fn refuse_homeless(raw: &RawConfig, placed: &HashMap<IpAddr, Range<usize>>, problems: &mut Problems) {
    let homeless = |vip: &IpAddr| !placed.contains_key(vip);
    let services = raw.services.iter().filter_map(|service| Some((service, placeable(service).filter(homeless)?)));
    for (service, vip) in services {
        let title = format!("VIP {vip} of service {:?} is in no group", service.name.get_ref());
        let help = "add it to the `vips` of a `[[pair.vip_group]]`, or remove all groups: all VIPs are then on the first interface";
        problems.add(Diagnostic::new(service.vip.span(), title, "would never be put on an interface", help));
    }
}
