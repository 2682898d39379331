//! The nodes, and the paths between them as the rungs of a ladder.

use lb_core::api::{NodeState, Path, PathState, PeerHealth};

use super::super::format::{duration, known};
use super::{Canvas, MIDDLE, Owner, WIDTH};
use crate::api::snapshot::{PairSnapshot, Snapshot};

const NODE_WIDTH: f64 = 166.0;
const NODE_HEIGHT: f64 = 54.0;
/// From one rung to the next.
const RUNG: f64 = 20.0;

/// What stands in a node's box.
struct Node {
    title: String,
    state: String,
    note: String,
    class: &'static str,
}

/// Draws them. Returns where traffic comes in (the height at which it leaves the VIPs, and the middle of the node that serves) and where it
/// goes out (from which height, and on which side).
pub(super) fn draw(snapshot: &Snapshot, owner: Owner, canvas: &mut Canvas) -> ((f64, f64), (f64, f64)) {
    let entry = canvas.y;
    canvas.y += 16.0;
    let Some(pair) = &snapshot.pair else {
        let solo = Node { title: "this node".into(), state: "solo".into(), note: "it serves".into(), class: "node ok" };
        node(canvas, MIDDLE - NODE_WIDTH / 2.0, &solo);
        canvas.y += NODE_HEIGHT;
        return ((entry, MIDDLE), (canvas.y, MIDDLE));
    };
    let (left, right) = (8.0, WIDTH - 8.0 - NODE_WIDTH);
    node(canvas, left, &own(pair));
    node(canvas, right, &peer(pair));
    canvas.y += NODE_HEIGHT;
    let bottom = canvas.y;
    ladder(canvas, &pair.paths.paths);
    let (middle, side) = match owner {
        Owner::Peer => (right + NODE_WIDTH / 2.0, right + NODE_WIDTH - 8.0),
        Owner::Own | Owner::Nobody => (left + NODE_WIDTH / 2.0, left + 8.0),
    };
    ((entry, middle), (bottom, side))
}

fn own(PairSnapshot { pair, .. }: &PairSnapshot) -> Node {
    Node {
        title: format!("this node · {}", pair.role),
        state: pair.state.to_string(),
        note: format!("epoch {} · fit by {} of 100", pair.epoch, pair.fitness),
        class: class(pair.state, false),
    }
}

fn peer(PairSnapshot { pair, .. }: &PairSnapshot) -> Node {
    let is_dead = pair.peer.health == PeerHealth::Dead;
    let says = pair.peer.says.as_ref();
    let state = match says {
        _ if is_dead => "dead".to_owned(),
        Some(says) => says.state.to_string(),
        None => "not heard yet".to_owned(),
    };
    let heard = pair.peer.heard_ms.map_or("never heard".to_owned(), |ms| format!("heard {} ago", duration(ms / 1e3)));
    let class = says.map_or("node off", |says| class(says.state, is_dead));
    Node {
        title: format!("peer · {}", pair.peer.health),
        state,
        note: heard,
        class: if is_dead { "node bad" } else { class },
    }
}

fn class(state: NodeState, is_dead: bool) -> &'static str {
    match state {
        _ if is_dead => "node bad",
        NodeState::Active => "node ok",
        NodeState::Standby => "node off",
        NodeState::Fenced => "node bad",
        NodeState::Starting | NodeState::TakingOver | NodeState::Yielding => "node warn",
    }
}

fn node(canvas: &mut Canvas, x: f64, node: &Node) {
    let y = canvas.y;
    canvas.boxed(node.class, x, y, NODE_WIDTH, NODE_HEIGHT);
    let middle = x + NODE_WIDTH / 2.0;
    canvas.text("note middle", middle, y + 14.0, &node.title);
    canvas.text("state middle", middle, y + 32.0, &node.state);
    canvas.text("note middle", middle, y + 47.0, &node.note);
}

fn ladder(canvas: &mut Canvas, paths: &[Path]) {
    let (left, right) = (40.0, WIDTH - 40.0);
    let bottom = canvas.y + RUNG * paths.len() as f64;
    for x in [left, right] {
        canvas.line("rail", &[(x, canvas.y), (x, bottom)]);
    }
    for path in paths {
        canvas.y += RUNG;
        let class = match path.state {
            PathState::Up => "rung ok",
            PathState::Down => "rung bad",
            PathState::Unknown => "rung off",
        };
        let rtt = known(path.rtt.as_ref(), |rtt| duration(rtt.smoothed_ms / 1e3));
        let text = format!("{} · {} · {rtt}", path.name, path.state);
        canvas.line(class, &[(left, canvas.y), (right, canvas.y)]);
        canvas.text("rung-text middle", MIDDLE, canvas.y - 4.0, &text);
    }
}
