//! What the end-to-end tests share: frames built and shown, the reference model, and the harness that holds the XDP
//! program to it.

pub mod harness;
pub mod model;
pub mod packet;
pub mod world;
