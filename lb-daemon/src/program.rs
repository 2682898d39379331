//! Runs a program of the operator's: without a shell, with nothing of lbd's own environment, in a process group of its own
//! that is killed when nobody waits for it any more.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::sandbox::programs;

/// Bytes of its words that are kept. The rest is read and thrown away.
const MAX_OUTPUT: usize = 4096;
/// How long the last words of a program that has ended are awaited: one that it left behind may hold its output open.
const LAST_WORDS: Duration = Duration::from_millis(50);
/// Where programs look for programs. Nothing else is passed on from lbd's own environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Which of a program's words are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hear {
    /// Standard error.
    Errors,
    /// Standard output and standard error.
    Everything,
}

/// A program that runs. Dropped before its end, its whole process group is killed.
pub(crate) struct Program {
    child: Child,
    output: pipe::Receiver,
}

impl Program {
    /// Starts it. Must be called inside a runtime.
    ///
    /// # Errors
    /// There is no such program, or it may not be run; or the host has no process to give.
    pub(crate) fn start<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        words: &[String],
        environment: impl IntoIterator<Item = (K, V)>,
        hear: Hear,
    ) -> io::Result<Self> {
        let Some((name, arguments)) = words.split_first() else {
            return Err(io::Error::other("there is no program to run"));
        };
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new(name);
        command.args(arguments).env_clear().env("PATH", PATH).envs(environment);
        command.stdin(Stdio::null());
        command.stdout(match hear {
            Hear::Errors => Stdio::null(),
            Hear::Everything => writer.try_clone()?.into(),
        });
        command.stderr(writer);
        command.current_dir("/").process_group(0).kill_on_drop(true);
        let output = pipe::Receiver::from_owned_fd(reader.into())?;
        let runtime = Handle::current();
        let start = move || {
            let _entered = runtime.enter();
            command.spawn()
        };
        Ok(Self { child: programs::outside(start)??, output })
    }

    /// Waits for the end and gathers what the program says meanwhile.
    ///
    /// # Errors
    /// The host does not tell of the end.
    pub(crate) async fn end(&mut self, said: &mut Vec<u8>) -> io::Result<ExitStatus> {
        tokio::select! {
            status = self.child.wait() => {
                let _ = timeout(LAST_WORDS, listen(&mut self.output, said)).await;
                return status;
            }
            () = listen(&mut self.output, said) => {}
        }
        self.child.wait().await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // None once it has been waited for: then the number may be another's.
        if let Some(group) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // SAFETY: kill takes no pointers. The child has not been waited for, so the group bears its number still.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
    }
}

/// Reads to the end, and keeps the beginning.
async fn listen(output: &mut pipe::Receiver, said: &mut Vec<u8>) {
    let mut buffer = [0; MAX_OUTPUT];
    while let Ok(length @ 1..) = output.read(&mut buffer).await {
        let room = MAX_OUTPUT - said.len();
        said.extend_from_slice(&buffer[..length.min(room)]);
    }
}

/// Whether the program is there and may be run, as far as that can be told without running it.
pub(crate) fn is_executable(name: &str) -> io::Result<bool> {
    let found = fs::metadata(name)?;
    Ok(found.is_file() && found.mode() & 0o111 != 0)
}

/// What is wrong with how a program has ended, in words of its own where it has said something.
pub(crate) fn judge(status: ExitStatus, said: &[u8]) -> Result<(), String> {
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(said);
    let first = said.lines().map(str::trim).find(|line| !line.is_empty());
    Err(match (first, status.code(), status.signal()) {
        (Some(line), ..) => line.to_owned(),
        (None, Some(code), _) => format!("exit code {code}"),
        (None, None, Some(signal)) => format!("the program was killed by signal {signal}"),
        (None, None, None) => status.to_string(),
    })
}
