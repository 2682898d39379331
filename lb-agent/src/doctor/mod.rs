//! `lb-agent doctor`: what a real server lacks, why that matters, and the fix. It changes nothing.

mod arguments;
mod checks;
mod finding;

use std::process::ExitCode;

use anyhow::Context as _;
use lb_core::api::{Diagnosis, Finding};

pub(crate) use arguments::DoctorArguments;

use crate::setup::Wish;
use crate::setup::facts::Facts;
use crate::setup::host::{Host as _, System};
use crate::setup::plan::{Unclear, plan};
use crate::setup::record;

/// Does what the command line says.
pub(crate) fn run(arguments: &DoctorArguments) -> anyhow::Result<ExitCode> {
    let diagnosis = Diagnosis::of(examine(arguments)?);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&diagnosis).context("cannot print the findings")?);
    } else {
        print!("{}", diagnosis.text(|_, word| word.to_owned()));
    }
    Ok(if diagnosis.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn examine(arguments: &DoctorArguments) -> anyhow::Result<Vec<Finding>> {
    let wishes = match arguments.wish.wish() {
        Some(wish) => vec![wish],
        None => record::read(&arguments.state_dir)?.map(|record| record.wishes).unwrap_or_default(),
    };
    let mut findings = host(&wishes, &arguments.ports, &System::new(arguments.wish.pins()).facts()?)?;
    if wishes.is_empty() {
        findings.push(checks::nothing_named());
    }
    findings.push(checks::configuration(arguments.config.as_deref()));
    Ok(findings)
}

/// What the host lacks for these wishes.
fn host(wishes: &[Wish], ports: &[u16], facts: &Facts) -> Result<Vec<Finding>, Unclear> {
    let mut findings = Vec::new();
    for wish in wishes {
        findings.extend(plan(wish, facts)?.into_iter().map(finding::of_step));
        findings.extend(checks::narrow_tunnel(wish, facts)?);
        findings.extend(wish.vips.iter().flat_map(|vip| checks::listeners(*vip, ports, facts)));
    }
    // Two wishes may want the same.
    let mut known = Vec::new();
    findings.retain(|finding| {
        let new = !known.contains(finding);
        if new {
            known.push(finding.clone());
        }
        new
    });
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use lb_core::api::Severity;

    use super::*;
    use crate::setup::fake::{bare, wish};

    /// What is not in order, as `severity what`.
    fn complaints(findings: &[Finding]) -> Vec<String> {
        let bad = findings.iter().filter(|finding| finding.severity != Severity::Ok);
        bad.map(|finding| format!("{} {}: {}", finding.severity, finding.subject, finding.finding)).collect()
    }

    #[test]
    fn every_step_that_is_not_taken_is_missing_with_its_command() {
        let findings = host(&[wish("dsr", &["192.0.2.100"])], &[], &bare()).unwrap();
        assert_eq!(
            complaints(&findings),
            [
                "error arp_ignore of all is 1: no: it is 0",
                "error arp_announce of all is 2: no: it is 0",
                "error lo has 192.0.2.100/32: no: no interface has it",
            ]
        );
        let fixes: Vec<&String> = findings.iter().flat_map(|finding| &finding.fix).collect();
        let expected = [
            "sysctl -w net.ipv4.conf.all.arp_ignore=1",
            "sysctl -w net.ipv4.conf.all.arp_announce=2",
            "ip address add 192.0.2.100/32 dev lo",
        ];
        assert_eq!(fixes, expected);
        assert!(!Diagnosis::of(findings).healthy);
    }

    #[test]
    fn what_two_wishes_want_is_said_once() {
        let wishes = [wish("dsr", &["192.0.2.100"]), wish("dsr", &["192.0.2.101"])];
        let findings = host(&wishes, &[], &bare()).unwrap();
        let arp = findings.iter().filter(|finding| finding.subject.starts_with("arp_ignore")).count();
        assert_eq!(arp, 1);
        assert_eq!(complaints(&findings).len(), 4);
    }

    #[test]
    fn a_server_that_listens_elsewhere_is_found() {
        let mut facts = bare();
        let only = wish("dsr", &["192.0.2.100"]);
        let about_ports = |facts: &Facts, ports: &[u16]| {
            let findings = host(std::slice::from_ref(&only), ports, facts).unwrap();
            complaints(&findings)
                .into_iter()
                .filter(|line| line.contains("port") || line.contains("listens"))
                .collect::<Vec<_>>()
        };
        facts.listeners = vec!["192.0.2.21:80".parse().unwrap(), "127.0.0.1:9000".parse().unwrap()];
        let alone = "warning a server listens on port 80 of 192.0.2.100: no: it listens on 192.0.2.21 alone";
        assert_eq!(about_ports(&facts, &[]), [alone]);
        let missing = "error a server listens on port 80 of 192.0.2.100: no: none does";
        assert_eq!(about_ports(&facts, &[80]), [missing]);
        for good in ["0.0.0.0:80", "[::]:80", "192.0.2.100:80"] {
            facts.listeners.push(good.parse().unwrap());
            assert_eq!(about_ports(&facts, &[80]), [""; 0], "{good}");
            facts.listeners.pop();
        }
        facts.listeners = vec!["0.0.0.0:81".parse().unwrap()];
        assert_eq!(about_ports(&facts, &[80]), [missing]);
        assert_eq!(about_ports(&facts, &[]), [""; 0], "nobody knows which port is meant");
        facts.listeners.clear();
        let silent = "warning a server listens on 192.0.2.100: no: none does over TCP, and UDP is not looked at";
        assert_eq!(about_ports(&facts, &[]), [silent]);
    }

    #[test]
    fn an_outer_header_that_leaves_too_little_is_a_warning() {
        let mut facts = bare();
        let v6 = wish("ipip", &["2001:db8::100"]);
        let narrow = |facts: &Facts| checks::narrow_tunnel(&v6, facts).unwrap();
        assert_eq!(narrow(&facts), None);
        facts.links[1].mtu = 1319;
        let finding = narrow(&facts).unwrap();
        assert_eq!(finding.finding, "no: the MTU is 1319, and the outer headers take 40 bytes");
        facts.links[1].mtu = 1320;
        assert_eq!(narrow(&facts), None);
    }
}
