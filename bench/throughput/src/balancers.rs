//! What balances: started once, each in its lane, and left to run.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lb_lab::{Lbd, Namespace, Process, connectable, describe, output, wait_for};

use crate::system::{Lane, System};
use crate::world::{REALS, WEB, World, lb_address, real_address, real_name, vip};

/// Where the generator's packets go.
pub const FLOOD_PORT: u16 = 9;
const HAPROXY_PORT: u16 = 8_081;
const NGINX_PORT: u16 = 8_082;
const START_LIMIT: Duration = Duration::from_secs(20);
/// Connections that a proxy holds at once.
const PROXIED: u32 = 4_000;
/// Where Debian's package has nginx's module for streams.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// All that run. Dropped, they end.
pub struct Balancers {
    lbd: Option<Lbd>,
    haproxy: Option<Process>,
    nginx: Option<Process>,
}

impl Balancers {
    /// Starts those that these systems need.
    pub fn start(world: &World, systems: &[System]) -> Result<Balancers> {
        let has = |lane| systems.iter().any(|system| system.lane() == Some(lane));
        let lbd = has(Lane::Understudy).then(|| start_lbd(world)).transpose()?;
        if has(Lane::Nftables) {
            load_rules(world)?;
        }
        if has(Lane::Ipvs) {
            set_ipvs(world)?;
        }
        let haproxy = systems.contains(&System::Haproxy).then(|| start_haproxy(world)).transpose()?;
        let nginx = systems.contains(&System::Nginx).then(|| start_nginx(world)).transpose()?;
        Ok(Balancers { lbd, haproxy, nginx })
    }

    /// The process of a system; none where the kernel does it all.
    pub fn process(&mut self, system: System) -> Result<Option<&mut Process>> {
        Ok(match (system, system.lane(), &mut self.lbd) {
            (System::Haproxy, ..) => self.haproxy.as_mut(),
            (System::Nginx, ..) => self.nginx.as_mut(),
            (_, Some(Lane::Understudy), Some(lbd)) => Some(lbd.running()?),
            _ => None,
        })
    }
}

/// Where clients ask a system for pages, at an address that is its own.
pub fn web_port(system: System) -> u16 {
    match system {
        System::Haproxy => HAPROXY_PORT,
        System::Nginx => NGINX_PORT,
        _ => WEB,
    }
}

/// One daemon with a service for each mode and kind of traffic, on all interfaces of its lane.
fn start_lbd(world: &World) -> Result<Lbd> {
    let interfaces: Vec<String> = (0..=REALS).map(|number| format!("eth{number}")).collect();
    let mut config = format!("interfaces = {interfaces:?}\n");
    for number in 1..=REALS {
        let address = real_address(Lane::Understudy, number);
        writeln!(config, "[[real]]\nname = {:?}\naddress = \"{address}\"", real_name(number))?;
    }
    let reals: Vec<String> = (1..=REALS).map(real_name).collect();
    for system in [System::UnderstudyDsr, System::UnderstudyIpip, System::UnderstudyNat] {
        let number = system.vip().context("a mode without a VIP")?;
        let mode = system.name().trim_start_matches("understudy-");
        for (protocol, port) in [("tcp", WEB), ("udp", FLOOD_PORT)] {
            writeln!(
                config,
                "[[service]]\nname = \"{mode}-{protocol}\"\nvip = \"{}\"\nprotocol = \"{protocol}\"\nport = {port}\n\
                 mode = \"{mode}\"\nscheduling = \"static\"\nreals = {reals:?}",
                vip(Lane::Understudy, number)
            )?;
        }
    }
    Lbd::start(&world.run, world.lb(Lane::Understudy)?, &config)
}

