//! A chart as text.

use super::scale::Range;
use super::{Chart, Curve};

const COLUMNS: usize = 64;
const ROWS: usize = 16;
const MARK: char = ':';
/// How far the words of a tick may reach to either side, at least this far from the next ones.
const GAP: usize = 1;

/// The chart, 80 columns wide at most where its words are short.
pub fn text(chart: &Chart) -> String {
    let Some((x, y)) = chart.ranges() else { return format!("{}: there is nothing to draw.\n", chart.title) };
    let mut text = format!("{}\n\n", chart.title);
    text += &format!("{}\n", chart.y.label);
    text += &rows(&canvas(chart, &x, &y), &labels(chart, &y));
    text + &foot(chart, &x, widest(&labels(chart, &y))) + &legend(chart, &x)
}

/// Curves and marks by rows, the topmost first.
fn canvas(chart: &Chart, x: &Range, y: &Range) -> Vec<Vec<char>> {
    let mut canvas = vec![vec![' '; COLUMNS]; ROWS];
    for mark in &chart.marks {
        if let Some(place) = x.place(mark.at) {
            canvas.iter_mut().for_each(|row| row[cell(place, COLUMNS)] = MARK);
        }
    }
    for curve in &chart.curves {
        let places = (0..COLUMNS).map(|column| (column, x.value(column as f64 / (COLUMNS - 1) as f64)));
        for (column, at) in places {
            if let Some(place) = height(curve, at).and_then(|height| y.place(height)) {
                canvas[ROWS - 1 - cell(place, ROWS)][column] = curve.sign;
            }
        }
    }
    canvas
}

fn cell(place: f64, cells: usize) -> usize {
    ((place * (cells - 1) as f64).round() as usize).min(cells - 1)
}

/// Where the curve is at an x between two of its points.
fn height(curve: &Curve, at: f64) -> Option<f64> {
    let points = &curve.points;
    // What is rounded may be outside by a hair.
    let at = at.clamp(points.first()?.0, points.last()?.0);
    let next = points.iter().position(|point| point.0 >= at)?;
    let (right, left) = (points[next], points[next.saturating_sub(1)]);
    if right.0 <= left.0 {
        return Some(right.1);
    }
    let share = (at / left.0).ln() / (right.0 / left.0).ln();
    Some(left.1 * (right.1 / left.1).powf(share))
}

/// The words of each row.
fn labels(chart: &Chart, y: &Range) -> Vec<String> {
    let mut labels = vec![String::new(); ROWS];
    for tick in y.ticks(chart.y.ticks) {
        if let Some(place) = y.place(tick) {
            labels[ROWS - 1 - cell(place, ROWS)] = (chart.y.words)(tick);
        }
    }
    labels
}

fn widest(labels: &[String]) -> usize {
    labels.iter().map(|label| label.chars().count()).max().unwrap_or(0)
}

fn rows(canvas: &[Vec<char>], labels: &[String]) -> String {
    let width = widest(labels);
    let row = |(cells, label): (&Vec<char>, &String)| {
        let edge = if label.is_empty() { '│' } else { '┤' };
        let line: String = cells.iter().collect();
        format!("{label:>width$} {edge}{}\n", line.trim_end())
    };
    canvas.iter().zip(labels).map(row).collect()
}

/// The x axis with its ticks, their words where there is room for them, and its label.
fn foot(chart: &Chart, x: &Range, width: usize) -> String {
    let mut edge = vec!['─'; COLUMNS];
    let mut words = String::new();
    for tick in x.ticks(chart.x.ticks) {
        let Some(column) = x.place(tick).map(|place| cell(place, COLUMNS)) else { continue };
        let name = (chart.x.words)(tick);
        let begin = column.saturating_sub(name.chars().count() / 2);
        let used = words.chars().count();
        if used == 0 || begin >= used + GAP {
            edge[column] = '┬';
            words += &" ".repeat(begin - used.min(begin));
            words += &name;
        }
    }
    let edge: String = edge.into_iter().collect();
    let indent = width + 2;
    format!("{:>indent$}{edge}\n{:indent$}{words}\n{:indent$}{}\n", "└", "", "", chart.x.label)
}

fn legend(chart: &Chart, x: &Range) -> String {
    let curves = chart.curves.iter().map(|curve| format!("{} {}", curve.sign, curve.name)).collect::<Vec<_>>();
    let marks = chart.marks.iter().filter(|mark| x.place(mark.at).is_some()).map(|mark| mark.name.clone());
    let marks = marks.collect::<Vec<_>>().join(", ");
    let marks = if marks.is_empty() { marks } else { format!("{MARK} {marks}\n") };
    format!("\n{}\n{marks}", curves.join("   "))
}
