//! The command line of `lb-agent doctor`.

use std::path::PathBuf;

use clap::Args;

use crate::config::DEFAULT_STATE_DIR;
use crate::setup::WishArguments;

const EXIT_CODES: &str = "Exit codes: 0 there is no error, warnings aside; 1 there is one; 2 wrong usage.";

/// `lb-agent doctor`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct DoctorArguments {
    /// What the host shall be prepared for; what `lb-agent setup --apply` has recorded where nothing is named.
    #[command(flatten)]
    pub(super) wish: WishArguments,
    /// TCP ports of the services: a server has to listen on each of them, for every VIP
    #[arg(long = "port", value_name = "PORT", num_args = 1.., value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) ports: Vec<u16>,
    /// The agent's configuration file [default: /etc/understudy/agent.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where `lb-agent setup` keeps its record
    #[arg(long, value_name = "DIRECTORY", default_value = DEFAULT_STATE_DIR)]
    pub(super) state_dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
