//! `lbctl checkpoint watch`: a line for each change, and a bar while a full checkpoint is on its way.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lb_core::api::{Checkpoint, FullProgress, path};

use super::{Failure, Outcome, Verdict, View};
use crate::client::Answer;
use crate::render::{self, Style};

/// How often the daemon is asked.
const LOOK: Duration = Duration::from_millis(100);
/// The bar: `{pos}` and `{len}` are pieces.
const BAR: &str = "{msg} [{bar:40}] {percent}% ({pos} of about {len} pieces, {eta} left)";

/// Goes on until it is in sync, where that is wanted, or the daemon cannot be asked.
pub(super) async fn watch(view: &View<'_>, until_in_sync: bool, style: Style) -> Result<Outcome, Failure> {
    let mut screen = Screen::new(io::stdout().is_terminal() && !view.json, style);
    loop {
        let answer: Answer<Checkpoint> = view.client.get(path::CHECKPOINT).await?;
        let json = view.json.then_some(answer.json.as_str());
        screen.show(&answer.value, json).map_err(Failure::Output)?;
        if until_in_sync && answer.value.sync.in_sync {
            return Ok(Outcome { text: String::new(), verdict: Verdict::Good });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What has been shown.
struct Screen {
    style: Style,
    /// There is a terminal to draw on.
    draws: bool,
    last: Option<String>,
    bar: Option<ProgressBar>,
}

impl Screen {
    fn new(draws: bool, style: Style) -> Self {
        Self { style, draws, last: None, bar: None }
    }

    /// Prints what is new: with `json` the answer itself, in place of a line.
    fn show(&mut self, checkpoint: &Checkpoint, json: Option<&str>) -> io::Result<()> {
        let line = render::checkpoint_news(checkpoint, !self.draws, self.style);
        if self.last.as_ref() != Some(&line) {
            self.line(json.map_or(line.as_str(), str::trim_end))?;
            self.last = Some(line);
        }
        match &checkpoint.full {
            Some(full) if self.draws => self.progress(full),
            _ => self.finish(),
        }
        Ok(())
    }

    fn line(&self, line: &str) -> io::Result<()> {
        let print = || {
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{line}").and_then(|()| stdout.flush())
        };
        self.bar.as_ref().map_or_else(print, |bar| bar.suspend(print))
    }

    fn progress(&mut self, full: &FullProgress) {
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout()).with_style(style)
        });
        bar.set_length(u64::from(full.parts_estimate.max(full.parts)));
        bar.set_message(if full.incoming { "coming" } else { "going" });
        bar.set_position(u64::from(full.parts));
    }

    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
