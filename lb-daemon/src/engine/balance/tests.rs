//! Checks, reports and agents through a whole engine, without a kernel and in virtual time.

mod telling;

use std::os::unix::fs::PermissionsExt as _;

use lb_common::{FALLBACK_RESET, REAL_ALIVE, RING_SLOTS};
use lb_core::agent_check;
use lb_core::api;
use lb_core::check::{CheckResult, Outcome};
use lb_core::report::{Availability, Load, Report, Share};

use super::super::test_support::{Bench, CONFIG, resolved};
use super::*;

const CHECK: &str = "[[check]]\nname = \"alive\"\ntype = \"tcp\"\nfall = 3\nrise = 2\n";

/// [`CONFIG`] with its service checked, and more lines for that service.
fn checked(lines: &str) -> String {
    format!("{CONFIG}checks = [\"alive\"]\n{lines}{CHECK}")
}

struct Test {
    bench: Bench,
    engine: Engine,
    sequence: u64,
}

impl Test {
    fn start(config: &str) -> Self {
        let bench = Bench::new();
        bench.write_config(config);
        let mut engine = bench.start().unwrap();
        engine.set_next_hops(vec![resolved("web1", 11), resolved("web2", 12)]);
        Self { bench, engine, sequence: 0 }
    }

    fn restart(self) -> Self {
        let Self { bench, mut engine, sequence } = self;
        engine.stop();
        drop(engine);
        let engine = bench.start().unwrap();
        Self { bench, engine, sequence }
    }

    fn check(&mut self, real: &str, outcomes: &[bool]) {
        let outcome = |passed| match passed {
            true => Outcome::Passed { took_us: 300 },
            false => Outcome::Failed { reason: "connection refused".to_owned() },
        };
        let result = |passed: &bool| CheckResult {
            service: "web".to_owned(),
            real: real.to_owned(),
            check: "alive".to_owned(),
            outcome: outcome(*passed),
        };
        self.engine.take_check_results(&outcomes.iter().map(result).collect::<Vec<_>>());
    }

    fn say(&mut self, real: &str, availability: Availability, cpu: f64) {
        self.sequence += 1;
        let load = Load { cpu: Some(Share::of(cpu)), hits: Some(100_000), ..Load::default() };
        let (real, sequence) = (real.to_owned(), self.sequence);
        let report = Report { real, generation: 1, sequence, interval_ms: 1_000, availability, load };
        self.bench.fake.world().marks.insert(report.real.clone(), report.mark());
        self.engine.take_reports(&[ReportUpdate::Report(report)]);
    }

    fn agent_says(&mut self, real: &str, result: Result<&str, &str>) {
        let result = result.map(|text| agent_check::parse(text.as_bytes()).unwrap()).map_err(str::to_owned);
        self.engine.take_reports(&[ReportUpdate::AgentCheck { real: real.to_owned(), result }]);
    }

    /// Seconds of reports from both reals, and of decisions.
    fn report_for(&mut self, seconds: u64, cpu: [f64; 2]) {
        for _ in 0..seconds {
            self.bench.pass(&mut self.engine, 1);
            self.say("web1", Availability::Alive, cpu[0]);
            self.say("web2", Availability::Alive, cpu[1]);
            self.engine.step();
        }
    }

    /// Seconds in which nobody says anything.
    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.bench.pass(&mut self.engine, 1);
            self.engine.step();
        }
    }

    fn slots(&self) -> [u32; 2] {
        let services = self.engine.services().unwrap().services;
        [services[0].reals[0].slots, services[0].reals[1].slots]
    }

    fn row(&self, index: usize) -> api::TableReal {
        self.engine.table_report().reals[index].clone()
    }

    fn warning(&self, subject: &str) -> Option<String> {
        let found = self.engine.status().warnings.into_iter().find(|warning| warning.subject == subject);
        found.map(|warning| warning.message)
    }

    fn is_alive(&self, id: u16) -> bool {
        self.bench.fake.world().rows.reals[&id].flags & REAL_ALIVE != 0
    }
}

