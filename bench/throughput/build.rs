//! Builds the bench's XDP programs and lays the object where `flood` embeds it.

#[path = "../../xtask/src/embed.rs"]
mod embed;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    embed::embed("lb-throughput-ebpf")
}
