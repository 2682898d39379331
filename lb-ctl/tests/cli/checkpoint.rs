//! `lbctl checkpoint`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::daemon::{Directory, Server, assert_fails, http, lbctl, ok, text};

const CHECKPOINT: &str = r#"{"role":"leading","cluster":"understudy","origin":{"owner":"primary","boot":5,"epoch":7},
"sequence":100,"generation":12,"sync":SYNC,"interval":{"seconds":2.5,"auto":true,"least_seconds":1.001,"max_seconds":60.0},
"commit":null,"store":{"directory":"/a","shared":false,"bytes":0,"max_bytes":1,"commits":0,"failures":0},"stream":null,
"flows":{"known":0,"at_risk":0,"overruns":0,"resyncs":0},"a_field_of_the_future":1}"#;

const IN_SYNC: &str = r#"{"in_sync":true,"confirmed_ms":12.0}"#;
const OUT_OF_SYNC: &str = r#"{"in_sync":false,"why":"the peer is slow","confirmed_ms":null}"#;

const FULL: &str =
    r#""full":{"incoming":false,"parts":PARTS,"parts_estimate":10,"entries":1,"bytes":1,"seconds":0.1},"flows""#;

const CONTENT: &str = r#"{"services":[],"flows":["as it is"]}"#;

fn checkpoint(sync: &str) -> String {
    CHECKPOINT.replace("SYNC", sync).replace('\n', "")
}

