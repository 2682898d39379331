//! Blocks of addresses: an address, and how many of its leading bits count.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use thiserror::Error;

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// Why a text is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PrefixError {
    /// It has another form.
    #[error("{0:?} is not a prefix; write an address, a slash and how many bits count, as in 192.0.2.0/24")]
    Form(String),
    /// The address has fewer bits.
    #[error("{address} has {bits} bits, and the prefix {length}; write {address}/{bits} for the address alone")]
    Length {
        /// The address.
        address: IpAddr,
        /// The length that was given.
        length: u8,
        /// The most that it can be.
        bits: u8,
    },
    /// Bits beyond the prefix are set.
    #[error(
        "{address}/{length} has bits set beyond its {length}; write {right}, or {address}/{bits} for the address alone"
    )]
    HostBits {
        /// The address.
        address: IpAddr,
        /// The length.
        length: u8,
        /// The prefix that the address is in.
        right: Prefix,
        /// The most that the length can be.
        bits: u8,
    },
}

/// Bits of an address.
const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address with all but its first `length` bits zero.
#[must_use]
pub fn leading(address: IpAddr, length: u8) -> IpAddr {
    let gone = u32::from(bits(address).saturating_sub(length));
    match address {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & u32::MAX.checked_shl(gone).unwrap_or(0)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & u128::MAX.checked_shl(gone).unwrap_or(0)).into(),
    }
}

impl Prefix {
    /// A prefix.
    ///
    /// # Errors
    ///
    /// The length is beyond the address's, or bits beyond the length are set.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, PrefixError> {
        let bits = bits(address);
        if length > bits {
            return Err(PrefixError::Length { address, length, bits });
        }
        let right = Self { address: leading(address, length), length };
        if right.address != address {
            return Err(PrefixError::HostBits { address, length, right, bits });
        }
        Ok(right)
    }

    /// The prefix of this length that the address is in; that of the address alone where it has fewer bits.
    #[must_use]
    pub fn around(address: IpAddr, length: u8) -> Self {
        Self { address: leading(address, length), length: length.min(bits(address)) }
    }

    /// As `Display`, but of a single address that alone.
    #[must_use]
    pub fn brief(&self) -> String {
        if self.free_bits() == 0 { self.address.to_string() } else { self.to_string() }
    }

    /// The first address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits count.
    #[must_use]
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// How many bits do not count.
    #[must_use]
    pub const fn free_bits(&self) -> u8 {
        bits(self.address) - self.length
    }

    /// Whether the address is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && leading(address, self.length) == self.address
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.address, self.length))
    }
}

/// The inverse of `Display`. An address alone is the prefix of just that one.
impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let wrong = || PrefixError::Form(text.to_owned());
        let Some((address, length)) = text.split_once('/') else {
            let address: IpAddr = text.parse().map_err(|_| wrong())?;
            return Self::new(address, bits(address));
        };
        let length = Some(length).filter(|length| length.bytes().all(|byte| byte.is_ascii_digit()));
        let length = length.and_then(|length| length.parse().ok()).ok_or_else(wrong)?;
        Self::new(address.parse().map_err(|_| wrong())?, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Prefix, PrefixError> {
        text.parse()
    }

    #[test]
    fn prefixes_are_read_as_they_are_written() {
        for text in ["192.0.2.0/24", "0.0.0.0/0", "192.0.2.1/32", "2001:db8::/32", "::/0", "2001:db8::1/128"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("192.0.2.1").unwrap().to_string(), "192.0.2.1/32");
        assert_eq!(parse("2001:db8::1").unwrap().to_string(), "2001:db8::1/128");
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for text in ["", "/", "web", "192.0.2.0/", "192.0.2.0/+8", "192.0.2.0/-1", "192.0.2.0/256", "192.0.2/24"] {
            assert_eq!(parse(text), Err(PrefixError::Form(text.to_owned())), "{text}");
        }
        let text = parse("192.0.2.0/33").unwrap_err().to_string();
        assert_eq!(text, "192.0.2.0 has 32 bits, and the prefix 33; write 192.0.2.0/32 for the address alone");
        assert!(parse("2001:db8::/129").is_err());
    }

    #[test]
    fn the_prefix_around_an_address() {
        let around = |text: &str, length| Prefix::around(text.parse().unwrap(), length).to_string();
        assert_eq!(around("192.0.2.77", 26), "192.0.2.64/26");
        assert_eq!(around("192.0.2.77", 64), "192.0.2.77/32");
        assert_eq!(Prefix::around("192.0.2.77".parse().unwrap(), 32).brief(), "192.0.2.77");
        assert_eq!(Prefix::around("192.0.2.77".parse().unwrap(), 24).brief(), "192.0.2.0/24");
        assert_eq!(around("2001:db8::1", 64), "2001:db8::/64");
    }

    #[test]
    fn bits_beyond_the_prefix_are_refused_with_the_right_prefix() {
        let text = parse("192.0.2.77/26").unwrap_err().to_string();
        assert_eq!(
            text,
            "192.0.2.77/26 has bits set beyond its 26; write 192.0.2.64/26, or 192.0.2.77/32 for the address alone"
        );
        assert!(parse("2001:db8::1/64").unwrap_err().to_string().contains("write 2001:db8::/64"));
    }

    #[test]
    fn addresses_are_inside_or_not() {
        let prefix = parse("192.0.2.64/26").unwrap();
        assert_eq!(prefix.free_bits(), 6);
        for (address, inside) in
            [("192.0.2.64", true), ("192.0.2.127", true), ("192.0.2.128", false), ("2001:db8::", false)]
        {
            assert_eq!(prefix.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert!(parse("::/0").unwrap().contains("2001:db8::1".parse().unwrap()));
    }
}
