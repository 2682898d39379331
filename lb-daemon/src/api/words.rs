//! The API's words for those of the pair.

use lb_core::api::{LeaseService, NodeState, PathKind, PathState, PeerHealth, Role, SyncState};

use lb_core::pair::view::Level;
use lb_core::pair::{self, Micros, Peer, Service, State, Sync};

pub(crate) fn role(role: pair::Role) -> Role {
    match role {
        pair::Role::Primary => Role::Primary,
        pair::Role::Standby => Role::Standby,
    }
}

pub(crate) fn state(state: State) -> NodeState {
    match state {
        State::Starting => NodeState::Starting,
        State::Standby => NodeState::Standby,
        State::TakingOver => NodeState::TakingOver,
        State::Active => NodeState::Active,
        State::Yielding => NodeState::Yielding,
        State::Fenced => NodeState::Fenced,
    }
}

pub(crate) fn health(peer: Peer) -> PeerHealth {
    match peer {
        Peer::Unknown => PeerHealth::Unknown,
        Peer::Alive => PeerHealth::Alive,
        Peer::Degraded => PeerHealth::Degraded,
        Peer::Dead => PeerHealth::Dead,
    }
}

pub(super) fn service(service: Service) -> LeaseService {
    match service {
        Service::Silent => LeaseService::Silent,
        Service::Serving => LeaseService::Serving,
        Service::Draining => LeaseService::Draining,
    }
}

pub(super) fn sync(sync: Sync) -> SyncState {
    match sync {
        Sync::Unknown => SyncState::Unknown,
        Sync::VipsDiffer => SyncState::VipsDiffer,
        Sync::ServicesDiffer => SyncState::ServicesDiffer,
        Sync::SlotsDiffer => SyncState::SlotsDiffer,
        Sync::FlowsApart => SyncState::FlowsApart,
        Sync::InSync => SyncState::InSync,
    }
}

pub(super) fn path_kind(kind: pair::PathKind) -> PathKind {
    match kind {
        pair::PathKind::Udp => PathKind::Udp,
        pair::PathKind::Serial => PathKind::Serial,
    }
}

pub(super) fn path_state(level: Level, usable: bool) -> PathState {
    match level {
        Level::Unknown if usable => PathState::Unknown,
        Level::Up => PathState::Up,
        Level::Unknown | Level::Down => PathState::Down,
    }
}

/// Milliseconds.
pub(crate) fn ms(us: Micros) -> f64 {
    us as f64 / 1e3
}
