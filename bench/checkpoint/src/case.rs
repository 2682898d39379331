//! What is measured: how many flows are alive, and how many of them are exceptions.

/// A load balancer's flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Flows that are alive. Those in clean slots are no state anywhere: the ring says where they go.
    pub flows: u32,
    /// Those of them that the flow table remembers.
    pub remembered: u32,
}

/// Flows that are alive, in both series.
const FLOWS: [u32; 3] = [10_000, 100_000, 1_000_000];
/// Of so many flows one is remembered; 0: none is.
const ONE_IN: [u32; 4] = [0, 1_000, 100, 10];

impl Case {
    /// Every case: first a few flows of many are remembered, at last all of them.
    pub fn all(quick: bool) -> Vec<Case> {
        let sizes = if quick { &FLOWS[..2] } else { &FLOWS[..] };
        let some = sizes.iter().flat_map(|&flows| {
            ONE_IN.map(|one_in| Case { flows, remembered: flows.checked_div(one_in).unwrap_or_default() })
        });
        let all = sizes.iter().map(|&flows| Case { flows, remembered: flows });
        some.chain(all).collect()
    }

    /// Every flow is an exception. Other systems keep each flow as an entry, and are measured in these cases.
    pub fn is_all_remembered(self) -> bool {
        self.flows == self.remembered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_flows_of_each_number_with_each_share() {
        let all = Case::all(false);
        assert_eq!(all.len(), 15);
        assert_eq!(all[0], Case { flows: 10_000, remembered: 0 });
        assert_eq!(all[9], Case { flows: 1_000_000, remembered: 1_000 });
        assert_eq!(all[11], Case { flows: 1_000_000, remembered: 100_000 });
        assert!(all[12..].iter().all(|case| case.is_all_remembered()));
        assert!(Case::all(true).iter().all(|case| case.flows < 1_000_000));
    }
}
