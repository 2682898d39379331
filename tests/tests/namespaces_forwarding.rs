//! Real packets through the real daemon: every mode, address family and protocol, over one interface and over two, and a
//! real server behind a gateway. Needs root.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use anyhow::{Context, Result};
use lb_lab::{Namespace, Plan, Shape, WebServer, connect, lab_object};
use lb_tests::stage::{Config, ECHO, HTTP, Kind, Stage, real_names, real_names_v6};
use lb_tests::traffic::echo_datagrams;

/// Datagrams from ports of their own: the chance that one of three reals gets none is below 10^-17.
const DATAGRAMS: usize = 100;
const SMALL: usize = 64;

/// What reaches a VIP in which mode, and over which family the reals are reached.
struct Case {
    name: &'static str,
    vip: IpAddr,
    tunnel: bool,
    reals: Vec<String>,
}

/// Every forward mode with every family that it carries.
fn cases(plan: &Plan) -> Vec<Case> {
    let ([dsr4, dsr6], [ipip4, ipip6], [in6, _]) =
        (plan.vip_addresses(0), plan.vip_addresses(1), plan.vip_addresses(2));
    let (v4, v6) = (real_names(plan.reals), real_names_v6(plan.reals));
    vec![
        Case { name: "dsr-v4", vip: dsr4, tunnel: false, reals: v4.clone() },
        Case { name: "dsr-v6", vip: dsr6, tunnel: false, reals: v6.clone() },
        Case { name: "ipip-v4-in-v4", vip: ipip4, tunnel: true, reals: v4 },
        Case { name: "ipip-v6-in-v6", vip: ipip6, tunnel: true, reals: v6.clone() },
        Case { name: "ipip-v4-in-v6", vip: in6, tunnel: true, reals: v6 },
    ]
}

fn set(shape: Shape) -> Result<Stage> {
    let plan = Plan { shape, vips: 3, ..Plan::default() };
    let mut stage = Stage::set(plan, |network| {
        let mut config = Config::of(network);
        for Case { name, vip, tunnel, reals } in cases(&network.plan) {
            let (tcp, udp) = if tunnel { (Kind::TcpIpip, Kind::UdpIpip) } else { (Kind::TcpDsr, Kind::UdpDsr) };
            config = config.service(&format!("{name}-tcp"), SocketAddr::new(vip, HTTP), tcp, &reals);
            config = config.service(&format!("{name}-udp"), SocketAddr::new(vip, ECHO), udp, &reals);
        }
        config
    })?;
    stage.start_echoes()?;
    Ok(stage)
}

/// Each service is asked; each real serves some, every answer is right, and every packet was counted.
fn every_service_works(stage: &Stage) -> Result<()> {
    for Case { name, vip, .. } in cases(&stage.network.plan) {
        let served = stage.ask(SocketAddr::new(vip, HTTP)).with_context(|| format!("{name}, TCP"))?;
        assert_eq!(names(&served), real_names(3), "{name}, TCP: {served:?}");
        let target = SocketAddr::new(vip, ECHO);
        let echoes = echo_datagrams(&stage.network.client.handle(), target, DATAGRAMS, SMALL);
        let echoes = echoes.with_context(|| format!("{name}, UDP"))?;
        assert_eq!(names(&echoes), real_names(3), "{name}, UDP: {echoes:?}");
    }
    stage.expect_no_drops()?;
    let services = stage.lbd.lbctl_json(&["services"])?;
    for service in services["services"].as_array().context("no services")? {
        let counters = &service["counters"];
        let (packets, syn) = (counters["packets"].as_u64(), counters["syn"].as_u64());
        let tcp = service["protocol"] == "tcp";
        assert_eq!(syn, Some(if tcp { 100 } else { 0 }), "{service}");
        assert!(if tcp { packets > Some(300) } else { packets == Some(100) }, "{service}");
        assert_eq!(service["slots"]["clean"], 65_537, "{service}");
    }
    Ok(())
}

fn names(counts: &BTreeMap<String, usize>) -> Vec<String> {
    counts.keys().cloned().collect()
}

#[test]
fn every_mode_and_family_on_the_interface_that_packets_came_by() {
    let stage = set(Shape::OneArm).unwrap();
    every_service_works(&stage).unwrap();
    assert_eq!(stage.status().unwrap()["interfaces"][0]["mode"], "driver");
}

#[test]
fn every_mode_and_family_out_of_another_interface() {
    let stage = set(Shape::TwoArm).unwrap();
    every_service_works(&stage).unwrap();
}

