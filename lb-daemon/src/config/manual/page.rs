//! The sections of docs/reference/config.md: what the manual says in words.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Columns that paragraphs are made to fit in.
const WIDTH: usize = 100;

/// The page.
pub(super) const PAGE: &str = include_str!("../../../../docs/reference/config.md");

/// By the name in their heading, which is without brackets.
static SECTIONS: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| sections().collect());

/// What the page says below the heading of a key or table, as it is there.
pub(super) fn section(name: &str) -> Option<&'static str> {
    SECTIONS.get(name).copied()
}

/// Names of keys and tables with what stands below them, in the order of the page.
fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    let starts = PAGE.match_indices("\n#").map(|(at, _)| at + 1).chain([PAGE.len()]);
    let starts: Vec<usize> = starts.collect();
    let texts: Vec<&str> = starts.windows(2).map(|ends| &PAGE[ends[0]..ends[1]]).collect();
    texts.into_iter().filter_map(|text| {
        let (heading, body) = text.split_once('\n')?;
        let name = heading.trim_start_matches('#').trim().strip_prefix('`')?.strip_suffix('`')?;
        Some((name.trim_matches(['[', ']']), body.trim()))
    })
}

/// Without what only a page has: targets of links, code fences, and paragraphs wider than a terminal.
pub(super) fn plain(section: &str) -> String {
    let mut lines = String::new();
    for paragraph in section.split("\n\n") {
        let separator = if lines.is_empty() { "" } else { "\n" };
        lines = format!("{lines}{separator}{}\n", plain_paragraph(&without_links(paragraph)));
    }
    lines
}

/// Whether a paragraph is a table, a list or an example.
pub(super) fn is_made_of_lines(paragraph: &str) -> bool {
    paragraph.starts_with("| ") || paragraph.starts_with("- ") || paragraph.contains("```")
}

fn plain_paragraph(paragraph: &str) -> String {
    if is_made_of_lines(paragraph) {
        let lines = paragraph.lines().filter(|line| !line.starts_with("```") && !line.starts_with("| ---"));
        return lines.collect::<Vec<_>>().join("\n");
    }
    let mut wrapped = String::new();
    let mut column = 0;
    for word in paragraph.split_whitespace() {
        let length = word.chars().count();
        let fits = column + 1 + length <= WIDTH;
        let separator = if column == 0 {
            ""
        } else if fits {
            " "
        } else {
            "\n"
        };
        column = if column > 0 && fits { column + 1 + length } else { length };
        wrapped = wrapped + separator + word;
    }
    wrapped
}

/// `[text](target)` becomes `text`.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, target)) = rest.split_once("](")
        && let Some((before, label)) = before.rsplit_once('[')
        && let Some((_, after)) = target.split_once(')')
    {
        plain = plain + before + label;
        rest = after;
    }
    plain + rest
}
