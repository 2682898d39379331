//! What `lbctl` works out without a daemon, and the curves that it draws.

use std::fs;
use std::path::Path;

use super::{Failure, View, json_line, unusable};
use crate::args::{AvailabilityArgs, JobArgs};
use crate::plot::{self, Chart};
use crate::render::{self, Style};

/// How available a pair is.
pub(super) fn availability(view: &View<'_>, wanted: &AvailabilityArgs, style: Style) -> Result<String, Failure> {
    let found = crate::models::availability(wanted.pair());
    let drawn = draw(wanted.svg.as_deref(), || plot::of_availability(&found))?;
    Ok(if view.json { json_line(&found) } else { render::availability(&found, style) + &drawn })
}

/// How often a job should make a checkpoint.
pub(super) fn job(view: &View<'_>, wanted: &JobArgs, style: Style) -> String {
    let found = crate::models::job(wanted.job());
    if view.json { json_line(&found) } else { render::job(&found, style) }
}

/// Writes a curve to the file that is wanted, if one is, and says so.
pub(super) fn draw(file: Option<&Path>, chart: impl FnOnce() -> Chart) -> Result<String, Failure> {
    let Some(file) = file else { return Ok(String::new()) };
    fs::write(file, plot::svg(&chart())).map_err(unusable("write", file))?;
    Ok(format!("\nDrawn to {}\n", file.display()))
}
