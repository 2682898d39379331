//! Keys that messages between the hosts of a cluster are authenticated with: HMAC-SHA256 by secrets that have numbers, so
//! that they can be replaced while everything runs.
//!
//! docs/reference/reports.md describes the key file and how keys are replaced.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, num::NonZeroU16};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::service::{MAX_NAME_LENGTH, is_name};

/// Length of a tag, in bytes.
pub const TAG_SIZE: usize = 32;
/// Length of a short tag, in bytes: HMAC-SHA-256-128 of RFC 4868.
pub const SHORT_TAG_SIZE: usize = 16;
/// Length of the shortest secret, in bytes.
pub const MIN_SECRET_SIZE: usize = 16;
/// Length of the longest secret, in bytes: one block of SHA-256, so that none is hashed before use.
pub const MAX_SECRET_SIZE: usize = 64;

/// The keys of a key file, in its order.
#[derive(Clone, Debug)]
pub struct Keys {
    keys: Vec<Key>,
    by_id: BTreeMap<u16, usize>,
}

/// One key. Its secret is never shown.
#[derive(Clone)]
pub struct Key {
    id: u16,
    real: Option<String>,
    mac: Hmac<Sha256>,
}

/// Why a key file cannot be used. No secret is ever quoted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The file has no key.
    #[error("there is no key in it; add a line `ID SECRET` with a number and 32 to 128 hex digits")]
    Empty,
    /// A line is wrong.
    #[error("line {line}: {problem}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        problem: KeyProblem,
    },
}

/// What is wrong with a line of a key file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// There are not two or three fields.
    #[error("a key is `ID SECRET` or `ID SECRET REAL`, separated by spaces")]
    Fields,
    /// The id is no number that fits.
    #[error("the id must be a number from 1 to 65535")]
    Id,
    /// Another line has the id.
    #[error("id {0} is given twice; give one of the two keys another number")]
    DuplicateId(u16),
    /// The secret is too short or too long.
    #[error("the secret must be 32 to 128 hex digits, an even number; make one with `openssl rand -hex 32`")]
    SecretLength,
    /// The secret has another character.
    #[error("the secret must be hex digits (0-9, a-f) only; make one with `openssl rand -hex 32`")]
    SecretDigits,
    /// The third field cannot be a real's name.
    #[error("the real's name must be 1 to {MAX_NAME_LENGTH} letters, digits, dots, underscores or hyphens")]
    Real,
}

impl Keys {
    /// Reads the text of a key file: a key a line, `ID SECRET [REAL]`. `#` begins a comment.
    ///
    /// # Errors
    ///
    /// There is no key, or a line is wrong: the first such line is told.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let mut keys = Self { keys: Vec::new(), by_id: BTreeMap::new() };
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            if !line.trim().is_empty() {
                keys.add(line).map_err(|problem| KeysError::Line { line: index + 1, problem })?;
            }
        }
        if keys.keys.is_empty() { Err(KeysError::Empty) } else { Ok(keys) }
    }

    /// Whether these are the same keys in the same order.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let known =
            |keys: &Self| -> Vec<_> { keys.iter().map(|key| (key.id, key.real.clone(), key.tag(&[]))).collect() };
        known(self) == known(other)
    }

    /// The key that messages are signed with: the first that is good for `real`, or for messages of no real
    /// where there is none.
    #[must_use]
    pub fn signing(&self, real: Option<&str>) -> Option<&Key> {
        self.keys.iter().find(|key| match real {
            Some(real) => key.is_for(real),
            None => key.real.is_none(),
        })
    }

    /// The key of this id.
    #[must_use]
    pub fn get(&self, id: u16) -> Option<&Key> {
        self.by_id.get(&id).and_then(|&index| self.keys.get(index))
    }

    /// All keys, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    fn add(&mut self, line: &str) -> Result<(), KeyProblem> {
        let key = Key::parse(line)?;
        if self.by_id.insert(key.id, self.keys.len()).is_some() {
            return Err(KeyProblem::DuplicateId(key.id));
        }
        self.keys.push(key);
        Ok(())
    }
}

impl Key {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.id
    }

    /// The only real whose messages it is good for; `None`: all.
    #[must_use]
    pub fn real(&self) -> Option<&str> {
        self.real.as_deref()
    }

    /// Whether it is good for messages of this real.
    #[must_use]
    pub fn is_for(&self, real: &str) -> bool {
        self.real.as_deref().is_none_or(|only| only == real)
    }

    /// HMAC-SHA256 of the parts, one after the other.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; TAG_SIZE] {
        self.mac_of(parts).finalize().into_bytes().into()
    }

    /// Whether `tag` is the whole tag of the parts. Takes as long wherever the two differ.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.mac_of(parts).verify_slice(tag).is_ok()
    }

    /// The first [`SHORT_TAG_SIZE`] bytes of [`Key::tag`], where each byte on the wire counts.
    #[must_use]
    pub fn short_tag(&self, parts: &[&[u8]]) -> [u8; SHORT_TAG_SIZE] {
        let tag = self.tag(parts);
        std::array::from_fn(|index| tag[index])
    }

    /// Whether `tag` is the short tag of the parts. Takes as long wherever the two differ.
    #[must_use]
    pub fn verify_short(&self, parts: &[&[u8]], tag: &[u8; SHORT_TAG_SIZE]) -> bool {
        self.mac_of(parts).verify_truncated_left(tag).is_ok()
    }

    fn mac_of(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac
    }

    fn parse(line: &str) -> Result<Self, KeyProblem> {
        let mut fields = line.split_whitespace();
        let (Some(id), Some(secret), real, None) = (fields.next(), fields.next(), fields.next(), fields.next()) else {
            return Err(KeyProblem::Fields);
        };
        if real.is_some_and(|real| !is_name(real)) {
            return Err(KeyProblem::Real);
        }
        let id = id.parse::<NonZeroU16>().map_err(|_| KeyProblem::Id)?.get();
        Ok(Self { id, real: real.map(str::to_owned), mac: mac_with(secret)? })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("real", &self.real).finish_non_exhaustive()
    }
}

/// HMAC with the secret of these hex digits.
fn mac_with(hex: &str) -> Result<Hmac<Sha256>, KeyProblem> {
    let size = hex.len() / 2;
    if !hex.len().is_multiple_of(2) || !(MIN_SECRET_SIZE..=MAX_SECRET_SIZE).contains(&size) {
        return Err(KeyProblem::SecretLength);
    }
    // HMAC fills a shorter secret up with zeros by itself: a whole block is the same secret.
    let mut block = [0; MAX_SECRET_SIZE];
    for (byte, digits) in block.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = nibble(digits[0])? << 4 | nibble(digits[1])?;
    }
    Ok(Hmac::new(&block.into()))
}

fn nibble(digit: u8) -> Result<u8, KeyProblem> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(KeyProblem::SecretDigits),
    }
}
