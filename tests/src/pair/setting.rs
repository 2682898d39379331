//! How a pair under test is configured.

use lb_lab::{PairConfig, PairNetwork};

use super::ECHO;

/// What a test may choose.
#[derive(Clone, Debug)]
pub struct PairSetting {
    /// How many real servers.
    pub reals: u8,
    /// Tb, in milliseconds.
    pub heartbeat_ms: u32,
    /// n.
    pub missed_limit: u32,
    /// Lines of `[pair]`, and tables that follow it.
    pub more: String,
    /// Services beside the echoes: name, protocol, port.
    pub services: Vec<(&'static str, &'static str, u16)>,
}

impl Default for PairSetting {
    /// A peer is dead after 570 ms at the earliest. A busy machine holds up a serial line's bytes for a part of that, and there are tests
    /// in which no other path is left.
    fn default() -> Self {
        PairSetting { reals: 2, heartbeat_ms: 40, missed_limit: 15, more: String::new(), services: Vec::new() }
    }
}

impl PairSetting {
    pub(super) fn config(self, network: &PairNetwork) -> PairConfig {
        let mut services = vec![("udp-echo", "udp", ECHO), ("tcp-echo", "tcp", ECHO)];
        services.extend(self.services);
        // A path is down as soon as it is silent, and a node that starts does not wait for long.
        let times = format!("fall = {}\nstart_wait = \"700ms\"\n", self.missed_limit);
        PairConfig {
            heartbeat_ms: self.heartbeat_ms,
            missed_limit: self.missed_limit,
            more: format!("{times}{}{}", self.more, ipv6_tables(network)),
            services,
        }
    }
}

/// The IPv6 reals and the services of theirs.
fn ipv6_tables(network: &PairNetwork) -> String {
    let names: Vec<String> = (1..=network.plan.reals).map(|number| format!("real-{number}-v6")).collect();
    let mut text = String::new();
    for (name, index) in names.iter().zip(0..) {
        let address = network.plan.real_addresses(index)[1];
        text += &format!("[[real]]\nname = \"{name}\"\naddress = \"{address}\"\n");
    }
    let vip = network.plan.vip_addresses(0)[1];
    for protocol in ["udp", "tcp"] {
        text += &format!(
            "[[service]]\nname = \"{protocol}-echo-v6\"\nvip = \"{vip}\"\nport = {ECHO}\nprotocol = \"{protocol}\"\n\
             mode = \"dsr\"\nreals = {names:?}\n"
        );
    }
    text
}
