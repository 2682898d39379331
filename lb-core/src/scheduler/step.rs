//! One step for one group of reals: who takes part in the law, what the others get, and what comes of it.

use super::{
    Candidate, Decision, MAX_FACTOR, NEUTRAL_FACTOR, Real, Scheduler, SchedulerOptions, Why,
    law::{self, Course, Exchange, Limits, MOST_STEP, Measured, Member},
    load::Age,
};

/// A hot real is hot until its utilisation falls below this part of the limit.
const COOL_BELOW: f64 = 0.9;
/// A real that is eased in begins with this part of its weight.
const FIRST_SHARE: f64 = 0.1;
/// Until a real that is eased in has reported so often, its reports do not end that.
const REPORTS_TO_JUDGE: u32 = 3;
/// An agent-check may ask for so many times the configured weight, at most.
const MOST_ASKED: f64 = 10.0;

/// How a candidate takes part in this step.
enum Standing {
    /// It gets no new flows.
    Absent,
    /// The law does not move its weight: it has this part of the configured one.
    Fixed(f64, Why),
    /// It is eased in: it has this part of the weight that it will begin with.
    Joining(f64),
    /// The law decides: its place among the members.
    Lawful(usize),
}

impl Scheduler {
    /// Decides about reals that are compared with each other.
    pub(super) fn step_group(
        &mut self,
        group: &[&Candidate<'_>],
        passed_ms: u64,
        now_ms: u64,
    ) -> Vec<(String, Decision)> {
        for candidate in group {
            self.take_in(candidate, passed_ms, now_ms);
        }
        self.ease_in_none_where_all_are_new(group);
        let by_hits = self.is_measured_by_hits(group, now_ms);
        let mut members = Vec::new();
        let mut standings = Vec::with_capacity(group.len());
        for candidate in group {
            standings.push(self.standing(candidate, by_hits, now_ms, &mut members));
        }
        self.end_easing_in(group, &mut standings, by_hits, &mut members);
        law::balance(&mut members, &self.limits(passed_ms));
        let scale = law::scale(&members);
        let decide = |(candidate, standing): (&&Candidate<'_>, &Standing)| {
            let decision = self.real(candidate.real).decide(standing, &members, scale);
            (candidate.real.to_owned(), decision)
        };
        group.iter().zip(&standings).map(decide).collect()
    }

    fn limits(&self, passed_ms: u64) -> Limits {
        let passed = passed_ms as f64 / self.options.interval_ms.max(1) as f64;
        let SchedulerOptions { step, dead_band, floor, .. } = self.options;
        Limits { step: step.clamp(0.0, MOST_STEP) * passed, dead_band, floor: floor.clamp(0.0, 1.0) }
    }

    fn take_in(&mut self, candidate: &Candidate<'_>, passed_ms: u64, now_ms: u64) {
        let options = self.options;
        let real = self.real(candidate.real);
        if std::mem::take(&mut real.restored) {
            real.observed.presume(now_ms);
        }
        if let Some(flows) = candidate.new_flows {
            real.observed.new_flows(flows, passed_ms, options.smoothing_ms);
        }
        if real.joined_ms.is_some_and(|joined_ms| now_ms >= joined_ms.saturating_add(options.slow_start_ms)) {
            real.joined_ms = None;
        }
        let is_fresh = real.age(&options, now_ms) == Age::Fresh;
        real.heat(options.hot_above.filter(|_| is_fresh));
    }

    /// Easing in spares a real at the cost of those that are there. Where there are none, it would spare nobody.
    fn ease_in_none_where_all_are_new(&mut self, group: &[&Candidate<'_>]) {
        let mut serving = group.iter().filter(|candidate| is_serving(candidate));
        if serving.any(|candidate| self.real(candidate.real).joined_ms.is_none()) {
            return;
        }
        for candidate in group {
            self.real(candidate.real).joined_ms = None;
        }
    }

    /// Hits are comparable where all who report their load report hits. Else the flows that they are sent stand in for them.
    fn is_measured_by_hits(&self, group: &[&Candidate<'_>], now_ms: u64) -> bool {
        let lawful = group.iter().filter(|candidate| is_serving(candidate) && candidate.adaptive);
        let mut reals = lawful.filter_map(|candidate| self.reals.get(candidate.real));
        reals.all(|real| real.age(&self.options, now_ms) != Age::Fresh || real.observed.hits().is_some())
    }

    fn standing(
        &mut self,
        candidate: &Candidate<'_>,
        by_hits: bool,
        now_ms: u64,
        members: &mut Vec<Member>,
    ) -> Standing {
        let options = self.options;
        let real = self.real(candidate.real);
        let share = real.share(&options, now_ms);
        match candidate.asked {
            _ if !is_serving(candidate) => Standing::Absent,
            _ if !candidate.adaptive => Standing::Fixed(share, eased(share).unwrap_or(Why::Static)),
            Some(asked) => {
                let asked = if asked.is_nan() { 1.0 } else { asked.clamp(0.0, MOST_ASKED) };
                Standing::Fixed(share * asked, eased(share).unwrap_or(Why::Asked(asked)))
            }
            None if share < 1.0 => Standing::Joining(share),
            None => {
                members.push(real.member(candidate, by_hits, real.age(&options, now_ms)));
                Standing::Lawful(members.len() - 1)
            }
        }
    }

    /// The law takes over a real that has as much by now as its reports say that it can do.
    fn end_easing_in(
        &mut self,
        group: &[&Candidate<'_>],
        standings: &mut [Standing],
        by_hits: bool,
        members: &mut Vec<Member>,
    ) {
        let exchange = Exchange::of(members);
        for (candidate, standing) in group.iter().zip(standings) {
            let Standing::Joining(share) = *standing else { continue };
            let real = self.real(candidate.real);
            let mut member = real.member(candidate, by_hits, Age::Fresh);
            member.weight *= share;
            let is_enough = exchange.goal_of(&member).is_some_and(|goal| goal <= member.weight);
            if is_enough && real.observed.reports >= REPORTS_TO_JUDGE {
                real.joined_ms = None;
                members.push(member);
                *standing = Standing::Lawful(members.len() - 1);
            }
        }
    }
}

fn is_serving(candidate: &Candidate<'_>) -> bool {
    candidate.eligible && candidate.weight > 0
}

fn eased(share: f64) -> Option<Why> {
    (share < 1.0).then_some(Why::SlowStart(share))
}

impl Real {
    fn age(&self, options: &SchedulerOptions, now_ms: u64) -> Age {
        self.observed.age(options.hold_after, options.expire_ms, now_ms)
    }

    /// How much of its weight the real has by now, while it is eased in.
    fn share(&self, options: &SchedulerOptions, now_ms: u64) -> f64 {
        self.joined_ms.map_or(1.0, |joined_ms| {
            let passed = now_ms.saturating_sub(joined_ms) as f64 / options.slow_start_ms.max(1) as f64;
            (FIRST_SHARE + (1.0 - FIRST_SHARE) * passed).min(1.0)
        })
    }

    fn heat(&mut self, hot_above: Option<f64>) {
        self.hot = match (hot_above, self.observed.newest_utilisation(), self.observed.utilisation()) {
            (Some(limit), Some(newest), Some(smoothed)) => {
                newest > limit || (self.hot && newest.max(smoothed) > limit * COOL_BELOW)
            }
            _ => false,
        };
    }

    fn member(&self, candidate: &Candidate<'_>, by_hits: bool, age: Age) -> Member {
        let capacity = self.observed.capacity(by_hits);
        let rate = self.observed.rate(by_hits);
        let measured = |utilisation| Measured {
            utilisation,
            newest: self.observed.newest_utilisation().unwrap_or(0.0),
            rate: rate.smoothed.value(),
            left: rate.left(),
            capacity: capacity.value(),
            doubt: capacity.doubt(),
        };
        let course = match (age, self.observed.utilisation()) {
            (Age::Fresh, Some(utilisation)) => Course::Measured(measured(utilisation)),
            (Age::Expired, _) => Course::Unknown(Why::Expired),
            (Age::Never, _) => Course::Unknown(Why::NoReports),
            _ => Course::Held,
        };
        let configured = f64::from(candidate.weight);
        Member::new(configured, self.factor * configured, course, self.moving)
    }

    fn decide(&mut self, standing: &Standing, members: &[Member], scale: f64) -> Decision {
        let (factor, goal, why) = match *standing {
            Standing::Absent => (self.factor * scale, self.factor * scale, Why::NotEligible),
            Standing::Fixed(factor, why) => (factor, factor, why),
            Standing::Joining(share) => (self.factor * scale * share, self.factor * scale, Why::SlowStart(share)),
            Standing::Lawful(place) => {
                let member = &members[place];
                self.factor = member.weight / member.configured;
                self.moving = member.moving;
                (self.factor * scale, member.goal / member.configured * scale, member.why)
            }
        };
        self.observed.is_idle = why == Why::Idle;
        let utilisation = self.observed.utilisation();
        let hits = self.observed.hits();
        Decision {
            factor: units(factor, why),
            goal: units(goal, why),
            hot: self.hot,
            utilisation,
            hits,
            capacity: self.observed.capacity(hits.is_some()).value(),
            why,
        }
    }
}

/// In units of the table. 0 is no weight at all, and only an agent-check can ask for that.
fn units(factor: f64, why: Why) -> u32 {
    let least = if matches!(why, Why::Asked(_)) { 0.0 } else { 1.0 };
    (factor * f64::from(NEUTRAL_FACTOR)).round().clamp(least, f64::from(MAX_FACTOR)) as u32
}
