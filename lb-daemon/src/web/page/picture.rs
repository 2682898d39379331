//! The cluster as it is now, as a picture: clients, VIPs, the nodes with the paths between them, the reals, and where traffic goes.
//!
//! It is drawn from top to bottom, so that it fits a phone; the style sheet scales and colours it. The tables say the same and more.

mod nodes;
mod reals;

use std::fmt::Write as _;

use lb_core::api::{NodeState, PathState};

use super::html::{Escaped, Html, element};
use crate::api::snapshot::Snapshot;

const WIDTH: f64 = 360.0;
const MIDDLE: f64 = WIDTH / 2.0;
/// Most VIPs that are drawn.
const MAX_VIPS: usize = 8;
/// A VIP's box.
const VIP_WIDTH: f64 = 168.0;
const VIP_HEIGHT: f64 = 22.0;

/// What is drawn so far, and how far down it reaches.
#[derive(Debug, Default)]
struct Canvas {
    svg: String,
    y: f64,
}

impl Canvas {
    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let _ = write!(self.svg, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>", Escaped(text));
    }

    fn boxed(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        let _ = write!(
            self.svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>"
        );
    }

    fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
        let _ = write!(self.svg, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }
}

/// Who serves, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// This node.
    Own,
    /// Its peer.
    Peer,
    /// Nobody that it knows of.
    Nobody,
}

/// The picture, with a sentence for those who cannot see it.
pub(super) fn picture(snapshot: &Snapshot) -> Html {
    let mut canvas = Canvas { svg: String::new(), y: 4.0 };
    let owner = owner(snapshot);
    clients(&mut canvas);
    vips(snapshot, &mut canvas);
    let (entry, exit) = nodes::draw(snapshot, owner, &mut canvas);
    if owner != Owner::Nobody {
        canvas.line(
            "flow",
            &[(MIDDLE, entry.0), (MIDDLE, entry.0 + 8.0), (entry.1, entry.0 + 8.0), (entry.1, entry.0 + 16.0)],
        );
    }
    reals::draw(snapshot, (owner != Owner::Nobody).then_some(exit), &mut canvas);
    let label = Escaped(&sentence(snapshot, owner)).to_string();
    let start = format!(
        "svg id=\"picture\" data-live viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{label}\"",
        canvas.y + 4.0
    );
    element(&start, Html::raw(canvas.svg))
}

fn owner(snapshot: &Snapshot) -> Owner {
    let Some(pair) = &snapshot.pair else { return Owner::Own };
    let serves = |state: NodeState| matches!(state, NodeState::Active | NodeState::Yielding);
    let peer = pair.pair.peer.says.as_ref().filter(|_| pair.pair.peer.health != lb_core::api::PeerHealth::Dead);
    match (serves(pair.pair.state), peer) {
        (true, _) => Owner::Own,
        (false, Some(says)) if serves(says.state) => Owner::Peer,
        (false, _) => Owner::Nobody,
    }
}

fn clients(canvas: &mut Canvas) {
    canvas.boxed("box", MIDDLE - 45.0, canvas.y, 90.0, 22.0);
    canvas.text("name middle", MIDDLE, canvas.y + 15.0, "clients");
    canvas.y += 22.0;
}

/// The VIPs, two in a row.
fn vips(snapshot: &Snapshot, canvas: &mut Canvas) {
    let mut vips: Vec<String> = Vec::new();
    for service in &snapshot.services.services {
        let vip = service.vip_text();
        if !vips.contains(&vip) {
            vips.push(vip);
        }
    }
    canvas.line("flow", &[(MIDDLE, canvas.y), (MIDDLE, canvas.y + 12.0)]);
    canvas.y += 12.0;
    let shown = vips.len().min(MAX_VIPS);
    for (index, vip) in vips.iter().take(shown).enumerate() {
        let is_alone = shown % 2 == 1 && index == shown - 1;
        let x = if is_alone { MIDDLE - VIP_WIDTH / 2.0 } else { 8.0 + (index % 2) as f64 * (VIP_WIDTH + 8.0) };
        let y = canvas.y + (index / 2) as f64 * (VIP_HEIGHT + 4.0);
        canvas.boxed("box vip", x, y, VIP_WIDTH, VIP_HEIGHT);
        canvas.text("name middle", x + VIP_WIDTH / 2.0, y + 15.0, &format!("VIP {vip}"));
    }
    canvas.y += shown.div_ceil(2) as f64 * (VIP_HEIGHT + 4.0);
    if vips.len() > shown {
        canvas.text("note middle", MIDDLE, canvas.y + 10.0, &format!("and {} more VIPs", vips.len() - shown));
        canvas.y += 14.0;
    }
}

/// The picture in words.
fn sentence(snapshot: &Snapshot, owner: Owner) -> String {
    let who = match (owner, &snapshot.pair) {
        (Owner::Own, None) => "This node is solo and serves".to_owned(),
        (Owner::Own, Some(_)) => "This node is active".to_owned(),
        (Owner::Peer, _) => "The peer is active, and this node stands by".to_owned(),
        (Owner::Nobody, _) => "No node is known to serve".to_owned(),
    };
    let paths = snapshot.pair.iter().map(|pair| {
        let up = pair.paths.paths.iter().filter(|path| path.state == PathState::Up).count();
        format!("the peer is {}, and {up} of {} paths are up", pair.pair.peer.health, pair.paths.paths.len())
    });
    let reals = &snapshot.reals.reals;
    let serving = reals.iter().filter(|real| real.slots > 0).count();
    let rest = format!("{serving} of {} reals get new flows", reals.len());
    std::iter::once(who).chain(paths).chain([rest]).collect::<Vec<_>>().join("; ") + "."
}
