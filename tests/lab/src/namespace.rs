//! A network namespace, the veths in it, and ways to run things inside.

use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::command::{ip, output, tool};
use crate::run::{NETNS_ROOT, Run, remove_namespace};

/// Receive and send queues of each end of a veth. Native XDP wants no fewer receive queues than the peer sends on.
const VETH_QUEUES: u32 = 2;

/// How long a look whether somebody listens may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// A network namespace. Dropped, it kills what runs in it and goes away.
#[derive(Debug)]
pub struct Namespace {
    handle: NamespaceHandle,
    name: String,
}

/// A way into a namespace that threads can share.
#[derive(Clone, Debug)]
pub struct NamespaceHandle {
    file: Arc<File>,
}

impl Namespace {
    /// Makes the namespace `us-<run>-<what>` with its loopback up and without duplicate address detection.
    pub fn new(run: &Run, what: &str) -> Result<Namespace> {
        let name = run.name(what);
        ip(&format!("netns add {name}"))?;
        let path = Path::new(NETNS_ROOT).join(&name);
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let namespace = Namespace { handle: NamespaceHandle { file: Arc::new(file) }, name };
        namespace.sysctl("net/ipv6/conf/all/accept_dad", "0")?;
        namespace.sysctl("net/ipv6/conf/default/accept_dad", "0")?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// The name under which `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A handle for threads.
    pub fn handle(&self) -> NamespaceHandle {
        self.handle.clone()
    }

    /// Runs `ip` inside with these space-separated words and returns what it printed.
    pub fn ip(&self, words: &str) -> Result<String> {
        ip(&format!("-n {} {words}", self.name))
    }

    /// A command that will run inside. The host's file system and mounts stay in sight.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = tool(program);
        self.handle.bind(&mut command);
        command
    }

    /// Runs `closure` on a thread inside. Sockets made there stay inside wherever they are used.
    pub fn run<T: Send>(&self, closure: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.handle.run(closure)
    }

    /// Sets a kernel parameter inside, by its path below /proc/sys: `net/ipv4/ip_forward`.
    pub fn sysctl(&self, parameter: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(parameter);
        self.run(|| {
            std::fs::write(&path, value)
                .with_context(|| format!("cannot set {} to {value} in {}", path.display(), self.name))
        })
    }

    /// Adds an address with its prefix length to an interface, ready for use at once.
    pub fn add_address(&self, interface: &str, address: IpAddr, prefix_len: u8) -> Result<()> {
        let no_dad = if address.is_ipv6() { "nodad" } else { "" };
        self.ip(&format!("address add {address}/{prefix_len} dev {interface} {no_dad}")).map(drop)
    }

    /// Sets an interface's MTU in bytes.
    pub fn set_mtu(&self, interface: &str, mtu: u32) -> Result<()> {
        self.ip(&format!("link set dev {interface} mtu {mtu}")).map(drop)
    }

    /// Brings an interface up.
    pub fn up(&self, interface: &str) -> Result<()> {
        self.ip(&format!("link set dev {interface} up")).map(drop)
    }

    /// The index of an interface.
    pub fn ifindex(&self, interface: &str) -> Result<u32> {
        let name = std::ffi::CString::new(interface).context("an interface name cannot hold a NUL")?;
        self.run(|| {
            // SAFETY: the pointer is to a NUL-terminated string that outlives the call.
            match unsafe { libc::if_nametoindex(name.as_ptr()) } {
                0 => Err(anyhow!("no interface {interface} in {}", self.name)),
                index => Ok(index),
            }
        })
    }

    /// The MAC address of an interface.
    pub fn mac(&self, interface: &str) -> Result<[u8; 6]> {
        let line = self.ip(&format!("-o link show dev {interface}"))?;
        parse_mac(&line).with_context(|| format!("no MAC address in `{}`", line.trim()))
    }

