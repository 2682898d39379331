//! The lab's own tests: what the other tests stand on. They need root.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use lb_lab::{
    Connection, Load, Namespace, Network, Plan, Process, Run, Server, Shape, SlowMachine, WebServer, wait_for,
};

const CHILD: &str = "LAB_TEST_CRASHING_CHILD";
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

#[test]
fn client_reaches_every_real_server_over_both_shapes_and_families() {
    for shape in [Shape::OneArm, Shape::TwoArm] {
        let network = Network::build(Plan { shape, reals: 2, ..Plan::default() }).unwrap();
        for (index, namespace) in network.reals.iter().enumerate() {
            let name = format!("real-{}", index + 1);
            let _server = WebServer::start(&network.run, namespace, &name, &[80]).unwrap();
            // With two arms the client's second interface leads to the real servers.
            for address in network.plan.real_addresses(index as u8) {
                let target = SocketAddr::new(address, 80);
                let mut connection = Connection::open(&network.client.handle(), target).unwrap();
                assert_eq!(connection.get("/").unwrap(), name);
                assert_eq!(connection.get("/").unwrap(), name, "over the same connection");
            }
        }
    }
}

#[test]
fn nobody_but_the_balancer_answers_for_a_vip() {
    let network = Network::build(Plan::default()).unwrap();
    let mac = network.lb.mac("eth0").unwrap().map(|byte| format!("{byte:02x}")).join(":");
    for vip in network.plan.vip_addresses(0) {
        let neighbour = resolve(&network, vip, "lladdr");
        assert!(neighbour.contains(&mac), "{neighbour} is not {mac}");
    }
    network.lb.ip("link set dev eth0 down").unwrap();
    network.client.ip("neighbour flush dev eth0").unwrap();
    for vip in network.plan.vip_addresses(0) {
        resolve(&network, vip, "FAILED");
    }
}

/// Makes the client ask who has an address, and waits until the neighbour entry says `word`.
fn resolve(network: &Network, address: IpAddr, word: &str) -> String {
    let send = || Ok(UdpSocket::bind(any_like(address))?.send_to(b"?", SocketAddr::new(address, 9))?);
    network.client.run(send).unwrap();
    wait_for(&format!("{word} in the neighbour entry of {address}"), ANSWER_LIMIT, || {
        let said = network.client.ip(&format!("neighbour show {address} dev eth0"))?;
        Ok(said.contains(word).then_some(said))
    })
    .unwrap()
}

#[test]
fn real_server_takes_the_outer_header_off_and_answers_the_client_directly() {
    for shape in [Shape::OneArm, Shape::TwoArm] {
        let network = Network::build(Plan { shape, reals: 1, ..Plan::default() }).unwrap();
        let [vip4, vip6] = network.plan.vip_addresses(0);
        let [outer4, outer6] = network.plan.real_addresses(0);
        for (vip, outer) in [(vip4, outer4), (vip4, outer6), (vip6, outer6)] {
            let answer = ask_through_tunnel(&network, vip, outer).unwrap();
            assert_eq!(answer, format!("real-1 to {vip} in {outer}"));
        }
    }
}

