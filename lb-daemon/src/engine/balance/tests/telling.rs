//! What people are told of health and reports: in the API's lists, and by warnings.

use super::*;

const REPORTS: &str = "[reports]\nkey_file = \"/etc/understudy/keys\"\n";

impl Test {
    /// Health of `web2` in the lists of services and reals, and why it is so.
    fn health(&self) -> [(api::Health, Option<String>); 2] {
        let service = &self.engine.services().unwrap().services[0];
        let real = &self.engine.reals().unwrap().reals[1];
        [(service.reals[1].health, None), (real.health, real.health_reason.clone())]
    }
}

/// The same health in both lists.
fn both(health: api::Health, reason: Option<&str>) -> [(api::Health, Option<String>); 2] {
    [(health, None), (health, reason.map(str::to_owned))]
}

#[test]
fn services_and_reals_show_what_checks_say() {
    let mut test = Test::start(&checked(""));
    assert_eq!(test.health(), both(api::Health::Unchecked, None));
    test.check("web2", &[true]);
    assert_eq!(test.health(), both(api::Health::Up, None));
    test.check("web2", &[false; 3]);
    assert_eq!(test.health(), both(api::Health::Down, Some("alive: connection refused (3 in a row)")));
    assert_eq!(test.engine.real("web2").unwrap().unwrap().health, api::Health::Down);
    assert_eq!(test.engine.real("web1").unwrap().unwrap().health, api::Health::Unchecked);
}

#[test]
fn services_and_reals_show_what_a_real_says_of_itself() {
    let mut test = Test::start(CONFIG);
    test.say("web2", Availability::Drain, 0.1);
    assert_eq!(test.health(), both(api::Health::Down, Some("it reports that it wants none")));
}

#[test]
fn a_real_that_is_down_in_one_service_of_two_is_partly_so() {
    let second = "[[service]]\nname = \"more\"\nvip = \"198.51.100.1\"\nprotocol = \"tcp\"\nport = 81\nmode = \"dsr\"\nreals = [\"web2\"]\n";
    let mut test = Test::start(&checked(&format!("{second}checks = [\"alive\"]\n")));
    test.check("web2", &[false; 3]);
    let [service, real] = test.health();
    assert_eq!((service.0, real.0), (api::Health::Down, api::Health::Partly));
    assert_eq!(test.engine.services().unwrap().services[1].reals[0].health, api::Health::Unchecked);
}

#[test]
fn when_no_report_comes_at_all_it_is_said_what_to_look_at() {
    let mut test = Test::start(&format!("{CONFIG}{REPORTS}"));
    test.wait(30);
    assert_eq!(test.warning("reports"), None);
    test.wait(1);
    let warning = test.warning("reports").unwrap();
    for what in ["no real has reported", "lb-agent runs", "key files", "firewall", "reports.listen"] {
        assert!(warning.contains(what), "{what:?} is not in: {warning}");
    }
    assert!(!test.engine.status().degraded);
    test.say("web2", Availability::Alive, 0.1);
    test.engine.step();
    assert_eq!(test.warning("reports"), None);
    assert!(test.warning("reports of web1").is_some());
}

#[test]
fn no_report_is_missed_of_a_real_that_is_asked_or_disabled() {
    let config = CONFIG.replace("\"192.0.2.12\"", "\"192.0.2.12\"\nagent_check = \"tcp://192.0.2.12:9777\"");
    let mut test = Test::start(&format!("{config}{REPORTS}"));
    test.engine.set_admin("web1", api::AdminState::Disabled).unwrap();
    test.wait(31);
    assert_eq!(test.warning("reports"), None);
    test.engine.set_admin("web1", api::AdminState::Drained).unwrap();
    test.wait(1);
    assert!(test.warning("reports").is_some());
}

#[test]
fn a_word_that_an_agent_should_not_say_is_shown() {
    let config = CONFIG.replace("\"192.0.2.12\"", "\"192.0.2.12\"\nagent_check = \"tcp://192.0.2.12:9777\"");
    let mut test = Test::start(&config);
    test.agent_says("web2", Ok("up 50% load=0.53"));
    test.engine.step();
    assert!(test.warning("agent of web2").unwrap().contains("no word of the agent-check protocol"));
    let lines = test.engine.explain("web2").unwrap().lines.join("\n");
    assert!(lines.contains("agent: it says \"up 50%\", and \"load=0.53\", which is no word"), "{lines}");
    assert_eq!(test.row(1).weight, 50.0, "the rest counts");
    test.agent_says("web2", Ok("up 50%"));
    test.engine.step();
    assert_eq!(test.warning("agent of web2"), None);
    assert!(!test.engine.explain("web1").unwrap().lines.join("\n").contains("agent:"));
}

#[test]
fn what_is_known_of_a_real_that_is_gone_is_not_saved() {
    let mut test = Test::start(CONFIG);
    test.report_for(2, [0.3, 0.3]);
    test.engine.save();
    let saved = || std::fs::read_to_string(test.bench.state_dir().join(crate::state::STATE_FILE)).unwrap();
    assert_eq!(saved().matches("\"sequence\"").count(), 2);
    let one = CONFIG.replace("[\"web1\", \"web2\"]", "[\"web1\"]");
    let (begin, end) = (one.find("[[real]]\nname = \"web2\"").unwrap(), one.find("[[service]]").unwrap());
    test.bench.write_config(&format!("{}{}", &one[..begin], &one[end..]));
    test.engine.reload().unwrap();
    assert!(!saved().contains("web2"), "{}", saved());
}
