//! Does the jobs, one after the other, and in between what time and the link ask for. An acquisition may have to wait, for the
//! first look whether another host has a VIP and for the fence; a release cuts it short.

use std::future::{Future, pending};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use lb_core::pair::{Epoch, Event, Happening, Input, State};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tracing::info;

use super::duplicate::{Detection, Step};
use super::frames::Claim;
use super::hooks::{Hooks, Occasion};
use super::links::{Change, Changes};
use super::owner::Owner;
use super::packets::{Heard, Listener};
use super::{Epochs, Job, JobQueue, Settings, Surroundings, Trouble};

/// How long after a fence has failed that was required this node may try to take over again.
const FENCE_AGAIN: Duration = Duration::from_secs(30);
/// How often it is looked whether the peer has the VIPs now, or not.
const PEER_LOOK: Duration = Duration::from_millis(250);
/// How long after a socket has failed another one is opened.
const REOPEN: Duration = Duration::from_secs(1);
/// What troubles of the sockets are filed under.
const LISTENING: &str = "takeover sockets";

/// The takeover at work.
pub(super) struct Worker {
    owner: Owner,
    hooks: Hooks,
    epochs: Epochs,
    queue: JobQueue,
    surroundings: Arc<dyn Surroundings>,
    listener: Option<Listener>,
    changes: Option<Changes>,
    reopen: Option<Instant>,
    detection: Option<Detection>,
    acquisition: Option<Acquisition>,
    forbidden: Forbidden,
}

/// A takeover that has been asked for and is not done.
struct Acquisition {
    epoch: Epoch,
    /// The peer has to be fenced first.
    fence: bool,
    fence_end: Option<oneshot::Receiver<Result<(), String>>>,
}

/// Why this node may not own the VIPs.
#[derive(Default)]
struct Forbidden {
    /// Another host has one.
    duplicate: Option<String>,
    /// The fence has failed, and until when that counts.
    fence: Option<(String, Instant)>,
    told: Option<String>,
}

/// What has happened.
enum Happened {
    Job(Option<Job>),
    Due,
    Heard(io::Result<Heard>),
    Changed(io::Result<Vec<Change>>),
    Fenced(Result<(), String>),
}

impl Worker {
    /// Opens everything. Must be called inside the runtime.
    ///
    /// # Errors
    /// A socket or a thread cannot be had.
    pub(super) fn open(
        settings: Settings,
        epochs: Epochs,
        queue: JobQueue,
        surroundings: Arc<dyn Surroundings>,
    ) -> io::Result<Self> {
        let owner = Owner::open(settings, surroundings.clone())?;
        let listener = Some(Listener::open(&owner.vips())?);
        let changes = Some(Changes::open()?);
        let hooks = Hooks::start()?;
        Ok(Self {
            owner,
            hooks,
            epochs,
            queue,
            surroundings,
            listener,
            changes,
            reopen: None,
            detection: None,
            acquisition: None,
            forbidden: Forbidden::default(),
        })
    }

    /// Clears up after an earlier daemon, and begins to look for other hosts with a VIP; unless it goes on in that daemon's place.
    pub(super) async fn begin(&mut self, resumes: bool) {
        self.owner.look().await;
        if resumes {
            return;
        }
        self.owner.release().await;
        if self.owner.settings().duplicate_detection {
            self.detection = Some(Detection::begin(Instant::now()));
        }
    }

    /// Works until nobody can ask for anything any more.
    pub(super) async fn work(mut self) {
        loop {
            match self.next().await {
                Happened::Job(Some(job)) => self.perform(job).await,
                Happened::Job(None) => return,
                Happened::Due => self.do_what_is_due(Instant::now()).await,
                Happened::Heard(Ok(heard)) => self.hear(heard.claim),
                Happened::Changed(Ok(changes)) => self.owner.take_changes(changes).await,
                Happened::Heard(Err(error)) => {
                    self.listener = None;
                    self.lose_socket(&error);
                }
                Happened::Changed(Err(error)) => {
                    self.changes = None;
                    self.lose_socket(&error);
                }
                Happened::Fenced(outcome) => self.fenced(outcome).await,
            }
        }
    }

