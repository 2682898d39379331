//! Affinity across services of a group, and over a takeover in a pair: a client stays with its real server, whatever it asks for and whoever
//! forwards. Needs root.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use lb_core::api::Health;
use lb_lab::{Node, Plan, WebServer};
use lb_tests::pair::{PairSetting, PairStage};
use lb_tests::stage::{Config, HTTP, Kind, Stage, real_name, real_names};
use lb_tests::traffic::{Clients, SECOND_PORT};

const HTTPS: u16 = 443;
const REALS: u8 = 3;
/// Clients, each with an address of its own.
const CLIENTS: u8 = 40;
/// Their first addresses, in the network of the reals.
const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 180);
/// Of clients that come late.
const LATE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 220);
const LATE_CLIENTS: u8 = 20;
const GROUP: &str = "affinity = { timeout = \"10m\", group = \"shop\" }";
const CHECK: &str = "[[check]]\nname = \"alive\"\ntype = \"http\"\ninterval = \"200ms\"\nfall = 2";

type Answers = BTreeMap<Ipv4Addr, String>;

/// A shop at two ports, whose reals have a web server for each of them.
struct Shop {
    second: Vec<WebServer>,
    stage: Stage,
    services: [SocketAddr; 2],
    clients: Clients,
}

impl Shop {
    fn set() -> Result<Shop> {
        let plan = Plan { vips: 1, reals: REALS, ..Plan::default() };
        let services = [HTTP, HTTPS].map(|port| SocketAddr::new(plan.vip_addresses(0)[0], port));
        let mut stage = Stage::prepare(plan, |network| {
            let config = Config::of(network).top("[scheduler]\nslow_start = \"0s\"").top(CHECK);
            let named = ["web", "tls"].into_iter().zip(services);
            named.fold(config, |config, (name, service)| {
                let config = config.service(name, service, Kind::TcpDsr, &real_names(REALS));
                config.line(GROUP).line("checks = [\"alive\"]")
            })
        })?;
        let start = |(index, real)| {
            WebServer::start(&stage.network.run, real, &format!("{}{SECOND_PORT}", real_name(index)), &[HTTPS])
        };
        let second = (0..).zip(&stage.network.reals).map(start).collect::<Result<_>>()?;
        stage.lbd.start_again()?;
        stage.lbd.wait_until_ready()?;
        for name in real_names(REALS) {
            stage.wait_for_real(&name, "up", |real| real.health == Health::Up)?;
        }
        let clients = Clients::add(&stage.network.client, FIRST, CLIENTS)?;
        Ok(Shop { second, stage, services, clients })
    }

    /// Who answers each client, at both ports the same.
    fn ask(&self) -> Result<Answers> {
        let [web, tls] = self.services.map(|service| self.clients.ask(&self.stage.network.client, service));
        let (web, tls) = (web.context("at the first port")?, tls.context("at the second port")?);
        ensure!(web == tls, "clients have two reals: {web:?} {tls:?}");
        Ok(web)
    }

    /// Waits until neither service has slots of a real.
    fn wait_until_out(&self, real: &str) -> Result<()> {
        let is_out = |real: &lb_core::api::TableReal| real.services.iter().all(|own| own.slots == 0);
        self.stage.wait_for_real(real, "out of both services", is_out).map(drop)
    }
}

#[test]
fn a_client_has_one_real_in_all_services_of_a_group() -> Result<()> {
    let mut shop = Shop::set()?;
    let before = shop.ask()?;
    let reals: BTreeSet<&String> = before.values().collect();
    ensure!(reals.len() == usize::from(REALS), "clients are spread over all reals: {before:?}");
    let services = shop.stage.lbd.lbctl_json(&["services"])?;
    ensure!(services["services"][1]["affinity"]["group"] == "shop", "{services}");

    // Weights move, and a real gets no new clients at all: who was there stays.
    shop.stage.lbd.lbctl(&["weight", "real-1", "10"])?;
    shop.stage.lbd.lbctl(&["drain", "real-3"])?;
    ensure!(shop.ask()? == before, "weights have moved");
    ensure!(shop.stage.count("flow_remembered")? > 0, "no client's slot has moved");
    let flows = shop.stage.lbd.lbctl_json(&["flows"])?;
    ensure!(
        flows["flows"][0]["service"] == "web" && flows["flows"][0]["vip"] == shop.services[0].ip().to_string(),
        "{flows}"
    );
    shop.stage.lbd.kill()?;
    shop.stage.lbd.start_again()?;
    shop.stage.lbd.wait_until_ready()?;
    ensure!(shop.ask()? == before, "lbd was killed");

    // A real that fails at one port is no use for who needs both.
    shop.second.remove(1).kill();
    shop.wait_until_out("real-2")?;
    let after = shop_at_first_port(&shop)?;
    ensure!(after.values().all(|real| real != "real-2"), "{after:?}");
    let stayed = before.iter().filter(|(_, real)| *real != "real-2").all(|(client, real)| after[client] == *real);
    ensure!(stayed, "{before:?} {after:?}");
    ensure!(shop.ask()? == after, "at the second port");
    let lines = shop.stage.lbd.lbctl(&["explain", "real-2"])?;
    ensure!(lines.contains("affinity group shop: it is down in service tls"), "{lines}");
    Ok(())
}

