//! Files with anything in them: an error that points into the file, or a configuration, and never a panic.

use super::*;

const SEED: u64 = 0x70a1;
const ROUNDS: usize = 2_000;
/// Most changes to one file.
const CHANGES: usize = 6;
/// Values and keys that mean something somewhere.
const WORDS: [&str; 16] = [
    "[pair]",
    "[[pair.path]]",
    "[[check]]",
    "[checkpoint]",
    "[limits]",
    "type = \"exec\"",
    "role = \"primary\"",
    "interval = \"auto\"",
    "\"any\"",
    "\"1-65535\"",
    "0",
    "-9223372036854775808",
    "1e308",
    "[[[",
    "\"\\u0000\"",
    "{ a.b = {} }",
];

fn changed(random: &mut fastrand::Rng) -> String {
    let mut text = GOOD.to_owned();
    for _ in 0..=random.usize(..CHANGES) {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let at = places[random.usize(..places.len())];
        match random.u8(..4) {
            0 => drop(text.remove(at)),
            1 => text.insert(at, random.char(..)),
            2 => text.insert_str(at, random.choice(WORDS).unwrap_or_default()),
            _ => text.insert_str(at, &format!("\n{}\n", random.choice(WORDS).unwrap_or_default())),
        }
    }
    text
}

#[test]
fn changed_files_are_read_or_refused() {
    let mut random = fastrand::Rng::with_seed(SEED);
    for _ in 0..ROUNDS {
        let text = changed(&mut random);
        if let Err(error) = parse(&text) {
            assert!(!error.to_string().is_empty(), "{text}");
        }
    }
}
