//! Builds the XDP program and lays the object where `dataplane` embeds it.

#[path = "../xtask/src/embed.rs"]
mod embed;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    embed::embed("lb-ebpf")
}
