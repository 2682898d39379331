//! Opens the device of a path, and opens it again when it was lost: on a thread of its own, since the kernel may take its time.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use lb_core::pair::PathId;

use super::commands::Commands;
use super::device::{Device, Watch};
use super::{serial, udp};
use crate::config::Way;

/// How often a device is looked after.
const LOOK: Duration = Duration::from_secs(1);

/// Where the heartbeat thread gives a device back that it cannot use any more. There is never more than one.
pub(super) type Returns = SyncSender<Box<dyn Device>>;

/// Starts to look after the device of a path. Ends when the result is dropped.
///
/// # Errors
/// The host has no thread to give.
pub(super) fn start(path: PathId, way: Way, commands: Commands) -> io::Result<Returns> {
    let (returns, returned) = mpsc::sync_channel(1);
    let keeper = Keeper { path, way, commands, returned, open: None, refusal: String::new() };
    thread::Builder::new().name(format!("path-{path}")).spawn(move || keeper.run())?;
    Ok(returns)
}

struct Keeper {
    path: PathId,
    way: Way,
    commands: Commands,
    returned: Receiver<Box<dyn Device>>,
    /// The device is open, and the heartbeat thread has it.
    open: Option<Box<dyn Watch>>,
    /// What was last said of why it cannot be opened.
    refusal: String,
}

impl Keeper {
    fn run(mut self) {
        loop {
            self.look();
            match self.returned.recv_timeout(LOOK) {
                Ok(device) => self.close(device),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look(&mut self) {
        match &self.open {
            None => self.try_to_open(),
            Some(watch) => {
                if let Some(why) = watch.stale() {
                    // It comes back, and is closed then.
                    self.commands.device(self.path, Err(why));
                }
            }
        }
    }

    fn try_to_open(&mut self) {
        match open(&self.way) {
            Ok((device, watch)) => {
                self.refusal.clear();
                if self.commands.device(self.path, Ok(device)) {
                    self.open = Some(watch);
                }
            }
            Err(why) if why != self.refusal => {
                if self.commands.device(self.path, Err(why.clone())) {
                    self.refusal = why;
                }
            }
            Err(_) => {}
        }
    }

    /// Closes a device: its kernel may take its time for that, too.
    fn close(&mut self, device: Box<dyn Device>) {
        drop(device);
        self.open = None;
        // A device that is of no use as soon as it is open must not keep the thread busy.
        thread::sleep(LOOK);
    }
}

/// A device, and who looks after it.
type Opened = (Box<dyn Device>, Box<dyn Watch>);

fn open(way: &Way) -> Result<Opened, String> {
    match way {
        Way::Udp(way) => udp::open(way).map(|(device, watch)| (Box::new(device) as _, Box::new(watch) as _)),
        Way::Serial(way) => serial::open(way).map(|(device, watch)| (Box::new(device) as _, Box::new(watch) as _)),
    }
}