/// Sends a datagram from the client to a UDP echo on the VIP, by a tunnel packet made by hand in the balancer's place.
fn ask_through_tunnel(network: &Network, vip: IpAddr, outer: IpAddr) -> Result<String> {
    let service = SocketAddr::new(vip, 7);
    let _echo = Server::udp_echo(&network.reals[0], "real-1", service)?;
    let client = network.plan.client_addresses()[usize::from(vip.is_ipv6())];
    let socket = network.client.run(|| Ok(UdpSocket::bind(SocketAddr::new(client, 0))?))?;
    socket.set_read_timeout(Some(ANSWER_LIMIT))?;
    let words = format!("to {vip} in {outer}");
    let inner = udp_packet(socket.local_addr()?, service, words.as_bytes());
    network.lb.run(|| send_in_tunnel(outer, vip.is_ipv6(), &inner))?;
    let mut buffer = [0; 200];
    let (length, from) = socket.recv_from(&mut buffer).context("no answer")?;
    assert_eq!(from, service, "the answer comes from the VIP");
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// The kernel writes the outer header of a raw socket with the tunnel's protocol number.
fn send_in_tunnel(to: IpAddr, inner_is_v6: bool, packet: &[u8]) -> Result<()> {
    let protocol = if inner_is_v6 { libc::IPPROTO_IPV6 } else { libc::IPPROTO_IPIP };
    let family = if to.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    // SAFETY: socket takes no pointers.
    let descriptor = unsafe { libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
    if descriptor < 0 {
        return Err(std::io::Error::last_os_error()).context("cannot open a raw socket");
    }
    // SAFETY: the descriptor was opened above and belongs to nothing else.
    let socket = UdpSocket::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    socket.send_to(packet, SocketAddr::new(to, 0)).context("cannot send into the tunnel")?;
    Ok(())
}

fn udp_packet(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len() as u16;
    let mut udp = [from.port().to_be_bytes(), to.port().to_be_bytes(), length.to_be_bytes(), [0, 0]].concat();
    udp.extend_from_slice(payload);
    let mut packet = Vec::new();
    match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total = (20 + length).to_be_bytes();
            packet.extend([0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, 17, 0, 0]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
            let sum = internet_checksum(&packet).to_be_bytes();
            packet[10..12].copy_from_slice(&sum);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let addresses = [source.octets(), destination.octets()].concat();
            let pseudo = [&addresses[..], &[0, 0, 0, 17], &[0, 0], &length.to_be_bytes(), &udp].concat();
            let sum = internet_checksum(&pseudo).to_be_bytes();
            udp[6..8].copy_from_slice(&sum);
            let length = length.to_be_bytes();
            packet.extend([0x60, 0, 0, 0, length[0], length[1], 17, 64]);
            packet.extend(addresses);
        }
        _ => unreachable!("both ends are of one family"),
    }
    packet.extend(udp);
    packet
}

fn internet_checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn any_like(address: IpAddr) -> SocketAddr {
    if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap()
}

#[test]
fn load_counts_answers_by_real_server_and_failures() {
    let network = Network::build(Plan { reals: 1, ..Plan::default() }).unwrap();
    let _server = WebServer::start(&network.run, &network.reals[0], "real-1", &[80]).unwrap();
    let address = network.plan.real_addresses(0)[0];
    let targets = [SocketAddr::new(address, 80), SocketAddr::new(address, 81)];
    let load = Load::start(&network.client.handle(), &targets, 2, Duration::ZERO);
    wait_for("40 requests", ANSWER_LIMIT, || Ok((load.requests() >= 40).then_some(()))).unwrap();
    let tallies = load.stop().unwrap();
    assert!(tallies[0].served["real-1"] >= 20 && tallies[0].failed == 0, "{tallies:?}");
    assert!(tallies[1].served.is_empty() && tallies[1].failed >= 20, "{tallies:?}");
    assert!(tallies[1].reasons[0].contains("refused"), "{tallies:?}");
}

#[test]
fn what_a_crashed_run_left_is_taken_down_by_the_next() {
    if std::env::var_os(CHILD).is_some() {
        crash();
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "what_a_crashed_run_left_is_taken_down_by_the_next", "--nocapture"])
        .env(CHILD, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    let word = |name: &str| -> String {
        let at = said.find(name).unwrap_or_else(|| panic!("no {name} in `{said}` {child:?}"));
        said[at + name.len()..].split_whitespace().next().unwrap().to_string()
    };
    let (namespace, sleeper, dir) = (word("namespace="), word("sleeper="), word("dir="));
    let group = word("group=");
    let _run = Run::start().unwrap();
    assert!(!Path::new("/run/netns").join(namespace).exists());
    assert!(!Path::new(&dir).exists());
    for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpuacct"] {
        assert!(!Path::new(&format!("{root}{group}")).exists(), "{root}{group}");
    }
    wait_for("the end of the left process", ANSWER_LIMIT, || {
        let state = std::fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
        Ok((state.is_empty() || state.contains(") Z ")).then_some(()))
    })
    .unwrap();
}

