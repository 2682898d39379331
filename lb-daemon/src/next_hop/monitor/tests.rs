//! Datagrams as the kernel writes them.

use rtnetlink::packet_core::{NLMSG_ALIGNTO, NetlinkHeader};
use rtnetlink::packet_route::link::LinkMessage;

use super::*;

/// A message with its header.
fn message(inner: RouteNetlinkMessage) -> Vec<u8> {
    let mut message = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(inner));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn link(index: u32) -> Vec<u8> {
    let mut link = LinkMessage::default();
    link.header.index = index;
    message(RouteNetlinkMessage::NewLink(link))
}

fn neighbour(address: [u8; 4]) -> Vec<u8> {
    let mut neighbour = NeighbourMessage::default();
    neighbour.header.family = AddressFamily::Inet;
    neighbour.header.ifindex = 3;
    neighbour.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet(address.into())));
    message(RouteNetlinkMessage::NewNeighbour(neighbour))
}

/// A route message; without a destination it is about a default route.
fn route(family: AddressFamily, destination: Option<IpAddr>, length: u8) -> Vec<u8> {
    let mut route = RouteMessage::default();
    route.header.address_family = family;
    route.header.destination_prefix_length = length;
    route.attributes.extend(destination.map(|address| RouteAttribute::Destination(address.into())));
    message(RouteNetlinkMessage::DelRoute(route))
}

#[test]
fn each_message_of_a_datagram_is_heard() {
    let key = NeighbourKey { ifindex: 3, address: IpAddr::from([192, 0, 2, 11]) };
    let datagram = [link(7), neighbour([192, 0, 2, 11]), link(8)].concat();
    assert_eq!(events(&datagram), [Event::Link(7), Event::Neighbour(key), Event::Link(8)]);
}

#[test]
fn messages_are_padded() {
    // The kernel says a length without the padding.
    let mut odd = link(7);
    odd.extend([9, 0, 3, 0, b'e', b't', b'h', b'1', 0]);
    let length = u32::try_from(odd.len()).unwrap();
    odd[..4].copy_from_slice(&length.to_ne_bytes());
    assert_ne!(odd.len() % usize::from(NLMSG_ALIGNTO), 0);
    let padding = vec![0; odd.len().next_multiple_of(4) - odd.len()];
    assert_eq!(events(&[odd.clone(), padding, link(8)].concat()), [Event::Link(7), Event::Link(8)]);
    assert_eq!(events(&odd), [Event::Link(7)], "the last one need not be");
}

#[test]
fn routes_say_whom_they_concern() {
    let prefix = IpAddr::from([198, 51, 100, 0]);
    let cases = [
        (route(AddressFamily::Inet, Some(prefix), 24), Event::Route { prefix, length: 24 }),
        (route(AddressFamily::Inet, None, 0), Event::Route { prefix: Ipv4Addr::UNSPECIFIED.into(), length: 0 }),
        (route(AddressFamily::Inet6, None, 0), Event::Route { prefix: Ipv6Addr::UNSPECIFIED.into(), length: 0 }),
    ];
    for (datagram, event) in cases {
        assert_eq!(events(&datagram), [event]);
    }
}

#[test]
fn what_cannot_be_read_may_be_anything() {
    let cut_off = &link(7)[..20];
    assert_eq!(events(cut_off), [Event::Everything]);
    assert_eq!(events(&[1, 2, 3]), [Event::Everything]);
    let mut unknown = link(7);
    unknown[4..6].copy_from_slice(&104_u16.to_ne_bytes());
    assert_eq!(events(&unknown), [Event::Everything], "a next-hop object");
    assert_eq!(events(&[]), []);
}
