//! What a node can become, from what, and why: the one table of all transitions. docs/pair.md has the same table, and a test compares them.

use super::State;

/// Why a node becomes something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It comes back within the time of a restart that it had announced.
    Resumed,
    /// The peer serves, or is about to.
    PeerServes,
    /// It has waited for its peer as long as configured.
    Waited,
    /// The peer is dead: takeover of need.
    PeerDead,
    /// Neither serves, and this node is the better one.
    Chosen,
    /// The active peer offers the VIPs.
    Offered,
    /// All that had to be done is done.
    Acquired,
    /// The peer's claim wins, and this node serves.
    Outclaimed,
    /// The peer's claim wins, before this node served.
    Conceded,
    /// It takes its claim back before it served: no consent in time, or no longer able.
    Withdrawn,
    /// It must not serve any more, and nobody takes the VIPs.
    Relinquished,
    /// It has forwarded what still came.
    Drained,
    /// Something forbids it to serve.
    Forbidden,
    /// Nothing forbids it any more.
    Allowed,
    /// Its daemon ends.
    Stopped,
}

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// What it was.
    pub from: State,
    /// Why it changes.
    pub cause: Cause,
    /// What it becomes.
    pub to: State,
    /// When, in words.
    pub when: &'static str,
}

/// Every transition there is. A cause leads from one state to one other.
pub const TRANSITIONS: &[Transition] = {
    use Cause::*;
    use State::*;
    &[
        line(Starting, Resumed, Active, "it comes back within the grace of an announced restart"),
        line(Starting, PeerServes, Standby, "a fresh frame of an active or taking-over peer"),
        line(Starting, Chosen, TakingOver, "the peer is heard and does not serve, and this node is the better one"),
        line(Starting, PeerDead, TakingOver, "the peer is dead after `start_wait`"),
        line(Starting, Waited, Standby, "`start_wait` is over, and nothing else has come of it"),
        line(Starting, Forbidden, Fenced, "something forbids it to serve"),
        line(Starting, Stopped, Standby, "its daemon ends"),
        line(Standby, PeerDead, TakingOver, "the peer is dead, and the lease that it announced has ended"),
        line(Standby, Chosen, TakingOver, "the peer is heard and does not serve, and this node is the better one"),
        line(Standby, Offered, TakingOver, "the active peer offers the VIPs"),
        line(Standby, Forbidden, Fenced, "something forbids it to serve"),
        line(TakingOver, Acquired, Active, "addresses, announcements and hooks are done"),
        line(TakingOver, Outclaimed, Yielding, "it serves already, and meets a claim that wins"),
        line(TakingOver, Conceded, Standby, "it waits for consent, and meets a claim that wins"),
        line(TakingOver, Withdrawn, Standby, "no consent within `handover_timeout`, or it is no longer able"),
        line(TakingOver, Relinquished, Yielding, "it serves already, and is forbidden to, or its daemon ends"),
        line(TakingOver, Forbidden, Fenced, "it waits for consent, and something forbids it to serve"),
        line(Active, Outclaimed, Yielding, "it meets a claim that wins: after its own offer, or after a failover"),
        line(Active, Relinquished, Yielding, "it is forbidden to serve or its daemon ends, and no peer takes the VIPs"),
        line(Yielding, Drained, Standby, "`drain` is over, or the peer is dead"),
        line(Fenced, Allowed, Standby, "nothing forbids it any more"),
    ]
};

const fn line(from: State, cause: Cause, to: State, when: &'static str) -> Transition {
    Transition { from, cause, to, when }
}

/// What a node in state `from` becomes for this cause; `None` where the cause does not concern it.
#[must_use]
pub fn next(from: State, cause: Cause) -> Option<State> {
    TRANSITIONS.iter().find(|line| line.from == from && line.cause == cause).map(|line| line.to)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// `TakingOver` as `taking-over` or `taking over`.
    fn words(name: &str, between: char) -> String {
        let mut words = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !words.is_empty() {
                words.push(between);
            }
            words.extend(letter.to_lowercase());
        }
        words
    }

    #[test]
    fn the_page_has_the_same_table() {
        let page = include_str!("../../../docs/pair.md");
        let rows = page.lines().skip_while(|line| *line != "| from | to | cause | when |").skip(2);
        let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
        let state = |state: State| words(&format!("{state:?}"), '-');
        let lines = TRANSITIONS.iter().map(|line| {
            let cause = words(&format!("{:?}", line.cause), ' ');
            format!("| `{}` | `{}` | {cause} | {} |", state(line.from), state(line.to), line.when)
        });
        assert_eq!(rows, lines.collect::<Vec<_>>());
    }

    #[test]
    fn a_cause_leads_from_a_state_to_one_other() {
        let causes: HashSet<_> = TRANSITIONS.iter().map(|line| (line.from, line.cause)).collect();
        assert_eq!(causes.len(), TRANSITIONS.len());
        assert!(TRANSITIONS.iter().all(|line| line.from != line.to));
        assert_eq!(next(State::Active, Cause::Outclaimed), Some(State::Yielding));
        assert_eq!(next(State::Standby, Cause::Acquired), None);
    }
}
