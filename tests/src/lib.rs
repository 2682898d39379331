//! What the end-to-end tests share: frames built and shown, the reference model, the harness that holds the XDP
//! program to it, and traffic and stage of the tests in network namespaces.

pub mod browser;
pub mod cpu;
pub mod doctor;
pub mod harness;
pub mod kernel;
pub mod model;
pub mod packet;
pub mod pair;
pub mod quic_lb;
pub mod schedule;
pub mod scheduling;
pub mod stage;
pub mod traffic;
pub mod world;
