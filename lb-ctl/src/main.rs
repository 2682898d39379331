//! `lbctl`.
fn main() {}
