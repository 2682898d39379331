//! rust-src, clippy, rustfmt and bpf-linker.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::build::{cargo_for_tools, run};
use crate::ebpf::BPF_LINKER_VERSION;

/// The sources of `core`, which the XDP program is built with.
pub fn ensure_rust_src(root: &Path) -> Result<()> {
    if sysroot(root)?.join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file() {
        return Ok(());
    }
    add_component(root, "rust-src")
}

/// A component of the toolchain that brings a program.
pub fn ensure_component(root: &Path, component: &str, program: &str) -> Result<()> {
    if sysroot(root)?.join("bin").join(program).is_file() {
        return Ok(());
    }
    add_component(root, component)
}

/// The linker of the XDP program, in the version that fits the pinned toolchain.
pub fn ensure_bpf_linker(root: &Path) -> Result<()> {
    let wanted = format!("bpf-linker {BPF_LINKER_VERSION}");
    let found = lb_lab::tool("bpf-linker").arg("--version").output();
    let found = found.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    if found.as_ref() == Some(&wanted) {
        return Ok(());
    }
    match found {
        Some(found) => println!("installing {wanted} over {found}; this takes about two minutes"),
        None => println!("installing {wanted}; this takes about two minutes"),
    }
    let arguments = ["install", "bpf-linker", "--version", BPF_LINKER_VERSION, "--locked", "--force", "--quiet"];
    run(cargo_for_tools(root).args(arguments))
        .context("bpf-linker could not be installed; the XDP program cannot be built without it")?;
    if lb_lab::tool("bpf-linker").arg("--version").output().is_err() {
        bail!("bpf-linker is installed, but not in PATH: add the directory `bin` of CARGO_HOME (~/.cargo/bin) to PATH");
    }
    Ok(())
}

fn add_component(root: &Path, component: &str) -> Result<()> {
    println!("adding {component} to the Rust toolchain");
    run(lb_lab::tool("rustup").args(["component", "add", component]).current_dir(root)).with_context(|| {
        format!("the Rust toolchain has no {component}: install it as your toolchain's packager says, or use rustup")
    })
}

fn sysroot(root: &Path) -> Result<std::path::PathBuf> {
    let printed = lb_lab::output(lb_lab::tool("rustc").args(["--print", "sysroot"]).current_dir(root))?;
    Ok(printed.trim().into())
}
