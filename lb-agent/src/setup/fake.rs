//! A host of the tests' own. It knows the commands that are run, and does as the kernel would.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};

use super::facts::{Facts, Link, Nft, Setting, Settings};
use super::host::Host;
use super::{Mode, Wish, clamp};
use crate::decap::{PIN_DIR, Tunnels};

/// A host in memory.
#[derive(Clone, Debug)]
pub(crate) struct Fake {
    pub(crate) facts: Facts,
    /// The commands that were run.
    pub(crate) ran: Vec<String>,
    /// After so many commands the process dies: each one more fails.
    pub(crate) dies_after: usize,
    /// The command that it dies in takes effect nevertheless.
    pub(crate) dies_late: bool,
    /// This program does nothing.
    pub(crate) deaf_to: &'static str,
}

/// A host as installed: `eth0`, addresses of both families, a default route, every module at hand.
pub(crate) fn bare() -> Facts {
    let link = |name: &str, arp, mtu, addresses: &[(&str, u8)]| Link {
        name: name.to_owned(),
        up: true,
        arp,
        mtu,
        addresses: addresses.iter().map(|(address, prefix)| (address.parse().unwrap(), *prefix)).collect(),
        ..Link::default()
    };
    Facts {
        links: vec![
            link("lo", false, 65536, &[("127.0.0.1", 8), ("::1", 128)]),
            link("eth0", true, 1500, &[("192.0.2.21", 24), ("2001:db8::21", 64)]),
        ],
        default_interfaces: vec!["eth0".to_owned()],
        settings: ["all", "default", "lo", "eth0"].map(|name| (name.to_owned(), own_settings(0, 0, 0))).into(),
        ipv6: true,
        modules: ["ipip", "ip6_tunnel"].map(|module| (module.to_owned(), Ok(()))).into(),
        nft: Nft::Works(None),
        listeners: vec!["[::]:80".parse().unwrap()],
        boot: "first".to_owned(),
        ..Facts::default()
    }
}

/// `arp_ignore`, `arp_announce` and `rp_filter` of an interface.
pub(crate) fn own_settings(ignore: u32, announce: u32, filter: u32) -> BTreeMap<Setting, u32> {
    Setting::EACH.into_iter().zip([ignore, announce, filter]).collect()
}

/// What is wished, without more words.
pub(crate) fn wish(mode: &str, vips: &[&str]) -> Wish {
    let mode = match mode {
        "ipip" => Mode::Ipip,
        "gue" => Mode::Gue,
        _ => Mode::Dsr,
    };
    let vips = vips.iter().map(|vip| vip.parse().unwrap()).collect();
    Wish { mode, vips, interface: None, address: None, port: 6080, program: false, pins: PIN_DIR.into(), clamp: true }
}

impl Fake {
    pub(crate) fn new(facts: Facts) -> Fake {
        Fake { facts, ran: Vec::new(), dies_after: usize::MAX, dies_late: false, deaf_to: "" }
    }

    fn link(&mut self, name: &str) -> anyhow::Result<&mut Link> {
        self.facts.links.iter_mut().find(|link| link.name == name).with_context(|| format!("no interface {name}"))
    }

    fn obey(&mut self, words: &[&str]) -> anyhow::Result<()> {
        match words {
            [program, ..] if *program == self.deaf_to => {}
            ["ip", "address", "add", address, "dev", device, ..] => {
                let address = parse(address)?;
                let link = self.link(device)?;
                ensure!(!link.addresses.contains(&address), "File exists");
                link.addresses.push(address);
            }
            ["ip", "address", "del", address, "dev", device] => {
                let address = parse(address)?;
                self.link(device)?.addresses.retain(|own| *own != address);
            }
            ["ip", "link", "set", "dev", device, word] => self.link(device)?.up = *word == "up",
            ["ip", "-6", "tunnel", "change", device, "mode", mode] => {
                self.link(device)?.tunnel_mode = Some((*mode).to_owned());
            }
            ["sysctl", "-w", assignment] => set(&mut self.facts.settings, assignment)?,
            ["modprobe", "-r", module] => self.unload(module),
            ["modprobe", module] => self.load(module),
            ["udevadm", "settle"] => {}
            ["lb-agent", "decap", "--interface", interface, "--detach"] => {
                self.facts.decap.remove(*interface);
            }
            ["lb-agent", "decap", "--interface", interface, rest @ ..] => self.take_out(interface, rest)?,
            ["nft", text] => self.facts.nft = Nft::Works(table(text)),
            other => bail!("unknown command {other:?}"),
        }
        Ok(())
    }

