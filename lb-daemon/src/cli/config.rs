//! `lbd config`: what the configuration can say.

use std::io::{self, Write as _};

use anyhow::Context as _;
use clap::Subcommand;

use crate::config::manual;

/// What to show.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// The JSON Schema of the configuration: editors complete and check with it
    Schema,
    /// Every key with its default, as a configuration file
    Default,
    /// A configuration to begin with
    Example,
    /// The manual page lbd.toml(5).
    #[command(hide = true)]
    Man,
    /// What a key or a table is for, what it can be, and its default
    Explain {
        /// As in scheduler.interval or pair.path
        key: String,
    },
}

/// Prints it. Whoever closes the pipe early has seen enough.
pub(super) fn run(command: &ConfigCommand) -> anyhow::Result<()> {
    let text = match command {
        ConfigCommand::Schema => format!("{:#}\n", manual::schema()),
        ConfigCommand::Default => manual::defaults(),
        ConfigCommand::Example => manual::EXAMPLE.to_owned(),
        ConfigCommand::Man => manual::roff(),
        ConfigCommand::Explain { key } => manual::explain(key).map_err(anyhow::Error::msg)?,
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
        _ => Ok(()),
    }
}
