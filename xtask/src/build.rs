//! Nested cargo, and the builds that the other commands begin with.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, anyhow, bail};

use crate::ebpf;
use crate::prerequisites::{self, Need};

/// The binary of lb-ebpf that the networks of demo and tests need. (lb-daemon's build script builds the balancer's own.)
const LAB_BINARY: &str = "lb-lab-ebpf";
/// All binaries of lb-ebpf.
const EBPF_BINARIES: [&str; 5] = ["lb-ebpf", "lb-decap-ebpf", LAB_BINARY, "lb-bench-ebpf", "lb-throughput-ebpf"];

/// `cargo xtask build-ebpf`.
pub fn ebpf(root: &Path) -> Result<()> {
    prerequisites::ensure(root, &[Need::Toolchain])?;
    for object in ebpf_objects(root)? {
        println!("{}", object.display());
    }
    Ok(())
}

/// Builds all objects and returns their paths.
pub fn ebpf_objects(root: &Path) -> Result<Vec<PathBuf>> {
    EBPF_BINARIES.iter().map(|binary| ebpf::build(root, binary).map_err(|error| anyhow!(error))).collect()
}

/// Builds the object that [`lb_lab`] attaches.
pub fn lab_object(root: &Path) -> Result<PathBuf> {
    ebpf::build(root, LAB_BINARY).map_err(|error| anyhow!(error))
}

/// `cargo` in the workspace, without what `cargo run` put into this program's environment: build scripts that look at
/// it would build everything anew.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    for (name, _) in env::vars_os() {
        if is_of_this_program(&name) {
            command.env_remove(name);
        }
    }
    command.current_dir(root);
    command
}

/// `cargo` as [`cargo`], without the user's compiler flags either: for tools that are built once and for all.
pub fn cargo_for_tools(root: &Path) -> Command {
    let mut command = cargo(root);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let build = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "CARGO_ENCODED_", "RUSTC"];
        if text == "RUSTFLAGS" || build.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end with its output in sight.
pub fn run(command: &mut Command) -> Result<()> {
    let words = lb_lab::describe(command);
    let status = command.status().map_err(|error| anyhow!("cannot run `{words}`: {error}"))?;
    if !status.success() {
        bail!("`{words}` failed ({status})");
    }
    Ok(())
}

fn is_of_this_program(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
    name == "CARGO" || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_run_sets_is_told_from_what_the_user_sets() {
        for set_by_cargo in ["CARGO", "CARGO_PKG_NAME", "CARGO_MANIFEST_DIR"] {
            assert!(is_of_this_program(OsStr::new(set_by_cargo)), "{set_by_cargo}");
        }
        for set_by_user in ["CARGO_HOME", "CARGO_TARGET_DIR", "RUSTFLAGS", "CARGO_NET_OFFLINE"] {
            assert!(!is_of_this_program(OsStr::new(set_by_user)), "{set_by_user}");
        }
    }
}
