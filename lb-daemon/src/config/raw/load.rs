//! `[reports]` and `[scheduler]`.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use lb_config::{DeValue, Diagnostic, Problems, Spanned, Table, socket_address};

use super::super::{
    DEAD_BAND_PERCENT_RANGE, DEFAULT_LISTEN, EXPIRE_RANGE, FLOOR_PERCENT_RANGE, HOLD_AFTER_RANGE,
    HOT_ABOVE_PERCENT_RANGE, MAX_LISTEN, RATE_LIMIT_RANGE, SCHEDULER_INTERVAL_RANGE, SLOW_START_RANGE, SMOOTHING_RANGE,
    STEP_PERCENT_RANGE,
};

/// `[reports]`.
#[derive(Debug)]
pub(in crate::config) struct RawReports {
    /// `None`: the default.
    pub(in crate::config) listen: Option<Vec<Spanned<SocketAddr>>>,
    pub(in crate::config) key_file: Option<Spanned<String>>,
    pub(in crate::config) rate_limit: Option<u32>,
}

/// `[scheduler]`.
#[derive(Debug, Default)]
pub(in crate::config) struct RawScheduler {
    pub(in crate::config) interval: Option<Spanned<Duration>>,
    pub(in crate::config) smoothing: Option<Duration>,
    pub(in crate::config) step_percent: Option<u32>,
    pub(in crate::config) dead_band_percent: Option<u32>,
    pub(in crate::config) floor_percent: Option<u32>,
    pub(in crate::config) hold_after: Option<u32>,
    pub(in crate::config) expire: Option<Spanned<Duration>>,
    pub(in crate::config) slow_start: Option<Duration>,
    pub(in crate::config) hot_above_percent: Option<u32>,
}

pub(super) fn reports(table: &Table<'_, '_>, problems: &mut Problems) -> RawReports {
    RawReports {
        listen: listen(table, problems),
        key_file: table.string("key_file", "\"/etc/understudy/keys\"", problems),
        rate_limit: table.integer("rate_limit", RATE_LIMIT_RANGE, problems).map(Spanned::into_inner),
    }
}

fn listen(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Vec<Spanned<SocketAddr>>> {
    let value = table.get("listen")?;
    let example = format!("[\"{DEFAULT_LISTEN}\"]");
    let texts = table.strings("listen", &example, problems);
    if matches!(value.get_ref(), DeValue::Array(elements) if elements.is_empty()) {
        let help = format!("name an address and a port, as in listen = {example}, or remove `[reports]`");
        problems.add(Diagnostic::new(value.span(), "`listen` is empty", "no address", help));
    }
    if texts.len() > MAX_LISTEN {
        let title = format!("`listen` has {} entries", texts.len());
        problems.add(Diagnostic::new(value.span(), title, "too many", format!("it can have {MAX_LISTEN}")));
    }
    Some(texts.iter().filter_map(|text| socket_address("listen", text, &example, problems)).collect())
}

pub(super) fn scheduler(table: &Table<'_, '_>, problems: &mut Problems) -> RawScheduler {
    let interval = table.duration("interval", SCHEDULER_INTERVAL_RANGE, "\"1s\"", problems);
    let expire = table.duration("expire", EXPIRE_RANGE, "\"30s\"", problems);
    let mut integer = |key, range: RangeInclusive<u32>| table.integer(key, range, problems).map(Spanned::into_inner);
    let step_percent = integer("step_percent", STEP_PERCENT_RANGE);
    let dead_band_percent = integer("dead_band_percent", DEAD_BAND_PERCENT_RANGE);
    let floor_percent = integer("floor_percent", FLOOR_PERCENT_RANGE);
    let hold_after = integer("hold_after", HOLD_AFTER_RANGE);
    let hot_above_percent = integer("hot_above_percent", HOT_ABOVE_PERCENT_RANGE);
    let mut duration = |key, range: RangeInclusive<Duration>, example| {
        table.duration(key, range, example, problems).map(Spanned::into_inner)
    };
    RawScheduler {
        interval,
        smoothing: duration("smoothing", SMOOTHING_RANGE, "\"4s\""),
        step_percent,
        dead_band_percent,
        floor_percent,
        hold_after,
        expire,
        slow_start: duration("slow_start", SLOW_START_RANGE, "\"30s\""),
        hot_above_percent,
    }
}