/// The port at which nothing has failed.
fn shop_at_first_port(shop: &Shop) -> Result<Answers> {
    shop.clients.ask(&shop.stage.network.client, shop.services[0])
}

#[test]
fn clients_stay_when_another_service_leads() -> Result<()> {
    let shop = Shop::set()?;
    let before = shop.ask()?;
    let text = std::fs::read_to_string(shop.stage.lbd.config())?;
    let turned = turned(&text)?;
    std::fs::write(shop.stage.lbd.config(), turned)?;
    let from = shop.stage.lbd.log().len();
    shop.stage.lbd.lbctl(&["reload"])?;
    shop.stage.log_line(from, "service tls leads affinity group shop in place of web")?;
    ensure!(shop.ask()? == before, "another service leads");
    Ok(())
}

/// The configuration with `web` and `tls` in the other order.
fn turned(text: &str) -> Result<String> {
    let names = text.replace("name = \"web\"", "name = \"?\"").replace("name = \"tls\"", "name = \"web\"");
    let names = names.replace("name = \"?\"", "name = \"tls\"");
    let ports = names.replace("port = 80\n", "port = ?\n").replace("port = 443\n", "port = 80\n");
    let turned = ports.replace("port = ?\n", "port = 443\n");
    ensure!(turned.find("name = \"tls\"") < turned.find("name = \"web\""), "{turned}");
    Ok(turned)
}

/// A pair with the two services, which its nodes have in different orders.
fn pair() -> Result<(PairStage, Vec<WebServer>)> {
    let services = vec![("web", "tcp", HTTP), ("tls", "tcp", HTTPS)];
    let stage = PairStage::set_as(PairSetting { reals: REALS, services, ..PairSetting::default() })?;
    let start = |(index, real)| WebServer::start(&stage.network.run, real, &real_name(index), &[HTTP, HTTPS]);
    let web = (0..).zip(&stage.network.reals).map(start).collect::<Result<_>>()?;
    for (number, node) in stage.nodes.iter().enumerate() {
        let mut text = stage.config.text(&stage.network, number);
        for port in [HTTP, HTTPS] {
            text = text.replace(&format!("port = {port}\n"), &format!("port = {port}\n{GROUP}\n"));
        }
        let text = if number == 0 { text } else { turned(&text)? };
        node.lbd.write_config(&text)?;
        node.lbd.lbctl(&["reload"])?;
    }
    stage.wait_for_owner(0)?;
    Ok((stage, web))
}

#[test]
fn clients_stay_over_a_takeover() -> Result<()> {
    let (mut stage, _web) = pair()?;
    let vip = stage.network.plan.vip_v4(0).into();
    let services = [HTTP, HTTPS].map(|port| SocketAddr::new(vip, port));
    let early = Clients::add(&stage.network.client, FIRST, CLIENTS)?;
    let late = Clients::add(&stage.network.client, LATE, LATE_CLIENTS)?;
    let ask = |stage: &PairStage, clients: &Clients| -> Result<Answers> {
        let [web, tls] = services.map(|service| clients.ask(&stage.network.client, service));
        let (web, tls) = (web.with_context(|| stage.story())?, tls.with_context(|| stage.story())?);
        ensure!(web == tls, "clients have two reals: {web:?} {tls:?}");
        Ok(web)
    };
    let before = ask(&stage, &early)?;
    stage.nodes[0].lbd.lbctl(&["weight", "real-1", "10"])?;
    stage.nodes[0].lbd.lbctl(&["drain", "real-3"])?;
    ensure!(ask(&stage, &early)? == before, "weights have moved");
    // Who comes while slots remember may get a real that they had before.
    let before_late = ask(&stage, &late)?;
    let drained = |answers: &Answers| answers.values().filter(|real| *real == "real-3").count();
    ensure!(drained(&before) > 0 && drained(&before_late) > 0, "nobody is where the slots do not lead any more");
    stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;

    for successor in [1, 0] {
        stage.nodes[1 - successor].lbd.kill()?;
        stage.nodes[successor].wait_for_state("active")?;
        ensure!(ask(&stage, &early)? == before, "after a takeover by {successor}: {}", stage.story());
        ensure!(ask(&stage, &late)? == before_late, "late ones, after a takeover by {successor}: {}", stage.story());
        let flows = stage.nodes[successor].lbd.lbctl_json(&["flows"])?;
        let leader = ["web", "tls"][successor];
        ensure!(flows["flows"][0]["service"] == leader, "{flows}");
        stage.start(1 - successor)?;
        stage.wait_for_owner(successor)?;
        stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
    }
    Ok(())
}