#[test]
fn show_gives_4_when_something_is_missing() {
    let bad_disk = checkpoint(IN_SYNC).replace(r#""failures":0"#, r#""failures":1,"error":"the disk is full""#);
    for (answer, code) in [(checkpoint(IN_SYNC), 0), (checkpoint(OUT_OF_SYNC), 4), (bad_disk, 4)] {
        for arguments in [vec!["checkpoint", "show"], vec!["checkpoint", "show", "-j"]] {
            let (output, requests) = Server::new(&[ok(&answer)]).run(&arguments);
            assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
            assert!(requests[0].starts_with("GET /v1/checkpoint HTTP/1.1\r\n"), "{}", requests[0]);
            let printed = text(&output.stdout);
            assert_eq!(printed == format!("{answer}\n"), arguments.len() == 3, "{printed}");
        }
    }
}

#[test]
fn each_command_asks_for_what_it_needs() {
    let list = r#"{"directory":"/a","shared":false,"files":[]}"#;
    let taken = r#"{"sequence":1,"generation":2,"took_ms":3.0,"bytes":4,"entries":5,"peer_durable":false}"#;
    let point = r#"{"interval_seconds":1.0,"cost":1.0,"checkpoints":0.5,"losses":0.5}"#;
    let advice = format!(
        r#"{{"inputs":[],"optimum":{point},"half":null,"twice":null,"in_use":{point},"auto":true,"least_seconds":1.0,"max_seconds":60.0,"curve":[]}}"#
    );
    let cases = [
        ("list", list, "GET /v1/checkpoint/list", "/a: no files yet\n"),
        ("now", taken, "POST /v1/checkpoint/now", "Stored up to batch 1"),
        ("advise", advice.as_str(), "GET /v1/checkpoint/advise", "Input"),
    ];
    for (command, answer, wanted, said) in cases {
        let (output, requests) = Server::new(&[ok(answer)]).run(&["checkpoint", command]);
        assert_eq!(output.status.code(), Some(0), "{command}: {}", text(&output.stderr));
        assert!(text(&output.stdout).starts_with(said), "{}", text(&output.stdout));
        assert!(requests[0].starts_with(&format!("{wanted} HTTP/1.1\r\n")), "{}", requests[0]);
        let (output, _) = Server::new(&[ok(answer)]).run(&["checkpoint", command, "--json"]);
        assert_eq!(text(&output.stdout), format!("{answer}\n"));
    }
    for wrong in [&["checkpoint"][..], &["checkpoint", "export"], &["checkpoint", "import"], &["checkpoint", "clean"]] {
        assert_eq!(lbctl(Path::new("/nowhere"), wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn verify_names_the_file_from_the_root_on_and_gives_1_when_something_is_refused() {
    let good = r#"{"ok":true,"files":[]}"#;
    let (output, requests) = Server::new(&[ok(good)]).run(&["checkpoint", "verify"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(requests[0].ends_with("\r\n\r\n{\"path\":null}"), "{}", requests[0]);
    let bad = r#"{"ok":false,"files":[{"file":"/a/b","origin":null,"records":0,"bytes":0,"entries":0,"skipped":0,
        "first":null,"last":null,"refused":{"file":"/a/b","offset":0,"reason":"forged"}}]}"#;
    let (output, requests) = Server::new(&[ok(bad)]).run(&["checkpoint", "verify", "some/file"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("at byte 0: forged"), "{}", text(&output.stdout));
    let absolute = std::env::current_dir().unwrap().join("some/file");
    assert!(requests[0].ends_with(&format!("{{\"path\":{:?}}}", absolute.display().to_string())), "{}", requests[0]);
}

#[test]
fn a_checkpoint_goes_to_a_new_file_that_is_closed_to_others() {
    let directory = Directory::new();
    let file = directory.0.join("checkpoint.json");
    let path = file.to_str().unwrap();
    let (output, requests) = Server::new(&[ok(CONTENT)]).run(&["checkpoint", "export", path]);
    assert_eq!(text(&output.stdout), format!("Wrote {path}: {} B\n", CONTENT.len()));
    assert!(requests[0].starts_with("GET /v1/checkpoint/content HTTP/1.1\r\n"), "{}", requests[0]);
    assert_eq!(fs::read_to_string(&file).unwrap(), CONTENT);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    // It asks for nothing before it knows that it can write.
    let again = lbctl(Path::new("/nowhere"), &["checkpoint", "export", path]);
    assert_fails(&again, 1, &[&format!("cannot write {path}: "), "exists"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), CONTENT, "as it was");
}

#[test]
fn an_export_that_fails_leaves_no_file() {
    let directory = Directory::new();
    let file = directory.0.join("checkpoint.json");
    let refusal = http("409 Conflict", r#"{"error":"the engine is busy"}"#);
    let (output, _) = Server::new(&[refusal]).run(&["checkpoint", "export", file.to_str().unwrap()]);
    assert_fails(&output, 1, &["the engine is busy"]);
    assert!(!file.exists());
}

#[test]
fn an_import_sends_the_file_as_it_is() {
    let directory = Directory::new();
    let file = directory.0.join("checkpoint.json");
    let path = file.to_str().unwrap();
    let missing = lbctl(Path::new("/nowhere"), &["checkpoint", "import", path]);
    assert_fails(&missing, 1, &[&format!("cannot read {path}: No such file")]);
    fs::write(&file, CONTENT).unwrap();
    let answer = r#"{"generation":3,"services":1,"reals":2,"slots":0,"flows":4}"#;
    let (output, requests) = Server::new(&[ok(answer)]).run(&["checkpoint", "import", path]);
    assert!(text(&output.stdout).starts_with("Took in 1 services, 2 reals"), "{}", text(&output.stdout));
    assert!(requests[0].starts_with("POST /v1/checkpoint/import HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(requests[0].to_lowercase().contains("content-type: application/json"), "{}", requests[0]);
    assert!(requests[0].ends_with(&format!("\r\n\r\n{CONTENT}")), "{}", requests[0]);
    // A sparse file: it is refused before anybody reads it.
    fs::File::create(&file).unwrap().set_len((512 << 20) + 1).unwrap();
    assert_fails(&lbctl(Path::new("/nowhere"), &["checkpoint", "import", path]), 1, &["512 MiB can be"]);
}

#[test]
fn watch_prints_what_changes_and_ends_in_sync() {
    let full = |parts: u32| checkpoint(OUT_OF_SYNC).replace("\"flows\"", &FULL.replace("PARTS", &parts.to_string()));
    let answers = [checkpoint(OUT_OF_SYNC), checkpoint(OUT_OF_SYNC), full(1), full(9), checkpoint(IN_SYNC)];
    let answers = answers.map(|answer| ok(&answer));
    let (output, requests) = Server::new(&answers).run(&["checkpoint", "watch", "--until-in-sync"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(requests.len(), 5);
    let expected = "\
leading, not in sync: the peer is slow
leading, not in sync: the peer is slow; a full checkpoint is going: 10%
leading, not in sync: the peer is slow; a full checkpoint is going: 90%
leading, in sync
";
    assert_eq!(text(&output.stdout), expected, "plain lines where there is no terminal");
    let (output, _) = Server::new(&answers).run(&["checkpoint", "watch", "--until-in-sync", "--json"]);
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(lines, [checkpoint(OUT_OF_SYNC), full(1), full(9), checkpoint(IN_SYNC)]);
}

#[test]
fn watch_ends_with_the_daemon() {
    let server = Server::new(&[ok(&checkpoint(IN_SYNC)), String::new()]);
    let (output, _) = server.run(&["checkpoint", "watch"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(text(&output.stdout), "leading, in sync\n");
    assert!(text(&output.stderr).contains("closed the connection"), "{}", text(&output.stderr));
}
