//! What is known of the peer over all paths.

use super::{
    Epoch, Facts, Fitness, Flags, Frame, Micros, Peer, State,
    detector::{Path, Quality},
    view::{PeerView, PeerWord},
};

/// A unit of [`Frame::lease`].
pub(super) const LEASE_UNIT_US: Micros = 4_000;
/// So many frames of this node's own role within [`SAME_ROLE_US`] are another node, and no echo of an earlier start of this one.
const SAME_ROLE_FRAMES: u32 = 3;
/// For so long a frame of this node's own role counts.
const SAME_ROLE_US: Micros = 3_000_000;

/// What is known of the peer.
#[derive(Debug)]
pub(super) struct Known {
    pub health: Peer,
    pub word: Option<Word>,
    pub facts: Option<Facts>,
    pub quality: Quality,
    /// The epoch of the first frame that came in: before the peer could learn this node's.
    pub first_epoch: Option<Epoch>,
    /// When any fresh frame came in last.
    pub fresh_at: Option<Micros>,
    /// What called the peer dead is older than what is known now: this node was off the CPU, or has met a claim that wins. Only asks that were
    /// sent since then can say so again.
    pub is_doubtful: bool,
    /// The peer may serve until then, whatever it announced: this node was off the CPU, so the peer may have called it dead and
    /// lengthened its lease.
    not_before: Option<Floor>,
    /// The peer claims, by frames that are new and prove nothing; it may be back, and may have heard that this node does not claim. It has until
    /// then to prove it.
    may_prove_until: Micros,
    /// It was active once while this node ran.
    has_served: bool,
    /// The start of the peer that has said that it ends: it claims nothing any more. Nothing has been heard of a later start.
    left: Option<u32>,
    same_role: SameRole,
}

/// See [`Known::not_before`].
#[derive(Clone, Copy, Debug)]
struct Floor {
    until: Micros,
    stalled_at: Micros,
}

/// Frames of this node's own role.
#[derive(Debug, Default)]
struct SameRole {
    heard: u64,
    in_row: u32,
    at: Option<Micros>,
}

/// What the peer said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub boot: u32,
    pub state: State,
    pub epoch: Epoch,
    pub flags: Flags,
    pub fitness: Fitness,
    pub lease_us: Micros,
    pub said_at: Micros,
    pub heard_at: Micros,
}

impl Word {
    fn of(frame: &Frame, said_at: Micros, heard_at: Micros) -> Self {
        Self {
            boot: frame.boot,
            state: frame.state,
            epoch: frame.epoch,
            flags: frame.flags,
            fitness: frame.fitness,
            lease_us: Micros::from(frame.lease) * LEASE_UNIT_US,
            said_at,
            heard_at,
        }
    }

    /// It serves or is about to.
    pub(super) fn claims(&self) -> bool {
        claims(self.state)
    }

    /// It could serve.
    pub(super) fn is_able(&self) -> bool {
        self.fitness > 0 && !self.flags.held && !self.flags.unable && self.state != State::Fenced
    }
}

/// Whether the sender's daemon ends, and has nothing to hand over any more. Else a standby that may not serve is fenced before it says so.
fn ends(frame: &Frame) -> bool {
    frame.state == State::Standby && frame.flags.unable
}

/// Whether a node in this state is the owner or about to become it.
pub(super) fn claims(state: State) -> bool {
    matches!(state, State::Active | State::TakingOver)
}

impl Known {
    pub(super) fn nothing(now: Micros) -> Self {
        Self {
            health: Peer::Unknown,
            word: None,
            facts: None,
            quality: Quality::new(now),
            first_epoch: None,
            fresh_at: None,
            is_doubtful: false,
            not_before: None,
            may_prove_until: 0,
            has_served: false,
            left: None,
            same_role: SameRole::default(),
        }
    }

    /// Takes in what a fresh frame says, where it is newer than what is known. `window` is the longest time for which one is fresh.
    pub(super) fn hear(&mut self, frame: &Frame, echoed_at: Micros, said_at: Micros, window: Micros, now: Micros) {
        if !self.is_of_this_life(frame.boot, window, now) {
            return;
        }
        self.fresh_at = Some(now);
        self.is_doubtful = false;
        self.may_prove_until = 0;
        if self.not_before.is_some_and(|floor| echoed_at >= floor.stalled_at) {
            self.not_before = None;
        }
        let is_new_start = self.word.is_none_or(|word| word.boot != frame.boot);
        if is_new_start {
            self.facts = None;
        }
        if is_new_start || self.word.is_none_or(|word| said_at >= word.said_at) {
            self.word = Some(Word::of(frame, said_at, now));
        }
        self.has_served |= frame.state == State::Active;
        if ends(frame) {
            self.left = Some(frame.boot);
        }
    }

