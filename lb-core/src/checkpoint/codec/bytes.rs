//! Numbers, names and addresses, written and read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::{FAMILY_V4, FAMILY_V6};

use super::Flaw;
use crate::service::{MAX_NAME_LENGTH, is_name};

const MORE: u8 = 1 << 7;

pub(super) fn put_u32(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_be_bytes());
}

pub(super) fn put_u16(number: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_be_bytes());
}

/// Seven bits a byte, the lowest ones first; each byte but the last has its highest bit set.
pub(super) fn put_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= u64::from(MORE) {
        out.push(number as u8 | MORE);
        number >>= 7;
    }
    out.push(number as u8);
}

/// 0 for none, else one more than the number.
pub(super) fn put_option(number: Option<u32>, out: &mut Vec<u8>) {
    put_number(number.map_or(0, |number| u64::from(number) + 1), out);
}

pub(super) fn put_name(name: &str, out: &mut Vec<u8>) {
    put_number(name.len() as u64, out);
    out.extend_from_slice(name.as_bytes());
}

/// The family, and four or sixteen bytes.
pub(super) fn put_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => {
            out.push(FAMILY_V4);
            out.extend_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            out.push(FAMILY_V6);
            out.extend_from_slice(&v6.octets());
        }
    }
}

/// What is still to be read.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Flaw> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Flaw::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Flaw::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, Flaw> {
        self.array().map(u8::from_be_bytes)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, Flaw> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Flaw> {
        self.array().map(u32::from_be_bytes)
    }

    /// The inverse of [`put_number`].
    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, Flaw> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & !MORE);
            if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
                return Err(Flaw::Number);
            }
            number |= bits << shift;
            if byte & MORE == 0 {
                return Ok(number);
            }
        }
        Err(Flaw::Number)
    }

    pub(super) fn number_u32(&mut self) -> Result<u32, Flaw> {
        u32::try_from(self.number()?).map_err(|_| Flaw::Number)
    }

    /// The inverse of [`put_option`].
    pub(super) fn option(&mut self) -> Result<Option<u32>, Flaw> {
        match self.number()?.checked_sub(1) {
            None => Ok(None),
            Some(number) => u32::try_from(number).map(Some).map_err(|_| Flaw::Number),
        }
    }

    /// How many `what` follow, where each takes `size` bytes at least and there are `max` at most: so that no more room is made than the
    /// bytes can fill.
    pub(super) fn count(&mut self, what: &'static str, size: usize, max: usize) -> Result<usize, Flaw> {
        let count = usize::try_from(self.number()?).map_err(|_| Flaw::Count(what))?;
        if count > max.min(self.0.len() / size) {
            return Err(Flaw::Count(what));
        }
        Ok(count)
    }

    pub(super) fn name(&mut self) -> Result<&'a str, Flaw> {
        let length = self.count("letters of a name", 1, MAX_NAME_LENGTH)?;
        let name = str::from_utf8(self.take(length)?).map_err(|_| Flaw::Name)?;
        if is_name(name) { Ok(name) } else { Err(Flaw::Name) }
    }

    /// The inverse of [`put_address`].
    pub(super) fn address(&mut self) -> Result<IpAddr, Flaw> {
        match self.u8()? {
            FAMILY_V4 => Ok(Ipv4Addr::from(self.array::<4>()?).into()),
            FAMILY_V6 => Ok(Ipv6Addr::from(self.array::<16>()?).into()),
            _ => Err(Flaw::Unknown("family")),
        }
    }
}
