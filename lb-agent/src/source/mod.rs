//! Programs, pages and files that are asked for a value in the background, so that a slow one never delays a report.

mod command;
mod http;

use std::fmt;
use std::io;
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

/// Asks an origin.
#[derive(Debug)]
struct Fetcher {
    origin: Origin,
    /// A file that is being read, on a thread of its own: a file of a network may take its time, and cannot be given up.
    reading: Option<JoinHandle<io::Result<String>>>,
}

impl Fetcher {
    fn new(origin: Origin) -> Self {
        Self { origin, reading: None }
    }

    /// The text that the origin has now.
    async fn fetch(&mut self, limit: Duration) -> Result<String, SourceError> {
        let (origin, reading) = (&self.origin, &mut self.reading);
        let fetched = time::timeout(limit, async {
            match origin {
                Origin::File(path) => read_file(path, reading).await,
                Origin::Http(url) => http::get(url).await,
                Origin::Command(words) => command::output(words).await,
            }
        });
        let failed = |why| SourceError::Failed { origin: origin.to_string(), why };
        fetched.await.map_err(|_| SourceError::Late { origin: origin.to_string(), limit })?.map_err(failed)
    }
}

/// Goes on to read where an earlier call was given up, so that no two threads hang in one file.
async fn read_file(path: &Path, reading: &mut Option<JoinHandle<io::Result<String>>>) -> Result<String, String> {
    let path = path.to_owned();
    let read = || tokio::task::spawn_blocking(move || text::read_bounded(&path, MAX_ANSWER as u64));
    let outcome = reading.get_or_insert_with(read).await;
    *reading = None;
    outcome.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
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
    let mut fetcher = Fetcher::new(origin);
    let mut ticks = time::interval(pace.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = fetcher.fetch(pace.timeout).await;
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
