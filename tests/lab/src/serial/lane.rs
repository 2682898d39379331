//! One direction of a serial line, without any I/O: when each byte arrives at the far end, and what befalls it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Bits of a byte on the line: start, eight of data, stop.
const BITS_PER_BYTE: u64 = 10;
const SECOND_NS: u64 = 1_000_000_000;
/// Bytes that wait for their turn before the line takes no more: the sender's write then blocks, as that of a real one does.
const MAX_WAITING: usize = 4096;
/// A whole, for [`Faults::set_rates`].
const MILLION: u32 = 1_000_000;

/// What is wrong with one direction of a line. Set from any thread, at work with the next byte.
#[derive(Debug, Default)]
pub struct Faults {
    cut: AtomicBool,
    stalled: AtomicBool,
    garbage: AtomicBool,
    lost: AtomicU32,
    doubled: AtomicU32,
    mangled: AtomicU32,
}

impl Faults {
    /// What is sent goes nowhere. The sender does not notice.
    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    /// The device takes no more bytes: after a while its sender's writes block.
    pub fn stall(&self, stalled: bool) {
        self.stalled.store(stalled, Ordering::Relaxed);
    }

    /// Whenever nothing is sent, random bytes arrive, one after the other without a pause.
    pub fn fill_with_garbage(&self, garbage: bool) {
        self.garbage.store(garbage, Ordering::Relaxed);
    }

    /// Of a million bytes, so many are lost, doubled, mangled.
    pub fn set_rates(&self, lost: u32, doubled: u32, mangled: u32) {
        self.lost.store(lost, Ordering::Relaxed);
        self.doubled.store(doubled, Ordering::Relaxed);
        self.mangled.store(mangled, Ordering::Relaxed);
    }

    /// Nothing is wrong any more.
    pub fn clear(&self) {
        self.cut(false);
        self.stall(false);
        self.fill_with_garbage(false);
        self.set_rates(0, 0, 0);
    }

    /// Whether the device takes no more bytes.
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    fn is_garbage(&self) -> bool {
        self.garbage.load(Ordering::Relaxed)
    }
}

/// The bytes that are on their way in one direction. Times are nanoseconds of any clock.
#[derive(Debug)]
pub struct Lane {
    byte_ns: u64,
    /// When the last byte that was accepted has gone out.
    free_at: u64,
    waiting: VecDeque<(u64, u8)>,
    random: u64,
}

impl Lane {
    /// A direction of a line of so many bits a second; `seed` decides about its faults, and is not 0.
    pub fn new(baud: u32, seed: u64) -> Lane {
        let byte_ns = BITS_PER_BYTE * SECOND_NS / u64::from(baud.max(1));
        Lane { byte_ns, free_at: 0, waiting: VecDeque::new(), random: seed }
    }

    /// How many bytes it takes now.
    pub fn room(&self) -> usize {
        MAX_WAITING - self.waiting.len()
    }

    /// Bytes that were handed to the line at `now`.
    pub fn accept(&mut self, bytes: &[u8], now: u64) {
        for byte in bytes {
            self.push(*byte, now);
        }
    }

    /// When it must be asked next: when the last byte on its way is through, but every `batch_ns` at least.
    pub fn next_wake(&self, batch_ns: u64, faults: &Faults) -> Option<u64> {
        let idle = faults.is_garbage().then(|| self.free_at + batch_ns);
        let front = self.waiting.front().map(|(due, _)| due + batch_ns);
        let back = self.waiting.back().map(|(due, _)| *due);
        front.min(back).into_iter().chain(idle).min()
    }

    /// What has arrived at the far end by `now`: no byte sooner than the line's speed allows.
    pub fn arrived(&mut self, now: u64, faults: &Faults) -> Vec<u8> {
        if faults.is_garbage() {
            self.fill(now);
        }
        let mut bytes = Vec::new();
        while let Some((due, byte)) = self.waiting.front().copied().filter(|(due, _)| *due <= now) {
            self.waiting.pop_front();
            debug_assert!(due <= now);
            self.suffer(byte, faults, &mut bytes);
        }
        bytes
    }

    fn push(&mut self, byte: u8, now: u64) {
        self.free_at = self.free_at.max(now) + self.byte_ns;
        self.waiting.push_back((self.free_at, byte));
    }

