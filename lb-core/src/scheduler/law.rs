//! The law: from what a group of reals has measured to their next weights. Weights are real numbers here, and only their
//! ratios mean anything; their sum stays what it is.

use super::Why;

/// A group in which no real is busier than this has too little to do to tell who could do more.
const IDLE: f64 = 0.05;
/// The utilisation of a real counts as this part of the group's median, at least: what is lighter is noise for the most part, and
/// 0 would make its capacity infinite.
const LIGHTEST: f64 = 1.0 / 8.0;
/// A real's hits count as so many times (or one so-manieth of) what its weight should have brought it, at most.
const FARTHEST_HITS: f64 = 8.0;
/// Utilisation of a real of which nothing is told but that it has next to nothing to do.
pub(super) const UNTOLD: f64 = 0.01;
/// When reals get less than this part of what they usually get, on average, the load has stopped: what they are still busy with came before.
const LULL: f64 = 0.05;
/// The greatest weight, as a multiple of the group's median.
const CEILING: f64 = 16.0;
/// The dead band is up to so many times narrower or wider than configured.
const BAND_RANGE: f64 = 5.0;
/// A move ends where what is left of it is this part of the dead band.
const ARRIVED: f64 = 0.2;

/// A real that is busier than this has more to do than it can, and flows queue there.
const SATURATED: f64 = 0.97;
/// It may lose so many times a step at once, ...
const SATURATED_STEPS: f64 = 3.0;
/// ... if half of the reals are less busy than this: where all have too much to do, haste helps nobody ...
const ROOM: f64 = 0.9;
/// ... and if reals get more than this part of what they usually get: where the load falls off, a backlog goes by itself.
const FALLING_OFF: f64 = 0.75;
/// Whatever is configured, a weight does not lose more than this part of itself in a step.
pub(super) const MOST_STEP: f64 = 0.9;

/// How far weights may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// A weight moves by this part of itself, at most; that of a saturated real falls faster.
    pub(super) step: f64,
    /// A weight that is nearer to its goal than this part of itself does not begin to move.
    pub(super) dead_band: f64,
    /// The least weight, as a part of the mean.
    pub(super) floor: f64,
}

/// A real of the group.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Where its weight starts.
    pub(super) configured: f64,
    /// Its weight now, and after [`balance`] the next one. Greater than 0.
    pub(super) weight: f64,
    /// What is known of it.
    pub(super) course: Course,
    /// It is on its way to a goal.
    pub(super) moving: bool,
    /// The part of its weight that it may lose in this step: set by [`balance`].
    fall: f64,
    /// Where it goes: set by [`balance`].
    pub(super) goal: f64,
    /// Why: set by [`balance`].
    pub(super) why: Why,
}

/// What is known of a real.
#[derive(Clone, Copy, Debug)]
pub(super) enum Course {
    /// Its load.
    Measured(Measured),
    /// Too old a report to go by: the weight stays.
    Held,
    /// Nothing, and why.
    Unknown(Why),
}

/// A real's load, smoothed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// Of its busiest resource; 1.0 is all of it.
    pub(super) utilisation: f64,
    /// The same, as last reported.
    pub(super) newest: f64,
    /// Hits or flows per second, whatever all measured reals of the group have.
    pub(super) rate: Option<f64>,
    /// The newest rate as a part of what it usually is.
    pub(super) left: Option<f64>,
    /// Rate over utilisation.
    pub(super) capacity: Option<f64>,
    /// Its relative standard deviation.
    pub(super) doubt: f64,
}

