//! Any history of checks and words, and what every plan must keep to.

use proptest::prelude::*;

use super::*;
use crate::testing::cases;

const REALS: [&str; 4] = ["a", "b", "c", "d"];
const SERVICES: [(&str, &[&str]); 3] = [("web", &["a", "b", "c"]), ("mail", &["a", "b", "d"]), ("open", &["c", "d"])];

#[derive(Clone, Debug)]
enum Event {
    Check(usize, usize, bool),
    Says(usize, Availability),
    Agent(usize, &'static str),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let real = 0..REALS.len();
    let word = prop_oneof![Just(Availability::Alive), Just(Availability::Drain), Just(Availability::Stop)];
    let text =
        prop_oneof![Just("ready up 100%"), Just("drain"), Just("down"), Just("up"), Just("0%"), Just("maint 50%")];
    prop_oneof![
        12 => (0..2usize, 0..3usize, any::<bool>()).prop_map(|(service, real, ok)| Event::Check(service, real, ok)),
        2 => (real.clone(), word).prop_map(|(real, word)| Event::Says(real, word)),
        2 => (real, text).prop_map(|(real, text)| Event::Agent(real, text)),
        1 => (0..10_000u64).prop_map(Event::Wait),
    ]
}

fn configured(all_down: AllDown) -> (Cluster, Monitoring) {
    let services = (80..).zip(SERVICES).map(|(port, (name, reals))| service(name, port, reals)).collect();
    let reals = (1..).zip(REALS).map(|(last, name)| real(name, last)).collect();
    let agent = AgentCheck { address: "192.0.2.11:9777".parse().unwrap(), interval_ms: 1_000 };
    let own = REALS.map(|real| (real.to_owned(), RealMonitoring { agent_check: Some(agent.clone()) }));
    let checked = monitoring(&[("web", &["tcp"]), ("mail", &["tcp"]), ("open", &[])], all_down);
    (Cluster::new(services, reals).unwrap(), Monitoring { reals: own.into(), ..checked })
}

fn perform(monitor: &mut Monitor, event: &Event, now_ms: &mut u64) -> Vec<Change> {
    *now_ms += 100;
    match event {
        Event::Check(service, real, ok) => {
            let (service, reals) = SERVICES[*service];
            monitor.check(&result(service, reals[*real], "tcp", if *ok { passed() } else { failed() }), *now_ms)
        }
        Event::Says(real, availability) => {
            let (real, availability) = (REALS[*real].to_owned(), *availability);
            let report =
                Report { real, generation: 1, sequence: 1, interval_ms: 1_000, availability, load: Load::default() };
            monitor.report(&report, *now_ms)
        }
        Event::Agent(real, text) => {
            monitor.agent_check(REALS[*real], Ok(&agent_check::parse(text.as_bytes()).unwrap()), *now_ms)
        }
        Event::Wait(ms) => {
            *now_ms += ms;
            Vec::new()
        }
    }
}

/// Who gets new flows of a service by the plan.
fn served<'a>(plan: &Plan, service: &str, reals: &[&'a str]) -> Vec<&'a str> {
    let without = plan.services.get(service).map(|own| own.without.clone()).unwrap_or_default();
    let takes = |real: &str| {
        let own = plan.reals.get(real).copied().unwrap_or_default();
        own.alive && !own.no_new_flows && !without.contains(real)
    };
    reals.iter().copied().filter(|real| takes(real)).collect()
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_plan_keeps_to_what_is_known(
        events in prop::collection::vec(event(), 1..120),
        all_down in prop_oneof![Just(AllDown::Drop), Just(AllDown::Reset), Just(AllDown::LastKnown)],
    ) {
        let (cluster, configured) = configured(all_down);
        let mut monitor = Monitor::default();
        monitor.configure(&cluster, &configured);
        let mut now_ms = 0;
        for event in &events {
            let before = REALS.map(|real| monitor.is_available(real));
            let changes = perform(&mut monitor, event, &mut now_ms);
            for (real, was) in REALS.into_iter().zip(before) {
                let has_returned = !was && monitor.is_available(real);
                prop_assert_eq!(changes.contains(&returned(real)), has_returned, "{}", real);
            }

            let plan = monitor.plan(&BTreeMap::new(), |_, _| true);
            for (service, reals) in SERVICES {
                let served = served(&plan, service, reals);
                let willing: Vec<&str> = reals.iter().copied().filter(|real| monitor.refuses(real).is_none()).collect();
                let is_down = |real: &str| health(&monitor, service, real) == Health::Down;
                let well: Vec<&str> = willing.iter().copied().filter(|real| monitor.is_available(real) && !is_down(real)).collect();
                let expected = match all_down {
                    AllDown::LastKnown if well.is_empty() => &willing,
                    _ => &well,
                };
                prop_assert_eq!(&served, expected, "{} after {:?}", service, event);
            }
        }
    }
}