    /// As `lb-agent decap --interface INTERFACE` does, with these words after it.
    fn take_out(&mut self, interface: &str, words: &[&str]) -> anyhow::Result<()> {
        let decap = self.facts.decap.entry(interface.to_owned()).or_default();
        let (mut option, mut tunnels) = ("", Tunnels::default());
        for &word in words {
            match (option, word) {
                (_, word) if word.starts_with("--") => option = word,
                ("--mode", "ipip") => tunnels.ipip = true,
                ("--mode", _) => {}
                ("--port", port) => tunnels.gue = Some(port.parse()?),
                ("--address", address) => drop(decap.endpoints.insert(address.parse()?, tunnels)),
                ("--vip", vip) => drop(decap.vips.insert(vip.parse()?)),
                other => bail!("unknown words {other:?}"),
            }
        }
        Ok(())
    }

    fn load(&mut self, module: &str) {
        let (device, kind) = tunnel(module);
        let (name, kind) = (device.to_owned(), Some(kind.to_owned()));
        let tunnel_mode = (module == "ip6_tunnel").then(|| "ip6ip6".to_owned());
        self.facts.links.push(Link { name, kind, tunnel_mode, mtu: 1480, ..Link::default() });
        let default = self.facts.settings["default"].clone();
        self.facts.settings.insert(device.to_owned(), default);
    }

    fn unload(&mut self, module: &str) {
        let (device, kind) = tunnel(module);
        self.facts.links.retain(|link| link.kind.as_deref() != Some(kind));
        self.facts.settings.remove(device);
    }
}

impl Host for Fake {
    fn facts(&self) -> anyhow::Result<Facts> {
        Ok(self.facts.clone())
    }

    fn run(&mut self, words: &[String]) -> anyhow::Result<()> {
        let dies = self.ran.len() >= self.dies_after;
        ensure!(!dies || self.dies_late, "killed");
        self.ran.push(words.join(" "));
        self.obey(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
        ensure!(!dies, "killed");
        Ok(())
    }
}

fn tunnel(module: &str) -> (&'static str, &'static str) {
    if module == "ipip" { ("tunl0", "ipip") } else { ("ip6tnl0", "ip6tnl") }
}

fn parse(address: &str) -> anyhow::Result<(std::net::IpAddr, u8)> {
    let (address, prefix) = address.split_once('/').context("no prefix")?;
    Ok((address.parse()?, prefix.parse()?))
}

fn set(settings: &mut Settings, assignment: &str) -> anyhow::Result<()> {
    let (key, value) = assignment.split_once('=').context("no value")?;
    let separator = if key.contains('/') { '/' } else { '.' };
    let words: Vec<&str> = key.split(separator).collect();
    let ["net", "ipv4", "conf", interface, name] = words[..] else { bail!("unknown key {key}") };
    let setting = Setting::EACH.into_iter().find(|setting| setting.name() == name).context("unknown setting")?;
    settings.get_mut(interface).context("no such interface")?.insert(setting, value.parse()?);
    Ok(())
}

/// What is left of our table after these commands: its rules as they were written.
fn table(text: &str) -> Option<String> {
    let deleted = format!("delete table {}", clamp::TABLE);
    let after = text.split_once(&deleted).map_or(text, |(_, after)| after).trim_start_matches("; ");
    (!after.is_empty()).then(|| after.to_owned())
}
