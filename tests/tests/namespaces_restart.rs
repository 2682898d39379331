//! kill -9, restart and upgrade of the daemon under long transfers and new requests: no packet is lost. Needs root.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use lb_lab::{Load, Plan, Tally, lbd, wait_for};
use lb_tests::stage::{Config, ECHO, HTTP, Kind, LIMIT, SINK, Stage, real_names};
use lb_tests::traffic::{Transfer, Volley, write_pattern};

const TRANSFER: u64 = 100_000_000;
/// Moved in each part of the test: before the kill, without a daemon, after the restart, and after the upgrade.
const PART: u64 = TRANSFER / 5;
/// Moved whenever a waiting test looks again, so that the transfers go on while a daemon starts.
const TRICKLE: u64 = 20_000;
const FILE: &str = "hundred-megabytes";
const LOAD_THREADS: usize = 2;
/// Requests that must have ended in each part.
const REQUESTS: u64 = 100;
/// Datagrams that must have been answered in each part.
const DATAGRAMS: u64 = 500;

struct UnderWay {
    download: Transfer,
    upload: Transfer,
    load: Load,
    volley: Volley,
}

impl UnderWay {
    fn start(stage: &Stage) -> Result<UnderWay> {
        let client = stage.network.client.handle();
        Ok(UnderWay {
            download: Transfer::download(&client, service(HTTP), &format!("/files/{FILE}"), TRANSFER),
            upload: Transfer::upload(&client, service(SINK), TRANSFER),
            load: Load::start(&client, &[service(HTTP)], LOAD_THREADS, Duration::from_millis(1)),
            volley: Volley::start(&client, service(ECHO))?,
        })
    }

    /// A part of each transfer, many requests, and many datagrams.
    fn go_on(&mut self) -> Result<()> {
        let (requests, answered) = (self.load.requests() + REQUESTS, self.volley.answered() + DATAGRAMS);
        self.download.move_on(PART).context("download")?;
        self.upload.move_on(PART).context("upload")?;
        wait_for("requests and datagrams", LIMIT, || {
            Ok((self.load.requests() >= requests && self.volley.answered() >= answered).then_some(()))
        })
    }

    /// A little of each transfer, without waiting.
    fn trickle(&self) {
        self.download.allow(TRICKLE);
        self.upload.allow(TRICKLE);
    }

    /// The rest of both transfers, which have not ended by themselves before.
    fn finish(self) -> Result<Tally> {
        assert!(self.download.moved() < TRANSFER && self.upload.moved() < TRANSFER, "too short for the test");
        self.download.finish().context("download")?;
        self.upload.finish().context("upload")?;
        self.volley.stop().context("a single datagram was lost")?;
        self.load.stop()?.pop().context("no tally")
    }
}

fn service(port: u16) -> SocketAddr {
    SocketAddr::new(Plan::default().vip_addresses(0)[0], port)
}

fn set() -> Result<Stage> {
    let mut stage = Stage::set(Plan { vips: 1, ..Plan::default() }, |network| {
        let config = Config::of(network).service("web", service(HTTP), Kind::TcpDsr, &real_names(3));
        let config = config.service("sink", service(SINK), Kind::TcpDsr, &real_names(3));
        config.service("echo", service(ECHO), Kind::UdpDsr, &real_names(3))
    })?;
    stage.start_sinks()?;
    stage.start_echoes()?;
    let original = stage.web[0].files().join(FILE);
    write_pattern(&original, TRANSFER)?;
    for server in &stage.web[1..] {
        std::fs::hard_link(&original, server.files().join(FILE))?;
    }
    Ok(stage)
}

/// Starts the daemon and lets the transfers trickle until it is ready.
fn start_and_wait(stage: &mut Stage, under_way: &UnderWay) -> Result<()> {
    let moved = (under_way.download.moved(), under_way.upload.moved());
    let mark = stage.lbd.log().len();
    stage.lbd.start_again()?;
    let adopted = wait_for("lbd to be ready again", LIMIT, || {
        under_way.trickle();
        let log = stage.lbd.log()[mark..].to_string();
        Ok((log.contains("adopted: flows and counters go on") && log.contains("program replaced without a gap"))
            .then_some(()))
    });
    adopted.with_context(|| format!("the log of lbd: {}", stage.lbd.log()))?;
    stage.lbd.wait_until_ready()?;
    assert!(under_way.download.moved() > moved.0 && under_way.upload.moved() > moved.1, "nothing moved meanwhile");
    assert_eq!(stage.status()?["adoption"], "adopted");
    Ok(())
}

#[test]
fn transfers_requests_and_datagrams_survive_kill_restart_and_upgrade() {
    let mut stage = set().unwrap();
    let mut under_way = UnderWay::start(&stage).unwrap();
    under_way.go_on().unwrap();

    stage.lbd.kill().unwrap();
    under_way.go_on().context("without a daemon").unwrap();
    start_and_wait(&mut stage, &under_way).unwrap();
    under_way.go_on().context("after the restart").unwrap();

    let upgraded = stage.network.run.dir().join("upgraded-lbd");
    std::fs::copy(lbd().unwrap(), &upgraded).unwrap();
    stage.lbd.use_program(&upgraded);
    stage.lbd.stop().unwrap();
    start_and_wait(&mut stage, &under_way).unwrap();
    under_way.go_on().context("after the upgrade").unwrap();

    let tally = under_way.finish().unwrap();
    assert_eq!((tally.failed, tally.reasons), (0, vec![]));
    assert_eq!(tally.served.len(), 3, "{:?}", tally.served);
    stage.expect_no_drops().unwrap();
}
