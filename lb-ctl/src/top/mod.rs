//! `lbctl top`: a live view of the daemon on a terminal, and steering of reals by keys.
//!
//! `sample` is what the daemon answers at one instant, `screen` is what the operator has chosen, `views` turns the two
//! into rows, `draw` puts them on the terminal, and `watcher` asks the daemon meanwhile. `--once` prints the same rows.

mod draw;
mod header;
mod keys;
mod rows;
mod sample;
mod screen;
#[cfg(test)]
mod tests;
mod views;
mod watcher;

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::time::Duration;

use ratatui::DefaultTerminal;
use tokio::signal::unix::{SignalKind, signal};

use crate::client::Client;
use crate::command::{Failure, Outcome, Verdict};
use crate::render::Style;
use sample::Sample;
use screen::{Screen, Step};
use watcher::Watcher;

/// What is asked for.
pub struct Wanted<'a> {
    /// The daemon's socket.
    pub socket: &'a Path,
    /// Time between two looks.
    pub interval: Duration,
    /// Two looks, and then the end.
    pub once: bool,
    /// As `once`, and the second look as JSON.
    pub json: bool,
}

/// Goes on until the operator ends it; with `once` or `json` it ends after two looks.
pub async fn run(wanted: &Wanted<'_>, style: Style) -> Result<Outcome, Failure> {
    if wanted.json || wanted.once {
        let text = once(wanted, style).await?;
        return Ok(Outcome { text, verdict: Verdict::Good });
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::NoTerminal);
    }
    // What is wrong with the socket is better said before the screen is taken.
    let first = Sample::take(&Client::new(wanted.socket)).await?;
    let mut terminal = ratatui::try_init().map_err(Failure::Output)?;
    let shown = show(&mut terminal, wanted, first, style).await;
    ratatui::restore();
    shown.map_err(Failure::Output)?;
    Ok(Outcome { text: String::new(), verdict: Verdict::Good })
}

/// All views, one below the other.
async fn once(wanted: &Wanted<'_>, style: Style) -> Result<String, Failure> {
    let client = Client::new(wanted.socket);
    let mut screen = Screen::new(Sample::take(&client).await?);
    tokio::time::sleep(wanted.interval).await;
    screen.take(Sample::take(&client).await?);
    if wanted.json {
        return Ok(crate::command::json_line(screen.sample()));
    }
    Ok(draw::text(&screen, style))
}

async fn show(
    terminal: &mut DefaultTerminal,
    wanted: &Wanted<'_>,
    first: Sample,
    style: Style,
) -> Result<(), io::Error> {
    let mut ended = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let mut keys = keys::listen();
    let mut watcher = Watcher::start(wanted.socket, wanted.interval);
    let mut screen = Screen::new(first);
    loop {
        terminal.draw(|frame| draw::screen(frame, &screen, style))?;
        let step = tokio::select! {
            key = keys.recv() => match key {
                Some(key) => screen.press(key?),
                None => Step::Quit,
            },
            news = watcher.news() => screen.hear(news),
            _ = ended.recv() => Step::Quit,
            _ = hung_up.recv() => Step::Quit,
        };
        match step {
            Step::Quit => return Ok(()),
            Step::Steer(order) => watcher.steer(order),
            Step::Draw => {}
        }
    }
}