#[test]
fn an_interrupted_run_removes_its_control_groups() {
    if std::env::var_os(CHILD).is_some() {
        return interrupted();
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "an_interrupted_run_removes_its_control_groups", "--nocapture"])
        .env(CHILD, "yes")
        .output()
        .unwrap();
    let said = [child.stdout, child.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(child.status.success() && said.contains("interrupted: true") && !said.contains("cleaning up"), "{said}");
}

/// The run that is interrupted while a process has yet to leave its group.
fn interrupted() {
    lb_lab::interrupt::install();
    let run = Run::start().unwrap();
    let machine = SlowMachine::new(&run, "slow", 50).unwrap();
    let mut command = lb_lab::tool("sleep");
    machine.bind(&mut command).unwrap();
    let sleeper = Process::spawn(command.arg("1000"), &run.dir().join("log")).unwrap();
    // SAFETY: raise takes no pointers, and the handler that is installed only sets a flag.
    unsafe { libc::raise(libc::SIGINT) };
    println!("interrupted: {}", lb_lab::interrupt::requested());
    sleeper.signal(libc::SIGKILL).unwrap();
    drop(machine);
}

#[test]
fn a_slow_machine_counts_the_time_of_what_runs_in_it() {
    let run = Run::start().unwrap();
    let machine = SlowMachine::new(&run, "slow", 50).unwrap();
    let mut command = lb_lab::tool("sh");
    command.args(["-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"]);
    machine.bind(&mut command).unwrap();
    let mut process = Process::spawn(&mut command, &run.dir().join("log")).unwrap();
    assert!(process.wait(ANSWER_LIMIT).unwrap().success(), "{}", process.log());
    // 100,000 rounds of a shell's loop take longer than its start.
    assert!(machine.used().unwrap() > Duration::from_millis(10), "{:?}", machine.used());
}

#[test]
fn a_web_server_on_a_slow_machine_uses_the_time_of_that_machine() {
    let run = Run::start().unwrap();
    let namespace = Namespace::new(&run, "real").unwrap();
    let machine = SlowMachine::new(&run, "slow", 50).unwrap();
    let server = WebServer::start_on(&machine, &run, &namespace, "real", &[80]).unwrap();
    let before = machine.used().unwrap();
    let target = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 80);
    let load = Load::start(&namespace.handle(), &[target], 1, Duration::ZERO);
    let more = || Ok((machine.used()? > before && load.tallies()[0].total() > 100).then_some(()));
    wait_for("the time of the machine to be used", ANSWER_LIMIT, more).unwrap();
    assert_eq!(load.stop().unwrap()[0].failed, 0);
    server.kill();
    // The machine is empty, so that it can be removed.
    drop(machine);
    assert!(!Connection::open(&namespace.handle(), target).is_ok_and(|mut connection| connection.get("/").is_ok()));
}

/// The run that crashes.
fn crash() -> ! {
    let run = Run::start().unwrap();
    let namespace = Namespace::new(&run, "left").unwrap();
    let machine = SlowMachine::new(&run, "slow", 50).unwrap();
    let mut command = namespace.command("sleep");
    machine.bind(&mut command).unwrap();
    let sleeper = Process::spawn(command.arg("1000"), &run.dir().join("log")).unwrap();
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", sleeper.pid())).unwrap();
    assert!(groups.contains(&machine.path()), "{groups}");
    println!("namespace={} sleeper={} group={} ", namespace.name(), sleeper.pid(), machine.path());
    println!("dir={} end", run.dir().display());
    std::process::abort();
}
