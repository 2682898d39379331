//! Reports and agents over sockets of this host's loopback.

mod agents;
mod receiver;

use std::time::Duration;

use super::{ReportUpdate, Updates};

/// Long enough for anything that is to happen; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The next news.
async fn next(updates: &mut Updates) -> Vec<ReportUpdate> {
    tokio::time::timeout(PATIENCE, updates.next()).await.expect("no news").expect("the end")
}
