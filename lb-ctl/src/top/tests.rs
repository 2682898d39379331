//! Keys, order and text, from a fixed sample. `tests/cli/top.rs` has the terminal.

use lb_core::api::AdminState;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::draw;
use super::keys::Press;
use super::sample::Sample;
use super::screen::{Screen, Step};
use super::views::View;
use super::watcher::{News, Order};
use crate::render::Style;

fn sample() -> Sample {
    serde_json::from_str(include_str!("../../tests/cli/top/sample.json")).unwrap()
}

/// Two seconds later, with traffic.
fn later() -> Sample {
    let mut later = sample();
    later.stats.at_ns += 2_000_000_000;
    later.drops.at_ns += 2_000_000_000;
    later.drops.drops[1].count += 20;
    later.stats.total.packets += 400;
    later.stats.reals[3].counters.packets += 300;
    later.stats.reals[0].counters.packets += 100;
    later.stats.services[0].counters.packets += 400;
    later
}

fn screen() -> Screen {
    let mut screen = Screen::new(sample());
    screen.take(later());
    screen
}

fn press(screen: &mut Screen, keys: &[KeyCode]) -> Step {
    let press = |key: &KeyCode| screen.press(Press::Key(KeyEvent::new(*key, KeyModifiers::NONE)));
    keys.iter().map(press).last().unwrap()
}

fn names(screen: &Screen) -> Vec<String> {
    screen.rows(screen.view(), 80).rows.iter().map(|row| row.name().to_owned()).collect()
}

#[test]
fn all_views_as_text() {
    assert_eq!(draw::text(&screen(), Style::Plain), include_str!("snapshot.txt"));
}

#[test]
fn reals_are_sorted_column_by_column() {
    let mut screen = screen();
    let as_configured = ["web-1", "web-2", "web-3", "web-4", "dns-1"];
    assert_eq!(names(&screen), as_configured);
    let wanted = [
        ("by name", ["dns-1", "web-1", "web-2", "web-3", "web-4"]),
        ("by state", ["web-3", "web-4", "web-2", "dns-1", "web-1"]),
        ("by utilisation, the unknown last", ["web-4", "web-1", "web-3", "web-2", "dns-1"]),
        ("by weight", ["web-1", "web-2", "dns-1", "web-4", "web-3"]),
        ("by new flows: all equal", as_configured),
        ("by packets", ["web-4", "web-1", "web-2", "web-3", "dns-1"]),
    ];
    for (what, order) in wanted {
        press(&mut screen, &[KeyCode::Char('s')]);
        assert_eq!(names(&screen), order, "{what}");
    }
    press(&mut screen, &[KeyCode::Char('r')]);
    assert_eq!(names(&screen), ["web-2", "web-3", "dns-1", "web-1", "web-4"], "the other way round");
    press(&mut screen, &[KeyCode::Char('s'), KeyCode::Char('s')]);
    assert_eq!(names(&screen), as_configured, "after the last column");
}

#[test]
fn a_selected_real_stays_selected() {
    let mut screen = screen();
    press(&mut screen, &[KeyCode::Down, KeyCode::Down, KeyCode::Down]);
    press(&mut screen, &[KeyCode::Char('s'), KeyCode::Char('s'), KeyCode::Char('s')]);
    let rows = screen.rows(View::Reals, 80);
    assert_eq!((screen.selected(&rows), rows.rows[0].name()), (0, "web-4"));
    press(&mut screen, &[KeyCode::End, KeyCode::Down]);
    assert_eq!(screen.selected(&rows), 4, "it does not leave the list");
    press(&mut screen, &[KeyCode::PageUp, KeyCode::Up]);
    assert_eq!(screen.selected(&rows), 0);
}

#[test]
fn a_real_is_steered_after_a_yes() {
    let mut screen = screen();
    let drain = Order { real: "web-2".into(), state: AdminState::Drained };
    assert_eq!(press(&mut screen, &[KeyCode::Down, KeyCode::Char('d')]), Step::Draw);
    assert_eq!(screen.asked(), Some(&drain));
    assert_eq!(press(&mut screen, &[KeyCode::Char('n')]), Step::Draw);
    assert_eq!(screen.asked(), None);
    assert_eq!(press(&mut screen, &[KeyCode::Char('y')]), Step::Draw, "nothing was asked");
    assert_eq!(press(&mut screen, &[KeyCode::Char('d'), KeyCode::Char('y')]), Step::Steer(drain));
    let enable = Order { real: "web-2".into(), state: AdminState::Enabled };
    assert_eq!(press(&mut screen, &[KeyCode::Char('e'), KeyCode::Char('y')]), Step::Steer(enable));
    assert_eq!(press(&mut screen, &[KeyCode::Char('d'), KeyCode::Char('q')]), Step::Draw, "a no, and not the end");
    assert_eq!(press(&mut screen, &[KeyCode::Char('2'), KeyCode::Char('d'), KeyCode::Char('y')]), Step::Draw);
}

#[test]
fn the_real_that_was_asked_about_is_steered_though_the_order_changes() {
    let mut screen = screen();
    press(&mut screen, &[KeyCode::Char('s'), KeyCode::Char('s'), KeyCode::Char('s'), KeyCode::Char('d')]);
    let mut idle = later();
    idle.table.reals[3].utilisation = Some(0.0);
    screen.hear(News::Sample(Box::new(idle)));
    let order = Order { real: "web-4".into(), state: AdminState::Drained };
    assert_eq!(press(&mut screen, &[KeyCode::Char('y')]), Step::Steer(order));
}

#[test]
fn views_have_keys() {
    let mut screen = screen();
    press(&mut screen, &[KeyCode::Tab]);
    assert_eq!(screen.view(), View::Services);
    press(&mut screen, &[KeyCode::BackTab, KeyCode::BackTab]);
    assert_eq!(screen.view(), View::Warnings);
    press(&mut screen, &[KeyCode::Char('3'), KeyCode::Char('9')]);
    assert_eq!(screen.view(), View::Drops);
    assert_eq!(names(&screen)[0], "no_next_hop", "what was dropped most is on top");
    for key in [KeyCode::Char('q'), KeyCode::Esc] {
        assert_eq!(press(&mut screen, &[key]), Step::Quit);
    }
    let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(screen.press(Press::Key(ctrl_c)), Step::Quit);
}

#[test]
fn a_failure_stays_until_the_daemon_answers_again() {
    let mut screen = screen();
    screen.hear(News::Failed("nobody listens".into()));
    assert!(screen.notice().is_some_and(|notice| notice.is_bad));
    screen.hear(News::Sample(Box::new(later())));
    assert_eq!(screen.notice(), None);
}
