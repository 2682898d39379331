//! What a successor goes on with.

use super::*;
use crate::table::Learned;

#[test]
fn health_and_words_outlive_a_restart() {
    let agent = AgentCheck { address: "192.0.2.11:9777".parse().unwrap(), interval_ms: 1_000 };
    let reals = BTreeMap::from([("b".to_owned(), RealMonitoring { agent_check: Some(agent) })]);
    let configured = Monitoring { reals, ..usual() };
    let mut before = monitor_of(&configured);
    fail(&mut before, "web", "a", FALL);
    before.agent_check("b", Ok(&agent_check::parse(b"maint 50%").unwrap()), 5);
    let mut learned = BTreeMap::from([("a".to_owned(), Learned { factor: 700, ..Learned::default() })]);
    before.save(&mut learned);
    assert_eq!(learned.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((learned["a"].factor, &learned["a"].down), (700, &names(&["web"])));

    let text = serde_json::to_string(&learned).unwrap();
    let mut after = monitor_of(&configured);
    after.restore(&serde_json::from_str(&text).unwrap());
    let plans = [&before, &after].map(|monitor| monitor.plan(&BTreeMap::new(), |_, _| true));
    assert_eq!(plans[0], plans[1]);
    assert_eq!((after.agent("b").unwrap().asked(), after.is_available("b")), (Some(0.5), false));
}

#[test]
fn the_first_success_after_a_restart_will_do() {
    let down = Learned { down: names(&["web", "gone"]), ..Learned::default() };
    let mut monitor = monitor();
    monitor.restore(&BTreeMap::from([("a".to_owned(), down.clone()), ("gone".to_owned(), down)]));
    assert_eq!(health(&monitor, "web", "a"), Health::Down);
    assert_eq!(pass(&mut monitor, "web", "a", 1), [became("web", "a", Health::Up, None)]);
}

#[test]
fn a_failure_after_a_restart_leaves_it_down() {
    let mut monitor = monitor();
    let down = Learned { down: names(&["web"]), ..Learned::default() };
    monitor.restore(&BTreeMap::from([("a".to_owned(), down)]));
    assert_eq!(fail(&mut monitor, "web", "a", 1), []);
    assert_eq!(pass(&mut monitor, "web", "a", RISE - 1), []);
    assert_eq!(health(&monitor, "web", "a"), Health::Down);
}
