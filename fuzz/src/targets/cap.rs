//! An allocator that ends the process where a single request is larger than a target may make: a length
//! that is believed before it is checked shows as one huge request.

#![expect(unsafe_code, reason = "a global allocator is unsafe by its nature; this one passes all on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;

thread_local! {
    /// The largest request that this thread may make at the moment, and for whom.
    static LIMIT: Cell<(usize, &'static str)> = const { Cell::new((usize::MAX, "")) };
}

/// Passes everything on to the system, up to the limit of the thread.
pub(crate) struct Capped;

/// Runs `body`, in which no request may be larger than `limit` bytes.
pub(crate) fn within(limit: usize, name: &'static str, body: impl FnOnce()) {
    /// Takes the limit away, also where the body panics.
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            LIMIT.set((usize::MAX, ""));
        }
    }
    LIMIT.set((limit, name));
    let _reset = Reset;
    body();
}

fn check(bytes: usize) {
    // The thread may be ending, and its cell gone.
    let limit = LIMIT.try_with(Cell::get).unwrap_or((usize::MAX, ""));
    if bytes > limit.0 && !std::thread::panicking() {
        // What is said allocates too.
        let _ = LIMIT.try_with(|cell| cell.set((usize::MAX, "")));
        let (limit, name) = limit;
        let _ = writeln!(std::io::stderr(), "{name}: a request for {bytes} bytes, with room for {limit}");
        std::process::abort();
    }
}

// SAFETY: every call is passed on to the system's allocator unchanged, or ends the process.
unsafe impl GlobalAlloc for Capped {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`, which is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        check(new_size);
        // SAFETY: the caller keeps the contract of `realloc`, which is passed on.
        unsafe { System.realloc(old, layout, new_size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, which is passed on.
        unsafe { System.dealloc(old, layout) }
    }
}
