//! What the page and `/metrics` say is what `bpftool` finds in the maps. Needs root.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use lb_common::DropReason;
use lb_lab::{Connection, Plan, output, tool};
use lb_tests::stage::{Config, HTTP, Kind, Stage, real_names};
use serde_json::Value;

const PORT: u16 = 6780;
/// A service without a way to its real drops what it gets.
const LOST: u16 = 81;

#[test]
fn page_metrics_and_bpftool_agree() -> Result<()> {
    let vip = Plan::default().vip_addresses(0)[0];
    let (web, lost) = (SocketAddr::new(vip, HTTP), SocketAddr::new(vip, LOST));
    let stage = Stage::set(Plan::default(), |network| {
        Config::of(network)
            .service("web", web, Kind::TcpDsr, &real_names(2))
            .service("lost", lost, Kind::TcpDsr, &["real-3"])
            .top(&format!("http = {{ listen = \"0.0.0.0:{PORT}\" }}"))
    })?;
    stage.lbd.lbctl(&["disable", "real-3"])?;
    stage.ask(web)?;
    // Nobody answers: what comes of it is in the counters.
    let open = || Ok(std::net::TcpStream::connect_timeout(&lost, std::time::Duration::from_millis(200)).is_ok());
    stage.network.client.run(open)?;
    // Whatever is still under way has come by then: the counters of two looks in a row are the same.
    let before = lb_lab::wait_for("the counters to rest", lb_tests::stage::LIMIT, || {
        let (one, other) = (all(&stage)?, all(&stage)?);
        Ok((one == other).then_some(one))
    })?;

    let node = SocketAddr::new(Plan::default().lb_addresses()[0], PORT);
    let metrics = Connection::open(&stage.network.client.handle(), node)?.get("/metrics")?;
    let page = Connection::open(&stage.network.client.handle(), node)?.get("/")?;
    ensure!(before == all(&stage)?, "packets came in between");
    agrees_with_metrics(&before, &metrics)?;
    agrees_with_page(&before, &page)?;
    let packets = before.values().filter(|count| **count > 0).count();
    ensure!(packets >= 8, "hardly anything was counted: {before:?}");
    Ok(())
}

/// Each count of the maps, by the name of its sample.
fn all(stage: &Stage) -> Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for (kind, map, list) in [("service", "service_counters", "services"), ("real", "real_counters", "reals")] {
        let entries = dump(stage, map)?;
        let listed = stage.lbd.lbctl_json(&[list])?;
        for one in listed[list].as_array().context("lbctl lists nothing")? {
            let (name, id) = (one["name"].as_str().context("no name")?, one["id"].as_u64().context("no id")?);
            for (field, metric, label) in FIELDS {
                let flag = label.map(|flag| format!(",flag=\"{flag}\"")).unwrap_or_default();
                let sample = format!("understudy_{kind}_{metric}_total{{{kind}=\"{name}\"{flag}}}");
                counts.insert(sample, sum(&entries, id, Some(field)));
            }
        }
    }
    let drops = dump(stage, "drops")?;
    for reason in DropReason::ALL {
        let sample = format!("understudy_dropped_packets_total{{reason=\"{}\"}}", reason.name());
        counts.insert(sample, sum(&drops, *reason as u64, None));
    }
    Ok(counts)
}

/// A field of the map's values, the metric that shows it, and the flag that the metric has for it.
const FIELDS: [(&str, &str, Option<&str>); 5] = [
    ("packets", "packets", None),
    ("bytes", "bytes", None),
    ("syn", "tcp_segments", Some("syn")),
    ("fin", "tcp_segments", Some("fin")),
    ("rst", "tcp_segments", Some("rst")),
];

/// What all CPUs have counted.
fn sum(entries: &[Value], key: u64, field: Option<&str>) -> u64 {
    let entry = entries.iter().find(|entry| entry["key"] == key);
    let cpus = entry.and_then(|entry| entry["values"].as_array()).into_iter().flatten();
    let count = |cpu: &Value| field.map_or(&cpu["value"], |field| &cpu["value"][field]).as_u64().unwrap_or(0);
    cpus.map(count).sum()
}

fn agrees_with_metrics(counts: &BTreeMap<String, u64>, metrics: &str) -> Result<()> {
    for (sample, count) in counts {
        let line = format!("{sample} {count}");
        ensure!(metrics.lines().any(|found| found == line), "bpftool says `{line}`, and /metrics does not: {metrics}");
    }
    Ok(())
}

/// The page has the exact packets and bytes of services and reals, and each drop that has happened, in `data` elements.
fn agrees_with_page(counts: &BTreeMap<String, u64>, page: &str) -> Result<()> {
    for row in page.split("<tr>").skip(1) {
        let Some(name) = row.strip_prefix("<th scope=\"row\">").and_then(|row| row.split('<').next()) else { continue };
        let exact: Vec<u64> =
            row.split("<data value=\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok()).collect();
        for kind in ["service", "real"] {
            let count =
                |what: &str| counts.get(&format!("understudy_{kind}_{what}_total{{{kind}=\"{name}\"}}")).copied();
            if let (Some(packets), Some(bytes)) = (count("packets"), count("bytes")) {
                ensure!(exact == [packets, bytes], "bpftool says {packets}, {bytes} of {name}, and the page {exact:?}");
            }
        }
        if let Some(dropped) = counts.get(&format!("understudy_dropped_packets_total{{reason=\"{name}\"}}")) {
            ensure!(exact == [*dropped], "bpftool says {dropped} of {name}, and the page {exact:?}");
        }
    }
    let shown = |reason: &DropReason| page.contains(&format!("<th scope=\"row\">{}</th><td>dropped", reason.name()));
    let happened = |reason: &DropReason| {
        counts.iter().any(|(sample, count)| sample.contains(&format!("\"{}\"", reason.name())) && *count > 0)
    };
    ensure!(DropReason::ALL.iter().all(|reason| shown(reason) == happened(reason)), "the page shows other drops");
    Ok(())
}

/// The entries of a map as bpftool formats them by the map's BTF.
fn dump(stage: &Stage, map: &str) -> Result<Vec<Value>> {
    let path = stage.lbd.bpf_dir().join(map);
    let text = output(tool("bpftool").args(["-j", "map", "dump", "pinned"]).arg(path))?;
    let entries: Value = serde_json::from_str(&text).with_context(|| format!("no JSON from bpftool: {text}"))?;
    let entries = entries.as_array().context("no list from bpftool")?;
    Ok(entries.iter().map(|entry| entry["formatted"].clone()).collect())
}
