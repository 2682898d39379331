//! What can be said after `lbctl checkpoint`.

use std::path::PathBuf;

use clap::Subcommand;

use super::JobArgs;

/// What to do with checkpoints.
#[derive(Debug, Subcommand)]
pub enum CheckpointCommand {
    /// How the checkpoints are, and who has them. Exits with 4 when not all is where it should be.
    Show,
    /// The files of the store.
    List,
    /// Look at every record of the store, or of one file on the daemon's host. Exits with 1 when one is refused.
    Verify {
        /// The file.
        file: Option<PathBuf>,
    },
    /// Write all that a checkpoint of this instant says to a file, as JSON.
    Export {
        /// The file. It must not be there yet.
        file: PathBuf,
    },
    /// Take in what `export` has written, here or elsewhere.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// Make a checkpoint now.
    Now,
    /// Follow what happens to the checkpoints, with a bar while a full one is on its way.
    Watch {
        /// End as soon as all is where it should be.
        #[arg(long)]
        until_in_sync: bool,
    },
    /// How often checkpoints pay, with the curve.
    Advise {
        /// Write the curve to this file, too.
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
    /// How often a job that starts again from its last checkpoint should make one. Needs no daemon.
    Job(JobArgs),
}
