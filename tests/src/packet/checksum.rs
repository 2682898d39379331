//! The internet checksum (RFC 1071), the slow and plain way.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Checksum of `bytes`: the complement of the ones' complement sum of its 16-bit words.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    checksum_of_parts(&[bytes])
}

/// Checksum of parts that follow one another. Each but the last has an even length.
#[must_use]
pub fn checksum_of_parts(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        for word in part.chunks(2) {
            sum += u64::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The IPv4 pseudo-header (RFC 9293 section 3.1) of `length` bytes of `protocol`.
#[must_use]
pub fn pseudo_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(12);
    header.extend(source.octets());
    header.extend(destination.octets());
    header.extend([0, protocol]);
    header.extend((length as u16).to_be_bytes());
    header
}

/// The IPv6 pseudo-header (RFC 8200 section 8.1) of `length` bytes of `protocol`.
#[must_use]
pub fn pseudo_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, length: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(40);
    header.extend(source.octets());
    header.extend(destination.octets());
    header.extend((length as u32).to_be_bytes());
    header.extend([0, 0, 0, protocol]);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn an_odd_byte_is_the_high_half_of_a_word() {
        assert_eq!(checksum(&[0x12, 0x34, 0x56]), checksum(&[0x12, 0x34, 0x56, 0x00]));
    }
}
