//! A pseudo terminal: the node opens its slave as a serial device, the relay reads and writes its master.

use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const NAME_SIZE: usize = 128;

/// A pseudo terminal whose slave bears a name of ours. Dropped, the slave hangs up.
#[derive(Debug)]
pub struct Pty {
    master: File,
    /// Kept open, so that the master reads no end of file while the node is away.
    _slave: File,
}

impl Pty {
    /// Makes a pseudo terminal in raw mode, and `link` a symbolic link to its slave, in place of an older one.
    pub fn open(link: &Path) -> Result<Pty> {
        let master = open_master().context("cannot open a pseudo terminal")?;
        let name = slave_name(&master).context("cannot tell the name of a pseudo terminal")?;
        let slave = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(&name);
        let slave = slave.with_context(|| format!("cannot open {}", name.display()))?;
        make_raw(&slave).with_context(|| format!("cannot make {} a plain line", name.display()))?;
        point(link, &name)?;
        Ok(Pty { master, _slave: slave })
    }

    /// What the node has written since; nothing when it has not.
    pub fn read(&self, buffer: &mut [u8]) -> usize {
        (&self.master).read(buffer).unwrap_or(0)
    }

    /// Hands bytes to the node. What it has no room for is lost, as with a real device.
    pub fn write(&self, bytes: &[u8]) {
        let _ = (&self.master).write(bytes);
    }

    /// For poll.
    pub fn descriptor(&self) -> RawFd {
        self.master.as_raw_fd()
    }
}

fn open_master() -> io::Result<File> {
    // SAFETY: posix_openpt takes no pointers.
    let descriptor = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was opened above and belongs to nobody else.
    let master = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // SAFETY: both calls take the open descriptor alone.
    if unsafe { libc::grantpt(descriptor) != 0 || libc::unlockpt(descriptor) != 0 } {
        return Err(io::Error::last_os_error());
    }
    Ok(master.into())
}

fn slave_name(master: &File) -> io::Result<PathBuf> {
    let mut name = [0; NAME_SIZE];
    // SAFETY: the buffer is as long as told, and the descriptor is open.
    match unsafe { libc::ptsname_r(master.as_raw_fd(), name.as_mut_ptr(), name.len()) } {
        0 => {
            // SAFETY: ptsname_r has put a NUL-terminated string into the buffer.
            let name = unsafe { CStr::from_ptr(name.as_ptr()) };
            Ok(name.to_string_lossy().into_owned().into())
        }
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// No echo, no line editing: bytes as they are, also before the node has opened its end.
fn make_raw(slave: &File) -> io::Result<()> {
    let mut settings = MaybeUninit::uninit();
    // SAFETY: tcgetattr fills the settings; they are used only when it has.
    unsafe {
        if libc::tcgetattr(slave.as_raw_fd(), settings.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut settings = settings.assume_init();
        libc::cfmakeraw(&mut settings);
        match libc::tcsetattr(slave.as_raw_fd(), libc::TCSANOW, &settings) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn point(link: &Path, target: &Path) -> Result<()> {
    let fresh = link.with_extension("new");
    let _ = fs::remove_file(&fresh);
    std::os::unix::fs::symlink(target, &fresh).with_context(|| format!("cannot link {}", fresh.display()))?;
    fs::rename(&fresh, link).with_context(|| format!("cannot link {}", link.display()))
}
