//! The initramfs: busybox, the module for veths, the tests, `ip` and the libraries that these need, and the script that runs the tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lb_lab::{output, tool};

use super::Test;
use super::debian::{Debian, make_anew};

const INIT: &str = include_str!("init.sh");
/// `$1`: busybox. `$2`: the archive. The working directory becomes the archive's root.
const PACK: &str = r#"find . | "$1" cpio -o -H newc >"$2""#;

/// Packs everything and returns the archive's path.
pub fn make(directory: &Path, debian: &Debian, tests: &[Test]) -> Result<PathBuf> {
    let tree = directory.join("tree");
    make_anew(&tree)?;
    fs::create_dir(tree.join("tests")).context("cannot create a directory for the tests")?;
    copy(&debian.busybox, &tree, "/bin/busybox")?;
    copy(&debian.veth, &tree, "/veth.ko")?;
    // busybox's own knows less.
    let ip = output(tool("sh").args(["-c", "command -v ip"])).context("there is no `ip`")?;
    copy(ip.trim(), &tree, "/sbin/ip")?;
    add_libraries(&tree, ip.trim())?;
    for (name, executable) in tests {
        add_test(&tree, name, executable)?;
    }
    let init = tree.join("init");
    fs::write(&init, INIT).with_context(|| format!("cannot write {}", init.display()))?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).context("cannot make init executable")?;
    let archive = directory.join("initramfs.cpio");
    let mut pack = tool("sh");
    pack.args(["-e", "-c", PACK, "pack"]).arg(&debian.busybox).arg(&archive).current_dir(&tree);
    output(&mut pack).context("the initramfs cannot be packed")?;
    Ok(archive)
}

/// Without debug information, which is most of a test and would be most of the machine's memory.
fn add_test(tree: &Path, name: &str, executable: &Path) -> Result<()> {
    output(tool("strip").arg("-o").arg(tree.join("tests").join(name)).arg(executable))?;
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
    let (file, to) = (file.as_ref(), to.as_ref());
    let place = tree.join(to.strip_prefix("/").unwrap_or(to));
    let made = place.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::copy(file, &place)).with_context(|| format!("cannot copy {}", file.display()))?;
    Ok(())
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
