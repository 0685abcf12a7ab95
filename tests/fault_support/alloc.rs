//! An allocator that remembers the largest request of each thread: a length that is believed before
//! it is checked shows as one huge request, however soon it fails.

#![expect(unsafe_code, reason = "a global allocator is unsafe by its nature; this one passes all on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// No request of a test is larger; one that is fails, as if there was no memory.
const CAP: usize = 1 << 30;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// Passes everything on to the system, up to [`CAP`].
pub(crate) struct Capped;

/// The largest request of this thread since the last call.
pub(crate) fn take_largest() -> usize {
    LARGEST.replace(0)
}

fn note(bytes: usize) -> bool {
    // The thread may be ending, and its cell gone.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(bytes)));
    bytes <= CAP
}

// SAFETY: every call is passed on to the system's allocator unchanged, or answered with null, which
// says that there is no memory.
unsafe impl GlobalAlloc for Capped {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !note(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of `alloc`, which is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !note(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !note(new_size) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of `realloc`, which is passed on.
        unsafe { System.realloc(old, layout, new_size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, which is passed on.
        unsafe { System.dealloc(old, layout) }
    }
}
