//! `lbctl paths`: the heartbeat paths to the peer.

use lb_core::api::{Path, PathState, Paths, Quality};

use super::table::{Side, Table};
use super::{Style, count, labelled, milliseconds};

/// What stands for a value that is not known.
const UNKNOWN: &str = "-";

/// Each path in a line, with its troubles below it, and the detector over all of them.
pub fn paths(paths: &Paths, style: Style) -> String {
    let mut table = Table::new(&[
        ("Path", Side::Left),
        ("State", Side::Left),
        ("Tb", Side::Right),
        ("RTT", Side::Right),
        ("Loss", Side::Right),
        ("Heard", Side::Right),
        ("Misses", Side::Right),
        ("T_D", Side::Right),
        ("Mistakes", Side::Right),
        ("P_A", Side::Right),
    ]);
    for path in &paths.paths {
        table.row(row(path));
    }
    table.row(overall(&paths.overall));
    let mut lines = table.lines().into_iter();
    let mut text = format!("{}\n", style.bold(&lines.next().unwrap_or_default()));
    for (path, line) in paths.paths.iter().zip(lines.by_ref()) {
        text += &format!("{}\n", coloured(path, &line, style));
        text += &notes(path).iter().map(|note| labelled("      ", note)).collect::<String>();
    }
    text + &lines.map(|line| format!("{line}\n")).collect::<String>()
}

fn row(path: &Path) -> Vec<String> {
    let run = if path.missed_in_a_row > 0 { format!(" (now {})", path.missed_in_a_row) } else { String::new() };
    let state = if path.silent { format!("{}, silent", path.state) } else { path.state.to_string() };
    let mut cells = vec![
        path.name.clone(),
        state,
        milliseconds(path.interval_ms),
        path.rtt.as_ref().map_or(UNKNOWN.to_owned(), |rtt| milliseconds(rtt.smoothed_ms)),
        format!("{:.1}%", 100.0 * path.loss),
        path.heard_ms.map_or(UNKNOWN.to_owned(), milliseconds),
        format!("{}{run}", count(path.counters.missed)),
    ];
    cells.extend(quality(&path.quality));
    cells
}

fn overall(overall: &Quality) -> Vec<String> {
    let mut cells = vec!["all".to_owned()];
    cells.extend(std::iter::repeat_n(String::new(), 6));
    cells.extend(quality(overall));
    cells
}

fn quality(quality: &Quality) -> [String; 3] {
    [
        quality.detection_mean_ms.map_or(UNKNOWN.to_owned(), milliseconds),
        quality.mistakes.to_string(),
        format!("{:.1}%", 100.0 * quality.accuracy),
    ]
}

fn notes(path: &Path) -> Vec<String> {
    let refused = path.refused.iter().filter(|entry| entry.count > 0);
    let refused = refused.map(|entry| format!("{} frames {}: {}", count(entry.count), entry.name, entry.explanation));
    path.problem.clone().into_iter().chain(refused).collect()
}

fn coloured(path: &Path, line: &str, style: Style) -> String {
    match path.state {
        PathState::Down => style.bad(line),
        _ if path.silent => style.bad(line),
        PathState::Unknown => style.notable(line),
        PathState::Up => line.to_owned(),
    }
}
