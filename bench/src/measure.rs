//! Runs a case, and proves by the program's own counters that every round did all of its work.

use anyhow::{Context, Result, ensure};
use lb_common::{Event, FlowValue, flow_hash, slot_of};
use lb_daemon::dataplane::{Dataplane, Repeated};
use lb_tests::packet::SYN;

use crate::{
    case::{Case, Extra, Front, REMEMBERED_FLOWS, Slots},
    frame,
    world::{REALS, World},
};

const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
const XDP_REDIRECT: u32 = 4;

/// Nanoseconds a packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Of the program that is measured.
    pub with: f64,
    /// Of the program that does all but what is measured.
    pub without: f64,
    /// Of the floor that does nothing, in the same round.
    pub drop: f64,
}

/// A case and how far it is.
#[derive(Debug)]
pub struct Runner {
    /// The case.
    pub case: Case,
    next: u64,
}

/// Everything that the program counts, of one service.
struct Counts {
    service: u64,
    syn: u64,
    reals: Vec<u64>,
    drops: u64,
    events: Vec<u64>,
}

impl Runner {
    /// Begins with the first flow.
    #[must_use]
    pub fn new(case: Case) -> Self {
        Self { case, next: 0 }
    }

    /// One sample of the case, and of its own work beside it: of each the least of some runs, since whatever else runs on the
    /// machine can only make a run longer.
    ///
    /// # Errors
    /// A run fails, or the counters contradict it.
    pub fn sample(&mut self, dataplane: &mut Dataplane, world: &mut World) -> Result<Sample> {
        let mut sample = Sample { with: f64::INFINITY, without: f64::INFINITY, drop: f64::INFINITY };
        for _ in 0..self.case.runs {
            let (with, without) = self.run(dataplane, world).with_context(|| format!("case {}", self.case.name))?;
            sample = Sample { with: sample.with.min(with), without: sample.without.min(without), drop: f64::INFINITY };
        }
        Ok(sample)
    }

    fn run(&mut self, dataplane: &mut Dataplane, world: &mut World) -> Result<(f64, f64)> {
        let Some(own_work) = self.case.own_work else { return Ok((self.bare(dataplane)?, 0.0)) };
        let without = self.floor(dataplane, own_work)?;
        self.prepare(dataplane, world)?;
        world.lease(self.case.leased);
        dataplane.set_tells_flows(self.case.told)?;
        world.prefixes(dataplane, self.case.prefixes)?;
        let ns = self.forward(dataplane, world)?;
        let (told, wanted) = (world.read_told()?, self.expected_told());
        ensure!(told == wanted, "{told} flows were told of instead of {wanted}");
        Ok((ns, without))
    }

    /// A program that knows nothing of the bench's frame.
    fn bare(&self, dataplane: &Dataplane) -> Result<f64> {
        let frame = frame::first(&self.case, self.next, XDP_TX)?;
        Ok(dataplane.run_repeated(self.case.program, &frame, self.case.packets)?.ns)
    }

    fn floor(&self, dataplane: &Dataplane, program: &'static str) -> Result<f64> {
        let frame = frame::first(&self.case, self.next, XDP_TX)?;
        let result = dataplane.run_repeated(program, &frame, self.case.packets)?;
        self.check_rounds(&result)?;
        Ok(result.ns)
    }

    fn forward(&mut self, dataplane: &Dataplane, world: &World) -> Result<f64> {
        let wanted = match self.case.front {
            Front { slots: Slots::None, .. } => XDP_PASS,
            Front { extra: Extra::Reply, .. } => XDP_REDIRECT,
            _ => XDP_TX,
        };
        let frame = frame::first(&self.case, self.next, wanted)?;
        let before = counts(dataplane, world, &self.case)?;
        let result = dataplane.run_repeated(self.case.program, &frame, self.case.packets)?;
        let after = counts(dataplane, world, &self.case)?;
        self.next = self.check_rounds(&result)?;
        self.check_counts(&before, &after)?;
        Ok(result.ns)
    }

    /// Every round had the wanted verdict and the next flow; returns the flow that is next.
    fn check_rounds(&self, result: &Repeated) -> Result<u64> {
        let (next, met) = frame::outcome(&result.frame)?;
        let packets = u64::from(self.case.packets);
        ensure!(
            met == packets,
            "{met} of {packets} packets had the verdict that was wanted (the last: {})",
            result.action
        );
        let expected = match self.case.flows {
            Some(flows) => (self.next + packets) % u64::from(flows),
            None => self.next + packets,
        };
        ensure!(next == expected, "the next flow is {next} instead of {expected}");
        Ok(next)
    }

