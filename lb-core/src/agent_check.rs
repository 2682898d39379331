//! The text that agents answer HAProxy's agent-check with, read and written: words like `up`, `drain` or `75%` in one line.
//!
//! docs/reference/reports.md lists the words and where we differ from HAProxy.

#[cfg(test)]
mod tests;

use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};

/// So much of an answer is looked at, in bytes. Its first line must end within.
pub const MAX_ANSWER_SIZE: usize = 4_096;
/// The longest reason that is kept, in bytes.
pub const MAX_REASON_LENGTH: usize = 200;
/// The greatest share of its weight that a real can ask for, in percent; more counts as this.
pub const MAX_PERCENT: u32 = 25_600;

/// Stands for a word that cannot be shown.
const UNPRINTABLE: &str = "?";

/// What an agent says. What it does not mention stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The share of its configured weight that the real asks for, in percent, 0..=[`MAX_PERCENT`].
    pub weight: Option<u32>,
    /// Whether new flows are wanted.
    pub admin: Option<Admin>,
    /// Whether the real serves.
    pub health: Option<Health>,
    /// Why, in the agent's words: one line, not empty.
    pub reason: Option<String>,
    /// Most connections that a load balancer should have open to the real.
    pub maxconn: Option<u32>,
    /// The first word that means nothing here. The other words count.
    pub unknown: Option<String>,
}

/// Whether a real wants new flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Admin {
    /// It does: the end of `Drain` and `Maint`.
    Ready,
    /// No new flows.
    Drain,
    /// Out of service.
    Maint,
}

/// Whether a real serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It does: the end of the other three.
    Up,
    /// It does not.
    Down,
    /// It does not, since something failed.
    Failed,
    /// It does not, on purpose.
    Stopped,
}

/// Why an answer says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not a byte came.
    #[error("the agent closed the connection without an answer")]
    Empty,
    /// The line does not end.
    #[error("the agent's first line is longer than {MAX_ANSWER_SIZE} bytes; is that an agent?")]
    TooLong,
    /// No word of it means anything.
    #[error("the agent's answer has no word of the agent-check protocol; it begins with {0:?}")]
    Unknown(String),
}

impl Health {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Failed => "fail",
            Self::Stopped => "stopped",
        }
    }
}

impl Admin {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Whether the bytes have the whole first line, or so many of it that more would not be looked at.
#[must_use]
pub fn is_complete(bytes: &[u8]) -> bool {
    bytes.len() > MAX_ANSWER_SIZE || bytes.iter().any(ends_line)
}

/// Reads an answer: its first line, which the end of the bytes ends too. Of several words of one kind the last counts.
///
/// # Errors
///
/// There is no answer, or it is not one of an agent.
pub fn parse(bytes: &[u8]) -> Result<Answer, AnswerError> {
    if bytes.is_empty() {
        return Err(AnswerError::Empty);
    }
    let seen = &bytes[..bytes.len().min(MAX_ANSWER_SIZE + 1)];
    let line = seen.split(ends_line).next().unwrap_or_default();
    if line.len() > MAX_ANSWER_SIZE {
        return Err(AnswerError::TooLong);
    }
    let line = String::from_utf8_lossy(line);
    let mut answer = Answer::default();
    let mut rest = line.as_ref();
    while let Some(begin) = rest.find(|c| !separates(c)) {
        rest = &rest[begin..];
        if let Some(reason) = rest.strip_prefix('#') {
            answer.reason = one_line(reason);
            break;
        }
        let (word, after) = rest.split_at(rest.find(separates).unwrap_or(rest.len()));
        answer.add(word);
        rest = after;
    }
    match answer.unknown {
        Some(word) if answer.says_nothing() => Err(AnswerError::Unknown(word)),
        _ => Ok(answer),
    }
}

/// The line that says this, with its end. The unknown word is left out.
#[must_use]
pub fn format(answer: &Answer) -> String {
    let mut words = Vec::new();
    words.extend(answer.admin.map(|admin| admin.word().to_owned()));
    words.extend(answer.health.map(|health| health.word().to_owned()));
    words.extend(answer.weight.map(|percent| format!("{percent}%")));
    words.extend(answer.maxconn.map(|maxconn| format!("maxconn:{maxconn}")));
    words.extend(answer.reason.as_deref().and_then(one_line).map(|reason| format!("#{reason}")));
    words.join(" ") + "\n"
}

impl Answer {
    /// Takes in one word.
    fn add(&mut self, word: &str) {
        if let Some(health) = health_of(word) {
            self.health = Some(health);
        } else if let Some(admin) = admin_of(word) {
            self.admin = Some(admin);
        } else if let Some(percent) = percent_of(word) {
            self.weight = Some(percent);
        } else if let Some(maxconn) = maxconn_of(word) {
            self.maxconn = Some(maxconn);
        } else if self.unknown.is_none() {
            self.unknown = Some(one_line(word).unwrap_or_else(|| UNPRINTABLE.to_owned()));
        }
    }

    fn says_nothing(&self) -> bool {
        self.weight.is_none() && self.admin.is_none() && self.health.is_none() && self.maxconn.is_none()
    }
}

fn ends_line(byte: &u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

fn separates(c: char) -> bool {
    matches!(c, ' ' | '\t' | ',')
}

fn health_of(word: &str) -> Option<Health> {
    // HAProxy knows `fail`; agents write `failed` as well.
    if word.eq_ignore_ascii_case("failed") {
        return Some(Health::Failed);
    }
    [Health::Up, Health::Down, Health::Failed, Health::Stopped]
        .into_iter()
        .find(|health| word.eq_ignore_ascii_case(health.word()))
}

fn admin_of(word: &str) -> Option<Admin> {
    [Admin::Ready, Admin::Drain, Admin::Maint].into_iter().find(|admin| word.eq_ignore_ascii_case(admin.word()))
}

fn percent_of(word: &str) -> Option<u32> {
    number(word.strip_suffix('%')?).map(|percent| percent.min(MAX_PERCENT))
}

fn maxconn_of(word: &str) -> Option<u32> {
    let (name, value) = word.split_once(':')?;
    if name.eq_ignore_ascii_case("maxconn") { number(value) } else { None }
}

/// A number of digits only; one that is too great is the greatest.
fn number(digits: &str) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u32::MAX))
}

/// A text for people in one line of bounded length; `None` where nothing is left.
fn one_line(text: &str) -> Option<String> {
    let mut reason = String::new();
    for c in text.trim_matches(|c: char| c.is_whitespace() || c.is_control()).chars() {
        if reason.len() + c.len_utf8() > MAX_REASON_LENGTH {
            break;
        }
        // Writing to a string cannot fail.
        let _ = reason.write_char(if c.is_control() { ' ' } else { c });
    }
    let reason = reason.trim_end();
    (!reason.is_empty()).then(|| reason.to_owned())
}
