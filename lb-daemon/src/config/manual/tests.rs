//! Holds the keys to what the readers do, and the page to the keys.

mod file;

use std::path::Path;
use std::time::Duration;

use lb_config::{Problems, duration_text, size_text};

use super::super::keys::{self, Absent, Key, Literal, Value};
use super::super::{Config, raw};
use super::{EXAMPLE, defaults, explain, page, roff, schema};
use file::{file, with};

fn parse(text: &str) -> Config {
    Config::parse(Path::new("lbd.toml"), text, &|_| Some(4)).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// All that a configuration says.
fn said(text: &str) -> String {
    let Config { cluster, monitoring, settings, origin: _ } = parse(text);
    format!("{cluster:?} {monitoring:?} {settings:?}")
}

fn is_read(text: &str) -> bool {
    let mut problems = Problems::default();
    raw::read(text, &mut problems);
    problems.is_empty()
}

/// Values that the key can have: both ends of its range.
fn right(value: &Value) -> Vec<String> {
    match value {
        Value::Boolean => vec!["true".to_owned(), "false".to_owned()],
        Value::Integer(range) => vec![range.start().to_string(), range.end().to_string()],
        Value::Duration(range) => [range.start(), range.end()].map(|end| quoted(&duration_text(*end))).to_vec(),
        Value::Size(range) => [range.start(), range.end()].map(|end| quoted(&size_text(*end))).to_vec(),
        Value::Words(words) => words.iter().map(|word| quoted(word)).collect(),
        Value::List { of, .. } => right(of).iter().map(|element| format!("[{element}]")).collect(),
        Value::Either(values) => values.iter().flat_map(right).collect(),
        other => vec![other.example()],
    }
}

/// Values just outside of its range, or of another type.
fn wrong(value: &Value) -> Vec<String> {
    match value {
        Value::Boolean => vec!["1".to_owned()],
        Value::Integer(range) => {
            let below = range.start().checked_sub(1).map(|number| number.to_string());
            below.into_iter().chain([(u64::from(*range.end()) + 1).to_string(), quoted("x")]).collect()
        }
        Value::Duration(range) => {
            let step = Duration::from_millis(1);
            let below = range.start().checked_sub(step);
            let all = below.into_iter().chain([*range.end() + step]).map(|end| quoted(&duration_text(end)));
            all.chain(["1".to_owned()]).collect()
        }
        Value::Size(range) => {
            let all = [range.start() - 1_024, range.end() + 1_024].map(|end| quoted(&size_text(end)));
            all.into_iter().chain(["1".to_owned()]).collect()
        }
        Value::Words(_) => vec![quoted("teleport")],
        Value::List { of, .. } => wrong(of).iter().map(|element| format!("[{element}]")).collect(),
        Value::Either(values) => values.iter().flat_map(wrong).collect(),
        _ => Vec::new(),
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[test]
fn every_key_is_read_with_both_ends_of_its_range_and_not_beyond() {
    assert!(is_read(&file()));
    for (name, key) in keys::all() {
        for value in right(&key.value) {
            assert!(is_read(&with(&name, &value)), "{name} = {value} is not read");
        }
        for value in wrong(&key.value) {
            assert!(!is_read(&with(&name, &value)), "{name} = {value} is read");
        }
    }
}

#[test]
fn every_default_is_what_holds_without_the_key() {
    let without = said(&file());
    for (name, key) in keys::all() {
        if let Absent::Default(literal) = key.absent {
            assert_eq!(said(&with(&name, &literal.to_string())), without, "{name} = {literal}");
        }
    }
}

#[test]
fn what_is_required_is_missed() {
    for (name, key) in keys::all() {
        if matches!(key.absent, Absent::Required) {
            assert!(!is_read(&file::without(&name)), "nobody misses {name}");
        }
    }
}

/// Each key has a heading of its own in the reference, and each such heading is a key.
#[test]
fn the_reference_has_every_key_and_no_other() {
    let headings = page::PAGE.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    let names: Vec<String> = keys::all().into_iter().map(|(name, _)| name).collect();
    assert_eq!(headings.collect::<Vec<_>>(), names);
}

#[test]
fn the_reference_says_what_each_key_can_be_its_default_and_what_takes_a_change_over() {
    let mut wrong = Vec::new();
    for (name, key) in keys::all() {
        let section = page::section(&name).unwrap();
        let (first, _) = section.split_once("\n\n").unwrap_or((section, ""));
        let said = first.replace('\n', " ");
        if let (Some(rest), Absent::Derived(other)) = (said.strip_prefix("As ["), key.absent) {
            if !rest.starts_with(other) {
                wrong.push(format!("{name}: as {other}"));
            }
            continue;
        }
        let facts = ranges(&key.value).into_iter().chain([absent(key)]);
        wrong.extend(facts.filter(|fact| !said.contains(fact)).map(|fact| format!("{name}: {fact}")));
        let waits = section.contains("*Restart") || name.starts_with("pair.path.");
        if waits != key.restart {
            wrong.push(format!("{name}: *Restart.*"));
        }
    }
    assert_eq!(wrong, [""; 0], "is not what the page says");
}

/// How the page says what a key can be, where it has a range.
fn ranges(value: &Value) -> Vec<String> {
    let code = |text: String| format!("`{}`", quoted(&text));
    match value {
        Value::Boolean => vec!["`true` or `false`".to_owned()],
        Value::Integer(range) => vec![format!("{} to {}", range.start(), range.end())],
        Value::Duration(range) => [range.start(), range.end()].map(|end| code(duration_text(*end))).to_vec(),
        Value::Size(range) => [range.start(), range.end()].map(|end| code(size_text(*end))).to_vec(),
        Value::Words(words) => words.iter().map(|word| code((*word).to_owned())).collect(),
        Value::List { of, count } => {
            let count = match (*count.start(), *count.end()) {
                (0, usize::MAX) => "list".to_owned(),
                (least, usize::MAX) => format!("{least} or more"),
                (0, most) => format!("at most {most}"),
                (least, most) => format!("{least} to {most}"),
            };
            ranges(of).into_iter().chain([count]).collect()
        }
        Value::Either(values) => values.iter().flat_map(ranges).collect(),
        _ => Vec::new(),
    }
}

/// How the page says what holds without a key.
fn absent(key: &Key) -> String {
    match key.absent {
        Absent::Required => "Required".to_owned(),
        Absent::RequiredFor(kind) => format!("Required for `{kind}`"),
        Absent::Default(Literal::Integer(number)) => format!("Default: {number}"),
        Absent::Default(literal) => format!("Default: `{literal}`"),
        Absent::Derived(from) => format!("Default: {from}"),
        Absent::None => "Default: none".to_owned(),
    }
}

#[test]
fn the_files_that_lbd_shows_are_right() {
    assert_eq!(said(&defaults()), said("interfaces = [\"eth0\"]\n"));
    let example = parse(EXAMPLE);
    assert_eq!((example.cluster.services().len(), example.cluster.reals().len()), (1, 2));
}

#[test]
fn every_key_of_the_defaults_can_be_taken_into_use() {
    let text = defaults();
    for (name, key) in keys::all() {
        let line = format!("\n#{} = ", key.name);
        let required = format!("\n{} = ", key.name);
        assert!(text.contains(&line) || text.contains(&required) || name.matches('.').count() > 1, "{name}");
    }
}

#[test]
fn the_schema_takes_what_lbd_takes_and_marks_what_is_wrong() {
    let schema = schema();
    let validator = jsonschema::draft7::new(&schema).unwrap();
    let json = |text: &str| serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
    for text in [EXAMPLE, &defaults(), &file()] {
        let errors: Vec<String> = validator.iter_errors(&json(text)).map(|error| error.to_string()).collect();
        assert_eq!(errors, [""; 0], "{text}");
    }
    for (name, key) in keys::all() {
        for value in right(&key.value) {
            assert!(validator.is_valid(&json(&with(&name, &value))), "{name} = {value}");
        }
        for value in wrong(&key.value).iter().filter(|value| !value.ends_with("s\"") && !value.ends_with("B\"")) {
            assert!(!validator.is_valid(&json(&with(&name, value))), "{name} = {value}");
        }
    }
    assert!(!validator.is_valid(&json("interface = [\"eth0\"]")), "an unknown key, and none of what is required");
    let description = &schema["properties"]["scheduler"]["properties"]["interval"]["description"];
    assert!(description.as_str().unwrap().contains("How often weights are decided."), "{description}");
}

#[test]
fn a_key_is_explained_and_a_wrong_one_suggested() {
    let text = explain("pair.path.baud").unwrap();
    assert!(text.starts_with("pair.path.baud\n\n1200 to 4000000. Default: 115200."), "{text}");
    assert!(text.ends_with("A change waits for a restart of lbd.\n"), "{text}");
    let text = explain("[[pair.path]]").unwrap();
    assert!(text.contains("\npair.path.device\n    an absolute path; required for serial; restart\n"), "{text}");
    assert!(explain("checkpoint.interval").unwrap().contains("A reload takes a change over."));
    assert!(!explain("checkpoint.interval").unwrap().contains("]("), "links have no target in a terminal");
    assert_eq!(
        explain("scheduler.intervall").unwrap_err(),
        "there is no key `scheduler.intervall`: did you mean `scheduler.interval`?"
    );
    assert_eq!(explain("baud").unwrap_err(), "there is no key `baud`: there is `pair.path.baud`");
}

#[test]
fn the_manual_page_has_every_key_and_its_words() {
    let page = roff();
    assert!(page.contains(".TH lbd.toml 5"), "{page}");
    for (name, _) in keys::all() {
        assert!(page.contains(&format!(".SS {}\n", name.replace('-', "\\-"))), "{name}");
    }
    assert!(page.contains("How often weights are decided.") && !page.contains("](") && !page.contains('`'));
}
