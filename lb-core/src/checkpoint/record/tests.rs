//! Records are made, read and refused.
