//! Lambert's W between -1/e and 0, where it has two branches, told by how far it is from the point in which they meet.
//!
//! W(z) is what solves W e^W = z. The arguments here are z = -e^(-1-u) with u >= 0. With W = -e^(-v) the equation becomes
//! v + e^(-v) - 1 = u: positive v are the principal branch W_0, negative ones W_-1. So nothing is lost near -1/e, where u is small and z can hardly
//! tell it from 0.

use std::f64::consts::SQRT_2;

/// Newton's method needs less than ten steps.
const MAX_STEPS: usize = 64;
/// Below it a series is more exact than the difference.
const SMALL: f64 = 0.01;

/// 1 + W_0(-e^(-1-u)): 0 at u = 0, toward 1 as u grows.
pub(super) fn principal(u: f64) -> f64 {
    if u.is_nan() || u <= 0.0 {
        return 0.0;
    }
    if u.is_infinite() {
        return 1.0;
    }
    // Newton's method comes down from above, since the curve is bent upward: both are above.
    let v = solve(u, (u.sqrt() * SQRT_2 + u).min(u + 1.0));
    -(-v).exp_m1()
}

/// -(1 + W_-1(-e^(-1-u))): 0 at u = 0, and growing without end, as u does.
pub(super) fn lower(u: f64) -> f64 {
    if u.is_nan() || u <= 0.0 {
        return 0.0;
    }
    let v = -(u.sqrt() * SQRT_2 + u).ln_1p();
    if v.is_finite() { (-solve(u, v)).exp_m1() } else { f64::INFINITY }
}

/// v + e^(-v) - 1, exact near 0, too.
pub(super) fn excess(v: f64) -> f64 {
    if v.abs() < SMALL {
        let tail = 1.0 / 720.0 - v / 5_040.0;
        return v * v * (0.5 - v * (1.0 / 6.0 - v * (1.0 / 24.0 - v * (1.0 / 120.0 - v * tail))));
    }
    v + (-v).exp_m1()
}

/// The v whose [`excess`] is `u`, on the side of `start`, which is beyond it.
fn solve(u: f64, start: f64) -> f64 {
    let mut v = start;
    for _ in 0..MAX_STEPS {
        let slope = -(-v).exp_m1();
        let step = (excess(v) - u) / slope;
        if !step.is_finite() {
            break;
        }
        v -= step;
        if step.abs() <= f64::EPSILON * v.abs() {
            break;
        }
    }
    v
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::cases;

    fn close(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance * expected.abs(), "{found} is not {expected}");
    }

    fn u_of(z: f64) -> f64 {
        -1.0 - (-z).ln()
    }

    /// Values as tables of W have them.
    #[test]
    fn known_values() {
        close(principal(u_of(-0.1)) - 1.0, -0.111_832_559_158_962_97, 1e-14);
        close(principal(u_of(-0.2)) - 1.0, -0.259_171_101_819_073_77, 1e-14);
        close(-1.0 - lower(u_of(-0.1)), -3.577_152_063_957_297, 1e-14);
        close(-1.0 - lower(u_of(-0.2)), -2.542_641_357_773_526_4, 1e-14);
        close(-1.0 - lower(u_of(-0.01)), -6.472_775_124_394_004, 1e-14);
    }

    #[test]
    fn the_branches_meet_like_a_square_root() {
        for u in [1e-300, 1e-30, 1e-12, 1e-6_f64] {
            let root = (2.0 * u).sqrt();
            close(principal(u), root - 2.0 * u / 3.0, 1e-15 + u);
            close(lower(u), root + 2.0 * u / 3.0, 1e-15 + u);
        }
    }

    #[test]
    fn what_is_no_argument_has_a_value_all_the_same() {
        for u in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!((principal(u), lower(u)), (0.0, 0.0));
        }
        assert_eq!((principal(f64::INFINITY), lower(f64::INFINITY)), (1.0, f64::INFINITY));
        assert_eq!(principal(1e308), 1.0);
        assert!(lower(1e308) >= 1e308);
    }

    proptest! {
        #![proptest_config(cases(2_000))]

        /// W e^W = z, which is x - ln(1 + x) = u for x = -(1 + W).
        #[test]
        fn both_branches_solve_the_equation(exponent in -20.0..2.5_f64) {
            let u = 10_f64.powf(exponent);
            for x in [lower(u), -principal(u)] {
                // Far out the principal branch is so near to its end that x cannot tell it.
                let found = if x.abs() < SMALL { x * x * (0.5 - x * (1.0 / 3.0 - x * (0.25 - x * 0.2))) } else { x - x.ln_1p() };
                let told = u < 20.0 || x > 0.0;
                prop_assert!(!told || (found - u).abs() <= 1e-6 * u, "{x} gives {found}, not {u}");
            }
        }

        #[test]
        fn nothing_is_not_a_number(u in any::<f64>()) {
            prop_assert!((0.0..=1.0).contains(&principal(u)));
            prop_assert!(lower(u) >= 0.0);
        }
    }
}
