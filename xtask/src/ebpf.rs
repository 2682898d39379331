//! Builds the eBPF programs. Used by `cargo xtask build-ebpf` and, through lb-daemon's and the benches' build scripts, by
//! every build of what embeds an object; so it needs nothing but the standard library.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The version that borrows the pinned toolchain's own LLVM.
pub const BPF_LINKER_VERSION: &str = "0.10.3";
/// Debug info gives BTF; `v3` has the 32-bit instructions.
pub const RUSTFLAGS: [&str; 3] = ["-Cdebuginfo=2", "-Clink-arg=--btf", "-Ctarget-cpu=v3"];
/// The target that the programs are built for.
pub const TARGET: &str = "bpfel-unknown-none";

/// Builds binary `bin` of lb-ebpf in the workspace at `root` and returns the object's path.
///
/// # Errors
/// What failed and the command that mends it.
pub fn build(root: &Path, bin: &str) -> Result<PathBuf, String> {
    let target_dir = root.join("target").join("ebpf");
    let mut command = cargo(root, "build");
    command.args(["--release", "--bin", bin]);
    let status = command.status().map_err(|error| format!("cannot start cargo to build {bin}: {error}"))?;
    if !status.success() {
        return Err(format!(
            "building the eBPF program {bin} failed ({status}); if bpf-linker or rust-src is missing, \
             `cargo xtask build-ebpf` installs them"
        ));
    }
    Ok(target_dir.join(TARGET).join("release").join(bin))
}

/// `cargo SUBCOMMAND` for lb-ebpf on the BPF target, in a clean environment and a target directory of its own.
#[must_use]
pub fn cargo(root: &Path, subcommand: &str) -> Command {
    let mut command = Command::new("cargo");
    // A build script's environment (CARGO_*, RUSTC, a wrapper of clippy's) is meant for another target.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let kept = ["CARGO_HOME", "CARGO_NET_OFFLINE", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"].contains(&name.as_ref());
        if !kept && (name.starts_with("CARGO") || name.starts_with("RUSTC") || name == "RUSTFLAGS") {
            command.env_remove(name.as_ref());
        }
    }
    command
        .current_dir(root)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\x1f"))
        .args([subcommand, "--locked", "--package", "lb-ebpf", "--target", TARGET, "-Zbuild-std=core", "--target-dir"])
        .arg(root.join("target").join("ebpf"));
    command
}
