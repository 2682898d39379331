//! What the commands need of the machine: each need is met here, or an error names the one command that meets it.

mod kernel;
mod packages;
mod toolchain;

use std::path::Path;

use anyhow::Result;

/// A group of things that a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// What the XDP program is built with: the toolchain's own sources and bpf-linker.
    Toolchain,
    /// clippy and rustfmt.
    Lints,
    /// Root, the kernel's features and the Debian packages for networks of namespaces.
    Network,
    /// The Debian packages for the status page and the metrics.
    Web,
    /// The program that failover is compared with.
    Keepalived,
    /// What packages are made with.
    Packing,
    /// What a Debian of its own is made with, for packages to be installed in.
    Debian,
    /// What Python environments are made with.
    Python,
    /// What a virtual machine is made and run with.
    VirtualMachine,
    /// The program that dumps and loads the kernel's connections.
    Conntrack,
    /// What throughput is compared with and loaded by, beside what networks have.
    Throughput,
    /// The program that tells the kernel's own load balancer what to do, in a virtual machine.
    Ipvs,
}

/// Makes sure that everything in `needs` is there, cheap looks first.
pub fn ensure(root: &Path, needs: &[Need]) -> Result<()> {
    if needs.contains(&Need::Network) {
        lb_lab::require_root()?;
        kernel::check_files()?;
        packages::ensure(&packages::NETWORK)?;
        kernel::check_network()?;
    }
    if needs.contains(&Need::Web) {
        packages::ensure(&packages::WEB)?;
    }
    if needs.contains(&Need::Keepalived) {
        packages::ensure(&packages::KEEPALIVED)?;
    }
    if needs.contains(&Need::Packing) {
        packages::ensure(&packages::PACKING)?;
    }
    if needs.contains(&Need::Debian) {
        packages::ensure(&packages::DEBIAN)?;
    }
    if needs.contains(&Need::Python) {
        packages::ensure(&packages::PYTHON)?;
    }
    if needs.contains(&Need::VirtualMachine) {
        packages::ensure(&packages::VIRTUAL_MACHINE)?;
    }
    if needs.contains(&Need::Conntrack) {
        packages::ensure(&packages::CONNTRACK)?;
    }
    if needs.contains(&Need::Throughput) {
        packages::ensure(&packages::THROUGHPUT)?;
    }
    if needs.contains(&Need::Ipvs) {
        packages::ensure(&packages::IPVS)?;
    }
    if needs.contains(&Need::Lints) {
        toolchain::ensure_component(root, "clippy", "cargo-clippy")?;
        toolchain::ensure_component(root, "rustfmt", "cargo-fmt")?;
    }
    if needs.contains(&Need::Toolchain) {
        toolchain::ensure_rust_src(root)?;
        toolchain::ensure_bpf_linker(root)?;
    }
    Ok(())
}