    /// The MAC address that the namespace knows a neighbour by, as its table says; `None` when it knows none.
    pub fn neighbour(&self, address: IpAddr) -> Result<Option<[u8; 6]>> {
        let line = self.ip(&format!("neigh show {address}"))?;
        Ok(parse_address_after(&line, "lladdr"))
    }

    /// Sends full checksums on an interface: a program behind the other end that rewrites headers needs them.
    pub fn full_checksums(&self, interface: &str) -> Result<()> {
        output(self.command("ethtool").args(["-K", interface, "tx", "off"])).map(drop)
    }

    /// Attaches the XDP program `program` of an object file, in native mode.
    pub fn attach_xdp(&self, interface: &str, object: &Path, program: &str) -> Result<()> {
        self.ip(&format!("link set dev {interface} xdpdrv obj {} program {program}", object.display()))
            .map(drop)
            .with_context(|| format!("cannot attach the XDP program {program} to {interface} in {}", self.name))
    }

    /// Takes the XDP program that [`Namespace::attach_xdp`] attached off an interface.
    pub fn detach_xdp(&self, interface: &str) -> Result<()> {
        self.ip(&format!("link set dev {interface} xdpdrv off")).map(drop)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = remove_namespace(&self.name) {
            eprintln!("cleaning up: {error:#}");
        }
    }
}

impl NamespaceHandle {
    /// Moves the calling thread inside, for good.
    pub fn enter(&self) -> Result<()> {
        self.set().context("cannot enter the network namespace")
    }

    /// Makes a command run inside.
    pub fn bind(&self, command: &mut Command) {
        let handle = self.clone();
        // SAFETY: between fork and exec the closure only calls setns, which is async-signal-safe.
        unsafe { command.pre_exec(move || handle.set()) };
    }

    /// Runs `closure` on a thread inside and returns its result.
    pub fn run<T: Send>(&self, closure: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter()?;
                closure()
            });
            match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn set(&self) -> std::io::Result<()> {
        // SAFETY: the descriptor is open for as long as `file` lives; setns changes this thread only.
        match unsafe { libc::setns(self.file.as_raw_fd(), libc::CLONE_NEWNET) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }
}

/// Whether a TCP connection to the address can be opened from a namespace.
pub fn connectable(from: &NamespaceHandle, address: SocketAddr) -> bool {
    from.run(|| Ok(TcpStream::connect_timeout(&address, CONNECT_LIMIT)?)).is_ok()
}

/// Makes a veth with one end in each namespace, with enough queues for native XDP. Both ends are down.
pub fn connect(a: &Namespace, a_name: &str, b: &Namespace, b_name: &str) -> Result<()> {
    let queues = format!("numrxqueues {VETH_QUEUES} numtxqueues {VETH_QUEUES}");
    ip(&format!("-n {} link add name {a_name} {queues} type veth peer name {b_name} netns {} {queues}", a.name, b.name))
        .map(drop)
}

fn parse_mac(line: &str) -> Option<[u8; 6]> {
    parse_address_after(line, "link/ether")
}

fn parse_address_after(line: &str, label: &str) -> Option<[u8; 6]> {
    let mut words = line.split_whitespace().skip_while(|word| *word != label);
    let mut mac = [0; 6];
    let mut bytes = words.nth(1)?.split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(bytes.next()?, 16).ok()?;
    }
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_is_read_from_the_line_of_ip() {
        let line = "2: eth0@if3: <UP> mtu 1500 \\    link/ether 02:00:5e:10:00:ff brd ff:ff:ff:ff:ff:ff";
        assert_eq!(parse_mac(line), Some([0x02, 0x00, 0x5e, 0x10, 0x00, 0xff]));
        let neighbour = "192.0.2.101 dev eth0 lladdr 02:00:5e:10:00:01 REACHABLE";
        assert_eq!(parse_address_after(neighbour, "lladdr"), Some([0x02, 0x00, 0x5e, 0x10, 0x00, 0x01]));
        assert_eq!(parse_mac("1: lo: <UP> mtu 65536 \\    link/loopback 00:00:00:00:00:00"), None);
    }
}
