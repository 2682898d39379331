//! The files of the corpus, and what is made of them.

use std::{fs, path::Path, sync::LazyLock};

use fastrand::Rng;
use lb_core::{auth::Keys, checkpoint::record::HEAD_SIZE};

/// The number of the cluster `understudy`.
pub const CLUSTER: u64 = 0x1aae_8093_81b4_d2e5;

/// The key file that docs/reference/checkpoint.md has, and the corpus is signed with.
const KEYS: &str = "9 404142434445464748494a4b4c4d4e4f web2
    7 000102030405060708090a0b0c0d0e0f
    8 808182838485868788898a8b8c8d8e8f";
const CHECKSUM_SIZE: usize = 4;
const TAG_SIZE: usize = 16;
/// Long files take long: so many of a hundred choices among all files may be of one of them.
const LONG: usize = 2_000;
const PERCENT_LONG: u8 = 2;

/// Numbers that are at the edge of something.
const EDGES: [u8; 8] = [0, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff];

pub struct Corpus {
    /// By name.
    pub files: Vec<(String, Vec<u8>)>,
}

pub fn keys() -> &'static Keys {
    static PARSED: LazyLock<Keys> = LazyLock::new(|| Keys::parse(KEYS).expect("the keys are good"));
    &PARSED
}

impl Corpus {
    pub fn entries() -> Self {
        Self::of("entries")
    }

    pub fn records() -> Self {
        Self::of("records")
    }

    fn of(folder: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/checkpoint").join(folder);
        let file = |entry: std::io::Result<fs::DirEntry>| {
            let path = entry.expect("a file of the corpus").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(&path).expect("a file that can be read"))
        };
        let mut files: Vec<_> = fs::read_dir(folder).expect("the corpus").map(file).collect();
        files.sort();
        Self { files }
    }

    /// Bytes that are a file, or several, or pieces of them, or noise; most of them changed in places.
    pub fn case(&self, random: &mut Rng) -> Vec<u8> {
        let mut bytes = match random.u8(..10) {
            0 => (0..random.usize(..200)).map(|_| random.u8(..)).collect(),
            1 => [self.file(random), self.file(random)].concat(),
            2 => {
                let (one, other) = (self.file(random), self.file(random));
                let (end, begin) = (random.usize(..=one.len()), random.usize(..=other.len()));
                [&one[..end], &other[begin..]].concat()
            }
            _ => self.file(random).to_vec(),
        };
        for _ in 0..random.u8(..4) {
            change(&mut bytes, random);
        }
        bytes
    }

    fn file(&self, random: &mut Rng) -> &[u8] {
        let may_be_long = random.u8(..100) < PERCENT_LONG;
        let fit = || self.files.iter().filter(|(_, bytes)| may_be_long || bytes.len() <= LONG);
        fit().nth(random.usize(..fit().count())).map(|(_, bytes)| bytes.as_slice()).unwrap_or_default()
    }
}

/// One change: a bit, a byte, a few bytes more or less, or the end.
fn change(bytes: &mut Vec<u8>, random: &mut Rng) {
    if bytes.is_empty() {
        return;
    }
    let place = random.usize(..bytes.len());
    let end = (place + random.usize(1..9)).min(bytes.len());
    match random.u8(..7) {
        0 => bytes[place] ^= 1 << random.u8(..8),
        1 => bytes[place] = random.u8(..),
        2 => bytes[place] = random.choice(EDGES).unwrap_or_default(),
        3 => bytes.truncate(place),
        4 => drop(bytes.drain(place..end)),
        5 => {
            let piece = bytes[place..end].to_vec();
            bytes.splice(place..place, piece);
        }
        _ => bytes[place..end].fill_with(|| random.u8(..)),
    }
}

/// The record with a right size, right checksums and a right tag, so that more of it is looked at.
pub fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() < HEAD_SIZE + CHECKSUM_SIZE + TAG_SIZE {
        return bytes;
    }
    let size = bytes.len();
    bytes.truncate(size - CHECKSUM_SIZE - TAG_SIZE);
    bytes[..4].copy_from_slice(b"UsCP");
    bytes[6..8].copy_from_slice(&7u16.to_be_bytes());
    bytes[8..12].copy_from_slice(&(size as u32).to_be_bytes());
    let head = HEAD_SIZE - CHECKSUM_SIZE;
    let checksum = crc32c::crc32c(&bytes[..head]);
    bytes[head..HEAD_SIZE].copy_from_slice(&checksum.to_be_bytes());
    bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
    bytes.extend(keys().get(7).expect("key 7").short_tag(&[&bytes]));
    bytes
}
