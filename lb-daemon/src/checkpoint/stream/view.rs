//! What the stream says of itself.

use std::net::SocketAddr;

use lb_core::checkpoint::Entry;
use lb_core::pair::Micros;

use super::Common;
use crate::checkpoint::commit::count;
use crate::peer::clock;

/// How the stream goes, whichever way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamView {
    /// The interface by which the connection goes, or the last one went.
    pub path: Option<String>,
    /// The peer's end of it.
    pub peer: Option<SocketAddr>,
    /// It is there, and both have proved who they are.
    pub connected: bool,
    /// Since when, by the pair's clock.
    pub since: Option<Micros>,
    /// The version of the entries' format.
    pub version: Option<u16>,
    /// Connections that there have been.
    pub connections: u64,
    /// How often everything was sent or fetched.
    pub fulls: u64,
    /// The last time that everything was sent or fetched.
    pub full: FullView,
    /// Bytes sent and received in all connections.
    pub bytes: u64,
    /// Entries of the peer's that this program does not know, and left out.
    pub skipped: u64,
    /// Why somebody who connected was not taken for the peer, last.
    pub refused: Option<String>,
    /// What went wrong last; nothing where the connection is there.
    pub trouble: Option<String>,
}

/// How far the sending or fetching of everything is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FullView {
    /// When it began, by the pair's clock.
    pub since: Micros,
    /// Entries that have gone or come.
    pub entries: u64,
    /// Bytes of all connections when it began.
    pub bytes_before: u64,
}

impl Common {
    /// Everything begins to be sent or fetched.
    pub(super) fn note_full(&self) {
        self.see(|view| {
            view.fulls += 1;
            view.full = FullView { since: clock::now(), entries: 0, bytes_before: view.bytes };
        });
    }

    /// A part of everything goes or has come.
    pub(super) fn note_part(&self, entries: &[Entry]) {
        self.see(|view| view.full.entries += count(entries));
    }

    /// A connection is there. Gives its number.
    pub(super) fn note_connection(&self, path: &str, peer: SocketAddr, version: u16) -> u64 {
        self.see(|view| {
            view.path = Some(path.to_owned());
            view.peer = Some(peer);
            view.connected = true;
            view.since = Some(clock::now());
            view.version = Some(version);
            view.connections += 1;
            view.refused = None;
            view.trouble = None;
            view.connections
        })
    }

    /// The connection of this number is gone, and why.
    pub(super) fn note_end(&self, connection: u64, why: &str) {
        self.see(|view| {
            if view.connections == connection {
                view.connected = false;
                view.since = None;
                view.trouble = Some(why.to_owned());
            }
        });
    }

    /// Somebody who connected was not taken for the peer. Whether that is news.
    pub(super) fn note_refusal(&self, why: &str) -> bool {
        self.see(|view| view.refused.replace(why.to_owned()).as_deref() != Some(why))
    }

    /// Something went wrong while there is no connection. Whether that is news.
    pub(super) fn note_trouble(&self, why: &str) -> bool {
        self.see(|view| {
            let is_news = !view.connected && view.trouble.as_deref() != Some(why);
            if is_news {
                view.trouble = Some(why.to_owned());
            }
            is_news
        })
    }
}