/// Destination NAT to each real server in turn; connection tracking takes the replies back.
fn load_rules(world: &World) -> Result<()> {
    let lb = world.lb(Lane::Nftables)?;
    let elements: Vec<String> =
        (1..=REALS).map(|number| format!("{} : {}", number - 1, real_address(Lane::Nftables, number))).collect();
    let (vip, elements) = (vip(Lane::Nftables, 0), elements.join(", "));
    let mut rules = "table ip balance {\n  chain in {\n    type nat hook prerouting priority dstnat;\n".to_string();
    for (protocol, port) in [("tcp", WEB), ("udp", FLOOD_PORT)] {
        writeln!(
            rules,
            "    ip daddr {vip} {protocol} dport {port} dnat to numgen inc mod {REALS} map {{ {elements} }}"
        )?;
    }
    rules += "  }\n}\n";
    let file = write(world, "nftables.conf", &rules)?;
    output(lb.command("nft").arg("-f").arg(file)).context("nftables does not take the rules")?;
    // Connections that have ended are kept for two minutes, and several runs' would be more than the host allows.
    lb.sysctl("net/netfilter/nf_conntrack_tcp_timeout_time_wait", "1")
}

/// One virtual service for each mode and kind of traffic.
fn set_ipvs(world: &World) -> Result<()> {
    let lb = world.lb(Lane::Ipvs)?;
    for (system, mode) in [(System::IpvsDr, "-g"), (System::IpvsTun, "-i"), (System::IpvsNat, "-m")] {
        let vip = vip(Lane::Ipvs, system.vip().context("a mode without a VIP")?);
        for (protocol, port) in [("-t", WEB), ("-u", FLOOD_PORT)] {
            let service = format!("{vip}:{port}");
            output(lb.command("ipvsadm").args(["-A", protocol, &service, "-s", "rr"]))?;
            for number in 1..=REALS {
                let real = format!("{}:{port}", real_address(Lane::Ipvs, number));
                output(lb.command("ipvsadm").args(["-a", protocol, &service, "-r", &real, mode]))?;
            }
        }
    }
    Ok(())
}

fn start_haproxy(world: &World) -> Result<Process> {
    let address = SocketAddr::new(lb_address(Lane::Router), HAPROXY_PORT);
    let mut text = format!(
        "global\n  maxconn {PROXIED}\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  \
         timeout server 60s\nlisten web\n  bind {address}\n  balance roundrobin\n"
    );
    for (name, server) in servers() {
        writeln!(text, "  server {name} {server}")?;
    }
    let file = write(world, "haproxy.cfg", &text)?;
    let lb = world.lb(Lane::Router)?;
    let mut command = lb.command("haproxy");
    command.args(["-db", "-f"]).arg(file);
    start(world, lb, &mut command, "haproxy", address)
}

fn start_nginx(world: &World) -> Result<Process> {
    let address = SocketAddr::new(lb_address(Lane::Router), NGINX_PORT);
    let dir = world.run.dir().join("stream");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let servers: String = servers().map(|(_, server)| format!("    server {server};\n")).collect();
    let text = format!(
        "load_module {STREAM_MODULE};\nuser root;\ndaemon off;\nworker_processes 1;\npid {dir}/nginx.pid;\n\
         error_log {dir}/error.log;\nevents {{ worker_connections {PROXIED}; }}\nstream {{\n  upstream reals {{\n\
         {servers}  }}\n  server {{\n    listen {address} backlog=4096;\n    proxy_pass reals;\n  }}\n}}\n",
        dir = dir.display()
    );
    let file = write(world, "stream.conf", &text)?;
    let lb = world.lb(Lane::Router)?;
    let mut command = lb.command("nginx");
    command.arg("-p").arg(&dir).arg("-e").arg(dir.join("error.log")).arg("-c").arg(file);
    start(world, lb, &mut command, "nginx-stream", address)
}

/// The real servers as the proxies reach them.
fn servers() -> impl Iterator<Item = (String, SocketAddr)> {
    (1..=REALS).map(|number| (real_name(number), SocketAddr::new(real_address(Lane::Router, number), WEB)))
}

fn start(world: &World, lb: &Namespace, command: &mut Command, name: &str, address: SocketAddr) -> Result<Process> {
    let mut process = Process::spawn(command, &world.run.dir().join(format!("{name}.log")))?;
    wait_for(&format!("`{}` to listen", describe(command)), START_LIMIT, || {
        if !process.is_running() {
            bail!("`{}` has ended: {}", describe(command), process.log().trim());
        }
        Ok(connectable(&lb.handle(), address).then_some(()))
    })?;
    Ok(process)
}

fn write(world: &World, name: &str, text: &str) -> Result<std::path::PathBuf> {
    let path = world.run.dir().join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
