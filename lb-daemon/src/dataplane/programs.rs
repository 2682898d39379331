//! What the kernel says of programs that others have loaded.

use aya::programs::loaded_programs;

/// The name of a loaded program, as far as the kernel keeps it (15 bytes); none where it does not tell.
#[must_use]
pub fn program_name(id: u32) -> Option<String> {
    let program = loaded_programs().filter_map(Result::ok).find(|program| program.id() == id)?;
    program.name_as_str().map(str::to_owned)
}
