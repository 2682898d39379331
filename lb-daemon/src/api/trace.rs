//! `GET /v1/trace`: packets as they come, a JSON line each, until the time is over, as many were asked for have come, or the client goes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use lb_common::{DropReason, Event, NO_SLOT, TraceEvent, TraceFilter};
use lb_core::api::{DEFAULT_TRACE_SECONDS, MAX_TRACE_COUNT, MAX_TRACE_SECONDS, TraceLine, TraceVerdict, TracedPacket};
use lb_core::rows::{address_bytes, address_of};
use serde::Deserialize;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, watch};
use tokio::time::{self, Instant, MissedTickBehavior};

use super::{Failure, Served};
use crate::dataplane::{Tracer, captured};
use crate::engine::{Handle, TraceNames};

/// How often it is looked whether packets have come. With the buffer's size it bounds how many a second can be shown.
const LOOK: Duration = Duration::from_millis(20);
/// How long names of services, reals and interfaces are used before they are asked for again.
const NAMES_LAST: Duration = Duration::from_secs(1);
/// Pieces of the answer that wait for a client that reads slowly. What comes meanwhile waits in the buffer, or is lost.
const MAX_WAITING: usize = 8;

/// The tracer, for one request at a time, and what ends them all.
#[derive(Clone)]
pub struct Tracing {
    tracer: Arc<Mutex<Tracer>>,
    stopped: watch::Receiver<bool>,
}

impl Tracing {
    /// Traces end when `stopped` changes.
    #[must_use]
    pub fn new(tracer: Tracer, stopped: watch::Receiver<bool>) -> Self {
        Self { tracer: Arc::new(Mutex::new(tracer)), stopped }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TraceQuery {
    vip: IpAddr,
    port: Option<u16>,
    client: Option<String>,
    count: Option<u64>,
    seconds: Option<u32>,
    #[serde(default)]
    frames: bool,
}

pub(super) async fn show(
    State(served): State<Served>,
    query: Result<Query<TraceQuery>, QueryRejection>,
) -> Result<Response, Failure> {
    let Query(query) = query?;
    let (filter, limits) = query.understood()?;
    let Some(tracing) = &served.trace else {
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "this lbd has no data plane to trace", None));
    };
    let Ok(tracer) = tracing.tracer.clone().try_lock_owned() else {
        let hint = "one trace at a time: wait for its end, or end it";
        return Err(Failure::new(StatusCode::CONFLICT, "another trace is running", Some(hint)));
    };
    let mut running = Running { tracer };
    running.tracer.start(&filter, limits.lasts).map_err(anyhow::Error::from)?;
    let (send, lines) = mpsc::channel(MAX_WAITING);
    tokio::spawn(carry(running, served.engine.clone(), limits, send, tracing.stopped.clone()));
    let body = stream::unfold(lines, async |mut lines: mpsc::Receiver<Bytes>| {
        lines.recv().await.map(|text| (Ok::<_, Infallible>(text), lines))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(body)).into_response())
}

/// When a trace ends, and what it shows.
struct Limits {
    lasts: Duration,
    count: u64,
    frames: bool,
}

impl TraceQuery {
    fn understood(&self) -> Result<(TraceFilter, Limits), Failure> {
        let wrong = |error: String| Failure::new(StatusCode::BAD_REQUEST, error, Some("see docs/reference/api.md"));
        let seconds = self.seconds.unwrap_or(DEFAULT_TRACE_SECONDS);
        if !(1..=MAX_TRACE_SECONDS).contains(&seconds) {
            return Err(wrong(format!("`seconds` is {seconds}, and can be 1 to {MAX_TRACE_SECONDS}")));
        }
        let count = self.count.unwrap_or(MAX_TRACE_COUNT);
        if !(1..=MAX_TRACE_COUNT).contains(&count) {
            return Err(wrong(format!("`count` is {count}, and can be 1 to {MAX_TRACE_COUNT}")));
        }
        let (vip, family) = address_bytes(self.vip);
        let (client, client_mask) = match &self.client {
            Some(text) => prefix(text, self.vip)
                .ok_or_else(|| wrong(format!("`client` is {text:?}, and no prefix of the VIP's family")))?,
            None => ([0; 16], [0; 16]),
        };
        let port = self.port.unwrap_or(0);
        let filter = TraceFilter { vip, family, client, client_mask, port, ..TraceFilter::default() };
        Ok((filter, Limits { lasts: Duration::from_secs(seconds.into()), count, frames: self.frames }))
    }
}

