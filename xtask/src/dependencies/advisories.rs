//! The snapshot of known vulnerabilities that the repository carries.

use anyhow::{Context, Result};
use semver::VersionReq;
use serde::Deserialize;

use super::Package;

/// What was known on one day.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    snapshot: String,
    #[serde(rename = "advisory")]
    advisories: Vec<Advisory>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advisory {
    id: String,
    #[serde(rename = "crate")]
    name: String,
    affected: Vec<VersionReq>,
    what: String,
}

impl Snapshot {
    /// Reads the file.
    pub fn parse(text: &str) -> Result<Snapshot> {
        toml::from_str(text).context("not a snapshot of advisories")
    }

    /// The day of the snapshot.
    pub fn date(&self) -> &str {
        &self.snapshot
    }

    /// How many advisories it holds.
    pub fn len(&self) -> usize {
        self.advisories.len()
    }

    /// One line for each package that an advisory is about, unless the advisory is ignored.
    pub fn hits(&self, packages: &[Package], ignored: &[String]) -> Vec<String> {
        let counted = self.advisories.iter().filter(|advisory| !ignored.contains(&advisory.id));
        counted.flat_map(|advisory| packages.iter().filter_map(|package| advisory.hit(package))).collect()
    }
}

impl Advisory {
    fn hit(&self, package: &Package) -> Option<String> {
        let Package { name, version, .. } = package;
        let affected = *name == self.name && self.affected.iter().any(|range| range.matches(version));
        affected.then(|| format!("{name} {version} has {}: {}; run `cargo update -p {name}`", self.id, self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affected_versions_are_told_from_others() {
        let snapshot = Snapshot::parse(include_str!("../../advisories.toml")).unwrap();
        let hits = |version: &str, ignored: &[String]| {
            snapshot.hits(&[Package::sample("bytes", version, Some("MIT"))], ignored)
        };
        assert_eq!(hits("1.11.1", &[]), [""; 0]);
        assert_eq!(hits("1.2.0", &[]), [""; 0]);
        let [hit] = &hits("1.11.0", &[])[..] else { panic!("one advisory is about bytes 1.11.0") };
        assert!(hit.starts_with("bytes 1.11.0 has RUSTSEC-2026-0007: "), "{hit}");
        assert_eq!(hits("1.11.0", &["RUSTSEC-2026-0007".into()]), [""; 0]);
    }
}
