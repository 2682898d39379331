//! The host that everything is done to: looked at by what the kernel shows, changed by commands.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::change::typed;
use super::clamp;
use super::facts::{Facts, LOOPBACK, Link, Nft, Setting, Settings};
use super::plan::TUNNELS;
use crate::decap;
use crate::measure::default_interfaces;

/// Where programs for administration lie, beside PATH.
const MORE_PLACES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
const IPV4_SETTINGS: &str = "/proc/sys/net/ipv4/conf";
const OWN_NAME: &str = "lb-agent";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// A socket that accepts connections, in /proc/net/tcp.
const LISTENING: &str = "0A";

/// A host.
pub(crate) trait Host {
    /// What it is like now.
    fn facts(&self) -> anyhow::Result<Facts>;
    /// Runs a command on it.
    fn run(&mut self, words: &[String]) -> anyhow::Result<()>;
}

/// The host that this program runs on.
#[derive(Debug)]
pub(crate) struct System {
    /// Where the program that takes packets out of tunnels is pinned.
    pins: PathBuf,
}

impl System {
    pub(crate) fn new(pins: &Path) -> System {
        System { pins: pins.to_owned() }
    }
}

impl Host for System {
    fn facts(&self) -> anyhow::Result<Facts> {
        let links = links()?;
        let interfaces = links.iter().map(|link| (link.name.as_str(), link.ifindex));
        let decap = decap::look(&self.pins, interfaces)?;
        Ok(Facts {
            links,
            default_interfaces: default_interfaces(&read("/proc/self/net/route"), &read("/proc/self/net/ipv6_route")),
            settings: settings()?,
            ipv6: read(&format!("/proc/sys/net/ipv6/conf/{LOOPBACK}/disable_ipv6")).trim() == "0",
            modules: TUNNELS.map(|tunnel| (tunnel.module.to_owned(), loadable(tunnel.module))).into(),
            nft: nft()?,
            decap,
            listeners: ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
                .iter()
                .flat_map(|path| listeners(&read(path)))
                .collect(),
            udev: is_installed("udevadm"),
            boot: read(BOOT_ID).trim().to_owned(),
        })
    }

    fn run(&mut self, words: &[String]) -> anyhow::Result<()> {
        let output = output(words)?;
        if !output.status.success() {
            bail!("`{}` failed ({}): {}", typed(words), output.status, said(&output));
        }
        Ok(())
    }
}

/// A file that is empty where it cannot be read: the kernel may have no such thing.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn output(words: &[String]) -> anyhow::Result<Output> {
    let Some((program, arguments)) = words.split_first() else { bail!("an empty command") };
    let path = std::env::join_paths(places()).context("PATH cannot be used")?;
    let mut command = Command::new(executable(program)?);
    command.args(arguments).env("PATH", path).env("LC_ALL", "C").stdin(Stdio::null());
    command.output().with_context(|| format!("cannot run `{}`: is {program} installed?", typed(words)))
}