#[test]
fn each_check_of_each_real_is_asked_for_with_its_next_hop() {
    let mut test = Test::start(&checked(""));
    let targets = test.bench.fake.world().targets.clone();
    let of = |index: usize| (targets[index].real.as_str(), targets[index].port, targets[index].next_hop.is_some());
    assert_eq!((targets.len(), of(0), of(1)), (2, ("web1", 80, true), ("web2", 80, true)));
    let nat = checked("").replace("\"dsr\"", "\"nat\"");
    test.bench.write_config(&nat.replace("[\"web1\", ", "[{ name = \"web1\", port = 8080 }, "));
    test.engine.reload().unwrap();
    let ports: Vec<u16> = test.bench.fake.world().targets.iter().map(|target| target.port).collect();
    assert_eq!(ports, [8080, 80]);
    let real_ports: Vec<_> = test.engine.services().unwrap().services[0].reals.iter().map(|real| real.port).collect();
    assert_eq!(real_ports, [Some(8080), Some(80)]);
    test.bench.write_config(CONFIG);
    test.engine.reload().unwrap();
    assert!(test.bench.fake.world().targets.is_empty());
    assert_eq!(test.bench.fake.world().senders.reals, ["web1", "web2"]);
}

#[test]
fn load_shifts_weights_until_they_fit() {
    let mut test = Test::start(CONFIG);
    test.report_for(60, [0.8, 0.2]);
    let [first, second] = test.slots();
    assert!(second > 3 * first, "capacities of 1 to 4, and {first} to {second} slots");
    let row = test.row(0);
    assert_eq!((row.cpu, row.availability), (Some(0.8), Some(api::Availability::Alive)));
    assert!(row.weight < 50.0 && row.configured_weight == 100, "{row:#?}");
    assert!((row.capacity.unwrap() - 125.0).abs() < 5.0, "{row:#?}");
    let lines = test.engine.explain("web1").unwrap().lines.join("\n");
    for part in
        ["(100 configured)", "utilisation 0.80 (cpu)", "capacity 125 hits/s is 0.40 x the mean of 312", "slots: "]
    {
        assert!(lines.contains(part), "{part:?} is not in:\n{lines}");
    }
    assert_eq!(test.engine.explain("web9"), None);
}

#[test]
fn a_step_that_changes_nothing_writes_nothing() {
    let mut test = Test::start(CONFIG);
    test.report_for(60, [0.8, 0.2]);
    let applies = test.bench.fake.world().applies;
    let generation = test.engine.status().generation;
    test.report_for(5, [0.8, 0.2]);
    assert_eq!(test.bench.fake.world().applies, applies);
    assert_eq!(test.engine.status().generation, generation);
}

#[test]
fn a_check_takes_a_real_out_at_once_and_brings_it_back_eased_in() {
    let mut test = Test::start(&checked(""));
    test.check("web2", &[false, false]);
    assert_eq!(test.slots()[0], test.slots()[1] + 1);
    test.check("web2", &[false]);
    assert_eq!(test.slots(), [RING_SLOTS, 0]);
    assert!(test.is_alive(1) && !test.is_alive(2), "no packets for a real that is dead everywhere");
    let row = test.row(1);
    assert_eq!((row.health, row.weight), (api::Health::Down, 0.0));
    assert_eq!(row.health_reason.as_deref(), Some("alive: connection refused (3 in a row)"));
    test.check("web2", &[true]);
    assert_eq!(test.slots()[1], 0, "one success of two");
    test.check("web2", &[true]);
    let eased = test.slots()[1];
    assert!((1_000..RING_SLOTS / 4).contains(&eased), "{eased} slots at first");
    assert!(test.is_alive(2));
    test.wait(31);
    assert!(test.slots()[1] > RING_SLOTS * 2 / 5, "{:?}", test.slots());
}

#[test]
fn a_real_that_wants_no_new_flows_gets_none_until_it_wants_some() {
    for word in [Availability::Drain, Availability::Stop] {
        let mut test = Test::start(CONFIG);
        test.say("web2", word, 0.3);
        assert_eq!(test.slots(), [RING_SLOTS, 0]);
        assert!(test.is_alive(2), "its old flows stay");
        assert_eq!(test.row(1).why, api::Why::NoReports, "until the next step");
        test.engine.step();
        assert_eq!(test.row(1).why, api::Why::NotEligible);
        test.say("web2", Availability::Alive, 0.3);
        assert!((1_000..RING_SLOTS / 4).contains(&test.slots()[1]), "{:?}", test.slots());
    }
}

#[test]
fn a_report_raises_no_real_that_a_check_says_is_down() {
    let mut test = Test::start(&checked(""));
    test.check("web2", &[false; 3]);
    test.say("web2", Availability::Alive, 0.1);
    test.engine.step();
    assert_eq!(test.slots(), [RING_SLOTS, 0]);
}

