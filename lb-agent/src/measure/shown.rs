//! A measurement for people to look at, as JSON.

use std::collections::BTreeMap;

use lb_core::report::{Load, Network, Share};
use serde::Serialize;

use super::Measurement;

/// What `lb-agent measure` prints. Shares are fractions: 1.0 is the whole. What was not measured is null.
#[derive(Debug, PartialEq, Serialize)]
pub struct Shown {
    cpu: Option<f64>,
    memory: Option<f64>,
    network: Option<ShownNetwork>,
    hits_per_second: Option<f64>,
    custom: Option<f64>,
    /// Of the busiest of these.
    utilisation: Option<f64>,
    failures: BTreeMap<&'static str, String>,
}

#[derive(Debug, PartialEq, Serialize)]
struct ShownNetwork {
    interface: String,
    received_bytes_per_second: u64,
    sent_bytes_per_second: u64,
    /// Null where the link's speed is not known.
    link_bytes_per_second: Option<u64>,
}

impl Shown {
    /// As people want to see it.
    #[must_use]
    pub fn of(measurement: &Measurement) -> Self {
        let Measurement { load, interface, failures } = measurement;
        let Load { cpu, memory, network, hits, custom } = *load;
        let shown_network = |Network { received, sent, limit }| ShownNetwork {
            interface: interface.clone().unwrap_or_default(),
            received_bytes_per_second: received,
            sent_bytes_per_second: sent,
            link_bytes_per_second: (limit > 0).then_some(limit),
        };
        Self {
            cpu: cpu.map(Share::fraction),
            memory: memory.map(Share::fraction),
            network: network.map(shown_network),
            hits_per_second: hits.map(|hits| hits as f64 / 1_000.0),
            custom: custom.map(Share::fraction),
            utilisation: load.utilisation().map(|(utilisation, _)| utilisation),
            failures: failures.iter().map(|(what, error)| (*what, error.to_string())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::SourceError;

    #[test]
    fn what_is_measured_is_shown_in_units_for_people() {
        let network = Some(Network { received: 10, sent: 20, limit: 0 });
        let load = Load { cpu: Some(Share(2_500)), memory: None, network, hits: Some(1_500), custom: None };
        let failures = vec![("memory", SourceError::Absent("no such kernel".to_owned()))];
        let shown = Shown::of(&Measurement { load, interface: Some("eth0".to_owned()), failures });
        let expected = serde_json::json!({
            "cpu": 0.25, "memory": null,
            "network": {
                "interface": "eth0", "received_bytes_per_second": 10, "sent_bytes_per_second": 20,
                "link_bytes_per_second": null,
            },
            "hits_per_second": 1.5, "custom": null, "utilisation": 0.25,
            "failures": { "memory": "no such kernel" },
        });
        assert_eq!(serde_json::to_value(shown).unwrap(), expected);
    }
}
