//! The unix socket: who may connect, who did, and how many at once.

use std::fs::{self, Permissions};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream, unix};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use crate::config::{Group, Settings};

/// Most connections at once of root and of the group; further ones wait.
const MAX_CONNECTIONS: usize = 64;
/// Most connections at once of all others, readers among them; further ones are closed. So nobody else's keep out who runs the host.
const MAX_OTHER_CONNECTIONS: usize = 32;
/// Most groups of a peer that are looked at; the kernel's own limit for a process (NGROUPS_MAX).
const MAX_GROUPS: usize = 65_536;
/// Pause after the host had no descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who may use the API beside root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Id of the group whose members may do everything.
    pub group: Option<u32>,
    /// Id of the group whose members may look, and change nothing.
    pub readers: Option<u32>,
}

impl Access {
    /// What these settings say.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let id = |group: &Option<Group>| group.as_ref().map(|group| group.gid);
        Self { group: id(&settings.api_group), readers: id(&settings.api_readers) }
    }

    /// A file has one group: with two of them everybody can connect, and who it is decides.
    fn mode(self) -> u32 {
        if self.readers.is_some() { 0o666 } else { 0o660 }
    }
}

/// What a peer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    /// Nothing at all.
    None,
    /// Look.
    Read,
    /// Everything.
    Change,
}

/// The API's socket. Its file goes with it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    access: Access,
    places: Places,
}

/// Room for connections.
#[derive(Debug)]
struct Places {
    own: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

impl Places {
    fn new() -> Self {
        Self { own: Arc::new(Semaphore::new(MAX_CONNECTIONS)), others: Arc::new(Semaphore::new(MAX_OTHER_CONNECTIONS)) }
    }

    /// A place for somebody with this right; nothing where there is none for the likes of them.
    async fn take(&self, right: Right) -> Option<OwnedSemaphorePermit> {
        if right == Right::Change {
            // The semaphore is never closed.
            self.own.clone().acquire_owned().await.ok()
        } else {
            self.others.clone().try_acquire_owned().ok()
        }
    }
}

impl Socket {
    /// Makes the socket, in place of one that a killed daemon left. Without readers only root and the group can connect.
    pub(super) fn bind(path: &Path, access: Access) -> io::Result<Self> {
        // Made under another name, so that it can be reached by nobody before it has its mode.
        let new = path.with_extension("new");
        remove(&new)?;
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, Permissions::from_mode(access.mode()))?;
        chown(&new, None, Some(access.group.unwrap_or(0)))?;
        fs::rename(&new, path)?;
        Ok(Self { listener, path: path.to_owned(), access, places: Places::new() })
    }

    /// Who may use it beside root.
    pub(super) fn access(&self) -> Access {
        self.access
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // It may be gone; whoever starts next replaces it anyway.
        let _ = fs::remove_file(&self.path);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Listener for Socket {
    type Io = Connection;
    type Addr = unix::SocketAddr;

    async fn accept(&mut self) -> (Connection, unix::SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let place = self.places.take(Peer::of(&stream).right(self.access)).await;
                    if let Some(permit) = place {
                        return (Connection { stream, _permit: permit }, address);
                    }
                }
                Err(error) => {
                    warn!("API: a connection failed: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<unix::SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection, counted while it is open.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Who is at the other end of a connection, as the kernel says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Peer {
    /// None: the kernel did not say.
    credentials: Option<(u32, Vec<u32>)>,
}

impl Peer {
    fn of(stream: &UnixStream) -> Self {
        let credentials = stream.peer_cred().and_then(|credentials| {
            let mut groups = supplementary_groups(stream.as_raw_fd())?;
            groups.push(credentials.gid());
            Ok((credentials.uid(), groups))
        });
        Self { credentials: credentials.ok() }
    }

    /// Root and members of the group may do everything, readers may look.
    pub(super) fn right(&self, access: Access) -> Right {
        let Some((uid, groups)) = &self.credentials else { return Right::None };
        let is_of = |group: Option<u32>| group.is_some_and(|group| groups.contains(&group));
        if *uid == 0 || is_of(access.group) {
            Right::Change
        } else if is_of(access.readers) {
            Right::Read
        } else {
            Right::None
        }
    }

    /// The user, for messages.
    pub(super) fn uid(&self) -> String {
        self.credentials.as_ref().map_or_else(|| "unknown".to_owned(), |(uid, _)| uid.to_string())
    }
}

impl Connected<IncomingStream<'_, Socket>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Socket>) -> Self {
        Self::of(&stream.io().stream)
    }
}

/// The groups that the peer had beside its first one when it connected (SO_PEERGROUPS of socket(7)).
fn supplementary_groups(socket: RawFd) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; 64];
    loop {
        let mut length = (groups.len() * size_of::<u32>()) as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes, and `groups` is that long.
        let result = unsafe {
            libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_PEERGROUPS, groups.as_mut_ptr().cast(), &raw mut length)
        };
        // Where there is too little room it says how much is needed.
        let count = length as usize / size_of::<u32>();
        if result == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() || count > MAX_GROUPS {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uid: u32, groups: &[u32]) -> Peer {
        Peer { credentials: Some((uid, groups.to_vec())) }
    }

    const BOTH: Access = Access { group: Some(4), readers: Some(7) };

    #[test]
    fn root_and_the_group_may_change_and_readers_may_look() {
        for (peer, access, right) in [
            (peer(0, &[0]), Access::default(), Right::Change),
            (peer(1000, &[1000, 4]), BOTH, Right::Change),
            (peer(1000, &[1000, 7, 4]), BOTH, Right::Change),
            (peer(1000, &[1000, 7]), BOTH, Right::Read),
            (peer(1000, &[1000, 5]), BOTH, Right::None),
            (peer(1000, &[1000, 0]), Access::default(), Right::None),
            (Peer::default(), Access { group: Some(0), readers: Some(0) }, Right::None),
        ] {
            assert_eq!(peer.right(access), right, "{peer:?} {access:?}");
        }
    }

    #[test]
    fn everybody_can_connect_where_there_are_readers() {
        assert_eq!(BOTH.mode(), 0o666);
        assert_eq!(Access { readers: None, ..BOTH }.mode(), 0o660);
    }

    #[tokio::test]
    async fn others_leave_room_for_who_runs_the_host() {
        let places = Places::new();
        let mut taken = Vec::new();
        for _ in 0..MAX_OTHER_CONNECTIONS {
            taken.push(places.take(Right::Read).await.unwrap());
        }
        for right in [Right::None, Right::Read] {
            assert!(places.take(right).await.is_none(), "{right:?}");
        }
        assert!(places.take(Right::Change).await.is_some());
        taken.pop();
        assert!(places.take(Right::None).await.is_some(), "a connection that ends makes room");
    }

    #[tokio::test]
    async fn the_kernel_says_who_the_peer_is() {
        let (one, _other) = UnixStream::pair().unwrap();
        let (uid, groups) = Peer::of(&one).credentials.unwrap();
        assert_eq!(uid, nix::unistd::getuid().as_raw());
        let mut expected: Vec<u32> = nix::unistd::getgroups().unwrap().iter().map(|gid| gid.as_raw()).collect();
        expected.push(nix::unistd::getgid().as_raw());
        assert_eq!(groups, expected);
    }
}