#[test]
fn an_agent_that_is_asked_decides_about_weight_and_new_flows() {
    let config = CONFIG.replace("\"192.0.2.12\"", "\"192.0.2.12\"\nagent_check = \"tcp://192.0.2.12:9777\"");
    let mut test = Test::start(&config);
    assert!(test.bench.fake.world().senders.agents.contains_key("web2"));
    test.agent_says("web2", Ok("up 50%"));
    test.engine.step();
    let [first, second] = test.slots();
    assert!((first / 2).abs_diff(second) < 700, "{first} and {second}");
    assert_eq!((test.row(1).why, test.row(1).weight), (api::Why::Asked, 50.0));
    test.agent_says("web2", Ok("drain"));
    assert_eq!(test.slots(), [RING_SLOTS, 0]);
    for _ in 0..3 {
        test.agent_says("web2", Err("the agent at 192.0.2.12:9777 did not answer in 2000 ms"));
    }
    test.engine.step();
    assert!(test.warning("agent of web2").unwrap().contains("did not answer"));
    assert_eq!(test.slots(), [RING_SLOTS, 0], "its last word stays");
    test.agent_says("web2", Ok("ready 100%"));
    assert!(test.slots()[1] > 0);
    test.engine.step();
    assert_eq!(test.warning("agent of web2"), None);
    let seen = &test.engine.reports().agent_checks[0];
    assert_eq!((seen.answer.as_deref(), seen.failures), (Some("ready 100%"), 0));
}

#[test]
fn a_real_that_reports_no_more_gets_the_mean_and_is_told_of() {
    let mut test = Test::start(CONFIG);
    test.report_for(60, [0.8, 0.2]);
    for _ in 0..31 {
        test.bench.pass(&mut test.engine, 1);
        test.say("web2", Availability::Alive, 0.2);
        test.engine.step();
    }
    assert_eq!(test.row(0).why, api::Why::Expired);
    assert!(test.warning("reports of web1").unwrap().starts_with("none for more than 30 s, while others report"));
    assert!(!test.engine.status().degraded);
    test.say("web1", Availability::Alive, 0.2);
    test.engine.step();
    assert_eq!(test.warning("reports of web1"), None);
}

#[test]
fn where_nobody_reports_nobody_is_missed() {
    let mut test = Test::start(CONFIG);
    let before = test.slots();
    test.wait(60);
    assert!(test.engine.status().warnings.is_empty());
    assert_eq!(test.slots(), before);
}

#[test]
fn all_down_is_as_configured_and_degraded() {
    for (word, gets_packets, says) in [
        ("drop", false, "its packets are dropped"),
        ("reset", false, "TCP is answered with RST"),
        ("last-known", true, "go where they went before"),
    ] {
        let mut test = Test::start(&checked(&format!("all_down = \"{word}\"\n")));
        let before = test.slots();
        test.check("web1", &[false; 3]);
        assert!(!test.engine.status().degraded);
        test.check("web2", &[false; 3]);
        assert!(test.engine.status().degraded);
        assert!(test.warning("service web").unwrap().contains(says), "{word}");
        assert_eq!((test.is_alive(1), test.is_alive(2)), (gets_packets, gets_packets), "{word}");
        assert_eq!(test.slots()[0] > 0, gets_packets, "{word}: {:?}, before {before:?}", test.slots());
        let reset = test.bench.fake.world().rows.service_options.get(&0).map(|options| options.fallback);
        assert_eq!(reset == Some(FALLBACK_RESET), word == "reset");
        test.check("web1", &[true; 2]);
        assert_eq!(test.warning("service web"), None);
        assert_eq!(test.slots(), [RING_SLOTS, 0], "{word}: the only one is not eased in");
    }
}

#[test]
fn a_restart_goes_on_with_factors_health_and_marks() {
    let mut test = Test::start(&checked(""));
    test.report_for(60, [0.8, 0.2]);
    let rows = test.bench.fake.world().rows.clone();
    let test = test.restart();
    assert!(test.bench.fake.world().rows == rows, "a restart moves no slot");
    let senders = test.bench.fake.world().senders.clone();
    assert_eq!((senders.marks["web1"].sequence, senders.marks["web2"].sequence), (119, 120));
    let mut test = test;
    let before = test.slots();
    test.wait(2);
    let moved = before[0].abs_diff(test.slots()[0]);
    assert!(moved < RING_SLOTS / 500, "{moved} slots moved by the first decisions");
    test.check("web1", &[false; 3]);
    let mut test = test.restart();
    assert_eq!(test.slots(), [0, RING_SLOTS], "a real that was down is not tried anew");
    test.check("web1", &[true]);
    assert!(test.slots()[0] > 0);
}

