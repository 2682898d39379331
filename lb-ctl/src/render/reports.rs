//! `lbctl reports`: what came in of what the reals say of themselves.

use lb_core::api::{AgentCheck, Reports, Sender};

use super::counts::section;
use super::table::{Side, Table};
use super::{Style, count, labelled, short_duration};

/// Reports that were taken and refused, who sent them, and the agents that are asked.
pub fn reports(reports: &Reports, style: Style) -> String {
    let mut parts = vec![intake(reports, style)];
    if !reports.senders.is_empty() {
        parts.push(senders(&reports.senders, style));
    }
    if !reports.agent_checks.is_empty() {
        parts.push(agents(&reports.agent_checks, style));
    }
    parts.join("\n")
}

fn intake(reports: &Reports, style: Style) -> String {
    if reports.listen.is_empty() {
        return "No reports are taken: the configuration has no [reports].\n".to_owned();
    }
    let listen: Vec<String> = reports.listen.iter().map(ToString::to_string).collect();
    let taken = format!("Reports taken on {}: {}\n\n", listen.join(", "), count(reports.accepted));
    let name_width = reports.refused.iter().map(|entry| entry.name.len()).max().unwrap_or_default();
    taken + &section("Refused", "Reports", &reports.refused, name_width, style, Style::bad)
}

fn senders(senders: &[Sender], style: Style) -> String {
    let mut table = Table::new(&[
        ("Real", Side::Left),
        ("Newest", Side::Right),
        ("Every", Side::Right),
        ("Number", Side::Right),
        ("Generation", Side::Right),
    ]);
    for sender in senders {
        table.row(vec![
            sender.real.clone(),
            short_duration(sender.age_seconds),
            short_duration(sender.interval_seconds),
            sender.sequence.to_string(),
            sender.generation.to_string(),
        ]);
    }
    table.text(style)
}

fn agents(agents: &[AgentCheck], style: Style) -> String {
    let mut table =
        Table::new(&[("Real", Side::Left), ("Agent", Side::Left), ("Newest", Side::Right), ("Says", Side::Left)]);
    for agent in agents {
        table.row(vec![
            agent.real.clone(),
            agent.address.to_string(),
            agent.age_seconds.map_or("-".to_owned(), short_duration),
            agent.answer.clone().unwrap_or_else(|| "nothing yet".to_owned()),
        ]);
    }
    let mut lines = table.lines().into_iter();
    let mut text = format!("{}\n", style.bold(&lines.next().unwrap_or_default()));
    for (agent, line) in agents.iter().zip(lines) {
        let line = if agent.failures > 0 { style.bad(&line) } else { line };
        text += &format!("{line}\n");
        if let Some(error) = &agent.error {
            text += &labelled("      ", &format!("{error} ({} in a row)", agent.failures));
        }
    }
    text
}
