//! `lb-agent decap`: the XDP program that takes packets for VIPs out of tunnels, for hosts whose kernel has no module for that. The only
//! user of aya. `lb-agent setup` takes it as a step.
//!
//! The attachment and the maps of an interface are pinned in a directory of its own, and so stay when this process ends:
//! `link`, and the maps of [`lb_common::decap`].

mod arguments;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use aya::maps::{HashMap, Map, MapData, PerCpuArray};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{ProgramError, Xdp, XdpError, XdpMode};
use aya::{Ebpf, EbpfLoader, Pod, include_bytes_aligned};
use lb_common::decap::{AddressKey, ENDPOINT_GUE, ENDPOINT_IPIP, Endpoint, MAX_DECAP_VIPS, MAX_ENDPOINTS, map};
use lb_common::{FAMILY_V4, FAMILY_V6};
use nix::net::if_::if_nametoindex;

pub(crate) use arguments::{DecapArguments, words, words_to_end};

use crate::setup::Mode;

/// Where everything is pinned.
pub(crate) const PIN_DIR: &str = "/sys/fs/bpf/understudy-agent";
const OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lb-decap-ebpf"));
const PROGRAM: &str = "decap";
const LINK: &str = "link";

/// What the program does on an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decap {
    /// The addresses that tunnels end at.
    pub(crate) endpoints: BTreeMap<IpAddr, Tunnels>,
    /// Whose packets are taken out.
    pub(crate) vips: BTreeSet<IpAddr>,
    /// How many were.
    pub(crate) packets: u64,
}

/// The tunnels that end at an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tunnels {
    pub(crate) ipip: bool,
    /// The UDP port.
    pub(crate) gue: Option<u16>,
}

impl Decap {
    /// Whether tunnels of this mode end at all of these addresses, and packets of all these VIPs are taken out.
    pub(crate) fn has(&self, mode: Mode, port: u16, addresses: &BTreeSet<IpAddr>, vips: &BTreeSet<IpAddr>) -> bool {
        let ends = |address: &IpAddr| {
            let tunnels = self.endpoints.get(address).copied().unwrap_or_default();
            if mode == Mode::Gue { tunnels.gue == Some(port) } else { tunnels.ipip }
        };
        addresses.iter().all(ends) && vips.is_subset(&self.vips)
    }
}

/// Does what the command line says.
pub(crate) fn run(arguments: &DecapArguments) -> anyhow::Result<ExitCode> {
    let directory = directory(&arguments.bpf_dir, index_of(&arguments.interface)?);
    if arguments.detach {
        remove(&directory)?;
    } else {
        attach(&directory, arguments)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the program does, by interface, of those with these names and indices.
pub(crate) fn look<'a>(
    pins: &Path,
    interfaces: impl Iterator<Item = (&'a str, u32)>,
) -> anyhow::Result<BTreeMap<String, Decap>> {
    let mut found = BTreeMap::new();
    for (name, ifindex) in interfaces {
        let directory = directory(pins, ifindex);
        if directory.join(LINK).exists() {
            let maps = Maps::pinned(&directory)?;
            found.insert(name.to_owned(), maps.read().with_context(|| unreadable(&directory))?);
        }
    }
    Ok(found)
}

/// Attaches the program to the interface, where it is not yet, and adds what it shall do to what it does.
fn attach(directory: &Path, wanted: &DecapArguments) -> anyhow::Result<()> {
    if directory.join(LINK).exists() {
        return Maps::pinned(directory)?.add(wanted);
    }
    // What has no link was left by an attachment that failed.
    remove(directory)?;
    fs::create_dir_all(directory).with_context(|| no_pin_directory(directory))?;
    attach_anew(directory, wanted).inspect_err(|_| {
        // The error that led here is the one to tell.
        let _ = remove(directory);
    })
}

fn attach_anew(directory: &Path, wanted: &DecapArguments) -> anyhow::Result<()> {
    let mut loader = EbpfLoader::new();
    for name in map::ALL {
        loader.map_pin_path(name, directory.join(name));
    }
    let mut ebpf = loader.load(OBJECT).with_context(|| no_pin_directory(directory))?;
    // Filled before a packet comes by, and open until the program has them.
    let mut maps = Maps::of(&mut ebpf)?;
    maps.add(wanted)?;
    let program = ebpf.program_mut(PROGRAM).ok_or_else(|| anyhow!("the program {PROGRAM} is not in its object"))?;
    let program: &mut Xdp = program.try_into().context("the program is no XDP program")?;
    program.load().context("the kernel refuses the program that takes packets out of tunnels (is this root?)")?;
    let interface = &wanted.interface;
    let mut attached = program.attach(interface, XdpMode::Driver);
    if attached.as_ref().is_err_and(|error| !is_occupied(error)) {
        attached = program.attach(interface, XdpMode::Skb);
    }
    let id = match attached {
        Err(error) if is_occupied(&error) => {
            bail!("{interface} has another XDP program; `ip link set dev {interface} xdp off` removes it, if it can go")
        }
        attached => attached.with_context(|| format!("no XDP program can be attached to {interface}"))?,
    };
    let link = program.take_link(id).context("the attachment is gone")?;
    let link = FdLink::try_from(link).context("this kernel has no attachments that can be pinned; Linux 5.9 has")?;
    link.pin(directory.join(LINK)).with_context(|| no_pin_directory(directory))?;
    Ok(())
}

/// Takes the program off the interface whose pins are in the directory. There being none is no error.
fn remove(directory: &Path) -> anyhow::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| unreadable(directory))?,
    };
    let failed = |path: &Path| format!("cannot remove {}", path.display());
    let link = directory.join(LINK);
    if link.exists() {
        let pinned = PinnedLink::from_pin(&link).with_context(|| failed(&link))?;
        pinned.unpin().map(drop).with_context(|| failed(&link))?;
    }
    for entry in entries {
        let path = entry.with_context(|| unreadable(directory))?.path();
        if path != link {
            fs::remove_file(&path).with_context(|| failed(&path))?;
        }
    }
    fs::remove_dir(directory).with_context(|| failed(directory))
}