#[test]
fn a_reload_keeps_health_and_weights() {
    let mut test = Test::start(&checked(""));
    test.report_for(60, [0.8, 0.2]);
    test.check("web1", &[false; 3]);
    let before = test.bench.fake.world().rows.clone();
    test.bench.write_config(&checked("").replace("fall = 3", "fall = 5").replace("rise = 2", "rise = 4"));
    assert!(test.engine.reload().unwrap().changed);
    assert!(test.bench.fake.world().rows == before);
    test.check("web1", &[true; 3]);
    assert_eq!(test.slots()[0], 0, "three successes of four");
    test.check("web1", &[true]);
    assert!(test.slots()[0] > 0);
}

#[test]
fn a_real_that_comes_by_a_reload_waits_for_its_first_check() {
    let mut test = Test::start(&checked(""));
    let more = checked("").replace("[\"web1\", \"web2\"]", "[\"web1\", \"web2\", \"web3\"]")
        + "[[real]]\nname = \"web3\"\naddress = \"192.0.2.13\"\n";
    test.bench.write_config(&more);
    test.engine.reload().unwrap();
    let slots = |test: &Test| test.engine.services().unwrap().services[0].reals[2].slots;
    assert_eq!((slots(&test), test.row(2).health), (0, api::Health::Joining));
    test.check("web3", &[true]);
    assert!((1_000..RING_SLOTS / 5).contains(&slots(&test)), "{}", slots(&test));
}

#[test]
fn a_real_that_is_watched_is_eased_in_when_the_operator_enables_it() {
    let mut test = Test::start(&checked(""));
    test.engine.set_admin("web2", api::AdminState::Drained).unwrap();
    test.engine.set_admin("web2", api::AdminState::Enabled).unwrap();
    assert!((1_000..RING_SLOTS / 4).contains(&test.slots()[1]), "{:?}", test.slots());
    let mut test = Test::start(CONFIG);
    test.engine.set_admin("web2", api::AdminState::Drained).unwrap();
    test.engine.set_admin("web2", api::AdminState::Enabled).unwrap();
    assert!(test.slots()[1] > RING_SLOTS / 3, "nothing watches it: {:?}", test.slots());
}

#[test]
fn keys_are_read_again_by_a_reload_which_is_refused_when_they_cannot_be_used() {
    let bench = Bench::new();
    let path = bench.directory.path().join("keys");
    let write = |text: &str, mode: u32| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let reports = |limit: u32| format!("{CONFIG}[reports]\nkey_file = {path:?}\nrate_limit = {limit}\n");
    write(&format!("1 {}\n", "0a".repeat(32)), 0o600);
    bench.write_config(&reports(20));
    let mut engine = bench.start().unwrap();
    bench.write_config(&reports(30));
    assert!(engine.reload().unwrap().changed);
    assert_eq!(bench.fake.world().keys.take().map(|(_, limit)| limit), Some(30));
    write(&format!("1 {}\n", "0a".repeat(32)), 0o644);
    bench.write_config(&reports(40).replace("port = 80", "port = 81"));
    let refused = engine.reload().unwrap_err();
    assert!(refused.error.contains("chmod 600"), "{}", refused.error);
    assert!(bench.fake.world().keys.is_none());
    assert_eq!(engine.services().unwrap().services[0].ports.first, 80, "nothing has changed");
}

#[test]
fn a_plan_that_cannot_be_written_is_told_and_written_with_the_next_step() {
    let mut test = Test::start(&checked(""));
    test.bench.fake.world().writes_before_failure = vec![0];
    test.check("web2", &[false; 3]);
    assert!(test.warning("weights").unwrap().ends_with("tried again soon") && test.engine.status().degraded);
    test.engine.step();
    assert_eq!((test.slots(), test.warning("weights")), ([RING_SLOTS, 0], None));
}

#[test]
fn new_flows_stand_in_for_hits_that_nobody_reports() {
    let mut test = Test::start(CONFIG);
    let mut sent = [0_u64; 2];
    for _ in 0..60 {
        test.bench.pass(&mut test.engine, 1);
        for (index, cpu) in [(0, 0.8), (1, 0.2)] {
            sent[index] += 100;
            let id = index as u16 + 1;
            test.bench.fake.world().real_counters.entry(id).or_default().syn = sent[index];
            let load = Load { cpu: Some(Share::of(cpu)), ..Load::default() };
            test.sequence += 1;
            let (real, sequence) = (format!("web{id}"), test.sequence);
            let availability = Availability::Alive;
            let report = Report { real, generation: 1, sequence, interval_ms: 1_000, availability, load };
            test.engine.take_reports(&[ReportUpdate::Report(report)]);
        }
        test.engine.step();
    }
    let [first, second] = test.slots();
    assert!(second > 3 * first, "{first} to {second} slots");
}
