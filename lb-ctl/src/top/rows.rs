//! Rows of a view, and their order.

use std::cmp::Ordering;

/// How wide a column is, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// So wide.
    Exactly(u16),
    /// What the others leave, at least so much.
    Rest(u16),
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// How wide it is.
    pub width: Width,
    /// Numbers are flush right.
    pub right: bool,
}

impl Column {
    /// A column of words.
    pub fn words(title: &'static str, width: Width) -> Self {
        Self { title, width, right: false }
    }

    /// A column of numbers.
    pub fn numbers(title: &'static str, width: u16) -> Self {
        Self { title, width: Width::Exactly(width), right: true }
    }
}

/// How well something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// Nothing to see.
    #[default]
    Fine,
    /// Worth a look.
    Notable,
    /// Something is broken.
    Bad,
}

/// What one column says of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// As it is printed.
    pub text: String,
    /// What numbers are sorted by; words are sorted by their letters.
    number: Option<f64>,
}

impl Cell {
    /// Words.
    pub fn words(text: impl Into<String>) -> Self {
        Self { text: text.into(), number: None }
    }

    /// A number, as it is printed. What is not known comes last.
    pub fn number(number: Option<f64>, text: impl Into<String>) -> Self {
        Self { text: text.into(), number: Some(number.unwrap_or(f64::NEG_INFINITY)) }
    }

    /// Names as in a dictionary, and the greatest number first.
    fn compare(&self, other: &Self) -> Ordering {
        match (self.number, other.number) {
            (Some(one), Some(another)) => another.total_cmp(&one),
            _ => self.text.cmp(&other.text),
        }
    }
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// A cell for each column. The first one is the row's name.
    pub cells: Vec<Cell>,
    /// How well it is.
    pub mood: Mood,
}

impl Row {
    /// What it is about.
    pub fn name(&self) -> &str {
        self.cells.first().map_or("", |cell| cell.text.as_str())
    }
}

/// By which column rows are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// Index of the column.
    pub column: usize,
    /// The other way round.
    pub reversed: bool,
}

/// The columns of a view, and its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, in the order in which they are shown.
    pub rows: Vec<Row>,
    /// What is said where there is no row.
    pub empty: &'static str,
}

impl Rows {
    /// In this order; equal ones stay in the order of the configuration.
    pub fn sorted(mut self, sort: Option<Sort>) -> Self {
        let Some(Sort { column, reversed }) = sort else { return self };
        self.rows.sort_by(|one, another| {
            let (Some(one), Some(another)) = (one.cells.get(column), another.cells.get(column)) else {
                return Ordering::Equal;
            };
            let order = one.compare(another);
            if reversed { order.reverse() } else { order }
        });
        self
    }
}
