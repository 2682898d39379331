//! What the kernel must offer: BTF, the BPF file system, namespaces, veths, bridges, and the right to use BPF.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use lb_lab::{output, tool};

/// The oldest kernel that the XDP program is made for: Debian 12's.
const OLDEST_KERNEL: (u32, u32) = (6, 1);
const BPF_MAP_CREATE: i64 = 0;
const BPF_MAP_TYPE_ARRAY: u32 = 2;

/// What can be seen without any tool.
pub fn check_files() -> Result<()> {
    check_release()?;
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        bail!(
            "this kernel has no BTF: /sys/kernel/btf/vmlinux is missing. Boot a kernel built with \
             CONFIG_DEBUG_INFO_BTF=y (Debian's own has it), and see that /sys is mounted"
        );
    }
    let file_systems = fs::read_to_string("/proc/filesystems").context("cannot read /proc/filesystems")?;
    if !file_systems.split_whitespace().any(|word| word == "bpf") {
        bail!("this kernel has no BPF file system: boot one built with CONFIG_BPF_SYSCALL=y (Debian's own has it)");
    }
    check_bpf()
}

/// Makes a network namespace for itself with all kinds of devices that the lab uses; it goes away by itself.
pub fn check_network() -> Result<()> {
    let probe = || {
        // SAFETY: unshare takes no pointers and changes this thread only, which ends with the probe.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return Err(std::io::Error::last_os_error()).context(
                "cannot make a network namespace: it takes CAP_SYS_ADMIN (in a container, start it privileged) \
                 and a kernel with CONFIG_NET_NS=y",
            );
        }
        let veth = "link add name probe0 type veth peer name probe1";
        output(tool("ip").args(veth.split(' '))).context("this kernel makes no veth: run `modprobe veth`")?;
        let bridge = "link add name probe2 type bridge";
        output(tool("ip").args(bridge.split(' '))).context("this kernel makes no bridge: run `modprobe bridge`")?;
        Ok(())
    };
    match std::thread::spawn(probe).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn check_release() -> Result<()> {
    let text =
        fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot read the kernel's release from /proc")?;
    let release = text.trim();
    let (major, minor) = OLDEST_KERNEL;
    match parse_release(release) {
        Some(found) if found < OLDEST_KERNEL => {
            bail!("this kernel is {release}: boot {major}.{minor} or newer (Debian 12's is)")
        }
        _ => Ok(()),
    }
}

fn parse_release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Makes the smallest of maps, to hear it now when this process may not use BPF.
fn check_bpf() -> Result<()> {
    let attributes: [u32; 5] = [BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0];
    // SAFETY: the kernel reads the attributes' 20 bytes, which outlive the call.
    let descriptor =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_CREATE, attributes.as_ptr(), size_of_val(&attributes)) };
    if descriptor < 0 {
        return Err(std::io::Error::last_os_error()).context(
            "this process may not use BPF although it is root: in a container, start it privileged \
             (or with CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN)",
        );
    }
    // SAFETY: the descriptor was opened above and is used nowhere else.
    unsafe { libc::close(descriptor as i32) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_and_compared() {
        assert_eq!(parse_release("6.1.0-56-cloud-amd64"), Some((6, 1)));
        assert_eq!(parse_release("6.18.44-fc-v595"), Some((6, 18)));
        assert_eq!(parse_release("unknown"), None);
        assert!(parse_release("5.10.0-33-amd64").unwrap() < OLDEST_KERNEL);
        assert!(parse_release("6.18.0").unwrap() > OLDEST_KERNEL);
    }
}
