//! Reports on their way from the thread that receives them to whoever uses them: the newest of each real.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Mutex, PoisonError};

use lb_core::report::Report;
use tokio::sync::Notify;

/// At most one report of each real that may report.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    newest: Mutex<BTreeMap<String, Report>>,
    filled: Notify,
}

impl Mailbox {
    /// Puts a report in, in place of an older one of its real. Never waits.
    pub(super) fn put(&self, report: Report) {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).insert(report.real.clone(), report);
        self.filled.notify_one();
    }

    /// Waits until there are reports, and takes them out. Meant for one reader; may be given up at any time.
    pub(super) async fn take(&self) -> BTreeMap<String, Report> {
        loop {
            let newest = mem::take(&mut *self.newest.lock().unwrap_or_else(PoisonError::into_inner));
            if !newest.is_empty() {
                return newest;
            }
            self.filled.notified().await;
        }
    }
}
