//! The view of the services: their reals and slots, and traffic.

use std::collections::HashMap;

use lb_core::api::Service;

use super::super::rows::{Cell, Column, Mood, Row, Rows, Width};
use super::super::screen::Screen;
use super::per_second;
use crate::render::Rate;

/// A row for each service.
pub fn rows(screen: &Screen) -> Rows {
    let columns = vec![
        Column::words("Service", Width::Rest(12)),
        Column::words("VIP:Port", Width::Exactly(22)),
        Column::words("Mode", Width::Exactly(8)),
        Column::numbers("Reals", 7),
        Column::numbers("New/s", 6),
        Column::numbers("Packets/s", 9),
        Column::numbers("Bytes/s", 8),
    ];
    let rates = screen.rates();
    let rates: HashMap<&str, Rate> =
        rates.iter().flat_map(|rates| &rates.services).map(|named| (named.name.as_str(), named.rate)).collect();
    let row = |service: &Service| {
        let rate = rates.get(service.name.as_str());
        let serving = service.reals.iter().filter(|real| real.slots > 0 && real.next_hop_resolved).count();
        let cells = vec![
            Cell::words(&service.name),
            Cell::words(service.endpoint()),
            Cell::words(format!("{}/{}", service.protocol, service.mode)),
            Cell::number(Some(serving as f64), format!("{serving}/{}", service.reals.len())),
            per_second(rate.map(|rate| rate.syn)),
            per_second(rate.map(|rate| rate.packets)),
            per_second(rate.map(|rate| rate.bytes)),
        ];
        Row { cells, mood: mood(serving, service.reals.len()) }
    };
    let rows = screen.sample().services.services.iter().map(row).collect();
    Rows { columns, rows, empty: "No services are configured." }
}

fn mood(serving: usize, all: usize) -> Mood {
    match serving {
        0 => Mood::Bad,
        some if some < all => Mood::Notable,
        _ => Mood::Fine,
    }
}
