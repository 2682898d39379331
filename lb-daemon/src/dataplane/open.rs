//! Loads the program, with new maps or with those that are pinned.

use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use aya::{
    Ebpf, EbpfError, EbpfLoader, include_bytes_aligned,
    maps::{Map, MapError},
    programs::ProgramError,
};
use lb_common::{ABI_VERSION, map};

use super::{
    Adoption, Dataplane, DataplaneError, MapFds, Maps, Options, attach, log,
    ring::Rings,
    shape::{self, Found},
};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lb-ebpf"));
/// The program's global that says which of its log messages are on.
const LOG_LEVEL: &str = "AYA_LOG_LEVEL";
const LOG_OFF: u8 = 0;
const LOG_ALL: u8 = u8::MAX;
const BTF: &str = "/sys/kernel/btf/vmlinux";

impl Dataplane {
    /// Loads the program. With a pin directory, pinned maps of the same ABI and shapes are adopted, others replaced.
    ///
    /// # Errors
    /// No permission, no BTF, no bpffs, or the kernel refuses the program or a map.
    pub fn open(options: &Options) -> Result<(Self, Adoption), DataplaneError> {
        if !Path::new(BTF).exists() {
            return Err(DataplaneError::NoBtf);
        }
        let adoption = match &options.pin_dir {
            Some(dir) => prepare_pins(dir, options)?,
            None => Adoption::Fresh,
        };
        let mut ebpf = load(options, OBJECT)?;
        if options.debug_log {
            log::start(&mut ebpf)?;
        }
        let mut maps = take_maps(&mut ebpf)?;
        if adoption == Adoption::Adopted {
            // An lbd that ended between two writes has left a service out.
            maps.index_services()?;
            maps.find_rings(&maps.service_ids()?)?;
        } else {
            // Written last: maps without it are unfinished, and the next lbd replaces them.
            maps.abi.set(0, ABI_VERSION, 0).map_err(|source| DataplaneError::Map {
                action: "write",
                map: map::ABI,
                source,
            })?;
        }
        let mut dataplane = Self { options: options.clone(), ebpf, maps, attached: Vec::new() };
        dataplane.program()?.load().map_err(program_load_error)?;
        Ok((dataplane, adoption))
    }

    /// Whether [`open`](Self::open) would find maps that it can use as they are.
    ///
    /// # Errors
    /// Pins cannot be looked at.
    pub fn would_adopt(options: &Options) -> Result<bool, DataplaneError> {
        let Some(dir) = options.pin_dir.as_deref().filter(|dir| dir.exists()) else { return Ok(false) };
        Ok(matches!(shape::check(dir, options)?, Found::Usable))
    }

    /// Removes every pin under `dir`: the program is detached from its interfaces and the maps go. Returns what was removed.
    ///
    /// # Errors
    /// A pin cannot be removed.
    pub fn remove_pins(dir: &Path) -> Result<Vec<String>, DataplaneError> {
        let mut removed = attach::remove_links(dir, |_| true)?;
        removed.extend(shape::unpin_maps(dir)?);
        match fs::remove_dir(dir) {
            // Somebody else's files in it are no business of ours.
            Ok(()) | Err(_) => Ok(removed),
        }
    }
}

