//! What the reals say of themselves: reports that come in over UDP, and agents that are asked by HAProxy's agent-check.
//!
//! [`Reports::start`] binds the sockets and gives them a thread of their own, which does nothing but read, authenticate
//! and count ([`lb_core::report::Inbox`]), so that a flood of forged datagrams holds up nobody else and delays genuine ones
//! by no more than it takes to refuse those before them. Agents are asked by a tokio task each.
//!
//! What is taken is had from [`Updates::next`]. Reports wait there by real, the newest only: a reader that is slow finds
//! the newest report of each real and no queue. Answers of agents are changes, so none is left out: an agent is not asked
//! again before its last answer was read.
//!
//! How the daemon uses it:
//!
//! - At the start: [`Reports::start`] with the keys of `key_file`; without `[reports]` in the configuration, with `None`.
//! - Once the configuration is in use: [`Reports::set_reals`] with the [`Mark`]s of the state file, so that reports of before
//!   the restart are not taken again. What comes before that waits in the kernel.
//! - At a reload: [`Reports::set_reals`], [`Reports::set_agents`], and [`Reports::set_keys`] and
//!   [`Reports::set_rate_limit`], which do nothing where no reports are taken. Addresses change by a restart only.
//! - A real that was removed may still be in an update that was on its way: its name leads nowhere then.
//! - Each report that is taken is noted in a file of its own (`journal`) first: the state file is written only now and then.
//! - [`Reports::marks`] goes to the state file; [`Reports::counters`] and [`Reports::addresses`] to the API.
//!
//! All of these take a moment and may be called from any thread.

mod agents;
mod journal;
mod mailbox;
mod receiver;
mod socket;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use lb_core::agent_check::Answer;
use lb_core::auth::Keys;
use lb_core::monitoring::AgentCheck;
use lb_core::report::{Inbox, Mark, Refusal, Report};
use tokio::sync::mpsc;

use agents::Agents;
pub use journal::JOURNAL_FILE;
use journal::Journal;
use mailbox::Mailbox;
use receiver::{Ledger, Receiver};

/// Answers of agents that wait for their reader; further agents wait with theirs.
const ANSWER_QUEUE: usize = 64;

/// What reports are taken with.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Where they are waited for.
    pub addresses: Vec<SocketAddr>,
    /// What authenticates them.
    pub keys: Keys,
    /// Most reports that are taken from one real in a second.
    pub rate_limit: u32,
    /// The file that the newest reports are noted in ([`JOURNAL_FILE`]), so that none is taken again after a daemon was killed;
    /// `None`: nowhere.
    pub journal: Option<PathBuf>,
}

/// News of one real.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportUpdate {
    /// It has reported.
    Report(Report),
    /// Its agent was asked.
    AgentCheck {
        /// The real's name.
        real: String,
        /// What the agent said, or in one line why it said nothing.
        result: Result<Answer, String>,
    },
}

/// What came in since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Reports that were taken.
    pub accepted: u64,
    refused: [u64; Refusal::ALL.len()],
    /// Agents that were asked and have answered.
    pub agent_answers: u64,
    /// Agents that were asked in vain.
    pub agent_failures: u64,
}

impl Counters {
    /// Datagrams that were refused for this reason.
    #[must_use]
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refused[refusal.index()]
    }

    /// Datagrams that came in, taken or refused.
    #[must_use]
    pub fn datagrams(&self) -> u64 {
        self.accepted + self.refused.iter().sum::<u64>()
    }
}

/// An address cannot be listened to.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The socket cannot be had.
    #[error("cannot wait for reports on {address}: {error}{}", hint(.error))]
    Socket {
        /// The address.
        address: SocketAddr,
        /// What the kernel says.
        error: io::Error,
    },
    /// The host has no thread to give.
    #[error("cannot start the thread that receives reports: {0}")]
    Thread(io::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; `ss -lunp` shows who has the port: stop it, or change `reports.listen`",
        io::ErrorKind::AddrNotAvailable => "; the host has no such address: add it, or change `reports.listen`",
        _ => "",
    }
}

