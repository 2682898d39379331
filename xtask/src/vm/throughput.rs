//! The part of `cargo xtask bench throughput` that needs another kernel than most hosts have: Debian 12's own has IPVS.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use super::initramfs::{self, Contents};
use super::{DIRECTORY, boot, console, debian, failed};
use crate::prerequisites::{self, Need};

/// Its name among what init runs.
const NAME: &str = "throughput";
const BENCH: &str = "lb-bench-throughput";
/// The bench looks for them in its own folder.
const BESIDE: [&str; 2] = ["lbd", "lbctl"];
const FOLDER: &str = "/understudy";
/// What the network and IPVS are made of.
const MODULES: [&str; 3] = ["veth", "ip_vs", "ip_vs_rr"];
const TOOLS: [&str; 3] = ["ip", "ethtool", "ipvsadm"];
/// What the bench prints for the host begins with it.
const MARK: &str = "record: ";

/// How to measure.
pub struct Throughput<'a> {
    /// Fewer and shorter rounds.
    pub quick: bool,
    /// Only systems whose name contains this.
    pub only: Option<&'a str>,
}

/// Runs the bench in the machine, with programs that have been built for release. Returns the file with what it has printed for the host.
pub fn measure(root: &Path, options: &Throughput<'_>) -> Result<PathBuf> {
    prerequisites::ensure(root, &[Need::VirtualMachine, Need::Ipvs])?;
    let directory = root.join(DIRECTORY);
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let debian = debian::ensure(&directory)?;
    let built = root.join("target").join("release");
    let programs: Vec<_> =
        BESIDE.iter().chain([&BENCH]).map(|name| (built.join(name), Path::new(FOLDER).join(name))).collect();
    let scripts = [(NAME, script(options))];
    let contents = Contents { modules: &MODULES, tools: &TOOLS, programs: &programs, scripts: &scripts };
    let initramfs = initramfs::make(&directory, &debian, &contents)?;
    let begun = Instant::now();
    let printed = boot(&directory, &debian.kernel, &initramfs)?;
    let records = console::told(&printed, NAME, MARK).map_err(|wrong| failed(&wrong, &printed))?;
    println!("in the virtual machine, from power-on to power-off: {:.0} s", begun.elapsed().as_secs_f64());
    let file = directory.join("throughput.records");
    fs::write(&file, records.join("\n")).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

fn script(options: &Throughput<'_>) -> String {
    let mut text = format!("#!/bin/sh\nexec {FOLDER}/{BENCH} --guest");
    if options.quick {
        text += " --quick";
    }
    if let Some(only) = options.only {
        text += &format!(" --only {}", quoted(only));
    }
    text + "\n"
}

/// One word of the shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_asked_for_what_the_user_asked_for() {
        let all = script(&Throughput { quick: false, only: None });
        assert_eq!(all, "#!/bin/sh\nexec /understudy/lb-bench-throughput --guest\n");
        let some = script(&Throughput { quick: true, only: Some("it's") });
        assert!(some.ends_with("--guest --quick --only 'it'\\''s'\n"), "{some}");
    }
}
