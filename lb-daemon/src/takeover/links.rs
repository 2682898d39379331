//! The interfaces, as the kernel tells them over netlink.

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use rtnetlink::Handle;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, LinkXdp, XdpAttached};
use tokio::time::timeout;

/// The kernel answers within microseconds; an answer that could not be read never comes.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) index: u32,
    /// None where it has none of six bytes: no Ethernet.
    pub(crate) mac: Option<[u8; 6]>,
    /// It is up, and so is what it is plugged into.
    pub(crate) carrier: bool,
    /// An XDP program is attached.
    pub(crate) xdp: bool,
}

impl Link {
    pub(crate) fn read(message: &LinkMessage) -> Self {
        let carrier = message.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp);
        let mut link = Self { name: String::new(), index: message.header.index, mac: None, carrier, xdp: false };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Address(address) => link.mac = address.as_slice().try_into().ok(),
                LinkAttribute::Xdp(xdp) => link.xdp = is_attached(xdp),
                _ => {}
            }
        }
        link
    }
}

fn is_attached(xdp: &[LinkXdp]) -> bool {
    xdp.iter().any(|attribute| matches!(attribute, LinkXdp::Attached(how) if *how != XdpAttached::None))
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
