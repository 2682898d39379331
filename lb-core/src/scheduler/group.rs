//! Which reals are compared with each other: those that serve a service together, directly or by way of others.

use std::collections::BTreeMap;

use super::Candidate;

/// The candidates, group by group, each in the order in which they came. A real without a service is a group of its own.
pub(super) fn groups<'c, 'n>(candidates: &'c [Candidate<'n>]) -> Vec<Vec<&'c Candidate<'n>>> {
    let mut forest = Forest { parents: (0..candidates.len()).collect() };
    let mut first_of: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, candidate) in candidates.iter().enumerate() {
        for service in &candidate.services {
            let first = *first_of.entry(service).or_insert(index);
            forest.join(first, index);
        }
    }
    let mut groups: BTreeMap<usize, Vec<&Candidate<'_>>> = BTreeMap::new();
    for (index, candidate) in candidates.iter().enumerate() {
        groups.entry(forest.root(index)).or_default().push(candidate);
    }
    groups.into_values().collect()
}

/// Trees that grow together where two of their members belong together.
struct Forest {
    parents: Vec<usize>,
}

impl Forest {
    fn root(&mut self, mut index: usize) -> usize {
        while self.parents[index] != index {
            // Halves the way for whoever asks next.
            self.parents[index] = self.parents[self.parents[index]];
            index = self.parents[index];
        }
        index
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.parents[one.max(other)] = one.min(other);
    }
}