/// The maps of one attachment.
struct Maps {
    endpoints: HashMap<MapData, AddressKey, Endpoint>,
    vips: HashMap<MapData, AddressKey, u32>,
    packets: PerCpuArray<MapData, u64>,
}

impl Maps {
    fn of(ebpf: &mut Ebpf) -> anyhow::Result<Maps> {
        let mut take = |name: &str| ebpf.take_map(name).ok_or_else(|| anyhow!("the map {name} is not in its object"));
        Ok(Maps {
            endpoints: take(map::ENDPOINTS)?.try_into()?,
            vips: take(map::VIPS)?.try_into()?,
            packets: take(map::PACKETS)?.try_into()?,
        })
    }

    fn pinned(directory: &Path) -> anyhow::Result<Maps> {
        let open = |name: &str| MapData::from_pin(directory.join(name)).with_context(|| unreadable(directory));
        Ok(Maps {
            endpoints: Map::HashMap(open(map::ENDPOINTS)?).try_into()?,
            vips: Map::HashMap(open(map::VIPS)?).try_into()?,
            packets: Map::PerCpuArray(open(map::PACKETS)?).try_into()?,
        })
    }

    fn add(&mut self, wanted: &DecapArguments) -> anyhow::Result<()> {
        for vip in &wanted.vips {
            let full = || format!("no room for the VIP {vip}: the program knows {MAX_DECAP_VIPS} at most");
            self.vips.insert(key(*vip), 0, 0).with_context(full)?;
        }
        for address in &wanted.addresses {
            let mut endpoint = self.endpoints.get(&key(*address), 0).unwrap_or_default();
            if wanted.mode == Some(Mode::Gue) {
                endpoint.flags |= ENDPOINT_GUE;
                endpoint.gue_port = wanted.port;
            } else {
                endpoint.flags |= ENDPOINT_IPIP;
            }
            let full = || format!("no room for the address {address}: the program knows {MAX_ENDPOINTS} at most");
            self.endpoints.insert(key(*address), endpoint, 0).with_context(full)?;
        }
        Ok(())
    }

    fn read(&self) -> anyhow::Result<Decap> {
        let mut endpoints = BTreeMap::new();
        for (key, endpoint) in entries(&self.endpoints)? {
            let tunnels = Tunnels {
                ipip: endpoint.flags & ENDPOINT_IPIP != 0,
                gue: (endpoint.flags & ENDPOINT_GUE != 0).then_some(endpoint.gue_port),
            };
            endpoints.extend(address(&key).map(|address| (address, tunnels)));
        }
        let vips = entries(&self.vips)?.iter().filter_map(|(key, _)| address(key)).collect();
        let packets = self.packets.get(&0, 0)?.iter().sum();
        Ok(Decap { endpoints, vips, packets })
    }
}

fn entries<V: Pod>(map: &HashMap<MapData, AddressKey, V>) -> anyhow::Result<Vec<(AddressKey, V)>> {
    Ok(map.iter().collect::<Result<_, _>>()?)
}

fn key(address: IpAddr) -> AddressKey {
    let (bytes, family) = match address {
        IpAddr::V4(v4) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&v4.octets());
            (bytes, FAMILY_V4)
        }
        IpAddr::V6(v6) => (v6.octets(), FAMILY_V6),
    };
    AddressKey { address: bytes, family, reserved: [0; 3] }
}

/// None where it is of no family that is known.
fn address(key: &AddressKey) -> Option<IpAddr> {
    match key.family {
        FAMILY_V4 => key.address.first_chunk::<4>().map(|bytes| IpAddr::from(*bytes)),
        FAMILY_V6 => Some(IpAddr::from(key.address)),
        _ => None,
    }
}

fn is_occupied(error: &ProgramError) -> bool {
    let code = match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        ProgramError::XdpError(XdpError::NetlinkError(error)) => error.raw_os_error(),
        _ => None,
    };
    // EBUSY and EEXIST.
    matches!(code, Some(16 | 17))
}

/// By the interface's index: pins have no dots in their names, interfaces may.
fn directory(pins: &Path, ifindex: u32) -> PathBuf {
    pins.join(format!("if_{ifindex}"))
}

fn index_of(interface: &str) -> anyhow::Result<u32> {
    if_nametoindex(interface).with_context(|| format!("there is no interface {interface}"))
}

fn unreadable(directory: &Path) -> String {
    format!("cannot read what is pinned in {}", directory.display())
}

fn no_pin_directory(directory: &Path) -> String {
    format!(
        "nothing can be pinned in {}: is this root, and is a BPF file system there (mount -t bpf bpf /sys/fs/bpf)?",
        directory.display()
    )
}
