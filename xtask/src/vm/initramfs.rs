//! The initramfs: busybox, modules of the kernel, what is to run, the programs that it needs with their libraries, and the script that
//! runs it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lb_lab::{output, tool};

use super::debian::{Debian, make_anew};
use super::modules;

const INIT: &str = include_str!("init.sh");
/// `$1`: busybox. `$2`: the archive. The working directory becomes the archive's root.
const PACK: &str = r#"find . | "$1" cpio -o -H newc >"$2""#;
/// Where init looks for what it runs.
const RUN: &str = "/tests";

/// What is in it beside busybox.
pub struct Contents<'a> {
    /// Names of modules, without those that they need.
    pub modules: &'a [&'a str],
    /// Programs of the host by their names, where busybox has none or one that knows less.
    pub tools: &'a [&'a str],
    /// Programs of the workspace, and where they are to lie. Those in /tests are run.
    pub programs: &'a [(PathBuf, PathBuf)],
    /// Scripts that are run, by their names.
    pub scripts: &'a [(&'a str, String)],
}

/// Packs everything and returns the archive's path.
pub fn make(directory: &Path, debian: &Debian, contents: &Contents<'_>) -> Result<PathBuf> {
    let tree = directory.join("tree");
    make_anew(&tree)?;
    fs::create_dir(tree.join(RUN.trim_start_matches('/'))).context("cannot create a directory for the tests")?;
    copy(&debian.busybox, &tree, "/bin/busybox")?;
    // Loaded in the order of their names.
    for (number, module) in modules::with_needed(&debian.modules, contents.modules)?.iter().enumerate() {
        copy(module, &tree, format!("/modules/{number:02}.ko"))?;
    }
    for name in contents.tools {
        let found = output(tool("sh").args(["-c", "command -v \"$1\"", "sh", name]));
        let program = found.with_context(|| format!("there is no `{name}`"))?;
        copy(program.trim(), &tree, Path::new("/sbin").join(name))?;
        add_libraries(&tree, program.trim())?;
    }
    for (executable, to) in contents.programs {
        add_program(&tree, executable, to)?;
    }
    for (name, text) in contents.scripts {
        add_script(&tree, &Path::new(RUN).join(name), text)?;
    }
    add_script(&tree, Path::new("/init"), INIT)?;
    let archive = directory.join("initramfs.cpio");
    let mut pack = tool("sh");
    pack.args(["-e", "-c", PACK, "pack"]).arg(&debian.busybox).arg(&archive).current_dir(&tree);
    output(&mut pack).context("the initramfs cannot be packed")?;
    Ok(archive)
}

/// Where init runs a program of this name from.
pub fn run_from(name: &str) -> PathBuf {
    Path::new(RUN).join(name)
}

fn add_script(tree: &Path, to: &Path, text: &str) -> Result<()> {
    let file = place(tree, to);
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).context("cannot make a script executable")
}

/// Without debug information, which is most of a test and would be most of the machine's memory.
fn add_program(tree: &Path, executable: &Path, to: &Path) -> Result<()> {
    let file = place(tree, to);
    file.parent().map_or(Ok(()), fs::create_dir_all).with_context(|| format!("cannot create {}", file.display()))?;
    output(tool("strip").arg("-o").arg(file).arg(executable))?;
    add_libraries(tree, executable)
}

/// The libraries of a program, where it will look for them.
fn add_libraries(tree: &Path, program: impl AsRef<Path>) -> Result<()> {
    for library in libraries(&output(tool("ldd").arg(program.as_ref()))?) {
        copy(&library, tree, &library)?;
    }
    Ok(())
}

/// The files that `ldd` has found, the loader among them.
fn libraries(text: &str) -> Vec<PathBuf> {
    let file = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    text.lines().filter_map(file).collect()
}

/// Copies a file to the absolute path `to` of the tree.
fn copy(file: impl AsRef<Path>, tree: &Path, to: impl AsRef<Path>) -> Result<()> {
    let (file, place) = (file.as_ref(), place(tree, to.as_ref()));
    let made = place.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::copy(file, &place)).with_context(|| format!("cannot copy {}", file.display()))?;
    Ok(())
}

/// An absolute path of the tree on the host.
fn place(tree: &Path, to: &Path) -> PathBuf {
    tree.join(to.strip_prefix("/").unwrap_or(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_what_ldd_prints() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd7a5f2000)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f1f6b000000)\n\
                    \tlibodd.so.1 => not found\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f1f6b5f1000)\n";
        let wanted = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(libraries(text), wanted);
        assert_eq!(libraries("\tstatically linked\n"), Vec::<PathBuf>::new());
    }
}