    /// An authentic frame of this start has come in, fresh or not. Of another one than that which has left: somebody is there again.
    pub(super) fn hear_start(&mut self, boot: u32) {
        self.left = self.left.filter(|left| *left == boot);
    }

    /// The peer's daemon has said that it ends, and no other one has been heard.
    pub(super) fn has_left(&self) -> bool {
        self.left.is_some()
    }

    /// A frame that was still on its way when the peer started anew says nothing.
    fn is_of_this_life(&self, boot: u32, window: Micros, now: Micros) -> bool {
        let gone = self.fresh_at.is_none_or(|at| now.saturating_sub(at) > window);
        self.word.is_none_or(|word| boot >= word.boot) || gone
    }

    /// What the peer says, where it is heard at all.
    pub(super) fn live(&self) -> Option<Word> {
        self.word.filter(|_| matches!(self.health, Peer::Alive | Peer::Degraded))
    }

    /// A new frame claims, and proves nothing: it holds up a takeover of need until then.
    pub(super) fn may_prove_until(&mut self, until: Micros) {
        self.may_prove_until = self.may_prove_until.max(until);
    }

    /// Silent on all paths; perhaps by asks that mean nothing any more: see [`Self::is_doubtful`].
    pub(super) fn is_dead(&self) -> bool {
        self.health == Peer::Dead
    }

    /// This node was off the CPU for long; the peer's lease runs until then at most, where it is not heard again.
    pub(super) fn stalled(&mut self, until: Micros, now: Micros) {
        self.is_doubtful = true;
        let known = self.not_before.map_or(0, |floor| floor.until);
        self.not_before = Some(Floor { until: until.max(known), stalled_at: now });
    }

    /// Until when the peer, if it is dead, may serve or answer.
    pub(super) fn not_gone_before(&self) -> Micros {
        self.lease_until().max(self.may_prove_until)
    }

    /// Until when the peer's lease may run, if it is dead.
    pub(super) fn lease_until(&self) -> Micros {
        let announced = self.fresh_at.unwrap_or(0) + self.word.map_or(0, |word| word.lease_us);
        announced.max(self.not_before.map_or(0, |floor| floor.until))
    }

    /// How the peer is, by all paths.
    pub(super) fn judge(paths: &[Path]) -> Peer {
        let silent = paths.iter().filter(|path| path.is_silent()).count();
        if silent == paths.len() && paths.iter().any(Path::was_used) {
            Peer::Dead
        } else if paths.iter().all(|path| path.fresh_at().is_none() || path.is_silent()) {
            Peer::Unknown
        } else if silent > 0 || paths.iter().any(|path| !path.usable) {
            Peer::Degraded
        } else {
            Peer::Alive
        }
    }

    /// An authentic frame of this node's own role has come in, of another start.
    pub(super) fn hear_same_role(&mut self, now: Micros) {
        let was = self.has_same_role_until().is_some_and(|until| now < until);
        let recent = self.same_role.at.is_some_and(|at| now.saturating_sub(at) < SAME_ROLE_US);
        self.same_role.heard += 1;
        self.same_role.in_row = if was || recent { self.same_role.in_row.saturating_add(1) } else { 1 };
        self.same_role.at = Some(now);
    }

    /// Until when another node of the same role has to be reckoned with. Not where a peer with the right role is heard: then they are
    /// old frames of this node's own.
    pub(super) fn has_same_role_until(&self) -> Option<Micros> {
        let counts = self.same_role.in_row >= SAME_ROLE_FRAMES && self.live().is_none();
        self.same_role.at.filter(|_| counts).map(|at| at + SAME_ROLE_US)
    }

    pub(super) fn view(&self, now: Micros) -> PeerView {
        let word = self.word.map(|word| PeerWord {
            boot: word.boot,
            state: word.state,
            epoch: word.epoch,
            fitness: word.fitness,
            flags: word.flags,
            lease_us: word.lease_us,
            heard_us: now.saturating_sub(word.heard_at),
        });
        let (health, facts, has_served) = (self.health, self.facts, self.has_served);
        PeerView { health, word, facts, has_served, same_role_frames: self.same_role.heard }
    }
}
