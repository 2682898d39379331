//! The grammar: lines of words, blocks in braces, comments from `#` or `!` on, texts in quotes.

use crate::import::ImportError;

/// How deep blocks may be nested. keepalived's own go four deep.
const MAX_DEPTH: usize = 16;

/// A line, and the block that it begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// Counted from 1.
    pub(super) line: usize,
    /// At least one.
    pub(super) words: Vec<String>,
    block: Option<Vec<Statement>>,
}

impl Statement {
    /// What it is about.
    pub(super) fn word(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The word after that.
    pub(super) fn value(&self) -> Option<&str> {
        self.words.get(1).map(String::as_str)
    }

    /// What is in its block.
    pub(super) fn block(&self) -> &[Statement] {
        self.block.as_deref().unwrap_or_default()
    }

    /// The value of the last line in its block that is about this.
    pub(super) fn inner(&self, word: &str) -> Option<&str> {
        self.find(word)?.value()
    }

    /// The last line in its block that is about this.
    pub(super) fn find(&self, word: &str) -> Option<&Statement> {
        self.block().iter().rev().find(|inner| inner.word() == word)
    }
}

/// Reads a whole file.
pub(super) fn statements(text: &str) -> Result<Vec<Statement>, ImportError> {
    let mut levels = vec![Vec::new()];
    for (line, text) in (1..).zip(text.lines()) {
        let mut words = Vec::new();
        for token in tokens(text) {
            match token {
                Token::Word(word) => words.push(word),
                Token::Open => {
                    put(&mut levels, line, &mut words);
                    open(&mut levels, line)?;
                }
                Token::Close => {
                    put(&mut levels, line, &mut words);
                    close(&mut levels, line)?;
                }
            }
        }
        put(&mut levels, line, &mut words);
    }
    match levels.pop() {
        Some(top) if levels.is_empty() => Ok(top),
        _ => {
            let line = levels.last().and_then(|level| level.last()).map_or(1, |statement| statement.line);
            Err(ImportError::Syntax { line, what: "the block that begins here has no `}`" })
        }
    }
}

fn put(levels: &mut [Vec<Statement>], line: usize, words: &mut Vec<String>) {
    if let (Some(level), false) = (levels.last_mut(), words.is_empty()) {
        level.push(Statement { line, words: std::mem::take(words), block: None });
    }
}

/// Begins the block of the statement that came last, on this line or an earlier one.
fn open(levels: &mut Vec<Vec<Statement>>, line: usize) -> Result<(), ImportError> {
    let last = levels.last().and_then(|level| level.last());
    if last.is_none_or(|statement| statement.block.is_some()) {
        return Err(ImportError::Syntax { line, what: "`{` follows nothing that could have a block" });
    }
    if levels.len() > MAX_DEPTH {
        return Err(ImportError::Syntax { line, what: "blocks are nested too deep" });
    }
    levels.push(Vec::new());
    Ok(())
}

fn close(levels: &mut Vec<Vec<Statement>>, line: usize) -> Result<(), ImportError> {
    let surplus = || ImportError::Syntax { line, what: "`}` without `{`" };
    if levels.len() < 2 {
        return Err(surplus());
    }
    let block = levels.pop();
    levels.last_mut().and_then(|level| level.last_mut()).ok_or_else(surplus)?.block = block;
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Open,
    Close,
}

fn tokens(line: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut signs = line.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().extend(signs.next()),
            _ if quoted => word.get_or_insert_default().push(sign),
            '#' | '!' => break,
            '{' | '}' => {
                tokens.extend(word.take().map(Token::Word));
                tokens.push(if sign == '{' { Token::Open } else { Token::Close });
            }
            _ if sign.is_whitespace() => tokens.extend(word.take().map(Token::Word)),
            _ => word.get_or_insert_default().push(sign),
        }
    }
    tokens.extend(word.map(Token::Word));
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_quotes_and_comments() {
        let word = |text: &str| Token::Word(text.to_owned());
        let line = r#"  misc_path "/bin/x -a \"b c\"" 5 # not this"#;
        assert_eq!(tokens(line), [word("misc_path"), word(r#"/bin/x -a "b c""#), word("5")]);
        assert_eq!(tokens("url { path /a#b"), [word("url"), Token::Open, word("path"), word("/a")]);
        assert_eq!(tokens("! all of it"), []);
        assert_eq!(tokens("notify_up \"\"}"), [word("notify_up"), word(""), Token::Close]);
    }

    #[test]
    fn blocks_on_one_line_and_on_many() {
        let read = statements("a b {\n c {d e}\n}\nf\n{\n}\n").unwrap();
        assert_eq!((read.len(), read[0].block().len(), read[1].block().len()), (2, 1, 0));
        let inner = read[0].find("c").unwrap();
        assert_eq!((inner.line, inner.inner("d"), inner.inner("x")), (2, Some("e"), None));
    }

    #[test]
    fn braces_that_do_not_match() {
        let deep = "a {\n".repeat(MAX_DEPTH + 1);
        for (text, line, part) in [
            ("a\n}\n", 2, "without"),
            ("\n{\n}\n", 2, "follows nothing"),
            ("a {\n b {\n}\n", 1, "has no `}`"),
            (&deep, MAX_DEPTH + 1, "too deep"),
        ] {
            match statements(text) {
                Err(ImportError::Syntax { line: found, what }) => {
                    assert!(found == line && what.contains(part), "{text}: {found}: {what}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
