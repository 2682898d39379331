//! The XDP program. What it does with each kind of frame is written in docs/reference/forwarding.md;
//! it looks up and rewrites, and decides no policy.
//!
//! On any target but BPF this is an empty program, so that `cargo build --workspace` works.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod program;

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod entry {
    use aya_ebpf::{bindings::xdp_action::XDP_PASS, helpers::bpf_jiffies64, macros::xdp, programs::XdpContext};

    /// The program that is attached to an interface.
    #[xdp]
    pub fn understudy(ctx: XdpContext) -> u32 {
        crate::program::run(ctx.ctx)
    }

    /// Writes the kernel's jiffies to the frame's first eight bytes: the daemon, which sets leases in them, has no other way to know them.
    /// Attached to nothing.
    #[xdp]
    pub fn jiffies(ctx: XdpContext) -> u32 {
        let start = ctx.data();
        if start + size_of::<u64>() <= ctx.data_end() {
            // SAFETY: the helper has no conditions, and the frame's first eight bytes are there.
            unsafe { *(start as *mut u64) = bpf_jiffies64() };
        }
        XDP_PASS
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        // SAFETY: no panic path is left in the program: the build refuses an object with one, and so does the verifier.
        unsafe { core::hint::unreachable_unchecked() }
    }

    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 4] = *b"GPL\0";
}
