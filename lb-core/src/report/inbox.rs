//! What is known of those who report, and which datagrams are taken.
//!
//! Cheap checks come first, the tag is checked before anything is remembered, and what is remembered is bounded by the
//! number of reals. So forged datagrams cost little and change nothing.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{Report, wire::Datagram};
use crate::auth::Keys;

/// So many sequence numbers back it is known which reports have come.
pub const WINDOW: u64 = u64::BITS as u64;

/// Where a report stands among those of its real. A greater mark is a newer report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// Generation of the agent.
    pub generation: u64,
    /// Sequence number in the generation.
    pub sequence: u64,
}

/// Why a datagram is not taken for a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// It has not the form of a report.
    Malformed,
    /// It is of another version of the format.
    Version,
    /// It names a key that is not in the key file.
    UnknownKey,
    /// It names a real that is not configured.
    UnknownReal,
    /// Its key is bound to another real.
    WrongKey,
    /// It is older than the newest of its real.
    Stale,
    /// It has come before.
    Replayed,
    /// Its real reports more often than the limit allows.
    TooFast,
    /// It was not signed with the key that it names.
    BadTag,
}

impl Refusal {
    /// Every one of them, in the order in which they are looked for.
    pub const ALL: [Self; 9] = [
        Self::Malformed,
        Self::Version,
        Self::UnknownKey,
        Self::UnknownReal,
        Self::WrongKey,
        Self::Stale,
        Self::Replayed,
        Self::TooFast,
        Self::BadTag,
    ];

    /// Its place in [`Refusal::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name that the API, the CLI and the metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Version => "version",
            Self::UnknownKey => "unknown_key",
            Self::UnknownReal => "unknown_real",
            Self::WrongKey => "wrong_key",
            Self::Stale => "stale",
            Self::Replayed => "replayed",
            Self::TooFast => "too_fast",
            Self::BadTag => "bad_tag",
        }
    }

    /// What it means, and what to do about it.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Malformed => "not a report, or damaged on the way",
            Self::Version => "of another version of the format; bring lbd and lb-agent to versions that fit",
            Self::UnknownKey => "names a key that is not in the key file; the key files of lbd and lb-agent differ",
            Self::UnknownReal => "names a real that is not configured; compare the agent's `name` with [[real]] `name`",
            Self::WrongKey => "signed with a key that is bound to another real in the key file",
            Self::Stale => "older than the newest report of its real: it came late, or was sent again by someone",
            Self::Replayed => "has come before: the network doubled it, or someone sent it again",
            Self::TooFast => "more reports of one real in a second than `rate_limit` allows",
            Self::BadTag => "not signed with the key that it names: forged, or the secrets of that key id differ",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.explanation())
    }
}

impl std::error::Error for Refusal {}

/// Takes in the reports of known reals, each once, and only what is newer than what it has.
#[derive(Clone, Debug)]
pub struct Inbox {
    keys: Keys,
    rate_limit: u32,
    senders: BTreeMap<String, Sender>,
}

/// What is known of the agent of one real.
#[derive(Clone, Debug, Default)]
struct Sender {
    /// What has come; `None` before the first report.
    window: Option<Window>,
    allowance: Option<Allowance>,
}

impl Inbox {
    /// An inbox for the reports of no real yet: see [`Inbox::set_reals`]. Of each real at most `rate_limit` (0 counts as
    /// 1) reports a second are taken, and as many at once.
    #[must_use]
    pub fn new(keys: Keys, rate_limit: u32) -> Self {
        Self { keys, rate_limit: rate_limit.max(1), senders: BTreeMap::new() }
    }

    /// Replaces the reals that may report. What is known of those that stay is kept, of others forgotten.
    pub fn set_reals(&mut self, reals: impl IntoIterator<Item = String>) {
        let mut before = std::mem::take(&mut self.senders);
        self.senders = reals
            .into_iter()
            .map(|real| {
                let sender = before.remove(&real).unwrap_or_default();
                (real, sender)
            })
            .collect();
    }

    /// Takes up where an earlier inbox ended, so that what that one has taken is not taken again. Marks of reals that
    /// may not report, and marks older than what has come, change nothing.
    pub fn restore(&mut self, marks: &BTreeMap<String, Mark>) {
        for (real, &mark) in marks {
            if let Some(sender) = self.senders.get_mut(real)
                && sender.window.is_none_or(|window| window.newest < mark)
            {
                sender.window = Some(Window::restored(mark));
            }
        }
    }

