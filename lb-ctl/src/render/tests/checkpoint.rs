//! Checkpoints: how they are, their files, and how often they pay.

use std::path::Path as FilePath;

use super::*;

fn origin() -> CheckpointOrigin {
    CheckpointOrigin { owner: Role::Primary, boot: 5, epoch: 7 }
}

fn leading() -> Checkpoint {
    Checkpoint {
        role: CheckpointRole::Leading,
        cluster: "understudy".into(),
        origin: Some(origin()),
        sequence: 100,
        generation: 12,
        sync: CheckpointSync { in_sync: true, why: None, confirmed_ms: Some(12.0) },
        full: None,
        interval: IntervalInUse { seconds: 2.5, auto: true, least_seconds: 1.001, max_seconds: 60.0 },
        commit: Some(Commit { ago_seconds: 0.4, sequence: 99, took_ms: 3.1, bytes: 640, entries: 10, full: false }),
        store: StoreState {
            directory: "/var/lib/understudy/checkpoint".into(),
            shared: false,
            bytes: 70_000,
            max_bytes: 1 << 30,
            commits: 3,
            failures: 0,
            error: None,
            restored: None,
            refused: vec![],
        },
        stream: Some(StreamState {
            connected: true,
            path: Some("udp eth1".into()),
            connected_seconds: Some(60.0),
            format_version: Some(2),
            applied: 100,
            durable: 99,
            lag_ms: 0.0,
            backlog_bytes: 0,
            max_backlog_bytes: 16 << 20,
            connections: 1,
            fulls: 1,
            bytes: 71_000,
            last_error: None,
        }),
        flows: FlowsKept { known: 40, at_risk: 0, overruns: 0, resyncs: 0 },
    }
}

fn progress() -> FullProgress {
    FullProgress { incoming: false, parts: 3, parts_estimate: 12, entries: 12_000, bytes: 3 << 20, seconds: 0.5 }
}

fn unwell() -> Checkpoint {
    let well = leading();
    Checkpoint {
        sync: CheckpointSync {
            in_sync: false,
            why: Some("the peer has not acked for 1.2 s".into()),
            confirmed_ms: Some(1_200.0),
        },
        full: Some(progress()),
        interval: IntervalInUse { auto: false, ..well.interval },
        commit: None,
        store: StoreState {
            shared: true,
            failures: 7,
            error: Some("the disk is full: make room, or lower checkpoint.max_size".into()),
            restored: Some(RestoredCheckpoint {
                origin: CheckpointOrigin { epoch: 6, ..origin() },
                sequence: 80,
                unix_ms: 1_795_384_988_123,
                flows: 38,
                took_ms: 4.25,
            }),
            refused: vec![RefusedCheckpoint {
                file: "6-primary-4-1.log".into(),
                offset: 80,
                reason: "it ends in the middle of a record: lbd was cut off while it wrote".into(),
            }],
            ..well.store
        },
        stream: well.stream.map(|stream| StreamState {
            connected: false,
            path: None,
            lag_ms: 1_200.0,
            backlog_bytes: 4_096,
            last_error: Some("the peer was silent".into()),
            ..stream
        }),
        flows: FlowsKept { known: 40, at_risk: 6, overruns: 2, resyncs: 1 },
        ..leading()
    }
}

#[test]
fn checkpoints_when_all_is_well_and_when_not() {
    assert_eq!(checkpoint(&leading(), Style::Plain), include_str!("../snapshots/checkpoint.txt"));
    let expected = include_str!("../snapshots/checkpoint-degraded.txt");
    assert_eq!(checkpoint(&unwell(), Style::Plain), expected);
    let coloured = checkpoint(&unwell(), Style::Colour);
    assert_eq!(stripped(&coloured), expected);
    assert!(coloured.contains("in sync     \x1b[31mno\x1b[0m: the peer has not"), "{coloured}");
    assert!(coloured.contains("\x1b[33mrefused     \x1b[0m6-primary"), "{coloured}");
}

#[test]
fn a_solo_node_has_no_peer_and_no_epoch() {
    let alone = Checkpoint {
        role: CheckpointRole::Alone,
        origin: Some(CheckpointOrigin { epoch: 0, ..origin() }),
        stream: None,
        ..leading()
    };
    let text = checkpoint(&alone, Style::Plain);
    assert!(text.starts_with("role        alone, start 5, cluster understudy\n"), "{text}");
    assert!(!text.contains("peer  ") && !text.contains("waiting"), "{text}");
}

