//! Counts with what they mean.

use lb_core::api::Count;

use super::{Style, WIDTH, count, wrap};

/// A heading, and a line or more for each entry. `what` is what is counted, `mark` is for counts that are not 0.
pub fn section(
    title: &str,
    what: &str,
    entries: &[Count],
    name_width: usize,
    style: Style,
    mark: fn(Style, &str) -> String,
) -> String {
    let heading = format!("{title:<name_width$}  {what:>8}  Meaning");
    let mut text = format!("{}\n", style.bold(&heading));
    let indent = name_width.max(title.len()) + 12;
    for entry in entries {
        let label = format!("{:<name_width$}  {:>8}", entry.name, count(entry.count));
        let label = if entry.count > 0 { mark(style, &label) } else { label };
        let meaning = wrap(&entry.explanation, WIDTH.saturating_sub(indent).max(20));
        text += &format!("{label}  {}\n", meaning.join(&format!("\n{:indent$}", "")));
    }
    text
}
