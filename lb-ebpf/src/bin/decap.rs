//! The XDP program on real servers: takes a packet for a VIP out of the outer headers that a load balancer has put before it, IP in IP or
//! IP in UDP (GUE variant 1), and hands it to the kernel. Where the kernel has a module for that, none of this is needed.
//!
//! It drops nothing: what is no such packet, to the letter, passes as it came, and the kernel says what becomes of it.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{
        bindings::{xdp_action::XDP_PASS, xdp_md},
        btf_maps::{HashMap, PerCpuArray},
        helpers::bpf_xdp_adjust_head,
        macros::{btf_map, xdp},
        programs::XdpContext,
    };
    use lb_common::{
        FAMILY_V4, FAMILY_V6, PROTOCOL_UDP,
        decap::{AddressKey, ENDPOINT_GUE, ENDPOINT_IPIP, Endpoint, MAX_DECAP_VIPS, MAX_ENDPOINTS},
    };

    const ETHERNET: usize = 14;
    const ETHER_TYPE_AT: usize = 12;
    const ETHER_TYPE_IPV4: u16 = 0x0800;
    const ETHER_TYPE_IPV6: u16 = 0x86dd;
    const IPV4: usize = 20;
    const IPV6: usize = 40;
    const UDP: usize = 8;
    /// Version 4 and a header of five words: load balancers write no options.
    const IPV4_PLAIN: u8 = 0x45;
    const PROTOCOL_IPV4: u8 = 4;
    const PROTOCOL_IPV6: u8 = 41;
    /// All bits of an IPv4 header's fragment word but "don't fragment".
    const FRAGMENT: u16 = 0xbfff;
    /// The two bits of congestion notification (RFC 3168).
    const ECN: u8 = 3;
    const CONGESTION: u8 = 3;

    #[btf_map(name = "decap_endpoints")]
    static ENDPOINTS: HashMap<AddressKey, Endpoint, { MAX_ENDPOINTS as usize }> = HashMap::new();
    #[btf_map(name = "decap_vips")]
    static VIPS: HashMap<AddressKey, u32, { MAX_DECAP_VIPS as usize }> = HashMap::new();
    #[btf_map(name = "decap_packets")]
    static PACKETS: PerCpuArray<u64, 1> = PerCpuArray::new();

    /// An IPv4 header without options, in network order.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Ipv4 {
        version_ihl: u8,
        tos: u8,
        length: [u8; 2],
        identification: [u8; 2],
        fragment: [u8; 2],
        ttl: u8,
        protocol: u8,
        checksum: [u8; 2],
        source: [u8; 4],
        destination: [u8; 4],
    }

    /// An IPv6 header, in network order.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Ipv6 {
        version_class: [u8; 2],
        label: [u8; 2],
        length: [u8; 2],
        next_header: u8,
        hop_limit: u8,
        source: [u8; 16],
        destination: [u8; 16],
    }

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Udp {
        source: [u8; 2],
        destination: [u8; 2],
        length: [u8; 2],
        checksum: [u8; 2],
    }

    /// The outer headers of a packet.
    struct Outer {
        /// Where they end: the packet's own header begins there.
        end: usize,
        /// What that is: [`FAMILY_V4`] or [`FAMILY_V6`]; 0 where the packet itself says so.
        inner: u8,
        /// Bits of congestion notification.
        ecn: u8,
    }

    #[xdp]
    pub fn decap(ctx: XdpContext) -> u32 {
        // Whatever has come of it, the kernel gets the frame.
        let _ = take_out(&ctx);
        XDP_PASS
    }

    #[inline(always)]
    fn take_out(ctx: &XdpContext) -> Option<()> {
        let ether_type = u16::from_be_bytes(read(ctx, ETHER_TYPE_AT)?);
        let outer = match ether_type {
            ETHER_TYPE_IPV4 => outer_ipv4(ctx)?,
            ETHER_TYPE_IPV6 => outer_ipv6(ctx)?,
            _ => return None,
        };
        // The ends of all outer headers, as constants: the verifier follows packet pointers by them.
        match outer.end {
            OUTER_4 => strip::<OUTER_4>(ctx, &outer),
            OUTER_4_UDP => strip::<OUTER_4_UDP>(ctx, &outer),
            OUTER_6 => strip::<OUTER_6>(ctx, &outer),
            OUTER_6_UDP => strip::<OUTER_6_UDP>(ctx, &outer),
            _ => None,
        }
    }

    const OUTER_4: usize = ETHERNET + IPV4;
    const OUTER_4_UDP: usize = OUTER_4 + UDP;
    const OUTER_6: usize = ETHERNET + IPV6;
    const OUTER_6_UDP: usize = OUTER_6 + UDP;

    /// An outer IPv4 header, whole and sound, of a packet to an address where such a tunnel ends.
    #[inline(always)]
    fn outer_ipv4(ctx: &XdpContext) -> Option<Outer> {
        let ip: Ipv4 = read(ctx, ETHERNET)?;
        let length = usize::from(u16::from_be_bytes(ip.length));
        let is_fragment = u16::from_be_bytes(ip.fragment) & FRAGMENT != 0;
        if ip.version_ihl != IPV4_PLAIN || is_fragment || ETHERNET + length > frame_length(ctx) {
            return None;
        }
        let mut address = [0; 16];
        address[..4].copy_from_slice(&ip.destination);
        let endpoint = endpoint(address, FAMILY_V4)?;
        if !is_sound(ctx)? {
            return None;
        }
        tunnel::<OUTER_4, OUTER_4_UDP>(ctx, endpoint, ip.protocol, length.checked_sub(IPV4)?, ip.tos & ECN)
    }

    #[inline(always)]
    fn outer_ipv6(ctx: &XdpContext) -> Option<Outer> {
        let ip: Ipv6 = read(ctx, ETHERNET)?;
        let length = usize::from(u16::from_be_bytes(ip.length));
        if ip.version_class[0] >> 4 != 6 || OUTER_6 + length > frame_length(ctx) {
            return None;
        }
        let endpoint = endpoint(ip.destination, FAMILY_V6)?;
        tunnel::<OUTER_6, OUTER_6_UDP>(ctx, endpoint, ip.next_header, length, ip.version_class[1] >> 4 & ECN)
    }

    /// Which tunnel a packet came by, if by one that ends here. `length` is what follows the outer IP header, which ends at `IP`.
    #[inline(always)]
    fn tunnel<const IP: usize, const UDP_END: usize>(
        ctx: &XdpContext,
        endpoint: Endpoint,
        protocol: u8,
        length: usize,
        ecn: u8,
    ) -> Option<Outer> {
        if protocol == PROTOCOL_UDP {
            let udp: Udp = read(ctx, IP)?;
            let is_ours = endpoint.flags & ENDPOINT_GUE != 0
                && u16::from_be_bytes(udp.destination) == endpoint.gue_port
                && udp.checksum == [0, 0]
                && usize::from(u16::from_be_bytes(udp.length)) == length;
            return is_ours.then_some(Outer { end: UDP_END, inner: 0, ecn });
        }
        let inner = match protocol {
            PROTOCOL_IPV4 => FAMILY_V4,
            PROTOCOL_IPV6 => FAMILY_V6,
            _ => return None,
        };
        (endpoint.flags & ENDPOINT_IPIP != 0).then_some(Outer { end: IP, inner, ecn })
    }

    /// Takes the outer headers, which end at `END`, off a packet for a VIP.
    #[inline(always)]
    fn strip<const END: usize>(ctx: &XdpContext, outer: &Outer) -> Option<()> {
        let [version]: [u8; 1] = read(ctx, END)?;
        let (family, ether_type) = match version >> 4 {
            4 => (FAMILY_V4, ETHER_TYPE_IPV4),
            6 => (FAMILY_V6, ETHER_TYPE_IPV6),
            _ => return None,
        };
        if outer.inner != 0 && outer.inner != family {
            return None;
        }
        let destination = if family == FAMILY_V4 { destination4(ctx, END)? } else { destination6(ctx, END)? };
        let vip = AddressKey { address: destination, family, reserved: [0; 3] };
        // SAFETY: only whether there is a value is looked at.
        unsafe { VIPS.get(vip) }?;
        mark_congestion(ctx, END, family, outer.ecn)?;
        let macs: [u8; ETHER_TYPE_AT] = read(ctx, 0)?;
        // SAFETY: the context is the one that the kernel gave, and no pointer into the frame is kept over the call.
        if unsafe { bpf_xdp_adjust_head(ctx.ctx, (END - ETHERNET) as i32) } != 0 {
            return None;
        }
        write(ctx, 0, macs)?;
        write(ctx, ETHER_TYPE_AT, ether_type.to_be_bytes())?;
        if let Some(count) = PACKETS.get_ptr_mut(0) {
            // SAFETY: the entry is this CPU's own, and the program is not preempted by itself.
            unsafe { *count += 1 };
        }
        Some(())
    }

    #[inline(always)]
    fn destination4(ctx: &XdpContext, at: usize) -> Option<[u8; 16]> {
        let ip: Ipv4 = read(ctx, at)?;
        let mut address = [0; 16];
        address[..4].copy_from_slice(&ip.destination);
        Some(address)
    }

    #[inline(always)]
    fn destination6(ctx: &XdpContext, at: usize) -> Option<[u8; 16]> {
        let ip: Ipv6 = read(ctx, at)?;
        Some(ip.destination)
    }

    /// Congestion that routers have marked on the outer header is the packet's (RFC 6040 section 4.2). A packet whose ends do not know such marks
    /// would have to be dropped, and is left to the kernel.
    #[inline(always)]
    fn mark_congestion(ctx: &XdpContext, at: usize, family: u8, outer: u8) -> Option<()> {
        if outer != CONGESTION {
            return Some(());
        }
        if family == FAMILY_V6 {
            let [first, second]: [u8; 2] = read(ctx, at)?;
            return if second >> 4 & ECN == 0 { None } else { write(ctx, at, [first, second | CONGESTION << 4]) };
        }
        let ip: Ipv4 = read(ctx, at)?;
        if ip.tos & ECN == 0 {
            return None;
        }
        // RFC 1624 equation 3, of the word with the version and the TOS.
        let old = u32::from(u16::from_be_bytes([ip.version_ihl, ip.tos]));
        let new = u32::from(u16::from_be_bytes([ip.version_ihl, ip.tos | CONGESTION]));
        let sum = u32::from(!u16::from_be_bytes(ip.checksum)) + (!old & 0xffff) + new;
        let checksum = !(fold(sum) as u16);
        write(ctx, at, Ipv4 { tos: ip.tos | CONGESTION, checksum: checksum.to_be_bytes(), ..ip })
    }

    #[inline(always)]
    fn endpoint(address: [u8; 16], family: u8) -> Option<Endpoint> {
        // SAFETY: the value is copied at once.
        unsafe { ENDPOINTS.get(AddressKey { address, family, reserved: [0; 3] }) }.copied()
    }

    /// Whether the sum of the outer IPv4 header's words, its checksum among them, is all ones.
    #[inline(always)]
    fn is_sound(ctx: &XdpContext) -> Option<bool> {
        let words: [u16; IPV4 / 2] = read(ctx, ETHERNET)?;
        let mut sum = 0;
        for word in words {
            sum += u32::from(word);
        }
        Some(fold(sum) == 0xffff)
    }

    #[inline(always)]
    fn fold(sum: u32) -> u32 {
        let sum = (sum & 0xffff) + (sum >> 16);
        (sum & 0xffff) + (sum >> 16)
    }

    #[inline(always)]
    fn frame_length(ctx: &XdpContext) -> usize {
        ctx.data_end() - ctx.data()
    }

    #[inline(always)]
    fn read<T: Copy>(ctx: &XdpContext, offset: usize) -> Option<T> {
        let at = pointer::<T>(ctx.ctx, offset)?;
        // SAFETY: `pointer` has compared the range with the frame's end, and any bytes are a value of the types that are read.
        Some(unsafe { at.read_unaligned() })
    }

    #[inline(always)]
    fn write<T>(ctx: &XdpContext, offset: usize, value: T) -> Option<()> {
        let at = pointer::<T>(ctx.ctx, offset)?;
        // SAFETY: as in `read`.
        unsafe { at.write_unaligned(value) };
        Some(())
    }

    #[inline(always)]
    fn pointer<T>(ctx: *mut xdp_md, offset: usize) -> Option<*mut T> {
        let ctx = XdpContext::new(ctx);
        let at = ctx.data() + offset;
        (at + size_of::<T>() <= ctx.data_end()).then_some(at as *mut T)
    }

    /// The kernel lends its GPL-only helpers to programs that declare a compatible licence.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo) -> ! {
        loop {}
    }
}
