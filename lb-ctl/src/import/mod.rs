//! Turns the configuration of another load balancer into one of `lbd`, and lists what has no counterpart.
//!
//! `keepalived` and `ipvsadm` read, each into a `Draft`; `settle` takes out what cannot be together; `write` makes the file.
//! Whatever comes in, what comes out is a configuration whose services and reals fit together.

mod clients;
mod draft;
mod ipvsadm;
mod keepalived;
mod remarks;
mod schedulers;
mod settle;
#[cfg(test)]
mod tests;
mod write;

use serde::Serialize;

pub use draft::is_interface;
pub use remarks::Remark;
use remarks::Remarks;

/// The largest file that is read, in bytes; as large as a configuration of `lbd` can be.
pub const MAX_FILE: u64 = 16 << 20;
/// The interface where the source names none.
const USUAL_INTERFACE: &str = "eth0";
/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A `keepalived.conf`.
    Keepalived,
    /// The output of `ipvsadm -Sn`.
    Ipvsadm,
}

impl Source {
    fn word(self) -> &'static str {
        match self {
            Self::Keepalived => "keepalived",
            Self::Ipvsadm => "ipvsadm",
        }
    }
}

/// What became of a file.
#[derive(Debug, Serialize)]
pub struct Imported {
    /// A configuration of `lbd`. Its first lines list the remarks, too.
    pub config: String,
    /// How many services it has.
    pub services: usize,
    /// How many reals it has.
    pub reals: usize,
    /// What has no counterpart, or another one than may be expected; by line.
    pub remarks: Vec<Remark>,
}

/// Why nothing was imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The file is not what it should be.
    #[error("line {line}: {what}")]
    Syntax { line: usize, what: &'static str },
    /// There is nothing that could be taken over.
    #[error("there is no service in it that lbd could have; {}", .first.as_ref().map_or_else(|| expected(*.source_kind).to_owned(), ToString::to_string))]
    Nothing { source_kind: Source, first: Option<Remark> },
}

fn expected(source: Source) -> &'static str {
    match source {
        Source::Keepalived => "give a keepalived.conf that has a virtual_server",
        Source::Ipvsadm => "give the output of `ipvsadm -Sn`",
    }
}

/// Reads a file of another load balancer. `interfaces` go before those that it names.
///
/// # Errors
/// It is not such a file, or has no service that `lbd` could have.
pub fn import(source: Source, text: &str, interfaces: &[String]) -> Result<Imported, ImportError> {
    let mut remarks = Remarks::default();
    let mut draft = match source {
        Source::Keepalived => keepalived::read(text, &mut remarks)?,
        Source::Ipvsadm => ipvsadm::read(text, &mut remarks),
    };
    settle::settle(&mut draft, &mut remarks);
    if draft.services.is_empty() {
        return Err(ImportError::Nothing { source_kind: source, first: remarks.grouped().into_iter().next() });
    }
    choose_interfaces(&mut draft.interfaces, interfaces, &mut remarks);
    let remarks = remarks.grouped();
    Ok(Imported {
        config: write::config(&draft, source, &remarks),
        services: draft.services.len(),
        reals: draft.reals().len(),
        remarks,
    })
}

fn choose_interfaces(found: &mut Vec<String>, wanted: &[String], remarks: &mut Remarks) {
    if !wanted.is_empty() {
        found.retain(|name| !wanted.contains(name));
        found.splice(0..0, wanted.iter().cloned());
    }
    if found.is_empty() {
        found.push(USUAL_INTERFACE.to_owned());
        remarks.in_general(format!(
            "`interfaces` is [\"{USUAL_INTERFACE}\"]: write those that clients' packets come in by, or give --interface"
        ));
    }
}
