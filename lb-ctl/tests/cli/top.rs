//! `lbctl top` on a real terminal, and without one.

mod terminal;

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::Value;

use super::daemon::{Directory, assert_fails, http, lbctl, ok, read_request, text};
use terminal::Terminal;

const SAMPLE: &str = include_str!("top/sample.json");
/// As a terminal of 80x24 has it.
const SCREEN: &str = include_str!("top/screen.txt");
const FAST: &[&str] = &["top", "--interval", "0.1"];

/// A daemon that answers by path for as long as the test goes on, and tells what it was asked to change.
struct Daemon {
    directory: Directory,
    changes: Receiver<String>,
}

impl Daemon {
    fn new() -> Self {
        let directory = Directory::new();
        let listener = UnixListener::bind(directory.socket()).unwrap();
        let (send, changes) = channel();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                serve(stream, &send);
            }
        });
        Self { directory, changes }
    }

    fn terminal(&self, size: (u16, u16), no_color: &str) -> Terminal {
        Terminal::run(&self.directory.socket(), FAST, size, no_color)
    }
}

fn serve(mut stream: UnixStream, changes: &Sender<String>) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = read_request(&mut stream);
    let path = request.split(' ').nth(1).unwrap_or_default();
    let answer = if let Some(real) = path.strip_prefix("/v1/reals/").and_then(|path| path.strip_suffix("/admin")) {
        let _ = changes.send(format!("{path} {}", request.split_once("\r\n\r\n").unwrap().1));
        steered(real)
    } else {
        let sample: Value = serde_json::from_str(SAMPLE).unwrap();
        ok(&sample[path.trim_start_matches("/v1/")].to_string())
    };
    // Who has seen enough may be gone.
    let _ = stream.write_all(answer.as_bytes());
}

fn steered(real: &str) -> String {
    if real == "web-2" {
        return http("409 Conflict", r#"{"error":"this node is a standby","hint":"ask the active node"}"#);
    }
    ok(&super::CHANGED.replace(r#""name":"web-1""#, &format!(r#""name":"{real}""#)))
}

/// Rates are there from the second look on.
#[track_caller]
fn wait_for_rates(terminal: &mut Terminal) {
    terminal.wait_for("0 packets/s");
}

fn rows(terminal: &Terminal) -> String {
    let (_, columns) = terminal.emulator.screen().size();
    terminal.emulator.screen().rows(0, columns).map(|row| row.trim_end().to_owned() + "\n").collect()
}

#[test]
fn the_screen_has_all_of_it_at_80x24() {
    let daemon = Daemon::new();
    let mut terminal = daemon.terminal((24, 80), "");
    wait_for_rates(&mut terminal);
    assert_eq!(rows(&terminal), SCREEN);
    assert!(terminal.emulator.screen().alternate_screen());
    terminal.press("q");
    assert!(terminal.end().success());
    let screen = terminal.emulator.screen();
    assert!(!screen.alternate_screen() && !screen.hide_cursor(), "the terminal is as it was");
    assert_eq!(screen.contents(), "");
}

#[test]
fn colours_say_nothing_that_the_words_do_not() {
    let daemon = Daemon::new();
    for (no_color, has_colours) in [("1", false), ("", true)] {
        let mut terminal = daemon.terminal((24, 80), no_color);
        wait_for_rates(&mut terminal);
        assert_eq!(rows(&terminal), SCREEN);
        let screen = terminal.emulator.screen();
        let cells = (0..24).flat_map(|row| (0..80).filter_map(move |column| screen.cell(row, column)));
        let plain = (vt100::Color::Default, vt100::Color::Default);
        assert_eq!(cells.filter(|cell| (cell.fgcolor(), cell.bgcolor()) != plain).count() > 0, has_colours);
        terminal.press("q");
        assert!(terminal.end().success());
    }
}

#[test]
fn a_real_is_drained_by_keys() {
    let daemon = Daemon::new();
    let mut terminal = daemon.terminal((24, 80), "");
    wait_for_rates(&mut terminal);
    terminal.press("d");
    terminal.wait_for("Drain web-1? y: yes");
    terminal.press("y");
    terminal.wait_for("web-1 is now drained");
    let change = daemon.changes.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(change, r#"/v1/reals/web-1/admin {"state":"drained"}"#);

    // An arrow, and a daemon that refuses.
    terminal.press("\x1b[B");
    terminal.wait(">web-2", |screen| screen.contents().contains(">web-2"));
    terminal.press("e");
    terminal.wait_for("Enable web-2?");
    terminal.press("y");
    terminal.wait_for("this node is a standby ask the active node");
    terminal.press("q");
    assert!(terminal.end().success());
}

#[test]
fn views_sorts_and_sizes() {
    let daemon = Daemon::new();
    let mut terminal = daemon.terminal((24, 80), "");
    wait_for_rates(&mut terminal);
    terminal.press("sss");
    terminal.wait_for(">web-4");
    terminal.wait_for("Utilisationv");
    for (key, shown) in [
        ("2", "[2 Services]"),
        ("3", "no_next_hop"),
        ("4", "down, silent"),
        ("5", "no ARP answer from 198.51.100.12 on eth1"),
    ] {
        terminal.press(key);
        terminal.wait_for(shown);
    }
    terminal.press("1");
    terminal.resize(40, 132);
    terminal.wait_for(&format!("[{:<19}]  97%", "#".repeat(18)));
    terminal.resize(3, 20);
    terminal.wait("a terminal that is too small", |screen| screen.contents().starts_with("lbd 0.1.0"));
    terminal.press("\x03");
    assert!(terminal.end().success());
}

#[test]
fn the_terminal_is_given_back_at_a_signal() {
    let daemon = Daemon::new();
    let mut terminal = daemon.terminal((24, 80), "");
    wait_for_rates(&mut terminal);
    assert!(Command::new("kill").arg(terminal.pid().to_string()).status().unwrap().success());
    assert!(terminal.end().success());
    assert!(!terminal.emulator.screen().alternate_screen());
}

#[test]
fn a_daemon_that_goes_away_is_waited_for() {
    let daemon = Daemon::new();
    let mut terminal = daemon.terminal((24, 80), "");
    wait_for_rates(&mut terminal);
    let (socket, aside) = (daemon.directory.socket(), daemon.directory.0.join("aside"));
    std::fs::rename(&socket, &aside).unwrap();
    terminal.wait_for("cannot reach lbd");
    std::fs::rename(&aside, &socket).unwrap();
    terminal.wait("an answer again", |screen| !screen.contents().contains("cannot reach lbd"));
    terminal.press("q");
    assert!(terminal.end().success());
}

#[test]
fn without_a_terminal_it_prints_once_or_says_so() {
    let daemon = Daemon::new();
    let socket = daemon.directory.socket();
    assert_fails(&lbctl(&socket, &["top"]), 1, &["needs a terminal", "--once"]);
    let once = lbctl(&socket, &["top", "--once", "--interval", "0.1"]);
    assert_eq!(once.status.code(), Some(0), "{}", text(&once.stderr));
    for part in ["DEGRADED, 1 warning", "udp eth2 DOWN", "web-4", "no_next_hop", "192.0.2.80:80"] {
        assert!(text(&once.stdout).contains(part), "{part}: {}", text(&once.stdout));
    }
    assert!(!text(&once.stdout).contains('\x1b'));
    let json = lbctl(&socket, &["top", "--json", "--interval", "0.1"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["table"]["reals"][0]["name"], "web-1");
    assert_fails(&lbctl(&daemon.directory.0.join("nowhere"), &["top", "--once"]), 3, &["no such socket"]);
}
