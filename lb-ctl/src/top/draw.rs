//! Puts the screen on a terminal, or into text.

use lb_core::api::AdminState;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style as Look};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell, HighlightSpacing, Paragraph, Row, Table, TableState};

use super::header;
use super::rows::{Column, Mood, Rows, Sort, Width};
use super::screen::Screen;
use super::views::View;
use crate::render::Style;
use crate::render::table::{Side, Table as TextTable};

/// What the keys do, when there is nothing else to say.
const KEYS: &str = "q quit  1-5 tab view  s sort  r reverse  arrows select  d drain  e enable";
/// Columns of `--once`.
const TEXT_WIDTH: u16 = 80;

/// Draws all of it.
pub fn screen(frame: &mut Frame, screen: &Screen, style: Style) {
    let head = header::lines(screen);
    let heights = [
        Constraint::Length(u16::try_from(head.len()).unwrap_or(u16::MAX)),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ];
    let [top, tabs, body, foot] = Layout::vertical(heights).areas(frame.area());
    let head: Vec<Line> = head.into_iter().map(|(text, mood)| Line::styled(text, look(mood, style))).collect();
    frame.render_widget(Paragraph::new(head), top);
    frame.render_widget(Paragraph::new(titles(screen)), tabs);
    view(frame, body, screen, style);
    frame.render_widget(Paragraph::new(bottom(screen, style)), foot);
}

/// All views as text, for scripts and logs.
pub fn text(screen: &Screen, style: Style) -> String {
    let mut text: String = header::lines(screen).iter().map(|(line, mood)| marked(line, *mood, style) + "\n").collect();
    for view in View::ALL {
        text += &format!("\n{}\n", style.bold(view.title()));
        let rows = screen.rows(view, TEXT_WIDTH);
        if rows.rows.is_empty() {
            text += &format!("{}\n", rows.empty);
            continue;
        }
        let columns =
            rows.columns.iter().map(|column| (column.title, if column.right { Side::Right } else { Side::Left }));
        let mut table = TextTable::new(&columns.collect::<Vec<_>>());
        for row in &rows.rows {
            table.row(row.cells.iter().map(|cell| cell.text.replace('\n', " ")).collect());
        }
        text += &table.text(style);
    }
    text
}

fn marked(line: &str, mood: Mood, style: Style) -> String {
    match mood {
        Mood::Fine => line.to_owned(),
        Mood::Notable => style.notable(line),
        Mood::Bad => style.bad(line),
    }
}

/// The views, with the one that is shown reversed and in brackets: seen without colours, and read aloud.
fn titles(screen: &Screen) -> Line<'static> {
    let spans = View::ALL.iter().enumerate().map(|(index, view)| {
        let title = format!("{} {}", index + 1, view.title());
        if *view == screen.view() {
            Span::styled(format!("[{title}]"), Modifier::REVERSED)
        } else {
            Span::raw(format!(" {title} "))
        }
    });
    Line::from_iter(spans)
}

fn view(frame: &mut Frame, area: Rect, screen: &Screen, style: Style) {
    let rows = screen.rows(screen.view(), area.width);
    if rows.rows.is_empty() {
        frame.render_widget(Paragraph::new(rows.empty), area);
        return;
    }
    let mut state = TableState::new().with_selected(screen.selected(&rows));
    frame.render_stateful_widget(table(&rows, screen.sort(screen.view()), style), area, &mut state);
}

fn table(rows: &Rows, sort: Option<Sort>, style: Style) -> Table<'_> {
    let heading = rows.columns.iter().enumerate().map(|(index, column)| {
        let mark = match sort {
            Some(sort) if sort.column == index => {
                if sort.reversed {
                    "^"
                } else {
                    "v"
                }
            }
            _ => "",
        };
        aligned(format!("{}{mark}", column.title), column)
    });
    let body = rows.rows.iter().map(|row| {
        let height = row.cells.iter().map(|cell| cell.text.lines().count()).max().unwrap_or(1);
        let cells = row.cells.iter().zip(&rows.columns).map(|(cell, column)| aligned(cell.text.clone(), column));
        Row::new(cells).height(u16::try_from(height.max(1)).unwrap_or(u16::MAX)).style(look(row.mood, style))
    });
    let widths = rows.columns.iter().map(|column| match column.width {
        Width::Exactly(width) => Constraint::Length(width),
        Width::Rest(least) => Constraint::Min(least),
    });
    Table::new(body, widths)
        .header(Row::new(heading).style(Modifier::BOLD))
        .column_spacing(1)
        .highlight_symbol(">")
        .highlight_spacing(HighlightSpacing::Always)
        .row_highlight_style(Modifier::REVERSED)
}

fn aligned(text: String, column: &Column) -> Cell<'static> {
    let text = Text::from(text);
    Cell::from(if column.right { text.right_aligned() } else { text })
}

/// A question, news, or what the keys do.
fn bottom(screen: &Screen, style: Style) -> Line<'static> {
    if let Some(order) = screen.asked() {
        let what = match order.state {
            AdminState::Drained => "Drain",
            AdminState::Enabled => "Enable",
            AdminState::Disabled => "Disable",
        };
        let question = format!("{what} {}? y: yes, any other key: no", order.real);
        return Line::styled(question, Modifier::BOLD);
    }
    match screen.notice() {
        Some(notice) if notice.is_bad => Line::styled(notice.text.clone(), look(Mood::Bad, style)),
        Some(notice) => Line::styled(notice.text.clone(), Modifier::BOLD),
        None => Line::raw(KEYS),
    }
}

/// Bold says it where colours do not.
fn look(mood: Mood, style: Style) -> Look {
    let look = match mood {
        Mood::Fine => return Look::new(),
        Mood::Notable => Look::new(),
        Mood::Bad => Look::new().add_modifier(Modifier::BOLD),
    };
    match (style, mood) {
        (Style::Colour, Mood::Notable) => look.fg(Color::Yellow),
        (Style::Colour, Mood::Bad) => look.fg(Color::Red),
        _ => look,
    }
}
