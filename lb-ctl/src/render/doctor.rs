//! `lbctl doctor`.

use lb_core::api::{Diagnosis, Severity};

use super::Style;

/// The findings, the worst first.
pub fn diagnosis(diagnosis: &Diagnosis, style: Style) -> String {
    diagnosis.text(|severity, word| match severity {
        Severity::Ok => style.good(word),
        Severity::Notice => style.bold(word),
        Severity::Warning => style.notable(word),
        Severity::Error => style.bad(word),
    })
}
