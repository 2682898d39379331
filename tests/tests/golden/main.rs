//! Golden packets: bytes in, verdict and bytes out, and all that the maps hold afterwards, said by hand in each case.
//!
//! Every case goes through the XDP program (BPF_PROG_TEST_RUN; root is needed) and through the reference model.
//! `UNDERSTUDY_MODEL_ALONE=1` leaves the program out: for who works on the page, and has no program that does what it says.

mod case;
mod flags;
mod forward;
mod fragments;
mod hot;
mod icmp;
mod lease;
mod link;
mod nat;
mod prefixes;
mod quic;
mod resets;
mod sctp;
mod services;
mod slots;
mod told;
mod too_big;
mod truncated;
mod tunnels;
mod world;

use std::collections::HashSet;

use lb_common::{DropReason, Event, FlowEvent, WantedNeighbour};
use lb_tests::harness::{Harness, Keys, compare, compare_told, compare_wanted};
use lb_tests::model::{Effects, Outcome, State, Verdict};
use lb_tests::packet::show;

use case::{Case, Expect, Step};

/// So many cases there must be at least.
const LEAST_CASES: usize = 1_000;
/// Leaves the program out.
const MODEL_ALONE: &str = "UNDERSTUDY_MODEL_ALONE";
/// So many failing cases are shown in full.
const SHOWN: usize = 5;

