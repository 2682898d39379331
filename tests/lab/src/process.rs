//! A process that the lab started, with its output in a file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::describe;

/// How often a waiting function looks again.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A process in a group of its own. Dropped, the whole group is killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command. Its output is added to the file `log`.
    pub fn spawn(command: &mut Command, log: &Path) -> Result<Process> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("cannot write {}", log.display()))?;
        let also = file.try_clone().with_context(|| format!("cannot write {}", log.display()))?;
        command.stdout(file).stderr(also);
        let child = command.spawn().with_context(|| format!("cannot start `{}`", describe(command)))?;
        Ok(Process { child, log: log.to_path_buf() })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the process has printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal to the process (not to its children).
    pub fn signal(&self, signal: i32) -> Result<()> {
        // SAFETY: kill takes no pointers; the child has not been waited for, so the pid is still its own.
        if unsafe { libc::kill(self.child.id() as i32, signal) } != 0 {
            return Err(std::io::Error::last_os_error()).context("cannot signal the process");
        }
        Ok(())
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills the process and waits for its end: the `kill -9` of the tests.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("cannot kill the process")?;
        self.child.wait().context("cannot wait for the process").map(drop)
    }

    /// Waits for the process to end by itself, at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for the process")? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("the process {} has not ended within {limit:?}; it said: {}", self.pid(), self.log().trim());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Asks the process to end (SIGTERM) and waits for that, at most `limit`.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(libc::SIGTERM)?;
        self.wait(limit)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_running() {
            return;
        }
        // SAFETY: kill takes no pointers; the group was made for this child, which has not been waited for.
        unsafe { libc::kill(-(self.child.id() as i32), libc::SIGKILL) };
        let _ = self.child.wait();
    }
}

/// Looks again and again until `done` gives a value, at most `limit`; `what` says in the error what was awaited.
///
/// # Errors
/// The time is up, `done` fails, or the user asks to stop.
pub fn wait_for<T>(what: &str, limit: Duration, mut done: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait_in_any_case(what, limit, || match done()? {
        None => crate::interrupt::check().map(|()| None),
        done => Ok(done),
    })
}

/// As [`wait_for`], also when the user has asked to stop: for taking things down.
pub(crate) fn wait_in_any_case<T>(
    what: &str,
    limit: Duration,
    mut done: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = done()? {
            return Ok(value);
        }
        if Instant::now() > deadline {
            bail!("waited {limit:?} in vain for {what}");
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
