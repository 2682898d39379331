//! The files that a configuration names, which may be missing or unfit though the configuration itself is right.

use std::collections::BTreeMap;

use lb_config::keys;
use lb_core::check::Check;

use super::Config;
use crate::checks;

impl Config {
    /// What is wrong with the files that it names, a line each: the key file, authorities and programs of checks that some
    /// service makes.
    #[must_use]
    pub fn unfit_files(&self) -> Vec<String> {
        let keys = self.settings.reports.as_ref().and_then(|reports| keys::read(&reports.key_file).err());
        let keys = keys.map(|error| error.to_string());
        let unfit = |check: &Check| {
            let wrong = checks::look_at_files(check).err()?;
            Some(format!("check {:?} cannot be made: {wrong}", check.name))
        };
        keys.into_iter().chain(self.checks_in_use().into_values().filter_map(unfit)).collect()
    }

    /// By name: services may have some in common.
    fn checks_in_use(&self) -> BTreeMap<&str, &Check> {
        let checks = self.monitoring.services.values().flat_map(|service| &service.checks);
        checks.map(|check| (check.name.as_str(), &**check)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    /// A service with three checks, and reports.
    fn config(directory: &Path) -> Config {
        let path = |name: &str| directory.join(name).display().to_string();
        let text = format!(
            r#"interfaces = ["eth0"]
[reports]
key_file = "{}"
[[check]]
name = "secure"
type = "https"
ca_file = "{}"
[[check]]
name = "own"
type = "exec"
command = ["{}", "-v"]
[[check]]
name = "unused"
type = "exec"
command = ["/nowhere/program"]
[[check]]
name = "sure"
type = "exec"
command = ["/bin/true"]
[[real]]
name = "web1"
address = "192.0.2.11"
[[service]]
name = "web"
vip = "198.51.100.1"
protocol = "tcp"
port = 443
mode = "dsr"
checks = ["secure", "own", "sure"]
reals = ["web1"]
"#,
            path("keys"),
            path("ca.pem"),
            path("probe")
        );
        Config::parse(Path::new("lbd.toml"), &text, &|_| None).unwrap()
    }

    #[test]
    fn every_file_that_is_missing_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let unfit = config(directory.path()).unfit_files();
        let path = |name: &str| directory.path().join(name).display().to_string();
        assert_eq!(unfit.len(), 3, "{unfit:#?}");
        assert!(
            unfit[0].starts_with(&format!("cannot use the key file {}: No such file", path("keys"))),
            "{}",
            unfit[0]
        );
        assert_eq!(
            unfit[1],
            format!("check \"own\" cannot be made: cannot run {}: no such file or directory", path("probe"))
        );
        assert_eq!(
            unfit[2],
            format!("check \"secure\" cannot be made: cannot read {}: no such file or directory", path("ca.pem"))
        );
    }

    #[test]
    fn files_that_are_there_must_be_what_they_should() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        write(path("keys"), format!("1 {}\n", "0a".repeat(32))).unwrap();
        set_permissions(path("keys"), Permissions::from_mode(0o644)).unwrap();
        write(path("probe"), "").unwrap();
        set_permissions(path("probe"), Permissions::from_mode(0o644)).unwrap();
        let certificate = rcgen::generate_simple_self_signed(["web.example".to_owned()]).unwrap().cert;
        write(path("ca.pem"), certificate.pem()).unwrap();
        let unfit = config(directory.path()).unfit_files();
        assert_eq!(unfit.len(), 2, "{unfit:#?}");
        assert!(unfit[0].contains("chmod 600"), "{}", unfit[0]);
        assert!(unfit[1].contains("is no program that may be run: chmod +x"), "{}", unfit[1]);
        set_permissions(path("keys"), Permissions::from_mode(0o600)).unwrap();
        set_permissions(path("probe"), Permissions::from_mode(0o755)).unwrap();
        assert!(config(directory.path()).unfit_files().is_empty());
        write(path("ca.pem"), "no certificate").unwrap();
        assert!(config(directory.path()).unfit_files()[0].contains("no certificate in"));
    }
}
