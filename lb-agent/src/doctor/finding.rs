//! A finding, and how findings are shown.

use serde::Serialize;

use crate::setup::change::typed;
use crate::setup::plan::{State, Step};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Severity {
    /// As it shall be.
    Ok,
    /// The host can do without it, or it cannot be told.
    Warning,
    /// The host is no real server without it.
    Missing,
}

/// One thing that a real server needs, and whether it is so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// What shall be.
    pub(super) what: String,
    /// What is instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) now: Option<String>,
    /// What for.
    pub(super) why: String,
    /// Commands, or words on what to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) fix: Vec<String>,
}

impl Finding {
    pub(super) fn ok(what: String, why: &str) -> Finding {
        Finding { severity: Severity::Ok, what, now: None, why: why.to_owned(), fix: Vec::new() }
    }

    pub(super) fn bad(severity: Severity, what: String, now: String, why: &str, fix: String) -> Finding {
        Finding { severity, what, now: Some(now), why: why.to_owned(), fix: vec![fix] }
    }

    /// A step of `lb-agent setup`.
    pub(super) fn of_step(step: Step) -> Finding {
        let (severity, now, fix) = match step.state {
            State::So => (Severity::Ok, None, Vec::new()),
            State::Todo { now, change } => {
                (Severity::Missing, Some(now), change.commands().iter().map(|command| typed(command)).collect())
            }
            State::Blocked { now, fix } => (Severity::Missing, Some(now), fix),
        };
        Finding { severity, what: step.what, now, why: step.why.to_owned(), fix }
    }
}

/// All findings.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    /// Nothing is missing.
    pub(super) healthy: bool,
    findings: Vec<Finding>,
}

impl Verdict {
    pub(super) fn of(findings: Vec<Finding>) -> Verdict {
        let healthy = findings.iter().all(|finding| finding.severity != Severity::Missing);
        Verdict { healthy, findings }
    }

    /// For people, with a count at the end.
    pub(super) fn text(&self) -> String {
        let lines: String = self.findings.iter().map(Finding::text).collect();
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let (missing, warnings) = (count(Severity::Missing), count(Severity::Warning));
        format!("{lines}\nMissing: {missing}. Warnings: {warnings}.\n")
    }
}

impl Finding {
    fn text(&self) -> String {
        let word = match self.severity {
            Severity::Ok => return format!("ok       {}\n", self.what),
            Severity::Warning => "warning",
            Severity::Missing => "missing",
        };
        let now = self.now.as_deref().map(|now| format!("         now: {now}\n")).unwrap_or_default();
        let fixes: String = self.fix.iter().map(|fix| format!("         fix: {fix}\n")).collect();
        format!("{word}  {}\n{now}         why: {}\n{fixes}", self.what, self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        let bad = |severity, what: &str| {
            Finding::bad(
                severity,
                what.to_owned(),
                "it is down".to_owned(),
                "packets come in by it",
                "ip link set up".to_owned(),
            )
        };
        vec![
            Finding::ok("lo is up".to_owned(), "for ever"),
            bad(Severity::Warning, "eth1 is up"),
            bad(Severity::Missing, "eth0 is up"),
        ]
    }

    #[test]
    fn people_see_what_is_missing_why_and_the_fix() {
        let expected = "ok       lo is up\n\
                        warning  eth1 is up\n\
                        \x20        now: it is down\n\
                        \x20        why: packets come in by it\n\
                        \x20        fix: ip link set up\n\
                        missing  eth0 is up\n\
                        \x20        now: it is down\n\
                        \x20        why: packets come in by it\n\
                        \x20        fix: ip link set up\n\
                        \nMissing: 1. Warnings: 1.\n";
        assert_eq!(Verdict::of(findings()).text(), expected);
    }

    #[test]
    fn programs_see_the_same() {
        let json = serde_json::to_value(Verdict::of(findings())).unwrap();
        assert_eq!(json["healthy"], false);
        assert_eq!(json["findings"][0], serde_json::json!({"severity": "ok", "what": "lo is up", "why": "for ever"}));
        assert_eq!(json["findings"][2]["severity"], "missing");
        assert_eq!(json["findings"][2]["fix"][0], "ip link set up");
        assert!(Verdict::of(findings().drain(..2).collect()).healthy, "a warning is not missing");
    }
}