#[test]
fn generic_mode_forwards_too() {
    let plan = Plan { vips: 2, ..Plan::default() };
    let (dsr, tunnel) = (plan.vip_addresses(0)[0], plan.vip_addresses(1)[1]);
    let services = [SocketAddr::new(dsr, HTTP), SocketAddr::new(tunnel, HTTP)];
    let stage = Stage::prepare(plan, |network| {
        let config = Config::of(network).service("dsr", services[0], Kind::TcpDsr, &real_names(3));
        config.service("tunnel", services[1], Kind::TcpIpip, &real_names_v6(3)).top("attach_mode = \"generic\"")
    });
    let mut stage = stage.unwrap();
    stage.lbd.start_again().unwrap();
    stage.lbd.wait_until_ready().unwrap();
    assert_eq!(stage.status().unwrap()["interfaces"][0]["mode"], "generic");
    for service in services {
        assert_eq!(names(&stage.ask(service).unwrap()), real_names(3), "{service}");
    }
    stage.expect_no_drops().unwrap();
}

/// One service with a real on the network that packets come by (sent back out of the same interface), one on another
/// (redirected), and one behind a gateway.
#[test]
fn near_other_and_far_reals_share_one_service() {
    let plan = Plan { reals: 1, vips: 1, ..Plan::default() };
    let service = SocketAddr::new(plan.vip_addresses(0)[0], HTTP);
    let stage = Stage::prepare(plan, |network| {
        let config = Config::of(network).real("other", address(OTHER)).real("far", address(FAR));
        config.service("web", service, Kind::TcpIpip, &["real-1", "other", "far"])
    });
    let mut stage = stage.unwrap();
    let _other = add_other_real(&stage, service.ip()).unwrap();
    let _far = add_far_real(&stage, service.ip()).unwrap();
    stage.lbd.start_again().unwrap();
    stage.lbd.wait_until_ready().unwrap();
    let served = stage.ask(service).unwrap();
    assert_eq!(names(&served), ["far", "other", "real-1"], "{served:?}");
    stage.expect_no_drops().unwrap();
    let reals = stage.lbd.lbctl_json(&["reals"]).unwrap();
    let interface_of = |name: &str| {
        let real = reals["reals"].as_array().unwrap().iter().find(|real| real["name"] == name).unwrap();
        real["next_hop"]["interface"].as_str().unwrap().to_string()
    };
    assert_eq!(["real-1", "other", "far"].map(interface_of), ["eth0", "eth1", "eth0"]);
}

const OTHER: &str = "203.0.113.9";
const OTHER_NEAR_LB: &str = "203.0.113.1";
const OTHER_NEAR_CLIENT: &str = "192.0.2.40";
const FAR: &str = "203.0.113.130";
const FAR_GATEWAY: &str = "203.0.113.129";
const GATEWAY: &str = "192.0.2.200";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A real server on a second interface of the balancer. It answers the client over a second one of its own.
fn add_other_real(stage: &Stage, vip: IpAddr) -> Result<(Namespace, WebServer)> {
    let network = &stage.network;
    let other = Namespace::new(&network.run, "other")?;
    hold_vip(&other, vip)?;
    connect(&network.lb, "eth1", &other, "eth0")?;
    network.lb.add_address("eth1", address(OTHER_NEAR_LB), 25)?;
    network.lb.up("eth1")?;
    other.attach_xdp("eth0", &lab_object()?, "decap")?;
    other.add_address("eth0", address(OTHER), 25)?;
    other.up("eth0")?;
    network.plug(&other, "eth1", "other", network.plan.fabric_mtu)?;
    other.add_address("eth1", address(OTHER_NEAR_CLIENT), 24)?;
    let server = WebServer::start(&network.run, &other, "other", &[HTTP])?;
    Ok((other, server))
}

/// A real server behind a router on the switch.
fn add_far_real(stage: &Stage, vip: IpAddr) -> Result<(Namespace, Namespace, WebServer)> {
    let network = &stage.network;
    let (router, far) = (Namespace::new(&network.run, "router")?, Namespace::new(&network.run, "far")?);
    network.plug(&router, "eth0", "router", network.plan.fabric_mtu)?;
    router.add_address("eth0", address(GATEWAY), 24)?;
    router.sysctl("net/ipv4/ip_forward", "1")?;
    hold_vip(&far, vip)?;
    connect(&router, "eth1", &far, "eth0")?;
    router.add_address("eth1", address(FAR_GATEWAY), 25)?;
    router.up("eth1")?;
    far.attach_xdp("eth0", &lab_object()?, "decap")?;
    far.add_address("eth0", address(FAR), 25)?;
    far.up("eth0")?;
    far.ip(&format!("route add default via {FAR_GATEWAY}"))?;
    network.lb.ip(&format!("route add {FAR}/32 via {GATEWAY}"))?;
    let server = WebServer::start(&network.run, &far, "far", &[HTTP])?;
    Ok((router, far, server))
}