    async fn next(&mut self) -> Happened {
        let due = self.due();
        tokio::select! {
            biased;
            job = self.queue.next() => Happened::Job(job),
            outcome = fence_end(&mut self.acquisition) => Happened::Fenced(outcome),
            () = at(due) => Happened::Due,
            changes = or_never(self.changes.as_mut().map(Changes::next)) => Happened::Changed(changes),
            heard = or_never(self.listener.as_ref().map(Listener::next)) => Happened::Heard(heard),
        }
    }

    fn due(&self) -> Option<Instant> {
        let detection = self.detection.as_ref().map(Detection::due);
        let fence = self.forbidden.fence.as_ref().map(|(_, until)| *until);
        [self.owner.due(), detection, fence, self.reopen].into_iter().flatten().min()
    }

    async fn perform(&mut self, job: Job) {
        match job {
            Job::Acquire { epoch, fence } => {
                self.acquisition = Some(Acquisition { epoch, fence, fence_end: None });
                self.acquire().await;
                self.epochs.know(epoch);
            }
            Job::Release => {
                // With it goes a fence that still runs.
                self.acquisition = None;
                self.owner.release().await;
            }
            Job::Reserve(epoch) => self.epochs.reserve(epoch),
            Job::Announce => self.owner.announce(),
            Job::Tell(event) => self.tell(event),
            Job::Hold(held) => self.epochs.hold(held),
            Job::Resume(until) => self.epochs.resume(until),
            Job::Settings(settings) => self.set(*settings).await,
        }
    }

    /// Goes on with an acquisition, as far as it can go now.
    async fn acquire(&mut self) {
        if self.acquisition.is_some() {
            self.look_before();
        }
        let Some(acquisition) = &mut self.acquisition else { return };
        if self.detection.as_ref().is_some_and(Detection::is_open) {
            return;
        }
        if let Some(reason) = self.forbidden.reason() {
            self.acquisition = None;
            self.surroundings.reply(Input::Acquired(Err(reason)));
            return;
        }
        if acquisition.fence {
            acquisition.fence = false;
            let occasion = Occasion::fence(acquisition.epoch);
            acquisition.fence_end = self.hooks.fence(self.owner.settings(), &occasion);
        }
        if acquisition.fence_end.is_none() {
            self.acquisition = None;
            self.owner.acquire().await;
        }
    }

    /// The fence has come to its end.
    async fn fenced(&mut self, outcome: Result<(), String>) {
        if let Some(acquisition) = &mut self.acquisition {
            acquisition.fence_end = None;
        }
        match outcome {
            Err(error) if self.owner.settings().hooks.fence_required => {
                let reason = format!("the fence has failed, and is required: {error}; tried again in {FENCE_AGAIN:?}");
                self.forbidden.fence = Some((reason, Instant::now() + FENCE_AGAIN));
                self.tell_forbidden();
            }
            // The log has it.
            Ok(()) | Err(_) => {}
        }
        self.acquire().await;
    }

    async fn do_what_is_due(&mut self, now: Instant) {
        if self.owner.due().is_some_and(|due| due <= now) {
            self.owner.announce_again().await;
        }
        if self.detection.as_ref().is_some_and(|detection| detection.due() <= now) {
            self.look_for_duplicates(now).await;
        }
        if self.forbidden.fence.as_ref().is_some_and(|(_, until)| *until <= now) {
            self.forbidden.fence = None;
            self.tell_forbidden();
        }
        if self.reopen.is_some_and(|due| due <= now) {
            self.open_again();
        }
    }

    async fn look_for_duplicates(&mut self, now: Instant) {
        let Some(detection) = &mut self.detection else { return };
        if self.surroundings.peer_has_served() {
            // What it had is the pair's own, also when it has died since.
            self.looked(None);
            return self.acquire().await;
        }
        if self.surroundings.peer_is_undecided() {
            // Whether it has the VIPs, and rightly, is not to be known: its own look may still be under way.
            *detection = Detection::begin(now + PEER_LOOK);
            return;
        }
        match detection.step(now) {
            Step::Probe => self.owner.probe(),
            Step::Found(None) if self.acquisition.is_none() && !self.surroundings.peer_is_heard() => {
                detection.rest();
                self.forbidden.duplicate = None;
                self.tell_forbidden();
            }
            Step::Found(found) => {
                self.looked(found);
                self.acquire().await;
            }
        }
    }

