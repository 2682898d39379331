//! The control socket: how `lb-agent state` asks and tells a running agent. One line each way; only root can connect.

mod client;
mod server;

use lb_core::report::Availability;

pub(crate) use client::ask;
pub(crate) use server::{Socket, Wish};

/// Longest line, in bytes.
const MAX_LINE: u64 = 256;
/// What a question begins with. A state behind it shall be the one from now on.
const QUESTION: &str = "state";
/// What an answer begins with that is a refusal.
const REFUSAL: &str = "error: ";

/// Each state with its word.
const WORDS: [(&str, Availability); 3] =
    [("alive", Availability::Alive), ("drain", Availability::Drain), ("stop", Availability::Stop)];

/// The word of a state.
pub(crate) fn word(state: Availability) -> &'static str {
    match state {
        Availability::Alive => "alive",
        Availability::Drain => "drain",
        Availability::Stop => "stop",
    }
}

/// The state of a word.
///
/// # Errors
/// There is none.
pub(crate) fn state(text: &str) -> Result<Availability, String> {
    let found = WORDS.iter().find(|(word, _)| *word == text).map(|(_, state)| *state);
    found.ok_or_else(|| "it can be alive, drain or stop".to_owned())
}

#[cfg(test)]
mod tests;
