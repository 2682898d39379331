//! Capture files as tcpdump and Wireshark read them (pcap, with times in nanoseconds).

use std::io::{self, Write};

use lb_core::api::TracedPacket;

/// Marks the format, and says that times are in nanoseconds.
const MAGIC: u32 = 0xa1b2_3c4d;
const VERSION: [u16; 2] = [2, 4];
/// Most bytes of a frame that a record may have.
const SNAP_LENGTH: u32 = 65_535;
const LINK_TYPE_ETHERNET: u32 = 1;
const NS_PER_SECOND: u64 = 1_000_000_000;

/// A capture file.
pub struct Pcap<W: Write>(W);

impl<W: Write> Pcap<W> {
    /// Writes the head of the file.
    pub fn begin(mut file: W) -> io::Result<Self> {
        file.write_all(&MAGIC.to_le_bytes())?;
        VERSION.iter().try_for_each(|number| file.write_all(&number.to_le_bytes()))?;
        // The time zone, and how exact times are: nobody uses them.
        file.write_all(&[0; 8])?;
        file.write_all(&SNAP_LENGTH.to_le_bytes())?;
        file.write_all(&LINK_TYPE_ETHERNET.to_le_bytes())?;
        file.flush()?;
        Ok(Self(file))
    }

    /// Adds a packet, so that whoever reads the file meanwhile sees it. One without bytes is left out.
    pub fn add(&mut self, packet: &TracedPacket) -> io::Result<()> {
        let Some(frame) = packet.frame.as_deref().and_then(bytes) else { return Ok(()) };
        // Seconds have 32 bits in this format.
        let seconds = (packet.unix_ns / NS_PER_SECOND) as u32;
        let nanoseconds = (packet.unix_ns % NS_PER_SECOND) as u32;
        let captured = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        for word in [seconds, nanoseconds, captured, packet.length.max(captured)] {
            self.0.write_all(&word.to_le_bytes())?;
        }
        self.0.write_all(&frame)?;
        self.0.flush()
    }
}

/// The bytes that hex digits stand for.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = hex.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(frame: Option<&str>) -> TracedPacket {
        let json = r#"{"unix_ns":1763848988123456789,"verdict":"redirect","client":"203.0.113.7","vip":"192.0.2.80","protocol":6,
            "flags":"S","length":60,"ingress":"eth0"}"#;
        let packet: TracedPacket = serde_json::from_str(json).unwrap();
        TracedPacket { frame: frame.map(str::to_owned), ..packet }
    }

    #[test]
    fn a_file_has_a_head_and_a_record_for_each_packet() {
        let mut file = Pcap::begin(Vec::new()).unwrap();
        file.add(&packet(Some("02ff00"))).unwrap();
        file.add(&packet(None)).unwrap();
        file.add(&packet(Some("0"))).unwrap();
        let head = [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0];
        assert_eq!(file.0[..24], head);
        let record: Vec<u8> =
            [1_763_848_988_u32, 123_456_789, 3, 60].iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(file.0[24..40], record);
        assert_eq!(file.0[40..], [0x02, 0xff, 0x00], "and nothing of those without bytes");
    }
}
