//! Changes by the API on a data plane without a kernel: all or nothing, and what is kept of them.

use toml::Table;

use super::super::test_support::{Bench, CONFIG};
use super::*;
use crate::config::live::LIVE_FILE;

fn real(name: &str) -> Item {
    Item { kind: ConfigItemKind::Real, name: name.to_owned() }
}

fn service(name: &str) -> Item {
    Item { kind: ConfigItemKind::Service, name: name.to_owned() }
}

fn web3() -> Fate {
    put("name = \"web3\"\naddress = \"192.0.2.13\"\n")
}

fn tls() -> Fate {
    put("name = \"tls\"\nvip = \"198.51.100.1\"\nprotocol = \"tcp\"\nport = 443\nmode = \"dsr\"\nreals = [\"web1\"]\n")
}

fn put(text: &str) -> Fate {
    Fate::Put(text.parse::<Table>().unwrap())
}

fn names(engine: &Engine) -> (Vec<String>, Vec<String>) {
    let cluster = engine.table.cluster();
    let services = cluster.services().iter().map(|service| service.name.clone()).collect();
    (services, cluster.reals().iter().map(|real| real.name.clone()).collect())
}

#[test]
fn a_service_and_a_real_come_and_go_and_a_reload_forgets_them() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    let rows = bench.fake.world().rows.clone();
    assert!(engine.change_live(real("web3"), web3(), false).unwrap().changed);
    assert!(engine.change_live(service("tls"), tls(), false).unwrap().changed);
    assert_eq!(
        names(&engine),
        (vec!["web".to_owned(), "tls".to_owned()], ["web1", "web2", "web3"].map(str::to_owned).to_vec())
    );
    assert_eq!(bench.fake.world().rows.services.len(), 2);
    assert_eq!(bench.fake.world().rows.rings[&0], rows.rings[&0], "the other service's slots stay where they are");
    assert_eq!(engine.config_diff().changes.len(), 2);
    assert!(!bench.state_dir().join(LIVE_FILE).exists());
    engine.reload().unwrap();
    assert_eq!(names(&engine).0, ["web"]);
    assert!(engine.config_diff().changes.is_empty());
}

#[test]
fn what_persists_outlives_a_reload_and_a_restart() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    engine.change_live(service("tls"), tls(), true).unwrap();
    engine.change_live(real("web3"), web3(), false).unwrap();
    engine.reload().unwrap();
    let both = ["web", "tls"].map(str::to_owned).to_vec();
    assert_eq!(names(&engine), (both.clone(), ["web1", "web2"].map(str::to_owned).to_vec()));
    drop(engine);
    let mut engine = bench.start_as_lbd_does().unwrap();
    assert_eq!(names(&engine).0, both);
    assert!(engine.config_diff().changes[0].persistent);
    engine.change_live(service("tls"), Fate::Removed, true).unwrap();
    assert!(!bench.state_dir().join(LIVE_FILE).exists());
    assert_eq!(names(&engine).0, ["web"]);
}

#[test]
fn what_would_be_wrong_is_refused_and_nothing_is_kept() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    let before = engine.table.generation();
    let refused = |engine: &mut Engine, item, fate| engine.change_live(item, fate, true).unwrap_err().to_string();
    let error = refused(&mut engine, real("web1"), Fate::Removed);
    assert!(error.contains("with live changes:") && error.contains("web1"), "{error}");
    let error = refused(&mut engine, service("web9"), Fate::Removed);
    assert_eq!(error, "there is no service \"web9\"");
    let error = refused(&mut engine, real("web3"), put("name = \"web3\"\naddress = \"198.51.100.1\"\n"));
    assert!(error.contains("VIP"), "{error}");
    bench.fake.world().writes_before_failure = vec![0];
    let error = refused(&mut engine, service("tls"), tls());
    assert!(error.contains("map services is full"), "{error}");
    assert_eq!(engine.table.generation(), before);
    assert!(!bench.state_dir().join(LIVE_FILE).exists() && engine.config_diff().changes.is_empty());
}

#[test]
fn what_cannot_be_kept_is_not_done() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    std::os::unix::fs::symlink("/dev/full", bench.state_dir().join("live.toml.tmp")).unwrap();
    let error = engine.change_live(service("tls"), tls(), true).unwrap_err().to_string();
    assert!(error.starts_with("nothing was changed: cannot write ") && error.contains("No space left"), "{error}");
    assert_eq!(names(&engine).0, ["web"]);
    engine.change_live(service("tls"), tls(), false).unwrap();
}

#[test]
fn an_edited_file_waits_for_a_reload_and_says_so() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    bench.write_config(&CONFIG.replace("192.0.2.12", "192.0.2.99"));
    assert!(engine.config_diff().file_edited);
    engine.change_live(real("web3"), web3(), false).unwrap();
    let address = engine.table.cluster().real("web2").unwrap().address;
    assert_eq!(address.to_string(), "192.0.2.12");
}

#[test]
fn changes_that_no_longer_fit_are_a_trouble_until_they_are_removed() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    engine.change_live(real("web3"), web3(), true).unwrap();
    drop(engine);
    bench.write_config(&CONFIG.replace("vip = \"198.51.100.1\"", "vip = \"192.0.2.13\""));
    let mut engine = bench.start_as_lbd_does().unwrap();
    assert_eq!(names(&engine).1, ["web1", "web2"]);
    assert!(engine.config_diff().unfit.is_some());
    assert!(engine.troubles.message("live changes").is_some_and(|message| message.starts_with("not in use: ")));
    assert!(engine.reload().unwrap_err().error.contains("do not fit"));
    std::fs::remove_file(bench.state_dir().join(LIVE_FILE)).unwrap();
    engine.reload().unwrap();
    assert!(engine.troubles.message("live changes").is_none());
}

#[test]
fn what_the_file_has_by_now_is_forgotten() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    engine.change_live(real("web3"), web3(), true).unwrap();
    engine.change_live(service("tls"), tls(), true).unwrap();
    let in_the_file = format!("{CONFIG}\n[[real]]\nname = \"web3\"\naddress = \"192.0.2.13\"\n");
    bench.write_config(&in_the_file);
    engine.reload().unwrap();
    let kept = std::fs::read_to_string(bench.state_dir().join(LIVE_FILE)).unwrap();
    assert!(kept.contains("tls") && !kept.contains("web3"), "{kept}");
    bench.write_config(&in_the_file.replace("192.0.2.13", "192.0.2.14"));
    engine.reload().unwrap();
    assert_eq!(engine.table.cluster().real("web3").unwrap().address.to_string(), "192.0.2.14");
}