/// Gives all members their goals, and moves their weights one step towards them.
pub(super) fn balance(members: &mut [Member], limits: &Limits) {
    let exchange = Exchange::of(members);
    let mean = members.iter().map(|member| member.weight).sum::<f64>() / members.len() as f64;
    let bounds = (limits.floor * mean, CEILING * median(members.iter().map(|member| member.weight)).max(mean));
    let configured = members.iter().map(|member| member.configured).sum::<f64>() / members.len() as f64;
    for member in members.iter_mut() {
        let (goal, why) = match member.course {
            Course::Measured(load) => exchange.goal(member, &load, mean),
            Course::Held => (member.weight, Some(Why::Held)),
            Course::Unknown(why) => (exchange.mean_weight.unwrap_or(member.configured * mean / configured), Some(why)),
        };
        member.set_goal(goal.clamp(bounds.0, bounds.1), why, limits);
        let steps = if exchange.has_room && member.is_saturated() { SATURATED_STEPS } else { 1.0 };
        member.fall = (limits.step * steps).min(MOST_STEP);
    }
    if members.iter().any(|member| member.moving) {
        advance(members, limits.step, bounds);
    }
    for member in members.iter_mut() {
        member.arrive(limits, bounds.0);
    }
}

/// What turns weights into factors: their mean is that of the configured weights then.
pub(super) fn scale(members: &[Member]) -> f64 {
    let configured: f64 = members.iter().map(|member| member.configured).sum();
    let weight: f64 = members.iter().map(|member| member.weight).sum();
    if weight > 0.0 { configured / weight } else { 1.0 }
}

impl Member {
    pub(super) fn new(configured: f64, weight: f64, course: Course, moving: bool) -> Self {
        Self { configured, weight, course, moving, fall: 0.0, goal: weight, why: Why::Steady }
    }

    fn set_goal(&mut self, goal: f64, why: Option<Why>, limits: &Limits) {
        self.goal = goal;
        let is_off = (goal / self.weight - 1.0).abs() > self.dead_band(limits);
        self.moving = !matches!(why, Some(Why::Held | Why::Idle)) && (is_off || self.moving);
        self.why = why.unwrap_or(if self.moving { Why::Moving } else { Why::Steady });
    }

    fn is_saturated(&self) -> bool {
        matches!(self.course, Course::Measured(load) if load.newest >= SATURATED)
    }

    /// The dead band is narrower where the goal is known well, and wider where it is known badly.
    fn dead_band(&self, limits: &Limits) -> f64 {
        match &self.course {
            Course::Measured(load) => load.doubt.clamp(limits.dead_band / BAND_RANGE, limits.dead_band * BAND_RANGE),
            _ => limits.dead_band,
        }
    }

    /// Where the weight is headed in this step. What does not move by itself goes with the others.
    fn heading(&self) -> f64 {
        if self.moving { self.goal } else { self.weight }
    }

    fn arrive(&mut self, limits: &Limits, floor: f64) {
        if (self.goal / self.weight - 1.0).abs() <= ARRIVED * limits.dead_band {
            self.moving = false;
        }
        let is_low = self.weight <= floor * (1.0 + limits.dead_band) && self.goal <= floor * (1.0 + limits.dead_band);
        if is_low && matches!(self.why, Why::Moving | Why::Steady) {
            self.why = Why::Floor;
        }
    }
}

/// What the measured members of a group have in common: how capacity is turned into weight.
pub(super) struct Exchange {
    /// There is too little to do to tell who could do more.
    is_idle: bool,
    /// Others could take at once what a saturated member loses.
    has_room: bool,
    /// Median utilisation.
    utilisation: f64,
    /// Median hits per second for a weight of 1; `None` where there are none.
    rate: Option<f64>,
    /// Weight for a capacity of 1.
    weight: f64,
    /// Mean weight of all members of which something is known; `None` where nothing is known of any.
    mean_weight: Option<f64>,
}

