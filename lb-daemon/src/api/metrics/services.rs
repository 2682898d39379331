//! The services: what they were sent, and how their slots and members are.

use lb_core::api::Service;

use super::catalogue as metric;
use super::text::Text;

pub(super) fn render(services: &[Service], text: &mut Text) {
    info(services, text);
    let each = |value: fn(&Service) -> u64| services.iter().map(move |one| ([one.name.as_str()], value(one)));
    text.family(&metric::SERVICE_PACKETS, each(|service| service.counters.packets));
    text.family(&metric::SERVICE_BYTES, each(|service| service.counters.bytes));
    let segments = |one: &Service| [("syn", one.counters.syn), ("fin", one.counters.fin), ("rst", one.counters.rst)];
    text.family(
        &metric::SERVICE_SEGMENTS,
        services.iter().flat_map(|one| segments(one).map(|(flag, count)| ([one.name.as_str(), flag], count))),
    );
    let slots = |one: &Service| {
        [("clean", one.slots.clean), ("remembering", one.slots.remembering), ("marked", one.slots.marked)]
    };
    text.family(
        &metric::SERVICE_SLOTS,
        services.iter().flat_map(|one| slots(one).map(|(state, count)| ([one.name.as_str(), state], count))),
    );
    text.family(&metric::SERVICE_REALS, each(|service| service.reals.len() as u64));
    let serving = |service: &Service| service.reals.iter().filter(|real| real.slots > 0).count() as u64;
    text.family(&metric::SERVICE_REALS_SERVING, each(serving));
    let flooded = |one: &Service| Some(u64::from(one.guards.as_ref()?.syn_flood.as_ref()?.flooded));
    let samples = services.iter().filter_map(|one| Some(([one.name.as_str()], flooded(one)?)));
    text.family(&metric::SERVICE_FLOODED, samples);
}

fn info(services: &[Service], text: &mut Text) {
    let words = |one: &Service| [one.vip_text(), one.ports.to_string()];
    let words: Vec<[String; 2]> = services.iter().map(words).collect();
    let samples = services.iter().zip(&words).map(|(one, [vip, port])| {
        ([one.name.as_str(), vip.as_str(), one.protocol.word(), port.as_str(), one.mode.word()], true)
    });
    text.family(&metric::SERVICE_INFO, samples);
}
