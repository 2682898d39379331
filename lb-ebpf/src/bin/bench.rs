//! The XDP program between the works of a bench (`cargo xtask bench packet`).
//!
//! BPF_PROG_TEST_RUN does not restore the frame between rounds. So each program here takes the forwarder itself, the same
//! inlined code, between two steps: before it the next flow's pristine headers are written, after it an outer header is
//! taken off again. A floor does these steps without the forwarder: what it costs is the bench's own work.
//!
//! What a round needs lies in the frame behind the packet, in [`State`], and goes with the frame to user space and back.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
#[path = "../program/mod.rs"]
mod program;
#[cfg(target_arch = "bpf")]
#[path = "bench/state.rs"]
mod state;

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod bench {
    use aya_ebpf::{
        bindings::{
            xdp_action::{XDP_ABORTED, XDP_DROP, XDP_TX},
            xdp_md,
        },
        helpers::bpf_xdp_adjust_head,
        macros::xdp,
        programs::XdpContext,
    };
    use lb_common::{FAMILY_V4, FAMILY_V6};

    use crate::{
        program,
        state::{ADDRESS_BITS, FIRST_PORT, FRAME_LENGTH, STATE_AT, State},
    };

    /// Lengths of the outer header that is taken off. Where there is none, the floor makes the same call.
    const NO_HEADER: i32 = 0;
    const IPV4: i32 = 20;
    const IPV6: i32 = 40;
    const UDP: i32 = 8;
    /// Words behind the ports that are written anew: the rest of the shortest TCP header, also where the packet has another; or of a UDP
    /// header, so that a connection id stays as it is. The forwarder loads that by wider loads than these stores: see [`copy`].
    const TCP_REST: usize = 4;
    const UDP_REST: usize = 1;

    /// The least that a program can do.
    #[xdp]
    pub fn bench_drop(_: XdpContext) -> u32 {
        XDP_DROP
    }

    /// The least that a forwarder can do.
    #[xdp]
    pub fn bench_mac_swap(ctx: XdpContext) -> u32 {
        let start = ctx.data();
        if start + 14 > ctx.data_end() {
            return XDP_ABORTED;
        }
        let macs = start as *mut [u16; 6];
        // SAFETY: the first 14 bytes are inside the frame.
        unsafe {
            let [a, b, c, d, e, f] = *macs;
            *macs = [d, e, f, a, b, c];
        }
        XDP_TX
    }

    /// Makes a program of the forwarder, or of what stands in for it. A macro, since LLVM does not inline a function that is
    /// handed over as a value.
    macro_rules! programs {
        ($($name:ident: $family:ident, $rest:ident, $forward:expr, $undo:expr;)+) => {
            $(
                /// One round; see the module.
                #[xdp]
                pub fn $name(ctx: XdpContext) -> u32 {
                    if !begin::<$family, $rest>(ctx.ctx) {
                        return XDP_ABORTED;
                    }
                    let verdict = $forward(ctx.ctx);
                    end(ctx.ctx, verdict, $undo)
                }
            )+
        };
    }

    programs! {
        bench_v4_floor: FAMILY_V4, TCP_REST, nothing, None;
        bench_v4_udp_floor: FAMILY_V4, UDP_REST, nothing, None;
        bench_v4_udp_run: FAMILY_V4, UDP_REST, program::run, None;
        bench_v4_run: FAMILY_V4, TCP_REST, program::run, None;
        bench_v4_unleased: FAMILY_V4, TCP_REST, unleased, None;
        bench_v4_untraceable: FAMILY_V4, TCP_REST, untraceable, None;
        bench_v4_undo_floor: FAMILY_V4, TCP_REST, nothing, Some(NO_HEADER);
        bench_v4_undo4_run: FAMILY_V4, TCP_REST, program::run, Some(IPV4);
        bench_v4_undo6_run: FAMILY_V4, TCP_REST, program::run, Some(IPV6);
        bench_v4_undo_gue4_run: FAMILY_V4, TCP_REST, program::run, Some(IPV4 + UDP);
        bench_v6_floor: FAMILY_V6, TCP_REST, nothing, None;
        bench_v6_run: FAMILY_V6, TCP_REST, program::run, None;
        bench_v6_unleased: FAMILY_V6, TCP_REST, unleased, None;
        bench_v6_undo_floor: FAMILY_V6, TCP_REST, nothing, Some(NO_HEADER);
        bench_v6_undo6_run: FAMILY_V6, TCP_REST, program::run, Some(IPV6);
        bench_v6_undo_gue6_run: FAMILY_V6, TCP_REST, program::run, Some(IPV6 + UDP);
    }

    /// Stands in for the forwarder.
    #[inline(always)]
    fn nothing(_: *mut xdp_md) -> u32 {
        XDP_TX
    }

    /// The forwarder without a look at the lease.
    #[inline(always)]
    fn unleased(ctx: *mut xdp_md) -> u32 {
        program::verdict(program::serve(program::Frame(ctx)), false)
    }

    /// The forwarder without a way to trace packets.
    #[inline(always)]
    fn untraceable(ctx: *mut xdp_md) -> u32 {
        let frame = program::Frame(ctx);
        if !program::node::serves() {
            let outcome = program::node::outcome(ctx);
            if outcome != program::node::FORWARD {
                return program::verdict(outcome, false);
            }
        }
        program::verdict(program::serve(frame), false)
    }

    /// Writes the next flow's packet. False where the frame is not the bench's.
    #[inline(always)]
    fn begin<const FAMILY: u8, const REST: usize>(ctx: *mut xdp_md) -> bool {
        let Some(frame) = whole(ctx) else { return false };
        write_packet::<FAMILY, REST>(frame);
        true
    }

    /// Takes the outer header off, and notes the verdict.
    #[inline(always)]
    fn end(ctx: *mut xdp_md, verdict: u32, undo: Option<i32>) -> u32 {
        if let Some(bytes) = undo {
            // SAFETY: no pointer into the frame is kept over the call.
            if unsafe { bpf_xdp_adjust_head(ctx, bytes) } != 0 {
                return XDP_ABORTED;
            }
        }
        let Some(frame) = whole(ctx) else { return XDP_ABORTED };
        let state = state(frame);
        // SAFETY: `whole` has checked that the state is inside the frame.
        unsafe { (*state).met += u64::from(verdict == (*state).wanted) };
        verdict
    }

    /// The frame's start, where all of it is there.
    #[inline(always)]
    fn whole(ctx: *mut xdp_md) -> Option<usize> {
        // SAFETY: ctx is valid as long as the program runs. Volatile, so that no bound is kept over a move of the start.
        let (start, end) =
            unsafe { ((&raw const (*ctx).data).read_volatile(), (&raw const (*ctx).data_end).read_volatile()) };
        (start as usize + FRAME_LENGTH <= end as usize).then_some(start as usize)
    }

    #[inline(always)]
    fn state(frame: usize) -> *mut State {
        (frame + STATE_AT) as *mut State
    }

    /// Restores every header that may have changed, and takes the next flow's client.
    #[inline(always)]
    fn write_packet<const FAMILY: u8, const REST: usize>(frame: usize) {
        // SAFETY: `whole` has checked that the state, and the headers before it, are inside the frame.
        unsafe {
            let state = &mut *state(frame);
            let flow = state.next;
            state.next = if flow + 1 == state.flows { 0 } else { flow + 1 };
            let client = (state.client + (flow as u32 & ((1 << ADDRESS_BITS) - 1))).to_be();
            let port = FIRST_PORT.wrapping_add((flow >> ADDRESS_BITS) as u16).to_be();
            copy::<u32, 3>((&raw const state.macs).cast(), frame);
            *((frame + 12) as *mut u16) = state.ether_type as u16;
            let (from, to) = ((&raw const state.headers) as usize, frame + 14);
            let tcp = if FAMILY == FAMILY_V4 {
                copy::<u32, 3>(from as *const u32, to);
                *((to + 12) as *mut u32) = client;
                copy::<u32, 1>((from + 16) as *const u32, to + 16);
                IPV4 as usize
            } else {
                copy::<u32, 2>(from as *const u32, to);
                copy::<u64, 1>((from + 8) as *const u64, to + 8);
                *((to + 16) as *mut u64) = u64::from(*((from + 16) as *const u32)) | u64::from(client) << 32;
                copy::<u64, 2>((from + 24) as *const u64, to + 24);
                IPV6 as usize
            };
            let ports = *((from + tcp) as *const u32);
            *((to + tcp) as *mut u32) = ports & u32::from_ne_bytes([0, 0, 0xff, 0xff]) | u32::from(port);
            copy::<u32, REST>((from + tcp + 4) as *const u32, to + tcp + 4);
        }
    }

    /// Copies as many `T`. Not by fewer or wider stores than a forwarder may load: a load that spans several stores waits until all
    /// of them have left the CPU's buffer, and a NIC's memory does not ask for that. (LLVM makes a plain copy a call of memcpy,
    /// which goes byte by byte.)
    ///
    /// # Safety
    /// `from` and `to` are valid for `COUNT` of `T`; their alignment does not matter to BPF.
    #[inline(always)]
    unsafe fn copy<T, const COUNT: usize>(from: *const T, to: usize) {
        for at in 0..COUNT {
            // SAFETY: by the function's own contract.
            unsafe { (to as *mut T).add(at).write_volatile(from.add(at).read_volatile()) };
        }
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
