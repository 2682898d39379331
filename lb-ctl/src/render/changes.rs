//! What a change did: `lbctl drain`, `enable`, `disable`, `weight`, `reload`.

use lb_core::api::{AdminState, RealChanged, Reloaded};

use super::labelled;

/// After `drain`, `enable` or `disable`.
pub fn admin(changed: &RealChanged) -> String {
    let state = match changed.real.admin {
        AdminState::Enabled => "enabled: it takes new flows",
        AdminState::Drained => "drained: it takes no new flows and keeps its old ones",
        AdminState::Disabled => "disabled: it is sent no packet",
    };
    let verb = if changed.changed { "is now" } else { "was already" };
    let text = format!("{} {verb} {state} (generation {})\n", changed.real.name, changed.generation);
    text + &warnings(&changed.warnings)
}

/// After `weight`.
pub fn weight(changed: &RealChanged) -> String {
    let real = &changed.real;
    let weight = match real.weight_override {
        Some(weight) => format!("weight {weight} (its configuration says {})", real.weight),
        None => format!("its configured weight, {}", real.weight),
    };
    let verb = if changed.changed { "now has" } else { "had already" };
    let text = format!("{} {verb} {weight} (generation {})\n", real.name, changed.generation);
    text + &warnings(&changed.warnings)
}

/// After `reload`.
pub fn reload(reloaded: &Reloaded) -> String {
    let what = if reloaded.changed { "the new configuration is in use" } else { "nothing has changed" };
    let text = format!("Reloaded: {what} (generation {})\n", reloaded.generation);
    text + &warnings(&reloaded.warnings)
}

pub(super) fn warnings(warnings: &[String]) -> String {
    warnings.iter().map(|warning| labelled("warning: ", warning)).collect()
}
