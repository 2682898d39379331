//! What the command lines of all programs share: each prints its own completions for shells, and writes its own manual
//! pages, so that neither can differ from what the program takes.

mod manual;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Command, Subcommand};
use clap_complete::Shell;

/// Commands about the program itself, for `#[command(flatten)]` in a program's own.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum SelfCommand {
    /// Print what makes a shell complete this program's commands.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write manual pages: one for the program, one for each command.
    #[command(hide = true)]
    Man {
        /// Where to. It must be there.
        #[arg(value_name = "DIRECTORY")]
        directory: PathBuf,
    },
}

/// Why a command about the program itself failed.
#[derive(Debug, thiserror::Error)]
pub enum SelfError {
    /// Nothing can be printed.
    #[error("cannot print the completions: {0}")]
    Output(#[source] io::Error),
    /// A page cannot be written.
    #[error("cannot write the manual page {}: {source}", file.display())]
    Page {
        /// Which one.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SelfCommand {
    /// Does it for the program whose command line `program` is.
    ///
    /// # Errors
    /// Nothing can be printed, or a page cannot be written.
    pub fn run(&self, program: Command) -> Result<(), SelfError> {
        match self {
            SelfCommand::Completions { shell } => print_completions(program, *shell),
            SelfCommand::Man { directory } => manual::write(program, directory),
        }
    }
}

fn print_completions(mut program: Command, shell: Shell) -> Result<(), SelfError> {
    let name = program.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut program, name, &mut text);
    match io::stdout().lock().write_all(&text) {
        // Whoever read it has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(SelfError::Output(error)),
        _ => Ok(()),
    }
}
