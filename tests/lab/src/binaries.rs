//! Finds what the workspace has built: `lbd`, `lbctl`, `lb-agent` and the object of the lab's own XDP programs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// From this package's directory.
const LAB_OBJECT: &str = "../../target/ebpf/bpfel-unknown-none/release/lb-lab-ebpf";

/// The object with `decap` and `pass_all`.
pub fn lab_object() -> Result<PathBuf> {
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join(LAB_OBJECT);
    if !object.is_file() {
        bail!("no XDP programs for the lab in {}: run `cargo xtask build-ebpf`", object.display());
    }
    Ok(object)
}

/// The daemon.
pub fn lbd() -> Result<PathBuf> {
    find("lbd", "cargo build -p lb-daemon")
}

/// The daemon's command line client.
pub fn lbctl() -> Result<PathBuf> {
    find("lbctl", "cargo build -p lb-ctl")
}

/// The agent of the real servers.
pub fn lb_agent() -> Result<PathBuf> {
    find("lb-agent", "cargo build -p lb-agent")
}

/// The project's own commands.
pub fn xtask() -> Result<PathBuf> {
    find("xtask", "cargo build -p xtask")
}

/// Where all of them lie.
pub fn programs_directory() -> Result<PathBuf> {
    Ok(parent(&lbd()?).to_owned())
}

/// Looks in the directories above the running program: it lies in the target directory itself.
fn find(name: &str, remedy: &str) -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot tell where the running program lies")?;
    let found = program.ancestors().skip(1).map(|dir| dir.join(name)).find(|path| path.is_file());
    match found {
        Some(path) => Ok(path),
        None => bail!("no {name} in the target directory around {}: run `{remedy}`", parent(&program).display()),
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
