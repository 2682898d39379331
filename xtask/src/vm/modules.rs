//! The kernel's modules, each behind those that it needs: what depmod and modprobe would find out.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What a module says it needs begins with this and ends with a NUL.
const NEEDS: &[u8] = b"\0depends=";

/// The files of these modules and of all that they need, in an order in which they can be loaded.
pub fn with_needed(folder: &Path, names: &[&str]) -> Result<Vec<PathBuf>> {
    let mut known = HashMap::new();
    find(folder, &mut known)?;
    let mut files = Vec::new();
    names.iter().try_for_each(|name| add(name, &known, &mut files))?;
    Ok(files)
}

fn add(name: &str, known: &HashMap<String, PathBuf>, files: &mut Vec<PathBuf>) -> Result<()> {
    let file = known.get(&plain(name)).with_context(|| format!("Debian's kernel has no module {name}"))?;
    if files.contains(file) {
        return Ok(());
    }
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    needed(&bytes).iter().try_for_each(|needed| add(needed, known, files))?;
    files.push(file.clone());
    Ok(())
}

/// All modules below a folder, by their names.
fn find(folder: &Path, known: &mut HashMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        if path.is_dir() {
            find(&path, known)?;
        } else if let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".ko")) {
            known.insert(plain(name), path);
        }
    }
    Ok(())
}

/// `-` and `_` mean the same in names of modules.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// The names of the modules that a module needs.
fn needed(module: &[u8]) -> Vec<String> {
    let at = module.windows(NEEDS.len()).position(|bytes| bytes == NEEDS);
    let rest = at.map_or(&[][..], |at| &module[at + NEEDS.len()..]);
    let names = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(names).split(',').filter(|name| !name.is_empty()).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_is_read_from_it() {
        let none: Vec<String> = Vec::new();
        assert_eq!(
            needed(b"ELF\0license=GPL\0depends=nf_conntrack,libcrc32c\0name=ip_vs\0"),
            ["nf_conntrack", "libcrc32c"]
        );
        assert_eq!(needed(b"ELF\0depends=\0name=veth\0"), none);
        assert_eq!(needed(b"ELF\0name=veth\0"), none);
    }

    #[test]
    fn each_module_comes_once_and_behind_what_it_needs() {
        let folder = std::env::temp_dir().join(format!("understudy-modules-{}", std::process::id()));
        let below = folder.join("net");
        fs::create_dir_all(&below).unwrap();
        for (path, needs) in [("a.ko", ""), ("net/b-b.ko", "a"), ("net/c.ko", "b_b,a"), ("net/other.ko", "a")] {
            fs::write(folder.join(path), format!("\0depends={needs}\0")).unwrap();
        }
        let files = with_needed(&folder, &["c", "a"]);
        let missing = with_needed(&folder, &["d"]);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(files.unwrap(), [folder.join("a.ko"), below.join("b-b.ko"), below.join("c.ko")]);
        assert!(missing.is_err());
    }
}
