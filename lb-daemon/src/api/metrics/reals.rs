//! The real servers: what they were sent, how they are, what they report, and what their checks say.

use lb_core::api::{AdminState, CheckState, Health, Real, ServiceList, TableReal};

use super::catalogue as metric;
use super::text::{Metric, Text};
use crate::api::snapshot::Snapshot;

pub(super) fn render(snapshot: &Snapshot, text: &mut Text) {
    let reals = &snapshot.reals.reals;
    info(reals, text);
    traffic(reals, text);
    slots(&snapshot.services, text);
    state(reals, text);
    weights(&snapshot.table.reals, text);
    load(&snapshot.table.reals, text);
    checks(&snapshot.table.reals, text);
}

fn info(reals: &[Real], text: &mut Text) {
    let addresses: Vec<String> = reals.iter().map(|real| real.address.to_string()).collect();
    let samples = reals.iter().zip(&addresses).map(|(real, address)| ([real.name.as_str(), address.as_str()], true));
    text.family(&metric::REAL_INFO, samples);
}

fn traffic(reals: &[Real], text: &mut Text) {
    let each = |value: fn(&Real) -> u64| reals.iter().map(move |real| ([real.name.as_str()], value(real)));
    text.family(&metric::REAL_PACKETS, each(|real| real.counters.packets));
    text.family(&metric::REAL_BYTES, each(|real| real.counters.bytes));
    let segments = |real: &Real| [("syn", real.counters.syn), ("fin", real.counters.fin), ("rst", real.counters.rst)];
    let samples = reals.iter().flat_map(|real| segments(real).map(|(flag, count)| ([real.name.as_str(), flag], count)));
    text.family(&metric::REAL_SEGMENTS, samples);
}

fn slots(list: &ServiceList, text: &mut Text) {
    let samples = list
        .services
        .iter()
        .flat_map(|service| service.reals.iter().map(|real| ([real.name.as_str(), service.name.as_str()], real.slots)));
    text.family(&metric::REAL_SLOTS, samples);
}

fn state(reals: &[Real], text: &mut Text) {
    let health = |real| Health::ALL.iter().map(move |word| health_sample(real, *word));
    text.family(&metric::REAL_HEALTH, reals.iter().flat_map(health));
    let admin = |real| AdminState::ALL.iter().map(move |word| admin_sample(real, *word));
    text.family(&metric::REAL_ADMIN, reals.iter().flat_map(admin));
    let resolved = reals.iter().map(|real| ([real.name.as_str()], real.next_hop.is_some()));
    text.family(&metric::REAL_NEXT_HOP, resolved);
}

fn health_sample(real: &Real, health: Health) -> ([&str; 2], bool) {
    ([real.name.as_str(), health.word()], real.health == health)
}

fn admin_sample(real: &Real, state: AdminState) -> ([&str; 2], bool) {
    ([real.name.as_str(), state.word()], real.admin == state)
}

fn weights(reals: &[TableReal], text: &mut Text) {
    known(reals, &metric::REAL_CONFIGURED_WEIGHT, |real| Some(real.configured_weight.into()), text);
    known(reals, &metric::REAL_WEIGHT, |real| Some(real.weight), text);
    text.family(&metric::REAL_HOT, reals.iter().map(|real| ([real.name.as_str()], real.hot)));
}

fn load(reals: &[TableReal], text: &mut Text) {
    known(reals, &metric::REAL_UTILISATION, |real| real.utilisation, text);
    known(reals, &metric::REAL_CPU, |real| real.cpu, text);
    known(reals, &metric::REAL_MEMORY, |real| real.memory, text);
    let network = reals.iter().flat_map(|real| {
        let ways = [("in", real.network_in), ("out", real.network_out)];
        ways.into_iter().filter_map(|(way, share)| Some(([real.name.as_str(), way], share?)))
    });
    text.family(&metric::REAL_NETWORK, network);
    known(reals, &metric::REAL_HITS, |real| real.hits, text);
    known(reals, &metric::REAL_CAPACITY, |real| real.capacity, text);
    known(reals, &metric::REAL_REPORT_AGE, |real| real.report_age_seconds, text);
}

/// A sample for each real of which the value is known.
fn known(reals: &[TableReal], metric: &Metric<1>, value: fn(&TableReal) -> Option<f64>, text: &mut Text) {
    text.family(metric, reals.iter().filter_map(|real| Some(([real.name.as_str()], value(real)?))));
}

fn checks(reals: &[TableReal], text: &mut Text) {
    let all = || reals.iter().flat_map(checks_of);
    text.family(&metric::CHECK_UP, all().filter_map(|(labels, check)| Some((labels, check.up?))));
    let latencies = all().filter_map(|(labels, check)| Some((labels, check.latency_seconds?)));
    text.family(&metric::CHECK_LATENCY, latencies);
}

/// The checks of a real in all its services, each with its labels.
fn checks_of(real: &TableReal) -> impl Iterator<Item = ([&str; 3], &CheckState)> {
    real.services.iter().flat_map(move |service| {
        let names = [service.service.as_str(), real.name.as_str()];
        service.checks.iter().map(move |check| ([names[0], names[1], check.name.as_str()], check))
    })
}