    /// Puts random bytes where the line was idle up to now. A line that was idle for long does not make up for it.
    fn fill(&mut self, now: u64) {
        self.free_at = self.free_at.max(now.saturating_sub(MAX_WAITING as u64 * self.byte_ns));
        while self.free_at + self.byte_ns <= now && self.room() > 0 {
            let byte = self.next_random() as u8;
            self.push(byte, self.free_at);
        }
    }

    fn suffer(&mut self, byte: u8, faults: &Faults, arrived: &mut Vec<u8>) {
        if faults.is_cut() || self.happens(&faults.lost) {
            return;
        }
        let byte = if self.happens(&faults.mangled) { byte ^ (1 << (self.next_random() & 7)) } else { byte };
        arrived.push(byte);
        if self.happens(&faults.doubled) {
            arrived.push(byte);
        }
    }

    fn happens(&mut self, rate: &AtomicU32) -> bool {
        let rate = rate.load(Ordering::Relaxed);
        rate > 0 && (self.next_random() % u64::from(MILLION)) < u64::from(rate)
    }

    /// Marsaglia's xorshift, and a multiplication for its low bits.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 86,805 ns a byte.
    const BAUD: u32 = 115_200;
    const BYTE: u64 = 86_805;

    #[test]
    fn no_byte_comes_before_its_time() {
        let (mut lane, faults) = (Lane::new(BAUD, 1), Faults::default());
        lane.accept(b"abc", 1000);
        assert_eq!(lane.arrived(1000 + BYTE - 1, &faults), b"");
        assert_eq!(lane.arrived(1000 + BYTE, &faults), b"a");
        lane.accept(b"d", 1000 + BYTE);
        assert_eq!(lane.arrived(1000 + 4 * BYTE - 1, &faults), b"bc");
        assert_eq!(lane.arrived(1000 + 4 * BYTE, &faults), b"d");
    }

    #[test]
    fn it_wakes_when_the_last_byte_is_through_and_in_between() {
        let (mut lane, faults) = (Lane::new(BAUD, 1), Faults::default());
        assert_eq!(lane.next_wake(500_000, &faults), None);
        lane.accept(b"ab", 0);
        assert_eq!(lane.next_wake(500_000, &faults), Some(2 * BYTE));
        lane.accept(&[0; 20], 0);
        assert_eq!(lane.next_wake(500_000, &faults), Some(BYTE + 500_000));
    }

    #[test]
    fn a_full_line_takes_no_more() {
        let mut lane = Lane::new(BAUD, 1);
        lane.accept(&[0; MAX_WAITING], 0);
        assert_eq!(lane.room(), 0);
        lane.arrived(BYTE, &Faults::default());
        assert_eq!(lane.room(), 1);
    }

    #[test]
    fn garbage_comes_at_line_rate_and_leaves_what_is_sent_whole() {
        let (mut lane, faults) = (Lane::new(BAUD, 1), Faults::default());
        faults.fill_with_garbage(true);
        assert_eq!(lane.arrived(100 * BYTE, &faults).len(), 100);
        lane.accept(b"frame", 100 * BYTE);
        let bytes = lane.arrived(110 * BYTE, &faults);
        assert_eq!(bytes.len(), 10);
        assert_eq!(&bytes[..5], b"frame");
    }

    #[test]
    fn faults_do_what_they_say() {
        let (mut lane, faults) = (Lane::new(BAUD, 1), Faults::default());
        let mut send = |set: &dyn Fn(&Faults)| {
            faults.clear();
            set(&faults);
            let now = lane.free_at;
            lane.accept(&[0; 1000], now);
            lane.arrived(now + 1000 * BYTE, &faults)
        };
        assert_eq!(send(&|_| {}), [0; 1000]);
        assert_eq!(send(&|faults| faults.cut(true)), b"");
        let lost = send(&|faults| faults.set_rates(500_000, 0, 0)).len();
        assert!((400..600).contains(&lost), "{lost} of 1000 came through");
        assert_eq!(send(&|faults| faults.set_rates(0, MILLION, 0)).len(), 2000);
        let mangled = send(&|faults| faults.set_rates(0, 0, MILLION));
        assert!(mangled.iter().all(|byte| byte.count_ones() == 1));
    }
}
