//! Tests of reports: what they mean, their datagrams, and who takes them.

mod inbox;
mod vectors;
mod wire;

use proptest::prelude::*;

use super::*;
use crate::auth::Keys;

/// Key 7 is good for all reals, 9 for `web2`, 8 for `web1`.
const KEYS: &str = "9 404142434445464748494a4b4c4d4e4f web2\n7 000102030405060708090a0b0c0d0e0f\n8 ffffffffffffffffffffffffffffffff web1";

fn keys() -> Keys {
    Keys::parse(KEYS).unwrap()
}

/// Report `sequence` of generation 5 of `web1`.
fn numbered(sequence: u64) -> Report {
    Report {
        real: "web1".to_owned(),
        generation: 5,
        sequence,
        interval_ms: 1_000,
        availability: Availability::Alive,
        load: Load::default(),
    }
}

prop_compose! {
    fn loads()(
        cpu in proptest::option::of(any::<u16>()),
        memory in proptest::option::of(any::<u16>()),
        network in proptest::option::of(any::<(u64, u64, u64)>()),
        hits in proptest::option::of(any::<u64>()),
        custom in proptest::option::of(any::<u16>()),
    ) -> Load {
        Load {
            cpu: cpu.map(Share),
            memory: memory.map(Share),
            network: network.map(|(received, sent, limit)| Network { received, sent, limit }),
            hits,
            custom: custom.map(Share),
        }
    }
}

prop_compose! {
    fn reports()(
        real in "[A-Za-z0-9._-]{1,64}",
        generation in any::<u64>(),
        sequence in 1..=u64::MAX,
        interval_ms in 1..=MAX_INTERVAL_MS,
        availability in prop::sample::select(vec![Availability::Alive, Availability::Drain, Availability::Stop]),
        load in loads(),
    ) -> Report {
        Report { real, generation, sequence, interval_ms, availability, load }
    }
}

#[test]
fn utilisation_is_that_of_the_busiest_resource() {
    let network = |received, sent| Some(Network { received, sent, limit: 1_000 });
    let load = Load {
        cpu: Some(Share(2_000)),
        memory: Some(Share(1_000)),
        network: network(100, 50),
        hits: Some(9_000_000),
        custom: Some(Share(1_500)),
    };
    assert_eq!(load.utilisation(), Some((0.2, Resource::Cpu)));
    let more = Some(Share(3_000));
    assert_eq!(Load { memory: more, ..load }.utilisation(), Some((0.3, Resource::Memory)));
    assert_eq!(Load { network: network(300, 299), ..load }.utilisation(), Some((0.3, Resource::NetworkReceived)));
    assert_eq!(Load { network: network(299, 300), ..load }.utilisation(), Some((0.3, Resource::NetworkSent)));
    assert_eq!(Load { custom: Some(Share(12_000)), ..load }.utilisation(), Some((1.2, Resource::Custom)));
}

#[test]
fn without_a_limit_there_is_no_utilisation() {
    let unlimited = Network { received: 10, sent: 10, limit: 0 };
    let load = Load { network: Some(unlimited), hits: Some(1), ..Load::default() };
    assert_eq!(load.utilisation(), None);
    let load = Load { cpu: Some(Share(0)), ..load };
    assert_eq!(load.utilisation(), Some((0.0, Resource::Cpu)));
}

#[test]
fn of_equally_busy_resources_the_first_is_named() {
    let load = Load { cpu: Some(Share(500)), custom: Some(Share(500)), ..Load::default() };
    assert_eq!(load.utilisation(), Some((0.05, Resource::Cpu)));
}

#[test]
fn shares_are_rounded_and_bounded() {
    let of = |fraction| Share::of(fraction).0;
    assert_eq!([of(0.12344), of(0.12346), of(1.0), of(6.5535), of(7.0)], [1_234, 1_235, 10_000, 65_535, 65_535]);
    assert_eq!([of(-1.0), of(f64::NAN), of(f64::INFINITY), of(f64::NEG_INFINITY)], [0, 0, 65_535, 0]);
    assert_eq!(Share(2_500).fraction(), 0.25);
    assert_eq!(Load { hits: Some(1_500), ..Load::default() }.hits_per_second(), Some(1.5));
}
