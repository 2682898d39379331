//! One run of one policy through one scenario.

use super::{
    agent::Agent,
    scenario::{Change, SERVERS, Scenario},
    server::Server,
    traffic::{Flow, Traffic},
};
use crate::policy::Policy;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Second by second, the utilisation of each server.
    pub utilisation: Vec<[f64; SERVERS]>,
    /// Second by second, the part of all slots that was moved.
    pub moved: Vec<f64>,
    /// Of each flow: when it began, and how long it took, or has taken until the end; in seconds.
    pub flows: Vec<(f32, f32)>,
}

/// Runs the policy through the scenario.
pub fn run(scenario: &Scenario, seed: u64, policy: &mut dyn Policy) -> Run {
    let mut world = World::new(scenario, seed, policy);
    let mut traffic = Traffic::new(seed).peekable();
    let mut changes = scenario.changes.iter().peekable();
    for second in 1..=scenario.duration as usize {
        let end = second as f64;
        loop {
            let arrival = traffic.peek().map_or(f64::INFINITY, |flow| flow.at);
            let change = changes.peek().map_or(f64::INFINITY, |change| change.at);
            let report = world.next_report();
            let next = arrival.min(change).min(report.1);
            if next >= end {
                break;
            }
            if change <= next {
                changes.next().into_iter().for_each(|change| world.change(change));
            } else if report.1 <= next {
                world.report(report.0, report.1);
            } else if let Some(flow) = traffic.next() {
                world.arrive(&flow);
            }
        }
        world.end_second(end);
    }
    for began in world.servers.iter().flat_map(Server::open_since) {
        world.run.flows.push((began as f32, (scenario.duration - began) as f32));
    }
    world.run
}

struct World<'a> {
    servers: [Server; SERVERS],
    agents: [Agent; SERVERS],
    policy: &'a mut dyn Policy,
    /// Of each server at the end of the last second.
    busy: [f64; SERVERS],
    run: Run,
}

impl<'a> World<'a> {
    fn new(scenario: &Scenario, seed: u64, policy: &'a mut dyn Policy) -> Self {
        let servers = scenario.capacities.map(Server::new);
        policy.know(&servers);
        let agents = std::array::from_fn(|server| Agent::new(seed * SERVERS as u64 + server as u64));
        let run = Run { utilisation: Vec::new(), moved: Vec::new(), flows: Vec::new() };
        Self { servers, agents, policy, busy: [0.0; SERVERS], run }
    }

    /// Which agent has something to do next, and when.
    fn next_report(&self) -> (usize, f64) {
        let next = self.agents.iter().map(Agent::next).enumerate();
        next.min_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or((0, f64::INFINITY))
    }

    fn advance(&mut self, now: f64) {
        for server in &mut self.servers {
            server.advance(now, |began, took| self.run.flows.push((began as f32, took as f32)));
        }
    }

    fn change(&mut self, change: &Change) {
        self.advance(change.at);
        self.servers[change.server].set(change.capacity, change.eaten);
        self.policy.know(&self.servers);
    }

    fn report(&mut self, server: usize, now: f64) {
        self.advance(now);
        if let Some(sample) = self.agents[server].act(&self.servers[server], now) {
            self.policy.report(server, sample, now);
        }
    }

    fn arrive(&mut self, flow: &Flow) {
        self.advance(flow.at);
        let server = self.policy.route(flow.hash, &self.servers);
        self.servers[server].accept(flow.work);
    }

    fn end_second(&mut self, now: f64) {
        self.advance(now);
        let busy = self.servers.each_ref().map(Server::busy);
        self.run.utilisation.push(std::array::from_fn(|server| busy[server] - self.busy[server]));
        self.busy = busy;
        self.run.moved.push(self.policy.tick(now));
    }
}
