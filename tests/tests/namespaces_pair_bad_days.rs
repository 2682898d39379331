//! Bad days of a pair: what is configured wrongly, missing, in use, or in the way. Each gets one clear line, in the log and in
//! `lbctl status`, and no node serves that should not. Nodes with different VIPs are in namespaces_pair_handover. Needs root.

use std::fs::{self, File, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use lb_lab::{KEYS, Link, key_file, output, tool, wait_for, write_key_file, write_keys};
use lb_tests::pair::{LIMIT, PairStage, Stranger, TTL, of_another_version, one_answers_at_a_time, one_owner_at_a_time};

/// A key that is not [`KEYS`]'s, with the same number, and with the next one.
const OTHER_KEYS: &str = "1 ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\n";
const NEW_KEY: &str = "2 ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\n";
/// A move without need comes soon.
const QUICK: &str = "failback_delay = \"1s\"\ndrain = \"300ms\"\n";
/// How often a frame is sent that is told once.
const OFTEN: usize = 20;

/// The first node runs alone and is active.
fn alone() -> Result<PairStage> {
    let mut stage = PairStage::prepare("")?;
    stage.start(0)?;
    stage.nodes[0].wait_for_state("active")?;
    Ok(stage)
}

#[test]
fn of_two_primaries_the_second_one_keeps_out() -> Result<()> {
    let mut stage = alone()?;
    let watch = stage.watch()?;
    stage.configure(1, &[("role = \"standby\"", "role = \"primary\"")])?;
    stage.start(1)?;
    stage.nodes[1].wait_for_state("fenced")?;
    for node in 0..2 {
        stage.wait_to_be_told(
            node,
            "pair",
            "another node has the role primary, too: give one of them the other role",
        )?;
    }
    stage.wait_for_no_vip(1)?;
    stage.nodes[1].lbd.stop()?;
    stage.configure(1, &[])?;
    stage.start(1)?;
    stage.wait_for_owner(0)?;
    stage.wait_for_no_warning(0, "pair")?;
    one_owner_at_a_time(watch, &[0])
}

#[test]
fn of_two_nodes_with_different_keys_the_second_one_keeps_out() -> Result<()> {
    let mut stage = alone()?;
    let watch = stage.watch()?;
    let shared = key_file(&stage.network.run).display().to_string();
    let own = stage.network.node_dir(1).join("keys");
    write_key_file(&own, OTHER_KEYS)?;
    stage.configure(1, &[(&shared, &own.display().to_string())])?;
    stage.start(1)?;
    for node in 0..2 {
        for link in Link::ALL {
            let refused = "what comes in is refused: not signed with the key that it names";
            stage.wait_to_be_told(node, &format!("path {}", stage.path_name(link, node)), refused)?;
        }
    }
    // It cannot know that the other node is its peer, but somebody has the VIPs.
    stage.nodes[1].wait_for_state("fenced")?;
    stage.wait_to_be_told(1, "pair", &format!("another host has a VIP: {} is at", stage.network.plan.vip_v4(0)))?;
    stage.wait_for_no_vip(1)?;
    let before = stage.mark()?;
    write_key_file(&own, KEYS)?;
    stage.nodes[1].lbd.running()?.signal(libc::SIGHUP)?;
    stage.wait_for_owner(0)?;
    stage.never_left(0, &before, "active")?;
    one_owner_at_a_time(watch, &[0])
}

#[test]
fn frames_of_another_version_are_told_and_move_nothing() -> Result<()> {
    let stage = PairStage::set("")?;
    let (watch, before) = (stage.watch()?, stage.mark()?);
    let stranger = Stranger::appear(&stage)?;
    let told = "what comes in is refused: of version 2 of the frames, and this lbd speaks 1";
    for node in 0..2 {
        stranger.send(node, &vec![of_another_version(node, 0, KEYS)?; OFTEN], TTL, "version")?;
        stranger.send_by_serial(node, &vec![of_another_version(node, 2, KEYS)?; OFTEN], "version")?;
        for link in [Link::Service, Link::Serial] {
            stage.wait_to_be_told(node, &format!("path {}", stage.path_name(link, node)), told)?;
        }
    }
    stage.wait_for_owner(0)?;
    stage.nothing_moved(&before)?;
    one_owner_at_a_time(watch, &[0])
}

#[test]
fn a_serial_line_that_cannot_be_used_is_told_and_used_as_soon_as_it_can() -> Result<()> {
    let mut stage = PairStage::prepare("")?;
    let device = stage.network.serial.device(1).to_path_buf();
    let path = format!("path {}", stage.path_name(Link::Serial, 1));
    stage.network.unplug(Link::Serial, 1)?;
    stage.start(0)?;
    stage.start(1)?;
    stage.wait_to_be_told(1, &path, &format!("there is no {}: No such file", device.display()))?;
    stage.nodes[0].wait_for_state("active")?;
    stage.nodes[1].wait_for_state("standby")?;
    stage.network.plug_in(Link::Serial, 1)?;
    stage.wait_for_owner(0)?;
    let (watch, before) = (stage.watch()?, stage.mark()?);

    stage.network.unplug(Link::Serial, 1)?;
    fs::write(&device, "no line")?;
    stage.wait_to_be_told(1, &path, &format!("{} is no serial line", device.display()))?;
    stage.network.plug_in(Link::Serial, 1)?;
    stage.wait_for_owner(0)?;
    stage.nothing_moved(&before)?;

    stage.nodes[1].lbd.stop()?;
    let user = lock(&device)?;
    stage.start(1)?;
    stage.wait_to_be_told(1, &path, "is in use: another process has it")?;
    drop(user);
    stage.wait_for_owner(0)?;

    stage.nodes[1].lbd.stop()?;
    let login = Login::at(&device)?;
    stage.start(1)?;
    stage.wait_to_be_told(1, &path, &format!("is in use: it is the terminal of process {} (cat)", login.0.id()))?;
    drop(login);
    stage.wait_for_owner(0)?;
    stage.wait_for_no_warning(1, &path)?;
    stage.never_left(0, &before, "active")?;
    one_owner_at_a_time(watch, &[0])
}

/// Has a line as the programs have it that keep to locks.
fn lock(device: &Path) -> Result<File> {
    let file = File::options().read(true).write(true).open(device).context("cannot open the serial line")?;
    // SAFETY: the descriptor is open, and the call takes nothing else.
    let locked = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0;
    ensure!(locked, "{} cannot be locked: {}", device.display(), std::io::Error::last_os_error());
    Ok(file)
}

/// A process that has a line as its terminal, as a login has it. Dropped, it ends.
struct Login(Child);

impl Login {
    fn at(device: &Path) -> Result<Login> {
        let line = File::options().read(true).write(true).open(device).context("cannot open the serial line")?;
        let mut command = Command::new("setsid");
        command.args(["--ctty", "cat"]).stdin(line).stdout(Stdio::null());
        let login = Login(command.spawn().context("cannot run setsid")?);
        let stat = format!("/proc/{}/comm", login.0.id());
        wait_for("the login", LIMIT, || Ok((fs::read_to_string(&stat)?.trim() == "cat").then_some(())))?;
        Ok(login)
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_peer_address_that_is_ones_own_is_refused_or_its_path_left_out() -> Result<()> {
    let mut stage = alone()?;
    let [local, peer] = [1, 0].map(|node| format!("\"{}:6721\"", stage.network.plan.heartbeat_addresses(node)[0]));
    let peer_line = format!("peer = {peer}");
    stage.configure(1, &[(&peer_line, &format!("peer = {local}"))])?;
    let said = stage.refused_start(1)?;
    ensure!(said.contains("`peer` is this node's own address"), "{said}");

    let own = "198.51.100.77";
    stage.network.lbs[1].add_address("lo", own.parse()?, 32)?;
    stage.configure(1, &[(&peer_line, &format!("peer = \"{own}:6721\""))])?;
    stage.start(1)?;
    let told = format!("the peer's address {own} is this host's own: `peer` names the other node");
    stage.wait_to_be_told(1, "path udp eth1", &told)?;
    stage.nodes[1].wait_for_state("standby")?;
    ensure!(stage.nodes[0].state()? == "active");
    Ok(())
}

#[test]
fn an_interface_that_is_renamed_is_told_and_used_again_by_its_name() -> Result<()> {
    let stage = PairStage::set("")?;
    let (watch, start) = (stage.watch()?, stage.mark()?);
    for node in 0..2 {
        let since = stage.mark()?;
        rename(&stage, node, "eth1", "other1")?;
        stage.wait_for_alarm(Link::Heartbeat, &since)?;
        stage.wait_to_be_told(node, "path udp eth1", "there is no interface eth1, or it has another name now")?;
        rename(&stage, node, "other1", "eth1")?;
        stage.wait_for_owner(0)?;
    }
    stage.nothing_moved(&start)?;
    one_owner_at_a_time(watch, &[0])
}

#[test]
fn the_vips_leave_a_node_whose_interface_is_renamed() -> Result<()> {
    let stage = PairStage::set("")?;
    let watch = stage.watch()?;
    // Its IPv6 addresses outlive that it is down.
    stage.network.lbs[0].sysctl("net/ipv6/conf/eth0/keep_addr_on_down", "1")?;
    rename(&stage, 0, "eth0", "other0")?;
    stage.nodes[1].wait_for_state("active")?;
    stage.nodes[0].wait_for_state("standby")?;
    stage.wait_to_be_told(0, "interface eth0", "does not exist; lbd attaches to it when it appears")?;
    stage.wait_for_warning(0, "pair", "this node is fit by 0 of 100: eth0 has no carrier")?;
    stage.wait_for_no_vip(0)?;
    rename(&stage, 0, "other0", "eth0")?;
    stage.wait_for_owner(1)?;
    one_answers_at_a_time(watch, &[0, 1])
}

fn rename(stage: &PairStage, node: usize, from: &str, to: &str) -> Result<()> {
    let lb = &stage.network.lbs[node];
    lb.ip(&format!("link set dev {from} down"))?;
    lb.ip(&format!("link set dev {from} name {to}"))?;
    lb.up(to)
}

#[test]
fn nobody_serves_a_vip_that_another_host_has_until_that_lets_go() -> Result<()> {
    let mut stage = PairStage::prepare("")?;
    let (client, vip) = (&stage.network.client, stage.network.plan.vip_v4(0));
    client.add_address("eth0", vip.into(), 32)?;
    let mac = client.mac("eth0")?.map(|byte| format!("{byte:02x}")).join(":");
    for node in 0..2 {
        stage.start(node)?;
    }
    for node in 0..2 {
        stage.nodes[node].wait_for_state("fenced")?;
        stage.wait_to_be_told(
            node,
            "pair",
            &format!("another host has a VIP: {vip} is at {mac}; take it from that host"),
        )?;
        stage.wait_for_no_vip(node)?;
    }
    stage.network.client.ip(&format!("address del {vip}/32 dev eth0"))?;
    let owner = stage.wait_for_any_owner()?;
    one_owner_at_a_time(stage.watch()?, &[owner])
}

#[test]
fn a_key_file_that_cannot_be_used_stops_the_start_and_no_running_node() -> Result<()> {
    let mut stage = PairStage::prepare("")?;
    let keys = key_file(&stage.network.run);
    let open = |mode| fs::set_permissions(&keys, Permissions::from_mode(mode)).context("cannot open the key file");
    open(0o644)?;
    let cases = [
        (KEYS, 0o644, "others than its owner can get at it (mode 0644); shut them out: chmod 600"),
        ("1 00\n", 0o600, "line 1: the secret must be 32 to 128 hex digits"),
        ("1 000102030405060708090a0b0c0d0e0f web1\n", 0o600, "no key is good for the pair"),
    ];
    for (text, mode, why) in cases {
        fs::write(&keys, text)?;
        open(mode)?;
        let said = stage.refused_start(0)?;
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(why)).collect();
        ensure!(lines.len() == 1 && lines[0].contains(&keys.display().to_string()), "{said}");
    }
    fs::remove_file(&keys)?;
    let said = stage.refused_start(0)?;
    ensure!(said.contains("No such file or directory") && said.contains("make one: "), "{said}");

    write_keys(&stage.network.run, KEYS)?;
    for node in 0..2 {
        stage.start(node)?;
    }
    let owner = stage.wait_for_any_owner()?;
    let before = stage.mark()?;
    open(0o640)?;
    for node in 0..2 {
        stage.nodes[node].lbd.running()?.signal(libc::SIGHUP)?;
        stage.wait_for_line(node, &["reload refused", "(mode 0640)"])?;
    }
    stage.wait_for_owner(owner)?;
    stage.nothing_moved(&before)
}

#[test]
fn a_read_only_state_directory_stops_only_the_saving() -> Result<()> {
    let mut stage = PairStage::prepare(QUICK)?;
    let state = stage.network.node_dir(0).join("state");
    fs::create_dir_all(&state)?;
    output(tool("mount").args(["-t", "tmpfs", "-o", "ro", "none"]).arg(&state))?;
    for node in 0..2 {
        stage.start(node)?;
        stage.nodes[node].lbd.wait_until_ready()?;
        stage.nodes[0].wait_for_state("active")?;
    }
    stage.wait_for_owner(0)?;
    let subjects = ["pair file", "journal", "state"];
    for subject in subjects {
        stage.wait_to_be_told(0, subject, "Read-only file system")?;
    }
    // It takes over as ever.
    for (from, to) in [(0, 1), (1, 0)] {
        stage.nodes[from].wait_until_ready_for_each_other()?;
        stage.nodes[from].lbd.lbctl(&["handover"])?;
        stage.wait_for_owner(to)?;
    }
    output(tool("mount").args(["-o", "remount,rw"]).arg(&state))?;
    for subject in subjects {
        stage.wait_for_no_warning(0, subject)?;
    }
    Ok(())
}

#[test]
fn keys_are_replaced_without_a_refused_frame() -> Result<()> {
    let mut stage = PairStage::set("")?;
    // What a serial line's end has caught of a frame when it was opened counts as one of a key that is not known.
    let (watch, before, refused) = (stage.watch()?, stage.mark()?, refused_for_keys(&stage)?);
    let steps = [
        (format!("{KEYS}{NEW_KEY}"), "key 1 signs; keys that verify: 2"),
        (format!("{NEW_KEY}{KEYS}"), "key 2 signs; keys that verify: 2"),
        (NEW_KEY.to_string(), "key 2 signs; keys that verify: 1"),
    ];
    for (text, taken_over) in steps {
        write_keys(&stage.network.run, &text)?;
        for node in 0..2 {
            stage.nodes[node].lbd.running()?.signal(libc::SIGHUP)?;
            stage.wait_for_line(node, &["the keys have changed", taken_over])?;
            stage.wait_for_owner(0)?;
        }
    }
    assert_eq!(refused_for_keys(&stage)?, refused, "by node and path");
    for node in 0..2 {
        let signed = Stranger::appear(&stage)?.record(node)?;
        ensure!(signed.iter().all(|caught| caught.frame[2..4] == [0, 2]), "not all are signed with the new key");
    }
    stage.nothing_moved(&before)?;
    one_owner_at_a_time(watch, &[0])
}

/// How many frames each node has refused on each path that were not rightly signed.
fn refused_for_keys(stage: &PairStage) -> Result<Vec<u64>> {
    let paths = (0..2).flat_map(|node| Link::ALL.map(|link| (node, link)));
    let of = |(node, link)| {
        let reasons = ["unknown_key", "wrong_key", "bad_tag"];
        reasons.iter().try_fold(0, |sum, reason| Ok(sum + stage.refused(node, link, reason)?))
    };
    paths.map(of).collect()
}
