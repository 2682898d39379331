//! Services in `nat` mode: whether replies can be rewritten and sent on where they come in.

use std::collections::BTreeSet;

use lb_core::api::{Finding, Severity};
use lb_core::service::Mode;

use super::case::Case;
use crate::forwarding::{self, Family};

/// Of each interface by which reals of such services are reached, and so answer.
pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let reals = case.config.cluster.reals().iter().filter(|real| case.uses(&real.name).any(|mode| mode == Mode::Nat));
    let ways: BTreeSet<(&str, Family)> = reals
        .filter_map(|real| Some((case.ways.get(&real.name)?.interface.as_deref()?, Family::of(real.address))))
        .collect();
    ways.into_iter().map(|(interface, family)| finding(case, interface, family)).collect()
}

fn finding(case: &Case, interface: &str, family: Family) -> Finding {
    let word = family.word();
    if !case.config.settings.interfaces.iter().any(|name| name == interface) {
        let finding = format!("replies of nat services come in by it ({word}), and the XDP program does not run there");
        return Finding::of(Severity::Error, "forwarding", interface, finding)
            .because("they go on with the real's address as their source, and clients do not know it")
            .fix(format!("add {interface:?} to `interfaces`"));
    }
    if case.facts.link(interface).is_some_and(|link| !link.forwards.contains(&family)) {
        return Finding::of(Severity::Error, "forwarding", interface, format!("it forwards no {word} packets"))
            .because("replies of nat services that come in by it are dropped (`not_forwarding`)")
            .fix(forwarding::fix(interface, family));
    }
    Finding::ok("forwarding", interface, format!("replies of nat services ({word}) are forwarded"))
}
