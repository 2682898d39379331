//! Frames of the scheduling table on a serial line, behind the heartbeats: what the heartbeat thread has of them, and the other end.
//!
//! The heartbeat thread sends one when its [`Pace`] has a gap for it. So nothing is ahead of a heartbeat that is due.

use std::sync::{Arc, Mutex, PoisonError};

use lb_core::checkpoint::line::{Pace, Timing};
use lb_core::pair::wire::table::TableFrame;
use lb_core::pair::{Micros, PathId, PathOptions};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tracing::info;

use crate::config::Way;
use crate::peer::commands::Commands;

/// Frames that wait for a gap: few, so that what goes out is not old.
const WAITING_OUT: usize = 2;
/// Frames that wait to be looked at. Further ones are lost, as on the line.
const WAITING_IN: usize = 64;

/// The heartbeat thread's end.
pub(in crate::peer) struct Behind {
    path: PathId,
    pace: Pace,
    out: Receiver<TableFrame>,
    next: Option<TableFrame>,
    heard: Sender<TableFrame>,
}

/// The end of who has something to send, and hears.
pub struct Line {
    timing: Timing,
    out: Sender<TableFrame>,
    heard: Receiver<TableFrame>,
    commands: Commands,
}

/// A line that somebody will take.
pub(in crate::peer) type Untaken = Arc<Mutex<Option<Line>>>;

/// Both ends, on the first serial line that has room beside its heartbeats; nothing where none has.
pub(in crate::peer) fn pair(paths: &[PathOptions], ways: &[Way], commands: &Commands) -> (Option<Behind>, Untaken) {
    let mut lines = (0..).zip(ways.iter().zip(paths)).filter_map(|(path, (way, options))| {
        let Way::Serial(serial) = way else { return None };
        let pace = Pace::new(options.interval_us, serial.baud);
        let timing = pace.timing();
        if timing.is_none() {
            info!("path {way}: its heartbeats leave no room for the scheduling table");
        }
        Some((path, timing?, pace))
    });
    let Some((path, timing, pace)) = lines.next() else { return (None, Arc::default()) };
    let (out, taken) = mpsc::channel(WAITING_OUT);
    let (given, heard) = mpsc::channel(WAITING_IN);
    let line = Line { timing, out, heard, commands: commands.clone() };
    (Some(Behind { path, pace, out: taken, next: None, heard: given }), Arc::new(Mutex::new(Some(line))))
}

/// Takes the line, once.
pub(in crate::peer) fn take(untaken: &Untaken) -> Option<Line> {
    untaken.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Behind {
    /// By which path the line goes.
    pub(in crate::peer) fn path(&self) -> PathId {
        self.path
    }

    /// A frame has come in. It is lost where nobody takes any.
    pub(in crate::peer) fn give(&self, frame: TableFrame) {
        let _ = self.heard.try_send(frame);
    }

    /// A heartbeat of so many bytes has gone out by this path.
    pub(in crate::peer) fn heartbeat(&mut self, path: PathId, bytes: usize, now: Micros) {
        if path == self.path {
            self.pace.heartbeat(bytes, now);
        }
    }

    /// The next frame, where there is one and it may go now.
    pub(in crate::peer) fn due(&mut self, now: Micros) -> Option<TableFrame> {
        if self.next.is_none() {
            self.next = self.out.try_recv().ok();
        }
        let size = self.next.as_ref()?.size();
        if self.pace.start(size, now)? > now {
            return None;
        }
        self.pace.sent(size, now);
        self.next.take()
    }

    /// When the next frame may go; nothing where there is none, or a heartbeat has to go first.
    pub(in crate::peer) fn next_wake(&self, now: Micros) -> Option<Micros> {
        self.pace.start(self.next.as_ref()?.size(), now)
    }
}

impl Line {
    /// What the line leaves beside its heartbeats.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Whether another frame is taken.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.out.capacity() > 0
    }

    /// Whether nothing waits to be sent, but for one frame that is the next.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.out.capacity() == self.out.max_capacity()
    }

    /// Sends a frame when there is a gap for it, or loses it where there is no room.
    pub fn send(&self, frame: TableFrame) {
        if self.out.try_send(frame).is_ok() {
            self.commands.ring();
        }
    }

    /// Waits for a frame, or for room to send one where `wants_room`: nothing then. For ever, when the heartbeats have ended.
    pub async fn turn(&mut self, wants_room: bool) -> Option<TableFrame> {
        tokio::select! {
            Some(heard) = self.heard.recv() => Some(heard),
            Ok(_) = self.out.reserve(), if wants_room => None,
            else => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use lb_core::pair::PathKind;
    use lb_core::pair::wire::FRAME_SIZE;
    use lb_core::pair::wire::table::{Lane, Want};

    use super::*;
    use crate::config::SerialWay;
    use crate::peer::commands;

    fn options(kind: PathKind, interval_us: Micros) -> PathOptions {
        PathOptions { kind, interval_us, ack_timeout_us: interval_us / 2, missed_limit: 3, rise: 3, fall: 9 }
    }

    fn serial(baud: u32) -> Way {
        Way::Serial(SerialWay { device: "/dev/ttyS0".into(), baud })
    }

    fn want() -> TableFrame {
        TableFrame::Want(Want { boot: 1, session: 1, lane: Lane::Names, message: 1, offset: 0, version: 2, has: None })
    }

    #[test]
    fn frames_go_behind_the_heartbeats_of_their_line_alone() {
        let (commands, _inbox) = commands::channel().unwrap();
        let paths = [options(PathKind::Serial, 9_500), options(PathKind::Serial, 100_000)];
        let (behind, untaken) = pair(&paths, &[serial(115_200), serial(115_200)], &commands);
        let (mut behind, line) = (behind.unwrap(), take(&untaken).unwrap());
        assert!(take(&untaken).is_none(), "taken twice");
        assert_eq!(behind.path(), 1, "the first one has no room");
        line.send(want());
        assert!(behind.due(0).is_none() && behind.next_wake(0).is_none(), "no heartbeat has gone");
        behind.heartbeat(0, FRAME_SIZE, 0);
        assert!(behind.due(0).is_none(), "that was another path");
        behind.heartbeat(1, FRAME_SIZE, 0);
        line.send(want());
        assert_eq!(behind.due(0), Some(want()));
        assert!(behind.due(0).is_none(), "two frames are ahead of it");
        let at = behind.next_wake(0).unwrap();
        assert_eq!(behind.due(at), Some(want()));
        assert!(at > 0 && behind.next_wake(at).is_none());
    }

    #[test]
    fn what_waits_is_bounded_and_nobody_waits_for_it() {
        let (commands, _inbox) = commands::channel().unwrap();
        let (behind, untaken) = pair(&[options(PathKind::Serial, 100_000)], &[serial(115_200)], &commands);
        let (behind, line) = (behind.unwrap(), take(&untaken).unwrap());
        (0..100).for_each(|_| line.send(want()));
        assert!(!line.has_room() && !line.is_quiet());
        (0..1_000).for_each(|_| behind.give(want()));
        drop(line);
        behind.give(want());
    }

    #[test]
    fn without_a_line_that_has_room_there_is_none() {
        let (commands, _inbox) = commands::channel().unwrap();
        let (behind, untaken) = pair(&[options(PathKind::Serial, 9_500)], &[serial(115_200)], &commands);
        assert!(behind.is_none() && take(&untaken).is_none());
    }
}
