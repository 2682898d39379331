//! What can be said to `lbctl import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::import::Source;

/// What to import.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// What the file is of: a `keepalived.conf`, or the output of `ipvsadm -Sn`.
    #[arg(value_enum)]
    pub source: SourceWord,
    /// The file; `-` is stdin.
    pub file: PathBuf,
    /// Write the configuration to this new file, and only what has no counterpart to the terminal.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// An interface that clients' packets come in by. May be given more than once.
    #[arg(short, long, value_name = "NAME", value_parser = interface)]
    pub interface: Vec<String>,
}

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SourceWord {
    /// A `keepalived.conf`.
    Keepalived,
    /// The output of `ipvsadm -Sn`.
    Ipvsadm,
}

impl From<SourceWord> for Source {
    fn from(word: SourceWord) -> Self {
        match word {
            SourceWord::Keepalived => Self::Keepalived,
            SourceWord::Ipvsadm => Self::Ipvsadm,
        }
    }
}

fn interface(text: &str) -> Result<String, String> {
    if crate::import::is_interface(text) {
        Ok(text.to_owned())
    } else {
        Err("a name of an interface has 1 to 15 letters, digits, dots, dashes and underscores".to_owned())
    }
}
