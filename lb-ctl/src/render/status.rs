//! `lbctl status`.

use lb_core::api::{Adoption, Interface, Status, Warning};

use super::{Style, checkpoint, count, duration, labelled, pair};

/// How the daemon is.
pub fn status(status: &Status, style: Style) -> String {
    let health = if status.degraded { style.bad("degraded") } else { style.good("ok") };
    let uptime = duration(status.uptime_seconds);
    let mut text = format!("lbd {}, pid {}, up {uptime}: {health}\n", status.version, status.pid);
    let config_age = duration(status.config_age_seconds);
    text += &labelled("config      ", &format!("{}, loaded {config_age} ago", status.config_path));
    text += &labelled(
        "table       ",
        &format!("generation {}, {} services, {} reals", status.generation, status.services, status.reals),
    );
    text += &labelled("flows       ", &format!("{} of at most {}", count(status.flows), count(status.flow_limit)));
    for (index, interface) in status.interfaces.iter().enumerate() {
        text += &labelled(if index == 0 { "interfaces  " } else { "            " }, &attachment(interface));
    }
    if let Some(status) = &status.pair {
        text += &pair::in_status(status, style);
    }
    if let Some(status) = &status.checkpoint {
        text += &checkpoint::in_status(status, style);
    }
    text += &labelled("maps        ", &maps(status));
    text += &labelled("state       ", &state(status));
    for warning in &status.warnings {
        text += &warning_line(warning, style);
    }
    text
}

fn attachment(interface: &Interface) -> String {
    match (interface.mode, &interface.error) {
        (Some(mode), _) => format!("{}: attached, mode {mode}", interface.name),
        (None, Some(error)) => format!("{}: not attached: {error}", interface.name),
        (None, None) => format!("{}: not attached", interface.name),
    }
}

fn maps(status: &Status) -> String {
    let reason = status.adoption_reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let how = match status.adoption {
        Adoption::Fresh => "made by this daemon",
        Adoption::Adopted => "adopted from an earlier daemon",
        Adoption::Replaced => "replaced those of an earlier daemon",
    };
    format!("{}, {how}{reason}", status.bpf_dir)
}

fn state(status: &Status) -> String {
    match (status.state.saved, &status.state.error) {
        (true, _) => format!("{}, saved", status.state.path),
        (false, Some(error)) => format!("{}, not saved: {error}", status.state.path),
        (false, None) => format!("{}, not saved yet", status.state.path),
    }
}

fn warning_line(warning: &Warning, style: Style) -> String {
    let label = if warning.degraded { "degraded    " } else { "warning     " };
    let line = labelled(label, &format!("{}: {}", warning.subject, warning.message));
    let coloured = if warning.degraded { style.bad(label) } else { style.notable(label) };
    line.replacen(label, &coloured, 1)
}
