//! The frame behind an XDP context: bounds-checked access, and room before and after it.

use core::{arch::asm, mem::MaybeUninit};

use aya_ebpf::{
    bindings::xdp_md,
    helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_load_bytes},
};

/// A frame. Offsets are from its first byte.
#[derive(Clone, Copy)]
pub struct Frame(pub *mut xdp_md);

/// The bounds of a frame, until they move: read once for several looks at it.
#[derive(Clone, Copy)]
pub struct Bounds {
    start: usize,
    end: usize,
}

impl Bounds {
    /// A pointer to a `T` at `offset`, or `None` where the frame ends before it does.
    ///
    /// Valid until the frame's bounds move. `T`'s alignment is the header's within an IP packet that begins 2 bytes off a
    /// word, as the kernel lays received packets out; BPF loads need none.
    #[inline(always)]
    pub fn at<T>(self, offset: usize) -> Option<*mut T> {
        let start = self.start + offset;
        if start + size_of::<T>() > self.end { None } else { Some(start as *mut T) }
    }

    /// As [`Bounds::at`], where the verifier does not know the offset, 255 at most: it has to see that, and that what is checked is what is used.
    #[inline(always)]
    pub fn somewhere<T>(self, mut offset: usize) -> Option<*mut T> {
        // SAFETY: clears bits of a register that are clear, and moves another to itself. It keeps LLVM from adding start and offset once more, or
        // from leaving the check to another one.
        unsafe { asm!("{0} &= 0xff", inout(reg) offset, options(nomem, nostack, preserves_flags)) };
        let mut start = self.start + offset;
        // SAFETY: as above.
        unsafe { asm!("{0} = {0}", inout(reg) start, options(nomem, nostack, preserves_flags)) };
        if start + size_of::<T>() > self.end { None } else { Some(start as *mut T) }
    }

    /// Whether `length` bytes from `offset` on are inside the frame.
    #[inline(always)]
    pub fn holds(self, offset: usize, length: u32) -> bool {
        self.start + offset + length as usize <= self.end
    }
}

impl Frame {
    /// The bounds as they are now.
    #[inline(always)]
    pub fn bounds(self) -> Bounds {
        Bounds { start: self.data(), end: self.data_end() }
    }

    /// As [`Bounds::at`].
    #[inline(always)]
    pub fn at<T>(self, offset: usize) -> Option<*mut T> {
        self.bounds().at(offset)
    }

    /// The frame's length in bytes.
    #[inline(always)]
    pub fn len(self) -> usize {
        let mut length = self.data_end() - self.data();
        // SAFETY: moves a register to itself. It keeps LLVM from narrowing the difference of the pointers to 32 bits, which
        // the verifier refuses. (Without any instruction the line info would name one twice, which it refuses too.)
        unsafe { asm!("{0} = {0}", inout(reg) length, options(nomem, nostack, preserves_flags)) };
        length
    }

    /// Copies a `T` from `offset`, wherever that is, or `None` where the frame ends before it does.
    #[inline(always)]
    pub fn load<T>(self, offset: u32) -> Option<T> {
        // Not a default value: LLVM makes that a call of memset, which goes byte by byte and has a stack of its own.
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the helper writes size_of::<T>() bytes to `value`, which holds as many, or fails. The types it is used for
        // are made of integers, for which any bytes are a value.
        let result = unsafe { bpf_xdp_load_bytes(self.0, offset, value.as_mut_ptr().cast(), size_of::<T>() as u32) };
        // SAFETY: the helper has written all of it.
        if result == 0 { Some(unsafe { value.assume_init() }) } else { None }
    }

    /// Copies the frame's first bytes, as many as there is room for, and says how many that are.
    #[inline(always)]
    pub fn copy<const ROOM: usize>(self, to: &mut [u8; ROOM]) -> u32 {
        // Not narrower than a register: the verifier has to see the limits of what it is given. Linux 6.1's does not see that what is not zero
        // is at least one. (No frame is empty.)
        let length = self.len().wrapping_sub(1).min(ROOM - 1) + 1;
        // SAFETY: the helper writes `length` bytes to `to`, which holds as many, or fails.
        let result = unsafe { bpf_xdp_load_bytes(self.0, 0, to.as_mut_ptr().cast(), length as u32) };
        if result == 0 { length as u32 } else { 0 }
    }

    /// Moves the frame's start by `bytes`: negative values make room. False where there is none.
    #[inline(always)]
    pub fn move_start(self, bytes: i32) -> bool {
        // SAFETY: ctx is the program's own context.
        unsafe { bpf_xdp_adjust_head(self.0, bytes) == 0 }
    }

    /// Moves the frame's end by `bytes`: negative values cut it. False where that cannot be.
    #[inline(always)]
    pub fn move_end(self, bytes: i32) -> bool {
        // SAFETY: ctx is the program's own context.
        unsafe { bpf_xdp_adjust_tail(self.0, bytes) == 0 }
    }

    /// The interface that the frame came in by.
    #[inline(always)]
    pub fn ingress_ifindex(self) -> u32 {
        // SAFETY: ctx is valid as long as the program runs.
        unsafe { (&raw const (*self.0).ingress_ifindex).read_volatile() }
    }

    // The context's fields are read by volatile loads each time: LLVM would else hoist `data` and `data_end` out of a
    // function that is not inlined and pass them as arguments, which the verifier refuses.
    #[inline(always)]
    fn data(self) -> usize {
        // SAFETY: ctx is valid as long as the program runs.
        unsafe { (&raw const (*self.0).data).read_volatile() as usize }
    }

    #[inline(always)]
    fn data_end(self) -> usize {
        // SAFETY: as in `data`.
        unsafe { (&raw const (*self.0).data_end).read_volatile() as usize }
    }
}
