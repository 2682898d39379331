//! The law in simulated time.

use super::*;

fn candidate<'a>(real: &'a str) -> Candidate<'a> {
    Candidate { real, services: vec!["web"], weight: 1, eligible: true, adaptive: true, new_flows: None, asked: None }
}

#[test]
fn without_reports_the_configured_weights_stay() {
    let mut scheduler = Scheduler::new(SchedulerOptions::default());
    let candidates = ["a", "b"].map(candidate);
    for second in 0..60 {
        for decision in scheduler.step(&candidates, second * 1_000).values() {
            assert_eq!((decision.factor, decision.goal), (NEUTRAL_FACTOR, NEUTRAL_FACTOR));
            assert_eq!(decision.why, Why::NoReports);
        }
    }
}