/// A real server has the VIP, answers no ARP for it, and takes its packets wherever they come from.
fn hold_vip(namespace: &Namespace, vip: IpAddr) -> Result<()> {
    for place in ["all", "default"] {
        namespace.sysctl(&format!("net/ipv4/conf/{place}/arp_ignore"), "1")?;
        namespace.sysctl(&format!("net/ipv4/conf/{place}/arp_announce"), "2")?;
        namespace.sysctl(&format!("net/ipv4/conf/{place}/rp_filter"), "0")?;
    }
    namespace.add_address("lo", vip, 32)
}

/// First addresses and lengths of prefixes that are VIPs, and addresses in them.
const PREFIXES: [(&str, u8, [&str; 3]); 2] = [
    ("198.19.200.0", 24, ["198.19.200.0", "198.19.200.77", "198.19.200.255"]),
    ("2001:db8:beef::", 48, ["2001:db8:beef::", "2001:db8:beef:1::7", "2001:db8:beef:ffff:ffff:ffff:ffff:ffff"]),
];
/// Inside of the first prefix, with a real of its own.
const NARROW: &str = "198.19.200.64";

/// A balancer to which prefixes are routed, and whose reals have all their addresses.
fn set_prefixes(kinds: [Kind; 2]) -> Result<Stage> {
    let plan = Plan { vips: 1, ..Plan::default() };
    let stage = Stage::set(plan, |network| {
        let [v4, v6] = [real_names(3), real_names_v6(3)];
        let config = Config::of(network);
        let first = |index: usize| SocketAddr::new(address(PREFIXES[index].0), HTTP);
        let config = config.service("wide-v4", first(0), kinds[0], &v4).vip_prefix(PREFIXES[0].1);
        let config = config.service("wide-v6", first(1), kinds[1], &v6).vip_prefix(PREFIXES[1].1);
        config.service("narrow", SocketAddr::new(address(NARROW), HTTP), kinds[0], &["real-1"]).vip_prefix(28)
    })?;
    for ((first, length, _), lb) in PREFIXES.into_iter().zip(stage.network.plan.lb_addresses()) {
        stage.network.client.ip(&format!("route add {first}/{length} via {lb}"))?;
        for real in &stage.network.reals {
            real.ip(&format!("route add local {first}/{length} dev lo"))?;
        }
    }
    Ok(stage)
}

fn prefixes_are_served(stage: &Stage) -> Result<()> {
    for vip in PREFIXES.into_iter().flat_map(|(_, _, vips)| vips) {
        let served = stage.ask(SocketAddr::new(address(vip), HTTP)).with_context(|| vip.to_owned())?;
        // 198.19.200.77 is in the narrow one.
        let wanted = if vip == PREFIXES[0].2[1] { real_names(1) } else { real_names(3) };
        assert_eq!(names(&served), wanted, "{vip}: {served:?}");
    }
    stage.expect_no_drops()
}

#[test]
fn every_address_of_a_prefix_is_the_vip() {
    let stage = set_prefixes([Kind::TcpDsr, Kind::TcpIpip]).unwrap();
    prefixes_are_served(&stage).unwrap();
    // No address of it is missed on the interfaces, and clients are told which it is.
    assert!(stage.status().unwrap()["warnings"].as_array().unwrap().is_empty(), "{:?}", stage.status().unwrap());
    let services = stage.lbd.lbctl_json(&["services"]).unwrap();
    assert_eq!(
        (&services["services"][0]["vip"], &services["services"][0]["vip_prefix"]),
        (&"198.19.200.0".into(), &24.into())
    );
    let shown = stage.lbd.lbctl(&["services"]).unwrap();
    assert!(shown.contains("198.19.200.0/24:80") && shown.contains("[2001:db8:beef::/48]:80"), "{shown}");
    // The host would send it back to the client.
    let unclaimed = SocketAddr::new(address(PREFIXES[0].2[2]), ECHO);
    stage.network.client.run(|| Ok(UdpSocket::bind("0.0.0.0:0")?.send_to(b"x", unclaimed)?)).unwrap();
    assert_eq!(stage.count("no_service").unwrap(), 1);
}

#[test]
fn a_prefix_stays_served_over_a_restart_and_goes_with_its_service() {
    let mut stage = set_prefixes([Kind::TcpIpip, Kind::TcpDsr]).unwrap();
    stage.lbd.kill().unwrap();
    stage.lbd.start_again().unwrap();
    stage.lbd.wait_until_ready().unwrap();
    prefixes_are_served(&stage).unwrap();
    stage.lbd.lbctl(&["remove", "service", "narrow"]).unwrap();
    let target = SocketAddr::new(address(PREFIXES[0].2[1]), HTTP);
    assert_eq!(names(&stage.ask(target).unwrap()), real_names(3), "the wide one has its addresses now");
    stage
        .lbd
        .lbctl(&[
            "add",
            "service",
            "narrow",
            "--vip",
            "198.19.200.64/28",
            "--port",
            "80",
            "--mode",
            "ipip",
            "--real",
            "real-2",
        ])
        .unwrap();
    assert_eq!(names(&stage.ask(target).unwrap()), ["real-2"]);
}
