//! What `lbd` keeps: disks, clock, files; and what the daemon warns of besides.

use lb_core::api::{Finding, Severity};

use super::case::Case;
use super::facts::Disk;
use crate::config::{CheckpointInterval, Config};

/// Bytes that a disk should have free beside the checkpoints: state, journal, and what others write.
const SPARE: u64 = 64 << 20;
/// The share of Tc that a durable write may take.
const SLOW_SHARE: f64 = 0.5;
/// A wall clock that was set by less than this is as good as not set, in seconds.
const SMALL_STEP: f64 = 1.0;
/// What the other checks say already: subjects of the daemon's warnings that begin so.
const SAID: [&str; 9] = ["interface", "real ", "vip ", "path ", "peer", "pair", "heartbeats", "lease", "checkpoint"];
/// Refusals of reports that a clock or a key brings about, with what each says.
const REPORT_REFUSALS: [(&str, &str, &str, &str); 4] = [
    (
        "stale",
        "reports are older than what their real has reported before: its clock was set back, or they are replayed",
        "clock",
        "set the real's clock right (chronyc tracking), then start its lb-agent again",
    ),
    (
        "unknown_key",
        "reports name a key that is not in the key file",
        "keys",
        "have the key in `reports.key_file` here and in the agent's `key_file`, then `lbctl reload`",
    ),
    (
        "bad_tag",
        "reports are not signed with the key that they name",
        "keys",
        "have the same secret under that number here and on the real, then `lbctl reload`",
    ),
    (
        "wrong_key",
        "reports are signed with a key that is bound to another real",
        "keys",
        "give each real the key that is bound to its name",
    ),
];

/// All of it.
pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let mut findings = files(case);
    findings.extend(case.facts.disks.iter().map(|disk| space(case, disk)));
    findings.extend(saving(case));
    findings.push(clock(case));
    findings.extend(reports(case));
    findings.extend(rest(case));
    findings
}

/// Key files, serial devices, programs and authorities that the configuration names.
fn files(case: &Case) -> Vec<Finding> {
    if case.unfit_files.is_empty() {
        return vec![Finding::ok("files", "what the configuration names", "keys, devices and programs can be used")];
    }
    let bad = |line: &String| {
        let check = if line.contains("serial ") { "serial" } else { "files" };
        Finding::of(Severity::Error, check, "what the configuration names", line.clone())
            .because("lbd does not start with it, or goes without it")
            .fix("mend it as the line says; `lbd check --config FILE` looks again")
    };
    case.unfit_files.iter().map(bad).collect()
}

/// Room on a disk, and its speed.
fn space(case: &Case, disk: &Disk) -> Finding {
    let subject = format!("{} {}", disk.key, disk.path.display());
    if let Some(error) = &disk.error {
        return Finding::of(Severity::Error, "disk", subject, error.clone())
            .because("what operators set and what the node learned would be lost at a restart")
            .fix(format!("make room, or have {} writable for lbd", disk.path.display()));
    }
    let wanted = SPARE;
    if disk.free < wanted {
        return Finding::of(Severity::Warning, "disk", subject, format!("{} MiB are free", disk.free >> 20))
            .because("a full disk takes no checkpoint and no change of an operator's")
            .fix(format!("make room: df {}; or lower `checkpoint.max_size`", disk.path.display()));
    }
    match (disk.write_ms, interval_ms(&case.config)) {
        (Some(took), Some(interval)) if took > interval * SLOW_SHARE => slow(subject, took, interval),
        (Some(took), _) => {
            Finding::ok("disk", subject, format!("{} MiB are free; a durable write took {took:.1} ms", disk.free >> 20))
        }
        (None, _) => Finding::ok("disk", subject, format!("{} MiB are free", disk.free >> 20)),
    }
}

fn slow(subject: String, took_ms: f64, interval_ms: f64) -> Finding {
    let finding = format!("a durable write took {took_ms:.0} ms, and Tc is {interval_ms:.0} ms");
    Finding::of(Severity::Warning, "disk", subject, finding)
        .because("checkpoints come later than configured: a power cut loses more")
        .fix("use a faster disk, or a longer `checkpoint.interval`")
}

/// Tc, as configured; the shortest where it is worked out.
fn interval_ms(config: &Config) -> Option<f64> {
    let kept = config.settings.checkpoint.as_ref()?;
    Some(match kept.interval {
        CheckpointInterval::Fixed(interval) => interval.as_secs_f64() * 1e3,
        CheckpointInterval::Auto => kept.least_interval.as_secs_f64() * 1e3,
    })
}

