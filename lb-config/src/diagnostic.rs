//! What is wrong with a configuration file, and how it is shown: with file, line, column, the text itself and the fix.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in one line.
    pub title: String,
    /// The bytes of the file that are wrong.
    pub span: Range<usize>,
    /// What stands beside them.
    pub label: String,
    /// What to do.
    pub help: String,
    /// Another place that matters, and why.
    pub context: Option<(Range<usize>, String)>,
}

impl Diagnostic {
    /// Something wrong at `span`, and the fix.
    pub fn new(
        span: Range<usize>,
        title: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { title: title.into(), span, label: label.into(), help: help.into(), context: None }
    }

    /// Shows another place too.
    #[must_use]
    pub fn with_context(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.context = Some((span, label.into()));
        self
    }

    fn render(&self, path: &str, source: &str) -> String {
        let mut snippet = Snippet::source(source)
            .path(path)
            .annotation(AnnotationKind::Primary.span(self.clip(source)).label(&self.label));
        if let Some((span, label)) = &self.context {
            snippet = snippet.annotation(AnnotationKind::Context.span(span.clone()).label(label));
        }
        let mut report: Vec<Group<'_>> = vec![Level::ERROR.primary_title(&self.title).element(snippet)];
        if !self.help.is_empty()
            && let Some(group) = report.pop()
        {
            report.push(group.element(Level::HELP.message(&self.help)));
        }
        Renderer::plain().render(&report)
    }

    /// The first line of the span: a table's span can be many lines long, and its first one names it.
    fn clip(&self, source: &str) -> Range<usize> {
        let Range { start, end } = self.span;
        let Some(text) = source.get(start..end) else { return start..start };
        match text.find('\n') {
            Some(length) => start..start + length,
            None => start..end,
        }
    }
}

/// A configuration file that cannot be used. Its text has one paragraph for each thing that is wrong.
#[derive(Debug)]
pub enum ConfigError {
    /// The file could not be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file was read and is wrong.
    Invalid {
        /// The file.
        path: PathBuf,
        /// Its text.
        source: String,
        /// What is wrong, in the order of the file. Never empty.
        diagnostics: Vec<Diagnostic>,
    },
}

/// Most errors shown: a file with more has one cause for many of them.
pub const MAX_SHOWN: usize = 50;

/// What is wrong with a file so far.
#[derive(Debug, Default)]
pub struct Problems(Vec<Diagnostic>);

impl Problems {
    /// Notes one thing more.
    pub fn add(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value`, which `source` (the text of the file at `path`) was turned into, if nothing is wrong.
    ///
    /// # Errors
    /// Something is wrong: all of it, in the order of the file. Without a value something has to be.
    pub fn refuse<T>(self, path: &Path, source: &str, value: Option<T>) -> Result<T, ConfigError> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => {
                let mut diagnostics = self.0;
                diagnostics.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
                Err(ConfigError::Invalid { path: path.to_owned(), source: source.to_owned(), diagnostics })
            }
        }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, reason } => write!(f, "cannot read the configuration file {}: {reason}", path.display()),
            Self::Invalid { path, source, diagnostics } => {
                let path = path.display().to_string();
                for diagnostic in diagnostics.iter().take(MAX_SHOWN) {
                    writeln!(f, "{}\n", diagnostic.render(&path, source))?;
                }
                if diagnostics.len() > MAX_SHOWN {
                    writeln!(f, "{} more errors are not shown", diagnostics.len() - MAX_SHOWN)?;
                }
                let count = diagnostics.len();
                write!(f, "{path}: {count} {}", if count == 1 { "error" } else { "errors" })
            }
        }
    }
}
