//! Every decoder of checkpoints over bytes that nobody has made on purpose: none of them panics, and none makes more room than
//! its input justifies.
//!
//! First each file of `tests/corpus/checkpoint` (`good-` ones are taken, `bad-` ones refused), then [`CASES`] random cases, which are those files
//! changed at random, pieces of several of them, and plain noise; records are signed again after most changes, since a checksum would end it there.
//!
//! `UNDERSTUDY_FUZZ_CASES=N cargo test -p lb-core --test checkpoint_fuzz` runs N cases, `UNDERSTUDY_FUZZ_SEED=S` begins with seed S. A failure tells
//! the seed that shows it again. What was found once belongs into the corpus.

#[path = "checkpoint_fuzz/corpus.rs"]
mod corpus;
#[path = "checkpoint_fuzz/room.rs"]
mod room;

use std::{env, panic};

use corpus::{Corpus, keys};
use lb_core::checkpoint::{
    codec::{FORMAT_VERSION, MAX_EXPANSION, OLDEST_VERSION, decode_entries_as, encode_entries_as},
    image::Image,
    record,
};

/// Random cases of each decoder.
const CASES: u64 = 100_000;
/// Seed of the first one.
const SEED: u64 = 0x636f_6465_6300_0000;
const CASES_VARIABLE: &str = "UNDERSTUDY_FUZZ_CASES";
const SEED_VARIABLE: &str = "UNDERSTUDY_FUZZ_SEED";
/// Room that is made for next to no input, in bytes.
const ROOM_FOR_NOTHING: usize = 4_096;

#[global_allocator]
static ALLOCATOR: room::Counting = room::Counting;

/// Reads entries in every version; whether they are any in the newest. What is read is written, read and added up, too.
fn try_entries(bytes: &[u8]) -> bool {
    let mut is_taken = false;
    for version in OLDEST_VERSION..=FORMAT_VERSION {
        let (found, room) = room::used(|| decode_entries_as(version, bytes));
        assert!(
            room <= bytes.len() * MAX_EXPANSION + ROOM_FOR_NOTHING,
            "{room} bytes of room for {} bytes of version {version}",
            bytes.len()
        );
        is_taken = found.is_ok();
        let Ok(found) = found else { continue };
        let mut again = Vec::new();
        encode_entries_as(version, &found.entries, &mut again);
        let once_more = decode_entries_as(version, &again).expect("what was read can be written");
        let mut image = Image::default();
        found.entries.iter().for_each(|entry| image.apply(entry));
        let mut same = Image::default();
        once_more.entries.iter().for_each(|entry| same.apply(entry));
        assert!(image == same, "written and read again, it says something else");
        if image.summary().slots_not_clean < 100 {
            let _ = Image::from_json(&image.to_json());
        }
    }
    is_taken
}

/// Reads a record; whether it is one.
fn try_record(bytes: &[u8]) -> bool {
    let _ = record::peek(bytes);
    let (decoded, room) = room::used(|| record::decode(bytes, keys(), corpus::CLUSTER));
    assert!(room <= bytes.len() * MAX_EXPANSION + ROOM_FOR_NOTHING, "{room} bytes of room for {} bytes", bytes.len());
    let Ok(decoded) = decoded else { return false };
    assert!(decoded.size <= bytes.len());
    record::encode(&decoded.header, &decoded.entries, keys()).expect("what was read can be written");
    true
}

fn from_environment(variable: &str, otherwise: u64) -> u64 {
    match env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")),
        Err(_) => otherwise,
    }
}

/// Runs random cases, and tells how many of them were taken.
fn run(test: &str, case: impl Fn(&mut fastrand::Rng) -> bool + panic::RefUnwindSafe) -> u64 {
    let (first, cases) = (from_environment(SEED_VARIABLE, SEED), from_environment(CASES_VARIABLE, CASES));
    let mut taken = 0;
    for seed in first..first + cases {
        let result = panic::catch_unwind(|| case(&mut fastrand::Rng::with_seed(seed)));
        match result {
            Ok(is_taken) => taken += u64::from(is_taken),
            Err(_) => panic!(
                "see it again with\n  {SEED_VARIABLE}={seed} {CASES_VARIABLE}=1 cargo test -p lb-core --test checkpoint_fuzz {test}"
            ),
        }
    }
    println!("{test}: {cases} cases from seed {first:#x}, {taken} of them taken");
    if cases >= CASES {
        assert!(
            taken * 50 >= cases && taken * 50 <= cases * 49,
            "{taken} of {cases} taken: too one-sided to find anything"
        );
    }
    taken
}

#[test]
fn the_corpus_is_taken_and_refused() {
    for (corpus, try_it) in [(Corpus::entries(), try_entries as fn(&[u8]) -> bool), (Corpus::records(), try_record)] {
        assert!(corpus.files.len() >= 15, "the corpus is not there");
        for (name, bytes) in &corpus.files {
            assert_eq!(try_it(bytes), name.starts_with("good-"), "{name}");
        }
    }
}

/// Each file of the corpus up to each of its bytes, and with each of its bytes another; of long ones the beginning.
#[test]
fn the_corpus_cut_and_changed_everywhere() {
    const LONG: usize = 700;
    for (corpus, try_it) in [(Corpus::entries(), try_entries as fn(&[u8]) -> bool), (Corpus::records(), try_record)] {
        for (_, bytes) in corpus.files.iter().filter(|(_, bytes)| bytes.len() <= LONG) {
            for place in 0..bytes.len() {
                try_it(&bytes[..place]);
                let mut changed = bytes.clone();
                changed[place] = !changed[place];
                try_it(&changed);
            }
        }
    }
}

#[test]
fn random_entries() {
    let corpus = Corpus::entries();
    run("random_entries", |random| try_entries(&corpus.case(random)));
}

#[test]
fn random_records() {
    let corpus = Corpus::records();
    run("random_records", |random| {
        let bytes = corpus.case(random);
        try_record(&if random.u8(..) < 200 { corpus::resealed(bytes) } else { bytes })
    });
}
