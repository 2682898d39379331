//! Turns the configuration of another load balancer into one of `lbd`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use super::{Failure, View, json_line, unusable};
use crate::args::ImportArgs;
use crate::import::{Imported, MAX_FILE, import};

pub(super) fn run(view: &View<'_>, wanted: &ImportArgs) -> Result<String, Failure> {
    let text = read(&wanted.file).map_err(unusable("read", &wanted.file))?;
    let imported = import(wanted.source.into(), &text, &wanted.interface)
        .map_err(|source| Failure::Import { file: wanted.file.clone(), source })?;
    if let Some(output) = &wanted.output {
        write(output, &imported.config).map_err(unusable("write", output))?;
    }
    Ok(match (&wanted.output, view.json) {
        (_, true) => json_line(&imported),
        (None, false) => imported.config,
        (Some(output), false) => summary(&imported, output),
    })
}

/// All of a file, which must be text and not larger than it may be.
fn read(file: &Path) -> io::Result<String> {
    let source: Box<dyn io::Read> =
        if file == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(file)?) };
    let mut text = String::new();
    if source.take(MAX_FILE + 1).read_to_string(&mut text)? as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {} MiB", MAX_FILE >> 20)));
    }
    Ok(text)
}

/// Never over a file that is there: it may be the configuration in use.
fn write(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(file)?.write_all(text.as_bytes())
}

fn summary(imported: &Imported, output: &Path) -> String {
    let Imported { services, reals, remarks, .. } = imported;
    let mut text = format!("Written to {}: services {services}, reals {reals}\n", output.display());
    if !remarks.is_empty() {
        text += "What has no counterpart, or another one than may be expected:\n";
        remarks.iter().for_each(|remark| text += &format!("  {remark}\n"));
    }
    text + &format!("Next: lbd check --config {}\n", output.display())
}
