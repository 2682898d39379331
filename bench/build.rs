//! Builds the bench's XDP programs and lays the object where `main` embeds it.

#[path = "../xtask/src/ebpf.rs"]
#[allow(dead_code, reason = "xtask uses the rest")]
mod ebpf;

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = env::var("CARGO_MANIFEST_DIR")?;
    let root = Path::new(&manifest).parent().ok_or("the manifest has no parent folder")?;
    for watched in ["lb-ebpf/src", "lb-ebpf/Cargo.toml", "lb-common/src", "xtask/src/ebpf.rs", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let object = ebpf::build(root, "lb-bench-ebpf")?;
    fs::copy(&object, Path::new(&env::var("OUT_DIR")?).join("lb-bench-ebpf"))?;
    Ok(())
}
