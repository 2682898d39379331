//! How many mistakes theory allows.

/// The smallest count that a Poisson variable of this mean exceeds with a probability of at most `risk`.
pub fn most(mean: f64, risk: f64) -> u64 {
    let (mut count, mut term) = (0, (-mean).exp());
    let mut sum = term;
    while 1.0 - sum > risk && term > 0.0 {
        count += 1;
        term *= mean / count as f64;
        sum += term;
    }
    count
}

/// Expected mistakes in `periods` periods, where `loss` is the chance that an ask is in vain on all paths and `limit` such periods in a
/// row are a mistake: the mean time between mistakes is Tb/((1 - Q) Q^n).
pub fn expected(periods: f64, loss: f64, limit: u32) -> f64 {
    periods * (1.0 - loss) * loss.powi(limit as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_that_of_the_tables() {
        // Of Poisson(1): P(X <= 4) = 0.9963, P(X <= 5) = 0.9994; of Poisson(12): P(X <= 23) = 0.99853, P(X <= 24) = 0.99930.
        assert_eq!(most(1.0, 1e-3), 5);
        assert_eq!(most(12.0, 1e-3), 24);
        assert_eq!(most(0.0, 1e-3), 0);
    }

    #[test]
    fn the_pages_example_holds() {
        // n = 3, Tb = 100 ms, 10% two-way loss, one path: a mistake each 111 s; the design's 10% each way: 18 s.
        let each_way = 1.0 - 0.9 * 0.9;
        assert!((0.1 / expected(1.0, each_way, 3) - 18.0).abs() < 0.1);
    }
}
