//! The command lines of `simulate` and `trace`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use lb_core::api::{DEFAULT_TRACE_SECONDS, MAX_TRACE_COUNT, MAX_TRACE_SECONDS, Protocol, path};

/// The client's port where none is named.
const ANY_PORT: u16 = 40_000;

/// A packet that might come.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct SimulateArgs {
    /// The client. The port is 40000 unless it says otherwise; each port may lead to another real.
    #[arg(long, value_name = "CLIENT[:PORT]", value_parser = client)]
    from: SocketAddr,
    /// Where to.
    #[arg(long, value_name = "VIP:PORT", value_parser = destination)]
    to: SocketAddr,
    /// The protocol.
    #[arg(long, value_name = "tcp|udp|sctp", default_value = "tcp", value_parser = protocol)]
    protocol: Protocol,
    /// The packet begins a TCP connection.
    #[arg(long)]
    syn: bool,
}

impl SimulateArgs {
    /// What to ask the daemon for.
    pub fn path(&self) -> String {
        let Self { from, to, protocol, syn } = self;
        format!("{}?from={from}&to={to}&protocol={protocol}&syn={syn}", path::SIMULATE)
    }
}

/// Packets to be shown as they come.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct TraceArgs {
    /// Packets for this VIP; with a port, TCP and UDP packets for that port only.
    #[arg(value_name = "VIP[:PORT]", value_parser = vip)]
    pub vip: (IpAddr, Option<u16>),
    /// Packets from these addresses only, as `203.0.113.7` or `203.0.113.0/24`.
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub client: Option<(IpAddr, u8)>,
    /// End after so many packets.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_TRACE_COUNT))]
    pub count: Option<u64>,
    /// End after so long.
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TRACE_SECONDS,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_TRACE_SECONDS)))]
    pub seconds: u32,
    /// Write the first bytes of the frames to a file for Wireshark and tcpdump, too.
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
}

impl TraceArgs {
    /// What to ask the daemon for.
    pub fn path(&self) -> String {
        let (vip, port) = self.vip;
        let mut path = format!("{}?vip={vip}&seconds={}", path::TRACE, self.seconds);
        path += &port.map(|port| format!("&port={port}")).unwrap_or_default();
        path += &self.client.map(|(client, bits)| format!("&client={client}/{bits}")).unwrap_or_default();
        path += &self.count.map(|count| format!("&count={count}")).unwrap_or_default();
        path + if self.pcap.is_some() { "&frames=true" } else { "" }
    }
}

fn client(text: &str) -> Result<SocketAddr, String> {
    let (address, port) = vip(text).map_err(|_| "a client is ADDRESS or ADDRESS:PORT".to_owned())?;
    Ok(SocketAddr::new(address, port.unwrap_or(ANY_PORT)))
}

fn destination(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "it is VIP:PORT, as 192.0.2.80:80 or [2001:db8::80]:80".to_owned())
}

fn vip(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match (bare.parse::<IpAddr>(), text.parse::<SocketAddr>()) {
        (Ok(address), _) => Ok((address, None)),
        (Err(_), Ok(both)) => Ok((both.ip(), Some(both.port()))),
        (Err(_), Err(_)) => Err("it is VIP or VIP:PORT, as 192.0.2.80:80 or [2001:db8::80]:80".to_owned()),
    }
}

fn prefix(text: &str) -> Result<(IpAddr, u8), String> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let wrong = || "a prefix is an address, or an address and its length, as 203.0.113.0/24".to_owned();
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Ok(all), str::parse).map_err(|_| wrong())?;
    if bits <= all { Ok((address, bits)) } else { Err(wrong()) }
}

fn protocol(text: &str) -> Result<Protocol, String> {
    Protocol::ALL
        .iter()
        .copied()
        .find(|protocol| protocol.word() == text)
        .ok_or_else(|| "it is tcp, udp or sctp".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        assert_eq!(client("203.0.113.7"), Ok("203.0.113.7:40000".parse().unwrap()));
        assert_eq!(client("[2001:db8::7]:5"), Ok("[2001:db8::7]:5".parse().unwrap()));
        assert_eq!(vip("2001:db8::7"), Ok(("2001:db8::7".parse().unwrap(), None)));
        assert_eq!(vip("[2001:db8::7]"), Ok(("2001:db8::7".parse().unwrap(), None)));
        assert_eq!(vip("192.0.2.80:80"), Ok(("192.0.2.80".parse().unwrap(), Some(80))));
        for wrong in ["", "web", "192.0.2.80:", "192.0.2.80:65536", "2001:db8::7:x"] {
            assert!(vip(wrong).is_err(), "{wrong}");
        }
        assert!(destination("192.0.2.80").is_err());
    }

    #[test]
    fn prefixes() {
        assert_eq!(prefix("203.0.113.7"), Ok(("203.0.113.7".parse().unwrap(), 32)));
        assert_eq!(prefix("2001:db8::/32"), Ok(("2001:db8::".parse().unwrap(), 32)));
        for wrong in ["203.0.113.0/33", "2001:db8::/129", "203.0.113.0/", "/8", "203.0.113.0/-1"] {
            assert!(prefix(wrong).is_err(), "{wrong}");
        }
    }
}
