//! Why a real has its weight, in words: made of what the scheduling table shows, so that both say the same.

use lb_common::RING_SLOTS;
use lb_core::agent_check;
use lb_core::api::{AdminState, Availability, CheckState, Health, TableReal, TableService};
use lb_core::monitor::Agent;
use lb_core::scheduler::{SchedulerOptions, Why};

/// Why the scheduler has decided so, in one sentence without an end.
pub(super) fn sentence(why: Why, options: &SchedulerOptions) -> String {
    match why {
        Why::Steady => {
            format!("its load asks for a weight within {} of this one, which stays", percent(options.dead_band))
        }
        Why::Moving => format!("moving to where its load asks for it, {} a step at most", percent(options.step)),
        Why::Floor => format!("as low as a weight gets by load: {} of the mean", percent(options.floor)),
        Why::Idle => "too little to do to tell what it could do; the weight stays".to_owned(),
        Why::Held => "its reports are missing; the weight is held until they come again or expire".to_owned(),
        Why::Expired => {
            format!("no report for {} s: it has the mean weight", seconds(options.expire_ms as f64 / 1_000.0))
        }
        Why::NoReports => "it has never reported its load: the mean weight, or the configured one".to_owned(),
        Why::SlowStart(done) => format!("it has come lately and is eased in: {} of the way", percent(done)),
        Why::Asked(part) => format!("its agent asks for {} of the configured weight", percent(part)),
        Why::Static => "load does not move it".to_owned(),
        Why::NotEligible => "it gets no new flows".to_owned(),
    }
}

/// One line for each fact, the most important first. `others` are the reals that it serves with.
pub(super) fn lines(real: &TableReal, others: &[&TableReal]) -> Vec<String> {
    let mut lines = vec![weight_line(real)];
    lines.extend(operator_line(real));
    lines.extend(real.services.iter().map(health_line));
    lines.push(report_line(real));
    lines.extend(load_line(real, others));
    if real.hot {
        lines.push("hot: where it can, a new flow takes another slot's real".to_owned());
    }
    lines.extend(real.services.iter().map(slots_line));
    lines
}

fn weight_line(real: &TableReal) -> String {
    let next = if real.next_weight == real.weight {
        String::new()
    } else {
        format!(", on its way to {}", number(real.next_weight))
    };
    let TableReal { weight, configured_weight, why_text, .. } = real;
    format!("weight {} ({configured_weight} configured){next}: {why_text}", number(*weight))
}

fn operator_line(real: &TableReal) -> Option<String> {
    match real.admin {
        AdminState::Enabled => None,
        AdminState::Drained => Some("operator: drained: no new flows, old ones stay".to_owned()),
        AdminState::Disabled => Some("operator: disabled: no packets".to_owned()),
    }
}

fn health_line(service: &TableService) -> String {
    let TableService { service: name, health, checks, .. } = service;
    if checks.is_empty() {
        return format!("health: {health} in service {name}, where nothing checks it");
    }
    let checks: Vec<String> = checks.iter().map(check_words).collect();
    format!("health: {health} in service {name}: {}", checks.join("; "))
}

fn check_words(check: &CheckState) -> String {
    let CheckState { name, in_a_row, .. } = check;
    let took = check.latency_seconds.map(|seconds| format!(" in {:.1} ms", seconds * 1_000.0)).unwrap_or_default();
    match (check.passed, &check.reason) {
        (None, _) => format!("{name} has not been made yet"),
        (Some(true), _) => format!("{name} passed{took} ({in_a_row} in a row)"),
        (Some(false), Some(reason)) => format!("{name} failed: {reason} ({in_a_row} in a row)"),
        (Some(false), None) => format!("{name} failed ({in_a_row} in a row)"),
    }
}

fn report_line(real: &TableReal) -> String {
    let Some(age) = real.report_age_seconds else { return "report: none has come".to_owned() };
    let mut words = vec![format!("report: {} s old", seconds(age))];
    words.extend(real.availability.map(|availability| match availability {
        Availability::Alive => "alive".to_owned(),
        Availability::Drain => "it wants no new flows".to_owned(),
        Availability::Stop => "it is about to stop".to_owned(),
    }));
    let shares = [
        ("cpu", real.cpu),
        ("memory", real.memory),
        ("network in", real.network_in),
        ("network out", real.network_out),
        ("custom", real.custom),
    ];
    words.extend(shares.iter().filter_map(|(name, share)| Some(format!("{name} {}", percent((*share)?)))));
    words.join(", ")
}

/// What the real's agent has said last.
pub(super) fn agent_line(agent: &Agent) -> Option<String> {
    let (answer, _) = agent.last()?;
    let mut line = format!("agent: it says {:?}", agent_check::format(answer).trim_end());
    if let Some(word) = &answer.unknown {
        line += &format!(", and {word:?}, which is no word of the agent-check protocol");
    }
    if let Some(error) = agent.error() {
        line += &format!("; now it does not answer: {error}");
    }
    Some(line)
}

fn load_line(real: &TableReal, others: &[&TableReal]) -> Option<String> {
    let utilisation = real.utilisation?;
    let mut line = format!("load: utilisation {utilisation:.2}");
    if let Some(resource) = busiest(real) {
        line += &format!(" ({resource})");
    }
    if let Some(hits) = real.hits {
        line += &format!(", {} hits/s", number(hits));
    }
    let Some(capacity) = real.capacity else { return Some(line) };
    line += &format!("; capacity {} hits/s", number(capacity));
    let capacities: Vec<f64> = others.iter().filter_map(|other| other.capacity).collect();
    if !capacities.is_empty() {
        let mean = (capacities.iter().sum::<f64>() + capacity) / (capacities.len() + 1) as f64;
        line += &format!(" is {:.2} x the mean of {}", capacity / mean, number(mean));
    }
    Some(line)
}

/// The resource of which the newest report has used most.
fn busiest(real: &TableReal) -> Option<&'static str> {
    let shares = [
        (real.cpu, "cpu"),
        (real.memory, "memory"),
        (real.network_in, "network in"),
        (real.network_out, "network out"),
        (real.custom, "custom"),
    ];
    let known = shares.into_iter().filter_map(|(share, name)| Some((share?, name)));
    known.reduce(|busiest, next| if next.0 > busiest.0 { next } else { busiest }).map(|(_, name)| name)
}

fn slots_line(service: &TableService) -> String {
    let TableService { service: name, slots, health, .. } = service;
    let share = percent(f64::from(*slots) / f64::from(RING_SLOTS));
    match health {
        Health::Down if *slots > 0 => {
            format!("slots: {slots} of {RING_SLOTS} in service {name} ({share}): no real of it is up")
        }
        _ => format!("slots: {slots} of {RING_SLOTS} in service {name} ({share})"),
    }
}

/// With as many digits as say something.
fn number(value: f64) -> String {
    let digits = if value.fract() == 0.0 || value >= 100.0 { 0 } else { 1 };
    format!("{value:.digits$}")
}

fn seconds(value: f64) -> String {
    number(value)
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = usize::from(percent < 10.0 && percent.fract().abs() > 0.05);
    format!("{percent:.digits$}%")
}
