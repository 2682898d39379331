//! `lb-agent` against load balancers that are the test's own sockets on loopback. They take in reports as `lbd` does.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};
use lb_core::auth::Keys;
use lb_core::report::{Availability, Load, Report};
use lb_lab::wait_for;

use crate::load_balancer::{KEY_1, LoadBalancer};
use crate::support::{Agent, LIMIT, text};

const KEY_2: &str = "2 22222222222222222222222222222222 web1\n";
/// Reports that come for another reason than the interval's end.
const SELDOM: &str = "report_interval = \"1m\"\n";
const OFTEN: &str = "report_interval = \"100ms\"\n";

/// A configuration that names these load balancers.
fn config(load_balancers: &[&LoadBalancer], more: &str) -> Result<String> {
    let addresses: Result<Vec<String>> =
        load_balancers.iter().map(|lb| Ok(lb.socket.local_addr()?.to_string())).collect();
    Ok(format!("name = \"web1\"\nload_balancers = {:?}\n{more}", addresses?))
}

fn started(load_balancers: &[&LoadBalancer], more: &str) -> Result<Agent> {
    let mut agent = Agent::prepare(KEY_1, &config(load_balancers, more)?)?;
    agent.start(|_| ())?;
    Ok(agent)
}

/// Waits until the agent has said this.
fn wait_for_log(agent: &Agent, words: &str) -> Result<()> {
    let said = wait_for(words, LIMIT, || Ok(agent.log().contains(words).then_some(())));
    said.with_context(|| agent.log())
}

#[test]
fn the_first_report_comes_at_once_and_the_next_are_numbered_and_measured() -> Result<()> {
    let mut lb = LoadBalancer::new("127.0.0.1:0")?;
    let _agent = started(&[&lb], OFTEN)?;
    let first = lb.next()?;
    let expected = Report {
        real: "web1".to_owned(),
        generation: first.generation,
        sequence: 1,
        interval_ms: 100,
        availability: Availability::Alive,
        load: Load::default(),
    };
    assert_eq!(first, expected);
    for sequence in 2..5 {
        let report = lb.next()?;
        assert_eq!((report.generation, report.sequence), (first.generation, sequence));
        assert!(report.load.cpu.is_some() && report.load.hits.is_some(), "{report:?}");
    }
    Ok(())
}

#[test]
fn both_families_are_told_the_same_and_one_that_is_closed_is_named_once() -> Result<()> {
    let (mut v4, mut v6) = (LoadBalancer::new("127.0.0.1:0")?, LoadBalancer::new("[::1]:0")?);
    let closed = config(&[&v4, &v6], OFTEN)?.replacen('[', "[\"127.0.0.1:1\", ", 1);
    let mut agent = Agent::prepare(KEY_1, &closed)?;
    agent.start(|_| ())?;
    for _ in 0..8 {
        assert_eq!(v4.next()?, v6.next()?);
    }
    let log = agent.log();
    assert_eq!(log.matches("reports may not reach the load balancer 127.0.0.1:1: ").count(), 1, "{log}");
    Ok(())
}

#[test]
fn a_change_of_state_is_reported_at_once() -> Result<()> {
    let mut lb = LoadBalancer::new("127.0.0.1:0")?;
    let agent = started(&[&lb], SELDOM)?;
    lb.next()?;
    assert_eq!(agent.state(&[])?, "alive");
    for (sequence, word, expected) in
        [(2, "drain", Availability::Drain), (3, "stop", Availability::Stop), (4, "alive", Availability::Alive)]
    {
        assert_eq!(agent.state(&[word])?, word);
        let report = lb.next()?;
        assert_eq!((report.sequence, report.availability), (sequence, expected));
        assert_eq!(agent.state(&[word])?, word, "no change, no report");
    }
    assert_eq!(agent.run(&["state", "asleep"])?.status.code(), Some(2));
    Ok(())
}

#[test]
fn a_signal_to_end_says_stop_three_times() -> Result<()> {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut lb = LoadBalancer::new("127.0.0.1:0")?;
        let mut agent = started(&[&lb], SELDOM)?;
        lb.next()?;
        agent.running()?.signal(signal)?;
        for sequence in 2..5 {
            let report = lb.next()?;
            assert_eq!((report.sequence, report.availability), (sequence, Availability::Stop));
        }
        assert!(agent.running()?.wait(LIMIT)?.success());
        assert!(!agent.path("run/lb-agent.sock").exists());
        lb.socket.set_nonblocking(true)?;
        assert!(lb.next().is_err(), "nothing after the last word");
    }
    Ok(())
}

