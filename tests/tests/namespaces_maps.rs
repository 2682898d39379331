//! What `bpftool map dump pinned` shows on a live system. Needs root.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use lb_lab::{Plan, output, tool};
use lb_tests::stage::{Config, HTTP, Kind, Stage, real_names};
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
