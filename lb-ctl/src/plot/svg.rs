//! A chart as SVG. It has no background, and colours that can be told from white and from black.

use super::Chart;
use super::scale::Range;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 100.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 100.0;
const LINE_HEIGHT: f64 = 20.0;
/// Room of one name in the legend.
const NAME_WIDTH: f64 = 130.0;

const GREY: &str = "#808080";
const COLOURS: [&str; 4] = ["#d0762b", "#3a9a5c", "#3b82d0", "#a05fc0"];

/// The chart as the text of a file.
pub fn svg(chart: &Chart) -> String {
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"{GREY}\">\n<title>{}</title>\n",
        escaped(&chart.title)
    );
    text += &words(LEFT, TOP - 24.0, "start", &chart.title);
    match chart.ranges() {
        Some((x, y)) => text += &[axes(chart, &x, &y), marks(chart, &x), curves(chart, &x, &y), legend(chart)].concat(),
        None => text += &words(WIDTH / 2.0, HEIGHT / 2.0, "middle", "There is nothing to draw."),
    }
    text + "</svg>\n"
}

fn across(place: f64) -> f64 {
    LEFT + place * (WIDTH - LEFT - RIGHT)
}

fn up(place: f64) -> f64 {
    HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)
}

fn axes(chart: &Chart, x: &Range, y: &Range) -> String {
    let mut text = String::new();
    for tick in x.ticks(chart.x.ticks) {
        let Some(at) = x.place(tick).map(across) else { continue };
        text += &line(at, up(0.0), at, up(1.0), "stroke-opacity=\"0.25\"");
        text += &words(at, up(0.0) + LINE_HEIGHT, "middle", &(chart.x.words)(tick));
    }
    for tick in y.ticks(chart.y.ticks) {
        let Some(at) = y.place(tick).map(up) else { continue };
        text += &line(across(0.0), at, across(1.0), at, "stroke-opacity=\"0.25\"");
        text += &words(LEFT - 8.0, at + 4.0, "end", &(chart.y.words)(tick));
    }
    text += &line(across(0.0), up(0.0), across(1.0), up(0.0), "");
    text += &line(across(0.0), up(0.0), across(0.0), up(1.0), "");
    text += &words(across(0.5), up(0.0) + 2.0 * LINE_HEIGHT, "middle", chart.x.label);
    let (side, middle) = (16.0, up(0.5));
    text + &format!(
        "<text x=\"{side}\" y=\"{middle:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 {side} {middle:.1})\">{}</text>\n",
        escaped(chart.y.label)
    )
}

fn marks(chart: &Chart, x: &Range) -> String {
    let mut text = String::new();
    for (index, mark) in chart.marks.iter().enumerate() {
        let Some(place) = x.place(mark.at) else { continue };
        let at = across(place);
        text += &line(at, up(0.0), at, up(1.0), "stroke-dasharray=\"5 4\"");
        let (side, anchor) = if place > 0.7 { (-6.0, "end") } else { (6.0, "start") };
        text += &words(at + side, TOP + LINE_HEIGHT * (index as f64 + 0.7), anchor, &mark.name);
    }
    text
}

fn curves(chart: &Chart, x: &Range, y: &Range) -> String {
    let mut text = String::new();
    for (curve, colour) in chart.curves.iter().zip(COLOURS.iter().cycle()) {
        let place = |&(at, height): &(f64, f64)| Some((across(x.place(at)?), up(y.place(height)?)));
        let points = curve.points.iter().filter_map(place).map(|(x, y)| format!("{x:.1},{y:.1}"));
        let points = points.collect::<Vec<_>>().join(" ");
        text += &format!("<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n");
    }
    text
}

fn legend(chart: &Chart) -> String {
    let mut text = String::new();
    let base = HEIGHT - LINE_HEIGHT;
    for (index, (curve, colour)) in chart.curves.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let from = LEFT + NAME_WIDTH * index as f64;
        text += &format!(
            "<line x1=\"{from}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"3\"/>\n",
            from + 18.0,
            y = base - 4.0
        );
        text += &words(from + 24.0, base, "start", curve.name);
    }
    text
}

fn line(x1: f64, y1: f64, x2: f64, y2: f64, more: &str) -> String {
    format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{GREY}\" {more}/>\n")
}

fn words(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>\n", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
