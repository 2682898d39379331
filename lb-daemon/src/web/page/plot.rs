//! One plot: lines over the last minutes, drawn as SVG. Colours and dashes come from the style sheet, so that light and dark both work; the
//! script reads the points to show values under a pointer.

use std::fmt::Write as _;

use lb_core::api::Series;

use super::format::instant;
use super::html::{Escaped, Html, element};

/// Most lines of one plot: as many as the style sheet has colours.
pub(super) const MAX_LINES: usize = 6;
/// Points of a line, at most: what a screen can show.
const MAX_POINTS: usize = 150;
const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 132.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 316.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 112.0;

/// A line of a plot.
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    /// What the legend calls it.
    pub(super) name: &'a str,
    pub(super) values: &'a [Option<f32>],
}

impl<'a> Line<'a> {
    pub(super) fn of(series: &'a Series) -> Self {
        Self { name: &series.name, values: &series.values }
    }
}

/// What a plot shows.
#[derive(Clone, Debug)]
pub(super) struct Plot<'a> {
    pub(super) id: String,
    pub(super) title: String,
    /// When the values are of: milliseconds since 1970.
    pub(super) times: &'a [u64],
    pub(super) lines: Vec<Line<'a>>,
    /// How values are written.
    pub(super) show: fn(f64) -> String,
    /// The least value at the top of the plot.
    pub(super) least_top: f64,
}

impl Plot<'_> {
    /// The figure with its title, its lines and its legend.
    pub(super) fn render(&self) -> Html {
        let title = element("figcaption", self.title.as_str());
        let live = element(&format!("div id=\"{}\" data-live", self.id), Html::from_iter([self.svg(), self.legend()]));
        element("figure class=\"plot\" tabindex=\"0\"", Html::from_iter([title, live]))
    }

    fn svg(&self) -> Html {
        let thin: Vec<Vec<Option<f64>>> = self.shown().map(|line| thin(line.values)).collect();
        let known = thin.iter().flatten().flatten().copied();
        let top = nice(known.fold(self.least_top, f64::max));
        let mut svg = self.axes(top);
        for (index, values) in thin.iter().enumerate() {
            let name = self.lines.get(index).map_or("", |line| line.name);
            let name = Escaped(name);
            let path = path(values, top);
            let _ = write!(svg, "<path class=\"line s{index}\" data-name=\"{name}\" d=\"{path}\"/>");
        }
        svg.push_str("<line class=\"cursor\" y1=\"8\" y2=\"112\" visibility=\"hidden\"/>");
        let label = Escaped(&self.sentence()).to_string();
        let (from, to) = (self.times.first().unwrap_or(&0), self.times.last().unwrap_or(&0));
        element(
            &format!(
                "svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\" data-from=\"{from}\" data-to=\"{to}\" \
                 data-left=\"{LEFT}\" data-right=\"{RIGHT}\" data-top=\"{TOP}\" data-bottom=\"{BOTTOM}\" data-max=\"{top}\""
            ),
            Html::raw(svg),
        )
    }

    /// What a screen reader says in place of the lines.
    fn sentence(&self) -> String {
        let newest = |line: &Line<'_>| {
            let value = line.values.last().copied().flatten();
            let shown = value.map_or("not known".to_owned(), |value| (self.show)(value.into()));
            if line.name.is_empty() { shown } else { format!("{}: {shown}", line.name) }
        };
        let now: Vec<String> = self.shown().map(newest).collect();
        format!(
            "{}, the last 15 minutes. Now {}",
            self.title,
            if now.is_empty() { "nothing".to_owned() } else { now.join(", ") }
        )
    }

    fn axes(&self, top: f64) -> String {
        let mut axes = String::new();
        for share in [0.0, 0.5, 1.0] {
            let y = BOTTOM - share * (BOTTOM - TOP);
            let text = (self.show)(share * top);
            let text = Escaped(&text);
            let _ = write!(
                axes,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y}\" y2=\"{y}\"/>\
                 <text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{text}</text>",
                LEFT - 4.0,
                y + 3.0
            );
        }
        let seconds =
            self.times.first().zip(self.times.last()).map_or(0, |(from, to)| to.saturating_sub(*from) / 1_000);
        let ago = if seconds < 120 { format!("{seconds} s ago") } else { format!("{} min ago", seconds / 60) };
        let _ = write!(
            axes,
            "<text class=\"tick\" x=\"{LEFT}\" y=\"126\">{ago}</text><text class=\"tick\" x=\"{RIGHT}\" y=\"126\" text-anchor=\"end\">now</text>"
        );
        axes
    }

    fn legend(&self) -> Html {
        let item = |(index, line): (usize, &Line<'_>)| {
            let swatch = format!(
                "<svg class=\"swatch\" viewBox=\"0 0 20 8\" aria-hidden=\"true\"><path class=\"line s{index}\" d=\"M0 4L20 4\"/></svg>"
            );
            let newest = line.values.last().copied().flatten();
            let value = newest.map_or("–".to_owned(), |value| (self.show)(value.into()));
            let parts = [Html::raw(swatch), Html::text(line.name), Html::text(" "), element("b", value)];
            element("li", Html::from_iter(parts))
        };
        let mut items: Html = self.shown().enumerate().map(|(index, line)| item((index, line))).collect();
        let more = self.lines.len().saturating_sub(MAX_LINES);
        if more > 0 {
            items.push(element("li", format!("{more} more: /v1/history")));
        }
        let when =
            self.times.last().map_or_else(|| "no sample yet".to_owned(), |at| format!("at {} UTC", instant(*at)));
        let readout = element("p class=\"readout\"", when);
        Html::from_iter([element("ul class=\"legend\"", items), readout])
    }

    fn shown(&self) -> impl Iterator<Item = &Line<'_>> {
        self.lines.iter().take(MAX_LINES)
    }
}

