//! The vectors that docs/reference/reports.md prints.

use std::collections::BTreeMap;

use super::*;

const PAGE: &str = include_str!("../../../../docs/reference/reports.md");

/// The content of the page's blocks of this kind.
fn blocks(kind: &str) -> Vec<&'static str> {
    let begin = format!("```{kind}\n");
    PAGE.split(begin.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The fields of a block by name; lines of one name are one field.
fn fields(block: &str) -> BTreeMap<&str, String> {
    let mut fields = BTreeMap::<&str, String>::new();
    for line in block.lines() {
        let (name, value) = line.split_once(' ').unwrap();
        fields.entry(name).or_default().push_str(value);
    }
    fields
}

fn datagram(fields: &BTreeMap<&str, String>) -> Vec<u8> {
    let digits: Vec<u8> = fields["datagram"].bytes().filter(|byte| *byte != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn report(fields: &BTreeMap<&str, String>) -> Report {
    let number = |name: &str| fields.get(name).map(|value| value.parse::<u64>().unwrap());
    let share = |name: &str| number(name).map(|value| Share(value.try_into().unwrap()));
    let network = |received| Network { received, sent: number("sent").unwrap(), limit: number("limit").unwrap() };
    Report {
        real: fields["real"].clone(),
        generation: number("generation").unwrap(),
        sequence: number("sequence").unwrap(),
        interval_ms: number("interval_ms").unwrap().try_into().unwrap(),
        availability: match fields["availability"].as_str() {
            "alive" => Availability::Alive,
            "drain" => Availability::Drain,
            "stop" => Availability::Stop,
            other => panic!("{other}"),
        },
        load: Load {
            cpu: share("cpu"),
            memory: share("memory"),
            network: number("received").map(network),
            hits: number("hits"),
            custom: share("custom"),
        },
    }
}

#[test]
fn the_page_says_what_is_taken_and_what_is_refused() {
    let keys = Keys::parse(blocks("keys")[0]).unwrap();
    let taken: Vec<_> = blocks("report").into_iter().map(fields).collect();
    let refused: Vec<_> = blocks("refused").into_iter().map(fields).collect();
    assert_eq!((taken.len(), refused.len()), (4, 9));
    let mut inbox = Inbox::new(keys.clone(), 20);
    inbox.set_reals(taken.iter().map(|fields| fields["real"].clone()));
    for fields in &taken {
        let (report, datagram) = (report(fields), datagram(fields));
        assert_eq!(encode(&report, &keys).unwrap(), datagram, "{report:?}");
        assert_eq!(inbox.receive(&datagram, 0), Ok(report));
    }
    for fields in &refused {
        let refusal = inbox.receive(&datagram(fields), 0).unwrap_err();
        assert_eq!(refusal.name(), fields["because"], "{fields:?}");
    }
}

#[test]
fn the_page_names_every_counter() {
    for refusal in Refusal::ALL {
        assert!(PAGE.contains(&format!("| `{}` |", refusal.name())), "{refusal:?}");
    }
    assert!(PAGE.contains(&format!("The longest has {MAX_REPORT_SIZE} bytes.")));
}
