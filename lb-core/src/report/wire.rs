//! The datagram of a report. docs/reference/reports.md is the definition; [`Head`] is its table as a type.

use zerocopy::byteorder::network_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Availability, Load, Mark, Network, Refusal, Report, Share};
use crate::auth::{Key, Keys, TAG_SIZE};
use crate::service::{MAX_NAME_LENGTH, is_name};

/// The version of the format.
pub const VERSION: u8 = 1;
/// Length of the longest datagram, in bytes.
pub const MAX_REPORT_SIZE: usize = size_of::<Head>() + MAX_NAME_LENGTH + TAG_SIZE;
/// The longest interval between reports, in milliseconds.
pub const MAX_INTERVAL_MS: u32 = 3_600_000;

const MAGIC: [u8; 4] = *b"USTY";
const KIND_REPORT: u8 = 1;

const HAS_CPU: u8 = 1;
const HAS_MEMORY: u8 = 1 << 1;
const HAS_NETWORK: u8 = 1 << 2;
const HAS_HITS: u8 = 1 << 3;
const HAS_CUSTOM: u8 = 1 << 4;
const HAS_ANY: u8 = HAS_CPU | HAS_MEMORY | HAS_NETWORK | HAS_HITS | HAS_CUSTOM;

/// What stands before the real's name. Fields of what was not measured are 0.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    magic: [u8; 4],
    version: u8,
    kind: u8,
    key: U16,
    generation: U64,
    sequence: U64,
    interval_ms: U32,
    availability: u8,
    measured: u8,
    cpu: U16,
    memory: U16,
    custom: U16,
    hits: U64,
    received: U64,
    sent: U64,
    limit: U64,
    name_length: u8,
}

const _: () = assert!(size_of::<Head>() == 69 && MAX_REPORT_SIZE <= 256);

/// Why a report cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The real's name cannot be one.
    #[error(
        "{0:?} cannot be a real's name: it must be 1 to {MAX_NAME_LENGTH} letters, digits, dots, underscores or hyphens"
    )]
    Name(String),
    /// Sequence 0.
    #[error("reports are numbered from 1")]
    Sequence,
    /// The interval does not fit.
    #[error("the interval of reports must be 1 to {MAX_INTERVAL_MS} ms, and is {0} ms")]
    Interval(u32),
    /// No key is good for the real.
    #[error("no key is good for reports of {0}; add a line `ID SECRET` or `ID SECRET {0}` to the key file")]
    NoKey(String),
}

/// The datagram of a report, signed with the first key that is good for its real.
///
/// # Errors
///
/// The report has a field that no receiver takes, or there is no such key.
pub fn encode(report: &Report, keys: &Keys) -> Result<Vec<u8>, EncodeError> {
    if !is_name(&report.real) {
        return Err(EncodeError::Name(report.real.clone()));
    }
    if report.sequence == 0 {
        return Err(EncodeError::Sequence);
    }
    if !(1..=MAX_INTERVAL_MS).contains(&report.interval_ms) {
        return Err(EncodeError::Interval(report.interval_ms));
    }
    let key = keys.signing(Some(&report.real)).ok_or_else(|| EncodeError::NoKey(report.real.clone()))?;
    let mut datagram = Vec::with_capacity(MAX_REPORT_SIZE);
    datagram.extend_from_slice(Head::of(report, key.id()).as_bytes());
    datagram.extend_from_slice(report.real.as_bytes());
    let tag = key.tag(&[&datagram]);
    datagram.extend_from_slice(&tag);
    Ok(datagram)
}

/// The report of a datagram, of whatever age and real; [`super::Inbox::receive`] takes the new ones of known reals.
///
/// # Errors
///
/// The datagram is not one of a report, or not signed with the key that it names, or that key is not good for its real.
pub fn decode(datagram: &[u8], keys: &Keys) -> Result<Report, Refusal> {
    let datagram = Datagram::parse(datagram)?;
    let key = keys.get(datagram.key_id()).ok_or(Refusal::UnknownKey)?;
    if !key.is_for(datagram.real) {
        return Err(Refusal::WrongKey);
    }
    if !datagram.is_signed_with(key) {
        return Err(Refusal::BadTag);
    }
    Ok(datagram.report())
}