    /// Replaces the keys.
    pub fn set_keys(&mut self, keys: Keys) {
        self.keys = keys;
    }

    /// Replaces the limit of reports per real and second.
    pub fn set_rate_limit(&mut self, rate_limit: u32) {
        self.rate_limit = rate_limit.max(1);
    }

    /// The newest report of each real that has reported.
    #[must_use]
    pub fn marks(&self) -> BTreeMap<String, Mark> {
        let mark = |(real, sender): (&String, &Sender)| Some((real.clone(), sender.window?.newest));
        self.senders.iter().filter_map(mark).collect()
    }

    /// Looks at a datagram that came at `now_ms`.
    ///
    /// # Errors
    ///
    /// It is not a new report of a real that may report. Only an authentic datagram can have changed the inbox.
    pub fn receive(&mut self, datagram: &[u8], now_ms: u64) -> Result<Report, Refusal> {
        let datagram = Datagram::parse(datagram)?;
        let key = self.keys.get(datagram.key_id()).ok_or(Refusal::UnknownKey)?;
        let sender = self.senders.get_mut(datagram.real).ok_or(Refusal::UnknownReal)?;
        if !key.is_for(datagram.real) {
            return Err(Refusal::WrongKey);
        }
        let window = Window::with(sender.window, datagram.mark())?;
        let allowance = Allowance::after_one_more(sender.allowance, self.rate_limit, now_ms)?;
        if !datagram.is_signed_with(key) {
            return Err(Refusal::BadTag);
        }
        *sender = Sender { window: Some(window), allowance: Some(allowance) };
        if window.newest == datagram.mark() { Ok(datagram.report()) } else { Err(Refusal::Stale) }
    }
}

/// Which reports of a real have come.
#[derive(Clone, Copy, Debug)]
struct Window {
    newest: Mark,
    /// Bit i: the report i before the newest has come.
    seen: u64,
}

impl Window {
    /// What was before `newest` is not known, so all of it counts as seen.
    fn restored(newest: Mark) -> Self {
        Self { newest, seen: u64::MAX }
    }

    /// The window once this report has come too.
    fn with(before: Option<Self>, mark: Mark) -> Result<Self, Refusal> {
        match before {
            Some(window) if mark.generation < window.newest.generation => Err(Refusal::Stale),
            Some(window) if mark.generation == window.newest.generation => window.with_sequence(mark.sequence),
            _ => Ok(Self { newest: mark, seen: 1 }),
        }
    }

    fn with_sequence(self, sequence: u64) -> Result<Self, Refusal> {
        let newest = self.newest.sequence;
        if let Some(ahead) = sequence.checked_sub(newest).filter(|&ahead| ahead > 0) {
            let seen = if ahead < WINDOW { self.seen << ahead | 1 } else { 1 };
            return Ok(Self { newest: Mark { sequence, ..self.newest }, seen });
        }
        let behind = newest - sequence;
        if behind >= WINDOW {
            return Err(Refusal::Stale);
        }
        let bit = 1 << behind;
        if self.seen & bit != 0 { Err(Refusal::Replayed) } else { Ok(Self { seen: self.seen | bit, ..self }) }
    }
}

/// How many more reports a real may send: a bucket that holds the reports of one second and fills as time goes by.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    /// In thousandths of a report, at `at_ms`.
    left: u64,
    at_ms: u64,
}

impl Allowance {
    const ONE: u64 = 1_000;

    /// What is left after one more report at `now_ms`.
    fn after_one_more(before: Option<Self>, rate_limit: u32, now_ms: u64) -> Result<Self, Refusal> {
        let most = u64::from(rate_limit) * Self::ONE;
        let left = before.map_or(most, |before| {
            let filled = now_ms.saturating_sub(before.at_ms).saturating_mul(rate_limit.into());
            before.left.saturating_add(filled).min(most)
        });
        let left = left.checked_sub(Self::ONE).ok_or(Refusal::TooFast)?;
        Ok(Self { left, at_ms: now_ms })
    }
}
