//! Health checks of real servers: by their own addresses in one namespace, and by the service's way in a network of
//! namespaces. Needs root, and `cargo xtask build-ebpf` for the tunnels' far ends.

mod certificates;
mod exec;
mod http;
mod https;
mod icmp;
mod rhythm;
mod servers;
mod service;
mod stage;
mod tcp;
mod udp;
mod web;
