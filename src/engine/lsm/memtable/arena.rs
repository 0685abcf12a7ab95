//! The arena: where a memtable's nodes lie, one behind the other, until all are freed at once.
//!
//! ```text
//! place:u32 = slot:11 granule:21        granules are 8 bytes
//!
//! blocks   slot 0 ──> [ node | node | ...         ]   64 KiB to 16 MiB, each twice the one before
//!          slot 1 ──> [ node | node | node | ...            ]
//!          slot 2 ──> [ one large node                                 ... ]   a block of its own
//! ```
//!
//! A place has four bytes where a pointer has eight, which leaves half of a link for something better:
//! a [head](super::head). Blocks are anonymous memory maps: a page of one costs memory only once it is
//! written to, and those of 2 MiB and more ask for huge pages, for a walk through 64 MiB of nodes in no
//! order else misses the processor's table of pages at every step.
//!
//! Why its `unsafe` is right:
//!
//! 1. A block is mapped once, never moved, and unmapped when its [`Grower`] is dropped. The tree that
//!    owns an arena owns its grower, and lends nodes only for as long as it lives.
//! 2. Every place that [`allocate`](Arena::allocate) returns lies in a block, with as many bytes behind
//!    it as were asked for: a slot's first [`SLOT`] bytes can be named by places, and what is longer
//!    begins at the first. No two overlap, for the grower only moves forward, and it is borrowed
//!    exclusively.
//! 3. A block's pointer is stored before a place in it is returned. Who learns of a place from another
//!    thread learns of it by an acquiring load of what was released behind that store.
//! 4. Fresh pages are zeros: there are no uninitialised bytes.

#![expect(unsafe_code, reason = "places are turned into pointers; the proof stands above")]

use crate::sync::unlocked::mapped::{AtomicPtr, Ordering};
use memmap2::{MmapMut, MmapRaw};
use std::alloc::{Layout, handle_alloc_error};
use std::ptr;

/// Bytes of a granule: what places count, and how nodes are aligned.
pub(super) const GRANULE: usize = 8;

/// Bits of a place that count granules in a slot.
const SLOT_BITS: u32 = 21;

/// Bytes of a slot that places can name; also the largest block but for those of one node.
const SLOT: usize = GRANULE << SLOT_BITS;

/// Bytes of the largest node that shares a block. Slots are few: no smaller one has a block of its own, and what
/// is left over at the end of a block is less than a quarter of it.
const LARGE: usize = SLOT / 4;

/// How many blocks there can be; for loom, which counts each pointer, a few.
const SLOTS: usize = if cfg!(loom) { 4 } else { 1 << (u32::BITS - SLOT_BITS) };

/// Bytes of the smallest block.
const SMALLEST: usize = 4 << 10;

/// Bytes of a huge page.
const HUGE: usize = 2 << 20;

/// Memory for nodes. Room for nearly 8 GiB at least, whatever their sizes: each slot but the first few holds 4 MiB
/// or more.
#[derive(Debug)]
pub(super) struct Arena {
    blocks: Box<[AtomicPtr<u8>]>,
}

/// What the one writer knows of an arena, and what owns its memory.
#[derive(Debug)]
pub(super) struct Grower {
    maps: Vec<MmapRaw>,
    /// The next free place, and the bytes that are left behind it.
    free: u32,
    left: usize,
    /// Bytes of the next block.
    next_block: usize,
    /// Bytes that were given out, and that were left over at the ends of blocks.
    used: u64,
}

impl Grower {
    /// Bytes that nodes take, and that no node can take any more.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Moves on in the last block.
    fn skip(&mut self, bytes: usize) {
        self.free += (bytes / GRANULE) as u32;
        self.left -= bytes;
        self.used += bytes as u64;
    }
}

impl Arena {
    /// An arena that will hold about so many bytes, and its grower. Maps nothing yet.
    pub(super) fn new(capacity_hint_bytes: usize) -> (Arena, Grower) {
        let blocks = (0..SLOTS).map(|_| AtomicPtr::new(ptr::null_mut())).collect();
        let next_block = (capacity_hint_bytes / 16).clamp(SMALLEST, SLOT).next_power_of_two();
        (Arena { blocks }, Grower { maps: Vec::new(), free: 0, left: 0, next_block, used: 0 })
    }

