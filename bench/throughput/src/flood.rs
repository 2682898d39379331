//! Small packets of many flows, made by a generator on one CPU, and the counters at the real servers that see them arrive.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use aya::maps::{Array, MapData, PerCpuArray};
use aya::programs::xdp::XdpMode;
use aya::programs::{ProgramError, TestRun, TestRunAttrs, TestRunOptions, Xdp};
use aya::{Ebpf, include_bytes_aligned};
use lb_lab::{Namespace, NamespaceHandle, interrupt, wait_for};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

#[path = "../../../lb-ebpf/src/bin/throughput/flood.rs"]
#[allow(dead_code, reason = "the program uses the rest")]
mod packets;

use packets::FRAME_LENGTH;
use packets::Next;
pub use packets::{Flood, ROOM, TARGETS};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lb-throughput-ebpf"));
/// The CPU of what is measured: generator, balancer and receivers, since what a veth receives is worked on by the CPU that sends.
const CPU: usize = 1;
/// The CPU of who looks on.
const OTHER_CPU: usize = 0;
/// Packets of a call: it is ended by a signal long before.
const ENDLESS: u32 = i32::MAX as u32;
/// Frames that the generator hands over at once: half of what a veth's queue holds.
const BATCH: u32 = 64;
/// How long the first packet may take. A call takes some 20 ms to begin, and much longer in an emulated machine.
const BEGIN_LIMIT: Duration = Duration::from_secs(10);
/// The niceness that gives way to all others.
const LEAST_NICE: i32 = 19;
const LOOK_AGAIN: Duration = Duration::from_millis(2);

// SAFETY: words only, in the order of C, without padding.
unsafe impl aya::Pod for Flood {}
// SAFETY: as above.
unsafe impl aya::Pod for Next {}

/// Writes packets.
pub struct Generator {
    yields: bool,
    ebpf: Ebpf,
    next: Array<MapData, Next>,
}

/// What a flood came to.
pub struct Outcome {
    /// Packets a second that each counter has seen.
    pub rates: Vec<f64>,
    /// The part of the packets that came nowhere.
    pub lost: f64,
}

/// Counts packets at one real server.
pub struct Counter {
    ebpf: Ebpf,
    delivered: PerCpuArray<MapData, u64>,
}

impl Generator {
    /// Loads it. It `yields` to all else on its CPU where nothing else is there but the kernel's own thread for packets: on older kernels
    /// that thread takes all packets over when they get many, and a generator of the same weight takes half of the CPU for packets that
    /// have to be dropped.
    pub fn load(yields: bool) -> Result<Generator> {
        ignore_wake_ups();
        let mut ebpf = load()?;
        program(&mut ebpf, "generate")?.load().context("the kernel refuses the generator")?;
        let map = ebpf.take_map("next_packet").context("the generator does not count")?;
        Ok(Generator { yields, ebpf, next: Array::try_from(map)? })
    }

    /// Floods from a namespace: for `warm_up` without counting, then for `window`. Packets with this protocol number
    /// count.
    pub fn flood(
        &mut self,
        from: &NamespaceHandle,
        packets: Flood,
        counters: &[Counter],
        protocol: u8,
        [warm_up, window]: [Duration; 2],
    ) -> Result<Outcome> {
        let map = self.ebpf.map_mut("flood").context("the generator has no map")?;
        Array::try_from(map)?.set(0, packets, 0).context("cannot tell the generator what to send")?;
        let program: &Xdp = program(&mut self.ebpf, "generate")?;
        let (yields, stop) = (self.yields, &AtomicBool::new(false));
        let next = &self.next;
        let count = || {
            // What was sent first: what is on its way counts as lost, and not the other way round.
            let sent = next.get(&0, 0).context("cannot read what was sent")?.sent;
            let delivered = counters.iter().map(|counter| counter.delivered(protocol)).collect::<Result<_>>()?;
            Ok(Counts { sent, delivered })
        };
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            let thread = scope.spawn(move || {
                // SAFETY: the call has no conditions.
                let _ = sender.send(unsafe { libc::pthread_self() });
                generate(program, from, packets.room as usize, yields, stop)
            });
            let measured = measure(&thread, count, warm_up, window);
            stop.store(true, Ordering::Relaxed);
            let id = receiver.recv().context("the generator has not begun")?;
            while !thread.is_finished() {
                // SAFETY: the thread has not been joined, so its id is its own.
                unsafe { libc::pthread_kill(id, libc::SIGUSR1) };
                std::thread::sleep(LOOK_AGAIN);
            }
            thread.join().map_err(|_| anyhow!("the generator has panicked"))??;
            measured
        })
    }
}

/// What has been counted so far.
struct Counts {
    sent: u64,
    delivered: Vec<u64>,
}

