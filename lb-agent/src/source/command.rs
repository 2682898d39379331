//! What a program prints, within bounds. A program that is not waited for any longer is killed with all that it has started.

use std::process::Stdio;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::MAX_ANSWER;

/// The standard output of a program that ends well. Dropping the future kills the program.
pub(super) async fn output(words: &[String]) -> Result<String, String> {
    let (program, arguments) = words.split_first().ok_or("the command is empty")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child =
        command.process_group(0).kill_on_drop(true).spawn().map_err(|error| format!("cannot run it: {error}"))?;
    let mut group = Group { child };
    let mut bytes = Vec::new();
    if let Some(pipe) = group.child.stdout.take() {
        let read = pipe.take(MAX_ANSWER as u64).read_to_end(&mut bytes).await;
        read.map_err(|error| format!("cannot read its output: {error}"))?;
    }
    let status = group.child.wait().await.map_err(|error| format!("cannot wait for it: {error}"))?;
    if !status.success() {
        return Err(format!("it ended with {status}"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A program in a process group of its own.
struct Group {
    child: Child,
}

impl Drop for Group {
    fn drop(&mut self) {
        // No id: it has ended and has been waited for, so that its number may be another's by now.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id {
            // It may have ended just now.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}
