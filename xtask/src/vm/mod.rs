//! `cargo xtask vmtest`: runs golden and random packets through the XDP program on the oldest kernel that it is made for,
//! Debian 12's own, in a virtual machine.
//!
//! `cargo xtask bench throughput` runs in the same machine for the sake of its IPVS.
//!
//! The machine is emulated, since not every host of CI can do better, and it has neither disk nor network: all that it needs is in the
//! initramfs.

mod console;
mod debian;
mod initramfs;
mod modules;
mod throughput;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use lb_lab::{Process, interrupt};

use crate::build::cargo;
use crate::prerequisites::{self, Need};

pub use throughput::{Throughput, measure as measure_throughput};

use initramfs::Contents;

/// What runs in the machine: integration tests that need little but the kernel and themselves.
const TESTS: [&str; 2] = ["golden", "random"];
/// Each of these is 4,000 random packets. CI's run on the host has two hundred and more.
const RANDOM_ROUNDS: &str = "UNDERSTUDY_RANDOM_ROUNDS=4";
/// From power-on to power-off: several times what it takes on two cores that have nothing else to do, and it is emulated.
const LIMIT: Duration = Duration::from_secs(1_200);
const CPUS: &str = "2";
/// Twice what the golden packets, the kernel and the files in memory take together.
const MEMORY: &str = "1536M";
/// Where everything lies, from the workspace's root.
const DIRECTORY: &str = "target/vm";

/// A test's name and its executable.
type Test = (String, PathBuf);

/// Builds the tests, boots the machine with them and fails unless all have passed.
pub fn run(root: &Path) -> Result<()> {
    prerequisites::ensure(root, &[Need::Toolchain, Need::VirtualMachine])?;
    let directory = root.join(DIRECTORY);
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let debian = debian::ensure(&directory)?;
    let programs: Vec<_> =
        build(root)?.into_iter().map(|(name, executable)| (executable, initramfs::run_from(&name))).collect();
    let contents = Contents { modules: &["veth"], tools: &["ip"], programs: &programs, scripts: &[] };
    let initramfs = initramfs::make(&directory, &debian, &contents)?;
    let begun = Instant::now();
    let printed = boot(&directory, &debian.kernel, &initramfs)?;
    let report = console::judge(&printed, &TESTS).map_err(|wrong| failed(&wrong, &printed))?;
    println!("on Linux {}, from power-on to power-off in {:.0} s:", report.kernel, begun.elapsed().as_secs_f64());
    for (test, passed) in &report.passed {
        println!("  {test}: {passed} tests passed");
    }
    Ok(())
}

/// Builds the tests as `cargo xtask test` does, so that nothing is built twice.
fn build(root: &Path) -> Result<Vec<Test>> {
    let mut command = cargo(root);
    command.args(["test", "--locked", "--workspace", "--no-run", "--message-format", "json-render-diagnostics"]);
    command.args(TESTS.iter().flat_map(|test| ["--test", test]));
    let words = lb_lab::describe(&command);
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run `{words}`"))?;
    if !output.status.success() {
        bail!("`{words}` failed ({})", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    TESTS.iter().map(|test| Ok((test.to_string(), executable(&messages, test)?))).collect()
}

/// The executable that cargo's messages name for an integration test.
fn executable(messages: &str, test: &str) -> Result<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut made =
        messages.filter(|message| message["target"]["kind"][0] == "test" && message["target"]["name"] == test);
    let path = made.find_map(|message| Some(message["executable"].as_str()?.into()));
    path.with_context(|| format!("cargo named no executable of the test {test}"))
}

/// Runs the machine to its end and returns what it printed.
fn boot(directory: &Path, kernel: &Path, initramfs: &Path) -> Result<String> {
    let log = directory.join("console.log");
    if log.exists() {
        fs::remove_file(&log).with_context(|| format!("cannot remove {}", log.display()))?;
    }
    interrupt::install();
    println!("booting {}; its console goes to {}", kernel.display(), log.display());
    let mut machine = Process::spawn(&mut qemu(kernel, initramfs), &log)?;
    let ended =
        lb_lab::wait_for("the virtual machine to power off", LIMIT, || Ok((!machine.is_running()).then_some(())));
    let printed = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
    ended.map_err(|error| failed(&format!("{error:#}"), &printed))?;
    Ok(printed)
}

/// The machine ends with this program, whatever happens to it.
fn qemu(kernel: &Path, initramfs: &Path) -> Command {
    let mut command = lb_lab::tool("setpriv");
    command.args(["--pdeathsig", "KILL", "qemu-system-x86_64", "-accel", "tcg", "-smp", CPUS, "-m", MEMORY]);
    command.args(["-nodefaults", "-display", "none", "-serial", "stdio", "-nic", "none", "-no-reboot"]);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
    // The kernel hands what it does not know to the first process, as its environment.
    command.arg("-append").arg(format!("console=ttyS0 loglevel=4 oops=panic panic=-1 {RANDOM_ROUNDS}"));
    command
}

fn failed(wrong: &str, printed: &str) -> anyhow::Error {
    anyhow!("on Debian 12's kernel: {wrong}\nthe end of the console:\n{}", console::tail(printed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_by_the_tests_name() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"target\":{\"kind\":[\"lib\"],\"name\":\"golden\"},\"executable\":null}\n",
            "{\"reason\":\"compiler-artifact\",\"target\":{\"kind\":[\"bin\"],\"name\":\"golden\"},\"executable\":\"/t/wrong\"}\n",
            "{\"reason\":\"compiler-artifact\",\"target\":{\"kind\":[\"test\"],\"name\":\"random\"},\"executable\":\"/t/random-1\"}\n",
            "{\"reason\":\"compiler-artifact\",\"target\":{\"kind\":[\"test\"],\"name\":\"golden\"},\"executable\":\"/t/golden-2\"}\n",
            "{\"reason\":\"build-finished\",\"success\":true}\n",
        );
        assert_eq!(executable(messages, "golden").unwrap(), Path::new("/t/golden-2"));
        assert!(executable(messages, "metrics").is_err());
    }
}