impl Exchange {
    pub(super) fn of(members: &[Member]) -> Self {
        let measured: Vec<(&Member, Measured)> = members
            .iter()
            .filter_map(|member| match member.course {
                Course::Measured(load) if load.utilisation >= UNTOLD => Some((member, load)),
                _ => None,
            })
            .collect();
        let known = members.iter().filter(|member| !matches!(member.course, Course::Unknown(_)));
        let (count, sum) = known.fold((0, 0.0), |(count, sum), member| (count + 1, sum + member.weight));
        let rate = median(measured.iter().map(|(member, load)| load.rate.unwrap_or(0.0) / member.weight));
        let left = part_left(members).unwrap_or(1.0);
        let mut exchange = Self {
            is_idle: measured.iter().all(|(_, load)| load.utilisation < IDLE) || left < LULL,
            has_room: median(measured.iter().map(|(_, load)| load.newest)) < ROOM && left > FALLING_OFF,
            utilisation: median(measured.iter().map(|(_, load)| load.utilisation)),
            rate: (rate > 0.0).then_some(rate),
            weight: 1.0,
            mean_weight: (count > 0).then(|| sum / f64::from(count)),
        };
        let weight: f64 = measured.iter().map(|(member, _)| member.weight).sum();
        let capacity: f64 = measured.iter().map(|(member, load)| exchange.capacity(member, load)).sum();
        exchange.weight = weight / capacity;
        exchange
    }

    /// Hits per second over utilisation, both within what can be believed.
    fn capacity(&self, member: &Member, load: &Measured) -> f64 {
        let utilisation = load.utilisation.max(self.utilisation * LIGHTEST).max(IDLE * LIGHTEST);
        let due = self.rate.unwrap_or(1.0) * member.weight / utilisation;
        load.capacity.unwrap_or(due).clamp(due / FARTHEST_HITS, due * FARTHEST_HITS)
    }

    /// The weight that a real should have which is none of the members; `None` where nothing can be told.
    pub(super) fn goal_of(&self, member: &Member) -> Option<f64> {
        match &member.course {
            Course::Measured(load) if !self.is_idle => Some(self.capacity(member, load) * self.weight),
            _ => None,
        }
    }

    fn goal(&self, member: &Member, load: &Measured, mean: f64) -> (f64, Option<Why>) {
        if self.is_idle {
            return (member.weight, Some(Why::Idle));
        }
        if load.utilisation < UNTOLD {
            // It may well be able to do more than the mean, but that has to be seen.
            return (mean.max(member.weight), None);
        }
        (self.capacity(member, load) * self.weight, None)
    }
}

/// What all get as a part of what they usually get. Each counts alike, so that one that lies cannot speak for the others.
fn part_left(members: &[Member]) -> Option<f64> {
    let left = members.iter().filter_map(|member| match member.course {
        Course::Measured(load) => load.left,
        _ => None,
    });
    let (count, sum) = left.fold((0.0, 0.0), |(count, sum), left| (count + 1.0, sum + left));
    (count > 0.0).then(|| sum / count)
}

/// Moves the weights: each up by at most `step` and down by at most its `fall`, those that are headed somewhere else than the rest the farthest, and their sum
/// stays. All headings are scaled by one number, so that what one member may not take yet goes to the others in proportion.
fn advance(members: &mut [Member], step: f64, (floor, ceiling): (f64, f64)) {
    let sum: f64 = members.iter().map(|member| member.weight).sum();
    let next = |member: &Member, scale: f64| {
        let least = (member.weight * (1.0 - member.fall)).max(floor.min(member.weight * (1.0 + step)));
        let most = (member.weight * (1.0 + step)).min(ceiling.max(least));
        (member.heading() * scale).clamp(least, most.max(least))
    };
    let falls = members.iter().map(|member| member.fall).fold(0.0, f64::max);
    let ratios = || members.iter().map(|member| member.weight / member.heading());
    let mut low = ratios().fold(f64::INFINITY, f64::min) * (1.0 - falls);
    let mut high = ratios().fold(0.0, f64::max) * (1.0 + step);
    // So often halved, the interval is as small as numbers get.
    for _ in 0..60 {
        let scale = 0.5 * (low + high);
        if members.iter().map(|member| next(member, scale)).sum::<f64>() > sum {
            high = scale;
        } else {
            low = scale;
        }
    }
    let weights: Vec<f64> = members.iter().map(|member| next(member, low)).collect();
    for (member, weight) in members.iter_mut().zip(weights) {
        member.weight = weight;
    }
}

/// The median, the lower one of two; 0 where there is no value.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}