fn measure(
    thread: &ScopedJoinHandle<'_, Result<()>>,
    count: impl Fn() -> Result<Counts>,
    warm_up: Duration,
    window: Duration,
) -> Result<Outcome> {
    let before = count()?.delivered;
    wait_for("the first packet to arrive", BEGIN_LIMIT, || {
        let begun = count()?.delivered != before;
        if !begun && thread.is_finished() {
            bail!("the generator has ended before a packet arrived");
        }
        Ok(begun.then_some(()))
    })?;
    interrupt::pause(warm_up)?;
    let (first, begun) = (count()?, Instant::now());
    interrupt::pause(window)?;
    let (last, seconds) = (count()?, begun.elapsed().as_secs_f64());
    Ok(Outcome::between(&first, &last, seconds))
}

impl Outcome {
    fn between(first: &Counts, last: &Counts, seconds: f64) -> Outcome {
        let each = last.delivered.iter().zip(&first.delivered).map(|(last, first)| (last - first) as f64);
        let (delivered, sent): (Vec<f64>, f64) = (each.collect(), (last.sent - first.sent) as f64);
        // What is on its way at either end makes it a little more or less, even less than nothing.
        let lost = 1.0 - delivered.iter().sum::<f64>() / sent;
        Outcome { rates: delivered.into_iter().map(|count| count / seconds).collect(), lost }
    }
}

/// Sends until it is told to stop, and woken by a signal.
fn generate(program: &Xdp, from: &NamespaceHandle, room: usize, yields: bool, stop: &AtomicBool) -> Result<()> {
    from.enter()?;
    run_on(CPU)?;
    if yields {
        yield_to_others()?;
    }
    let frame = vec![0; room + FRAME_LENGTH];
    while !stop.load(Ordering::Relaxed) {
        let attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
        let options = TestRunOptions { data_in: Some(&frame), repeat: ENDLESS, attrs, ..TestRunOptions::default() };
        match program.test_run(options) {
            Ok(_) => {}
            Err(ProgramError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::EINTR) => {}
            Err(error) => return Err(error).context("the kernel does not run the generator on live frames"),
        }
    }
    Ok(())
}

impl Counter {
    /// Loads one.
    pub fn load() -> Result<Counter> {
        let mut ebpf = load()?;
        program(&mut ebpf, "count")?.load().context("the kernel refuses the counter")?;
        let map = ebpf.take_map("delivered").context("the counter has no map")?;
        Ok(Counter { ebpf, delivered: PerCpuArray::try_from(map)? })
    }

    /// Counts at an interface too, until it is dropped.
    pub fn attach(&mut self, namespace: &Namespace, interface: &str) -> Result<()> {
        let ifindex = namespace.ifindex(interface)?;
        let program = program(&mut self.ebpf, "count")?;
        let attached = namespace.run(|| Ok(program.attach_to_if_index(ifindex, XdpMode::Driver)?));
        attached.with_context(|| format!("cannot count at {interface} in {}", namespace.name()))?;
        Ok(())
    }

    fn delivered(&self, protocol: u8) -> Result<u64> {
        let values = self.delivered.get(&protocol.into(), 0).context("cannot read the counter")?;
        Ok(values.iter().sum())
    }
}

/// Keeps the calling thread, and all that it begins from now on, on the CPU that is not measured.
pub fn stand_aside() -> Result<()> {
    run_on(OTHER_CPU)
}

/// Lets the calling thread, and all that it begins from now on, run on both CPUs.
pub fn use_both() -> Result<()> {
    let mut set = CpuSet::new();
    [CPU, OTHER_CPU].into_iter().try_for_each(|cpu| set.set(cpu))?;
    sched_setaffinity(Pid::from_raw(0), &set).context("the bench needs two CPUs")
}

fn run_on(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set).context("the bench needs two CPUs")
}

/// Gives the calling thread the least weight.
fn yield_to_others() -> Result<()> {
    // SAFETY: the call takes no pointers; 0 is the calling thread.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, LEAST_NICE) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()).context("cannot lower the generator's priority"),
    }
}

/// The signal only wakes; it does nothing.
fn ignore_wake_ups() {
    extern "C" fn wake(_: i32) {}
    // SAFETY: the handler does nothing, which is async-signal-safe.
    unsafe { libc::signal(libc::SIGUSR1, wake as extern "C" fn(i32) as libc::sighandler_t) };
}

fn load() -> Result<Ebpf> {
    Ebpf::load(OBJECT).context("the kernel refuses the bench's programs")
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    Ok(ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))?.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_and_came_nowhere_is_lost() {
        let first = Counts { sent: 1_000, delivered: vec![300, 300, 400] };
        let last = Counts { sent: 3_000, delivered: vec![500, 600, 900] };
        let outcome = Outcome::between(&first, &last, 0.5);
        assert_eq!(outcome.rates, [400.0, 600.0, 1_000.0]);
        assert_eq!(outcome.lost, 0.5);
    }
}
