//! `cargo xtask test`: everything that CI checks, step by step. The first step that fails ends it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::build::{cargo, ebpf_objects, run as run_command};
use crate::prerequisites::Need;
use crate::{aioquic, debian, dependencies, ebpf, prerequisites, vm};

/// A section of this name holds a panic path, which the verifier refuses to load.
const PANIC_SECTION: &str = ".text.unlikely";

struct Step<'a> {
    name: String,
    action: Box<dyn Fn() -> Result<()> + 'a>,
}

/// Runs the steps whose names contain `only` and prints how long each took.
pub fn run(root: &Path, only: &str) -> Result<()> {
    let started = Instant::now();
    prerequisites::ensure(root, &[Need::Network, Need::Web, Need::Lints, Need::Toolchain])?;
    println!("what the tests need is there ({})", seconds(started.elapsed()));
    let steps: Vec<Step<'_>> = steps(root)?.into_iter().filter(|step| step.name.contains(only)).collect();
    if steps.is_empty() {
        bail!("no step's name contains `{only}`");
    }
    let mut done = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        println!("\n=== {}/{} {}", index + 1, steps.len(), step.name);
        let begun = Instant::now();
        let result = (step.action)();
        done.push((step.name.as_str(), begun.elapsed(), result.is_ok()));
        if let Err(error) = result {
            summarize(&done);
            bail!("step {} of {} failed: {}: {error:#}", index + 1, steps.len(), step.name);
        }
    }
    summarize(&done);
    println!("all {} steps passed in {}", steps.len(), seconds(started.elapsed()));
    Ok(())
}

/// What needs the least time comes first. All tests are built at once, with the features of the whole workspace, so that
/// no crate is built twice.
fn steps(root: &Path) -> Result<Vec<Step<'_>>> {
    let mut steps = vec![
        cargo_step(root, "format", &["fmt", "--all", "--check"]),
        step("dependencies: licences, sources, advisories", || dependencies::check(root)),
        step("clippy, eBPF", || {
            run_command(ebpf::cargo(root, "clippy").args(["--release", "--bins", "--", "-D", "warnings"]))
        }),
        step("eBPF objects without panic paths", || refuse_panic_paths(root)),
        step("a Debian for the tests of packages", || prepare_packages(root)),
        step("aioquic for the tests of QUIC", || aioquic::ensure(root)),
        cargo_step(
            root,
            "clippy, host",
            &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"],
        ),
        cargo_step(root, "build", &["build", "--locked", "--workspace", "--all-targets"]),
        cargo_step(root, "unit tests", &["test", "--locked", "--workspace", "--lib", "--bins"]),
        cargo_step(root, "documentation tests", &["test", "--locked", "--workspace", "--doc"]),
    ];
    steps.push(step("tests on Debian 12's own kernel, in a virtual machine", || vm::run(root)));
    for name in integration_tests(root)? {
        let title = format!("tests: {name}");
        steps.push(cargo_step(root, &title, &["test", "--locked", "--workspace", "--test", &name]));
    }
    Ok(steps)
}

fn step<'a>(name: &str, action: impl Fn() -> Result<()> + 'a) -> Step<'a> {
    Step { name: name.to_string(), action: Box::new(action) }
}

fn cargo_step<'a>(root: &'a Path, name: &str, arguments: &[&str]) -> Step<'a> {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    step(name, move || run_command(cargo(root).args(&arguments)))
}

/// The names of all integration tests of the workspace, in alphabetical order.
fn integration_tests(root: &Path) -> Result<Vec<String>> {
    let text = lb_lab::output(cargo(root).args(["metadata", "--locked", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text).context("cargo metadata printed no JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata printed no packages")?;
    let targets = packages.iter().filter_map(|package| package["targets"].as_array()).flatten();
    let is_test = |target: &&serde_json::Value| target["kind"][0] == "test";
    let mut names: Vec<String> =
        targets.filter(is_test).filter_map(|target| Some(target["name"].as_str()?.to_string())).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

fn prepare_packages(root: &Path) -> Result<()> {
    prerequisites::ensure(root, &[Need::Packing])?;
    debian::ensure(root)
}

fn refuse_panic_paths(root: &Path) -> Result<()> {
    for object in ebpf_objects(root)? {
        let sections = lb_lab::output(Command::new("readelf").arg("-SW").arg(&object))?;
        if sections.contains(PANIC_SECTION) {
            bail!(
                "{} has a section {PANIC_SECTION}: a panic can be reached, and the verifier refuses it",
                object.display()
            );
        }
        println!("{}: no panic path", object.display());
    }
    Ok(())
}

fn summarize(done: &[(&str, Duration, bool)]) {
    println!("\n=== summary");
    for (name, took, passed) in done {
        println!("{:<50} {:>6} {:>10}", name, if *passed { "ok" } else { "FAILED" }, seconds(*took));
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
