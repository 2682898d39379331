//! Debian 12's kernel, its modules and a busybox, out of its packages. Nothing is installed: they are kept in a directory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lb_lab::{output, tool};

/// Debian 12's kernels for virtual machines are `linux-image-6.1.0-NUMBER-cloud-amd64`; the number grows.
const KERNEL: (&str, &str) = ("linux-image-6.1.0-", "-cloud-amd64");
/// It needs no libraries, and the shell and tools of the first process are all in it.
const BUSYBOX: &str = "busybox-static";

/// What the machine is made of.
pub struct Debian {
    pub kernel: PathBuf,
    /// The folder of all its modules.
    pub modules: PathBuf,
    pub busybox: PathBuf,
}

/// Fetches all of it into `directory`, once. It takes the network, and 30 MB.
pub fn ensure(directory: &Path) -> Result<Debian> {
    let kept = directory.join("debian");
    let debian = Debian { kernel: kept.join("kernel"), modules: kept.join("modules"), busybox: kept.join("busybox") };
    if !debian.kernel.is_file() || !debian.modules.is_dir() || !debian.busybox.is_file() {
        // It appears under its name when it is whole.
        let growing = directory.join("debian.new");
        make_anew(&growing)?;
        fetch(&growing)?;
        remove(&kept)?;
        fs::rename(&growing, &kept).with_context(|| format!("cannot rename {}", growing.display()))?;
    }
    Ok(debian)
}

fn fetch(directory: &Path) -> Result<()> {
    output(tool("apt-get").args(["update", "-qq"]))?;
    let names = output(tool("apt-cache").args(["pkgnames", KERNEL.0]))?;
    let kernel = newest(&names).with_context(|| {
        let (before, after) = KERNEL;
        format!("apt knows no package {before}N{after}: the sources of Debian 12 (bookworm) have it")
    })?;
    println!("fetching {kernel} and {BUSYBOX}");
    let mut download = tool("apt-get");
    download.args(["download", "-qq", &kernel, BUSYBOX]).current_dir(directory);
    output(&mut download).context("the kernel cannot be fetched; it is downloaded from deb.debian.org")?;
    let release = kernel.trim_start_matches("linux-image-");
    let modules = format!("lib/modules/{release}/kernel");
    take(directory, &kernel, &[(&format!("boot/vmlinuz-{release}"), "kernel"), (&modules, "modules")])?;
    take(directory, BUSYBOX, &[("bin/busybox", "busybox")])
}

/// The newest kernel package of those that apt knows, one a line.
fn newest(names: &str) -> Option<String> {
    let (before, after) = KERNEL;
    let number = |name: &&str| name.strip_prefix(before)?.strip_suffix(after)?.parse::<u32>().ok();
    let kernels = names.lines().map(str::trim).filter(|name| number(name).is_some());
    kernels.max_by_key(number).map(ToString::to_string)
}

/// Unpacks the downloaded `package` and keeps these files and folders of it, each under another name.
fn take(directory: &Path, package: &str, files: &[(&str, &str)]) -> Result<()> {
    let archive = downloaded(directory, package)?;
    let unpacked = directory.join("unpacked");
    output(tool("dpkg-deb").arg("--extract").arg(&archive).arg(&unpacked))?;
    for (path, name) in files {
        fs::rename(unpacked.join(path), directory.join(name)).with_context(|| format!("{package} has no {path}"))?;
    }
    remove(&unpacked)?;
    fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))
}

/// apt's name for it is `PACKAGE_VERSION_ARCHITECTURE.deb`.
fn downloaded(directory: &Path, package: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let start = format!("{package}_");
    let mut archives = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let archive = archives.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start)));
    archive.with_context(|| format!("apt-get has laid no {package} into {}", directory.display()))
}

/// An empty directory in place of what an earlier run may have left there.
pub fn make_anew(directory: &Path) -> Result<()> {
    remove(directory)?;
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))
}

fn remove(directory: &Path) -> Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_that_of_the_greatest_number() {
        let names = "linux-image-6.1.0-9-cloud-amd64\n\
                     linux-image-6.1.0-100-cloud-amd64-dbg\n\
                     linux-image-6.1.0-57-amd64\n\
                     linux-image-6.1.0-56-cloud-amd64\n\
                     linux-image-6.1.0-60-cloud-amd64-unsigned\n\
                     linux-image-6.12.100+deb12-cloud-amd64\n";
        assert_eq!(newest(names).as_deref(), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(newest("linux-image-6.12-amd64\n"), None);
    }
}