    /// The VIPs are asked for. What the peer has had needs no look, be one under way or not. A node that has not heard of its peer looks once
    /// more: the peer may have taken them meanwhile, and be heard by nobody.
    fn look_before(&mut self) {
        if self.detection.is_some() && self.surroundings.peer_has_served() {
            return self.looked(None);
        }
        if !self.detection.as_ref().is_some_and(Detection::rests) {
            return;
        }
        if self.surroundings.peer_is_heard() {
            self.looked(None);
        } else {
            self.detection = Some(Detection::begin(Instant::now()));
        }
    }

    /// A look has ended. While it finds somebody there is another one.
    fn looked(&mut self, found: Option<String>) {
        if found.is_none() {
            self.detection = None;
            self.surroundings.found_nobody();
        }
        self.forbidden.duplicate = found;
        self.tell_forbidden();
    }

    fn hear(&mut self, claim: Claim) {
        if self.owner.hear(claim)
            && let Some(detection) = &mut self.detection
        {
            detection.hear(claim);
        }
    }

    fn tell(&mut self, event: Event) {
        if let Happening::State { from, to, epoch } = event.what {
            self.epochs.know(epoch);
            let occasion = Occasion { state: to, from, epoch, reason: event.reason };
            self.hooks.notify(self.owner.settings(), &occasion);
        }
    }

    fn tell_forbidden(&mut self) {
        let reason = self.forbidden.reason();
        if reason != self.forbidden.told {
            self.forbidden.told.clone_from(&reason);
            self.surroundings.reply(Input::Forbid(reason));
        }
    }

    async fn set(&mut self, settings: Settings) {
        let has_more = self.owner.set(settings).await;
        match Listener::open(&self.owner.vips()) {
            Ok(listener) => self.listener = Some(listener),
            Err(error) => self.lose_socket(&error),
        }
        if !self.owner.settings().duplicate_detection {
            self.looked(None);
            self.acquire().await;
        } else if has_more {
            self.look_for_more();
        }
    }

    /// There are new VIPs. An owner asks for them once: it keeps what it has, and who answers is a rival.
    fn look_for_more(&mut self) {
        if self.owner.is_owner() {
            self.owner.probe();
        } else {
            self.detection = Some(Detection::begin(Instant::now()));
        }
    }

    fn lose_socket(&mut self, error: &io::Error) {
        let message =
            format!("claims of other hosts, or changes of interfaces, are not heard: {error}; tried again soon");
        self.surroundings.trouble(Trouble { subject: LISTENING.to_owned(), message: Some(message), degraded: false });
        self.reopen = Some(Instant::now() + REOPEN);
    }

    fn open_again(&mut self) {
        self.reopen = None;
        let opened = Listener::open(&self.owner.vips()).and_then(|listener| Ok((listener, Changes::open()?)));
        match opened {
            Ok((listener, changes)) => {
                (self.listener, self.changes) = (Some(listener), Some(changes));
                let trouble = Trouble { subject: LISTENING.to_owned(), message: None, degraded: false };
                self.surroundings.trouble(trouble);
                info!("takeover: its sockets are open again");
            }
            Err(error) => self.lose_socket(&error),
        }
    }
}

impl Forbidden {
    fn reason(&self) -> Option<String> {
        self.duplicate.clone().or_else(|| self.fence.as_ref().map(|(reason, _)| reason.clone()))
    }
}

impl Occasion {
    fn fence(epoch: Epoch) -> Self {
        let reason = "the peer is dead, and could not be asked".to_owned();
        Self { state: State::TakingOver, from: State::Standby, epoch, reason }
    }
}

/// The end of the fence that runs; never where none does.
async fn fence_end(acquisition: &mut Option<Acquisition>) -> Result<(), String> {
    match acquisition.as_mut().and_then(|acquisition| acquisition.fence_end.as_mut()) {
        Some(end) => end.await.unwrap_or_else(|_| Err("the thread that runs programs has ended".to_owned())),
        None => pending().await,
    }
}

async fn at(due: Option<Instant>) {
    or_never(due.map(sleep_until)).await;
}

async fn or_never<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}
