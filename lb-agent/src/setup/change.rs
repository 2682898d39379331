//! A change to the host: the commands that make it, and the one that takes it back.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Mode;
use super::clamp::{self, Segments};
use super::facts::{Facts, Nft, Setting};
use crate::decap;

/// A program and its arguments.
pub(crate) type Words = Vec<String>;

/// One change, with what it takes to undo it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub(crate) enum Change {
    /// An interface gets an address, at full prefix length.
    Address { address: IpAddr, device: String },
    /// A setting of `all` or of an interface gets another value.
    Setting { interface: String, setting: Setting, before: u32, after: u32 },
    /// An interface goes up.
    Up { device: String },
    /// A kernel module is loaded, which brings a tunnel interface of this kind.
    Module { module: String, kind: String, settle: bool },
    /// An IPv6 tunnel takes something else out of its outer header.
    TunnelMode { device: String, before: String, after: String },
    /// Our program takes packets of these VIPs out of tunnels to these addresses.
    Decap {
        interface: String,
        pins: PathBuf,
        mode: Mode,
        port: u16,
        addresses: BTreeSet<IpAddr>,
        vips: BTreeSet<IpAddr>,
    },
    /// Our table is written; `before` is the listing of one that was there.
    Clamp { before: Option<String>, after: Segments },
}

/// How a change is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undo {
    /// By this command.
    Run(Words),
    /// Not at all, since there is nothing to take back.
    Nothing,
    /// Not by us, for this reason.
    Leave(String),
}

impl Change {
    /// The commands that make the change.
    pub(crate) fn commands(&self) -> Vec<Words> {
        match self {
            Change::Address { address, device } => vec![add_address(*address, device)],
            Change::Setting { interface, setting, after, .. } => vec![sysctl(interface, *setting, *after)],
            Change::Up { device } => vec![words(&["ip", "link", "set", "dev", device, "up"])],
            Change::Module { module, settle, .. } => {
                let load = words(&["modprobe", module]);
                let settled = settle.then(|| words(&["udevadm", "settle"]));
                [load].into_iter().chain(settled).collect()
            }
            Change::TunnelMode { device, after, .. } => vec![tunnel_mode(device, after)],
            Change::Decap { interface, pins, mode, port, addresses, vips } => {
                vec![decap::words(interface, pins, *mode, *port, addresses, vips)]
            }
            Change::Clamp { after, .. } => vec![words(&["nft", &clamp::replace(after)])],
        }
    }

    /// How to take it back on a host like this. What is not as the change left it is not ours any more.
    pub(crate) fn undo(&self, now: &Facts) -> Undo {
        match self {
            Change::Address { address, device } => {
                let there = now.link(device).is_some_and(|link| link.has(*address));
                run_if(there, words(&["ip", "address", "del", &full_length(*address), "dev", device]))
            }
            Change::Setting { interface, setting, before, after } => {
                undo_setting(now, interface, *setting, *before, *after)
            }
            Change::Up { device } => {
                let up = now.link(device).is_some_and(|link| link.up);
                run_if(up, words(&["ip", "link", "set", "dev", device, "down"]))
            }
            Change::Module { module, kind, .. } => undo_module(now, module, kind),
            Change::TunnelMode { device, before, after } => {
                let ours = now.link(device).is_some_and(|link| link.tunnel_mode.as_ref() == Some(after));
                run_if(ours, tunnel_mode(device, before))
            }
            Change::Decap { interface, pins, .. } => {
                run_if(now.decap.contains_key(interface), decap::words_to_end(interface, pins))
            }
            Change::Clamp { before, .. } => undo_clamp(now, before.as_deref()),
        }
    }

    /// Whether both change the same thing, to whatever.
    pub(crate) fn is_of_the_same(&self, other: &Change) -> bool {
        match (self, other) {
            (Change::Setting { interface: a, setting: x, .. }, Change::Setting { interface: b, setting: y, .. }) => {
                (a, x) == (b, y)
            }
            (Change::TunnelMode { device: a, .. }, Change::TunnelMode { device: b, .. }) => a == b,
            (Change::Decap { interface: a, .. }, Change::Decap { interface: b, .. }) => a == b,
            (Change::Clamp { .. }, Change::Clamp { .. }) => true,
            _ => self == other,
        }
    }

