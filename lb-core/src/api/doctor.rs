//! `GET /v1/doctor`: what was looked at on a host, what is wrong there, why that matters, and the fix. `lbd doctor` and
//! `lb-agent doctor` say what they find in the same shape.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

words! {
    /// How bad a finding is. The better one is the lesser one.
    #[derive(PartialOrd, Ord)]
    Severity {
        /// As it shall be.
        Ok = "ok",
        /// Good to know; nothing has to be done.
        Notice = "notice",
        /// It works, and will not always or not for all.
        Warning = "warning",
        /// It does not work.
        Error = "error",
    }
}

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check that looked, in a word: `mtu`. docs/reference/doctor.md lists them.
    pub check: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at: an interface, a real, a path.
    pub subject: String,
    /// What is so.
    pub finding: String,
    /// Why that matters. Empty where all is well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What to do: commands, or words. Empty where nothing has to be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<String>,
}

/// A check that was not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The check.
    pub check: String,
    /// Why it was not made.
    pub reason: String,
}

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// There is no error among the findings.
    pub healthy: bool,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What was not looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn ok(check: &str, subject: impl Into<String>, finding: impl Into<String>) -> Self {
        Self::of(Severity::Ok, check, subject, finding)
    }

    /// Something of this severity. [`Finding::because`] and [`Finding::fix`] say the rest.
    #[must_use]
    pub fn of(severity: Severity, check: &str, subject: impl Into<String>, finding: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            severity,
            subject: subject.into(),
            finding: finding.into(),
            reason: String::new(),
            fix: Vec::new(),
        }
    }

    /// Why it matters.
    #[must_use]
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..self }
    }

    /// One more step of the fix.
    #[must_use]
    pub fn fix(mut self, step: impl Into<String>) -> Self {
        self.fix.push(step.into());
        self
    }

    /// For people: `paint` may colour the first word.
    fn text(&self, paint: &impl Fn(Severity, &str) -> String) -> String {
        let word = paint(self.severity, &format!("{:<8}", self.severity));
        let mut text = format!("{word} {}: {}\n", self.subject, self.finding);
        if self.severity == Severity::Ok {
            return text;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "         why: {}", self.reason);
        for step in &self.fix {
            let _ = writeln!(text, "         fix: {step}");
        }
        text
    }
}

impl Diagnosis {
    /// What these findings come to.
    #[must_use]
    pub fn of(findings: Vec<Finding>) -> Self {
        let healthy = findings.iter().all(|finding| finding.severity != Severity::Error);
        Self { healthy, findings, skipped: Vec::new() }
    }

    /// The worst of the findings.
    #[must_use]
    pub fn worst(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
    }

    /// Something should be done.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.worst() >= Severity::Warning
    }

    /// For people, with a count at the end. `paint` may colour a severity's word.
    pub fn text(&self, paint: impl Fn(Severity, &str) -> String) -> String {
        let mut text: String = self.findings.iter().map(|finding| finding.text(&paint)).collect();
        for skipped in &self.skipped {
            let _ = writeln!(text, "skipped  {}: {}", skipped.check, skipped.reason);
        }
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let (errors, warnings, notices) = (count(Severity::Error), count(Severity::Warning), count(Severity::Notice));
        let _ = writeln!(text, "\nErrors: {errors}. Warnings: {warnings}. Notices: {notices}.");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(severity: Severity) -> Finding {
        Finding::of(severity, "mtu", "eth1", "it is 1500").because("packets are larger").fix("ip link set").fix("wait")
    }

    #[test]
    fn people_see_what_is_wrong_why_and_the_fix() {
        let mut diagnosis = Diagnosis::of(vec![Finding::ok("jit", "the kernel", "compiles"), bad(Severity::Warning)]);
        diagnosis.skipped.push(Skipped { check: "peer".to_owned(), reason: "no lbd runs".to_owned() });
        let expected = "ok       the kernel: compiles\n\
                        (warning ) eth1: it is 1500\n\
                        \x20        why: packets are larger\n\
                        \x20        fix: ip link set\n\
                        \x20        fix: wait\n\
                        skipped  peer: no lbd runs\n\
                        \nErrors: 0. Warnings: 1. Notices: 0.\n";
        let paint = |severity, word: &str| if severity == Severity::Ok { word.to_owned() } else { format!("({word})") };
        assert_eq!(diagnosis.text(paint), expected);
    }

    #[test]
    fn the_worst_finding_counts() {
        assert_eq!(Diagnosis::of(Vec::new()).worst(), Severity::Ok);
        let notice = Diagnosis::of(vec![Finding::ok("jit", "a", "b"), bad(Severity::Notice)]);
        assert!(notice.healthy && !notice.is_degraded());
        let warning = Diagnosis::of(vec![bad(Severity::Warning), bad(Severity::Notice)]);
        assert!(warning.healthy && warning.is_degraded());
        let error = Diagnosis::of(vec![bad(Severity::Error), bad(Severity::Warning)]);
        assert!(!error.healthy && error.is_degraded());
    }

    #[test]
    fn programs_see_the_same() {
        let json =
            serde_json::to_value(Diagnosis::of(vec![bad(Severity::Error), Finding::ok("jit", "a", "b")])).unwrap();
        assert_eq!(json["healthy"], false);
        assert_eq!(json["findings"][0]["severity"], "error");
        assert_eq!(json["findings"][0]["fix"][1], "wait");
        let ok = serde_json::json!({"check": "jit", "severity": "ok", "subject": "a", "finding": "b"});
        assert_eq!(json["findings"][1], ok);
    }
}
