//! The pages of the book: where they are, what they link to, and their shell blocks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// What stands before a block that is for readers alone, with the reason.
const NOT_RUN: &str = "<!-- not run: ";
/// What stands before a block that is for one of the hosts of the page's stage.
const ON: &str = "<!-- on: ";
/// What says where the blocks of a page run.
const STAGE: &str = "<!-- stage: ";
const END: &str = " -->";

/// A page, or another text of the project.
pub struct Page {
    /// From the top of the project.
    pub path: PathBuf,
    text: String,
}

/// Commands for a shell.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// Of its first command in the page, from 1.
    pub line: usize,
    pub commands: String,
    pub run: Run,
}

/// Who runs a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// The shell that all blocks of the page share.
    Here,
    /// A shell on this host.
    On(String),
    /// Nobody, and why.
    Not(String),
}

/// The top of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All pages of the book, and what else is written for readers.
pub fn all() -> Result<Vec<Page>> {
    let mut paths: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from).into();
    for directory in ["docs", "docs/reference"] {
        let entries = fs::read_dir(root().join(directory)).with_context(|| format!("no {directory}"))?;
        for entry in entries {
            let path = Path::new(directory).join(entry?.file_name());
            paths.extend((path.extension().is_some_and(|end| end == "md")).then_some(path));
        }
    }
    paths.sort();
    paths.iter().map(|path| Page::read(path)).collect()
}

impl Page {
    /// Reads a page.
    pub fn read(path: &Path) -> Result<Page> {
        let text = fs::read_to_string(root().join(path)).with_context(|| format!("no {}", path.display()))?;
        Ok(Page { path: path.to_owned(), text })
    }

    /// Where its blocks run: nothing where none does.
    pub fn stage(&self) -> Option<&str> {
        self.text.lines().find_map(|line| remark(line, STAGE))
    }

    /// Its shell blocks, in their order.
    ///
    /// # Errors
    /// One has no end.
    pub fn blocks(&self) -> Result<Vec<Block>> {
        let mut lines = (1..).zip(self.text.lines());
        let mut blocks = Vec::new();
        let mut before = "";
        while let Some((number, line)) = lines.next() {
            if line == "```sh" {
                let mut commands = String::new();
                loop {
                    match lines.next() {
                        Some((_, "```")) => break,
                        Some((_, command)) => commands += &format!("{command}\n"),
                        None => bail!("{}:{number}: this block has no end", self.path.display()),
                    }
                }
                blocks.push(Block { line: number + 1, commands, run: run(before) });
            } else if line.starts_with("```") {
                lines.by_ref().find(|(_, line)| *line == "```");
            }
            before = line;
        }
        Ok(blocks)
    }

    /// Indented blocks that begin with a command: the number of each one's first line.
    pub fn loose_commands(&self) -> Vec<usize> {
        let mut is_fenced = false;
        let mut before = "";
        let mut loose = Vec::new();
        for (number, line) in (1..).zip(self.text.lines()) {
            is_fenced ^= line.starts_with("```");
            let first = line.strip_prefix("    ").and_then(|rest| rest.split(' ').next());
            if !is_fenced && before.is_empty() && first.is_some_and(|word| COMMANDS.contains(&word)) {
                loose.push(number);
            }
            before = line;
        }
        loose
    }

    /// The targets of its links to other files, from the top of the project, without what stands for a part of them.
    pub fn links(&self) -> BTreeSet<(PathBuf, Option<String>)> {
        let here = self.path.parent().unwrap_or(Path::new(""));
        let targets = self.text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        let inner = targets.map(|(target, _)| target).filter(|target| !target.contains("://"));
        inner
            .map(|target| match target.split_once('#') {
                Some(("", part)) => (self.path.clone(), Some(part.to_owned())),
                Some((file, part)) => (flat(&here.join(file)), Some(part.to_owned())),
                None => (flat(&here.join(target)), None),
            })
            .collect()
    }

    /// The names by which its headings are linked to.
    pub fn anchors(&self) -> BTreeSet<String> {
        let mut is_fenced = false;
        let mut anchors = BTreeSet::new();
        for line in self.text.lines() {
            is_fenced ^= line.starts_with("```");
            if !is_fenced && line.starts_with('#') {
                anchors.insert(anchor(line.trim_start_matches('#').trim()));
            }
        }
        anchors
    }
}

/// What a shell block of the guide begins with. Blocks of configuration and of output do not.
const COMMANDS: [&str; 22] = [
    "lbd",
    "lbctl",
    "lb-agent",
    "cargo",
    "ip",
    "sysctl",
    "modprobe",
    "nft",
    "systemctl",
    "dpkg",
    "apt",
    "adduser",
    "curl",
    "mkdir",
    "ipvsadm",
    "bpftool",
    "ethtool",
    "tcpdump",
    "mount",
    "chown",
    "chmod",
    "stty",
];

fn run(before: &str) -> Run {
    match (remark(before, NOT_RUN), remark(before, ON)) {
        (Some(why), _) => Run::Not(why.to_owned()),
        (None, Some(host)) => Run::On(host.to_owned()),
        (None, None) => Run::Here,
    }
}

fn remark<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    line.strip_prefix(kind)?.strip_suffix(END)
}

/// As GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Without `..`.
fn flat(path: &Path) -> PathBuf {
    let mut flat = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                flat.pop();
            }
            part => flat.push(part),
        }
    }
    flat
}
