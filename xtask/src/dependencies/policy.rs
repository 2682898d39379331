//! deny.toml: which licences, sources and crates are allowed.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use super::Package;

/// The rules, in the part of cargo-deny's format that is used here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    #[serde(rename = "graph")]
    _graph: toml::Table,
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
    advisories: Advisories,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Licenses {
    allow: Vec<String>,
    exceptions: Vec<Exception>,
}

/// A crate that may be under other licences, too.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Bans {
    #[serde(rename = "multiple-versions")]
    _multiple_versions: String,
    wildcards: String,
    #[serde(rename = "allow-wildcard-paths")]
    _allow_wildcard_paths: bool,
    deny: Vec<Banned>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Banned {
    #[serde(rename = "crate")]
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sources {
    unknown_registry: String,
    unknown_git: String,
    allow_registry: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advisories {
    ignore: Vec<String>,
}

impl Policy {
    /// Reads the rules.
    pub fn parse(text: &str) -> Result<Policy> {
        let policy: Policy = toml::from_str(text).context("not in the format that is understood here")?;
        for (key, value) in [
            ("bans.wildcards", &policy.bans.wildcards),
            ("sources.unknown-registry", &policy.sources.unknown_registry),
            ("sources.unknown-git", &policy.sources.unknown_git),
        ] {
            if value != "deny" {
                bail!("`{key}` can only be \"deny\" here");
            }
        }
        Ok(policy)
    }

    /// Advisories that do not matter here.
    pub fn ignored_advisories(&self) -> &[String] {
        &self.advisories.ignore
    }

    /// One line for everything that breaks a rule.
    pub fn violations(&self, packages: &[Package]) -> Vec<String> {
        let checks = [Self::license_violation, Self::source_violation, Self::ban_violation, Self::wildcard_violation];
        let wrong = |package| checks.iter().filter_map(move |check| check(self, package));
        packages.iter().flat_map(wrong).collect()
    }

    fn license_violation(&self, package: &Package) -> Option<String> {
        let Package { name, version, license, .. } = package;
        let Some(license) = license else {
            return Some(format!("{name} {version} names no licence"));
        };
        match Expression::parse_mode(license, ParseMode::LAX) {
            Err(error) => {
                Some(format!("{name} {version} has a licence that cannot be read: {license}: {}", error.reason))
            }
            Ok(expression) if self.allows(name, &expression) => None,
            Ok(_) => Some(format!("{name} {version} is under {license}, which deny.toml does not allow")),
        }
    }

    fn allows(&self, name: &str, expression: &Expression) -> bool {
        let exceptions = self.licenses.exceptions.iter().filter(|exception| exception.name == name);
        let allowed: Vec<&String> =
            self.licenses.allow.iter().chain(exceptions.flat_map(|exception| &exception.allow)).collect();
        expression.evaluate(|licence| allowed.iter().any(|allowed| **allowed == licence.to_string()))
    }

    fn source_violation(&self, package: &Package) -> Option<String> {
        let source = package.source.as_ref()?;
        let registry = source.strip_prefix("registry+").or_else(|| source.strip_prefix("sparse+"));
        let allowed = registry.is_some_and(|url| self.sources.allow_registry.iter().any(|allowed| allowed == url));
        (!allowed).then(|| format!("{} {} comes from {source}", package.name, package.version))
    }

    fn ban_violation(&self, package: &Package) -> Option<String> {
        let banned = self.bans.deny.iter().any(|banned| banned.name == package.name);
        banned.then(|| format!("{} {} is banned", package.name, package.version))
    }

    fn wildcard_violation(&self, package: &Package) -> Option<String> {
        if package.source.is_some() {
            return None;
        }
        let wildcard = package.dependencies.iter().find(|needed| needed.req == "*" && needed.source.is_some())?;
        Some(format!("{} depends on any version of {}", package.name, wildcard.name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Requirement;
    use super::*;

    fn policy() -> Policy {
        Policy::parse(include_str!("../../../deny.toml")).unwrap()
    }

    fn violations(package: Package) -> Vec<String> {
        policy().violations(&[package])
    }

    #[test]
    fn one_allowed_licence_of_a_choice_is_enough_and_all_of_a_sum_are_needed() {
        for allowed in ["MIT", "MIT/Apache-2.0", "GPL-2.0-only OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
            assert!(violations(Package::sample("fine", "1.0.0", Some(allowed))).is_empty(), "{allowed}");
        }
        for refused in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "Apache-2.0 WITH Classpath-exception-2.0"] {
            let wrong = violations(Package::sample("bad", "1.0.0", Some(refused)));
            assert_eq!(wrong, [format!("bad 1.0.0 is under {refused}, which deny.toml does not allow")]);
        }
        assert!(violations(Package::sample("serialport", "4.0.0", Some("MPL-2.0"))).is_empty(), "an exception");
        assert_eq!(violations(Package::sample("other", "4.0.0", Some("MPL-2.0"))).len(), 1, "for one crate only");
        assert_eq!(violations(Package::sample("none", "1.0.0", None)), ["none 1.0.0 names no licence"]);
        assert_eq!(violations(Package::sample("odd", "1.0.0", Some("Mine, all mine"))).len(), 1);
    }

    #[test]
    fn other_sources_banned_crates_and_wildcards_are_refused() {
        let git = Package {
            source: Some("git+https://example.org/x".into()),
            ..Package::sample("forked", "1.0.0", Some("MIT"))
        };
        assert_eq!(violations(git), ["forked 1.0.0 comes from git+https://example.org/x"]);
        assert_eq!(violations(Package::sample("bincode", "2.0.0", Some("MIT"))), ["bincode 2.0.0 is banned"]);
        let any =
            |source: Option<&str>| Requirement { name: "any".into(), req: "*".into(), source: source.map(Into::into) };
        let own = |requirement| Package {
            source: None,
            dependencies: vec![requirement],
            ..Package::sample("own", "0.1.0", Some("MIT"))
        };
        assert_eq!(violations(own(any(Some("registry+x")))), ["own depends on any version of any"]);
        assert!(violations(own(any(None))).is_empty(), "a path dependency needs no version");
    }

    #[test]
    fn rules_that_are_not_understood_are_refused() {
        let text = include_str!("../../../deny.toml");
        assert!(Policy::parse(&text.replace("[licenses]", "[licenses]\nconfidence-threshold = 0.8")).is_err());
        assert!(Policy::parse(&text.replace("wildcards = \"deny\"", "wildcards = \"warn\"")).is_err());
    }
}
