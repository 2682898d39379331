//! Attaching to interfaces: driver and generic mode, adoption by a later process, other programs in the way. Each test runs
//! in a network namespace of its own thread. Needs root and BPF.

use std::{fs, path::PathBuf, process::Command};

use lb_daemon::dataplane::{AttachMode, Dataplane, DataplaneError, Options};

/// A bpffs and a network namespace of the calling thread's, with one veth pair.
struct Host {
    mount: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        // SAFETY: unshares this thread's network namespace only; nothing else on the thread depends on it.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0, "a network namespace needs root");
        let mount = tempfile::Builder::new().prefix("us-attach-").tempdir().unwrap();
        run("mount", &["-t", "bpf", "bpf", mount.path().to_str().unwrap()]);
        let host = Self { mount };
        host.add_veth();
        host
    }

    fn add_veth(&self) {
        run("ip", &["link", "add", "us-a", "type", "veth", "peer", "name", "us-b"]);
    }

    fn pin_dir(&self) -> PathBuf {
        self.mount.path().join("pins")
    }

    fn open(&self) -> Dataplane {
        let options = Options {
            pin_dir: Some(self.pin_dir()),
            max_reals: 16,
            max_flows: 16,
            flow_events_size: lb_common::DEFAULT_FLOW_EVENTS_SIZE,
            debug_log: false,
        };
        Dataplane::open(&options).unwrap().0
    }

    fn links(&self) -> Vec<String> {
        let names = fs::read_dir(self.pin_dir()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut links: Vec<_> =
            names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("link_")).collect();
        links.sort();
        links
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.mount.path()).status();
    }
}

fn run(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output().unwrap();
    assert!(output.status.success(), "{command} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The id of the XDP program on `us-a`, as ip(8) tells it; `None` without one.
fn program_on_interface() -> Option<String> {
    let shown = run("ip", &["-details", "link", "show", "us-a"]);
    let (_, rest) = shown.split_once("prog/xdp")?;
    rest.split_once("id ").map(|(_, rest)| rest.split_whitespace().next().unwrap_or_default().to_owned())
}

#[test]
fn auto_takes_the_driver_where_it_can() {
    let host = Host::new();
    let attached = host.open().attach("us-a", AttachMode::Auto).unwrap();
    assert_eq!((attached.mode, attached.adopted), (AttachMode::Driver, false));
    assert!(program_on_interface().is_some(), "the pin keeps it attached after its process");
}

#[test]
fn auto_falls_back_to_generic_where_the_driver_refuses() {
    let host = Host::new();
    // veth takes no native XDP above an MTU of one page.
    run("ip", &["link", "set", "us-b", "mtu", "9000"]);
    let mut dataplane = host.open();
    let error = dataplane.attach("us-a", AttachMode::Driver).unwrap_err();
    assert!(matches!(error, DataplaneError::Attach { .. }), "{error}");
    assert!(error.to_string().contains("attach_mode"), "{error}");
    let attached = dataplane.attach("us-a", AttachMode::Auto).unwrap();
    assert_eq!(attached.mode, AttachMode::Generic);
    let refusal = attached.driver_refusal.unwrap();
    assert!(refusal.contains("in driver mode"), "{refusal}");
}

#[test]
fn a_later_process_replaces_the_program_and_keeps_the_attachment() {
    let host = Host::new();
    host.open().attach("us-a", AttachMode::Auto).unwrap();
    let (links, program) = (host.links(), program_on_interface());

    let attached = host.open().attach("us-a", AttachMode::Auto).unwrap();

    assert!(attached.adopted);
    assert_eq!(host.links(), links);
    assert_ne!(program_on_interface(), program, "it is the new process's program");
}

#[test]
fn another_mode_than_the_pinned_one_is_attached_anew() {
    let host = Host::new();
    host.open().attach("us-a", AttachMode::Driver).unwrap();
    let attached = host.open().attach("us-a", AttachMode::Generic).unwrap();
    assert_eq!((attached.mode, attached.adopted), (AttachMode::Generic, false));
    assert_eq!(host.links().len(), 1);
}

#[test]
fn an_interface_that_was_made_anew_is_attached_to_again() {
    let host = Host::new();
    let mut dataplane = host.open();
    dataplane.attach("us-a", AttachMode::Auto).unwrap();
    run("ip", &["link", "del", "us-a"]);
    assert!(matches!(dataplane.attach("us-a", AttachMode::Auto), Err(DataplaneError::NoInterface { .. })));
    // The same index again, so that the dead attachment's pin is met.
    let ifindex = host.links()[0].split('_').nth(1).unwrap().to_owned();
    run("ip", &["link", "add", "us-a", "index", &ifindex, "type", "veth", "peer", "name", "us-b"]);
    let attached = dataplane.attach("us-a", AttachMode::Auto).unwrap();
    assert!(!attached.adopted);
    assert!(program_on_interface().is_some());
}

#[test]
fn another_program_is_left_alone_and_named() {
    let host = Host::new();
    let other = Options {
        pin_dir: None,
        max_reals: 16,
        max_flows: 16,
        flow_events_size: lb_common::DEFAULT_FLOW_EVENTS_SIZE,
        debug_log: false,
    };
    let mut other = Dataplane::open(&other).unwrap().0;
    other.attach("us-a", AttachMode::Driver).unwrap();
    let program = program_on_interface();
    for mode in [AttachMode::Auto, AttachMode::Driver, AttachMode::Generic] {
        let error = host.open().attach("us-a", mode).unwrap_err();
        assert!(matches!(error, DataplaneError::Occupied { .. }), "{mode:?}: {error}");
        assert!(error.to_string().contains("xdp off"), "{error}");
    }
    assert_eq!(program_on_interface(), program);
}

#[test]
fn detaching_takes_everything_off_the_host() {
    let host = Host::new();
    host.open().attach("us-a", AttachMode::Auto).unwrap();
    let removed = Dataplane::remove_pins(&host.pin_dir()).unwrap();
    assert!(removed.contains(&"attachment to interface us-a in driver mode".to_owned()), "{removed:?}");
    assert_eq!(program_on_interface(), None);
    assert!(!host.pin_dir().exists());
    assert_eq!(Dataplane::remove_pins(&host.pin_dir()).unwrap(), Vec::<String>::new(), "once more is no error");
}

#[test]
fn one_interface_is_detached_and_the_other_stays() {
    let host = Host::new();
    let mut dataplane = host.open();
    dataplane.attach("us-a", AttachMode::Auto).unwrap();
    dataplane.attach("us-b", AttachMode::Auto).unwrap();
    dataplane.detach("us-a").unwrap();
    dataplane.detach("us-a").unwrap();
    assert_eq!(program_on_interface(), None);
    assert_eq!(host.links().len(), 1);
    assert_eq!(dataplane.attached().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["us-b"]);
}
