//! What others say to the heartbeat thread. They never wait for it, nor it for them.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};

use lb_core::auth::Keys;
use lb_core::pair::{Answer, Input, Lease, Micros, Options, PathId, Service, State};
use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::oneshot;

use super::device::Device;

/// Commands that wait for the thread; further ones are refused.
const QUEUE: usize = 64;

/// One command.
pub(super) enum Command {
    /// Something for the node; what comes of it is told where an answer is wanted.
    Input(Input, Option<oneshot::Sender<Outcome>>),
    /// The device of a path is open, or is not and why.
    Device(PathId, Result<Box<dyn Device>, String>),
    /// Other keys.
    Keys(Keys),
    /// Other options, as far as they may change.
    Options(Options),
    /// The thread shall end.
    End,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The node's answer.
    pub answer: Answer,
    /// What the node is by then.
    pub state: State,
    /// What the data plane is told by then.
    pub lease: Lease,
}

impl Outcome {
    /// Until when a successor of this daemon may go on: it is left the whole of the VIPs, or nothing.
    #[must_use]
    pub fn resume_until(&self) -> Option<Micros> {
        let may_go_on = self.state == State::Active && self.lease.service == Service::Serving;
        (self.answer == Answer::Done && may_go_on).then_some(self.lease.until)
    }
}

/// The way to the thread.
#[derive(Clone)]
pub(super) struct Commands {
    queue: SyncSender<Command>,
    bell: Arc<EventFd>,
}

/// The thread's end of it.
pub(super) struct Inbox {
    queue: Receiver<Command>,
    bell: Arc<EventFd>,
}

/// The command was not taken: the thread has ended, or has more to do than it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the heartbeat thread takes no commands now")]
pub struct NotTaken;

/// Both ends of a new way.
pub(super) fn channel() -> io::Result<(Commands, Inbox)> {
    let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
    let (sender, receiver) = mpsc::sync_channel(QUEUE);
    Ok((Commands { queue: sender, bell: bell.clone() }, Inbox { queue: receiver, bell }))
}

impl Commands {
    pub(super) fn send(&self, command: Command) -> Result<(), NotTaken> {
        self.queue.try_send(command).map_err(|_| NotTaken)?;
        self.ring();
        Ok(())
    }

    /// Has the thread come round.
    pub(super) fn ring(&self) {
        // A bell that rings already does it, too.
        let _ = self.bell.write(1);
    }

    /// Says how the device of a path is, and whether that was taken.
    pub(super) fn device(&self, path: PathId, device: Result<Box<dyn Device>, String>) -> bool {
        self.send(Command::Device(path, device)).is_ok()
    }
}

impl Inbox {
    /// What to poll.
    pub(super) fn bell(&self) -> &EventFd {
        &self.bell
    }

    /// The next command.
    pub(super) fn next(&self) -> Option<Command> {
        self.queue.try_recv().ok()
    }

    /// Stops the bell. To be done before the commands are taken: one that comes in between rings again.
    pub(super) fn quiet(&self) {
        let _ = self.bell.read();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_node_that_is_active_and_serves_leaves_anything_to_its_successor() {
        let outcome = |answer, state, service| Outcome { answer, state, lease: Lease { service, until: 7 } };
        let done = |state, service| outcome(Answer::Done, state, service).resume_until();
        assert_eq!(done(State::Active, Service::Serving), Some(7));
        assert_eq!(done(State::TakingOver, Service::Serving), None, "its addresses may be missing");
        assert_eq!(done(State::Yielding, Service::Draining), None);
        assert_eq!(done(State::Standby, Service::Silent), None);
        let refused = Answer::Refused("the peer has not confirmed the restart in time".to_owned());
        assert_eq!(outcome(refused, State::Active, Service::Serving).resume_until(), None);
    }
}
