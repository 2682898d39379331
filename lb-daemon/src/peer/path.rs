//! One path as the heartbeat thread has it: its device, as long as it can be used, and what has gone over it.

use lb_core::pair::Micros;
use lb_core::pair::wire::Refusal;
use nix::poll::{PollFd, PollFlags};

use super::device::{Device, Heard, Sent};
use super::keeper::Returns;
use super::remarks::Remarks;
use super::view::{DeviceCounters, DeviceView};

pub(super) struct Path {
    name: String,
    device: Result<Box<dyn Device>, String>,
    returns: Returns,
    remarks: Remarks,
    pub(super) counters: DeviceCounters,
}

impl Path {
    /// A path whose device is not open yet.
    pub(super) fn new(name: String, returns: Returns) -> Self {
        let device = Err("it is being opened".to_owned());
        Self { name, device, returns, remarks: Remarks::default(), counters: DeviceCounters::default() }
    }

    /// Replaces the device, or what is said of why there is none.
    pub(super) fn set_device(&mut self, device: Result<Box<dyn Device>, String>) {
        if let Ok(old) = std::mem::replace(&mut self.device, device) {
            self.counters.unsent += old.lost();
            // There is never a second one, and so there is room. Closing here could take long.
            let _ = self.returns.try_send(old);
        }
    }

    pub(super) fn close(&mut self) {
        self.set_device(Err("lbd ends".to_owned()));
    }

    pub(super) fn poll_fd(&self) -> Option<PollFd<'_>> {
        self.device.as_ref().ok().map(|device| PollFd::new(device.fd(), PollFlags::POLLIN))
    }

    /// What is to be said of why the device cannot be used, if that is news.
    pub(super) fn problem(&mut self, now: Micros) -> Option<String> {
        let why = self.device.as_ref().err()?;
        self.remarks.problem(why, now).then(|| format!("path {}: {why}", self.name))
    }

    /// Counts a frame that was refused. Returns what is to be said of it, if anything.
    pub(super) fn refuse(&mut self, refusal: Refusal, now: Micros) -> Option<String> {
        self.counters.refuse(refusal);
        let is_news = self.remarks.refusal(refusal, now);
        is_news.then(|| format!("path {}: what comes in is refused: {refusal}", self.name))
    }

    /// A frame was taken for one of the peer's.
    pub(super) fn take(&mut self) {
        self.remarks.taken();
    }

    /// Sends a frame, or loses it. An error says why the device cannot be used any more.
    pub(super) fn send(&mut self, frame: &[u8]) -> Result<(), String> {
        let Ok(device) = &mut self.device else {
            self.counters.unsent += 1;
            return Ok(());
        };
        match device.send(frame) {
            Ok(Sent::Whole) => {}
            Ok(Sent::Lost) => self.counters.unsent += 1,
            Err(error) => {
                self.counters.unsent += 1;
                return Err(format!("cannot send: {error}"));
            }
        }
        Ok(())
    }

    /// Takes the next frame that has come in. An error says why the device cannot be used any more.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Result<Heard, String> {
        let Ok(device) = &mut self.device else { return Ok(Heard::Nothing) };
        let heard = device.receive(buffer).map_err(|error| error.to_string())?;
        match heard {
            Heard::Forwarded => self.counters.forwarded += 1,
            Heard::Garbage => self.counters.garbage += 1,
            Heard::Frame(_) | Heard::Again | Heard::Nothing => {}
        }
        Ok(heard)
    }

    pub(super) fn view(&self, now: Micros) -> DeviceView {
        let mut counters = self.counters.clone();
        counters.unsent += self.device.as_ref().map_or(0, |device| device.lost());
        DeviceView {
            name: self.name.clone(),
            unusable: self.device.as_ref().err().cloned(),
            refused_lately: self.remarks.refused_lately(now),
            counters,
        }
    }
}
