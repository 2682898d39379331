//! What a driver says of itself, by the calls that ethtool(8) makes.

use std::io;
use std::os::fd::AsRawFd as _;

use socket2::{Domain, Socket, Type};

/// The request for all of them (sockios.h of the kernel).
const SIOCETHTOOL: libc::c_ulong = 0x8946;
/// Which driver it is (ethtool.h of the kernel, as the next ones).
const GET_DRIVER: u32 = 0x03;
const GET_RECEIVE_CHECKSUMS: u32 = 0x14;
const GET_FLAGS: u32 = 0x25;
const GET_GRO: u32 = 0x2b;
/// LRO among the flags.
const FLAG_LRO: u32 = 1 << 15;

/// What it says; none where it says nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Driver {
    pub(super) name: Option<String>,
    pub(super) lro: Option<bool>,
    pub(super) gro: Option<bool>,
    pub(super) receive_checksums: Option<bool>,
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// Asks the driver of an interface.
pub(super) fn look(interface: &str) -> Driver {
    let Ok(socket) = Socket::new(Domain::IPV4, Type::DGRAM, None) else { return Driver::default() };
    let value = |command| {
        let mut value = Value { command, data: 0 };
        // SAFETY: `Value` is what these commands read and write.
        unsafe { ask(&socket, interface, &raw mut value) }.ok().map(|()| value.data)
    };
    let mut info = DriverInfo { command: GET_DRIVER, driver: [0; 32], rest: [0; 160] };
    // SAFETY: `DriverInfo` is as long as what this command writes.
    let name = unsafe { ask(&socket, interface, &raw mut info) }.ok().map(|()| text(&info.driver));
    Driver {
        name,
        lro: value(GET_FLAGS).map(|flags| flags & FLAG_LRO != 0),
        gro: value(GET_GRO).map(|on| on != 0),
        receive_checksums: value(GET_RECEIVE_CHECKSUMS).map(|on| on != 0),
    }
}

/// Makes one call.
///
/// # Safety
/// `argument` must be valid for what its command reads and writes.
unsafe fn ask<T>(socket: &Socket, interface: &str, argument: *mut T) -> io::Result<()> {
    // SAFETY: all zeros is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = argument.cast();
    // SAFETY: the request is the kernel's own structure, and the argument is the caller's promise.
    match unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