/// The receiver of reports and those who ask agents. All end when this is dropped.
pub struct Reports {
    receiver: Option<Receiver>,
    agents: Agents,
}

/// Where news of the reals is had from.
pub struct Updates {
    reports: Arc<Mailbox>,
    answers: mpsc::Receiver<ReportUpdate>,
}

impl Reports {
    /// Binds the sockets, in the network namespace of the calling thread. Reports are received once it is known whose
    /// ([`Self::set_reals`]), agents asked once they are known ([`Self::set_agents`]). Must be called inside a tokio runtime with I/O and time.
    ///
    /// # Errors
    ///
    /// An address cannot be listened to, or there is no thread to be had.
    pub fn start(listening: Option<Listening>) -> Result<(Self, Updates), ListenError> {
        let reports = Arc::new(Mailbox::default());
        let (sender, answers) = mpsc::channel(ANSWER_QUEUE);
        let receiver = listening.map(|listening| receive(listening, reports.clone())).transpose()?;
        Ok((Self { receiver, agents: Agents::new(sender) }, Updates { reports, answers }))
    }

    /// Replaces the reals that may report, and begins to receive. What is known of reals that stay is kept; `marks` are the
    /// newest reports that earlier daemons have taken, and none up to them is taken again.
    pub fn set_reals(&self, reals: impl IntoIterator<Item = String>, marks: &BTreeMap<String, Mark>) {
        let reals: Vec<String> = reals.into_iter().collect();
        self.change_ledger(|ledger| ledger.set_reals(&reals, marks));
        if let Some(receiver) = &self.receiver {
            receiver.begin();
        }
    }

    /// Replaces the keys.
    pub fn set_keys(&self, keys: Keys) {
        self.change_ledger(|ledger| ledger.inbox.set_keys(keys));
    }

    /// Replaces the limit of reports per real and second.
    pub fn set_rate_limit(&self, rate_limit: u32) {
        self.change_ledger(|ledger| ledger.inbox.set_rate_limit(rate_limit));
    }

    /// Replaces the set of agents that are asked, by the reals' names. An agent that stays keeps its rhythm.
    pub fn set_agents(&self, agents: BTreeMap<String, AgentCheck>) {
        self.agents.set(agents);
    }

    /// What came in since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.receiver.as_ref().map(Receiver::counters).unwrap_or_default();
        (counters.agent_answers, counters.agent_failures) = self.agents.counters();
        counters
    }

    /// The newest report of each real that has reported.
    #[must_use]
    pub fn marks(&self) -> BTreeMap<String, Mark> {
        self.receiver.as_ref().map(Receiver::marks).unwrap_or_default()
    }

    /// Where reports are waited for, with the ports that the kernel has chosen for port 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.receiver.as_ref().map_or(&[], Receiver::addresses)
    }

    fn change_ledger(&self, change: impl FnOnce(&mut Ledger)) {
        if let Some(receiver) = &self.receiver {
            receiver.change_ledger(change);
        }
    }
}

fn receive(listening: Listening, reports: Arc<Mailbox>) -> Result<Receiver, ListenError> {
    let inbox = Inbox::new(listening.keys, listening.rate_limit);
    let ledger = Ledger { inbox, journal: listening.journal.map(Journal::new) };
    let open = |&address| socket::open(address).map_err(|error| ListenError::Socket { address, error });
    let sockets = listening.addresses.iter().map(open).collect::<Result<_, _>>()?;
    Receiver::start(sockets, ledger, reports).map_err(ListenError::Thread)
}

impl Updates {
    /// Waits for news; `None` when [`Reports`] is gone. May be given up at any time: nothing is lost.
    pub async fn next(&mut self) -> Option<Vec<ReportUpdate>> {
        let mut answers = Vec::new();
        tokio::select! {
            reports = self.reports.take() => Some(reports.into_values().map(ReportUpdate::Report).collect()),
            count = self.answers.recv_many(&mut answers, ANSWER_QUEUE) => (count > 0).then_some(answers),
        }
    }
}
