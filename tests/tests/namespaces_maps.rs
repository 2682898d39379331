//! What `bpftool map dump pinned` shows on a live system. Needs root.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use lb_lab::{Plan, output, tool, wait_for};
use lb_tests::stage::{Config, HTTP, Kind, LIMIT, Stage, real_names};
use serde_json::Value;

/// Everything that a person looks at in the maps has names, and addresses read as they are written.
#[test]
fn pinned_maps_show_named_fields() {
    let service = SocketAddr::new(Plan::default().vip_addresses(0)[0], HTTP);
    let stage = Stage::set(Plan::default(), |network| {
        Config::of(network).service("web", service, Kind::TcpDsr, &real_names(3))
    });
    let stage = stage.unwrap();
    stage.lbd.lbctl(&["drain", "real-3"]).unwrap();
    // A flow in a slot that remembers is in the flow table.
    stage.ask(service).unwrap();

    let services = dump(&stage, "services").unwrap();
    let (key, value) = (&services[0]["key"], &services[0]["value"]);
    assert_eq!((key["port"].as_u64(), key["protocol"].as_u64(), key["family"].as_u64()), (Some(80), Some(6), Some(4)));
    assert_eq!(first_four(&key["vip"]), [192, 0, 2, 101]);
    assert_eq!((value["id"].is_u64(), value["mode"].as_u64()), (true, Some(1)));

    let reals = dump(&stage, "reals").unwrap();
    let alive: Vec<&Value> = reals.iter().map(|real| &real["value"]).filter(|real| real["flags"] == 3).collect();
    assert!(alive.iter().any(|real| first_four(&real["address"]) == [192, 0, 2, 21]), "{alive:?}");
    assert!(alive.iter().all(|real| real["mtu"] == 1500 && real["next_hop_mac"].is_array()), "{alive:?}");

    let flows = dump(&stage, "flows").unwrap();
    let (key, value) = (&flows[0]["key"], &flows[0]["value"]);
    assert_eq!(first_four(&key["client"]), [192, 0, 2, 10]);
    assert_eq!((key["service"]["port"].as_u64(), key["client_port"].is_u64()), (Some(80), true));
    assert!(value["real"].is_u64() && value["last_seen_ns"].is_u64() && value["slot"].is_u64(), "{value}");
}

/// `lbctl top` shows what the maps count, real by real and reason by reason.
#[test]
fn top_counts_as_the_maps_do() {
    let service = SocketAddr::new(Plan::default().vip_addresses(0)[0], HTTP);
    let stage = Stage::set(Plan::default(), |network| {
        Config::of(network).service("web", service, Kind::TcpDsr, &real_names(3))
    });
    let stage = stage.unwrap();
    stage.ask(service).unwrap();
    // The last packets of connections may still be on their way.
    wait_for("top and the maps to agree", LIMIT, || {
        let top = stage.lbd.lbctl_json(&["top", "--interval", "0.1"])?;
        let (counted, dropped) = (sums(&stage, "real_counters", "packets")?, sums(&stage, "drops", "")?);
        let ids = stage.lbd.lbctl_json(&["reals"])?;
        let ids = ids["reals"].as_array().context("no reals")?;
        let shown = top["stats"]["reals"].as_array().context("no counters")?;
        assert!(shown.len() == ids.len() && !shown.is_empty());
        let is_same = |(real, shown): (&Value, &Value)| {
            let id = real["id"].as_u64().unwrap_or(u64::MAX) as usize;
            real["name"] == shown["name"] && shown["counters"]["packets"].as_u64() == counted.get(id).copied()
        };
        let all_drops = dropped.iter().sum::<u64>();
        let is_equal = ids.iter().zip(shown).all(is_same) && top["stats"]["dropped"].as_u64() == Some(all_drops);
        let some = shown.iter().filter(|real| real["counters"]["packets"] != 0).count();
        Ok((is_equal && some == 3).then_some(()))
    })
    .unwrap();
}

/// A per-CPU array's entries, each added up over the CPUs; of a struct the field of this name.
fn sums(stage: &Stage, map: &str, field: &str) -> Result<Vec<u64>> {
    let entries = dump(stage, map)?;
    let count = |cpu: &Value| {
        let value = &cpu["value"];
        if field.is_empty() { value.as_u64() } else { value[field].as_u64() }
    };
    let sum = |entry: &Value| entry["values"].as_array().into_iter().flatten().filter_map(count).sum();
    Ok(entries.iter().map(sum).collect())
}

/// The entries of a map as bpftool formats them by the map's BTF.
fn dump(stage: &Stage, map: &str) -> Result<Vec<Value>> {
    let path = stage.lbd.bpf_dir().join(map);
    let text = output(tool("bpftool").args(["-j", "map", "dump", "pinned"]).arg(path))?;
    let entries: Value = serde_json::from_str(&text).with_context(|| format!("no JSON from bpftool: {text}"))?;
    let entries = entries.as_array().context("no list from bpftool")?;
    Ok(entries.iter().map(|entry| entry["formatted"].clone()).collect())
}

fn first_four(address: &Value) -> Vec<u64> {
    address.as_array().into_iter().flatten().take(4).filter_map(Value::as_u64).collect()
}
