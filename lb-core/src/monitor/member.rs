//! A real in one service: what its checks came to, by `rise` and `fall`.

use std::{fmt, sync::Arc};

use crate::check::{Check, Outcome};

/// What checks say of a real in a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// No check is configured, or none has come to a result yet. It counts as up.
    Unchecked,
    /// It came by a reload and has not been checked yet.
    Joining,
    /// Every check succeeds.
    Up,
    /// A check fails.
    Down,
}

impl Health {
    /// Whether the real may get new flows like any other.
    #[must_use]
    pub fn may_serve(self) -> bool {
        matches!(self, Self::Up | Self::Unchecked)
    }

    /// The one of two that keeps more flows away.
    pub(super) fn worse(self, other: Self) -> Self {
        let worst_first = [Self::Down, Self::Joining, Self::Unchecked];
        worst_first.into_iter().find(|health| self == *health || other == *health).unwrap_or(Self::Up)
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unchecked => "unchecked",
            Self::Joining => "joining",
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// What is known of a real in a service.
#[derive(Clone, Debug)]
pub struct Member {
    checks: Vec<CheckHistory>,
    /// What a check is before its first result.
    at_first: Health,
}

/// What a check has come to.
#[derive(Clone, Debug)]
pub struct CheckHistory {
    check: Arc<Check>,
    health: Health,
    in_a_row: u32,
    last: Option<(Outcome, u64)>,
}

impl Member {
    pub(super) fn new(checks: &[Arc<Check>], at_first: Health) -> Self {
        Self { checks: checks.iter().map(|check| CheckHistory::new(check, at_first)).collect(), at_first }
    }

    /// The same real with other checks. One that is known by its name goes on; one that is new does not take the real away.
    pub(super) fn with_checks(&self, checks: &[Arc<Check>]) -> Self {
        let at_first = if self.health().may_serve() { Health::Unchecked } else { self.at_first };
        let history = |check: &Arc<Check>| {
            let known = self.checks.iter().find(|known| known.check.name == check.name);
            known.map_or_else(
                || CheckHistory::new(check, at_first),
                |known| CheckHistory { check: check.clone(), ..known.clone() },
            )
        };
        Self { checks: checks.iter().map(history).collect(), at_first }
    }

    pub(super) fn restore(&mut self, health: Health) {
        self.checks.iter_mut().for_each(|history| history.health = health);
    }

    pub(super) fn take(&mut self, check: &str, outcome: &Outcome, now_ms: u64) {
        if let Some(history) = self.checks.iter_mut().find(|history| history.check.name == check) {
            history.take(outcome, now_ms);
        }
    }

    /// What all checks together say: the worst of them.
    #[must_use]
    pub fn health(&self) -> Health {
        let any = |health: Health| self.checks.iter().any(|history| history.health == health);
        let worst_first = [Health::Down, Health::Joining, Health::Unchecked];
        let up = if self.checks.is_empty() { Health::Unchecked } else { Health::Up };
        worst_first.into_iter().find(|health| any(*health)).unwrap_or(up)
    }

    /// Whether any check is made of it.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        !self.checks.is_empty()
    }

    /// Its checks, in configured order.
    #[must_use]
    pub fn checks(&self) -> &[CheckHistory] {
        &self.checks
    }

    /// Why it is down: the failure of the first check that says so.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.checks.iter().filter(|history| history.health == Health::Down).find_map(CheckHistory::reason)
    }
}

impl CheckHistory {
    fn new(check: &Arc<Check>, health: Health) -> Self {
        Self { check: check.clone(), health, in_a_row: 0, last: None }
    }

    /// `fall` failures in a row are a real that is down, `rise` successes one that is up again. Where nothing is known, or only from
    /// before a restart, the first success will do.
    fn take(&mut self, outcome: &Outcome, now_ms: u64) {
        let has_passed = matches!(outcome, Outcome::Passed { .. });
        let is_first = self.last.is_none();
        self.in_a_row = if self.passed() == Some(has_passed) { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = Some((outcome.clone(), now_ms));
        let wanted = match (has_passed, self.health) {
            (true, Health::Down) if !is_first => self.check.rise,
            (true, _) => 1,
            (false, _) => self.check.fall,
        };
        if self.in_a_row >= wanted {
            self.health = if has_passed { Health::Up } else { Health::Down };
        }
    }

    /// The check.
    #[must_use]
    pub fn check(&self) -> &Check {
        &self.check
    }

    /// What it has come to.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health
    }

    /// Whether the last one succeeded; `None` before the first.
    #[must_use]
    pub fn passed(&self) -> Option<bool> {
        self.last.as_ref().map(|(outcome, _)| matches!(outcome, Outcome::Passed { .. }))
    }

    /// The last outcome, and when it came, in milliseconds; `None` before the first.
    #[must_use]
    pub fn last(&self) -> Option<(&Outcome, u64)> {
        self.last.as_ref().map(|(outcome, at_ms)| (outcome, *at_ms))
    }

    /// So many outcomes in a row were alike.
    #[must_use]
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// Why the last one failed, when it did.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match &self.last {
            Some((Outcome::Failed { reason }, _)) => Some(reason),
            _ => None,
        }
    }
}
