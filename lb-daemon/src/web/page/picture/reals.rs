//! The reals, three in a row, with what each gets of the new flows.

use lb_core::api::{AdminState, Health, Real};

use super::{Canvas, MIDDLE, WIDTH};
use crate::api::snapshot::Snapshot;

/// Most reals that are drawn.
const MAX_REALS: usize = 24;
const COLUMNS: usize = 3;
const REAL_WIDTH: f64 = 110.0;
const REAL_HEIGHT: f64 = 44.0;
const GAP: f64 = 6.0;

/// `exit`: where traffic comes from, the height and the side; none where it comes from nowhere.
pub(super) fn draw(snapshot: &Snapshot, exit: Option<(f64, f64)>, canvas: &mut Canvas) {
    let bus = canvas.y + 14.0;
    if let Some((from, side)) = exit {
        let side = if (side - MIDDLE).abs() < 1.0 { MIDDLE } else { side };
        canvas.line("flow", &[(side, from), (side, bus), (MIDDLE, bus), (MIDDLE, bus + 12.0)]);
    }
    canvas.y = bus + 12.0;
    let reals = &snapshot.reals.reals;
    let most = reals.iter().map(|real| real.slots).max().unwrap_or(0);
    for (index, real) in reals.iter().take(MAX_REALS).enumerate() {
        let row = (index / COLUMNS) as f64;
        let in_row = (reals.len().min(MAX_REALS) - index / COLUMNS * COLUMNS).min(COLUMNS) as f64;
        let first = (WIDTH - in_row * REAL_WIDTH - (in_row - 1.0) * GAP) / 2.0;
        let x = first + (index % COLUMNS) as f64 * (REAL_WIDTH + GAP);
        draw_real(canvas, real, most, x, canvas.y + row * (REAL_HEIGHT + GAP));
    }
    canvas.y += reals.len().min(MAX_REALS).div_ceil(COLUMNS) as f64 * (REAL_HEIGHT + GAP);
    if reals.len() > MAX_REALS {
        canvas.text("note middle", MIDDLE, canvas.y + 10.0, &format!("and {} more reals", reals.len() - MAX_REALS));
        canvas.y += 14.0;
    }
}

fn draw_real(canvas: &mut Canvas, real: &Real, most: u32, x: f64, y: f64) {
    let (class, word) = state(real);
    canvas.boxed(&format!("real {class}"), x, y, REAL_WIDTH, REAL_HEIGHT);
    canvas.text("name middle", x + REAL_WIDTH / 2.0, y + 15.0, &shortened(&real.name));
    canvas.text("note middle", x + REAL_WIDTH / 2.0, y + 29.0, word);
    let full = REAL_WIDTH - 16.0;
    let share = if most == 0 { 0.0 } else { f64::from(real.slots) / f64::from(most) };
    canvas.boxed("gauge", x + 8.0, y + 34.0, full, 5.0);
    canvas.boxed("gauge-fill", x + 8.0, y + 34.0, (full * share).round(), 5.0);
}

/// What an operator says goes before what the checks say.
fn state(real: &Real) -> (&'static str, &'static str) {
    match (real.admin, real.health) {
        (AdminState::Disabled, _) => ("off", "disabled"),
        (AdminState::Drained, _) => ("warn", "drained"),
        (_, Health::Down) => ("bad", Health::Down.word()),
        (_, Health::Partly) => ("warn", Health::Partly.word()),
        (_, Health::Joining) => ("off", Health::Joining.word()),
        (_, Health::Up) => ("ok", Health::Up.word()),
        (_, Health::Unchecked) => ("ok", Health::Unchecked.word()),
    }
}

/// A name that fits its box.
fn shortened(name: &str) -> String {
    const MOST: usize = 15;
    if name.chars().count() <= MOST { name.to_owned() } else { name.chars().take(MOST - 1).chain(['…']).collect() }
}
