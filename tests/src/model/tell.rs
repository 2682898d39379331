//! Section 4, "Told".

use lb_common::{
    Event, FLOW_EVENT_FORGOTTEN, FLOW_EVENT_HALF_OPEN, FLOW_EVENT_RECORD, FLOW_EVENT_REMEMBERED, FlowEvent,
    NODE_TELLS_FLOWS,
};

use super::decide::Place;
use super::{Branch, State};

/// A row of the table of what is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Remembered,
    Forgotten,
    HalfOpen,
    GivenUp,
}

impl State {
    /// Tells of a change that has been made.
    pub(super) fn tell(&mut self, told: Told, place: &Place, real: u16) {
        if self.node.flags & NODE_TELLS_FLOWS == 0 {
            self.saw(Branch::ToldNobody);
            return;
        }
        let unread = self.unread.len() as u32 * FLOW_EVENT_RECORD;
        let size = self.limits.flow_events_size;
        if matches!(told, Told::HalfOpen | Told::GivenUp) && unread >= size / 2 {
            self.saw(Branch::ToldNoneToSpare);
            return;
        }
        if unread + FLOW_EVENT_RECORD >= size {
            self.saw(Branch::ToldNoRoom);
            self.event(Event::FlowEventLost);
            return;
        }
        let (branch, event) = record(told, place, real);
        self.saw(branch);
        self.unread.push(event);
    }
}

fn record(told: Told, place: &Place, real: u16) -> (Branch, FlowEvent) {
    let whole = |kind| FlowEvent {
        key: place.key,
        service: place.service.id as u16,
        real,
        slot: place.index,
        kind,
        reserved: [0; 3],
    };
    let forgotten = FlowEvent { key: place.key, kind: FLOW_EVENT_FORGOTTEN, ..FlowEvent::default() };
    match told {
        Told::Remembered => (Branch::ToldRemembered, whole(FLOW_EVENT_REMEMBERED)),
        Told::HalfOpen => (Branch::ToldHalfOpen, whole(FLOW_EVENT_HALF_OPEN)),
        Told::Forgotten => (Branch::ToldForgotten, forgotten),
        Told::GivenUp => (Branch::ToldGivenUp, forgotten),
    }
}
