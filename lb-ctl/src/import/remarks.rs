//! What is said of the lines of an imported file.

use std::fmt;

use serde::Serialize;

/// Something about one or more lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// The lines that it is about, counted from 1; none: it is about the whole.
    pub lines: Vec<usize>,
    /// What it says. Free of control characters.
    pub text: String,
}

/// `line 3: text`, `lines 3, 9: text` or the text alone.
impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lines.as_slice() {
            [] => f.write_str(&self.text),
            [line] => write!(f, "line {line}: {}", self.text),
            lines => {
                let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
                write!(f, "lines {}: {}", lines.join(", "), self.text)
            }
        }
    }
}

/// Remarks as they come up.
#[derive(Debug, Default)]
pub(super) struct Remarks(Vec<(Option<usize>, String)>);

impl Remarks {
    /// Says something about a line.
    pub(super) fn add(&mut self, line: usize, text: impl Into<String>) {
        self.0.push((Some(line), text.into()));
    }

    /// Says something about the whole.
    pub(super) fn in_general(&mut self, text: impl Into<String>) {
        self.0.push((None, text.into()));
    }

    /// One remark for each text, in the order of their first lines, those about the whole last.
    pub(super) fn grouped(mut self) -> Vec<Remark> {
        self.0.sort_by_key(|(line, _)| line.unwrap_or(usize::MAX));
        let mut remarks: Vec<Remark> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for (line, text) in self.0 {
            let text: String = text.chars().map(|sign| if sign.is_control() { '?' } else { sign }).collect();
            let place = *places.entry(text.clone()).or_insert_with(|| {
                remarks.push(Remark { lines: Vec::new(), text });
                remarks.len() - 1
            });
            let lines = &mut remarks[place].lines;
            lines.extend(line.filter(|line| lines.last() != Some(line)));
        }
        remarks
    }
}
