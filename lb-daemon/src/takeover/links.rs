//! The interfaces, as the kernel tells them over netlink.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use rtnetlink::packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, LinkXdp};
use rtnetlink::sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use rtnetlink::{Handle, MulticastGroup};
use tokio::time::timeout;

/// The kernel answers within microseconds; an answer that could not be read never comes.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) index: u32,
    /// None where it has none of six bytes: no Ethernet.
    pub(crate) mac: Option<[u8; 6]>,
    /// It is up, and so is what it is plugged into.
    pub(crate) carrier: bool,
    /// Ids of the XDP programs that are attached.
    pub(crate) programs: Vec<u32>,
}

impl Link {
    pub(crate) fn read(message: &LinkMessage) -> Self {
        let carrier = message.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp);
        let index = message.header.index;
        let mut link = Self { name: String::new(), index, mac: None, carrier, programs: Vec::new() };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Address(address) => link.mac = address.as_slice().try_into().ok(),
                LinkAttribute::Xdp(xdp) => link.programs = xdp.iter().filter_map(program).collect(),
                _ => {}
            }
        }
        link
    }

    /// The XDP program with this id is attached; some program, where none is asked for.
    pub(crate) fn has_program(&self, id: Option<u32>) -> bool {
        id.map_or(!self.programs.is_empty(), |id| self.programs.contains(&id))
    }
}

/// The program of one way to be attached.
fn program(xdp: &LinkXdp) -> Option<u32> {
    match xdp {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id) => Some(*id),
        _ => None,
    }
}

/// One interface; none when it does not exist.
///
/// # Errors
/// The kernel does not answer.
pub(crate) async fn by_name(netlink: &Handle, name: &str) -> io::Result<Option<Link>> {
    let get = async {
        let mut answers = pin!(netlink.link().get().match_name(name.to_owned()).execute());
        match answers.next().await {
            Some(Ok(message)) => Ok(Some(Link::read(&message))),
            Some(Err(error)) => match error_of("interface lookup", error) {
                error if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
                error => Err(error),
            },
            None => Ok(None),
        }
    };
    within("interface lookup", get).await
}

/// Bounds a request.
pub(crate) async fn within<T>(request: &str, answer: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let lost = |_| io::Error::new(io::ErrorKind::TimedOut, format!("{request}: no answer over netlink"));
    timeout(ANSWER_LIMIT, answer).await.map_err(lost)?
}

/// The kernel's own error, with its number where it gave one.
pub(crate) fn error_of(request: &str, error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(format!("{request}: {other}")),
    }
}

/// What the kernel tells of changed interfaces.
pub(crate) struct Changes {
    socket: TokioSocket,
}

/// An interface is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is like this now.
    Is(Link),
    /// It has gone.
    Gone(String),
    /// Perhaps all are: news was lost or not understood.
    Unknown,
}

impl Changes {
    /// Begins to listen, in the network namespace of the calling thread. Must be called inside the runtime.
    ///
    /// # Errors
    /// The kernel gives no socket.
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        socket.socket_ref().add_membership(MulticastGroup::Link as u32)?;
        Ok(Self { socket })
    }

    /// The next changes. None is lost when the wait is cut off.
    ///
    /// # Errors
    /// The socket is of no use any more.
    pub(crate) async fn next(&mut self) -> io::Result<Vec<Change>> {
        loop {
            match poll_fn(|context| self.socket.poll_recv_from_full(context)).await {
                // Only the kernel has port 0.
                Ok((datagram, sender)) if sender.port_number() == 0 => return Ok(changes(&datagram)),
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(vec![Change::Unknown]),
                Err(error) => return Err(error),
            }
        }
    }
}

fn changes(mut datagram: &[u8]) -> Vec<Change> {
    let mut changes = Vec::new();
    while !datagram.is_empty() {
        let Ok(length) = NetlinkBuffer::new_checked(datagram).map(|message| message.length() as usize) else {
            changes.push(Change::Unknown);
            break;
        };
        let (message, rest) = datagram.split_at(length);
        changes.extend(change(message));
        // Messages are aligned to four bytes.
        datagram = rest.get(length.wrapping_neg() % 4..).unwrap_or_default();
    }
    changes
}

fn change(message: &[u8]) -> Option<Change> {
    let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) else {
        return Some(Change::Unknown);
    };
    match message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Some(Change::Is(Link::read(&link))),
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => Some(Change::Gone(Link::read(&link).name)),
        _ => None,
    }
}