/// Whether the daemon can save what it should.
fn saving(case: &Case) -> Vec<Finding> {
    let Some(running) = &case.running else { return Vec::new() };
    let mut findings = Vec::new();
    if let Some(error) = &running.status.state.error {
        let subject = format!("state_dir: {}", running.status.state.path);
        findings.push(
            Finding::of(Severity::Error, "disk", subject, format!("the state cannot be saved: {error}"))
                .because("a restart of lbd forgets what operators have set since")
                .fix("make room, or make it writable; lbd tries again every 10 seconds"),
        );
    }
    let Some(checkpoint) = &running.checkpoint else { return findings };
    let subject = format!("checkpoints in {}", checkpoint.store.directory);
    if let Some(error) = &checkpoint.store.error {
        findings.push(
            Finding::of(Severity::Error, "disk", &subject, error.clone())
                .because("after a power cut the node begins with what it stored before")
                .fix("make room, or make it writable; lbd tries again by itself"),
        );
    } else if let Some(commit) = &checkpoint.commit {
        let interval_ms = checkpoint.interval.seconds * 1e3;
        findings.push(match commit.took_ms > interval_ms * SLOW_SHARE {
            true => slow(subject, commit.took_ms, interval_ms),
            false => Finding::ok(
                "disk",
                subject,
                format!("the newest took {:.1} ms, Tc is {interval_ms:.0} ms", commit.took_ms),
            ),
        });
    }
    // A full checkpoint that is on its way needs nobody.
    if !checkpoint.sync.in_sync && checkpoint.full.is_none() {
        let why = checkpoint.sync.why.clone().unwrap_or_else(|| "it is not known why".to_owned());
        findings.push(
            Finding::of(Severity::Warning, "checkpoint", "the checkpoints", format!("not in sync: {why}"))
                .because("a takeover now would break flows of slots that were moved")
                .fix("mend what the line says; `lbctl checkpoint show` tells more"),
        );
    }
    findings
}

/// Whether the wall clock can be trusted.
fn clock(case: &Case) -> Finding {
    let clock = case.facts.clock;
    let stepped = clock.stepped_seconds;
    if stepped.abs() >= SMALL_STEP {
        let way = if stepped > 0.0 { "forward" } else { "back" };
        let finding = format!("it was set {way} by {:.0} s since lbd started", stepped.abs());
        return Finding::of(Severity::Warning, "clock", "the wall clock", finding)
            .because("times of events and checkpoints jump with it, and so does the validity of certificates in checks")
            .fix("see who sets it: chronyc tracking, or timedatectl; have one program keep it right by degrees");
    }
    if clock.synchronised == Some(false) {
        return Finding::of(Severity::Notice, "clock", "the wall clock", "nobody keeps it right")
            .because("the events of two nodes cannot be put in order, and certificates are judged by it")
            .fix("run chrony or systemd-timesyncd on the host");
    }
    Finding::ok("clock", "the wall clock", "it was not set since lbd started")
}

/// Whether reports are refused for what somebody should mend.
fn reports(case: &Case) -> Vec<Finding> {
    let refused = case.running.iter().flat_map(|running| &running.reports.refused);
    let finding = |count: &lb_core::api::Count| {
        let (_, finding, check, fix) = REPORT_REFUSALS.iter().find(|(name, ..)| *name == count.name)?;
        (count.count > 0).then(|| {
            Finding::of(Severity::Warning, check, "the reports of the reals", format!("{finding} ({})", count.count))
                .because("the weight of that real does not follow its load")
                .fix(*fix)
        })
    };
    refused.filter_map(finding).collect()
}

/// What else the daemon warns of.
fn rest(case: &Case) -> Vec<Finding> {
    let said = |subject: &str| SAID.iter().any(|known| subject.starts_with(known)) || subject == "state";
    let others = case.warnings("").filter(|warning| !said(&warning.subject));
    let finding = |warning: &lb_core::api::Warning| {
        let severity = if warning.degraded { Severity::Error } else { Severity::Warning };
        Finding::of(severity, "daemon", warning.subject.clone(), warning.message.clone())
            .because("the running lbd says so")
            .fix("do what the line says; lbd's log may tell more")
    };
    others.map(finding).collect()
}
