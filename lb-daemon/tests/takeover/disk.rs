//! A disk that does not work.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use lb_core::pair::Input;
use lb_daemon::takeover::{Job, PAIR_FILE, load};

use crate::stage::{Node, PATIENCE, Stage, VIP, has, settings};

#[test]
fn a_disk_that_takes_nothing_is_told_and_delays_no_takeover() {
    let stage = Stage::new();
    // Nobody can write there, root neither.
    let node = Node::start_with(&stage.lb, settings(), Path::new("/proc/understudy"), false);
    let told = node.trouble("pair file");
    assert!(told.starts_with("cannot write /proc/understudy/pair.json: "), "{told}");
    node.ask(Job::Reserve(2));
    node.acquire(false).unwrap();
    assert!(has(&stage.lb, VIP));
    assert!(!node.takeover.epochs().flush(Duration::ZERO));
}

#[test]
fn a_disk_that_works_again_is_written_to() {
    let stage = Stage::new();
    let temporary = stage.state_dir().join("pair.json.tmp");
    std::fs::create_dir_all(stage.state_dir()).unwrap();
    symlink("/dev/full", &temporary).unwrap();
    let node = Node::start(&stage, &stage.lb, settings());
    node.ask(Job::Reserve(2));
    let told = node.trouble("pair file");
    assert!(told.contains("No space left on device"), "{told}");
    std::fs::remove_file(&temporary).unwrap();
    let reserved = node.input(|input| if let Input::Reserved(epoch) = input { Some(epoch) } else { None });
    assert_eq!(reserved, 2);
    assert!(node.takeover.epochs().flush(PATIENCE));
}

#[test]
fn a_restart_counts_only_on_the_same_start_of_the_host_and_only_until_then() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, settings());
    node.takeover.epochs().resume(Some(1_000_000));
    assert!(node.takeover.epochs().flush(PATIENCE));
    node.end();
    let first = load(&stage.state_dir(), 999_999);
    assert_eq!(first.memory.resume_until, Some(1_000_000));
    assert_eq!(load(&stage.state_dir(), 1_000_000).memory.resume_until, None, "it is over");
    let path = stage.state_dir().join(PAIR_FILE);
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(boot.trim(), "another")).unwrap();
    assert_eq!(load(&stage.state_dir(), 0).memory.resume_until, None, "the clock began anew");
}

#[test]
fn each_start_has_a_greater_generation() {
    let stage = Stage::new();
    let first = load(&stage.state_dir(), 0).boot;
    Node::start(&stage, &stage.lb, settings()).end();
    Node::start(&stage, &stage.lb, settings()).end();
    assert!(load(&stage.state_dir(), 0).boot >= first + 2);
}

#[test]
fn a_damaged_file_is_named_and_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(PAIR_FILE);
    std::fs::write(&path, "{\"epoch\": ").unwrap();
    let problem = load(directory.path(), 0).problem.unwrap();
    assert!(problem.starts_with(&format!("cannot use {}: EOF while parsing", path.display())), "{problem}");
    assert!(directory.path().join("pair.json.bad").exists() && !path.exists());
    assert_eq!(load(directory.path(), 0).problem, None);
}
