//! Sees to it that the XDP program is attached where the VIPs are about to be: without it the kernel would answer for them
//! and forward nothing.

use std::time::Duration;

use tokio::time::timeout;

use super::Surroundings;
use super::links::Link;

/// How long a takeover waits for an attachment. It goes on without: another interface may do.
const ATTACH_LIMIT: Duration = Duration::from_millis(500);

/// Has the program attached where it is missing. Returns what is wrong then; none when it is attached everywhere.
pub(super) async fn verify<'a>(
    links: impl Iterator<Item = &'a Link>,
    program: Option<u32>,
    surroundings: &dyn Surroundings,
) -> Option<String> {
    let missing = links.filter(|link| !link.has_program(program));
    let missing: Vec<String> = missing.map(|link| link.name.clone()).collect();
    if missing.is_empty() {
        return None;
    }
    let names = missing.join(", ");
    match timeout(ATTACH_LIMIT, surroundings.attach(missing)).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("the XDP program is not attached to {names}: {error}")),
        Err(_) => Some(format!("the XDP program is not attached to {names}, and could not be within {ATTACH_LIMIT:?}")),
    }
}