/// As many values as a screen can show: each the mean of its neighbours.
fn thin(values: &[Option<f32>]) -> Vec<Option<f64>> {
    let each = values.len().div_ceil(MAX_POINTS).max(1);
    // Counted from the end, so that the newest has its own place as time goes on.
    let chunks = values.rchunks(each).map(|chunk| {
        let known: Vec<f64> = chunk.iter().flatten().map(|value| f64::from(*value)).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    });
    let mut thin: Vec<_> = chunks.collect();
    thin.reverse();
    thin
}

/// The next number above that is easily read: 1, 2 or 5 and zeros.
fn nice(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(value)
}

/// A line with a gap where values are not known.
fn path(values: &[Option<f64>], top: f64) -> String {
    let step = (RIGHT - LEFT) / (values.len().saturating_sub(1).max(1)) as f64;
    let mut path = String::new();
    let mut command = 'M';
    for (index, value) in values.iter().enumerate() {
        let Some(value) = value else {
            command = 'M';
            continue;
        };
        let x = LEFT + step * index as f64;
        let y = BOTTOM - (value / top).clamp(0.0, 1.0) * (BOTTOM - TOP);
        let _ = write!(path, "{command}{x:.1} {y:.1}");
        command = 'L';
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_gaps_and_fits() {
        assert_eq!(path(&[Some(0.0), Some(5.0), None, Some(10.0)], 10.0), "M46.0 112.0L136.0 60.0M316.0 8.0");
        assert_eq!(path(&[], 1.0), "");
        assert_eq!([0.0, 0.3, 1.0, 1.1, 4_200.0].map(nice), [1.0, 0.5, 1.0, 2.0, 5_000.0]);
    }

    #[test]
    fn many_values_become_few_and_the_newest_stays() {
        let values: Vec<Option<f32>> = (0..450_u16).map(|value| Some(value.into())).collect();
        let thin = thin(&values);
        assert_eq!((thin.len(), thin[149], thin[0]), (150, Some(448.0), Some(1.0)));
        assert_eq!(super::thin(&[None, Some(2.0)]), [None, Some(2.0)]);
    }
}
