//! Files that nobody honest has: never a panic, and whatever comes out, `lbd` would take its services and reals.

use super::*;

const SEED: u64 = 0x1399_04a3;
const ROUNDS: usize = 1_000;
/// Most changes to one file.
const CHANGES: usize = 12;
/// Words that mean something somewhere.
const WORDS: [&str; 20] = [
    "{",
    "}",
    "\"",
    "0",
    "65536",
    "-1",
    "198.51.100.1",
    "::1",
    "::ffff:192.0.2.1",
    "224.0.0.1",
    "198.51.100.1-255",
    "fwmark",
    "group",
    "virtual_server",
    "real_server",
    "HTTP_GET",
    "lb_kind",
    "-a",
    "-t",
    "[2001:db8::1]:80",
];

fn changed(text: &str, random: &mut fastrand::Rng) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..=random.usize(..CHANGES) {
        let at = random.usize(..lines.len());
        let mut words: Vec<String> = lines[at].split(' ').map(str::to_owned).collect();
        let word = random.usize(..words.len());
        match random.u8(..5) {
            0 => drop(words.remove(word)),
            1 => words[word] = random.choice(WORDS).unwrap_or_default().to_owned(),
            2 => words.push(random.choice(WORDS).unwrap_or_default().to_owned()),
            3 => words[word].insert(0, random.char(..)),
            _ => {
                let other = random.usize(..lines.len());
                lines.swap(at, other);
                continue;
            }
        }
        lines[at] = words.join(" ");
    }
    lines.join("\n")
}

/// Reads and settles a file; what is left must fit together.
fn look(source: Source, text: &str) -> bool {
    let mut remarks = Remarks::default();
    let draft = match source {
        Source::Keepalived => keepalived::read(text, &mut remarks),
        Source::Ipvsadm => Ok(ipvsadm::read(text, &mut remarks)),
    };
    let Ok(mut draft) = draft else { return false };
    settle::settle(&mut draft, &mut remarks);
    assert_eq!(settle::errors(&draft), [], "{text}");
    let written = write::config(&draft, source, &remarks.grouped());
    assert!(!written.contains(|sign: char| sign.is_control() && sign != '\n'), "{text}");
    !draft.services.is_empty()
}

#[test]
fn changed_files_give_what_fits_together_or_nothing() {
    let mut random = fastrand::Rng::with_seed(SEED);
    for (source, text) in [(Source::Keepalived, KEEPALIVED), (Source::Ipvsadm, IPVSADM)] {
        let good = (0..ROUNDS).filter(|_| look(source, &changed(text, &mut random))).count();
        assert!(good > ROUNDS / 10, "only {good} were any good: this shows little");
    }
}

#[test]
fn random_text_is_no_configuration() {
    let mut random = fastrand::Rng::with_seed(SEED);
    for _ in 0..ROUNDS {
        let text: String = (0..random.usize(..200)).map(|_| random.char(..'\u{80}')).collect();
        assert!(!look(Source::Keepalived, &text) && !look(Source::Ipvsadm, &text), "{text}");
    }
}
