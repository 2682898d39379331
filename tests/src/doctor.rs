//! What `lbctl doctor` says of a load balancer that something is wrong with.

use anyhow::{Context, Result};
use lb_lab::{Lbd, wait_for};
use serde_json::Value;

use crate::stage::LIMIT;

/// The errors and warnings, as `severity check subject: finding`.
pub fn complaints(diagnosis: &Value) -> Vec<String> {
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_string();
    let findings = diagnosis["findings"].as_array().into_iter().flatten();
    let bad = findings.filter(|finding| finding["severity"] == "error" || finding["severity"] == "warning");
    bad.map(|finding| {
        let [severity, check, subject, finding] =
            ["severity", "check", "subject", "finding"].map(|field| text(finding, field));
        format!("{severity} {check} {subject}: {finding}")
    })
    .collect()
}

/// Waits until the doctor names a fault: an error or a warning of this check, about a subject that begins so, with these words, and
/// a fix that contains those; and until it gives a reason, too.
pub fn named(lbd: &Lbd, check: &str, subject: &str, words: &str, fix: &str) -> Result<()> {
    let is_it = |finding: &Value| {
        let has = |field: &str, words: &str| finding[field].as_str().is_some_and(|text| text.contains(words));
        let fixes = finding["fix"].as_array().into_iter().flatten();
        let mended = fixes.filter_map(Value::as_str).any(|step| step.contains(fix));
        let bad = finding["severity"] == "error" || finding["severity"] == "warning";
        let about = finding["subject"].as_str().is_some_and(|text| text.starts_with(subject));
        bad && about && finding["check"] == check && has("finding", words) && mended && has("reason", " ")
    };
    let mut last = Value::Null;
    let outcome = wait_for(&format!("the doctor to name {check} of {subject}: {words}"), LIMIT, || {
        // The daemon may be about to start.
        let Ok(diagnosis) = lbd.lbctl_json(&["doctor"]) else { return Ok(None) };
        let found = diagnosis["findings"].as_array().into_iter().flatten().any(is_it);
        last = diagnosis;
        Ok(found.then_some(()))
    });
    outcome.with_context(|| format!("it says {:?}; the log of lbd: {}", complaints(&last), lbd.log().trim()))
}
