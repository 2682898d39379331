//! `lbctl simulate`.

use lb_core::api::{Fate, Simulation};

use super::{Style, WIDTH, endpoint, wrap};

/// What would become of the packet, and why: one fact a line.
pub fn simulation(simulation: &Simulation, style: Style) -> String {
    let Simulation { client, client_port, vip, vip_port, protocol, syn, fate, .. } = simulation;
    let (from, to) = (endpoint(*client, client_port), endpoint(*vip, vip_port));
    let kind = if *syn { " SYN" } else { "" };
    let fate = match (fate, &simulation.real, &simulation.reason) {
        (Fate::Forward, Some(real), _) => style.good(real),
        (Fate::Forward | Fate::Pass, _, _) => fate.word().to_owned(),
        (Fate::Drop | Fate::Answer, _, reason) => {
            style.bad(&format!("{fate} {}", reason.as_deref().unwrap_or_default()))
        }
    };
    let heading = format!("{} {from} -> {to}{kind}:", protocol.word().to_uppercase());
    let mut text = format!("{} {fate}\n", style.bold(&heading));
    for line in &simulation.lines {
        text += &format!("  {}\n", wrap(line, WIDTH - 4).join("\n    "));
    }
    text
}
