//! The ports of a service, and the prefixes that an LPM trie needs for a range of them.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The ports that clients use. Port 0 is none of them, but in [`Ports::Any`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ports {
    /// One port.
    Single(u16),
    /// From the first to the last, both included.
    Range(u16, u16),
    /// Every port that no other service of the VIP and protocol has.
    Any,
}

impl Ports {
    /// Whether a packet to `port` is for these ports.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        match self {
            Self::Single(own) => own == port,
            Self::Range(first, last) => first <= port && port <= last,
            Self::Any => true,
        }
    }

    /// The first and the last of them.
    #[must_use]
    pub const fn bounds(self) -> (u16, u16) {
        match self {
            Self::Single(port) => (port, port),
            Self::Range(first, last) => (first, last),
            Self::Any => (0, u16::MAX),
        }
    }

    /// The prefixes that the LPM trie holds for these ports; none for a single port, which a hash table holds.
    #[must_use]
    pub fn prefixes(self) -> Vec<(u32, u16)> {
        match self {
            Self::Single(_) => Vec::new(),
            Self::Range(first, last) => port_prefixes(first, last),
            Self::Any => vec![(0, 0)],
        }
    }
}

/// Why a text names no ports.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a port: write one port (443), a range (8000-8099) or \"any\"; ports go from 1 to 65535")]
pub struct PortsError(pub String);

/// `443`, `8000-8099` or `any`.
impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(port) => f.pad(&port.to_string()),
            Self::Range(first, last) => f.pad(&format!("{first}-{last}")),
            Self::Any => f.pad("any"),
        }
    }
}

/// The inverse of `Display`.
impl FromStr for Ports {
    type Err = PortsError;

    fn from_str(text: &str) -> Result<Self, PortsError> {
        let port = |digits: &str| match digits.parse::<u16>() {
            Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
            _ => Err(PortsError(text.to_owned())),
        };
        match text.split_once('-') {
            None if text == "any" => Ok(Self::Any),
            None => Ok(Self::Single(port(text)?)),
            Some((first, last)) => Ok(Self::Range(port(first)?, port(last)?)),
        }
    }
}

/// The fewest aligned blocks of ports that cover `first..=last` and nothing else, from low to high: of each the number
/// of leading bits that it fixes (0 to 16) and its first port. Empty when `first` is above `last`.
#[must_use]
pub fn port_prefixes(first: u16, last: u16) -> Vec<(u32, u16)> {
    let (mut next, end) = (u32::from(first), u32::from(last) + 1);
    let mut prefixes = Vec::new();
    while next < end {
        let aligned = if next == 0 { 16 } else { next.trailing_zeros().min(16) };
        let free_bits = aligned.min((end - next).ilog2());
        prefixes.push((16 - free_bits, next as u16));
        next += 1 << free_bits;
    }
    prefixes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The blocks of the minimal cover, found top-down: a block inside the range is taken whole, one that straddles an
    /// end is halved.
    fn by_halving(first: u32, last: u32, bits: u32, block: u32, out: &mut Vec<(u32, u16)>) {
        let size = 1 << (16 - bits);
        let end = block + size - 1;
        if end < first || last < block {
            return;
        }
        if first <= block && end <= last {
            out.push((bits, block as u16));
            return;
        }
        by_halving(first, last, bits + 1, block, out);
        by_halving(first, last, bits + 1, block + size / 2, out);
    }

    #[test]
    fn prefixes_of_well_known_ranges() {
        assert_eq!(port_prefixes(80, 80), [(16, 80)]);
        assert_eq!(port_prefixes(80, 95), [(12, 80)]);
        assert_eq!(port_prefixes(80, 96), [(12, 80), (16, 96)]);
        assert_eq!(port_prefixes(0, 65535), [(0, 0)]);
        assert_eq!(port_prefixes(1, 65535).len(), 16);
        assert_eq!(port_prefixes(1, 65534).len(), 30);
        assert_eq!(port_prefixes(65535, 65535), [(16, 65535)]);
        assert_eq!(port_prefixes(9, 8), []);
        assert_eq!(Ports::Any.prefixes(), [(0, 0)]);
        assert_eq!(Ports::Single(80).prefixes(), []);
    }

    proptest! {
        #![proptest_config(crate::testing::cases(256))]

        #[test]
        fn prefixes_are_the_minimal_cover(a: u16, b: u16) {
            let (first, last) = (a.min(b), a.max(b));
            let mut wanted = Vec::new();
            by_halving(first.into(), last.into(), 0, 0, &mut wanted);
            prop_assert_eq!(port_prefixes(first, last), wanted);
        }

        #[test]
        fn text_and_back(a in 1u16.., b in 1u16..) {
            for ports in [Ports::Single(a), Ports::Range(a, b), Ports::Any] {
                prop_assert_eq!(ports.to_string().parse(), Ok(ports));
            }
        }
    }

    #[test]
    fn texts_that_name_no_ports() {
        for text in ["", "0", "65536", "-1", "80-", "-80", "80-90-100", "+80", " 80", "http", "0-80", "ANY"] {
            assert_eq!(text.parse::<Ports>(), Err(PortsError(text.to_owned())), "{text:?}");
        }
    }
}
