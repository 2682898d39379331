//! What a build script does that embeds an eBPF object: builds the object and lays it in `OUT_DIR`.

#[path = "ebpf.rs"]
#[allow(dead_code, reason = "xtask uses the rest")]
mod ebpf;

use std::{env, error::Error, fs, path::Path};

/// Builds binary `bin` of lb-ebpf for a package somewhere below the workspace's root, and copies it to `OUT_DIR` under its name.
///
/// # Errors
/// What failed and the command that mends it.
pub fn embed(bin: &str) -> Result<(), Box<dyn Error>> {
    let manifest = env::var("CARGO_MANIFEST_DIR")?;
    let mut above = Path::new(&manifest).ancestors().skip(1);
    let root = above.find(|folder| folder.join("Cargo.lock").is_file()).ok_or("no folder above has a Cargo.lock")?;
    for watched in ["lb-ebpf/src", "lb-ebpf/Cargo.toml", "lb-common/src", "xtask/src/ebpf.rs", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let object = ebpf::build(root, bin)?;
    fs::copy(&object, Path::new(&env::var("OUT_DIR")?).join(bin))?;
    Ok(())
}