/// Address and mask of `ADDRESS/BITS`, of the same family as `vip`.
fn prefix(text: &str, vip: IpAddr) -> Option<([u8; 16], [u8; 16])> {
    let (address, bits) = text.split_once('/')?;
    let (address, bits): (IpAddr, u32) = (address.parse().ok()?, bits.parse().ok()?);
    let all = if vip.is_ipv4() { 32 } else { 128 };
    if address.is_ipv4() != vip.is_ipv4() || bits > all {
        return None;
    }
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0).to_be_bytes();
    let (mut address, _) = address_bytes(address);
    address.iter_mut().zip(mask).for_each(|(byte, mask)| *byte &= mask);
    Some((address, mask))
}

/// A trace. It ends with this.
struct Running {
    tracer: OwnedMutexGuard<Tracer>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tracer.stop();
    }
}

/// Reads packets and sends their lines, until something ends it.
async fn carry(
    mut running: Running,
    engine: Handle,
    limits: Limits,
    lines: mpsc::Sender<Bytes>,
    mut stopped: watch::Receiver<bool>,
) {
    let ends = Instant::now() + limits.lasts;
    let mut ticks = time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = limits.count;
    let (mut names, mut named) = (TraceNames::default(), None::<Instant>);
    while left > 0 && Instant::now() < ends {
        tokio::select! {
            _ = ticks.tick() => {}
            () = lines.closed() => return,
            // An error means that nobody can ask for a stop any more, which is one.
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        if named.is_none_or(|named| named.elapsed() > NAMES_LAST) {
            let Ok(newest) = engine.call(|engine| engine.trace_names()).await else { return };
            (names, named) = (newest, Some(Instant::now()));
        }
        let text = read(&mut running.tracer, &names, limits.frames, &mut left);
        if !text.is_empty() && !pass_on(&lines, text, ends, &mut stopped).await {
            return;
        }
    }
}

/// Sends the lines. False where nobody wants them any more: a client that does not read keeps no trace going beyond its time.
async fn pass_on(
    lines: &mpsc::Sender<Bytes>,
    text: String,
    ends: Instant,
    stopped: &mut watch::Receiver<bool>,
) -> bool {
    tokio::select! {
        sent = lines.send(Bytes::from(text)) => sent.is_ok(),
        () = time::sleep_until(ends) => false,
        _ = stopped.wait_for(|stopped| *stopped) => false,
    }
}

/// The lines of the packets that have come, `left` at most.
fn read(tracer: &mut Tracer, names: &TraceNames, frames: bool, left: &mut u64) -> String {
    let mut text = String::new();
    let mut packets = Vec::new();
    let lost = tracer.drain(|event| {
        if *left > 0 {
            *left -= 1;
            packets.extend(packet(event, names, frames));
        }
    });
    let lost = (lost > 0).then_some(TraceLine::Lost(lost));
    for line in lost.into_iter().chain(packets.into_iter().map(|packet| TraceLine::Packet(Box::new(packet)))) {
        // Numbers and names always have a JSON form.
        text += &serde_json::to_string(&line).unwrap_or_default();
        text.push('\n');
    }
    text
}

/// None for a record that no program of ours wrote.
fn packet(event: &TraceEvent, names: &TraceNames, frames: bool) -> Option<TracedPacket> {
    let family = event.key.service.family;
    let port = |port: u16| (event.has_ports != 0).then_some(port);
    let found = (event.has_slot != 0).then_some(event);
    let service = found.and_then(|event| names.services.get(&event.service.into()).cloned());
    let real = found.and_then(|event| names.reals.get(&event.real));
    let slot = found.map(|event| event.slot);
    let verdict = verdict(event.action);
    let interface = |index: u32| name(&names.interfaces, index);
    let egress = match verdict {
        TraceVerdict::Tx => Some(interface(event.ingress_ifindex)),
        TraceVerdict::Redirect => real.and_then(|real| real.ifindex).map(interface),
        TraceVerdict::Drop | TraceVerdict::Pass | TraceVerdict::Aborted => None,
    };
    Some(TracedPacket {
        unix_ns: unix_ns(event),
        verdict,
        reason: reason(event),
        client: address_of(&event.key.client, family)?,
        client_port: port(event.key.client_port),
        vip: address_of(&event.key.service.vip, family)?,
        vip_port: port(event.key.service.port),
        protocol: event.key.service.protocol,
        flags: flags(event.tcp_flags),
        length: event.length,
        service,
        by_connection_id: slot == Some(NO_SLOT),
        slot: slot.filter(|slot| *slot != NO_SLOT),
        real: real.map(|real| real.name.clone()),
        ingress: interface(event.ingress_ifindex),
        egress,
        frame: frames.then(|| captured(event).iter().map(|byte| format!("{byte:02x}")).collect()),
    })
}

fn unix_ns(event: &TraceEvent) -> u64 {
    let came = SystemTime::now() - Tracer::age(event);
    came.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

fn verdict(action: u8) -> TraceVerdict {
    match action {
        1 => TraceVerdict::Drop,
        2 => TraceVerdict::Pass,
        3 => TraceVerdict::Tx,
        4 => TraceVerdict::Redirect,
        _ => TraceVerdict::Aborted,
    }
}

fn reason(event: &TraceEvent) -> Option<String> {
    let drop = usize::from(event.drop_reason).checked_sub(1).and_then(|at| DropReason::ALL.get(at));
    let ended = usize::from(event.event).checked_sub(1).and_then(|at| Event::ALL.get(at));
    drop.map(|reason| reason.name()).or(ended.map(|event| event.name())).map(str::to_owned)
}

/// As tcpdump has them.
fn flags(flags: u8) -> String {
    let letters = [(0x02, 'S'), (0x01, 'F'), (0x04, 'R'), (0x08, 'P'), (0x10, '.'), (0x20, 'U')];
    letters.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, letter)| *letter).collect()
}

