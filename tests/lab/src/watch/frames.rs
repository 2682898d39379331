//! The frames of the watch: ARP questions whose answers name their question, and datagrams to one node's MAC address.

use std::net::{Ipv4Addr, SocketAddrV4};

/// A MAC address.
pub type Mac = [u8; 6];

const BROADCAST: Mac = [0xff; 6];
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
/// Ethernet, IPv4, and the lengths of their addresses.
const ARP_KINDS: [u8; 6] = [0, 1, 8, 0, 6, 4];
const ARP_REQUEST: [u8; 2] = [0, 1];
const ARP_REPLY: [u8; 2] = [0, 2];
const ETHERNET_LEN: usize = 14;
const ARP_LEN: usize = 28;
const IPV4_LEN: u16 = 20;
const UDP_LEN: u16 = 8;
const UDP: u8 = 17;
const TTL: u8 = 64;
/// A question comes from one of so many addresses in turn, and its answer names it. All are of one MAC address, so that the
/// nodes learn each of them only once. No question without an address: a node that looks for duplicates takes that for one.
const ASKERS: u32 = 64;
/// The last byte of the first asker's address; the others are those of the target's.
const FIRST_ASKER: u8 = 160;

/// Question `number`: who has this address?
pub fn arp_question(number: u32, from: Mac, target: Ipv4Addr) -> Vec<u8> {
    let asker = asker(number, target).octets();
    let target = target.octets();
    let parts: [&[u8]; 9] =
        [&BROADCAST, &from, &ETHERTYPE_ARP, &ARP_KINDS, &ARP_REQUEST, &from, &asker, &[0; 6], &target];
    parts.concat()
}

/// The number of the question that a frame answers, of those before `end`, and who answers.
pub fn arp_answer(frame: &[u8], target: Ipv4Addr, end: u32) -> Option<(u32, Mac)> {
    let body = frame.get(ETHERNET_LEN..ETHERNET_LEN + ARP_LEN)?;
    if frame.get(12..14)? != ETHERTYPE_ARP || body[6..8] != ARP_REPLY || body[14..18] != target.octets() {
        return None;
    }
    let sender: Mac = body[8..14].try_into().ok()?;
    let low = u32::from(body[27].checked_sub(FIRST_ASKER)?);
    if body[24..28] != asker(low, target).octets() {
        return None;
    }
    // The newest question of this asker.
    let newest = end.checked_sub(1)?;
    let back = newest.wrapping_sub(low) % ASKERS;
    Some((newest.checked_sub(back)?, sender))
}

/// A UDP datagram in a frame for one MAC address.
pub fn datagram(from_mac: Mac, to_mac: Mac, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let udp_len = UDP_LEN + payload.len() as u16;
    let mut ip = Vec::with_capacity(IPV4_LEN.into());
    ip.extend([0x45, 0]);
    ip.extend((IPV4_LEN + udp_len).to_be_bytes());
    // No identification, not to be fragmented; the checksum comes at the end.
    ip.extend([0, 0, 0x40, 0, TTL, UDP, 0, 0]);
    ip.extend(from.ip().octets());
    ip.extend(to.ip().octets());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    // UDP over IPv4 may go without a checksum.
    [&to_mac, &from_mac, &ETHERTYPE_IPV4[..], &ip, &ports, &udp_len.to_be_bytes(), &[0, 0], payload].concat()
}

/// The address that a question comes from.
fn asker(number: u32, target: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, _] = target.octets();
    Ipv4Addr::new(a, b, c, FIRST_ASKER + (number % ASKERS) as u8)
}

fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 101);
    const CLIENT: Mac = [2, 0, 0, 0, 0, 9];
    const NODE: Mac = [2, 0, 0, 0, 0, 7];

    fn answer_to(question: &[u8]) -> Vec<u8> {
        let (mac, asker) = (&question[22..28], &question[28..32]);
        [mac, &NODE, &ETHERTYPE_ARP, &ARP_KINDS, &ARP_REPLY, &NODE, &VIP.octets(), mac, asker].concat()
    }

    #[test]
    fn an_answer_names_its_question() {
        for number in [0, 5, 63, 64, 1000] {
            let answer = answer_to(&arp_question(number, CLIENT, VIP));
            for later in [number + 1, number + 64] {
                assert_eq!(arp_answer(&answer, VIP, later), Some((number, NODE)));
            }
        }
    }

    #[test]
    fn what_answers_no_question_is_passed_over() {
        let question = arp_question(3, CLIENT, VIP);
        assert_eq!(arp_answer(&question, VIP, 9), None);
        let answer = answer_to(&question);
        assert_eq!(arp_answer(&answer, Ipv4Addr::new(192, 0, 2, 102), 9), None);
        assert_eq!(arp_answer(&answer[..40], VIP, 9), None);
        assert_eq!(arp_answer(&answer, VIP, 0), None);
        assert_eq!(arp_answer(&answer, VIP, 2), None);
    }

    #[test]
    fn headers_are_summed_as_ip_wants_it() {
        let frame = datagram(NODE, NODE, SocketAddrV4::new(VIP, 1), SocketAddrV4::new(VIP, 2), b"abc");
        assert_eq!(frame.len(), 14 + 20 + 8 + 3);
        assert_eq!(checksum(&frame[14..34]), 0);
    }
}
