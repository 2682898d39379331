//! A little HTML: text that is escaped, and elements around it.

use std::fmt::{self, Display, Write as _};

/// HTML that is right as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Html(String);

impl Html {
    /// Text of whoever; it is escaped.
    pub(super) fn text(text: impl Display) -> Self {
        Self(Escaped(&text.to_string()).to_string())
    }

    /// Markup that we wrote ourselves.
    pub(super) const fn raw(markup: String) -> Self {
        Self(markup)
    }

    /// Adds more behind it.
    pub(super) fn push(&mut self, more: impl Into<Self>) {
        self.0.push_str(&more.into().0);
    }
}

impl Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Html {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Html {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl FromIterator<Self> for Html {
    fn from_iter<I: IntoIterator<Item = Self>>(parts: I) -> Self {
        Self(parts.into_iter().map(|part| part.0).collect())
    }
}

/// An element: `start` is its name and attributes, as in `p class="note"`.
pub(super) fn element(start: &str, content: impl Into<Html>) -> Html {
    let name = start.split(' ').next().unwrap_or(start);
    Html(format!("<{start}>{}</{name}>", content.into()))
}

/// An exact number for programs, and a short one for people.
pub(super) fn data(exact: impl Display, short: impl Display) -> Html {
    element(&format!("data value=\"{}\"", Escaped(&exact.to_string())), Html::text(short))
}

/// A table in a region that can be scrolled by keyboard where it is wider than the screen. The rows are renewed in place.
pub(super) fn table(id: &str, caption: &str, columns: &[&str], rows: impl IntoIterator<Item = Vec<Html>>) -> Html {
    let head = columns.iter().map(|column| element("th scope=\"col\"", *column)).collect::<Html>();
    let mut body: Html = rows.into_iter().map(row).collect();
    if body == Html::default() {
        body = element("tr", element(&format!("td colspan=\"{}\" class=\"none\"", columns.len()), "none"));
    }
    let table = Html(format!(
        "<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody id=\"{id}\" data-live>{body}</tbody></table>",
        caption = Escaped(caption)
    ));
    element(&format!("div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\"", Escaped(caption)), table)
}

/// The first cell says what the row is about.
fn row(cells: Vec<Html>) -> Html {
    let cell = |(index, cell)| element(if index == 0 { "th scope=\"row\"" } else { "td" }, cell);
    element("tr", cells.into_iter().enumerate().map(cell).collect::<Html>())
}

/// Facts, each with its name.
pub(super) fn facts(id: &str, facts: impl IntoIterator<Item = (&'static str, Html)>) -> Html {
    let fact = |(name, value)| element("div", Html::from_iter([element("dt", name), element("dd", value)]));
    element(&format!("dl id=\"{id}\" data-live"), facts.into_iter().map(fact).collect::<Html>())
}

/// Text in which nothing is markup, also between quotes.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let evil = "<script>\"'&";
        assert_eq!(Html::text(evil).to_string(), "&lt;script&gt;&quot;&#39;&amp;");
        assert_eq!(element("p class=\"note\"", "a < b").to_string(), "<p class=\"note\">a &lt; b</p>");
        assert_eq!(data(1_234, "1.2 k").to_string(), "<data value=\"1234\">1.2 k</data>");
        assert!(!table("t", evil, &[evil], [vec![Html::text(evil)]]).to_string().contains("<script"));
    }
}