#[test]
fn each_thing_that_is_wrong_makes_checkpoints_degraded() {
    assert!(!leading().is_degraded());
    assert!(Checkpoint { sync: unwell().sync, ..leading() }.is_degraded());
    assert!(Checkpoint { store: unwell().store, ..leading() }.is_degraded());
}

#[test]
fn checkpoints_in_the_status() {
    let line = |checkpoint: &Checkpoint| {
        let text = status(&Status { checkpoint: Some(checkpoint.status()), ..healthy() }, Style::Plain);
        let (_, rest) = text.split_once("\ncheckpoint  ").unwrap();
        rest.split("\nmaps  ").next().unwrap().replace("\n            ", " ")
    };
    assert_eq!(line(&leading()), "leading, in sync, 12.0 ms ago");
    assert_eq!(
        line(&unwell()),
        "leading, not in sync: the peer has not acked for 1.2 s; a full checkpoint is going: 25% (3 of about 12 pieces, \
         12000 entries, 3 MiB in 0.5s)"
    );
}

#[test]
fn news_is_told_once() {
    let news = |checkpoint: &Checkpoint| checkpoint_news(checkpoint, true, Style::Plain);
    assert_eq!(news(&leading()), "leading, in sync, by udp eth1");
    let later = Checkpoint {
        sequence: 101,
        sync: CheckpointSync { confirmed_ms: Some(1.0), ..leading().sync },
        flows: unwell().flows,
        ..leading()
    };
    assert_eq!(news(&later), news(&leading()), "what grows all the time is no news");
    let at = |parts| Checkpoint {
        role: CheckpointRole::Following,
        full: Some(FullProgress { incoming: true, parts, parts_estimate: 100, ..progress() }),
        ..leading()
    };
    assert_eq!(news(&at(34)), "following, in sync, by udp eth1; a full checkpoint is coming: 30%");
    assert_eq!(news(&at(39)), news(&at(34)));
    assert!(news(&at(2)).ends_with(" 0%") && news(&at(100)).ends_with(" 100%") && news(&at(300)).ends_with(" 100%"));
    assert_eq!(checkpoint_news(&at(34), false, Style::Plain), "following, in sync, by udp eth1", "there is a bar");
    let error = "; the disk is full: make room, or lower checkpoint.max_size";
    assert!(news(&unwell()).starts_with("leading, not in sync: the peer has not acked for 1.2 s; a full"));
    assert!(news(&unwell()).ends_with(error), "{}", news(&unwell()));
}

#[test]
fn files_of_the_store() {
    let file = |name: &str, kind, bytes, in_use| CheckpointFile {
        name: name.into(),
        kind,
        origin: Some(origin()),
        bytes,
        unix_ms: Some(1_795_384_988_123),
        in_use,
    };
    let other =
        CheckpointFile { origin: None, unix_ms: None, ..file("notes.txt", CheckpointFileKind::Other, 12, false) };
    let mut list = CheckpointFiles {
        directory: "/mnt/shared/understudy".into(),
        shared: true,
        files: vec![
            file("7-primary-5-2.log", CheckpointFileKind::Log, 640, true),
            file("7-primary-5-1.snapshot", CheckpointFileKind::Snapshot, 70_000, true),
            other,
        ],
    };
    let expected = "\
/mnt/shared/understudy, shared
File                    Owner    Epoch  Start      Size  Written                   In use
7-primary-5-2.log       primary      7      5     640 B  2026-11-22 22:03:08.123Z  yes
7-primary-5-1.snapshot  primary      7      5  68.4 KiB  2026-11-22 22:03:08.123Z  yes
notes.txt               -            -      -      12 B  -                         no
";
    assert_eq!(checkpoint_files(&list, Style::Plain), expected);
    list.files.clear();
    assert_eq!(checkpoint_files(&list, Style::Plain), "/mnt/shared/understudy, shared: no files yet\n");
}

#[test]
fn what_was_verified() {
    let good = VerifiedFile {
        file: "/a/b".into(),
        origin: Some(origin()),
        records: 2,
        bytes: 640,
        entries: 10,
        skipped: 0,
        first: Some(1),
        last: Some(9),
        refused: None,
    };
    let reason = "its checksum is wrong: the disk has changed it";
    let bad = VerifiedFile {
        origin: None,
        skipped: 3,
        refused: Some(RefusedCheckpoint { file: "/a/c".into(), offset: 640, reason: reason.into() }),
        first: None,
        ..VerifiedFile { file: "/a/c".into(), ..good.clone() }
    };
    let verified = CheckpointVerified { ok: false, files: vec![good, bad] };
    let expected = "\
/a/b: ok
      2 records, 10 entries, 640 B, batches 1 to 9, epoch 7 of the primary
      (start 5)
/a/c: refused
      at byte 640: its checksum is wrong: the disk has changed it
      good before it: 2 records, 10 entries, 640 B, 3 entries of kinds that this
      version does not know
";
    assert_eq!(checkpoint_verified(&verified, Style::Plain), expected);
    assert_eq!(stripped(&checkpoint_verified(&verified, Style::Colour)), expected);
    let none = CheckpointVerified { ok: true, files: vec![] };
    assert_eq!(checkpoint_verified(&none, Style::Plain), "There is no file to verify.\n");
}

