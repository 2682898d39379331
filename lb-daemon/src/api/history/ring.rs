//! The last samples: one column of times, and one of values for each series. What is sampled no more goes when its last value does.

use std::collections::{HashMap, HashSet, VecDeque};

use lb_core::api::{Series, SeriesOf};

/// What a series is known by: what it is of, its name, and what is measured.
pub(super) type Key = (SeriesOf, String, &'static str);

/// A bounded history.
#[derive(Debug)]
pub(super) struct Ring {
    capacity: usize,
    unix_ms: VecDeque<u64>,
    /// Each as long as `unix_ms`; in the order in which they came.
    series: Vec<(Key, VecDeque<Option<f32>>)>,
}

impl Ring {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, unix_ms: VecDeque::with_capacity(capacity), series: Vec::new() }
    }

    /// Adds a sample, and forgets the oldest one where there is no room.
    pub(super) fn push(&mut self, unix_ms: u64, values: Vec<(Key, Option<f32>)>) {
        if self.unix_ms.len() == self.capacity {
            self.unix_ms.pop_front();
            for (_, column) in &mut self.series {
                column.pop_front();
            }
        }
        let before = self.unix_ms.len();
        self.unix_ms.push_back(unix_ms);
        let by_key: HashMap<&Key, Option<f32>> = values.iter().map(|(key, value)| (key, *value)).collect();
        for (key, column) in &mut self.series {
            column.push_back(by_key.get(key).copied().flatten());
        }
        let known: HashSet<&Key> = self.series.iter().map(|(key, _)| key).collect();
        let new = values.iter().filter(|(key, _)| !known.contains(key)).map(|(key, value)| {
            let unknown = std::iter::repeat_n(None, before);
            (key.clone(), unknown.chain([*value]).collect())
        });
        let new: Vec<_> = new.collect();
        self.series.extend(new);
        self.series.retain(|(_, column)| column.iter().any(Option::is_some));
    }

    /// The samples newer than this: when they were taken, and the series.
    pub(super) fn since(&self, unix_ms: u64) -> (Vec<u64>, Vec<Series>) {
        let skipped = self.unix_ms.iter().take_while(|at| **at <= unix_ms).count();
        let series = self.series.iter().map(|((of, name, measure), column)| Series {
            of: *of,
            name: name.clone(),
            measure: (*measure).to_owned(),
            values: column.iter().skip(skipped).copied().collect(),
        });
        (self.unix_ms.iter().skip(skipped).copied().collect(), series.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        (SeriesOf::Real, name.to_owned(), "weight")
    }

    fn column(ring: &Ring, name: &str) -> Option<Vec<Option<f32>>> {
        let (_, series) = ring.since(0);
        series.into_iter().find(|series| series.name == name).map(|series| series.values)
    }

    #[test]
    fn what_comes_and_goes_has_a_value_for_each_time_or_none() {
        let mut ring = Ring::new(3);
        ring.push(10, vec![(key("old"), Some(1.0))]);
        ring.push(20, vec![(key("old"), None), (key("new"), Some(2.0))]);
        ring.push(30, vec![(key("new"), Some(3.0))]);
        assert_eq!(column(&ring, "old"), Some(vec![Some(1.0), None, None]));
        assert_eq!(column(&ring, "new"), Some(vec![None, Some(2.0), Some(3.0)]));
        ring.push(40, vec![(key("new"), Some(4.0))]);
        assert_eq!(column(&ring, "old"), None, "its only value was the oldest");
        assert_eq!(column(&ring, "new"), Some(vec![Some(2.0), Some(3.0), Some(4.0)]));
        assert_eq!(ring.since(0).0, [20, 30, 40]);
    }

    #[test]
    fn who_has_some_asks_for_the_rest() {
        let mut ring = Ring::new(9);
        (1..=4_u8).for_each(|at| ring.push(u64::from(at) * 10, vec![(key("web1"), Some(f32::from(at)))]));
        let (times, series) = ring.since(20);
        assert_eq!((times, series[0].values.as_slice()), (vec![30, 40], [Some(3.0), Some(4.0)].as_slice()));
        assert!(ring.since(40).0.is_empty());
    }
}
