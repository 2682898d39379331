//! A program whose exit code says how the real is. There is no shell; the program runs in a process group of its own, which
//! is killed when time is up.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use lb_core::check::{Target, Via};
use std::os::unix::process::ExitStatusExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use super::probe::{Failure, TimeLimit};

/// Bytes of standard error that are kept. The rest is read and thrown away.
const MAX_OUTPUT: usize = 4096;
/// How long the last words of a program that has ended are awaited: one that it left behind may hold its standard error open.
const LAST_WORDS: Duration = Duration::from_millis(50);
/// Where programs look for programs. Nothing else is passed on from lbd's own environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the program.
pub(super) async fn run(command: &[String], target: &Target, limit: TimeLimit) -> Result<(), Failure> {
    if target.check.via == Via::Service {
        return Err(Failure::new("a program cannot be sent by the service's way; give via = \"address\""));
    }
    let mut program = Program::start(command, target)?;
    let mut said = Vec::new();
    // What was said is kept over the time limit, and the group is killed when `program` is dropped.
    let ended = limit.bound("end of the program", program.end(&mut said)).await?;
    judge(ended, &said)
}

/// Whether the program is there and may be run, as far as that can be told without running it.
pub(super) fn look(command: &[String]) -> Result<(), Failure> {
    let Some(name) = command.first() else { return Err(Failure::new("there is no program to run")) };
    let found = fs::metadata(name).map_err(|error| Failure::system(&format!("cannot run {name}"), &error))?;
    if found.is_file() && found.mode() & 0o111 != 0 {
        return Ok(());
    }
    Err(Failure::new(format_args!("{name} is no program that may be run: chmod +x {name}")))
}

/// A program that runs. Dropped before its end, its whole process group is killed.
struct Program {
    child: Child,
    errors: Option<ChildStderr>,
}

impl Program {
    fn start(words: &[String], target: &Target) -> Result<Self, Failure> {
        let Some((name, arguments)) = words.split_first() else {
            return Err(Failure::new("there is no program to run"));
        };
        let mut command = Command::new(name);
        command.args(arguments).env_clear().env("PATH", PATH).envs(environment(target));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.current_dir("/").process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| Failure::system(&format!("cannot run {name}"), &error))?;
        let errors = child.stderr.take();
        Ok(Self { child, errors })
    }

    /// Waits for the end and gathers what the program says meanwhile.
    async fn end(&mut self, said: &mut Vec<u8>) -> Result<ExitStatus, Failure> {
        let status = match self.errors.take() {
            Some(mut errors) => {
                let ended = tokio::select! {
                    status = self.child.wait() => Some(status),
                    () = listen(&mut errors, said) => None,
                };
                match ended {
                    Some(status) => {
                        let _ = timeout(LAST_WORDS, listen(&mut errors, said)).await;
                        status
                    }
                    None => self.child.wait().await,
                }
            }
            None => self.child.wait().await,
        };
        status.map_err(|error: io::Error| Failure::system("cannot wait for the program", &error))
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
async fn listen(errors: &mut ChildStderr, said: &mut Vec<u8>) {
    let mut buffer = [0; MAX_OUTPUT];
    while let Ok(length @ 1..) = errors.read(&mut buffer).await {
        let room = MAX_OUTPUT - said.len();
        said.extend_from_slice(&buffer[..length.min(room)]);
    }
}

fn environment(target: &Target) -> [(&'static str, String); 5] {
    [
        ("UNDERSTUDY_SERVICE", target.service.clone()),
        ("UNDERSTUDY_REAL", target.real.clone()),
        ("UNDERSTUDY_ADDRESS", target.address.to_string()),
        ("UNDERSTUDY_PORT", target.port.to_string()),
        ("UNDERSTUDY_VIP", target.vip.to_string()),
    ]
}

fn judge(status: ExitStatus, said: &[u8]) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(said);
    let first = said.lines().map(str::trim).find(|line| !line.is_empty());
    match (first, status.code(), status.signal()) {
        (Some(line), ..) => Err(Failure::new(line)),
        (None, Some(code), _) => Err(Failure::new(format_args!("exit code {code}"))),
        (None, None, Some(signal)) => Err(Failure::new(format_args!("the program was killed by signal {signal}"))),
        (None, None, None) => Err(Failure::new(status)),
    }
}