#[test]
fn one_that_said_stop_already_says_it_three_times_too() -> Result<()> {
    let mut lb = LoadBalancer::new("127.0.0.1:0")?;
    let mut agent = started(&[&lb], SELDOM)?;
    lb.next()?;
    agent.state(&["stop"])?;
    lb.wait(|report| report.availability == Availability::Stop)?;
    agent.running()?.signal(libc::SIGTERM)?;
    for sequence in 3..6 {
        assert_eq!(lb.next()?.sequence, sequence);
    }
    Ok(())
}

#[test]
fn a_file_that_hangs_does_not_keep_it_from_ending() -> Result<()> {
    let mut lb = LoadBalancer::new("127.0.0.1:0")?;
    let mut agent = Agent::prepare(KEY_1, "")?;
    let pipe = agent.path("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU)?;
    agent.write_config(&config(
        &[&lb],
        &format!("{OFTEN}source_timeout = \"100ms\"\ncustom = {{ file = {pipe:?} }}\n"),
    )?)?;
    agent.start(|_| ())?;
    lb.next()?;
    wait_for_log(&agent, "custom cannot be measured")?;
    assert!(agent.running()?.terminate(LIMIT)?.success());
    assert!(!agent.path("run/lb-agent.sock").exists());
    Ok(())
}

#[test]
fn with_a_stop_delay_it_goes_on_to_report_until_a_second_signal() -> Result<()> {
    let mut lb = LoadBalancer::new("127.0.0.1:0")?;
    let mut agent = started(&[&lb], &format!("{OFTEN}stop_delay = \"1h\"\n"))?;
    lb.next()?;
    agent.running()?.signal(libc::SIGTERM)?;
    lb.wait(|report| report.availability == Availability::Stop)?;
    for _ in 0..6 {
        assert_eq!(lb.next()?.availability, Availability::Stop);
    }
    assert_eq!(agent.state(&[])?, "stop");
    let refused = agent.state(&["alive"]).unwrap_err().to_string();
    assert!(refused.contains("the agent refuses: it is about to stop"), "{refused}");
    agent.running()?.signal(libc::SIGTERM)?;
    assert!(agent.running()?.wait(LIMIT)?.success());
    Ok(())
}

#[test]
fn a_stop_delay_ends_by_itself() -> Result<()> {
    let mut lb = LoadBalancer::new("127.0.0.1:0")?;
    let mut agent = started(&[&lb], &format!("{SELDOM}stop_delay = \"100ms\"\n"))?;
    lb.next()?;
    assert!(agent.running()?.terminate(LIMIT)?.success());
    Ok(())
}

#[test]
fn a_killed_agent_has_a_higher_generation_when_it_is_back() -> Result<()> {
    let mut lb = LoadBalancer::new("127.0.0.1:0")?;
    let mut agent = started(&[&lb], SELDOM)?;
    let first = lb.next()?;
    agent.running()?.kill()?;
    // As if the clock had been set back by an hour since.
    let kept = first.generation + 3_600_000_000;
    std::fs::write(agent.path("state/generation"), kept.to_string())?;
    agent.start(|_| ())?;
    let second = lb.next()?;
    assert_eq!((second.generation, second.sequence), (kept + 1, 1));
    Ok(())
}

#[test]
fn keys_are_replaced_by_a_reload_and_bad_ones_are_not_taken() -> Result<()> {
    let mut lb = LoadBalancer::new("127.0.0.1:0")?;
    let mut agent = started(&[&lb], SELDOM)?;
    lb.next()?;
    lb.inbox.set_keys(Keys::parse(KEY_2)?);
    agent.write_keys(&format!("{KEY_2}{KEY_1}"))?;
    agent.running()?.signal(libc::SIGHUP)?;
    assert_eq!(lb.next()?.sequence, 2, "signed with the first key of the new file");
    for (bad, reason) in
        [("1 xx\n", "line 1: the secret must be"), ("3 33333333333333333333333333333333 web2\n", "no key is good")]
    {
        agent.write_keys(bad)?;
        agent.running()?.signal(libc::SIGHUP)?;
        wait_for_log(&agent, reason)?;
    }
    assert_eq!(agent.log().matches("reload refused, everything stays as it was: ").count(), 2);
    agent.state(&["drain"])?;
    assert_eq!(lb.next()?.sequence, 3, "still signed with the old key");
    Ok(())
}

#[test]
fn another_configuration_is_taken_over_or_refused_as_a_whole() -> Result<()> {
    let (mut old, mut new) = (LoadBalancer::new("127.0.0.1:0")?, LoadBalancer::new("127.0.0.1:0")?);
    let mut agent = started(&[&old], SELDOM)?;
    let first = old.next()?;
    let lines = format!("{SELDOM}log = \"debug\"\nlog_level = 1\n");
    agent.write_config(&config(&[&new], &lines)?)?;
    agent.running()?.signal(libc::SIGHUP)?;
    wait_for_log(&agent, "has no key `log_level`")?;
    agent.state(&["drain"])?;
    assert_eq!(old.next()?.sequence, 2, "the old one is told, as before");
    agent.write_config(&config(&[&new], &format!("{OFTEN}log = \"debug\"\n"))?)?;
    agent.running()?.signal(libc::SIGHUP)?;
    let report = new.next()?;
    let expected = (first.generation, 3, 100, Availability::Drain);
    assert_eq!((report.generation, report.sequence, report.interval_ms, report.availability), expected);
    assert!(new.next()?.load.cpu.is_some(), "the new interval is in use");
    wait_for_log(&agent, "`log` waits for a restart of lb-agent")
}

#[test]
fn a_source_that_hangs_or_fails_delays_nothing_and_is_named_once() -> Result<()> {
    let mut lb = LoadBalancer::new("127.0.0.1:0")?;
    let sources = "hits = { command = [\"/bin/sleep\", \"1000\"] }\ncustom = { file = \"/nonexistent\" }\n";
    let agent = started(&[&lb], &format!("{OFTEN}source_timeout = \"100ms\"\n{sources}"))?;
    wait_for_log(&agent, "hits cannot be measured")?;
    wait_for_log(&agent, "custom cannot be measured")?;
    for _ in 0..5 {
        let report = lb.next()?;
        assert_eq!((report.load.hits, report.load.custom), (None, None));
    }
    let log = agent.log();
    assert_eq!(
        log.matches(" WARN hits cannot be measured and is left out of reports: command `/bin/sleep 1000`: no answer")
            .count(),
        1,
        "{log}"
    );
    assert_eq!(log.matches(" WARN custom cannot be measured").count(), 1, "{log}");
    Ok(())
}

#[test]
fn a_second_agent_and_unsafe_keys_are_refused() -> Result<()> {
    let mut lb = LoadBalancer::new("127.0.0.1:0")?;
    let agent = started(&[&lb], SELDOM)?;
    lb.next()?;
    let path = agent.path("agent.toml");
    let second = agent.run(&["run", "--config", text(&path)?])?;
    let said = String::from_utf8(second.stderr)?;
    assert!(said.contains("lb-agent: another lb-agent (pid ") && second.status.code() == Some(1), "{said}");
    let checked = agent.run(&["check", "--config", text(&path)?])?;
    let expected = format!("{}: ok (name: web1, load balancers: 1)\n", path.display());
    assert_eq!(String::from_utf8(checked.stdout)?, expected);
    std::fs::set_permissions(agent.path("keys"), std::fs::Permissions::from_mode(0o644))?;
    let refused = agent.run(&["check", "--config", text(&path)?])?;
    let said = String::from_utf8(refused.stderr)?;
    assert!(said.starts_with("lb-agent: cannot use the key file ") && said.contains("chmod 600"), "{said}");
    assert_eq!(refused.status.code(), Some(1));
    Ok(())
}

#[test]
fn a_measurement_is_printed_as_json() -> Result<()> {
    let agent = Agent::prepare(KEY_1, &format!("name = \"web1\"\nload_balancers = [\"192.0.2.2:6720\"]\n{OFTEN}"))?;
    let output = agent.run(&["measure", "--config", text(&agent.path("agent.toml"))?])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert!(shown["cpu"].is_f64() && shown["hits_per_second"].is_f64(), "{shown}");
    Ok(())
}
