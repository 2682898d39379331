//! Runs the small tools that build the network (`ip`, `ethtool`) and turns what they say into errors.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A command with the system's directories for administration in its PATH, out of reach of a Ctrl-C at the terminal.
pub fn tool(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"));
    command.env("LC_ALL", "C");
    command.stdin(Stdio::null());
    command.process_group(0);
    command
}

/// Runs a command to its end and returns its standard output. The error names the command, its status and its words.
pub fn output(command: &mut Command) -> Result<String> {
    let words = describe(command);
    let output = command.output().with_context(|| format!("cannot run `{words}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{words}` failed ({}): {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `ip` with these space-separated words.
pub(crate) fn ip(words: &str) -> Result<String> {
    output(tool("ip").args(words.split_whitespace()))
}

/// The command as a person would type it.
pub fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
