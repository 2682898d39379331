//! The load balancer logic without I/O.

pub mod api;