    /// The counters have grown by the rounds, and no others have.
    fn check_counts(&self, before: &Counts, after: &Counts) -> Result<()> {
        let packets = u64::from(self.case.packets);
        let front = self.case.front;
        let forwarded = if front.slots == Slots::None || front.extra == Extra::Reply { 0 } else { packets };
        let syn = if self.case.flags & SYN != 0 { forwarded } else { 0 };
        let grown: Vec<_> = after.reals.iter().zip(&before.reals).map(|(after, before)| after - before).collect();
        let served_packets = after.service - before.service;
        ensure!(served_packets == forwarded, "the service was sent {served_packets} packets instead of {forwarded}");
        let syns = after.syn - before.syn;
        ensure!(syns == syn, "the service was sent {syns} SYNs instead of {syn}");
        ensure!(after.drops == before.drops, "{} packets were dropped", after.drops - before.drops);
        let events = self.expected_events(&before.events);
        ensure!(after.events == events, "the events are {:?} instead of {events:?}", after.events);
        let sum: u64 = grown.iter().sum();
        ensure!(sum == forwarded, "the reals were sent {sum} packets instead of {forwarded}");
        let served = grown.iter().filter(|grown| **grown != 0).count();
        let one = self.case.flows == Some(1) && front.extra != Extra::OnePacket;
        let spread = forwarded == 0 || (served == 1) == one;
        ensure!(spread, "{served} reals were sent packets, which is not what {:?} flows do", self.case.flows);
        Ok(())
    }

    fn expected_events(&self, before: &[u64]) -> Vec<u64> {
        let mut events = before.to_vec();
        if self.case.front.extra == Extra::Reply {
            events[Event::ReplyForwarded as usize] += u64::from(self.case.packets);
        }
        if let Extra::Quic(cid) = self.case.front.extra {
            events[cid.event() as usize] += u64::from(self.case.packets);
        }
        if let Some((table, miss)) = self.case.table.and_then(|table| Some((table, table.miss?))) {
            events[miss as usize] += u64::from(REMEMBERED_FLOWS) - known(table.every).count() as u64;
        }
        events
    }

    /// Of each flow that was not in the flow table, where the slots remember: it is, or it is half-open.
    fn expected_told(&self) -> u64 {
        match self.case.table {
            Some(table) if self.case.told && self.case.front.slots == Slots::Remember => {
                u64::from(REMEMBERED_FLOWS) - known(table.every).count() as u64
            }
            _ => 0,
        }
    }

    /// Puts the flows into the flow table that the case wants there, and no others.
    fn prepare(&self, dataplane: &mut Dataplane, world: &World) -> Result<()> {
        let Some(table) = self.case.table else { return Ok(()) };
        let service = world.service(&self.case.front).context("a case about slots that remember has a service")?;
        dataplane.clear_tables()?;
        for number in known(table.every) {
            let key = frame::key(&self.case, number);
            let value = FlowValue {
                last_seen_ns: Dataplane::now_ns(),
                slot: slot_of(flow_hash(&key)),
                real: world.reals[number as usize % usize::from(REALS)],
                service: u16::try_from(service)?,
                ..FlowValue::default()
            };
            dataplane.put_flow(&key, &value)?;
        }
        Ok(())
    }
}

/// Numbers of the flows that are in the flow table.
fn known(every: u32) -> impl Iterator<Item = u32> {
    (0..REMEMBERED_FLOWS).filter(move |number| every != 0 && number % every == 0)
}

fn counts(dataplane: &Dataplane, world: &World, case: &Case) -> Result<Counts> {
    let service = match world.service(&case.front) {
        Some(id) => dataplane.service_counters(id)?,
        None => lb_common::TrafficCounters::default(),
    };
    let packets = |real: &u16| dataplane.real_counters(*real).map(|counters| counters.packets);
    Ok(Counts {
        service: service.packets,
        syn: service.syn,
        reals: world.reals.iter().map(packets).collect::<Result<_, _>>()?,
        drops: dataplane.drops()?.iter().sum(),
        events: dataplane.events()?,
    })
}
