//! What a configuration names of its host, which may be missing or unfit though the configuration itself is right: files, serial
//! devices, addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use lb_config::keys;
use lb_core::check::{Check, Kind};

use super::{Config, PairSettings, Way};
use crate::{checks, peer, source};

impl Config {
    /// What is wrong with the files that it names, a line each: key files, authorities and programs of checks that some
    /// service makes, and what the pair names.
    #[must_use]
    pub fn unfit_files(&self) -> Vec<String> {
        let reports = self.settings.reports.as_ref().and_then(|reports| keys::read(&reports.key_file).err());
        let own: BTreeSet<IpAddr> = source::own_addresses().unwrap_or_default().iter().map(|own| own.address).collect();
        let pair = self.settings.pair.as_ref().map(|pair| pair.unfit_on_host(&own)).unwrap_or_default();
        let checkpoint = self.settings.checkpoint.as_ref().and_then(|kept| peer::read_keys(&kept.key_file).err());
        let reports = reports.map(|error| error.to_string());
        let checkpoint = checkpoint.map(|error| format!("{error:#}"));
        // Reports, checkpoints and the pair may well have one key file.
        let mut keys: Vec<String> = reports.into_iter().chain(checkpoint).chain(pair).collect();
        keys.dedup();
        let unfit = |check: &Check| {
            let wrong = checks::look_at_files(check).err()?;
            Some(format!("check {:?} cannot be made: {wrong}", check.name))
        };
        keys.into_iter().chain(self.checks_in_use().into_values().filter_map(unfit)).collect()
    }

    /// The programs that it names: those of checks that some service makes, and hooks.
    pub fn programs(&self) -> impl Iterator<Item = &[String]> {
        let hooks = self.settings.pair.iter().flat_map(|pair| [&pair.hooks.notify, &pair.hooks.fence]).flatten();
        let checks = self.checks_in_use().into_values().filter_map(|check| match &check.kind {
            Kind::Exec { command } => Some(command),
            _ => None,
        });
        hooks.chain(checks).map(Vec::as_slice)
    }

    /// By name: services may have some in common.
    fn checks_in_use(&self) -> BTreeMap<&str, &Check> {
        let checks = self.monitoring.services.values().flat_map(|service| &service.checks);
        checks.map(|check| (check.name.as_str(), &**check)).collect()
    }
}

impl PairSettings {
    /// What the pair cannot use of this host, which has these addresses: a line each.
    fn unfit_on_host(&self, own: &BTreeSet<IpAddr>) -> Vec<String> {
        let keys = peer::read_keys(&self.key_file).err().map(|error| format!("{error:#}"));
        let paths = self.paths.iter().filter_map(|path| match &path.way {
            Way::Udp(way) if own.contains(&way.peer.ip()) => {
                let what = format!("the peer's address {} is this host's own", way.peer.ip());
                Some(format!("path {} cannot be used: {what}; write that of the other node", path.way))
            }
            Way::Udp(_) => None,
            Way::Serial(way) => {
                let wrong = look_at_serial(&way.device).err()?;
                Some(format!("path {} cannot be used: {wrong}", path.way))
            }
        });
        let hooks = [("notify", &self.hooks.notify), ("fence", &self.hooks.fence)];
        let hooks = hooks.into_iter().filter_map(|(name, command)| {
            let wrong = checks::look_at_command(command.as_ref()?).err()?;
            Some(format!("hook `{name}` {wrong}"))
        });
        keys.into_iter().chain(paths).chain(hooks).collect()
    }
}

