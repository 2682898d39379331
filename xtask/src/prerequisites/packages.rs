//! Debian packages that the commands need. Only the missing ones are installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A program, and the Debian package that has it.
pub type Program = (&'static str, &'static str);

/// What networks of namespaces, and the tests in them, need.
pub const NETWORK: [Program; 9] = [
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("bpftool", "bpftool"),
    ("nginx", "nginx-light"),
    ("curl", "curl"),
    ("haproxy", "haproxy"),
    ("nft", "nftables"),
    ("sysctl", "procps"),
    ("python3", "python3"),
];
/// What the tests of the status page and of the metrics need: a browser, a font for it, and what checks metrics and alert rules.
pub const WEB: [Program; 4] = [
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("DejaVuSans.ttf", "fonts-dejavu-core"),
    ("promtool", "prometheus"),
];
/// What the bench of failover compares with.
pub const KEEPALIVED: [Program; 1] = [("keepalived", "keepalived")];
/// What packages are made with.
pub const PACKING: [Program; 5] =
    [("dpkg-deb", "dpkg"), ("strip", "binutils"), ("objdump", "binutils"), ("gzip", "gzip"), ("git", "git")];
/// What makes a Debian of its own, and what looks at units of systemd.
pub const DEBIAN: [Program; 2] = [("mmdebstrap", "mmdebstrap"), ("systemd-analyze", "systemd")];
/// What makes environments of Python.
pub const PYTHON: [Program; 2] = [("/usr/bin/python3", "python3"), ("ensurepip/__init__.py", "python3-venv")];
/// What runs a virtual machine, and what its kernel and its tests are taken from packages and prepared with.
pub const VIRTUAL_MACHINE: [Program; 6] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("dpkg-deb", "dpkg"),
    ("strip", "binutils"),
    ("ldd", "libc-bin"),
    ("setpriv", "util-linux"),
    ("ip", "iproute2"),
];
/// What the bench of checkpoints compares with.
pub const CONNTRACK: [Program; 1] = [("conntrack", "conntrack")];
/// What the bench of throughput compares with, and the load that it puts on.
pub const THROUGHPUT: [Program; 2] = [("wrk", "wrk"), ("ngx_stream_module.so", "libnginx-mod-stream")];
/// What the same bench takes into a virtual machine.
pub const IPVS: [Program; 2] = [("ipvsadm", "ipvsadm"), ("ethtool", "ethtool")];
/// Where programs for administration, a font, nginx's modules and those of Debian 12's Python lie, beside PATH.
const MORE_PLACES: [&str; 7] = [
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
    "/usr/bin",
    "/usr/share/fonts/truetype/dejavu",
    "/usr/lib/nginx/modules",
    "/usr/lib/python3.11",
];
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs the packages of those programs that are missing.
pub fn ensure(programs: &[Program]) -> Result<()> {
    let missing = missing(programs);
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !is_installed("apt-get") {
        bail!("these programs' packages (by their Debian names) are missing: {names}; install them and run this again");
    }
    println!("installing Debian packages: {names}");
    install(&missing).with_context(|| {
        format!("installing failed; run `apt-get update && apt-get install --no-install-recommends {names}` by hand")
    })
}

fn missing(programs: &[Program]) -> Vec<&'static str> {
    programs.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect()
}

fn install(packages: &[&str]) -> Result<()> {
    let _policy = NoServices::declare()?;
    lb_lab::output(lb_lab::tool("apt-get").args(["update", "-qq"]))?;
    let mut install = lb_lab::tool("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive");
    lb_lab::output(install.args(["install", "-qq", "--yes", "--no-install-recommends"]).args(packages)).map(drop)
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(MORE_PLACES.iter().map(PathBuf::from));
    places.map(|place| place.join(program)).any(|file| file.is_file())
}

/// While it lives, packages start no service: the lab wants nginx the program, and no web server on this host.
struct NoServices {
    written: bool,
}

impl NoServices {
    fn declare() -> Result<NoServices> {
        if Path::new(POLICY).exists() {
            return Ok(NoServices { written: false });
        }
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").with_context(|| format!("cannot write {POLICY}"))?;
        let policy = NoServices { written: true };
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {POLICY} executable"))?;
        Ok(policy)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.written
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("cannot remove {POLICY}: {error}; remove it by hand, or packages will start no services");
        }
    }
}
