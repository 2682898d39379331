//! What can be said after `lbctl add`, `remove` and `config`.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use lb_core::service::Prefix;

use super::real_name;

/// What to add, or to replace where there is one of that name.
#[derive(Debug, Subcommand)]
pub enum AddCommand {
    /// A service.
    Service(Box<AddService>),
    /// A real.
    Real(AddReal),
}

/// A service to add.
#[derive(Debug, Args)]
pub struct AddService {
    /// The service's name.
    #[arg(value_parser = name)]
    pub name: String,
    /// The address that clients use, or a whole prefix of them.
    #[arg(long, value_name = "ADDRESS", value_parser = vip)]
    pub vip: String,
    /// A port, a range of ports as in 8000-8099, or `any`.
    #[arg(long)]
    pub port: String,
    /// `tcp`, `udp` or `sctp`.
    #[arg(long, default_value = "tcp")]
    pub protocol: String,
    /// `dsr`, `ipip`, `gue` or `nat`.
    #[arg(long)]
    pub mode: String,
    /// A real that serves it, with a port of its own (mode nat) and a weight in this service if need be. Can be given many times.
    #[arg(long = "real", value_name = "NAME[:PORT][=WEIGHT]", required = true, value_parser = member)]
    pub reals: Vec<Member>,
    /// A real that gets flows only while none of the others is up, written as with --real. Can be given many times.
    #[arg(long = "fallback", value_name = "NAME[:PORT][=WEIGHT]", value_parser = member)]
    pub fallbacks: Vec<Member>,
    /// A check that is made of its reals. Can be given many times.
    #[arg(long = "check", value_name = "NAME", value_parser = name)]
    pub checks: Vec<String>,
    /// What becomes of packets while no real is up: `drop`, `reset` or `last-known`.
    #[arg(long, value_name = "WORD")]
    pub all_down: Option<String>,
    /// Whether weights follow the load: `load` or `static`.
    #[arg(long, value_name = "WORD")]
    pub scheduling: Option<String>,
    /// All flows of a client go to the same real.
    #[arg(long)]
    pub affinity: bool,
    /// All flows of a client go to the same real, also those to other services of this affinity group.
    #[arg(long, value_name = "GROUP", value_parser = name)]
    pub affinity_group: Option<String>,
    /// Each packet goes to a real of its own; UDP only.
    #[arg(long, conflicts_with_all = ["affinity", "affinity_group"])]
    pub one_packet: bool,
    /// A prefix of sources that are let in: with any of them others are not. Can be given many times.
    #[arg(long = "allow", value_name = "PREFIX")]
    pub allow: Vec<String>,
    /// A prefix of sources that are kept out. Can be given many times.
    #[arg(long = "deny", value_name = "PREFIX")]
    pub deny: Vec<String>,
    /// New flows that each source may begin in a second; TCP only.
    #[arg(long, value_name = "RATE")]
    pub new_flow_limit: Option<u32>,
    /// SYNs in a second above which there is a SYN flood; TCP only.
    #[arg(long, value_name = "RATE")]
    pub syn_flood: Option<u32>,
    #[command(flatten)]
    pub persist: Persist,
}

/// A real to add.
#[derive(Debug, Args)]
pub struct AddReal {
    /// The real's name.
    #[arg(value_parser = name)]
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its weight, 0 to 65535.
    #[arg(long)]
    pub weight: Option<u16>,
    /// Where its agent listens, as in tcp://192.0.2.11:9777.
    #[arg(long, value_name = "URL")]
    pub agent_check: Option<String>,
    /// A service that it serves from now on, with a port of its own if need be (mode nat). Can be given many times.
    #[arg(long = "service", value_name = "NAME[:PORT]", value_parser = served)]
    pub services: Vec<Served>,
    #[command(flatten)]
    pub persist: Persist,
}

/// What to remove.
#[derive(Debug, Subcommand)]
pub enum RemoveCommand {
    /// A service. Its flows break.
    Service(Removed),
    /// A real that is in no service.
    Real(Removed),
}

/// What is removed.
#[derive(Debug, Args)]
pub struct Removed {
    /// Its name.
    #[arg(value_parser = name)]
    pub name: String,
    #[command(flatten)]
    pub persist: Persist,
}

/// For how long.
#[derive(Clone, Copy, Debug, Args)]
pub struct Persist {
    /// For good. Without it the change lasts until a restart or reload.
    #[arg(long)]
    pub persist: bool,
}

/// What to show of the configuration.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// What is in use, as TOML.
    Show,
    /// What differs from the file: services and reals that were added, replaced or removed.
    Diff,
}

/// A real of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The real's name.
    pub real: String,
    /// Its weight in this service, where it has one.
    pub weight: Option<u16>,
    /// The port at which it serves, where that is not the service's.
    pub port: Option<u16>,
}

/// A service that a real comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The service's name.
    pub service: String,
    /// The port at which the real serves it, where that is not the service's.
    pub port: Option<u16>,
}

fn member(text: &str) -> Result<Member, String> {
    let (real, weight) = text.split_once('=').map_or((text, None), |(real, weight)| (real, Some(weight)));
    let weight = weight.map(str::parse).transpose().map_err(|_| "a weight is 0 to 65535".to_owned())?;
    let (real, port) = name_and_port(real)?;
    Ok(Member { real, weight, port })
}

fn served(text: &str) -> Result<Served, String> {
    let (service, port) = name_and_port(text)?;
    Ok(Served { service, port })
}

fn name_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let (own, port) = text.split_once(':').map_or((text, None), |(own, port)| (own, Some(port)));
    let port = port.map(|port| port.parse().ok().filter(|port| *port != 0).ok_or("a port is 1 to 65535"));
    Ok((name(own)?, port.transpose()?))
}

/// An address or a prefix, as the configuration has it.
fn vip(text: &str) -> Result<String, String> {
    text.parse().map(|vips: Prefix| vips.brief()).map_err(|error| error.to_string())
}

fn name(text: &str) -> Result<String, String> {
    real_name(text).map_err(|_| "a name is 1 to 64 letters, digits, dots, dashes and underscores".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vips() {
        assert_eq!(vip("192.0.2.1"), Ok("192.0.2.1".to_owned()));
        assert_eq!(vip("192.0.2.1/32"), Ok("192.0.2.1".to_owned()));
        assert_eq!(vip("2001:db8::/64"), Ok("2001:db8::/64".to_owned()));
        for wrong in ["web", "192.0.2.1/24", "192.0.2.0/33"] {
            assert!(vip(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn members() {
        let web1 = |weight, port| Ok(Member { real: "web1".to_owned(), weight, port });
        assert_eq!(member("web1"), web1(None, None));
        assert_eq!(member("web1=20"), web1(Some(20), None));
        assert_eq!(member("web1:8080"), web1(None, Some(8_080)));
        assert_eq!(member("web1:8080=20"), web1(Some(20), Some(8_080)));
        let wrong =
            ["", "web1=", "web1=x", "web1=65536", "a/b", "=5", "web1:", "web1:0", "web1:65536", ":80", "web1=20:80"];
        for wrong in wrong {
            assert!(member(wrong).is_err(), "{wrong}");
        }
        assert_eq!(served("web"), Ok(Served { service: "web".to_owned(), port: None }));
        assert_eq!(served("web:8080"), Ok(Served { service: "web".to_owned(), port: Some(8_080) }));
        assert!(served("web=20").is_err());
    }
}
