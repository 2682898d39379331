//! What `lbd` gives up before it takes in anything from outside: capabilities that it does not need any more, files that are none of
//! its own, and the way to run programs. docs/security.md says what that guards against.
//!
//! Both kinds of limits are those of a thread and of all that it starts, so they are taken on while there is only one. Where the
//! configuration names programs (exec checks, hooks), one thread is made before, without limits, that starts them and does nothing else.

mod capabilities;
mod files;
pub(crate) mod programs;

use std::path::Path;

use tracing::{info, warn};

pub use capabilities::KEPT;
pub use files::Places;

use crate::config::{Config, Settings};

/// Takes the limits on, for the calling thread and all that it starts from now on.
///
/// # Errors
/// Programs are configured, and the host has no thread to start them from.
pub fn enter(config: &Config, config_path: &Path) -> anyhow::Result<()> {
    let runs_programs = config.programs().next().is_some();
    programs::prepare(runs_programs)?;
    confine(&Places::of(config, config_path), &config.settings);
    if runs_programs {
        info!("sandbox: exec checks and hooks are started from outside of it");
    }
    Ok(())
}

/// Takes the limits on files and capabilities on, for the calling thread and all that it starts from now on. What the kernel refuses is
/// told to the log and is no reason not to serve.
pub fn confine(places: &Places, settings: &Settings) {
    match files::confine(places) {
        Ok(how) => info!("sandbox: files: {how}"),
        Err(error) => warn!("sandbox: files are not limited: {error}"),
    }
    match capabilities::narrow(settings) {
        Ok(kept) => info!("sandbox: capabilities: {kept}"),
        Err(error) => warn!("sandbox: capabilities are not limited: {error}"),
    }
}
