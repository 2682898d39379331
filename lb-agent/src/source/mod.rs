//! Programs, pages and files that are asked for a value in the background, so that a slow one never delays a report.

mod command;
mod http;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{self, MissedTickBehavior};

pub use http::Url;

use crate::measure::{Pace, SourceError, text};

/// The longest answer that is looked at, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// What a file holds.
    File(PathBuf),
    /// The body that a GET of this address answers with.
    Http(Url),
    /// What a program prints: the program and its arguments. No shell is between.
    Command(Vec<String>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Http(url) => write!(f, "{url}"),
            Self::Command(words) => write!(f, "command `{}`", words.join(" ")),
        }
    }
}

impl Origin {
    /// The text that it has now.
    async fn fetch(&self, limit: Duration) -> Result<String, SourceError> {
        let fetched = time::timeout(limit, async {
            match self {
                Self::File(path) => read_file(path).await,
                Self::Http(url) => http::get(url).await,
                Self::Command(words) => command::output(words).await,
            }
        });
        let failed = |why| SourceError::Failed { origin: self.to_string(), why };
        fetched.await.map_err(|_| SourceError::Late { origin: self.to_string(), limit })?.map_err(failed)
    }
}

/// On a thread of its own: a file of a network may take its time.
async fn read_file(path: &Path) -> Result<String, String> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || text::read_bounded(&path, MAX_ANSWER as u64));
    read.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// Asks again and again, until it is dropped.
#[derive(Debug)]
pub(crate) struct Poller<T> {
    latest: watch::Receiver<Latest<T>>,
    max_age: Duration,
    task: JoinHandle<()>,
}

/// The last value and when it was had, and why there is no newer one.
#[derive(Debug)]
struct Latest<T> {
    value: Option<(T, Instant)>,
    error: Option<SourceError>,
}

impl<T: Copy + Send + Sync + 'static> Poller<T> {
    /// Begins to ask. `understand` makes a value of each answer; none where it takes another answer to know.
    pub(crate) fn start<F>(origin: Origin, pace: Pace, understand: F) -> Self
    where
        F: FnMut(&str, Instant) -> Result<Option<T>, SourceError> + Send + 'static,
    {
        let (told, latest) = watch::channel(Latest { value: None, error: None });
        let task = tokio::spawn(ask(origin, pace, understand, told));
        Self { latest, max_age: pace.timeout + 2 * pace.interval, task }
    }

    /// The last value, as long as it is fresh: two questions may fail.
    pub(crate) fn latest(&self, now: Instant) -> Result<Option<T>, SourceError> {
        let latest = self.latest.borrow();
        let fresh = |at: Instant| now.saturating_duration_since(at) <= self.max_age;
        match (latest.value, &latest.error) {
            (Some((value, at)), _) if fresh(at) => Ok(Some(value)),
            (_, Some(error)) => Err(error.clone()),
            _ => Ok(None),
        }
    }
}

impl<T> Drop for Poller<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn ask<T, F>(origin: Origin, pace: Pace, mut understand: F, told: watch::Sender<Latest<T>>)
where
    F: FnMut(&str, Instant) -> Result<Option<T>, SourceError>,
{
    let mut ticks = time::interval(pace.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = origin.fetch(pace.timeout).await;
        let now = Instant::now();
        let value = answer.and_then(|text| understand(&text, now));
        told.send_modify(|latest| match value {
            Ok(value) => {
                latest.value = value.map(|value| (value, now));
                latest.error = None;
            }
            Err(error) => latest.error = Some(error),
        });
    }
}

#[cfg(test)]
mod tests;
