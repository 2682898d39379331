//! `cargo xtask dependencies`: holds the dependency tree to deny.toml and to the advisories known to the repository.
//!
//! It reads what cargo itself says of the locked tree and needs no network. It understands the part of cargo-deny's
//! format that deny.toml uses, and refuses the rest.

mod advisories;
mod policy;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use semver::Version;
use serde::Deserialize;

use crate::build::cargo;
use crate::ebpf::TARGET;

const HOST_TARGET: &str = "x86_64-unknown-linux-gnu";

/// A package of the locked tree, as `cargo metadata` describes it.
#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    id: String,
    name: String,
    version: Version,
    license: Option<String>,
    /// None for packages of the workspace.
    source: Option<String>,
    dependencies: Vec<Requirement>,
}

#[derive(Clone, Debug, Deserialize)]
struct Requirement {
    name: String,
    req: String,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
}

/// Checks all packages that a build for the host or the BPF target takes in. The error lists everything that is wrong.
pub fn check(root: &Path) -> Result<()> {
    let packages = locked_packages(root)?;
    let policy = policy::Policy::parse(&read(&root.join("deny.toml"))?).context("deny.toml")?;
    let snapshot =
        advisories::Snapshot::parse(&read(&root.join("xtask/advisories.toml"))?).context("xtask/advisories.toml")?;
    let mut wrong = policy.violations(&packages);
    wrong.extend(snapshot.hits(&packages, policy.ignored_advisories()));
    if !wrong.is_empty() {
        bail!("the dependency tree breaks the rules of deny.toml:\n  {}", wrong.join("\n  "));
    }
    println!(
        "{} packages: licences, sources and bans are in order; no advisory of the {} snapshot ({} advisories) hits one",
        packages.len(),
        snapshot.date(),
        snapshot.len()
    );
    Ok(())
}

fn locked_packages(root: &Path) -> Result<Vec<Package>> {
    let mut command = cargo(root);
    command.args(["metadata", "--locked", "--format-version", "1"]);
    command.args(["--filter-platform", HOST_TARGET, "--filter-platform", TARGET]);
    let text = lb_lab::output(&mut command)?;
    let metadata: Metadata =
        serde_json::from_str(&text).context("cargo metadata printed something else than before")?;
    let used = |package: &Package| metadata.resolve.nodes.iter().any(|node| node.id == package.id);
    Ok(metadata.packages.iter().filter(|package| used(package)).cloned().collect())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
impl Package {
    /// A package from crates.io, for tests.
    fn sample(name: &str, version: &str, license: Option<&str>) -> Package {
        Package {
            id: format!("{name}@{version}"),
            name: name.into(),
            version: version.parse().unwrap(),
            license: license.map(Into::into),
            source: Some("registry+https://github.com/rust-lang/crates.io-index".into()),
            dependencies: Vec::new(),
        }
    }
}