/// Opens it without waiting for a carrier, and without making it the terminal of this process.
fn look_at_serial(device: &Path) -> Result<(), String> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    match OpenOptions::new().read(true).write(true).custom_flags(flags).open(device) {
        Ok(file) if file.is_terminal() => Ok(()),
        Ok(_) => Err("it is no serial line".to_owned()),
        // Whoever has it may be lbd.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(()),
        Err(error) => Err(format!("{error}; `dmesg | grep tty` tells what there is")),
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
    fn the_key_file_of_checkpoints_is_named_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path());
        let others = config.unfit_files().len();
        config.settings.pair = Some(pair(directory.path()));
        let with_pair = config.unfit_files().len();
        let text = format!(
            "interfaces = [\"eth0\"]\n[checkpoint]\nkey_file = \"{}\"\n",
            directory.path().join("keys").display()
        );
        let kept = Config::parse(Path::new("lbd.toml"), &text, &|_| None).unwrap().settings.checkpoint.unwrap();
        config.settings.checkpoint = Some(kept.clone());
        assert_eq!(config.unfit_files().len(), with_pair, "one key file, one line");
        config.settings.pair = None;
        config.settings.reports = None;
        assert_eq!(config.unfit_files().len(), others, "in the place of the line for reports");
        config.settings.checkpoint =
            Some(crate::config::CheckpointSettings { key_file: "/nowhere/keys".into(), ..kept });
        assert!(config.unfit_files()[0].starts_with("cannot use the key file /nowhere/keys: No such file"));
    }

    /// A pair whose key file, devices and hook are in `directory`.
    fn pair(directory: &Path) -> PairSettings {
        let path = |name: &str| directory.join(name).display().to_string();
        let text = format!(
            r#"interfaces = ["eth0"]
[pair]
role = "primary"
key_file = "{}"
[[pair.path]]
type = "udp"
interface = "eth1"
local = "192.0.2.2"
peer = "192.0.2.3"
[[pair.path]]
type = "serial"
device = "{}"
[pair.hooks]
notify = ["/bin/true"]
fence = ["{}"]
"#,
            path("keys"),
            path("tty"),
            path("fence")
        );
        Config::parse(Path::new("lbd.toml"), &text, &|_| None).unwrap().settings.pair.unwrap()
    }

    #[test]
    fn what_a_pair_cannot_use_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let pair = pair(directory.path());
        let own = BTreeSet::from(["192.0.2.3".parse().unwrap()]);
        let unfit = pair.unfit_on_host(&own);
        assert_eq!(unfit.len(), 4, "{unfit:#?}");
        assert!(unfit[0].starts_with(&format!("cannot use the key file {}: No such file", path("keys").display())));
        let own_address = "the peer's address 192.0.2.3 is this host's own; write that of the other node";
        assert_eq!(unfit[1], format!("path udp eth1 cannot be used: {own_address}"));
        let serial = format!("path serial {} cannot be used: No such file", path("tty").display());
        assert!(unfit[2].starts_with(&serial), "{}", unfit[2]);
        let fence = format!("hook `fence` cannot run {}: no such file or directory", path("fence").display());
        assert_eq!(unfit[3], fence);
    }

    #[test]
    fn what_a_pair_can_use_is_found_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let pair = pair(directory.path());
        let none = BTreeSet::new();
        // A key that is bound to a real is not good for the pair; a file is no serial line.
        write(path("keys"), format!("1 {} web1\n", "0a".repeat(32))).unwrap();
        set_permissions(path("keys"), Permissions::from_mode(0o600)).unwrap();
        write(path("fence"), "").unwrap();
        set_permissions(path("fence"), Permissions::from_mode(0o755)).unwrap();
        write(path("tty"), "").unwrap();
        let unfit = pair.unfit_on_host(&none);
        assert_eq!(unfit.len(), 2, "{unfit:#?}");
        assert!(unfit[0].contains("no key is good for the pair"), "{}", unfit[0]);
        assert!(unfit[1].ends_with("cannot be used: it is no serial line"), "{}", unfit[1]);
        write(path("keys"), format!("1 {}\n", "0a".repeat(32))).unwrap();
        let pty = nix::pty::openpty(None, None).unwrap();
        let name = nix::unistd::ttyname(&pty.slave).unwrap();
        std::fs::remove_file(path("tty")).unwrap();
        std::os::unix::fs::symlink(name, path("tty")).unwrap();
        assert!(pair.unfit_on_host(&none).is_empty(), "{:#?}", pair.unfit_on_host(&none));
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
