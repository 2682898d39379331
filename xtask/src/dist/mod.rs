//! `cargo xtask dist`: Debian packages of the daemon, the agent and the command line client. The programs write their own
//! manual pages and completions; the rest lies in `packaging/`.

mod contents;
mod facts;
mod stage;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::build::{cargo, run as run_command};
use crate::prerequisites::{self, Need};
use contents::PACKAGES;
use facts::Facts;
use stage::Stage;

/// `cargo xtask dist`.
#[derive(Args)]
pub struct DistArguments {
    /// The profile that cargo builds the programs with
    #[arg(long, value_name = "NAME", default_value = "release")]
    profile: String,
    /// Take the programs from this directory, and build nothing
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "profile")]
    programs: Option<PathBuf>,
    /// Where the packages go [default: target/dist]
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
    /// Which packaging of this version it is
    #[arg(long, value_name = "N", default_value_t = 1)]
    revision: u32,
    /// How the packages are compressed
    #[arg(long, value_enum, default_value_t = Compression::Xz)]
    compression: Compression,
}

/// What dpkg-deb compresses with.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Compression {
    /// Small, and slow to make.
    Xz,
    /// Not at all: for tests.
    None,
}

/// Builds the programs, unless they are there, and packs them.
pub fn run(root: &Path, arguments: &DistArguments) -> Result<()> {
    prerequisites::ensure(root, &[Need::Packing])?;
    let programs = match &arguments.programs {
        Some(directory) => directory.clone(),
        None => build(root, &arguments.profile)?,
    };
    let output = arguments.output.clone().unwrap_or_else(|| root.join("target/dist"));
    fs::create_dir_all(&output).with_context(|| format!("cannot create {}", output.display()))?;
    let facts = Facts::gather(root, &programs, arguments.revision)?;
    for package in &PACKAGES {
        let stage = Stage::make(root, package, &facts, &output)?;
        let packed = stage.pack(arguments.compression == Compression::Xz)?;
        println!("{}", packed.display());
    }
    Ok(())
}

/// Returns the directory with the programs.
fn build(root: &Path, profile: &str) -> Result<PathBuf> {
    prerequisites::ensure(root, &[Need::Toolchain])?;
    let packages = ["-p", "lb-daemon", "-p", "lb-agent", "-p", "lb-ctl"];
    run_command(cargo(root).args(["build", "--locked", "--bins", "--profile", profile]).args(packages))?;
    // The directory of the profile `dev` has a name of its own.
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join(if profile == "dev" { "debug" } else { profile }))
}