    /// Room for so many bytes, zeros, aligned to [`GRANULE`], and to `align` if it is a larger power
    /// of two, up to a page.
    ///
    /// Aborts if all slots are taken, or if the system has no memory, as any allocation does.
    ///
    /// # Safety
    ///
    /// The grower is the one that was made with this arena.
    pub(super) unsafe fn allocate(&self, grower: &mut Grower, bytes: usize, align: usize) -> u32 {
        // Blocks begin at a page, and end at one: what is left tells how it is aligned.
        let bytes = bytes.next_multiple_of(GRANULE);
        let skip = grower.left % align.max(GRANULE);
        grower.skip(skip);
        if bytes > grower.left {
            if bytes > LARGE {
                grower.used += bytes as u64;
                return self.add_block(grower, bytes);
            }
            grower.skip(grower.left);
            grower.left = grower.next_block.max((4 * bytes).next_power_of_two());
            grower.free = self.add_block(grower, grower.left);
            grower.next_block = (grower.next_block * 2).min(SLOT);
        }
        let place = grower.free;
        grower.skip(bytes);
        place
    }

    /// Maps a block; returns the place where it begins.
    fn add_block(&self, grower: &mut Grower, bytes: usize) -> u32 {
        let slot = grower.maps.len();
        if slot == SLOTS {
            handle_alloc_error(Layout::new::<u64>());
        }
        let (map, start) = map(bytes);
        self.blocks[slot].store(start, Ordering::Relaxed);
        grower.maps.push(map);
        (slot as u32) << SLOT_BITS
    }

    /// Where a place is.
    ///
    /// # Safety
    ///
    /// [`allocate`](Arena::allocate) of this arena returned a place that is at or before this one, and
    /// this one is inside of what it gave out; the caller knows of it by its own doing or by an
    /// acquiring load. The pointer is good for as long as the arena's grower lives.
    #[inline]
    pub(super) unsafe fn pointer(&self, place: u32) -> *mut u8 {
        let slot = (place >> SLOT_BITS) as usize;
        let offset = (place as usize & ((1 << SLOT_BITS) - 1)) * GRANULE;
        // SAFETY: only slots below SLOTS, the table's length, were given out. The slot's block is there, and
        // the offset is inside of it: points 2 and 3.
        unsafe { self.blocks.get_unchecked(slot).load(Ordering::Relaxed).add(offset) }
    }
}

/// A map with so many bytes of zeros behind the pointer.
fn map(bytes: usize) -> (MmapRaw, *mut u8) {
    let is_huge = bytes >= HUGE;
    let len = if is_huge { bytes + HUGE } else { bytes };
    let Ok(map) = MmapMut::map_anon(len) else {
        handle_alloc_error(Layout::new::<u64>());
    };
    // Huge pages begin at multiples of their size.
    let skip = if is_huge { map.as_ptr().align_offset(HUGE) } else { 0 };
    #[cfg(all(target_os = "linux", not(miri)))]
    if is_huge {
        // Without huge pages it is slower, and as good.
        let _ = map.advise_range(memmap2::Advice::HugePage, skip, bytes);
    }
    let map = MmapRaw::from(map);
    // SAFETY: at most HUGE bytes are skipped, and the map has that many more than are asked for.
    let start = unsafe { map.as_mut_ptr().add(skip) };
    (map, start)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::{Arena, SLOT, SLOTS};

    // Whatever was larger than a quarter of the next block had a block of its own, and blocks grew only with small
    // nodes. A batch of 2,600 values of 17 kB took all slots of a small memtable, and the process was aborted.
    #[test]
    fn nodes_of_any_size_leave_slots_for_8_gib() {
        const TOTAL: usize = 1 << 30;
        for (hint, bytes) in
            [(4 << 10, 17_000), (1 << 20, 40_000), (64 << 20, 1 << 20), (4 << 10, (4 << 20) + 8)]
        {
            let (arena, mut grower) = Arena::new(hint);
            for _ in 0..TOTAL / bytes {
                // SAFETY: the grower is this arena's.
                unsafe { arena.allocate(&mut grower, bytes, 8) };
            }
            let blocks = grower.maps.len();
            assert!(blocks <= 20 + TOTAL / (SLOT / 4), "{blocks} blocks for nodes of {bytes} bytes");
            assert!(blocks * 8 <= SLOTS + 20 * 8, "{blocks} of {SLOTS} blocks");
            assert!(grower.used() <= (TOTAL / 3 * 4 + SLOT) as u64, "{} bytes used", grower.used());
        }
    }
}
