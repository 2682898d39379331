//! What the random packets have reached: a run that no longer reaches a branch of the definition fails.

use std::fmt;

use lb_common::{DropReason, Event};
use lb_tests::model::{Branch, State, Verdict};

/// How often each verdict, drop reason, event and branch was seen.
pub struct Coverage {
    /// Frames that went through program and model.
    pub compared: u64,
    /// Frames that the kernel does not take, which went through the model alone.
    pub modelled: u64,
    /// The kernel cannot take the room before a frame away.
    pub tight_is_refused: bool,
    verdicts: [u64; Verdict::ALL.len()],
    drops: [u64; DropReason::COUNT as usize],
    events: [u64; Event::COUNT as usize],
    branches: [u64; Branch::COUNT],
}

impl Default for Coverage {
    fn default() -> Self {
        Self {
            compared: 0,
            modelled: 0,
            tight_is_refused: false,
            verdicts: [0; Verdict::ALL.len()],
            drops: [0; DropReason::COUNT as usize],
            events: [0; Event::COUNT as usize],
            branches: [0; Branch::COUNT],
        }
    }
}

impl Coverage {
    /// A frame was compared and came to this verdict.
    pub fn saw(&mut self, verdict: Verdict) {
        self.compared += 1;
        for (count, known) in self.verdicts.iter_mut().zip(Verdict::ALL) {
            *count += u64::from(known == verdict);
        }
    }

    /// A round has ended in this state.
    pub fn add_state(&mut self, state: &State) {
        add(&mut self.drops, &state.effects.drops);
        add(&mut self.events, &state.effects.events);
        add(&mut self.branches, &state.branches);
    }

    /// What another thread has seen.
    pub fn add(&mut self, other: &Self) {
        self.compared += other.compared;
        self.modelled += other.modelled;
        self.tight_is_refused |= other.tight_is_refused;
        add(&mut self.verdicts, &other.verdicts);
        add(&mut self.drops, &other.drops);
        add(&mut self.events, &other.events);
        add(&mut self.branches, &other.branches);
    }

    /// What was never seen and should have been.
    pub fn missing(&self) -> Vec<String> {
        let verdicts = Verdict::ALL.iter().zip(&self.verdicts).map(|(verdict, count)| (format!("{verdict:?}"), *count));
        let drops = DropReason::ALL.iter().zip(&self.drops).map(|(reason, count)| (format!("{reason:?}"), *count));
        let events = Event::ALL.iter().zip(&self.events).map(|(event, count)| (format!("{event:?}"), *count));
        let branches = Branch::ALL.iter().zip(&self.branches).map(|(branch, count)| (format!("{branch:?}"), *count));
        verdicts
            .chain(drops)
            .chain(events)
            .chain(branches)
            .filter(|(name, count)| *count == 0 && !(self.tight_is_refused && name.contains("NoHeadroom")))
            .map(|(name, _)| name)
            .collect()
    }
}

fn add(counts: &mut [u64], more: &[u64]) {
    for (count, more) in counts.iter_mut().zip(more) {
        *count += more;
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} frames without a difference, {} more too short for the kernel", self.compared, self.modelled)?;
        line(f, "verdicts", Verdict::ALL.iter().map(|verdict| format!("{verdict:?}")), &self.verdicts)?;
        line(f, "drops", DropReason::ALL.iter().map(|reason| reason.name().to_owned()), &self.drops)?;
        line(f, "events", Event::ALL.iter().map(|event| event.name().to_owned()), &self.events)?;
        line(f, "branches", Branch::ALL.iter().map(|branch| format!("{branch:?}")), &self.branches)
    }
}

fn line(f: &mut fmt::Formatter<'_>, title: &str, names: impl Iterator<Item = String>, counts: &[u64]) -> fmt::Result {
    let pairs: Vec<String> = names.zip(counts).map(|(name, count)| format!("{name} {count}")).collect();
    writeln!(f, "{title}: {}", pairs.join(", "))
}
