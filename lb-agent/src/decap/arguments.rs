//! The command line of `lb-agent decap`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use lb_common::GUE_PORT;

use super::PIN_DIR;
use crate::setup::Mode;

/// `lb-agent decap`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").args(["mode", "detach"]).required(true)))]
pub(crate) struct DecapArguments {
    /// The interface that packets come in by
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: String,
    /// What is before the packets: ipip or gue
    #[arg(long, value_enum, requires = "addresses", requires = "vips")]
    pub(crate) mode: Option<Mode>,
    /// The host's addresses that the load balancers send to
    #[arg(long = "address", value_name = "ADDRESS", num_args = 1.., requires = "mode")]
    pub(crate) addresses: Vec<IpAddr>,
    /// The VIPs
    #[arg(long = "vip", value_name = "ADDRESS", num_args = 1.., requires = "mode")]
    pub(crate) vips: Vec<IpAddr>,
    /// The UDP port of mode gue
    #[arg(long, value_name = "PORT", default_value_t = GUE_PORT)]
    pub(crate) port: u16,
    /// Where program and maps are pinned: on a BPF file system
    #[arg(long, value_name = "DIRECTORY", default_value = PIN_DIR)]
    pub(crate) bpf_dir: PathBuf,
    /// Take the program off the interface
    #[arg(long)]
    pub(crate) detach: bool,
}

/// The words that make `lb-agent` take packets out on an interface.
pub(crate) fn words(
    interface: &str,
    pins: &Path,
    mode: Mode,
    port: u16,
    addresses: &BTreeSet<IpAddr>,
    vips: &BTreeSet<IpAddr>,
) -> Vec<String> {
    let mut words: Vec<String> =
        ["lb-agent", "decap", "--interface", interface, "--mode", mode.name()].map(str::to_owned).to_vec();
    if mode == Mode::Gue {
        words.extend(["--port".to_owned(), port.to_string()]);
    }
    for (option, values) in [("--address", addresses), ("--vip", vips)] {
        words.push(option.to_owned());
        words.extend(values.iter().map(ToString::to_string));
    }
    words.extend(elsewhere(pins));
    words
}

/// The words that end that.
pub(crate) fn words_to_end(interface: &str, pins: &Path) -> Vec<String> {
    let words = ["lb-agent", "decap", "--interface", interface, "--detach"].map(str::to_owned);
    words.into_iter().chain(elsewhere(pins)).collect()
}

/// The words that name another directory of pins than the usual one.
fn elsewhere(pins: &Path) -> Vec<String> {
    if pins == Path::new(PIN_DIR) { Vec::new() } else { vec!["--bpf-dir".to_owned(), pins.display().to_string()] }
}
