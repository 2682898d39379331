//! The documentation: its links lead somewhere, and its commands run as printed. Needs root.
//!
//! A block that begins with three backticks and `sh` is run, unless the line before it is `<!-- not run: REASON -->`. A page
//! with blocks that run names its stage, which is one of [`set`]'s: `<!-- stage: nothing -->`, say. On the stage `a pair`,
//! `<!-- on: lb-2 -->` before a block says on which host it runs.

mod pages;
mod world;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use pages::{Block, Page, Run};

const SUMMARY: &str = "docs/SUMMARY.md";
const TUTORIAL: &str = "docs/tutorial.md";
/// Where the tutorial's pair is complete.
const PAIR_READY: &str = "in sync .*yes";
/// What makes a machine that is to become a real server.
const REAL_SERVER: &str = "ip netns add lb
ip link add eth0 type veth peer name eth0 netns lb
ip address add 192.0.2.11/24 dev eth0
ip link set eth0 up
ip -n lb address add 192.0.2.1/24 dev eth0
ip -n lb link set eth0 up
ip route add default via 192.0.2.1
";

/// What makes one with keepalived and IPVS.
const OLD_DIRECTOR: &str = "mkdir -p /etc/keepalived
cp /etc/examples/keepalived.conf /etc/keepalived/
ipvsadm() { cat /etc/examples/ipvsadm.rules; }
";
/// Has what is on lb-1 be where it is on a host of its own.
const AS_ON_A_HOST: &str = "ln -s /run/lb-1 /run/understudy
mkdir -p /etc/understudy
ln -s /run/lb-1/lbd.toml /etc/understudy/lbd.toml
";

#[test]
fn every_page_is_in_the_summary() -> Result<()> {
    let listed: BTreeSet<PathBuf> = Page::read(Path::new(SUMMARY))?.links().into_iter().map(|(path, _)| path).collect();
    let pages = pages::all()?;
    let written: BTreeSet<PathBuf> = pages
        .iter()
        .map(|page| page.path.clone())
        .filter(|path| path.starts_with("docs") && path != Path::new(SUMMARY))
        .collect();
    assert_eq!(listed, written);
    Ok(())
}

#[test]
fn every_link_leads_somewhere() -> Result<()> {
    let pages = pages::all()?;
    let mut dead = Vec::new();
    for page in &pages {
        for (target, part) in page.links() {
            let is_there = match (pages.iter().find(|page| page.path == target), part) {
                (Some(target), Some(part)) => target.anchors().contains(&part),
                (Some(_), None) => true,
                (None, _) => pages::root().join(&target).exists(),
            };
            if !is_there {
                dead.push(format!("{}: {}", page.path.display(), target.display()));
            }
        }
    }
    assert_eq!(dead, Vec::<String>::new(), "links that lead nowhere");
    Ok(())
}

#[test]
fn every_command_is_in_a_block_that_runs_or_says_why_not() -> Result<()> {
    for page in pages::all()? {
        // What README.md has, the project's own checks are run by.
        let loose = if page.path.starts_with("docs") { page.loose_commands() } else { Vec::new() };
        assert_eq!(loose, Vec::<usize>::new(), "{}: commands in no block", page.path.display());
        let runs = page.blocks()?.iter().any(|block| !matches!(block.run, Run::Not(_)));
        assert_eq!(runs, page.stage().is_some(), "{}: a stage, or blocks that run, alone", page.path.display());
    }
    Ok(())
}

#[test]
fn the_commands_of_every_page_run_as_printed() -> Result<()> {
    let mut failed = Vec::new();
    for page in pages::all()? {
        let Some(stage) = page.stage() else { continue };
        let mut blocks = set(stage).with_context(|| format!("{}", page.path.display()))?;
        blocks.extend(page.blocks()?.into_iter().map(|block| (page.path.clone(), block)));
        if let Err(error) = world::run(&blocks) {
            failed.push(format!("{error:#}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    Ok(())
}

/// What is done before the commands of a page:
///
/// - `nothing`: an empty machine;
/// - `a host with the package`: its directory for configurations is there;
/// - `a real server`: one interface, `eth0`, and a router beyond it;
/// - `an old director`: keepalived and IPVS as docs/examples have them;
/// - `a pair`: the tutorial's. What its commands find without a host is lb-1.
fn set(stage: &str) -> Result<Vec<(PathBuf, Block)>> {
    let own = |commands: &str| (PathBuf::from(stage), Block { line: 0, commands: commands.to_owned(), run: Run::Here });
    match stage {
        "nothing" => Ok(Vec::new()),
        "a host with the package" => Ok(vec![own("mkdir -p /etc/understudy\n")]),
        "a real server" => Ok(vec![own(REAL_SERVER)]),
        "an old director" => Ok(vec![own(OLD_DIRECTOR)]),
        "a pair" => {
            let blocks = Page::read(Path::new(TUTORIAL))?.blocks()?;
            let ready = blocks.iter().position(|block| block.commands.contains(PAIR_READY));
            let ready = ready.with_context(|| format!("{TUTORIAL} has no {PAIR_READY}"))?;
            let tutorial = blocks.into_iter().take(ready + 1).map(|block| (PathBuf::from(TUTORIAL), block));
            Ok(tutorial.chain([own(AS_ON_A_HOST)]).collect())
        }
        other => bail!("no such stage: {other}"),
    }
}
