//! The takeover and the tracking against the kernel's own addresses, neighbour tables and links, in network namespaces of the
//! tests' own. Needs root.

mod disk;
mod duplicate;
mod hooks;
mod owner;
mod rival;
mod stage;
mod tracking;
