//! The scheduling table and the reports of a running `lbd`, as the tests in network namespaces look at them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use lb_core::api::{Reports, TableReal, TableReport};
use lb_lab::wait_for;

use crate::stage::{LIMIT, Stage};

impl Stage {
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