/// A datagram of the right form. Whether its sender knew a key is not looked at yet.
pub(super) struct Datagram<'a> {
    head: &'a Head,
    availability: Availability,
    pub(super) real: &'a str,
    signed: &'a [u8],
    tag: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a datagram. Each report has one form only, so nothing can be changed that does not change the report.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let (head, rest) = Head::ref_from_prefix(bytes).map_err(|_| Refusal::Malformed)?;
        if head.magic != MAGIC {
            return Err(Refusal::Malformed);
        }
        if head.version != VERSION {
            return Err(Refusal::Version);
        }
        let (name, tag) = rest.split_at_checked(head.name_length.into()).ok_or(Refusal::Malformed)?;
        let real = str::from_utf8(name).ok().filter(|name| is_name(name)).ok_or(Refusal::Malformed)?;
        let availability = head.availability().ok_or(Refusal::Malformed)?;
        if tag.len() != TAG_SIZE || !head.fits() {
            return Err(Refusal::Malformed);
        }
        Ok(Self { head, availability, real, signed: &bytes[..bytes.len() - TAG_SIZE], tag })
    }

    pub(super) fn key_id(&self) -> u16 {
        self.head.key.get()
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { generation: self.head.generation.get(), sequence: self.head.sequence.get() }
    }

    pub(super) fn is_signed_with(&self, key: &Key) -> bool {
        key.verify(&[self.signed], self.tag)
    }

    pub(super) fn report(&self) -> Report {
        Report {
            real: self.real.to_owned(),
            generation: self.head.generation.get(),
            sequence: self.head.sequence.get(),
            interval_ms: self.head.interval_ms.get(),
            availability: self.availability,
            load: self.head.load(),
        }
    }
}

impl Head {
    fn of(report: &Report, key: u16) -> Self {
        let load = &report.load;
        let network = load.network.unwrap_or_default();
        let share = |share: Option<Share>| U16::new(share.unwrap_or_default().0);
        Self {
            magic: MAGIC,
            version: VERSION,
            kind: KIND_REPORT,
            key: key.into(),
            generation: report.generation.into(),
            sequence: report.sequence.into(),
            interval_ms: report.interval_ms.into(),
            availability: number(report.availability),
            measured: measured(load),
            cpu: share(load.cpu),
            memory: share(load.memory),
            custom: share(load.custom),
            hits: load.hits.unwrap_or_default().into(),
            received: network.received.into(),
            sent: network.sent.into(),
            limit: network.limit.into(),
            name_length: report.real.len() as u8,
        }
    }

    /// Whether it is of a report, and all numbers are such that a report can have them.
    fn fits(&self) -> bool {
        self.kind == KIND_REPORT
            && self.sequence.get() > 0
            && (1..=MAX_INTERVAL_MS).contains(&self.interval_ms.get())
            && self.measured & !HAS_ANY == 0
            && (self.has(HAS_CPU) || self.cpu.get() == 0)
            && (self.has(HAS_MEMORY) || self.memory.get() == 0)
            && (self.has(HAS_NETWORK) || [self.received, self.sent, self.limit].iter().all(|field| field.get() == 0))
            && (self.has(HAS_HITS) || self.hits.get() == 0)
            && (self.has(HAS_CUSTOM) || self.custom.get() == 0)
    }

    fn has(&self, measure: u8) -> bool {
        self.measured & measure != 0
    }

    fn availability(&self) -> Option<Availability> {
        [Availability::Alive, Availability::Drain, Availability::Stop]
            .into_iter()
            .find(|availability| number(*availability) == self.availability)
    }

    fn load(&self) -> Load {
        let network = Network { received: self.received.get(), sent: self.sent.get(), limit: self.limit.get() };
        Load {
            cpu: self.has(HAS_CPU).then_some(Share(self.cpu.get())),
            memory: self.has(HAS_MEMORY).then_some(Share(self.memory.get())),
            network: self.has(HAS_NETWORK).then_some(network),
            hits: self.has(HAS_HITS).then_some(self.hits.get()),
            custom: self.has(HAS_CUSTOM).then_some(Share(self.custom.get())),
        }
    }
}

/// The number that stands for what a real says of itself.
fn number(availability: Availability) -> u8 {
    match availability {
        Availability::Alive => 0,
        Availability::Drain => 1,
        Availability::Stop => 2,
    }
}

/// One bit for each thing that was measured.
fn measured(load: &Load) -> u8 {
    let measures = [
        (load.cpu.is_some(), HAS_CPU),
        (load.memory.is_some(), HAS_MEMORY),
        (load.network.is_some(), HAS_NETWORK),
        (load.hits.is_some(), HAS_HITS),
        (load.custom.is_some(), HAS_CUSTOM),
    ];
    measures.into_iter().filter(|(is, _)| *is).fold(0, |bits, (_, bit)| bits | bit)
}