/// A name, and what makes the cases.
type Group = (&'static str, fn() -> Vec<Case>);

/// Each group is made when it is asked for, and goes before the next: the states of all cases at once are several hundred megabytes.
const GROUPS: &[Group] = &[
    ("forward", forward::cases),
    ("services", forward::service_cases),
    ("link", link::cases),
    ("lease", lease::cases),
    ("slots", slots::cases),
    ("hot", hot::cases),
    ("told", told::cases),
    ("resets", resets::cases),
    ("icmp", icmp::cases),
    ("fragments", fragments::cases),
    ("nat, to reals", nat::to_reals::cases),
    ("nat, replies", nat::replies::cases),
    ("nat, ways", nat::ways::cases),
    ("nat, errors", nat::errors::cases),
    ("nat, nodes", nat::nodes::cases),
    ("too big", too_big::cases),
    ("truncated", truncated::cases),
    ("sctp", sctp::cases),
    ("gue", tunnels::gue::cases),
    ("outer sources", tunnels::sources::cases),
    ("access", flags::access::cases),
    ("rate", flags::rate::cases),
    ("one packet", flags::one_packet::cases),
    ("affinity", flags::affinity::cases),
    ("flood", flags::flood::cases),
    ("prefixes, addresses", prefixes::addresses::cases),
    ("prefixes, services", prefixes::services::cases),
    ("prefixes, messages", prefixes::messages::cases),
    ("prefixes, nodes", prefixes::nodes::cases),
    ("quic, headers", quic::headers::cases),
    ("quic, configs", quic::configs::cases),
    ("quic, encodings", quic::encodings::cases),
    ("quic, servers", quic::servers::cases),
    ("quic, others", quic::others::cases),
];

#[test]
fn forwarding() {
    check("forward", &forward::cases());
}

#[test]
fn services_and_ports() {
    check("services", &forward::service_cases());
}

#[test]
fn passed_and_malformed() {
    check("link", &link::cases());
}

#[test]
fn nodes_that_serve_and_that_do_not() {
    check("lease", &lease::cases());
}

#[test]
fn slot_decisions() {
    check("slots", &slots::cases());
}

#[test]
fn what_is_told_of_flows() {
    check("told", &told::cases());
}

#[test]
fn hot_reals() {
    check("hot", &hot::cases());
}

#[test]
fn resets_of_services_without_reals() {
    check("resets", &resets::cases());
}

#[test]
fn icmp_messages() {
    check("icmp", &icmp::cases());
}

#[test]
fn fragments_follow() {
    check("fragments", &fragments::cases());
}

#[test]
fn nat_to_reals() {
    check("nat, to reals", &nat::to_reals::cases());
}

#[test]
fn nat_replies() {
    check("nat, replies", &nat::replies::cases());
}

#[test]
fn nat_ways_to_clients() {
    check("nat, ways", &nat::ways::cases());
}

#[test]
fn nat_icmp_errors() {
    check("nat, errors", &nat::errors::cases());
}

#[test]
fn nat_of_nodes_that_do_not_serve() {
    check("nat, nodes", &nat::nodes::cases());
}

#[test]
fn too_big_for_the_tunnel() {
    check("too big", &too_big::cases());
}

#[test]
fn every_truncation_point() {
    check("truncated", &truncated::cases());
}

#[test]
fn sctp_packets() {
    check("sctp", &sctp::cases());
}

#[test]
fn tunnels_by_gue() {
    check("gue", &tunnels::gue::cases());
}

#[test]
fn outer_sources_by_flow() {
    check("outer sources", &tunnels::sources::cases());
}

#[test]
fn sources_that_are_allowed_and_denied() {
    check("access", &flags::access::cases());
}

#[test]
fn sources_that_begin_too_many_flows() {
    check("rate", &flags::rate::cases());
}

#[test]
fn packets_that_go_by_themselves() {
    check("one packet", &flags::one_packet::cases());
}

#[test]
fn clients_that_stay_with_a_real() {
    check("affinity", &flags::affinity::cases());
}

#[test]
fn syn_floods() {
    check("flood", &flags::flood::cases());
}

#[test]
fn addresses_of_prefixes() {
    check("prefixes, addresses", &prefixes::addresses::cases());
}

#[test]
fn services_of_prefixes() {
    check("prefixes, services", &prefixes::services::cases());
}

#[test]
fn messages_and_fragments_for_prefixes() {
    check("prefixes, messages", &prefixes::messages::cases());
}

#[test]
fn nodes_with_prefixes() {
    check("prefixes, nodes", &prefixes::nodes::cases());
}

#[test]
fn quic_headers() {
    check("quic, headers", &quic::headers::cases());
}

#[test]
fn quic_configs() {
    check("quic, configs", &quic::configs::cases());
}

#[test]
fn quic_encodings() {
    check("quic, encodings", &quic::encodings::cases());
}

#[test]
fn quic_servers() {
    check("quic, servers", &quic::servers::cases());
}

#[test]
fn quic_and_other_flags() {
    check("quic, others", &quic::others::cases());
}

/// The golden cases reach every drop reason, every event and every verdict, and have names of their own.
#[test]
fn nothing_is_left_out() {
    let mut names = HashSet::new();
    let (mut drops, mut events) = (HashSet::<DropReason>::new(), HashSet::<Event>::new());
    let mut verdicts = HashSet::<Verdict>::new();
    for (group, cases) in GROUPS {
        let cases = cases();
        let steps: Vec<&Step> = cases.iter().flat_map(|case| &case.steps).collect();
        println!("{group}: {} cases, {} frames", cases.len(), steps.len());
        for step in steps {
            drops.extend(step.expect.drop);
            events.extend(&step.expect.events);
            verdicts.insert(step.expect.verdict);
        }
        for case in cases {
            assert!(!case.steps.is_empty(), "'{}' sends nothing", case.name);
            assert!(!names.contains(&case.name), "two cases are named '{}'", case.name);
            names.insert(case.name);
        }
    }
    for reason in DropReason::ALL {
        assert!(drops.contains(reason), "no case for drop reason {reason:?}");
    }
    for event in Event::ALL {
        assert!(events.contains(event), "no case for event {event:?}");
    }
    for verdict in Verdict::ALL {
        assert!(verdicts.contains(&verdict), "no case for verdict {verdict:?}");
    }
    println!("{} golden cases", names.len());
    assert!(names.len() >= LEAST_CASES, "{} cases are fewer than {LEAST_CASES}", names.len());
}

/// Runs the cases, and fails with all that fail.
fn check(group: &str, cases: &[Case]) {
    let mut harness = match std::env::var_os(MODEL_ALONE).is_none().then(|| Harness::load(world::LIMITS)).transpose() {
        Ok(harness) => harness,
        Err(error) => panic!("{error:#}"),
    };
    let failures: Vec<String> = cases.iter().filter_map(|case| check_case(&mut harness, case).err()).collect();
    let frames: usize = cases.iter().map(|case| case.steps.len()).sum();
    let can_run =
        |case: &Case, step: &Step| harness.as_ref().is_some_and(|program| program.can_run(&case.state, &step.frame));
    let modelled = cases.iter().flat_map(|case| case.steps.iter().filter(|step| !can_run(case, step))).count();
    println!("{group}: {} of {} cases pass, {frames} frames", cases.len() - failures.len(), cases.len());
    if modelled > 0 {
        println!(
            "{group}: {modelled} frames went through the model alone: this kernel's BPF_PROG_TEST_RUN refuses them, or {MODEL_ALONE} is set"
        );
    }
    if failures.is_empty() {
        return;
    }
    let names: Vec<&str> = failures.iter().filter_map(|failure| failure.lines().next()).collect();
    panic!(
        "{} of {} cases fail:\n  {}\n\n{}",
        failures.len(),
        cases.len(),
        names.join("\n  "),
        failures[..failures.len().min(SHOWN)].join("\n\n")
    );
}

/// The case's name and what is wrong with it.
fn check_case(harness: &mut Option<Harness>, case: &Case) -> Result<(), String> {
    let failed = |at: usize, frame: &[u8], who: &str, wrong: Vec<String>| {
        Err(format!(
            "{}\nframe {} of {}, {who}\nin: {}{}",
            case.name,
            at + 1,
            case.steps.len(),
            show(frame),
            wrong.join("\n")
        ))
    };
    if let Some(harness) = harness
        && let Err(error) = harness.install(&case.state)
    {
        return Err(format!("{}\nthe maps cannot be filled: {error:#}", case.name));
    }
    let mut model = case.state.clone();
    let mut wanted = case.state.effects.clone();
    let (mut records, mut keys) = (Records::default(), Keys::of(&wanted, &wanted));
    for (at, step) in case.steps.iter().enumerate() {
        let outcome = expected(step);
        step.expect.apply(&mut wanted);
        keys.add(&wanted);
        records.add(&step.expect);
        let reads = !case.reads_at_end || at + 1 == case.steps.len();
        let records = reads.then(|| std::mem::take(&mut records));
        let mut wrong = check_model(&mut model, case, step, &outcome, &wanted);
        if let Some(records) = &records {
            wrong.extend(records.differences(&Records::take(&mut model)));
        }
        if !wrong.is_empty() {
            return failed(at, &step.frame, "the model is wrong", wrong);
        }
        let Some(harness) = harness.as_mut().filter(|harness| harness.can_run(&case.state, &step.frame)) else {
            continue;
        };
        let mut wrong = check_program(harness, case, step, &outcome);
        if wrong.is_empty()
            && let Some(records) = &records
        {
            wrong = check_maps(harness, &keys, &wanted, records);
        }
        if !wrong.is_empty() {
            return failed(at, &step.frame, "the program is wrong", wrong);
        }
    }
    Ok(())
}

/// What the ring buffers are expected to hold, or hold.
#[derive(Default)]
struct Records {
    told: Vec<FlowEvent>,
    wanted: Vec<WantedNeighbour>,
}

impl Records {
    fn add(&mut self, expect: &Expect) {
        self.told.extend(&expect.told);
        self.wanted.extend(&expect.wanted);
    }

    fn take(model: &mut State) -> Self {
        Self { told: std::mem::take(&mut model.unread), wanted: std::mem::take(&mut model.wanted) }
    }

    fn read(harness: &mut Harness) -> anyhow::Result<Self> {
        Ok(Self { told: harness.read_told()?, wanted: harness.read_wanted() })
    }

    fn differences(&self, got: &Self) -> Vec<String> {
        [compare_told(&self.told, &got.told), compare_wanted(&self.wanted, &got.wanted)].concat()
    }
}

fn expected(step: &Step) -> Outcome {
    Outcome {
        verdict: step.expect.verdict,
        frame: step.expect.frame.clone().unwrap_or_else(|| step.frame.clone()),
        redirect: step.expect.redirect,
    }
}

fn check_model(model: &mut State, case: &Case, step: &Step, outcome: &Outcome, wanted: &Effects) -> Vec<String> {
    let got = model.forward(&step.frame, case.ingress, 2);
    let mut wrong = compare(outcome, &(got.verdict, got.frame));
    if got.redirect != outcome.redirect {
        wrong.push(format!("redirect: wanted {:?}, got {:?}", outcome.redirect, got.redirect));
    }
    wrong.extend(wanted.differences(&model.effects));
    wrong
}

fn check_program(harness: &Harness, case: &Case, step: &Step, outcome: &Outcome) -> Vec<String> {
    match harness.run(&case.state, &step.frame, case.ingress) {
        Ok(got) => compare(outcome, &got),
        Err(error) => vec![format!("{error:#}")],
    }
}

/// Tables, counters and ring buffers.
fn check_maps(harness: &mut Harness, keys: &Keys, wanted: &Effects, records: &Records) -> Vec<String> {
    let read = harness.effects(keys).and_then(|effects| Ok((effects, Records::read(harness)?)));
    match read {
        Ok((effects, got)) => [wanted.differences(&effects), records.differences(&got)].concat(),
        Err(error) => vec![format!("{error:#}")],
    }
}
