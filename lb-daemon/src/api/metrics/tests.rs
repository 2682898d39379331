//! What is served is what the catalogue and the reference describe.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::{DropReason, TrafficCounters};
use lb_core::api::path;

use super::catalogue::{ALL, Entry};
use crate::api::tests::{Api, everything};

/// The samples of a text: names with labels, and values.
fn samples(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap()).collect()
}

#[tokio::test]
async fn a_node_shows_what_it_counts() {
    let api = Api::start();
    {
        let mut world = api.bench.fake.world();
        let counters = TrafficCounters { packets: 12, bytes: 3_456, syn: 3, fin: 2, rst: 1 };
        world.service_counters.insert(0, counters);
        world.drops = vec![0; DropReason::COUNT as usize];
        world.drops[DropReason::NoReal as usize] = 7;
    }
    let (status, text) = api.request("GET", path::METRICS, "").await;
    let found = samples(&text);
    assert_eq!(status, 200);
    let version = env!("CARGO_PKG_VERSION");
    let info = format!("understudy_build_info{{version=\"{version}\",abi=\"{}\"}}", lb_common::ABI_VERSION);
    let expected = [
        (info.as_str(), "1"),
        ("understudy_service_packets_total{service=\"web\"}", "12"),
        ("understudy_service_bytes_total{service=\"web\"}", "3456"),
        ("understudy_service_tcp_segments_total{service=\"web\",flag=\"syn\"}", "3"),
        ("understudy_service_tcp_segments_total{service=\"web\",flag=\"rst\"}", "1"),
        ("understudy_dropped_packets_total{reason=\"no_real\"}", "7"),
        ("understudy_real_health{real=\"web1\",health=\"unchecked\"}", "1"),
        ("understudy_real_health{real=\"web1\",health=\"down\"}", "0"),
        ("understudy_real_configured_weight{real=\"web2\"}", "100"),
        (
            "understudy_service_info{service=\"web\",vip=\"198.51.100.1\",protocol=\"tcp\",port=\"80\",mode=\"dsr\"}",
            "1",
        ),
    ];
    for (name, value) in expected {
        assert_eq!(found.get(name), Some(&value), "{name} in {text}");
    }
    assert!(!text.contains("understudy_pair_"), "of a solo node");
}

/// Every sample belongs to a metric of the catalogue, stands below its help and type, and is there once.
#[tokio::test]
async fn every_sample_is_of_the_catalogue() {
    let api = everything();
    let (_, text) = api.request("GET", path::METRICS, "").await;
    let mut seen = BTreeSet::new();
    let mut current: Option<&Entry> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            current = ALL.iter().find(|entry| entry.name == name);
            assert_eq!(current.map(|entry| entry.help), Some(help), "{name}");
            assert!(seen.insert(name), "{name} comes twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let entry = current.unwrap();
            assert_eq!(rest, format!("{} {}", entry.name, entry.kind.word()));
        } else {
            let name = line.split(['{', ' ']).next();
            assert_eq!(name, current.map(|entry| entry.name), "{line}");
        }
    }
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(samples(&text).len(), lines.count(), "a sample comes twice");
    let of_pair = ALL.iter().map(|entry| entry.name).filter(|name| name.starts_with("understudy_pair_"));
    // This peer has not been heard.
    let missing: Vec<&str> = of_pair.filter(|name| !seen.contains(name)).collect();
    assert_eq!(missing, ["understudy_pair_peer_heard_seconds"]);
}

/// The reference has a row for each metric, and none for any other.
#[test]
fn the_reference_has_every_metric() {
    let page = include_str!("../../../../docs/reference/metrics.md");
    let row = |entry: &Entry| {
        let labels: Vec<String> = entry.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!(" {}", labels.join(", ")) };
        format!("| `{}` | {} |{labels} | {} |", entry.name, entry.kind.word(), entry.help)
    };
    let rows: BTreeSet<String> = ALL.iter().map(row).collect();
    let documented: BTreeSet<String> =
        page.lines().filter(|line| line.starts_with("| `understudy_")).map(str::to_owned).collect();
    assert_eq!(documented, rows);
}

/// The alert rules and the dashboard ask for metrics that there are.
#[test]
fn rules_and_dashboard_know_the_metrics() {
    let rules = include_str!("../../../../packaging/prometheus/understudy.rules.yml");
    let dashboard = include_str!("../../../../packaging/grafana/understudy.json");
    for (file, text) in [("the rules", rules), ("the dashboard", dashboard)] {
        let words = text.split(|letter: char| !letter.is_ascii_lowercase() && letter != '_');
        let asked: BTreeSet<&str> = words.filter(|word| word.starts_with("understudy_")).collect();
        assert!(asked.len() > 10, "{file} ask for {asked:?}");
        for name in asked {
            assert!(ALL.iter().any(|entry| entry.name == name), "{file} ask for {name}");
        }
    }
    let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    assert_eq!(dashboard["title"], "Understudy");
}

/// Names and labels are as Prometheus wants them, and none is used twice.
#[test]
fn names_follow_the_conventions() {
    let mut names = BTreeSet::new();
    for Entry { name, kind, labels, help } in ALL {
        assert!(names.insert(name), "{name} is there twice");
        assert!(name.starts_with("understudy_"), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == super::text::Kind::Counter, "{name}");
        let words = name.split('_').chain(labels.iter().copied());
        for word in words {
            assert!(word.chars().all(|letter| letter.is_ascii_lowercase()), "{word} in {name}");
            assert!(!["ms", "milliseconds", "percent", "kb", "mb", "kib", "mib"].contains(&word), "{word} in {name}");
        }
        assert!(help.ends_with('.') && !help.contains(['\n', '\\', '|']), "{help}");
    }
}
