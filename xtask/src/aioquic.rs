//! A Python environment with aioquic, in which tests run QUIC servers and clients.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::prerequisites::{self, Need};

/// Debian's own: another in PATH may be of a version that the requirements have no packages for.
const PYTHON: &str = "/usr/bin/python3";

/// Makes it in `target`, once, and anew when the requirements change. It takes some seconds and the network.
pub fn ensure(root: &Path) -> Result<()> {
    let environment = lb_lab::Aioquic::default();
    if environment.is_installed()? {
        return Ok(());
    }
    prerequisites::ensure(root, &[Need::Python])?;
    println!("installing aioquic for the tests of QUIC in {}", environment.directory.display());
    if environment.directory.exists() {
        fs::remove_dir_all(&environment.directory)
            .with_context(|| format!("cannot remove {}", environment.directory.display()))?;
    }
    lb_lab::output(lb_lab::tool(PYTHON).args(["-m", "venv"]).arg(&environment.directory))?;
    let mut install = lb_lab::tool(environment.interpreter());
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]);
    install.args(["--only-binary", ":all:", "--requirement"]).arg(&environment.requirements);
    lb_lab::output(&mut install).context("installing aioquic failed; it is downloaded from pypi.org")?;
    environment.note_installed()
}
