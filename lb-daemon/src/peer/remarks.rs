//! What is to be said of a path beside its counters: why its device cannot be used, and what is refused on it. The same is said
//! once in a while only, however often it happens.

use lb_core::pair::Micros;
use lb_core::pair::wire::Refusal;

/// For so long the same is not said again, and a refusal is shown, in microseconds.
const WHILE_US: Micros = 60_000_000;
/// So many frames in a row that prove nothing of their sender are more than noise or a stray.
const IN_ROW: u32 = 3;

/// What has been said of a path.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    problem: Option<(String, Micros)>,
    refused: [Refused; Refusal::NAMES.len()],
    /// The newest refusal that is worth a word, and when it was.
    newest: Option<(Refusal, Micros)>,
}

/// What has been refused for one reason.
#[derive(Debug, Default)]
struct Refused {
    /// Since the last frame that was taken.
    in_row: u32,
    said_at: Option<Micros>,
}

impl Remarks {
    /// The device cannot be used. Whether that is to be said.
    pub(super) fn problem(&mut self, why: &str, now: Micros) -> bool {
        let is_known = self.problem.as_ref().is_some_and(|(known, at)| known == why && now < at + WHILE_US);
        if !is_known {
            self.problem = Some((why.to_owned(), now));
        }
        !is_known
    }

    /// A frame was refused. Whether that is to be said.
    pub(super) fn refusal(&mut self, refusal: Refusal, now: Micros) -> bool {
        let refused = &mut self.refused[refusal.index()];
        refused.in_row = refused.in_row.saturating_add(1);
        if refused.in_row < least(refusal) {
            return false;
        }
        self.newest = Some((refusal, now));
        let is_said = refused.said_at.is_some_and(|at| now < at + WHILE_US);
        if !is_said {
            refused.said_at = Some(now);
        }
        !is_said
    }

    /// A frame was taken: what was refused before it was no row.
    pub(super) fn taken(&mut self) {
        self.refused.iter_mut().for_each(|refused| refused.in_row = 0);
    }

    /// What has been refused lately, and is worth a word.
    pub(super) fn refused_lately(&self, now: Micros) -> Option<Refusal> {
        self.newest.filter(|(_, at)| now < at + WHILE_US).map(|(refusal, _)| refusal)
    }
}

/// How many in a row are worth a word. One that was rightly signed is; noise never is, and of its own role the node itself speaks.
fn least(refusal: Refusal) -> u32 {
    match refusal {
        Refusal::Version(_) | Refusal::WrongPath(_) => 1,
        Refusal::UnknownKey | Refusal::WrongKey | Refusal::BadTag => IN_ROW,
        Refusal::Malformed | Refusal::OwnDirection { .. } => u32::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_rightly_signed_is_said_at_once_and_again_after_a_while() {
        let mut remarks = Remarks::default();
        assert_eq!(remarks.refused_lately(5), None);
        assert!(remarks.refusal(Refusal::Version(2), 5));
        assert!(!remarks.refusal(Refusal::Version(2), 6));
        assert!(remarks.refusal(Refusal::WrongPath(1), 7), "another one");
        assert_eq!(remarks.refused_lately(6 + WHILE_US), Some(Refusal::WrongPath(1)));
        assert_eq!(remarks.refused_lately(7 + WHILE_US), None);
        assert!(!remarks.refusal(Refusal::Version(2), 4 + WHILE_US));
        assert!(remarks.refusal(Refusal::Version(2), 5 + WHILE_US));
    }

    #[test]
    fn what_anybody_could_have_sent_is_said_when_nothing_else_comes() {
        let mut remarks = Remarks::default();
        for _ in 0..10 {
            assert!(!remarks.refusal(Refusal::BadTag, 1) && !remarks.refusal(Refusal::BadTag, 1));
            assert_eq!(remarks.refused_lately(1), None);
            remarks.taken();
        }
        let said = [(); 4].map(|()| remarks.refusal(Refusal::UnknownKey, 2));
        assert_eq!(said, [false, false, true, false]);
        assert_eq!(remarks.refused_lately(2), Some(Refusal::UnknownKey));
    }

    #[test]
    fn noise_is_never_worth_a_word() {
        let mut remarks = Remarks::default();
        assert!((0..1_000).all(|now| !remarks.refusal(Refusal::Malformed, now)));
        assert_eq!(remarks.refused_lately(1_000), None);
    }

    #[test]
    fn a_device_that_comes_and_goes_is_not_spoken_of_all_the_time() {
        let mut remarks = Remarks::default();
        assert!(remarks.problem("hung up", 1));
        assert!(!remarks.problem("hung up", 2));
        assert!(remarks.problem("gone", 3));
        assert!(!remarks.problem("gone", 2 + WHILE_US));
        assert!(remarks.problem("gone", 3 + WHILE_US));
    }
}
