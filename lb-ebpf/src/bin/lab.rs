//! Two XDP programs for the far ends of the test network: `decap` stands in for the tunnel device of a real server,
//! and `pass_all` lets a veth receive what the balancer sends (a veth peer takes XDP_TX only with a program on it).
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{bindings::xdp_action, helpers::bpf_xdp_adjust_head, macros::xdp, programs::XdpContext};

    const ETHERNET_LEN: usize = 14;
    const IPV4_LEN: usize = 20;
    const IPV6_LEN: usize = 40;
    const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
    const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
    const PROTOCOL_IPV4: u8 = 4;
    const PROTOCOL_IPV6: u8 = 41;
    /// Version 4 and a header of five words: the only outer IPv4 header that the balancer writes.
    const IPV4_PLAIN: u8 = 0x45;
    const PROTOCOL_UDP: u8 = 17;
    const UDP_LEN: usize = 8;
    const GUE_PORT: [u8; 2] = lb_common::GUE_PORT.to_be_bytes();

    /// Takes the outer headers off an IPv4-in-IPv4, IPv4-in-IPv6 or IPv6-in-IPv6 packet, or one by GUE, and hands the rest to
    /// the kernel. All else passes as it is. An outer header that a tunnel device would refuse is dropped.
    #[xdp]
    pub fn decap(ctx: XdpContext) -> u32 {
        match read::<[u8; 2]>(&ctx, 12) {
            Some(ETHERTYPE_IPV4) => decap_ipv4(&ctx),
            Some(ETHERTYPE_IPV6) => decap_ipv6(&ctx),
            _ => xdp_action::XDP_PASS,
        }
    }

    /// Passes every frame.
    #[xdp]
    pub fn pass_all(_: XdpContext) -> u32 {
        xdp_action::XDP_PASS
    }

    #[inline(always)]
    fn decap_ipv4(ctx: &XdpContext) -> u32 {
        let Some(header) = read::<[u16; IPV4_LEN / 2]>(ctx, ETHERNET_LEN) else {
            return xdp_action::XDP_PASS;
        };
        let [first, _] = header[0].to_ne_bytes();
        let [_, protocol] = header[4].to_ne_bytes();
        let gue = protocol == PROTOCOL_UDP && is_gue(ctx, ETHERNET_LEN + IPV4_LEN);
        if protocol != PROTOCOL_IPV4 && !gue {
            return xdp_action::XDP_PASS;
        }
        let length = u16::from_be(header[1]) as usize;
        let frame = ctx.data_end() - ctx.data();
        if first != IPV4_PLAIN || ETHERNET_LEN + length > frame || !checksum_holds(&header) {
            return xdp_action::XDP_DROP;
        }
        if gue { strip_gue(ctx, IPV4_LEN, length - IPV4_LEN) } else { strip(ctx, IPV4_LEN, ETHERTYPE_IPV4) }
    }

    #[inline(always)]
    fn decap_ipv6(ctx: &XdpContext) -> u32 {
        let Some(header) = read::<[u16; 4]>(ctx, ETHERNET_LEN) else {
            return xdp_action::XDP_PASS;
        };
        let [next_header, _] = header[3].to_ne_bytes();
        let inner = match next_header {
            PROTOCOL_IPV4 => Some(ETHERTYPE_IPV4),
            PROTOCOL_IPV6 => Some(ETHERTYPE_IPV6),
            PROTOCOL_UDP if is_gue(ctx, ETHERNET_LEN + IPV6_LEN) => None,
            _ => return xdp_action::XDP_PASS,
        };
        let payload = u16::from_be(header[2]) as usize;
        let frame = ctx.data_end() - ctx.data();
        if ETHERNET_LEN + IPV6_LEN + payload > frame {
            return xdp_action::XDP_DROP;
        }
        match inner {
            Some(ethertype) => strip(ctx, IPV6_LEN, ethertype),
            None => strip_gue(ctx, IPV6_LEN, payload),
        }
    }

    /// Whether there is a UDP header for the port of GUE.
    #[inline(always)]
    fn is_gue(ctx: &XdpContext, at: usize) -> bool {
        read::<[u8; 2]>(ctx, at + 2) == Some(GUE_PORT)
    }

    /// GUE variant 1: the first bits behind the UDP header are the inner packet's version. Only what the balancer writes is taken: a
    /// source port of its range, a UDP length that is the outer packet's, no checksum.
    #[inline(always)]
    fn strip_gue(ctx: &XdpContext, outer: usize, payload: usize) -> u32 {
        let Some(udp) = read::<[u16; UDP_LEN / 2]>(ctx, ETHERNET_LEN + outer) else {
            return xdp_action::XDP_DROP;
        };
        if u16::from_be(udp[0]) < 0xc000 || u16::from_be(udp[2]) as usize != payload || udp[3] != 0 {
            return xdp_action::XDP_DROP;
        }
        let ethertype = match read::<u8>(ctx, ETHERNET_LEN + outer + UDP_LEN) {
            Some(first) if first >> 4 == 4 => ETHERTYPE_IPV4,
            Some(first) if first >> 4 == 6 => ETHERTYPE_IPV6,
            _ => return xdp_action::XDP_DROP,
        };
        strip(ctx, outer + UDP_LEN, ethertype)
    }

    /// The one's complement sum of a sound IPv4 header, its checksum included, is all ones.
    #[inline(always)]
    fn checksum_holds(header: &[u16; IPV4_LEN / 2]) -> bool {
        let mut sum: u32 = 0;
        for word in header {
            sum = sum.wrapping_add(*word as u32);
        }
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        sum == 0xffff
    }

    /// Removes `length` bytes behind the Ethernet header and sets the EtherType of what is left.
    #[inline(always)]
    fn strip(ctx: &XdpContext, length: usize, ethertype: [u8; 2]) -> u32 {
        let Some(macs) = read::<[u8; 12]>(ctx, 0) else {
            return xdp_action::XDP_PASS;
        };
        // SAFETY: `ctx.ctx` is the context that the kernel gave; no packet pointer is kept over the call.
        if unsafe { bpf_xdp_adjust_head(ctx.ctx, length as i32) } != 0 {
            return xdp_action::XDP_DROP;
        }
        if write(ctx, 0, macs).is_none() || write(ctx, 12, ethertype).is_none() {
            return xdp_action::XDP_DROP;
        }
        xdp_action::XDP_PASS
    }

    #[inline(always)]
    fn read<T: Copy>(ctx: &XdpContext, offset: usize) -> Option<T> {
        let at = pointer::<T>(ctx, offset)?;
        // SAFETY: `pointer` has compared the range with the frame's end.
        Some(unsafe { at.read_unaligned() })
    }

    #[inline(always)]
    fn write<T>(ctx: &XdpContext, offset: usize, value: T) -> Option<()> {
        let at = pointer::<T>(ctx, offset)?;
        // SAFETY: as in `read`.
        unsafe { at.write_unaligned(value) };
        Some(())
    }

    #[inline(always)]
    fn pointer<T>(ctx: &XdpContext, offset: usize) -> Option<*mut T> {
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
