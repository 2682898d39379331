//! A bare host becomes a real server of a running `lbd`, and a bare host again.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lb_lab::{Connection, Lbd, Network, Plan, WebServer, connectable, wait_for};

use crate::host::{ADDRESSES, Host};

/// Longer than any machine needs; only a failure waits for it.
const LIMIT: Duration = Duration::from_secs(30);
const HTTP: u16 = 80;

/// A client and a load balancer that sends everything to one bare host.
struct Stage {
    _lbd: Lbd,
    _web: WebServer,
    host: Host,
    network: Network,
}

impl Stage {
    fn set() -> Result<Stage> {
        let network = Network::build(Plan { reals: 0, vips: 1, ..Plan::default() })?;
        let host = Host::new(&network.run)?;
        network.plug(&host.namespace, "eth0", "bare", 1500)?;
        host.address()?;
        let web = WebServer::start(&network.run, &host.namespace, "bare", &[HTTP])?;
        let lbd = Lbd::start(&network.run, &network.lb, &config(&network.plan))?;
        Ok(Stage { _lbd: lbd, _web: web, host, network })
    }

    fn vips(&self) -> [IpAddr; 2] {
        self.network.plan.vip_addresses(0)
    }

    /// `--mode`, `--vip` and the interface.
    fn wish(&self) -> String {
        let [v4, v6] = self.vips();
        format!("--mode dsr --vip {v4} {v6} --interface eth0")
    }

    /// Whom a client takes for a VIP that the load balancer is silent about: a MAC address, or nobody.
    fn who_has(&self, vip: IpAddr) -> Result<String> {
        self.network.switch.ip("link set dev lb down")?;
        self.network.client.ip("neighbour flush dev eth0")?;
        let ask = || Ok(UdpSocket::bind(any_like(vip))?.send_to(b"?", SocketAddr::new(vip, 9))?);
        self.network.client.run(ask)?;
        let found = wait_for(&format!("an answer, or none, for {vip}"), LIMIT, || {
            let said = self.network.client.ip(&format!("neighbour show {vip} dev eth0"))?;
            Ok((said.contains("lladdr") || said.contains("FAILED")).then_some(said))
        })?;
        self.network.switch.ip("link set dev lb up")?;
        self.network.client.ip("neighbour flush dev eth0")?;
        Ok(found)
    }

    fn is_served(&self, vip: IpAddr) -> Result<()> {
        wait_for(&format!("an answer from {vip}"), LIMIT, || {
            let answer = Connection::open(&self.network.client.handle(), SocketAddr::new(vip, HTTP));
            Ok(answer.and_then(|mut to| to.get("/")).ok().filter(|name| name == "bare").map(drop))
        })
    }
}

fn any_like(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }
}

fn config(plan: &Plan) -> String {
    let mut text = "interfaces = [\"eth0\"]\n".to_owned();
    for (address, vip) in ADDRESSES.iter().zip(plan.vip_addresses(0)) {
        let family = if vip.is_ipv4() { "v4" } else { "v6" };
        text += &format!("[[real]]\nname = \"bare-{family}\"\naddress = \"{address}\"\n");
        text += &format!("[[service]]\nname = \"web-{family}\"\nvip = \"{vip}\"\nport = {HTTP}\nprotocol = \"tcp\"\n");
        text += &format!("mode = \"dsr\"\nreals = [\"bare-{family}\"]\n");
    }
    text
}

#[test]
fn a_bare_host_becomes_a_real_server_and_a_bare_host_again() {
    let stage = Stage::set().unwrap();
    let host = &stage.host;
    let [v4, v6] = stage.vips();
    let former = host.state().unwrap();

    let (missing, code) = host.missing(&stage.wish()).unwrap();
    let addresses = [format!("lo has {v4}/32"), format!("lo has {v6}/128")];
    let arp = ["arp_ignore of all is 1", "arp_announce of all is 2"];
    assert_eq!(missing, arp.into_iter().chain(addresses.iter().map(String::as_str)).collect::<Vec<_>>());
    assert_eq!(code, Some(1));
    for vip in [v4, v6] {
        assert!(!connectable(&stage.network.client.handle(), SocketAddr::new(vip, HTTP)), "{vip} is not served yet");
    }

    host.succeed(&format!("setup {}", stage.wish())).unwrap();
    assert_eq!(host.state().unwrap(), former, "a dry run changes nothing");

    let said = host.succeed(&format!("setup --apply {}", stage.wish())).unwrap();
    assert!(said.contains(&format!("\nip address add {v4}/32 dev lo\n")), "{said}");
    assert!(said.contains("Nothing of this survives a reboot"), "{said}");
    assert_eq!(host.missing(&format!("{} --port {HTTP}", stage.wish())).unwrap(), (vec![], Some(0)));
    assert_eq!(host.missing(&format!("--port {HTTP}")).unwrap(), (vec![], Some(0)), "by the record");
    for vip in [v4, v6] {
        stage.is_served(vip).unwrap();
        let nobody = stage.who_has(vip).unwrap();
        assert!(nobody.contains("FAILED"), "{nobody}");
        stage.is_served(vip).unwrap();
    }

    let (applied, record) = (host.state().unwrap(), host.record());
    let said = host.succeed(&format!("setup --apply {}", stage.wish())).unwrap();
    assert_eq!(said, "All is so already; nothing was changed.\n");
    assert_eq!((host.state().unwrap(), host.record()), (applied, record));

    for _ in 0..2 {
        host.succeed("setup --undo").unwrap();
        assert_eq!(host.state().unwrap(), former);
        assert_eq!(host.record(), None);
    }
}

#[test]
fn a_host_with_the_vip_alone_answers_for_it_and_the_doctor_says_so() {
    let stage = Stage::set().unwrap();
    let host = &stage.host;
    let [vip, _] = stage.vips();
    host.namespace.add_address("lo", vip, 32).unwrap();
    let mac = host.namespace.mac("eth0").unwrap().map(|byte| format!("{byte:02x}")).join(":");
    let answer = stage.who_has(vip).unwrap();
    assert!(answer.contains(&mac), "{answer} is not {mac}");
    let wish = format!("--mode dsr --vip {vip} --interface eth0");
    let arp = ["arp_ignore of all is 1", "arp_announce of all is 2"].map(str::to_owned);
    assert_eq!(host.missing(&wish).unwrap(), (arp.to_vec(), Some(1)));

    let former = host.state().unwrap();
    host.succeed(&format!("setup --apply {wish}")).unwrap();
    let nobody = stage.who_has(vip).unwrap();
    assert!(nobody.contains("FAILED"), "{nobody}");
    host.succeed("setup --undo").unwrap();
    assert_eq!(host.state().unwrap(), former, "the address was not ours");
}

#[test]
fn a_vip_on_the_network_is_in_the_way() {
    let stage = Stage::set().unwrap();
    let host = &stage.host;
    let [vip, _] = stage.vips();
    host.namespace.add_address("eth0", vip, 24).unwrap();
    let former = host.state().unwrap();
    let refused = host.lb_agent(&format!("setup --apply {}", stage.wish())).unwrap();
    let said = crate::host::stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.starts_with("nothing was changed, since this is in the way:"), "{said}");
    assert!(said.contains(&format!("fix: ip address del {vip}/24 dev eth0")), "{said}");
    assert_eq!((host.state().unwrap(), host.record()), (former, None));
    let fix = format!("address del {vip}/24 dev eth0");
    host.namespace.ip(&fix).context("the fix").unwrap();
    host.succeed(&format!("setup --apply {}", stage.wish())).unwrap();
}
