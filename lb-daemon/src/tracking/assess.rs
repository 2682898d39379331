//! What the observations make of a node: a number, and words for what is missing.

use std::net::IpAddr;

use lb_core::pair::{FULLY_FIT, Fitness, NEED};

/// What a gateway that does not answer costs.
pub const SILENT_GATEWAY: Fitness = 40;
/// What fewer healthy reals than wanted cost.
pub const FEW_REALS: Fitness = 30;

// A gateway that answers one node alone moves the VIPs to that node; too few reals do not.
const _: () = assert!(SILENT_GATEWAY >= NEED && FEW_REALS < NEED);
// A node that can serve at all is fitter than one that cannot.
const _: () = assert!(SILENT_GATEWAY + FEW_REALS < FULLY_FIT);

/// What was observed and is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lacks {
    /// Why interfaces cannot be used: each makes the node unfit.
    pub(super) interfaces: Vec<String>,
    /// Gateways that do not answer.
    pub(super) gateways: Vec<IpAddr>,
    /// How many reals are healthy, and how many should be; none when there are enough.
    pub(super) reals: Option<(u32, u32)>,
}

/// How able a node is that lacks this, and what it lacks in words.
pub(super) fn assess(lacks: &Lacks) -> (Fitness, String) {
    let mut fitness = if lacks.interfaces.is_empty() { FULLY_FIT } else { 0 };
    let mut words = lacks.interfaces.clone();
    if !lacks.gateways.is_empty() {
        fitness = fitness.saturating_sub(SILENT_GATEWAY);
        words.extend(lacks.gateways.iter().map(|gateway| format!("gateway {gateway} does not answer")));
    }
    if let Some((healthy, wanted)) = lacks.reals {
        fitness = fitness.saturating_sub(FEW_REALS);
        words.push(format!("healthy reals: {healthy}, wanted: {wanted} or more"));
    }
    (fitness, words.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(interfaces: &[&str], gateways: &[&str], reals: Option<(u32, u32)>) -> Lacks {
        Lacks {
            interfaces: interfaces.iter().map(ToString::to_string).collect(),
            gateways: gateways.iter().map(|gateway| gateway.parse().unwrap()).collect(),
            reals,
        }
    }

    #[test]
    fn a_node_that_lacks_nothing_is_fully_fit() {
        assert_eq!(assess(&Lacks::default()), (FULLY_FIT, String::new()));
    }

    #[test]
    fn an_interface_makes_it_unfit_and_the_rest_less_fit() {
        assert_eq!(assess(&lacks(&["eth0 has no carrier"], &[], None)), (0, "eth0 has no carrier".to_owned()));
        let (fitness, reason) = assess(&lacks(&[], &["192.0.2.1", "2001:db8::1"], None));
        assert_eq!(fitness, 60, "two gateways cost as much as one");
        assert_eq!(reason, "gateway 192.0.2.1 does not answer; gateway 2001:db8::1 does not answer");
        assert_eq!(assess(&lacks(&[], &[], Some((1, 2)))).0, 70);
        assert_eq!(assess(&lacks(&[], &["192.0.2.1"], Some((0, 1)))).0, 30);
        assert_eq!(assess(&lacks(&["x"], &["192.0.2.1"], Some((0, 1)))).0, 0);
    }
}
