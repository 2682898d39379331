//! The two ends of the bench of throughput: `generate` writes small UDP packets of many flows and sends them out of an interface, run on
//! live frames by BPF_PROG_TEST_RUN; `count` counts the IPv4 packets that have come through, and drops them.
//!
//! A live frame comes back with whatever those did to it whom it passed, so `generate` writes all headers each time.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
#[path = "throughput/flood.rs"]
mod flood;

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{
        bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS},
        btf_maps::{Array, PerCpuArray},
        helpers::{bpf_redirect, bpf_xdp_adjust_head},
        macros::{btf_map, xdp},
        programs::XdpContext,
    };

    use crate::flood::{
        ADDRESS_BITS, DATAGRAM_LENGTH, FIRST_PORT, FRAME_LENGTH, Flood, Next, PACKET_LENGTH, PROTOCOLS, ROOM, TARGETS,
    };

    const ETHERTYPE_IPV4: u16 = 0x0800_u16.to_be();
    const IPV4_AT: usize = 14;
    const UDP_AT: usize = 34;
    const PROTOCOL_AT: usize = 23;
    const PROTOCOL_UDP: u8 = 17;
    /// Version 4 and a header of five words; no type of service.
    const PLAIN: u16 = 0x4500_u16.to_be();
    const DO_NOT_FRAGMENT: u16 = 0x4000_u16.to_be();
    const TTL_AND_UDP: u16 = (64 << 8 | PROTOCOL_UDP as u16).to_be();
    const PACKET: u16 = PACKET_LENGTH.to_be();
    const DATAGRAM: u16 = DATAGRAM_LENGTH.to_be();
    /// Sum of the IPv4 header's words that are always the same.
    const HEADER_SUM: u32 = PLAIN as u32 + PACKET as u32 + DO_NOT_FRAGMENT as u32 + TTL_AND_UDP as u32;
    /// The same of the UDP header and of what is summed with it: the length twice, and the protocol. The data is zeros.
    const DATAGRAM_SUM: u32 = 2 * DATAGRAM as u32 + (PROTOCOL_UDP as u16).to_be() as u32;

    /// The packets to write: one row.
    #[btf_map(name = "flood")]
    static FLOOD: Array<Flood, 1> = Array::new();
    /// What is sent next, by the one CPU that generates. Not per CPU: that look-up is a call on older kernels.
    #[btf_map(name = "next_packet")]
    static NEXT: Array<Next, 1> = Array::new();
    /// IPv4 packets that have arrived, by their protocol.
    #[btf_map(name = "delivered")]
    static DELIVERED: PerCpuArray<u64, { PROTOCOLS as usize }> = PerCpuArray::new();

    /// Writes the next flow's packet and sends it.
    #[xdp]
    pub fn generate(ctx: XdpContext) -> u32 {
        let (Some(flood), Some(next)) = (FLOOD.get(0), NEXT.get_ptr_mut(0)) else { return XDP_ABORTED };
        // SAFETY: no pointer into the frame is kept over the call.
        if flood.room != 0 && unsafe { bpf_xdp_adjust_head(ctx.ctx, ROOM as i32) } != 0 {
            return XDP_ABORTED;
        }
        let start = ctx.data();
        if start + FRAME_LENGTH > ctx.data_end() {
            return XDP_ABORTED;
        }
        // SAFETY: one CPU alone runs the program, which is not preempted by itself.
        let Next { sent, flow, target: at } = unsafe { *next };
        let last = flow + 1 >= flood.flows;
        let following = Next {
            sent: sent + 1,
            flow: if last { 0 } else { flow + 1 },
            target: if last || at + 1 >= TARGETS as u32 { 0 } else { at + 1 },
        };
        // SAFETY: as above.
        unsafe { *next = following };
        // Not the flow's number modulo TARGETS: LLVM would know it to be small enough, and the verifier would not.
        let Some(target) = flood.targets.get(at as usize) else { return XDP_ABORTED };
        // SAFETY: all of the frame has been compared with its end.
        unsafe { write_packet(start, flood, flow, *target) };
        // SAFETY: the helper has no conditions.
        unsafe { bpf_redirect(flood.ifindex, 0) as u32 }
    }

    /// Counts the IPv4 packets, and drops them. What else comes (ARP) is for the kernel.
    #[xdp]
    pub fn count(ctx: XdpContext) -> u32 {
        let start = ctx.data();
        if start + UDP_AT > ctx.data_end() {
            return XDP_PASS;
        }
        // SAFETY: the bytes up to UDP_AT are inside the frame.
        let (ethertype, protocol) = unsafe { (*((start + 12) as *const u16), *((start + PROTOCOL_AT) as *const u8)) };
        if ethertype != ETHERTYPE_IPV4 {
            return XDP_PASS;
        }
        if let Some(count) = DELIVERED.get_ptr_mut(u32::from(protocol)) {
            // SAFETY: the entry is this CPU's own, and the program is not preempted by itself.
            unsafe { *count += 1 };
        }
        XDP_DROP
    }

    /// # Safety
    /// `FRAME_LENGTH` bytes from `start` on are inside the frame.
    #[inline(always)]
    unsafe fn write_packet(start: usize, flood: &Flood, flow: u32, target: u32) {
        let client = (flood.client + (flow & ((1 << ADDRESS_BITS) - 1))).to_be();
        let from = ((FIRST_PORT + (flow >> ADDRESS_BITS)) as u16).to_be();
        let to = (flood.port as u16).to_be();
        let addresses = halves(client) + halves(target);
        let header_check = fold(HEADER_SUM + addresses);
        let ports = u32::from(from) + u32::from(to);
        let check = fold(DATAGRAM_SUM + addresses + ports);
        // SAFETY: by the function's own contract.
        unsafe {
            let macs = start as *mut u32;
            *macs = flood.macs[0];
            *macs.add(1) = flood.macs[1];
            *macs.add(2) = flood.macs[2];
            let words = (start + 12) as *mut u16;
            *words = ETHERTYPE_IPV4;
            let words = (start + IPV4_AT) as *mut u16;
            *words = PLAIN;
            *words.add(1) = PACKET;
            *words.add(2) = 0;
            *words.add(3) = DO_NOT_FRAGMENT;
            *words.add(4) = TTL_AND_UDP;
            *words.add(5) = header_check;
            let words = (start + IPV4_AT + 12) as *mut u32;
            *words = client;
            *words.add(1) = target;
            let words = (start + UDP_AT) as *mut u16;
            *words = from;
            *words.add(1) = to;
            *words.add(2) = DATAGRAM;
            *words.add(3) = check;
        }
    }

    #[inline(always)]
    fn halves(word: u32) -> u32 {
        (word & 0xffff) + (word >> 16)
    }

    /// The Internet checksum of what has this sum.
    #[inline(always)]
    fn fold(sum: u32) -> u16 {
        let sum = halves(sum);
        !(halves(sum) as u16)
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
