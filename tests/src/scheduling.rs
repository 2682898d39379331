//! The scheduling table and the reports of a running `lbd`, as the tests in network namespaces look at them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use lb_core::api::{Reports, TableReal, TableReport};
use lb_lab::{Run, wait_for};

use crate::stage::{LIMIT, Stage};

/// A key file with one key for all reals.
pub const KEYS: &str = "1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
/// The port that reports are taken on.
pub const REPORTS: u16 = 6720;

/// The key file of a run.
pub fn key_file(run: &Run) -> PathBuf {
    run.dir().join("keys")
}

/// Writes the key file of a run, for its owner alone.
pub fn write_keys(run: &Run, text: &str) -> Result<()> {
    let path = key_file(run);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
        .with_context(|| format!("cannot close {} to others", path.display()))
}

/// The lines of `lbd`'s configuration that have it take reports.
pub fn takes_reports(run: &Run) -> String {
    format!("[reports]\nlisten = [\"0.0.0.0:{REPORTS}\"]\nkey_file = {:?}", key_file(run))
}

impl Stage {
    /// Where the daemon takes reports.
    pub fn report_address(&self) -> SocketAddr {
        SocketAddr::new(self.network.plan.lb_addresses()[0], REPORTS)
    }

    /// What `lbctl table` says.
    pub fn table(&self) -> Result<TableReport> {
        Ok(serde_json::from_value(self.lbd.lbctl_json(&["table"])?)?)
    }

    /// What `lbctl table` says of one real.
    pub fn table_real(&self, name: &str) -> Result<TableReal> {
        let found = self.table()?.reals.into_iter().find(|real| real.name == name);
        found.with_context(|| format!("no real {name} in the table"))
    }

    /// Waits until the table says this of a real, and returns what it says.
    pub fn wait_for_real(&self, name: &str, what: &str, is_so: impl Fn(&TableReal) -> bool) -> Result<TableReal> {
        let outcome = wait_for(&format!("{name}: {what}"), LIMIT, || {
            let real = self.table_real(name)?;
            Ok(is_so(&real).then_some(real))
        });
        outcome.with_context(|| format!("the table: {:#?}; the log of lbd: {}", self.table(), self.lbd.log().trim()))
    }

    /// What `lbctl reports` says.
    pub fn reports(&self) -> Result<Reports> {
        Ok(serde_json::from_value(self.lbd.lbctl_json(&["reports"])?)?)
    }

    /// How many datagrams were refused, by reason: those with a count of 0 are left out.
    pub fn refused(&self) -> Result<BTreeMap<String, u64>> {
        let refused = self.reports()?.refused.into_iter().filter(|count| count.count > 0);
        Ok(refused.map(|count| (count.name, count.count)).collect())
    }
}
