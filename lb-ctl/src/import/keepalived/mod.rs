//! Reads a `keepalived.conf`: virtual servers with their checks become services, VRRP instances become the pair.

mod check;
mod parse;
mod server;
mod vrrp;

use super::ImportError;
use super::draft::Draft;
use super::remarks::Remarks;
use parse::Statement;

pub(super) fn read(text: &str, remarks: &mut Remarks) -> Result<Draft, ImportError> {
    let statements = parse::statements(text)?;
    let groups = server::groups(&statements, remarks);
    let mut draft = Draft::default();
    for statement in &statements {
        match statement.word() {
            "virtual_server" => server::read(statement, &groups, &mut draft, remarks),
            "vrrp_instance" => vrrp::read(statement, &mut draft, remarks),
            "virtual_server_group" => {}
            "vrrp_sync_group" => remarks.add(statement.line, "vrrp_sync_group: all VIPs of a pair move together"),
            "include" | "includea" | "includem" | "includew" => {
                remarks.add(statement.line, "include: other files are not read. Put them into one file first");
            }
            "global_defs" => statement.block().iter().for_each(|inner| no_counterpart(inner, remarks)),
            word if word.starts_with(['$', '@', '~']) => {
                remarks.add(
                    statement.line,
                    "variables, conditions and sequences are not worked out. Write what they stand for",
                );
            }
            _ => no_counterpart(statement, remarks),
        }
    }
    vrrp::complete(&mut draft, remarks);
    Ok(draft)
}

/// Says that what a line asks for is not taken over. Names its first word alone: others may be secret.
fn no_counterpart(statement: &Statement, remarks: &mut Remarks) {
    remarks.add(statement.line, format!("`{}` has no counterpart", statement.word()));
}

/// Milliseconds of a number of seconds, which may have decimals.
fn milliseconds(text: &str) -> Option<u64> {
    /// A thousand years and more: far above what any key takes.
    const LONGEST: f64 = 1e11;
    let seconds: f64 = text.parse().ok()?;
    (0.0..=LONGEST).contains(&seconds).then(|| (seconds * 1_000.0).round() as u64)
}
