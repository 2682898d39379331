//! An allocator that counts, for each thread, how much room is taken at once.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

pub struct Counting;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

/// What `work` gives, and how many bytes it took at most at one instant, beside what there was before.
pub fn used<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.get();
    MOST.set(before);
    let result = work();
    (result, MOST.get().saturating_sub(before))
}

fn taken(size: usize) {
    // A thread that ends has no cells any more.
    let _ = NOW.try_with(|now| {
        now.set(now.get() + size);
        let _ = MOST.try_with(|most| most.set(most.get().max(now.get())));
    });
}

fn given_back(size: usize) {
    // What another thread took may be given back here.
    let _ = NOW.try_with(|now| now.set(now.get().saturating_sub(size)));
}

// SAFETY: everything is done by the system's allocator; what is beside it touches no memory but its own cells, and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller keeps what GlobalAlloc asks, and the same is asked here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        given_back(layout.size());
        // SAFETY: the block is from `alloc` above, that is, of the system's allocator with this layout.
        unsafe { System.dealloc(block, layout) }
    }
}
