//! `lbctl flows`.

use lb_core::api::{Flow, FlowList};

use super::table::{Side, Table};
use super::{Style, duration, endpoint, labelled};

/// Flows of the flow table.
pub fn flows(list: &FlowList, style: Style) -> String {
    if list.flows.is_empty() {
        let text =
            "The flow table has no such flow. It holds only flows of slots that were moved; all others need no entry.";
        return labelled("", text);
    }
    let mut table = Table::new(&[
        ("Prot", Side::Left),
        ("Client", Side::Left),
        ("VIP:Port", Side::Left),
        ("Real", Side::Left),
        ("Slot", Side::Right),
        ("State", Side::Left),
        ("Idle", Side::Right),
    ]);
    for flow in &list.flows {
        table.row(row(flow));
    }
    let mut text = table.text(style);
    if list.truncated {
        text += &format!("{} flows shown; there are more: --limit N shows up to N\n", list.flows.len());
    }
    text
}

fn row(flow: &Flow) -> Vec<String> {
    vec![
        flow.protocol.word().to_uppercase(),
        endpoint(flow.client, &flow.client_port),
        endpoint(flow.vip, &flow.vip_port),
        flow.real.clone().unwrap_or_else(|| "(removed)".to_owned()),
        flow.slot.to_string(),
        flow.state.to_string(),
        idle(flow.idle_seconds),
    ]
}

fn idle(seconds: f64) -> String {
    if seconds < 10.0 { format!("{:.1}s", seconds.max(0.0)) } else { duration(seconds as u64) }
}