/// This program is run as it is, wherever it lies.
fn executable(program: &str) -> anyhow::Result<PathBuf> {
    if program == OWN_NAME {
        std::env::current_exe().context("cannot tell where lb-agent is")
    } else {
        Ok(program.into())
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

fn places() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(MORE_PLACES.iter().map(PathBuf::from)).collect()
}

fn is_installed(program: &str) -> bool {
    places().iter().any(|place| place.join(program).is_file())
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn links() -> anyhow::Result<Vec<Link>> {
    let listing = output(&words("ip -details -json address show"))?;
    if !listing.status.success() {
        bail!("`ip address show` failed ({}): {}", listing.status, said(&listing));
    }
    parse_links(&listing.stdout)
}

/// What `ip` prints of an interface, as far as it is wanted.
#[derive(Deserialize)]
struct Shown {
    ifname: String,
    ifindex: u32,
    flags: Vec<String>,
    mtu: u32,
    link_type: String,
    linkinfo: Option<ShownKind>,
    /// The XDP program.
    xdp: Option<serde_json::Value>,
    #[serde(default)]
    addr_info: Vec<ShownAddress>,
}

#[derive(Deserialize)]
struct ShownKind {
    info_kind: Option<String>,
    info_data: Option<ShownData>,
}

#[derive(Deserialize)]
struct ShownData {
    proto: Option<String>,
}

#[derive(Deserialize)]
struct ShownAddress {
    local: Option<IpAddr>,
    prefixlen: Option<u8>,
}

fn parse_links(json: &[u8]) -> anyhow::Result<Vec<Link>> {
    // `ip` prints an empty object in place of an interface that it leaves out.
    let all: Vec<serde_json::Value> = serde_json::from_slice(json).context("`ip` printed no JSON")?;
    let there = all.into_iter().filter(|one| one.get("ifname").is_some());
    let parse =
        |one| serde_json::from_value(one).map(link).context("`ip` printed an interface without its usual fields");
    there.map(parse).collect()
}

fn link(shown: Shown) -> Link {
    let flag = |name: &str| shown.flags.iter().any(|flag| flag == name);
    let (kind, data) = shown.linkinfo.map(|info| (info.info_kind, info.info_data)).unwrap_or_default();
    Link {
        up: flag("UP"),
        arp: shown.link_type == "ether" && !flag("NOARP"),
        ifindex: shown.ifindex,
        mtu: shown.mtu,
        xdp: shown.xdp.is_some(),
        kind,
        tunnel_mode: data.and_then(|data| data.proto),
        addresses: shown.addr_info.iter().filter_map(|one| Some((one.local?, one.prefixlen?))).collect(),
        name: shown.ifname,
    }
}

fn settings() -> anyhow::Result<Settings> {
    let failed = || format!("cannot read {IPV4_SETTINGS}");
    let mut settings = Settings::new();
    for entry in fs::read_dir(IPV4_SETTINGS).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        if let Ok(name) = entry.file_name().into_string() {
            settings.insert(name, own_settings(&entry.path()));
        }
    }
    Ok(settings)
}

/// An interface may go at any time; then it has none.
fn own_settings(directory: &Path) -> BTreeMap<Setting, u32> {
    let value = |setting: Setting| fs::read_to_string(directory.join(setting.name())).ok()?.trim().parse().ok();
    Setting::EACH.into_iter().filter_map(|setting| Some((setting, value(setting)?))).collect()
}

/// Asks what loading would do, without doing it.
fn loadable(module: &str) -> Result<(), String> {
    if !is_installed("modprobe") {
        return Err("there is no program modprobe (apt-get install kmod)".to_owned());
    }
    let asked = output(&words(&format!("modprobe --dry-run {module}"))).map_err(|error| format!("{error:#}"))?;
    if asked.status.success() { Ok(()) } else { Err(said(&asked)) }
}

fn nft() -> anyhow::Result<Nft> {
    if !is_installed("nft") {
        return Ok(Nft::Missing);
    }
    let tables = output(&words("nft list tables"))?;
    if !tables.status.success() {
        return Ok(Nft::Failed(format!("`nft list tables` failed: {}", said(&tables))));
    }
    let ours = format!("table {}", clamp::TABLE);
    if !String::from_utf8_lossy(&tables.stdout).lines().any(|line| line == ours) {
        return Ok(Nft::Works(None));
    }
    let listing = output(&words(&format!("nft list {ours}")))?;
    Ok(Nft::Works(Some(String::from_utf8_lossy(&listing.stdout).into_owned())))
}

/// Lines like `0: 0100007F:1F90 00000000:0000 0A ...`. Addresses are 32-bit words in the order of this machine's bytes.
fn listeners(text: &str) -> Vec<SocketAddr> {
    let listener = |line: &str| {
        let mut columns = line.split_whitespace().skip(1);
        let (address, port) = columns.next()?.split_once(':')?;
        let state = columns.nth(1)?;
        let port = u16::from_str_radix(port, 16).ok()?;
        (state == LISTENING).then_some(SocketAddr::new(parse_address(address)?, port))
    };
    text.lines().skip(1).filter_map(listener).collect()
}

fn parse_address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (index, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(8 * index)?);
            }
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_from_what_ip_prints() {
        let json = r#"[{},
            {"ifname":"lo","ifindex":1,"flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"link_type":"loopback",
             "addr_info":[{"local":"192.0.2.100","prefixlen":32},{"local":"::1","prefixlen":128}]},
            {"ifname":"eth0","ifindex":2,"flags":["BROADCAST","MULTICAST"],"mtu":1500,"link_type":"ether","linkinfo":{"info_kind":"veth"}},
            {"ifname":"d0","ifindex":3,"flags":["NOARP"],"mtu":1500,"link_type":"ether","linkinfo":{"info_kind":"dummy"}},
            {"ifname":"ip6tnl0","ifindex":4,"flags":["NOARP"],"mtu":1452,"link_type":"tunnel6",
             "linkinfo":{"info_kind":"ip6tnl","info_data":{"proto":"ip6ip6","remote":"any"}},"addr_info":[{}]}]"#;
        let links = parse_links(json.as_bytes()).unwrap();
        let names: Vec<(&str, bool, bool)> = links.iter().map(|link| (link.name.as_str(), link.up, link.arp)).collect();
        assert_eq!(
            names,
            [("lo", true, false), ("eth0", false, true), ("d0", false, false), ("ip6tnl0", false, false)]
        );
        assert_eq!(links[0].addresses, [("192.0.2.100".parse().unwrap(), 32), ("::1".parse().unwrap(), 128)]);
        assert_eq!(links[3].kind.as_deref(), Some("ip6tnl"));
        assert_eq!(links[3].tunnel_mode.as_deref(), Some("ip6ip6"));
        assert_eq!(links[3].addresses, []);
        let error = parse_links(br#"[{"ifname":"lo"}]"#).unwrap_err().to_string();
        assert_eq!(error, "`ip` printed an interface without its usual fields");
    }

    #[test]
    fn listeners_are_read_from_the_kernels_table() {
        let hex = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let text = format!(
            "  sl  local_address rem_address   st\n   0: {}:0050 00000000:0000 0A 0\n   1: {}:1F90 00000000:0000 01 0\n\
             \x20  2: {} \n",
            hex([192, 0, 2, 21]),
            hex([127, 0, 0, 1]),
            hex([127, 0, 0, 1])
        );
        assert_eq!(listeners(&text), ["192.0.2.21:80".parse().unwrap()]);
        let v6 = [[0x20, 0x01, 0x0d, 0xb8], [0; 4], [0; 4], [0, 0, 0, 1]].map(hex).concat();
        assert_eq!(parse_address(&v6), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(parse_address("0"), None);
        assert_eq!(parse_address("000000é0"), None);
    }

    #[test]
    fn this_host_can_be_looked_at() {
        let facts = System::new(Path::new(decap::PIN_DIR)).facts().unwrap();
        assert!(facts.link(LOOPBACK).is_some());
        assert!(facts.settings.contains_key("all"));
        assert!(!facts.boot.is_empty());
    }
}
