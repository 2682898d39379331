//! Network namespaces for the demo, the tests and the benches: a client, a load balancer and real servers on a small
//! network of veths, with real web servers, taken down again whatever happens.
//!
//! [`Network`] builds the usual network; [`Run`], [`Namespace`] and [`Process`] are what it is made of, for tests that
//! want another. Everything is named `us-<pid>-<what>`, everything goes away when its owner is dropped, and a new
//! [`Run`] takes down what crashed ones left.

mod agent;
mod aioquic;
mod binaries;
mod cgroup;
mod command;
mod echo;
mod http;
pub mod interrupt;
mod keepalived;
mod lbd;
mod machine;
mod namespace;
mod pair;
mod pinned;
mod probe;
mod process;
mod real;
mod realtime;
mod reports;
mod run;
mod serial;
mod topology;
mod watch;

pub use agent::Agent;
pub use aioquic::Aioquic;
pub use binaries::{lab_object, lb_agent, lbctl, lbd, programs_directory, xtask};
pub use cgroup::SlowMachine;
pub use command::{describe, output, tool};
pub use echo::{Server, checksum, make_room};
pub use http::{Connection, Load, REQUEST_LIMIT, Tally};
pub use keepalived::{Keepalived, VrrpPace};
pub use lbd::Lbd;
pub use machine::{Init, Machine, debian_directory};
pub use namespace::{Namespace, NamespaceHandle, connect, connectable};
pub use pair::{Cut, Link, Node, PairConfig, PairNetwork, PairPlan};
pub use pinned::{Pinned, Talk};
pub use probe::{Gap, PROBE_PERIOD, Probe, Sample, longest_gap, lost};
pub use process::{Process, wait_for};
pub use real::WebServer;
pub use realtime::{Rank, prefer, wait_readable};
pub use reports::{KEYS, key_file, takes_reports, write_key_file, write_keys};
pub use run::{RUN_ROOT, Run, kept_runs, mount_bpffs, require_root, take_down_all};
pub use serial::{Faults, SerialLine};
pub use topology::{MAX_MTU, Network, Plan, Shape};
pub use watch::{BOTH, Look, WATCH_PERIOD, Watch, Watched, longest_both};
