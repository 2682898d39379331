//! What the tests of several modules share.

use proptest::test_runner::{Config, RngSeed};

/// Settings of a property test: so many cases, the same ones each time.
pub(crate) fn cases(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(0x756e_6465_7273_7475), failure_persistence: None, ..Config::default() }
}
