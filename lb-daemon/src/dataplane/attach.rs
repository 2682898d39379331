//! Attaches the program to interfaces, and takes it off again.
//!
//! A pinned attachment's name says the interface's index and the mode: `link_3_driver`. The index, since an interface may be
//! renamed; the mode, since the kernel does not tell it.

use std::{
    ffi::CString,
    fs, io,
    path::{Path, PathBuf},
};

use aya::programs::{
    ProgramError, XdpError, XdpMode,
    links::{FdLink, PinnedLink},
    xdp::XdpLink,
};

use super::{Dataplane, DataplaneError};

/// Where in the receive path the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// `Driver` where that works, else `Generic`.
    Auto,
    /// In the driver, before the kernel makes a socket buffer of the frame (native XDP).
    Driver,
    /// In the network stack: slower, works everywhere.
    Generic,
}

impl AttachMode {
    /// The name that the configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Driver => "driver",
            Self::Generic => "generic",
        }
    }
}

/// How an interface is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The mode that was got: never [`AttachMode::Auto`].
    pub mode: AttachMode,
    /// An earlier lbd's attachment was taken over: its program was replaced by this one between two packets.
    pub adopted: bool,
    /// The interface's index.
    pub ifindex: u32,
    /// Why driver mode was refused, where [`AttachMode::Auto`] has then got generic mode.
    pub driver_refusal: Option<String>,
}

impl Dataplane {
    /// Attaches the program to `interface`, or replaces the program of a pinned attachment there, which loses no packet.
    ///
    /// # Errors
    /// The interface does not exist, has another XDP program, or does not take this one in this mode.
    pub fn attach(&mut self, interface: &str, mode: AttachMode) -> Result<Attached, DataplaneError> {
        let ifindex =
            index_of(interface).ok_or_else(|| DataplaneError::NoInterface { interface: interface.to_owned() })?;
        let attached = match self.adopt(interface, ifindex, mode)? {
            Some(attached) => attached,
            None => self.attach_anew(interface, ifindex, mode)?,
        };
        self.attached.retain(|(name, _)| name != interface);
        self.attached.push((interface.to_owned(), attached.clone()));
        Ok(attached)
    }

    /// Takes the program off `interface`. There being none is no error. (Without a pin directory an attachment ends with
    /// the `Dataplane` only.)
    ///
    /// # Errors
    /// The pin cannot be removed.
    pub fn detach(&mut self, interface: &str) -> Result<(), DataplaneError> {
        let Some(at) = self.attached.iter().position(|(name, _)| name == interface) else { return Ok(()) };
        let (_, attached) = self.attached.remove(at);
        if let Some(dir) = &self.options.pin_dir {
            remove_pin(&pin_path(dir, attached.ifindex, attached.mode))?;
        }
        Ok(())
    }

    /// Takes the program off every interface that is not among `keep`: an earlier lbd with another configuration, or an
    /// interface that has gone since, left it there. Returns what was removed.
    ///
    /// # Errors
    /// A pin cannot be read or removed.
    pub fn detach_others(&mut self, keep: &[String]) -> Result<Vec<String>, DataplaneError> {
        let Some(dir) = &self.options.pin_dir else { return Ok(Vec::new()) };
        let kept: Vec<u32> = keep.iter().filter_map(|name| index_of(name)).collect();
        remove_links(dir, |ifindex| !kept.contains(&ifindex))
    }

    /// The interfaces attached to by this process.
    #[must_use]
    pub fn attached(&self) -> Vec<(String, Attached)> {
        self.attached.clone()
    }

    /// Takes over a pinned attachment; `None` where there is none that can be used.
    fn adopt(&mut self, interface: &str, ifindex: u32, wanted: AttachMode) -> Result<Option<Attached>, DataplaneError> {
        let Some(dir) = self.options.pin_dir.clone() else { return Ok(None) };
        for mode in [AttachMode::Driver, AttachMode::Generic] {
            let pin = pin_path(&dir, ifindex, mode);
            if !pin.exists() {
                continue;
            }
            if (wanted == AttachMode::Auto || wanted == mode) && self.replace_program(interface, &pin)? {
                return Ok(Some(Attached { mode, adopted: true, ifindex, driver_refusal: None }));
            }
            // Of another mode than is wanted, or of an interface that has gone: of no use.
            remove_pin(&pin)?;
        }
        Ok(None)
    }

