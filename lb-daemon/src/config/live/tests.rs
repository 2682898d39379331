//! Layers on a file: what they make of it, and how they are kept.

use std::path::{Path, PathBuf};

use lb_core::api::ConfigChangeKind;

use super::*;

const FILE: &str = r#"# A comment.
interfaces = ["eth0"]
state_dir = "STATE_DIR"
[[real]]
name = "web1"
address = "192.0.2.11"
[[service]]
name = "web"
vip = "198.51.100.1"
protocol = "tcp"
port = 80
mode = "dsr"
reals = ["web1"]
"#;

fn item(kind: ConfigItemKind, name: &str) -> Item {
    Item { kind, name: name.to_owned() }
}

fn real(name: &str) -> Item {
    item(ConfigItemKind::Real, name)
}

fn table(text: &str) -> Fate {
    Fate::Put(text.parse().unwrap())
}

fn web2() -> Fate {
    table("name = \"web2\"\naddress = \"192.0.2.12\"\nweight = 7\n")
}

/// A directory with a configuration file, whose `state_dir` it is too.
fn written() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lbd.toml");
    std::fs::write(&path, FILE.replace("STATE_DIR", directory.path().to_str().unwrap())).unwrap();
    (directory, path)
}

fn origin() -> Origin {
    Origin { file: FILE.replace("STATE_DIR", "/var/lib/understudy"), ..Origin::default() }
}

#[test]
fn without_changes_the_text_is_the_file_and_with_them_all_of_both() {
    let mut origin = origin();
    assert_eq!(origin.text(), origin.file);
    origin.live = origin.with(real("web2"), web2(), false);
    let config = Config::parse(Path::new("lbd.toml"), &origin.text(), &|_| None).unwrap();
    let names: Vec<&str> = config.cluster.reals().iter().map(|real| real.name.as_str()).collect();
    assert_eq!(names, ["web1", "web2"]);
    assert_eq!(config.cluster.reals()[1].weight, 7);
    assert_eq!(config.cluster.services().len(), 1);
}

#[test]
fn a_change_for_good_takes_the_place_of_one_for_now() {
    let mut origin = origin();
    origin.live = origin.with(real("web2"), web2(), false);
    assert!(origin.live.persistent.is_empty());
    origin.live = origin.with(real("web2"), web2(), true);
    assert!(origin.live.temporary.is_empty() && !origin.live.persistent.is_empty());
    origin.live = origin.with(real("web2"), Fate::Removed, false);
    assert!(find(&origin.document(), &real("web2")).is_none() && origin.knows(&real("web2")), "until a reload");
    origin.live = origin.with(real("web2"), web2(), false);
    assert!(origin.live.temporary.is_empty(), "what is so already is no change");
    origin.live = origin.with(real("web2"), Fate::Removed, true);
    assert!(origin.live.is_empty());
}

#[test]
fn differences_name_each_item_once_with_its_lines() {
    let mut origin = origin();
    origin.live = origin.with(real("web2"), web2(), true);
    origin.live = origin.with(real("web1"), table("name = \"web1\"\naddress = \"192.0.2.21\"\n"), false);
    origin.live = origin.with(item(ConfigItemKind::Service, "web"), Fate::Removed, true);
    let differences = origin.differences();
    let short: Vec<_> =
        differences.iter().map(|change| (change.name.as_str(), change.change, change.persistent)).collect();
    let expected = [
        ("web1", ConfigChangeKind::Replaced, false),
        ("web2", ConfigChangeKind::Added, true),
        ("web", ConfigChangeKind::Removed, true),
    ];
    assert_eq!(short, expected);
    assert_eq!(differences[0].before, ["name = \"web1\"", "address = \"192.0.2.11\""]);
    assert_eq!(differences[0].after, ["name = \"web1\"", "address = \"192.0.2.21\""]);
    assert!(differences[2].after.is_empty());
}

#[test]
fn what_persists_is_written_and_read_and_without_it_there_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = LiveFile::new(&directory.path().join("made"));
    assert_eq!(file.load().unwrap(), Layer::default());
    let mut origin = origin();
    origin.live = origin.with(real("web2"), web2(), true);
    origin.live = origin.with(item(ConfigItemKind::Service, "web"), Fate::Removed, true);
    file.save(&origin.live.persistent).unwrap();
    assert_eq!(file.load().unwrap(), origin.live.persistent);
    assert!(std::fs::read_to_string(file.path()).unwrap().starts_with("# Written by lbd"));
    file.save(&Layer::default()).unwrap();
    assert!(!file.path().exists());
    file.save(&Layer::default()).unwrap();
}

#[test]
fn a_damaged_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = LiveFile::new(directory.path());
    for (text, reason) in [
        ("[[real]]\naddress = \"192.0.2.1\"\n", "a `real` without a name"),
        ("removed_reals = \"web1\"\n", "`removed_reals` is no list"),
        ("[[real\n", ""),
    ] {
        std::fs::write(file.path(), text).unwrap();
        let error = file.load().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{} is damaged: {reason}", file.path().display())), "{error}");
    }
}

#[test]
fn changes_that_do_not_fit_stop_a_check_and_no_start() {
    let (directory, path) = written();
    let mut origin = origin();
    let on_the_same_port = table(
        "name = \"other\"\nvip = \"198.51.100.1\"\nprotocol = \"tcp\"\nport = 80\nmode = \"dsr\"\nreals = [\"web1\"]\n",
    );
    origin.live = origin.with(item(ConfigItemKind::Service, "other"), on_the_same_port, true);
    LiveFile::new(directory.path()).save(&origin.live.persistent).unwrap();
    let error = Config::load(&path).unwrap().with_persistent(&path).unwrap_err().to_string();
    assert!(error.contains("live.toml do not fit the configuration file"), "{error}");
    assert!(error.contains("lbd.toml with live changes:"), "{error}");
    let config = Config::load_to_start(&path).unwrap();
    assert_eq!(config.cluster.services().len(), 1);
    assert_eq!(config.origin.unfit, Some(error));
}

#[test]
fn changes_that_fit_are_there_from_the_start() {
    let (directory, path) = written();
    let mut origin = origin();
    origin.live = origin.with(real("web2"), web2(), true);
    LiveFile::new(directory.path()).save(&origin.live.persistent).unwrap();
    let config = Config::load_to_start(&path).unwrap();
    assert_eq!((config.cluster.reals().len(), config.origin.unfit), (2, None));
    assert_eq!(config.origin.live, origin.live);
    assert!(config.origin.file.starts_with("# A comment."));
}
