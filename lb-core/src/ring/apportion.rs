//! How many slots each real is to hold.

use std::cmp::Reverse;

/// Apportions `slots` by weight, with the method of the largest remainder. Ties go to the earlier entry, so callers
/// that sort by name get the same everywhere. As long as there are slots enough, each weight above 0 gets at least one;
/// otherwise the greatest weights get one each. The sum is `slots`, or 0 when no weight is above 0.
#[must_use]
pub fn apportion(weights: &[u32], slots: u32) -> Vec<u32> {
    let mut shares = vec![0; weights.len()];
    let mut by_weight: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] > 0).collect();
    by_weight.sort_by_key(|&i| (weights[i], Reverse(i)));
    if by_weight.len() > slots as usize {
        by_weight.iter().rev().take(slots as usize).for_each(|&i| shares[i] = 1);
        return shares;
    }
    let mut weight_left: u64 = by_weight.iter().map(|&i| u64::from(weights[i])).sum();
    let mut slots_left = u64::from(slots);
    // Whoever's due is less than a whole slot gets one ahead of the others, who share the rest.
    let small = by_weight
        .iter()
        .take_while(|&&i| {
            let is_small = u64::from(weights[i]) * slots_left < weight_left;
            if is_small {
                shares[i] = 1;
                slots_left -= 1;
                weight_left -= u64::from(weights[i]);
            }
            is_small
        })
        .count();
    share_out(weights, &by_weight[small..], weight_left, slots_left, &mut shares);
    shares
}

/// The largest remainder among `who`, whose weights sum to `weight`.
fn share_out(weights: &[u32], who: &[usize], weight: u64, slots: u64, shares: &mut [u32]) {
    let mut remainders: Vec<(Reverse<u64>, usize)> = Vec::with_capacity(who.len());
    let mut given = 0;
    for &i in who {
        let due = u64::from(weights[i]) * slots;
        shares[i] = (due / weight) as u32;
        given += due / weight;
        remainders.push((Reverse(due % weight), i));
    }
    remainders.sort_unstable();
    for &(_, i) in remainders.iter().take((slots - given) as usize) {
        shares[i] += 1;
    }
}
