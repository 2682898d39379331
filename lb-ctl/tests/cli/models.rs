//! What `lbctl` works out without a daemon, and the curves that it writes.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::daemon::{Directory, Server, assert_fails, lbctl, ok, text};

const USUAL: [&str; 9] = ["availability", "--mtbf", "30d", "--repair", "4h", "--detection", "35ms", "--restore", "5ms"];

fn run(arguments: &[&str]) -> String {
    let output = lbctl(Path::new("/nowhere"), arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&run(&[arguments, &["--json"]].concat())).unwrap()
}

#[test]
fn availability_needs_no_daemon() {
    let shown = run(&USUAL);
    for wanted in [
        "both ",
        "detecting ",
        "restoring ",
        "alone ",
        "down ",
        "with the backup      99.9939%",
        "without it             99.45%",
        "┤",
    ] {
        assert!(shown.contains(wanted), "no {wanted} in:\n{shown}");
    }
    let found = json(&USUAL);
    let share = found["with_backup"]["share"].as_f64().unwrap();
    let minutes = found["with_backup"]["minutes_a_year"].as_f64().unwrap();
    // Twice (4 h / 30 d) squared, nearly.
    assert!((5.8e-5..6.2e-5).contains(&share) && (minutes / share - 525_960.0).abs() < 1.0, "{found}");
    assert_eq!(found["pair"]["repair"], 14_400.0);
    assert_eq!(found["curve"].as_array().unwrap().len(), 61);
    let struck = json(&[&USUAL[..], &["--common-cause", "1y"]].concat());
    assert!(struck["with_backup"]["share"].as_f64().unwrap() > 5.0 * share, "{struck}");
}

#[test]
fn what_is_no_time_is_wrong_usage() {
    for (at, wrong) in [(2, "30"), (2, "0d"), (4, "-4h"), (6, "x"), (8, "5")] {
        let mut arguments = USUAL;
        arguments[at] = wrong;
        assert_eq!(lbctl(Path::new("/nowhere"), &arguments).status.code(), Some(2), "{wrong}");
    }
    assert_eq!(lbctl(Path::new("/nowhere"), &USUAL[..7]).status.code(), Some(2));
    assert_eq!(lbctl(Path::new("/nowhere"), &["checkpoint", "job", "--mtbf", "24h"]).status.code(), Some(2));
}

/// Daly's published 117, 57 and 9.1 minutes.
#[test]
fn a_job_gets_the_published_intervals() {
    for (mtbf, interval) in [("24h", "116.7 min"), ("6h", "56.7 min"), ("15m", "9.1 min")] {
        let wanted = ["checkpoint", "job", "--mtbf", mtbf, "--checkpoint", "5m", "--restart", "10m"];
        let shown = run(&wanted);
        let line = shown.lines().find(|line| line.starts_with("Daly, higher order")).unwrap();
        assert!(line.contains(interval), "{shown}");
        let rules = json(&wanted)["rules"].as_array().unwrap().clone();
        let stretch = |rule: &Value| rule["stretch"].as_f64().unwrap();
        assert!(rules.len() == 4 && rules.iter().all(|rule| stretch(rule) >= stretch(&rules[0])), "{rules:?}");
    }
}

#[test]
fn curves_go_to_files() {
    let directory = Directory::new();
    let file = directory.0.join("curve.svg");
    let path = file.to_str().unwrap();
    let shown = run(&[&USUAL[..], &["--svg", path]].concat());
    assert!(shown.ends_with(&format!("Drawn to {path}\n")), "{shown}");
    assert!(fs::read_to_string(&file).unwrap().contains("nobody serves"));

    let point = |interval: f64| {
        format!(
            r#"{{"interval_seconds":{interval},"cost":{},"checkpoints":{},"losses":{interval}}}"#,
            interval + 1.0 / interval,
            1.0 / interval
        )
    };
    let curve = [0.25, 0.5, 1.0, 2.0, 4.0].map(point).join(",");
    let advice = format!(
        r#"{{"inputs":[],"optimum":{best},"half":{half},"twice":null,"in_use":{best},"auto":true,"least_seconds":1.0,"max_seconds":60.0,"curve":[{curve}]}}"#,
        best = point(1.0),
        half = point(0.5)
    );
    let (output, _) = Server::new(&[ok(&advice)]).run(&["checkpoint", "advise", "--svg", path]);
    let shown = text(&output.stdout);
    assert!(shown.contains("* J, both together") && shown.ends_with(&format!("Drawn to {path}\n")), "{shown}");
    let drawn = fs::read_to_string(&file).unwrap();
    assert!(drawn.contains("optimum 1 s") && drawn.matches("<polyline").count() == 3, "{drawn}");

    let nowhere = directory.0.join("missing/curve.svg");
    let nowhere = nowhere.to_str().unwrap();
    let failed = lbctl(Path::new("/nowhere"), &[&USUAL[..], &["--svg", nowhere]].concat());
    assert_fails(&failed, 1, &[&format!("cannot write {nowhere}: No such file")]);
}
