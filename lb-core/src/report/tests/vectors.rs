//! The vectors that docs/reference/reports.md prints.

use super::*;
use crate::testing::page::{Fields, blocks, fields};

const PAGE: &str = include_str!("../../../../docs/reference/reports.md");

fn report(fields: &Fields) -> Report {
    let share = |name: &str| fields.get(name).map(|_| Share(fields.number(name)));
    let network =
        |_| Network { received: fields.number("received"), sent: fields.number("sent"), limit: fields.number("limit") };
    Report {
        real: fields.text("real").to_owned(),
        generation: fields.number("generation"),
        sequence: fields.number("sequence"),
        interval_ms: fields.number("interval_ms"),
        availability: match fields.text("availability") {
            "alive" => Availability::Alive,
            "drain" => Availability::Drain,
            "stop" => Availability::Stop,
            other => panic!("{other}"),
        },
        load: Load {
            cpu: share("cpu"),
            memory: share("memory"),
            network: fields.get("received").map(network),
            hits: fields.get("hits").map(|_| fields.number("hits")),
            custom: share("custom"),
        },
    }
}

#[test]
fn the_page_says_what_is_taken_and_what_is_refused() {
    let keys = Keys::parse(blocks(PAGE, "keys")[0]).unwrap();
    let (taken, refused) = (fields(PAGE, "report"), fields(PAGE, "refused"));
    assert_eq!((taken.len(), refused.len()), (4, 9));
    let mut inbox = Inbox::new(keys.clone(), 20);
    inbox.set_reals(taken.iter().map(|fields| fields.text("real").to_owned()));
    for fields in &taken {
        let (report, datagram) = (report(fields), fields.bytes("datagram"));
        assert_eq!(encode(&report, &keys).unwrap(), datagram, "{report:?}");
        assert_eq!(inbox.receive(&datagram, 0), Ok(report));
    }
    for fields in &refused {
        let refusal = inbox.receive(&fields.bytes("datagram"), 0).unwrap_err();
        assert_eq!(refusal.name(), fields.text("because"), "{}", fields.text("datagram"));
    }
}

#[test]
fn the_page_names_every_counter() {
    for refusal in Refusal::ALL {
        assert!(PAGE.contains(&format!("| `{}` |", refusal.name())), "{refusal:?}");
    }
    assert!(PAGE.contains(&format!("The longest has {MAX_REPORT_SIZE} bytes.")));
}
