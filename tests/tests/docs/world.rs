//! A world of its own for the commands of a page: its mounts, network, processes. All of it ends with its first process.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use lb_lab::Run;

use crate::pages::{self, Block, Run as Where};

/// No page takes longer, in seconds: the commands wait for events without a limit of their own.
const LIMIT_S: u32 = 300;
/// How much of what a page printed is shown when it fails.
const SHOWN: usize = 6_000;

/// What makes it: the directories that the commands write to are empty, and nothing of the host's is changed. The programs and the examples are
/// where nothing hides them: the project may lie in any directory.
const MAKE: &str = r#"
set -eu
mount --make-rprivate /
mkdir "$WORLD/upper" "$WORLD/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$WORLD/upper,workdir=$WORLD/work" /etc
mkdir /etc/programs /etc/examples
mount --bind "$PROGRAMS" /etc/programs
mount --bind "$EXAMPLES" /etc/examples
for directory in /run /tmp /var/lib; do
  mount -t tmpfs tmpfs "$directory"
done
mount -t sysfs sysfs /sys
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
cd /tmp
PATH="/etc/programs:$PATH"
exec timeout --kill-after=5 "$LIMIT" bash -euo pipefail
"#;

/// Runs these blocks of one or more pages, one after the other, in one shell.
///
/// # Errors
/// A command fails: the first one ends it all. The error says which block it was in.
pub fn run(blocks: &[(PathBuf, Block)]) -> Result<()> {
    let run = Run::start()?;
    let world = run.dir().join("world");
    fs::create_dir(&world)?;
    // What an overlay lies on must not be one itself.
    let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&world).status()?;
    if !mounted.success() {
        bail!("cannot mount {}", world.display());
    }
    let outcome = in_world(&world, &script(blocks));
    let _ = Command::new("umount").arg("--lazy").arg(&world).status();
    outcome
}

fn in_world(world: &std::path::Path, script: &str) -> Result<()> {
    let input = world.join("script");
    fs::write(&input, script)?;
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c"])
        .arg(MAKE)
        .env("PROGRAMS", lb_lab::programs_directory()?)
        .env("EXAMPLES", pages::root().join("docs/examples"))
        .env("WORLD", world)
        .env("LIMIT", LIMIT_S.to_string())
        .stdin(fs::File::open(&input)?)
        .output()
        .context("cannot run unshare")?;
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let block = printed.lines().rfind(|line| line.starts_with(MARK)).unwrap_or("before the first block");
    let tail: String = printed.chars().rev().take(SHOWN).collect::<Vec<_>>().into_iter().rev().collect();
    bail!("{block}: {} (124: it took too long)\n{tail}", output.status)
}

/// What the script prints before each block.
const MARK: &str = "::: ";

fn script(blocks: &[(PathBuf, Block)]) -> String {
    let mut script = String::new();
    for (page, block) in blocks {
        let place = format!("{}:{}", page.display(), block.line);
        script += &format!("echo '{MARK}{place}'\n");
        match &block.run {
            Where::Here => script += &block.commands,
            Where::On(host) => {
                script +=
                    &format!("on {host} bash -euo pipefail <<'UNDERSTUDY_BLOCK'\n{}UNDERSTUDY_BLOCK\n", block.commands)
            }
            Where::Not(_) => {}
        }
    }
    script
}
