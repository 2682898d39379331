//! Flows for the daemon's flow table, written as the XDP program would, straight to the pinned map.

use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use aya::maps::{HashMap, Map, MapData};
use lb_common::{FAMILY_V4, FlowKey, FlowValue, RING_SLOTS, ServiceKey, map};
use nix::time::{ClockId, clock_gettime};

use crate::config::{FIRST_PORT, Size};
use crate::stage::Stage;

/// Clients are in the block for benchmarks (RFC 2544).
const FIRST_CLIENT: u32 = u32::from_be_bytes([198, 18, 0, 0]);
const CLIENTS: u32 = 1 << 17;
const FIRST_CLIENT_PORT: u32 = 20_000;
const VIP: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 1);
const TCP: u8 = 6;
const THREADS: u32 = 2;

type Flows = HashMap<MapData, FlowKey, FlowValue>;

/// Writes so many flows, of all services of the first VIP and over all their slots. Returns how long that took.
pub fn fill(stage: &Stage, size: Size, count: u32) -> Result<Duration> {
    let began = Instant::now();
    let (path, last_seen_ns) = (stage.pin(map::FLOWS), now_ns()?);
    thread::scope(|scope| {
        let part = |first: u32| -> Result<()> {
            let mut flows = open(&path)?;
            for number in (first..count).step_by(THREADS as usize) {
                let (key, value) = flow(number, size, last_seen_ns);
                flows.insert(key, value, 0).context("cannot write a flow")?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..THREADS).map(|first| scope.spawn(move || part(first))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread has panicked"))?)
    })?;
    Ok(began.elapsed())
}

fn open(path: &Path) -> Result<Flows> {
    let map = MapData::from_pin(path).with_context(|| format!("cannot open {}", path.display()))?;
    HashMap::try_from(Map::HashMap(map)).context("the flow table is another map than expected")
}

fn flow(number: u32, size: Size, last_seen_ns: u64) -> (FlowKey, FlowValue) {
    let service = number % size.all_services() as u32;
    let key = FlowKey {
        client: bytes(Ipv4Addr::from_bits(FIRST_CLIENT + number % CLIENTS)),
        service: ServiceKey {
            vip: bytes(VIP),
            port: FIRST_PORT as u16 + service as u16,
            protocol: TCP,
            family: FAMILY_V4,
        },
        client_port: (FIRST_CLIENT_PORT + number / CLIENTS) as u16,
        reserved: 0,
    };
    let real = 1 + (number % size.all_reals() as u32) as u16;
    (key, FlowValue { last_seen_ns, slot: number % RING_SLOTS, real, service: service as u16, ..FlowValue::default() })
}

fn bytes(address: Ipv4Addr) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&address.octets());
    bytes
}

fn now_ns() -> Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).context("cannot read the clock")?;
    Ok(now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}