#[test]
fn what_came_of_requests() {
    let taken =
        CheckpointTaken { sequence: 100, generation: 12, took_ms: 3.2, bytes: 640, entries: 10, peer_durable: true };
    assert_eq!(
        checkpoint_taken(&taken),
        "Stored up to batch 100, generation 12: 10 entries, 640 B in 3.20 ms; the peer has stored it, too\n"
    );
    assert_eq!(
        checkpoint_taken(&CheckpointTaken { bytes: 0, peer_durable: false, ..taken }),
        "Stored up to batch 100, generation 12: nothing has changed since the last one\n"
    );
    assert_eq!(checkpoint_exported(FilePath::new("/a.json"), 1536), "Wrote /a.json: 1.5 KiB\n");
    let imported = CheckpointImported { generation: 13, services: 1, reals: 2, slots: 3, flows: 4, strangers: vec![] };
    let text = "Took in 1 services, 2 reals, 3 slots that are not clean and 4 flows (generation 13)\n";
    assert_eq!(checkpoint_imported(&imported), text);
    let strange = CheckpointImported { strangers: vec!["web9".into(), "mail".into()], ..imported };
    assert_eq!(checkpoint_imported(&strange), format!("{text}Not configured here, and left out: web9, mail\n"));
}

fn input(symbol: &str, value: f64, unit: &str, origin: ValueOrigin, meaning: &str) -> AdviceInput {
    AdviceInput { symbol: symbol.into(), meaning: meaning.into(), value, unit: unit.into(), origin }
}

fn point(interval_seconds: f64, checkpoints: f64, losses: f64) -> AdvicePoint {
    AdvicePoint { interval_seconds, cost: checkpoints + losses, checkpoints, losses }
}

#[test]
fn how_often_checkpoints_pay() {
    let optimum = point(2.5, 480e-6, 480e-6);
    let given = Advice {
        inputs: vec![
            input("c0", 0.0012, "s", ValueOrigin::Measured, "fixed cost of a checkpoint"),
            input("c1", 4.5e-7, "s", ValueOrigin::Assumed, "cost of an entry"),
            input("lambda", 3.858e-7, "1/s", ValueOrigin::Configured, "failures"),
            input("n", 12_345.0, "", ValueOrigin::Measured, "flows"),
        ],
        optimum: Some(optimum),
        half: Some(point(1.25, 960e-6, 240e-6)),
        twice: Some(point(5.0, 240e-6, 960e-6)),
        in_use: optimum,
        auto: true,
        least_seconds: 1.001,
        max_seconds: 60.0,
        curve: vec![optimum],
    };
    assert_eq!(advice(&given, Style::Plain), include_str!("../snapshots/advice.txt"));
    let verdict = |advice: &Advice| super::super::advice(advice, Style::Plain).replace('\n', " ");
    let never = Advice { optimum: None, half: None, twice: None, ..given.clone() };
    assert!(verdict(&never).contains("cost more than they save") && !verdict(&never).contains("optimum "));
    let at = |seconds| Advice { optimum: Some(point(seconds, 1.0, 1.0)), ..given.clone() };
    assert!(verdict(&at(0.9)).contains("The optimum is below the limit."));
    assert!(verdict(&at(61.0)).contains("The optimum is above the limit."));
    assert!(verdict(&Advice { auto: false, ..given.clone() }).contains("in use is configured"));
}

#[test]
fn sizes_have_binary_units() {
    let cases = [
        (0, "0 B"),
        (1_023, "1023 B"),
        (1_024, "1 KiB"),
        (1_536, "1.5 KiB"),
        ((1 << 20) - 1, "1 MiB"),
        (16 << 20, "16 MiB"),
        (1 << 40, "1 TiB"),
    ];
    for (size, text) in cases {
        assert_eq!(bytes(size).replace(".0 ", " "), text);
    }
}
