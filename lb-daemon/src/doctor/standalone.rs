//! `lbd doctor`: looks at a host on which no `lbd` runs, or beside one.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::Context as _;
use lb_core::api::Diagnosis;
use lb_core::service::Mode;
use nix::net::if_::if_indextoname;

use super::case::{Case, Way};
use super::facts::{Facts, StartClock};
use crate::config::Config;
use crate::next_hop::{NextHops, Timing, Update, Watch};

/// How long next hops are looked for. One that is there is found within milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// Looks at this host with the eyes of a configuration.
///
/// # Errors
/// The host has no event loop to give.
pub fn examine(config: Config) -> anyhow::Result<Diagnosis> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot begin to look")?;
    Ok(runtime.block_on(look(config)))
}

async fn look(config: Config) -> Diagnosis {
    let facts = Facts::gather(&config, StartClock::now(), true).await;
    let ways = ways(&config).await;
    let runs_elsewhere = UnixStream::connect(config.settings.socket()).is_ok();
    let unfit_files = super::unfit_files(&config).await;
    super::judge(&Case { config, unfit_files, facts, ways, running: None, deliveries: Vec::new(), runs_elsewhere })
}

/// The ways to all reals, as far as they are found in time.
async fn ways(config: &Config) -> BTreeMap<String, Way> {
    let watches = watches(config);
    let mut open: HashSet<String> = watches.iter().map(|watch| watch.real.clone()).collect();
    let mut ways = BTreeMap::new();
    // Without the kernel's answer there is nothing to say of them.
    let Ok((search, mut news)) = NextHops::start(watches, Timing::default()) else { return ways };
    let gather = async {
        while !open.is_empty() {
            let Some(Update { real, next_hop, note }) = news.recv().await else { return };
            if next_hop.is_some() {
                open.remove(&real);
            }
            let name = next_hop.and_then(|hop| if_indextoname(hop.ifindex).ok()?.into_string().ok());
            ways.insert(real, Way { next_hop, interface: name, note });
        }
    };
    // Those that were not found in time have said why.
    let _ = tokio::time::timeout(PATIENCE, gather).await;
    drop(search);
    ways
}

fn watches(config: &Config) -> Vec<Watch> {
    let used = |real: &str, is_so: fn(Mode) -> bool| {
        let mut services = config.cluster.services().iter().filter(|service| is_so(service.mode));
        services.any(|service| service.reals.iter().any(|member| member.real == real))
    };
    let watch = |real: &lb_core::service::Real| Watch {
        real: real.name.clone(),
        address: real.address,
        needs_tunnel: used(&real.name, Mode::is_tunnel) && config.cluster.tunnel().source_to(real.address).is_none(),
        needs_same_link: used(&real.name, |mode| mode == Mode::Dsr),
        known: None,
    };
    config.cluster.reals().iter().map(watch).collect()
}