    /// The same change as `later` makes it, from where this one began.
    pub(crate) fn extended(&self, later: &Change) -> Change {
        let mut merged = later.clone();
        match (&mut merged, self) {
            (Change::Setting { before, .. }, Change::Setting { before: first, .. }) => *before = *first,
            (Change::TunnelMode { before, .. }, Change::TunnelMode { before: first, .. }) => *before = first.clone(),
            (Change::Clamp { before, .. }, Change::Clamp { before: first, .. }) => *before = first.clone(),
            _ => {}
        }
        merged
    }
}

fn undo_setting(now: &Facts, interface: &str, setting: Setting, before: u32, after: u32) -> Undo {
    let Some(value) = now.settings.get(interface).and_then(|own| own.get(&setting)) else { return Undo::Nothing };
    if *value == before {
        Undo::Nothing
    } else if *value == after {
        Undo::Run(sysctl(interface, setting, before))
    } else {
        let key = key(interface, setting);
        Undo::Leave(format!("{key} is {value} now, not {after}: somebody else has set it, so it stays"))
    }
}

/// Without its module, every tunnel of that kind would go, those of others too.
fn undo_module(now: &Facts, module: &str, kind: &str) -> Undo {
    let tunnels: Vec<&str> =
        now.links.iter().filter(|link| link.kind.as_deref() == Some(kind)).map(|link| link.name.as_str()).collect();
    match tunnels.as_slice() {
        [] => Undo::Nothing,
        [_] => Undo::Run(words(&["modprobe", "-r", module])),
        many => Undo::Leave(format!("the module {module} stays, since more tunnels use it now: {}", many.join(", "))),
    }
}

fn undo_clamp(now: &Facts, before: Option<&str>) -> Undo {
    if !matches!(now.nft, Nft::Works(Some(_))) {
        return Undo::Nothing;
    }
    let table = clamp::TABLE;
    let restore = before.map(|listing| format!("; {listing}")).unwrap_or_default();
    Undo::Run(words(&["nft", &format!("delete table {table}{restore}")]))
}

fn run_if(there: bool, command: Words) -> Undo {
    if there { Undo::Run(command) } else { Undo::Nothing }
}

/// IPv6 looks for others with the same address first, which takes a second, and which nobody could answer on `lo`.
fn add_address(address: IpAddr, device: &str) -> Words {
    let mut command = words(&["ip", "address", "add", &full_length(address), "dev", device]);
    if address.is_ipv6() {
        command.push("nodad".to_owned());
    }
    command
}

fn tunnel_mode(device: &str, mode: &str) -> Words {
    words(&["ip", "-6", "tunnel", "change", device, "mode", mode])
}

fn sysctl(interface: &str, setting: Setting, value: u32) -> Words {
    words(&["sysctl", "-w", &format!("{}={value}", key(interface, setting))])
}

/// With slashes where the interface's name has dots of its own.
fn key(interface: &str, setting: Setting) -> String {
    let separator = if interface.contains('.') { "/" } else { "." };
    ["net", "ipv4", "conf", interface, setting.name()].join(separator)
}

/// An address as `ip` wants it, alone in its network.
pub(crate) fn full_length(address: IpAddr) -> String {
    format!("{address}/{}", full_prefix(address))
}

/// The prefix length of a single address.
pub(crate) fn full_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn words(words: &[&str]) -> Words {
    words.iter().map(ToString::to_string).collect()
}

/// A command as a person would type it into a shell.
pub(crate) fn typed(words: &[String]) -> String {
    let plain =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:=@".contains(&b));
    let quoted =
        words.iter().map(|word| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) });
    quoted.collect::<Vec<_>>().join(" ")
}
