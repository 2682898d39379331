//! What goes into all packages alike: version, architecture, date.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Who answers for the packages.
pub const MAINTAINER: &str = "Understudy maintainers <maintainers@understudy.invalid>";

/// What all packages say.
pub struct Facts {
    /// Debian's form of it: `0.1.0-1`.
    pub version: String,
    /// Debian's name of it: `amd64`.
    pub architecture: String,
    /// Where the programs lie.
    pub programs: PathBuf,
    /// When the sources were last changed, in seconds since 1970: the same sources make the same package.
    pub epoch: String,
    /// The same, as mails have it.
    pub date: String,
}

impl Facts {
    /// Asks dpkg and git.
    pub fn gather(root: &Path, programs: &Path, revision: u32) -> Result<Facts> {
        let git = |format: &str| {
            let text = lb_lab::output(lb_lab::tool("git").current_dir(root).args(["log", "-1", format]));
            text.map(|text| text.trim().to_owned()).context("packages bear the date of the last commit")
        };
        let architecture = lb_lab::output(lb_lab::tool("dpkg").arg("--print-architecture"))?;
        Ok(Facts {
            version: format!("{}-{revision}", env!("CARGO_PKG_VERSION")),
            architecture: architecture.trim().to_owned(),
            programs: programs.to_owned(),
            epoch: git("--format=%ct")?,
            date: git("--format=%cD")?,
        })
    }
}

/// The newest glibc of which a program uses a symbol, as in `2.36`.
pub fn needed_libc(program: &Path) -> Result<String> {
    let symbols = lb_lab::output(lb_lab::tool("objdump").arg("-T").arg(program))?;
    newest_libc(&symbols).with_context(|| format!("{} uses no glibc", program.display()))
}

fn newest_libc(symbols: &str) -> Option<String> {
    let version = |word: &str| {
        let text = word.trim_matches(['(', ')']).strip_prefix("GLIBC_")?;
        text.split('.').map(|number| number.parse::<u32>().ok()).collect::<Option<Vec<u32>>>()
    };
    let newest = symbols.split_whitespace().filter_map(version).max()?;
    Some(newest.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_glibc_is_found_by_number() {
        let symbols = "0000 DF *UND* 0000 (GLIBC_2.2.5) memcpy\n0000 DF *UND* 0000 (GLIBC_2.34) dlsym\n\
                       0000 DF *UND* 0000 (GLIBC_2.9) pipe2\n0000 DO *UND* 0000 (GLIBC_PRIVATE) x\n";
        assert_eq!(newest_libc(symbols).as_deref(), Some("2.34"));
        assert_eq!(newest_libc("no symbols"), None);
    }
}
