//! `lbctl checkpoint`: asks, and reads and writes the files that it is given.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use lb_core::api::{
    Advice, Checkpoint, CheckpointFiles, CheckpointImported, CheckpointTaken, CheckpointVerified,
    MAX_CHECKPOINT_CONTENT, VerifyCheckpoint, path,
};
use serde::de::IgnoredAny;

use super::{Failure, Outcome, Verdict, View, models, unusable, watch};
use crate::args::CheckpointCommand;
use crate::client::Answer;
use crate::plot;
use crate::render::{self, Style};

/// Flows of clients are nobody else's business.
const EXPORT_MODE: u32 = 0o600;

pub(super) async fn run(view: &View<'_>, command: &CheckpointCommand, style: Style) -> Result<Outcome, Failure> {
    let text = match command {
        CheckpointCommand::Show => return show(view, style).await,
        CheckpointCommand::Verify { file } => return verify(view, file.as_deref(), style).await,
        CheckpointCommand::Watch { until_in_sync } => return watch::watch(view, *until_in_sync, style).await,
        CheckpointCommand::List => {
            view.get(path::CHECKPOINT_LIST, |files: &CheckpointFiles| render::checkpoint_files(files, style)).await?
        }
        CheckpointCommand::Advise { svg } => {
            let answer: Answer<Advice> = view.client.get(path::CHECKPOINT_ADVISE).await?;
            let drawn = models::draw(svg.as_deref(), || plot::of_advice(&answer.value))?;
            let show = |advice: &Advice| {
                format!("{}\n{}{drawn}", render::advice(advice, style), plot::text(&plot::of_advice(advice)))
            };
            view.text(answer, show)
        }
        CheckpointCommand::Job(job) => models::job(view, job, style),
        CheckpointCommand::Now => {
            let answer: Answer<CheckpointTaken> = view.client.post(path::CHECKPOINT_NOW, None::<&()>).await?;
            view.text(answer, render::checkpoint_taken)
        }
        CheckpointCommand::Export { file } => export(view, file).await?,
        CheckpointCommand::Import { file } => import(view, file).await?,
    };
    Ok(Outcome { text, verdict: Verdict::Good })
}

async fn show(view: &View<'_>, style: Style) -> Result<Outcome, Failure> {
    let answer: Answer<Checkpoint> = view.client.get(path::CHECKPOINT).await?;
    let verdict = Verdict::degraded(answer.value.is_degraded());
    Ok(Outcome { text: view.text(answer, |checkpoint| render::checkpoint(checkpoint, style)), verdict })
}

async fn verify(view: &View<'_>, file: Option<&Path>, style: Style) -> Result<Outcome, Failure> {
    let absolute = |file| std::path::absolute(file).map_err(unusable("find", file));
    let absolute = file.map(absolute).transpose()?;
    let body = VerifyCheckpoint { path: absolute.map(|path| path.display().to_string()) };
    let answer: Answer<CheckpointVerified> = view.client.post(path::CHECKPOINT_VERIFY, Some(&body)).await?;
    let verdict = if answer.value.ok { Verdict::Good } else { Verdict::Failed };
    Ok(Outcome { text: view.text(answer, |verified| render::checkpoint_verified(verified, style)), verdict })
}

async fn export(view: &View<'_>, file: &Path) -> Result<String, Failure> {
    // What it is about to overwrite may be the only copy: that is refused, and before the daemon has the work.
    let target = OpenOptions::new().write(true).create_new(true).mode(EXPORT_MODE).open(file);
    let written = write_content(view, target.map_err(unusable("write", file))?, file).await;
    if written.is_err() {
        // The error of the write says more than one of this could.
        let _ = fs::remove_file(file);
    }
    written
}

async fn write_content(view: &View<'_>, mut target: File, file: &Path) -> Result<String, Failure> {
    let answer: Answer<IgnoredAny> = view.client.get(path::CHECKPOINT_CONTENT).await?;
    let written = target.write_all(answer.json.as_bytes()).and_then(|()| target.sync_all());
    written.map_err(unusable("write", file))?;
    let bytes = answer.json.len();
    if view.json {
        return Ok(format!("{}\n", serde_json::json!({ "file": file.display().to_string(), "bytes": bytes })));
    }
    Ok(render::checkpoint_exported(file, bytes as u64))
}

async fn import(view: &View<'_>, file: &Path) -> Result<String, Failure> {
    let content = read_bounded(file).map_err(unusable("read", file))?;
    let answer: Answer<CheckpointImported> = view.client.send(path::CHECKPOINT_IMPORT, content).await?;
    Ok(view.text(answer, render::checkpoint_imported))
}

fn read_bounded(file: &Path) -> io::Result<Vec<u8>> {
    let size = fs::metadata(file)?.len();
    if size > MAX_CHECKPOINT_CONTENT as u64 {
        let most = MAX_CHECKPOINT_CONTENT >> 20;
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has {size} bytes, and {most} MiB can be")));
    }
    fs::read(file)
}
