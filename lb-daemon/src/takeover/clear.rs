//! Takes off what a daemon that runs no more has left on the interfaces of this host.

use std::net::IpAddr;

use anyhow::{Context as _, bail};

use super::addresses;

/// Removes each VIP that `lbd` has put on an interface, and returns them. Those that an operator put there stay.
///
/// # Errors
/// The kernel does not list its addresses, or does not let one go.
pub fn take_off_all() -> anyhow::Result<Vec<IpAddr>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the event loop")?.block_on(async {
        let (connection, netlink, _unsolicited) = rtnetlink::new_connection().context("cannot ask the kernel")?;
        tokio::spawn(connection);
        let ours = addresses::ours(&netlink).await?;
        let vips = ours.iter().map(|present| present.place.vip).collect();
        let failed = addresses::remove(&netlink, ours).await;
        if let Some((place, error)) = failed.first() {
            bail!("cannot take {} off its interface: {error}; `ip address del {} dev ..` does", place.vip, place.vip);
        }
        Ok(vips)
    })
}
