//! Names of the store's files: `EPOCH-ROLE-BOOT-NUMBER.KIND`.
//!
//! A name is never used twice: the number grows with each file that is begun in a directory, and epoch, role and start of a
//! writer are its own. So no writer can write over what another has written.

use std::fmt;

use lb_core::{
    checkpoint::Origin,
    pair::{Epoch, Role},
};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// Says who writes to a shared disk.
    Owner,
    /// A snapshot that is being written.
    Unfinished,
    /// All that was known at an instant.
    Snapshot,
    /// What changed since.
    Log,
}

impl FileKind {
    const ALL: [Self; 4] = [Self::Owner, Self::Unfinished, Self::Snapshot, Self::Log];

    fn suffix(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Unfinished => "unfinished",
            Self::Snapshot => "snapshot",
            Self::Log => "log",
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.suffix())
    }
}

/// The name of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The epoch in which the content's owner had the VIPs.
    pub epoch: Epoch,
    /// The owner's configured role.
    pub owner: Role,
    /// The generation of the owner's start.
    pub boot: u32,
    /// Grows with each snapshot, log and owner file in the directory.
    pub number: u64,
    /// What the file is.
    pub kind: FileKind,
}

/// Which of two files is newer: the greater rank is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank(Seniority, u64);

/// Who rules on a shared disk: the greater does. On a disk of one's own nobody else writes, and all are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seniority {
    epoch: Epoch,
    is_primary: bool,
    boot: u32,
}

impl Name {
    pub(crate) fn new(origin: &Origin, number: u64, kind: FileKind) -> Self {
        Self { epoch: origin.epoch, owner: origin.owner, boot: origin.boot, number, kind }
    }

    /// Reads a name; none when the file is not of the store.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (stem, suffix) = name.split_once('.')?;
        let kind = FileKind::ALL.into_iter().find(|kind| kind.suffix() == suffix)?;
        let mut fields = stem.split('-');
        let mut field = || fields.next();
        let parsed = Self {
            epoch: field()?.parse().ok()?,
            owner: role(field()?)?,
            boot: field()?.parse().ok()?,
            number: field()?.parse().ok()?,
            kind,
        };
        // One file has one name: what reads alike and is written otherwise (a sign, other zeros) is not the store's.
        (parsed.to_string() == name).then_some(parsed)
    }

    /// The content of a file of this name is of this origin.
    #[must_use]
    pub fn is_of(&self, origin: &Origin) -> bool {
        (self.epoch, self.owner, self.boot) == (origin.epoch, origin.owner, origin.boot)
    }

    pub(crate) fn with(self, kind: FileKind) -> Self {
        Self { kind, ..self }
    }

    pub(crate) fn rank(&self, shared: bool) -> Rank {
        let seniority = if shared { self.seniority() } else { Seniority::default() };
        Rank(seniority, self.number)
    }

    pub(crate) fn seniority(&self) -> Seniority {
        Seniority { epoch: self.epoch, is_primary: self.owner == Role::Primary, boot: self.boot }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, owner, boot, number, kind } = self;
        write!(f, "{epoch:010}-{}-{boot:010}-{number:010}.{kind}", role_name(*owner))
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Primary => "primary",
        Role::Standby => "standby",
    }
}

fn role(name: &str) -> Option<Role> {
    [Role::Primary, Role::Standby].into_iter().find(|role| role_name(*role) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(epoch: Epoch, owner: Role, boot: u32, number: u64) -> Name {
        Name { epoch, owner, boot, number, kind: FileKind::Log }
    }

    #[test]
    fn a_name_reads_as_it_was_written() {
        for kind in FileKind::ALL {
            let name = Name { epoch: 7, owner: Role::Standby, boot: u32::MAX, number: 12_345_678_901, kind };
            assert_eq!(Name::parse(&name.to_string()), Some(name));
        }
        assert_eq!(
            name(7, Role::Primary, 9, 3).to_string(),
            "0000000007-primary-0000000009-0000000003.log",
            "the form that the documentation gives"
        );
    }

    #[test]
    fn other_names_are_not_the_stores() {
        for other in [
            "",
            "state.json",
            "0000000007-primary-0000000009-0000000003",
            "0000000007-primary-0000000009-0000000003.log.bak",
            "0000000007-third-0000000009-0000000003.log",
            "+000000007-primary-0000000009-0000000003.log",
            "7-primary-9-3.log",
            "0000000007-primary-0000000009-0000000003-1.log",
            "9999999999-primary-0000000009-0000000003.log",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }

    #[test]
    fn on_a_shared_disk_the_epoch_rules_then_the_role_then_the_start() {
        let rising = [
            name(1, Role::Primary, 9, 9),
            name(2, Role::Standby, 9, 1),
            name(2, Role::Primary, 1, 1),
            name(2, Role::Primary, 2, 1),
            name(2, Role::Primary, 2, 2),
        ];
        assert!(rising.windows(2).all(|pair| pair[0].rank(true) < pair[1].rank(true)));
    }

    #[test]
    fn on_a_disk_of_its_own_the_number_rules() {
        assert!(name(9, Role::Primary, 9, 1).rank(false) < name(0, Role::Standby, 1, 2).rank(false));
    }
}
