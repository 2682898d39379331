//! The command line of `lb-agent setup`, and what `lb-agent doctor` has in common with it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};

use super::{Mode, Wish};
use crate::config::DEFAULT_STATE_DIR;
use crate::decap::PIN_DIR;

const AT_BOOT: &str = "\
Nothing of this survives a reboot. To have it at each boot, let a unit of systemd run it:

  [Unit]
  After=network-online.target
  Wants=network-online.target
  Before=lb-agent.service

  [Service]
  Type=oneshot
  RemainAfterExit=yes
  ExecStart=/usr/bin/lb-agent setup --apply --mode dsr --vip 192.0.2.100 --interface eth0
  ExecStop=/usr/bin/lb-agent setup --undo

  [Install]
  WantedBy=multi-user.target

Exit codes: 0 done, or nothing was to be done; 1 failed; 2 wrong usage.";

/// `lb-agent setup`.
#[derive(Debug, Args)]
#[command(after_help = AT_BOOT)]
#[command(group(ArgGroup::new("what").args(["mode", "undo"]).required(true)))]
#[command(group(ArgGroup::new("how").args(["dry_run", "apply", "undo"])))]
pub(crate) struct SetupArguments {
    #[command(flatten)]
    wish: WishArguments,
    /// Print the commands and change nothing (the default)
    #[arg(long)]
    dry_run: bool,
    /// Run the commands, and record what was there before
    #[arg(long)]
    pub(crate) apply: bool,
    /// Restore what was there before --apply
    #[arg(long)]
    undo: bool,
    /// Where the record is kept
    #[arg(long, value_name = "DIRECTORY", default_value = DEFAULT_STATE_DIR)]
    pub(crate) state_dir: PathBuf,
}

/// What the host shall be prepared for.
#[derive(Debug, Args)]
pub(crate) struct WishArguments {
    /// How packets come, as the load balancers' configuration has it for the service
    #[arg(long, value_enum, requires = "vips")]
    mode: Option<Mode>,
    /// The VIPs
    #[arg(long = "vip", value_name = "ADDRESS", num_args = 1.., value_parser = vip, requires = "mode")]
    vips: Vec<IpAddr>,
    /// The interface that packets come in by [default: that of the default route]
    #[arg(long, value_name = "NAME", value_parser = interface, requires = "mode")]
    interface: Option<String>,
    /// This host's address, as the load balancers have it. It tells the family of a tunnel's outer header
    /// [default: that of the VIP where the interface has such addresses]
    #[arg(long, value_name = "ADDRESS", requires = "mode")]
    address: Option<IpAddr>,
    /// The UDP port of mode gue, as the load balancers have it
    #[arg(long = "gue-port", value_name = "PORT", default_value_t = lb_common::GUE_PORT, requires = "mode")]
    port: u16,
    /// Take packets out of tunnels by lb-agent's own XDP program, even where the kernel has a module for that
    #[arg(long, requires = "mode")]
    program: bool,
    /// Where that program is pinned: on a BPF file system
    #[arg(long, value_name = "DIRECTORY", default_value = PIN_DIR)]
    bpf_dir: PathBuf,
    /// Do without the limit on TCP segments in the modes ipip and gue, and so without nftables
    #[arg(long, requires = "mode")]
    no_clamp: bool,
}

impl SetupArguments {
    /// None to undo.
    pub(crate) fn wish(&self) -> Option<Wish> {
        self.wish.wish()
    }

    /// Where the program that takes packets out of tunnels is pinned.
    pub(crate) fn pins(&self) -> &Path {
        self.wish.pins()
    }
}

impl WishArguments {
    /// Where the program that takes packets out of tunnels is pinned.
    pub(crate) fn pins(&self) -> &Path {
        &self.bpf_dir
    }

    /// None where nothing is named.
    pub(crate) fn wish(&self) -> Option<Wish> {
        Some(Wish {
            mode: self.mode?,
            vips: self.vips.iter().copied().collect(),
            interface: self.interface.clone(),
            address: self.address,
            port: self.port,
            program: self.program,
            pins: self.bpf_dir.clone(),
            clamp: !self.no_clamp,
        })
    }
}

fn vip(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| "no IPv4 or IPv6 address".to_owned())?;
    let special = match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_broadcast() || v4.is_link_local() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some()
        }
    };
    if special || address.is_multicast() { Err("clients cannot use this address".to_owned()) } else { Ok(address) }
}

/// As the kernel has it: at most 15 bytes, without slashes and spaces. `all` and `default` are no interfaces.
fn interface(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    let name = !text.is_empty() && text.len() <= 15 && plain && !["lo", "all", "default", ".", ".."].contains(&text);
    if name { Ok(text.to_owned()) } else { Err("no name of an interface that leads to others".to_owned()) }
}