fn prepare_pins(dir: &Path, options: &Options) -> Result<Adoption, DataplaneError> {
    let pin_dir = |source| DataplaneError::PinDir { path: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(pin_dir)?;
    if !super::sys::is_bpffs(dir).map_err(pin_dir)? {
        // An empty directory of ours on a disk would hide a bpffs that is mounted above it later.
        let _ = fs::remove_dir(dir);
        return Err(pin_dir(io::Error::other("it is on no BPF file system")));
    }
    Ok(match shape::check(dir, options)? {
        Found::Nothing => Adoption::Fresh,
        Found::Usable => Adoption::Adopted,
        Found::Unusable(reason) => {
            shape::unpin_maps(dir)?;
            Adoption::Replaced { reason }
        }
    })
}

pub(super) fn load(options: &Options, object: &[u8]) -> Result<Ebpf, DataplaneError> {
    let level = if options.debug_log { LOG_ALL } else { LOG_OFF };
    let mut loader = EbpfLoader::new();
    loader
        .override_global(LOG_LEVEL, &level, true)
        .map_max_entries(map::REALS, options.max_reals)
        .map_max_entries(map::REAL_COUNTERS, options.max_reals)
        .map_max_entries(map::FLOWS, options.max_flows)
        .map_max_entries(map::FLOW_EVENTS, options.flow_events_bytes());
    if let Some(dir) = &options.pin_dir {
        for name in map::ALL {
            loader.map_pin_path(name, dir.join(name));
        }
    }
    loader.load(object).map_err(load_error)
}

fn load_error(error: EbpfError) -> DataplaneError {
    let os_error = match &error {
        EbpfError::MapError(MapError::CreateError { io_error, .. }) => io_error.raw_os_error(),
        EbpfError::MapError(MapError::SyscallError(error)) => error.io_error.raw_os_error(),
        _ => None,
    };
    match os_error {
        Some(libc::EPERM | libc::EACCES) => DataplaneError::NotPermitted,
        _ => DataplaneError::Load(Box::new(error)),
    }
}

pub(super) fn program_load_error(error: ProgramError) -> DataplaneError {
    match &error {
        ProgramError::LoadError { io_error, .. } if io_error.raw_os_error() == Some(libc::EPERM) => {
            DataplaneError::NotPermitted
        }
        _ => DataplaneError::Program { step: "load", source: error },
    }
}

pub(super) fn take_maps(ebpf: &mut Ebpf) -> Result<Maps, DataplaneError> {
    // Before the maps are taken: typed ones show no descriptor.
    let fds = MapFds {
        node: descriptor(ebpf, map::NODE)?,
        rings: descriptor(ebpf, map::RINGS)?,
        sources: descriptor(ebpf, map::SOURCES)?,
        flows: descriptor(ebpf, map::FLOWS)?,
        half_open: descriptor(ebpf, map::HALF_OPEN)?,
        flow_events: descriptor(ebpf, map::FLOW_EVENTS)?,
        trace_filter: descriptor(ebpf, map::TRACE_FILTER)?,
        trace_events: descriptor(ebpf, map::TRACE_EVENTS)?,
        events: descriptor(ebpf, map::EVENTS)?,
        wanted_neighbours: descriptor(ebpf, map::WANTED_NEIGHBOURS)?,
    };
    Ok(Maps {
        vips: take(ebpf, map::VIPS)?,
        vip_prefixes: take(ebpf, map::VIP_PREFIXES)?,
        services: take(ebpf, map::SERVICES)?,
        service_index: take(ebpf, map::SERVICE_INDEX)?,
        port_ranges: take(ebpf, map::PORT_RANGES)?,
        service_options: take(ebpf, map::SERVICE_OPTIONS)?,
        guards: take(ebpf, map::GUARDS)?,
        access: take(ebpf, map::ACCESS)?,
        sources: take(ebpf, map::SOURCES)?,
        quic: take(ebpf, map::QUIC)?,
        quic_servers: take(ebpf, map::QUIC_SERVERS)?,
        nat: take(ebpf, map::NAT)?,
        nat_ports: take(ebpf, map::NAT_PORTS)?,
        nat_replies: take(ebpf, map::NAT_REPLIES)?,
        reals: take(ebpf, map::REALS)?,
        flows: take(ebpf, map::FLOWS)?,
        half_open: take(ebpf, map::HALF_OPEN)?,
        fragments: take(ebpf, map::FRAGMENTS)?,
        service_counters: take(ebpf, map::SERVICE_COUNTERS)?,
        real_counters: take(ebpf, map::REAL_COUNTERS)?,
        drops: take(ebpf, map::DROPS)?,
        events: take(ebpf, map::EVENTS)?,
        abi: take(ebpf, map::ABI)?,
        ring_maps: Rings::default(),
        index_is_due: false,
        fds,
    })
}

fn take<T: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, DataplaneError> {
    let map = ebpf.take_map(name).ok_or(DataplaneError::Object { what: name })?;
    T::try_from(map).map_err(|source| DataplaneError::Map { action: "use", map: name, source })
}

fn descriptor(ebpf: &Ebpf, name: &'static str) -> Result<OwnedFd, DataplaneError> {
    let data = match ebpf.map(name) {
        Some(
            Map::Array(data)
            | Map::PerCpuArray(data)
            | Map::HashMap(data)
            | Map::LruHashMap(data)
            | Map::ArrayOfMaps(data)
            | Map::RingBuf(data),
        ) => data,
        _ => return Err(DataplaneError::Object { what: name }),
    };
    data.fd().as_fd().try_clone_to_owned().map_err(|source| DataplaneError::MapCall {
        action: "keep open",
        map: name,
        source,
    })
}
