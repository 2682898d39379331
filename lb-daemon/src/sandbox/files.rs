//! Which files can be reached: by Landlock, where the kernel has it.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, make_bitflags, path_beneath_rules,
};
use lb_core::{check::Kind, service::QuicLayout};

use crate::config::{CheckpointPlace, Config, PairSettings, Way};

/// The newest interface of the kernel whose kinds of access are known here. An older kernel limits what it can.
const KNOWN: ABI = ABI::V5;
/// What is read whatever the configuration says: libraries, users and groups, certificates, and what the kernel tells.
const SYSTEM: [&str; 6] = ["/etc", "/usr", "/lib", "/lib64", "/proc", "/sys"];
/// Mode of directories that are missing.
const DIRECTORY_MODE: u32 = 0o700;
/// Where serial lines are.
const DEVICES: &str = "/dev";

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
const USE_DEVICE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | IoctlDev});
/// Nobody makes devices, and programs are not run from here.
const NEVER: BitFlags<AccessFs> = make_bitflags!(AccessFs::{Execute | MakeChar | MakeBlock | IoctlDev});

/// What may be reached. Each place stands for all that is below it. Places that are not there are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// For reading.
    pub read: Vec<PathBuf>,
    /// For reading and writing.
    pub write: Vec<PathBuf>,
    /// For what is done with a serial line.
    pub devices: Vec<PathBuf>,
}

impl Places {
    /// What this configuration needs. Files of its own are replaced by others of the same name, so their directories count.
    #[must_use]
    pub fn of(config: &Config, config_path: &Path) -> Self {
        let settings = &config.settings;
        let pair = settings.pair.as_ref();
        let keys = [
            settings.reports.as_ref().map(|reports| &reports.key_file),
            pair.map(|pair| &pair.key_file),
            settings.checkpoint.as_ref().map(|checkpoint| &checkpoint.key_file),
        ];
        let own = keys.into_iter().flatten().map(PathBuf::as_path).chain([config_path]);
        let own = own.map(Path::to_path_buf).chain(authorities(config)).chain(quic_keys(config));
        let directories = own.filter_map(|file| file.parent().map(Path::to_path_buf));
        let checkpoints = settings.checkpoint.as_ref().map(|checkpoint| match &checkpoint.place {
            CheckpointPlace::Own(directory) | CheckpointPlace::Shared(directory) => directory,
        });
        let write = [&settings.state_dir, &settings.run_dir, &settings.bpf_dir].into_iter().chain(checkpoints);
        Self {
            read: SYSTEM.iter().map(PathBuf::from).chain(directories).collect(),
            write: write.cloned().collect(),
            devices: pair.is_some_and(has_serial).then(|| PathBuf::from(DEVICES)).into_iter().collect(),
        }
    }
}

fn authorities(config: &Config) -> impl Iterator<Item = PathBuf> {
    let checks = config.monitoring.services.values().flat_map(|service| &service.checks);
    checks.filter_map(|check| match &check.kind {
        Kind::Https(_, tls) => tls.ca_file.clone(),
        _ => None,
    })
}

fn quic_keys(config: &Config) -> impl Iterator<Item = PathBuf> {
    let encodings = config.cluster.services().iter().flat_map(|service| &service.quic);
    encodings.filter_map(|encoding| match &encoding.layout {
        QuicLayout::QuicLb { key, .. } => Some(key.as_ref()?.file.clone()),
        QuicLayout::Plain { .. } => None,
    })
}

fn has_serial(pair: &PairSettings) -> bool {
    pair.paths.iter().any(|path| matches!(path.way, Way::Serial(_)))
}

/// Leaves the calling thread, and all that it starts from now on, no other files than these. Says how far the kernel does so.
pub(super) fn confine(places: &Places) -> Result<&'static str, RulesetError> {
    // What is not there yet could not be named to the kernel. Whoever needs it says what is wrong with it.
    let mut maker = DirBuilder::new();
    maker.recursive(true).mode(DIRECTORY_MODE);
    for place in &places.write {
        if maker.create(place).is_ok() {
            // What they are in is out of reach afterwards: their names are kept now.
            drop(place.parent().map(|parent| File::open(parent).and_then(|parent| parent.sync_all())));
        }
    }
    let all = AccessFs::from_all(KNOWN);
    let rules = Ruleset::default().handle_access(all)?.create()?;
    let rules = rules.add_rules(path_beneath_rules(&places.read, READ))?;
    let rules = rules.add_rules(path_beneath_rules(&places.write, all & !NEVER))?;
    let rules = rules.add_rules(path_beneath_rules(&places.devices, USE_DEVICE))?;
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => "limited to its own",
        RulesetStatus::PartiallyEnforced => "limited to its own, as far as this kernel can (older than Linux 6.10)",
        RulesetStatus::NotEnforced => "not limited: this kernel has no Landlock",
    })
}
