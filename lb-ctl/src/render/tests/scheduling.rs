//! `lbctl table`, `explain` and `reports`, from fixed answers.

use lb_core::api::*;

use super::super::*;
use super::stripped;

/// The widest line of the scheduling table, which has more columns than 80 characters hold.
const TABLE_WIDTH: usize = 120;

fn real(name: &str) -> TableReal {
    TableReal {
        name: name.into(),
        admin: AdminState::Enabled,
        health: Health::Up,
        health_reason: None,
        report_age_seconds: Some(0.42),
        availability: Some(Availability::Alive),
        cpu: Some(0.634),
        memory: Some(0.01),
        network_in: Some(0.05),
        network_out: Some(0.12),
        custom: None,
        hits: Some(1234.5),
        utilisation: Some(0.656),
        capacity: Some(1881.9),
        configured_weight: 100,
        weight: 132.4,
        next_weight: 132.4,
        hot: false,
        why: Why::Steady,
        why_text: "its load asks for a weight within 5% of this one, which stays".into(),
        services: vec![TableService { service: "web".into(), health: Health::Up, slots: 21_846, checks: vec![] }],
    }
}

/// A real that nothing is known of.
fn unknown(name: &str) -> TableReal {
    TableReal {
        report_age_seconds: None,
        availability: None,
        cpu: None,
        memory: None,
        network_in: None,
        network_out: None,
        hits: None,
        utilisation: None,
        capacity: None,
        weight: 100.0,
        next_weight: 100.0,
        health: Health::Unchecked,
        why: Why::NoReports,
        why_text: "it has never reported its load: the mean weight, or the configured one".into(),
        ..real(name)
    }
}

fn scheduling_table() -> TableReport {
    let down = TableReal {
        health: Health::Down,
        health_reason: Some("alive: no answer in 400 ms (3 in a row)".into()),
        report_age_seconds: Some(75.2),
        weight: 0.0,
        next_weight: 0.0,
        why: Why::NotEligible,
        why_text: "it gets no new flows".into(),
        ..real("web-3")
    };
    let stopping = TableReal {
        availability: Some(Availability::Stop),
        network_in: None,
        network_out: Some(1.07),
        ..TableReal { weight: 0.0, next_weight: 0.0, why: Why::NotEligible, ..real("web-5") }
    };
    let reals = vec![
        real("web-1"),
        TableReal {
            hits: Some(25_300.0),
            capacity: Some(1.2e6),
            hot: true,
            why: Why::Moving,
            next_weight: 41.26,
            ..real("web-2")
        },
        down,
        TableReal {
            health: Health::Joining,
            weight: 12.0,
            why: Why::SlowStart,
            why_text: "it has come lately and is eased in: 12% of the way".into(),
            ..real("web-4")
        },
        stopping,
        TableReal { admin: AdminState::Drained, services: vec![], ..unknown("spare") },
    ];
    TableReport { generation: 42, reals }
}

#[test]
fn the_scheduling_table_has_a_line_for_each_real() {
    assert_eq!(table(&scheduling_table(), Style::Plain), include_str!("../snapshots/table.txt"));
    assert_eq!(table(&TableReport { generation: 1, reals: vec![] }, Style::Plain), "No reals are configured.\n");
}

#[test]
fn the_scheduling_table_fits_120_columns() {
    for line in include_str!("../snapshots/table.txt").lines() {
        assert!(line.chars().count() <= TABLE_WIDTH, "{line}");
    }
}

#[test]
fn the_scheduling_table_points_at_trouble() {
    let text = table(&scheduling_table(), Style::Colour);
    assert_eq!(stripped(&text), include_str!("../snapshots/table.txt"));
    let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap();
    assert!(!line("web-1").contains('\x1b'), "a real that serves by its load is as it should be");
    assert!(line("web-2").starts_with("\x1b[33m"), "a hot real is yellow");
    assert!(line("web-3").starts_with("\x1b[31m"), "a real that is down is red");
    assert!(line("spare").starts_with("\x1b[33m"), "a drained real is yellow");
    let one = |real| table(&TableReport { generation: 1, reals: vec![real] }, Style::Colour);
    for why in [Why::Held, Why::Expired] {
        assert!(one(TableReal { why, ..real("web-1") }).contains("\n\x1b[33mweb-1"), "{why}");
    }
    let down_and_disabled = TableReal { health: Health::Down, admin: AdminState::Disabled, ..real("web-1") };
    assert!(one(down_and_disabled).contains("\n\x1b[33mweb-1"), "what the operator wanted is no trouble");
}

#[test]
fn an_explanation_has_a_fact_a_line() {
    let answer = Explanation {
        real: "web-1".into(),
        lines: vec![
            "weight 132 (100 configured), on its way to 141: moving to where its load asks for it, 10% a step at most"
                .into(),
            "health: up in service web: alive passed in 1.2 ms (57 in a row)".into(),
        ],
    };
    assert_eq!(explanation(&answer, Style::Plain), include_str!("../snapshots/explain.txt"));
    assert_eq!(stripped(&explanation(&answer, Style::Colour)), include_str!("../snapshots/explain.txt"));
}

fn all_reports() -> Reports {
    let refused =
        |name: &str, count, explanation: &str| Count { name: name.into(), count, explanation: explanation.into() };
    let agent = AgentCheck {
        real: "web-3".into(),
        address: "192.0.2.13:9777".parse().unwrap(),
        answer: Some("up 75%".into()),
        error: None,
        failures: 0,
        age_seconds: Some(0.31),
    };
    let silent = AgentCheck {
        real: "web-4".into(),
        address: "[2001:db8::14]:9777".parse().unwrap(),
        answer: None,
        error: Some("connection refused".into()),
        failures: 12,
        age_seconds: None,
    };
    Reports {
        listen: vec!["0.0.0.0:6720".parse().unwrap(), "[::]:6720".parse().unwrap()],
        accepted: 12_345_678,
        refused: vec![
            refused("malformed", 0, "It is no report."),
            refused(
                "bad_tag",
                10_000,
                "It was not made with the key that it names: compare the key files of the real and this host.",
            ),
        ],
        senders: vec![Sender {
            real: "web-1".into(),
            generation: 1_764_000_000_000_000,
            sequence: 4711,
            interval_seconds: 1.0,
            age_seconds: 0.42,
        }],
        agent_checks: vec![agent, silent],
    }
}

#[test]
fn reports_that_were_taken_and_refused() {
    let text = reports(&all_reports(), Style::Plain);
    assert_eq!(text, include_str!("../snapshots/reports.txt"));
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    let coloured = reports(&all_reports(), Style::Colour);
    assert_eq!(stripped(&coloured), text);
    assert!(coloured.contains("\n\x1b[31mbad_tag ") && coloured.contains("\nmalformed "), "{coloured}");
    assert!(coloured.contains("\n\x1b[31mweb-4") && coloured.contains("\nweb-3"), "{coloured}");
}

#[test]
fn no_reports_without_their_table_in_the_configuration() {
    let none = Reports { listen: vec![], accepted: 0, refused: vec![], senders: vec![], agent_checks: vec![] };
    assert_eq!(reports(&none, Style::Plain), "No reports are taken: the configuration has no [reports].\n");
}