fn name(names: &HashMap<u32, String>, index: u32) -> String {
    names.get(&index).cloned().unwrap_or_else(|| format!("#{index}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_become_masks() {
        let vip = "192.0.2.1".parse().unwrap();
        let (address, mask) = prefix("203.0.113.77/28", vip).unwrap();
        assert_eq!((&address[..4], &mask[..4]), (&[203, 0, 113, 64][..], &[255, 255, 255, 240][..]));
        assert_eq!((&address[4..], &mask[4..]), (&[0; 12][..], &[0; 12][..]));
        assert_eq!(prefix("203.0.113.77/0", vip), Some(([0; 16], [0; 16])));
        let (_, mask) = prefix("2001:db8::/32", "2001:db8::1".parse().unwrap()).unwrap();
        assert_eq!(mask[..5], [255, 255, 255, 255, 0]);
        for wrong in ["203.0.113.77", "203.0.113.77/33", "2001:db8::/32", "/3", "x/3"] {
            assert_eq!(prefix(wrong, vip), None, "{wrong}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_keeps_no_trace_going() {
        let (lines, _reads_nothing) = mpsc::channel(1);
        let (stop, mut stopped) = watch::channel(false);
        let ends = Instant::now() + Duration::from_secs(3);
        assert!(pass_on(&lines, "first".to_owned(), ends, &mut stopped).await, "there is room for it");
        assert!(!pass_on(&lines, "second".to_owned(), ends, &mut stopped).await);
        assert_eq!(Instant::now(), ends, "it was given the trace's time");
        stop.send(true).unwrap();
        let later = ends + Duration::from_secs(3);
        assert!(!pass_on(&lines, "third".to_owned(), later, &mut stopped).await);
        assert_eq!(Instant::now(), ends, "the end of the daemon ends it at once");
    }

    #[test]
    fn flags_are_those_of_tcpdump() {
        assert_eq!((flags(0x02), flags(0x12), flags(0x18)), ("S".to_owned(), "S.".to_owned(), "P.".to_owned()));
        assert_eq!(flags(0), "");
    }
}
