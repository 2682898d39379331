//! Listens on a path, and serves whoever connects there and is the peer.

use std::sync::Arc;
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use tracing::{debug, info, warn};

use super::{Common, owner, sockets};
use crate::config::UdpWay;

/// After how long it is tried again to listen, and looked again whether the interface is still the same.
const LOOK: Duration = Duration::from_secs(1);

/// Listens for ever: again whenever the interface has come back.
pub(super) async fn listen(common: Arc<Common>, way: UdpWay, places: Arc<Semaphore>) {
    let mut told = None;
    loop {
        let why = match sockets::listen(&way) {
            Ok(listener) => {
                if told.take().is_some() {
                    info!("checkpoint stream: {}: listening on {} again", way.interface, way.local);
                }
                accept(&common, &way, &places, listener).await
            }
            Err(why) => why,
        };
        if told.as_ref() != Some(&why) {
            warn!("checkpoint stream: {why}; it is tried again each second");
            told = Some(why);
        }
        sleep(LOOK).await;
    }
}

/// Accepts connections until the interface is another one; why.
async fn accept(common: &Arc<Common>, way: &UdpWay, places: &Arc<Semaphore>, listener: TcpListener) -> String {
    let opened = if_nametoindex(way.interface.as_str());
    let mut looks = interval(LOOK);
    let mut served = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, from)) if from.ip() == way.peer.ip() => {
                    let Ok(place) = places.clone().try_acquire_owned() else {
                        debug!("checkpoint stream: {}: too many connections; one from {from} is closed", way.interface);
                        continue;
                    };
                    let (common, path) = (common.clone(), way.interface.clone());
                    served.spawn(async move {
                        serve(&common, &path, socket).await;
                        drop(place);
                    });
                }
                Ok((_, from)) => debug!("checkpoint stream: {}: {from} is not the peer, and is closed", way.interface),
                // The connection is gone already, or there are no descriptors: the next one may do.
                Err(error) => {
                    debug!("checkpoint stream: {}: cannot accept a connection: {error}", way.interface);
                    sleep(LOOK).await;
                }
            },
            Some(_) = served.join_next() => {}
            _ = looks.tick() => {
                if if_nametoindex(way.interface.as_str()) != opened {
                    return format!("{}: the interface is gone, or is another one now", way.interface);
                }
            }
        }
    }
}

async fn serve(common: &Arc<Common>, path: &str, socket: TcpStream) {
    let Ok(peer) = socket.peer_addr() else { return };
    match sockets::tune(&socket) {
        Ok(()) => owner::serve(common, path, peer, socket).await,
        Err(error) => warn!("checkpoint stream: {path}: {peer}: the socket cannot be set up: {error}"),
    }
}