    /// Puts this program in the place of the pinned attachment's. False where the attachment's interface is gone.
    fn replace_program(&mut self, interface: &str, pin: &Path) -> Result<bool, DataplaneError> {
        let failed = |source| DataplaneError::Attach {
            interface: interface.to_owned(),
            mode: "the pinned",
            hint: "; `lbd detach` removes the attachment",
            source: Box::new(source),
        };
        let pinned =
            PinnedLink::from_pin(pin).map_err(|error| failed(ProgramError::IOError(io::Error::other(error))))?;
        let link = XdpLink::try_from(FdLink::from(pinned))
            .map_err(|error| failed(ProgramError::IOError(io::Error::other(error))))?;
        let program = self.program()?;
        match program.attach_to_link(link) {
            Ok(id) => {
                // The pin keeps the attachment; this descriptor is not needed.
                let _ = program.take_link(id).map_err(failed)?;
                Ok(true)
            }
            Err(error) if os_error(&error) == Some(libc::ENOLINK) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    fn attach_anew(&mut self, interface: &str, ifindex: u32, mode: AttachMode) -> Result<Attached, DataplaneError> {
        let modes: &[AttachMode] = match mode {
            AttachMode::Auto => &[AttachMode::Driver, AttachMode::Generic],
            AttachMode::Driver => &[AttachMode::Driver],
            AttachMode::Generic => &[AttachMode::Generic],
        };
        let mut driver_refusal = None;
        let mut result = Err(DataplaneError::NoInterface { interface: interface.to_owned() });
        for mode in modes {
            result = self.attach_in_mode(interface, ifindex, *mode);
            match &result {
                Ok(()) => return Ok(Attached { mode: *mode, adopted: false, ifindex, driver_refusal }),
                // Another program is in the way of every mode.
                Err(DataplaneError::Occupied { .. }) => break,
                Err(refused) => driver_refusal = Some(chain(refused)),
            }
        }
        result.map(|()| Attached { mode, adopted: false, ifindex, driver_refusal })
    }

    fn attach_in_mode(&mut self, interface: &str, ifindex: u32, mode: AttachMode) -> Result<(), DataplaneError> {
        let flags = if mode == AttachMode::Driver { XdpMode::Driver } else { XdpMode::Skb };
        let pin = self.options.pin_dir.as_deref().map(|dir| pin_path(dir, ifindex, mode));
        let program = self.program()?;
        let id = program.attach_to_if_index(ifindex, flags).map_err(|error| attach_error(interface, mode, error))?;
        let Some(pin) = pin else { return Ok(()) };
        let link = program.take_link(id).map_err(|error| attach_error(interface, mode, error))?;
        let link = FdLink::try_from(link).map_err(|_| DataplaneError::NoLink { interface: interface.to_owned() })?;
        link.pin(pin).map(drop).map_err(|source| DataplaneError::PinLink { interface: interface.to_owned(), source })
    }
}

/// Removes the pinned attachments under `dir` to interfaces of these indices, which detaches the program.
pub(super) fn remove_links(dir: &Path, unwanted: impl Fn(u32) -> bool) -> Result<Vec<String>, DataplaneError> {
    let failed = |source| DataplaneError::Pin { action: "read", path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut removed = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let Some((ifindex, mode)) = path.file_name().and_then(|name| parse_pin(name.to_str()?)) else { continue };
        if !unwanted(ifindex) {
            continue;
        }
        remove_pin(&path)?;
        removed.push(format!("attachment to interface {} in {} mode", name_of(ifindex), mode.name()));
    }
    Ok(removed)
}

fn pin_path(dir: &Path, ifindex: u32, mode: AttachMode) -> PathBuf {
    dir.join(format!("link_{ifindex}_{}", mode.name()))
}

fn parse_pin(name: &str) -> Option<(u32, AttachMode)> {
    let (ifindex, mode) = name.strip_prefix("link_")?.split_once('_')?;
    let mode = [AttachMode::Driver, AttachMode::Generic].into_iter().find(|known| known.name() == mode)?;
    Some((ifindex.parse().ok()?, mode))
}

/// Detaches a pinned attachment and removes its pin. There being none is no error.
fn remove_pin(path: &Path) -> Result<(), DataplaneError> {
    let steps: [(&'static str, io::Result<()>); 2] =
        [("detach", super::sys::detach_pinned_link(path)), ("remove", fs::remove_file(path))];
    for (action, result) in steps {
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(DataplaneError::Pin { action, path: path.to_owned(), source }),
        }
    }
    Ok(())
}

fn attach_error(interface: &str, mode: AttachMode, error: ProgramError) -> DataplaneError {
    let interface = interface.to_owned();
    match os_error(&error) {
        Some(libc::EBUSY | libc::EEXIST) => DataplaneError::Occupied { interface },
        Some(libc::ENODEV) => DataplaneError::NoInterface { interface },
        Some(libc::EPERM) => DataplaneError::NotPermitted,
        code => {
            let hint = match (mode, code) {
                (AttachMode::Driver, Some(libc::EOPNOTSUPP)) => {
                    ": its driver has no native XDP; set attach_mode to auto or generic"
                }
                (AttachMode::Driver, _) => {
                    ": its driver refuses native XDP (an MTU above 3506, LRO, or too few queues?); \
                     dmesg may say why, and attach_mode = \"generic\" always works"
                }
                _ => "",
            };
            DataplaneError::Attach { interface, mode: mode.name(), hint, source: Box::new(error) }
        }
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

fn os_error(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        ProgramError::XdpError(XdpError::NetlinkError(error)) => error.raw_os_error(),
        _ => None,
    }
}

/// The interface's index, or `None` where there is no such interface.
fn index_of(interface: &str) -> Option<u32> {
    let name = CString::new(interface).ok()?;
    // SAFETY: the name is a C string that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => None,
        index => Some(index),
    }
}

/// The interface's name, or its index where it has gone.
fn name_of(ifindex: u32) -> String {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer is IF_NAMESIZE bytes long, as the call wants.
    let found = unsafe { libc::if_indextoname(ifindex, name.as_mut_ptr()) };
    if found.is_null() {
        return format!("#{ifindex}");
    }
    let bytes = name.map(|byte| byte as u8);
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_says_its_interface_and_mode() {
        let path = pin_path(Path::new("/x"), 17, AttachMode::Generic);
        assert_eq!(parse_pin(path.file_name().unwrap().to_str().unwrap()), Some((17, AttachMode::Generic)));
        for foreign in ["abi", "link_", "link_x_driver", "link_3_auto", "link_3"] {
            assert_eq!(parse_pin(foreign), None, "{foreign}");
        }
    }
}
