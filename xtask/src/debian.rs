//! A Debian 12 without anything that it does not need, in which tests install the packages.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::prerequisites::{self, Need};

const SUITE: &str = "bookworm";
/// What has to be in it beside the smallest Debian: what starts the units.
const INCLUDED: &str = "systemd";

/// Makes it in `target`, once. It takes a minute or two and the network.
pub fn ensure(root: &Path) -> Result<()> {
    let directory = lb_lab::debian_directory();
    if directory.exists() {
        return Ok(());
    }
    prerequisites::ensure(root, &[Need::Debian])?;
    println!("making a Debian for the tests of packages in {}", directory.display());
    // It appears under its name when it is whole.
    let growing = directory.with_extension("new");
    if growing.exists() {
        fs::remove_dir_all(&growing).with_context(|| format!("cannot remove {}", growing.display()))?;
    }
    let mut make = lb_lab::tool("mmdebstrap");
    make.args(["--quiet", "--variant=minbase", "--format=directory", "--include", INCLUDED, SUITE]).arg(&growing);
    lb_lab::output(&mut make).context("making a Debian failed; it is downloaded from deb.debian.org")?;
    fs::rename(&growing, &directory).with_context(|| format!("cannot rename {}", growing.display()))
}
