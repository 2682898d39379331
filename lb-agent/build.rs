//! Builds the program that takes packets out of tunnels, and lays the object where `decap` embeds it.

#[path = "../xtask/src/embed.rs"]
mod embed;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    embed::embed("lb-decap-ebpf")
}
