//! What the operator has chosen to see, and what there is to see.

use lb_core::api::AdminState;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::keys::Press;
use super::rows::{Rows, Sort};
use super::sample::Sample;
use super::views::{self, View};
use super::watcher::{News, Order};
use crate::render::Rates;

/// How far page up and page down go.
const PAGE: isize = 10;

/// What follows from a key or from news.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The screen has changed.
    Draw,
    /// A real shall be steered.
    Steer(Order),
    /// It is over.
    Quit,
}

/// A line for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it says.
    pub text: String,
    /// Something failed.
    pub is_bad: bool,
}

/// All that is on the screen.
pub struct Screen {
    sample: Sample,
    /// The sample before that: the two make rates.
    before: Option<Sample>,
    view: View,
    sorts: [Option<Sort>; View::ALL.len()],
    /// Name of the row that the keys are for; the first row where it is gone.
    selected: Option<String>,
    asked: Option<Order>,
    notice: Option<Notice>,
}

impl Screen {
    /// Before any key was pressed.
    pub fn new(sample: Sample) -> Self {
        let sorts = View::ALL.map(View::sort);
        Self { sample, before: None, view: View::Reals, sorts, selected: None, asked: None, notice: None }
    }

    /// The newest sample.
    pub fn sample(&self) -> &Sample {
        &self.sample
    }

    /// The view that is shown.
    pub fn view(&self) -> View {
        self.view
    }

    /// How the view is sorted.
    pub fn sort(&self, view: View) -> Option<Sort> {
        self.sorts[view as usize]
    }

    /// What the operator has to say yes or no to.
    pub fn asked(&self) -> Option<&Order> {
        self.asked.as_ref()
    }

    /// What the operator should read.
    pub fn notice(&self) -> Option<&Notice> {
        self.notice.as_ref()
    }

    /// Counters per second; none before the second sample.
    pub fn rates(&self) -> Option<Rates> {
        self.before.as_ref().map(|before| Rates::between(&before.stats, &self.sample.stats))
    }

    /// The sample before the newest one.
    pub fn before(&self) -> Option<&Sample> {
        self.before.as_ref()
    }

    /// The rows of a view, sorted, for a screen of `width` characters.
    pub fn rows(&self, view: View, width: u16) -> Rows {
        views::rows(self, view, width).sorted(self.sort(view))
    }

    /// Index of the selected row.
    pub fn selected(&self, rows: &Rows) -> usize {
        let selected = self.selected.as_deref();
        rows.rows.iter().position(|row| Some(row.name()) == selected).unwrap_or_default()
    }

    /// Takes over the newest sample.
    pub fn take(&mut self, sample: Sample) {
        self.before = Some(std::mem::replace(&mut self.sample, sample));
    }

    /// Takes over what the daemon said.
    pub fn hear(&mut self, news: News) -> Step {
        match news {
            News::Sample(sample) => {
                // The daemon answers again.
                self.notice = self.notice.take().filter(|notice| !notice.is_bad);
                self.take(*sample);
            }
            News::Steered(text) => self.notice = Some(Notice { text, is_bad: false }),
            News::Failed(text) => self.notice = Some(Notice { text, is_bad: true }),
        }
        Step::Draw
    }

    /// Does what a key stands for.
    pub fn press(&mut self, press: Press) -> Step {
        let Press::Key(key) = press else { return Step::Draw };
        self.notice = None;
        if let Some(order) = self.asked.take() {
            return if key.code == KeyCode::Char('y') { Step::Steer(order) } else { Step::Draw };
        }
        self.choose(key)
    }

    fn choose(&mut self, key: KeyEvent) -> Step {
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Step::Quit,
            KeyCode::Char('q') | KeyCode::Esc => return Step::Quit,
            KeyCode::Char(digit @ '1'..='9') => self.show(View::ALL.get(digit as usize - '1' as usize).copied()),
            KeyCode::Tab => self.show(Some(self.view.next(1))),
            KeyCode::BackTab => self.show(Some(self.view.next(View::ALL.len() - 1))),
            KeyCode::Char('s') => self.sort_by_next(),
            KeyCode::Char('r') => self.reverse(),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::PageUp => self.step(-PAGE),
            KeyCode::PageDown => self.step(PAGE),
            KeyCode::Home => self.step(isize::MIN),
            KeyCode::End => self.step(isize::MAX),
            KeyCode::Char('d') => self.ask(AdminState::Drained),
            KeyCode::Char('e') => self.ask(AdminState::Enabled),
            _ => {}
        }
        Step::Draw
    }

    fn show(&mut self, view: Option<View>) {
        if let Some(view) = view.filter(|view| *view != self.view) {
            self.view = view;
            self.selected = None;
        }
    }

    /// By the column behind the one that it is sorted by; after the last one in the order of the configuration.
    fn sort_by_next(&mut self) {
        let column = self.sort(self.view).map_or(0, |sort| sort.column + 1);
        let columns = self.rows(self.view, 0).columns.len();
        self.sorts[self.view as usize] = (column < columns).then_some(Sort { column, reversed: false });
    }

    fn reverse(&mut self) {
        if let Some(sort) = &mut self.sorts[self.view as usize] {
            sort.reversed = !sort.reversed;
        }
    }

    fn step(&mut self, by: isize) {
        let rows = self.rows(self.view, 0);
        let last = rows.rows.len().saturating_sub(1);
        let index = self.selected(&rows).saturating_add_signed(by).min(last);
        self.selected = rows.rows.get(index).map(|row| row.name().to_owned());
    }

    fn ask(&mut self, state: AdminState) {
        if self.view != View::Reals {
            let text = "Reals are drained and enabled in view 1.".to_owned();
            self.notice = Some(Notice { text, is_bad: false });
            return;
        }
        let rows = self.rows(self.view, 0);
        let real = rows.rows.get(self.selected(&rows)).map(|row| row.name().to_owned());
        self.selected.clone_from(&real);
        self.asked = real.map(|real| Order { real, state });
    }
}
