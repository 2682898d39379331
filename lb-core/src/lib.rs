//! The load balancer logic without I/O.
