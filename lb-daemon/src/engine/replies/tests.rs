//! What is said of the interfaces by which replies come in.

use super::super::test_support::{Bench, CONFIG, resolved};
use super::*;

fn nat_engine(bench: &Bench) -> Engine {
    bench.write_config(&CONFIG.replace("\"dsr\"", "\"nat\""));
    let mut engine = bench.start().unwrap();
    engine.set_next_hops(vec![resolved("web1", 11), resolved("web2", 12)]);
    bench.pass(&mut engine, 1);
    engine
}

fn messages(engine: &Engine) -> Vec<String> {
    let warnings = engine.status().warnings;
    warnings.iter().map(|warning| format!("{}: {}", warning.subject, warning.message)).collect()
}

#[test]
fn a_host_that_does_not_forward() {
    let bench = Bench::new();
    bench.fake.world().forwards_not.insert(("eth0".to_owned(), Family::V4));
    let mut engine = nat_engine(&bench);
    assert_eq!(
        messages(&engine),
        [
            "nat eth0 IPv4: this host forwards no IPv4 packets from eth0: replies of reals are dropped (`not_forwarding`); \
          sysctl -w net/ipv4/conf/eth0/forwarding=1, and the same in /etc/sysctl.d for good"
        ]
    );
    assert!(engine.status().degraded);
    bench.fake.world().forwards_not.clear();
    bench.pass(&mut engine, 1);
    assert!(messages(&engine).is_empty());
}

#[test]
fn replies_that_come_in_where_the_program_does_not_run() {
    let bench = Bench::new();
    {
        let mut world = bench.fake.world();
        world.interfaces.clear();
        world.interfaces.extend([("eth0".to_owned(), 3), ("eth1".to_owned(), 2)]);
    }
    let engine = nat_engine(&bench);
    let [message] = &messages(&engine)[..] else { panic!("{:?}", messages(&engine)) };
    assert!(message.starts_with("nat eth1 IPv4: ") && message.ends_with("add \"eth1\" to `interfaces`"), "{message}");
}

#[test]
fn without_nat_nothing_is_said_and_nothing_stays() {
    let bench = Bench::new();
    bench.fake.world().forwards_not.insert(("eth0".to_owned(), Family::V4));
    let mut engine = nat_engine(&bench);
    assert_eq!(messages(&engine).len(), 1);
    bench.write_config(CONFIG);
    engine.reload().unwrap();
    bench.pass(&mut engine, 1);
    assert!(messages(&engine).is_empty());
}
