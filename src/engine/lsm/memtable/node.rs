//! What lies in a memtable's arena: nodes of the tree, and entries.
//!
//! ```text
//! leaf  := permutation:u64 version:u32 next:u32 link[14]
//! inner := leaf anchor[14]
//! link  := head:32 place:32              of an entry; in an inner node, of a child
//! entry := value_len:u32 key_len:u16 unused:u16 internal_key value
//! ```
//!
//! An anchor is the place of the entry whose key is the child's lowest. A link's head stands for the
//! key of the entry, or of the anchor (see [`Heads`](super::head::Heads)). A leaf has two cache lines.
//!
//! Why its `unsafe` is right, if [`Node::at`] and [`Entry::at`] get places of what they say:
//!
//! 1. The bytes of nodes are only touched as atomics. They begin as zeros.
//! 2. The bytes of an entry are written by [`write`], when nobody else knows its place, and are
//!    constant from then on: slices of them can be shared. The lengths in front of it are those it has
//!    room for.
//! 3. Both borrow the arena, so they do not outlive it.

#![expect(unsafe_code, reason = "nodes and entries are read through pointers; the proof stands above")]

use super::arena::{Arena, Grower};
use super::permutation::{Permutation, SLOTS};
use crate::engine::lsm::key::TRAILER_LEN;
use crate::sync::unlocked::mapped::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(loom)]
use crate::sync::unlocked::{self, Bytes};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Bytes of a leaf, and of an inner node.
const LEAF: usize = 16 + 8 * SLOTS;
const INNER: usize = LEAF + 4 * SLOTS;

/// Bytes of an entry before its key.
const LENGTHS: usize = 8;

/// The place of nothing: the arena begins with a node that nothing leads to.
pub(super) const NOWHERE: u32 = 0;

/// A place, and the head of the key that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// With the generation of its measure.
    pub(super) head: u32,
    /// Of an entry, or of a child.
    pub(super) place: u32,
}

/// The part of a leaf or an inner node that both have.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    at: NonNull<u8>,
    arena: PhantomData<&'a Arena>,
}

/// An entry, for as long as its arena is borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    at: NonNull<u8>,
    arena: PhantomData<&'a Arena>,
}

/// A word of a node. Under loom it is not in the node: see `src/sync/loomed.rs`.
#[cfg(not(loom))]
type Word<'a, A> = &'a A;
#[cfg(loom)]
type Word<'a, A> = unlocked::Word<A>;

/// The four bytes at `at`.
///
/// # Safety
///
/// They are in a node of this arena, aligned, and always atomic.
#[inline]
unsafe fn word32<'a>(at: NonNull<u8>) -> Word<'a, AtomicU32> {
    #[cfg(loom)]
    return unlocked::word32(at.as_ptr() as usize);
    // SAFETY: as the caller says.
    #[cfg(not(loom))]
    unsafe {
        at.cast().as_ref()
    }
}

/// The eight bytes at `at`.
///
/// # Safety
///
/// They are in a node of this arena, aligned, and always atomic.
#[inline]
unsafe fn word64<'a>(at: NonNull<u8>) -> Word<'a, AtomicU64> {
    #[cfg(loom)]
    return unlocked::word64(at.as_ptr() as usize);
    // SAFETY: as the caller says.
    #[cfg(not(loom))]
    unsafe {
        at.cast().as_ref()
    }
}

/// Room for a leaf (level 0) or an inner node, with nothing in it.
///
/// # Safety
///
/// The grower is the arena's.
pub(super) unsafe fn add_node(arena: &Arena, grower: &mut Grower, level: u32) -> u32 {
    let bytes = if level == 0 { LEAF } else { INNER };
    // SAFETY: as the caller says.
    let place = unsafe { arena.allocate(grower, bytes, LINE) };
    #[cfg(loom)]
    {
        // SAFETY: it was allocated just now.
        let at = unsafe { arena.pointer(place) } as usize;
        let anchors = if level == 0 { 0 } else { SLOTS };
        let words32 = [at + 8, at + 12].into_iter().chain((0..anchors).map(|slot| at + LEAF + 4 * slot));
        let words64 = [at].into_iter().chain((0..SLOTS).map(|slot| at + 16 + 8 * slot));
        unlocked::make_words(words32, words64);
    }
    place
}

/// Writes an entry; returns its place.
///
/// Panics if the key is longer than 65,535 bytes, or the value than 4 GiB.
///
/// # Safety
///
/// The grower is the arena's.
pub(super) unsafe fn write(
    arena: &Arena,
    grower: &mut Grower,
    user_key: &[u8],
    trailer: u64,
    value: &[u8],
) -> u32 {
    let key_len = u16::try_from(user_key.len()).expect("keys have at most 65,535 bytes");
    let value_len = u32::try_from(value.len()).expect("values have less than 4 GiB");
    let bytes = LENGTHS + user_key.len() + TRAILER_LEN + value.len();
    // SAFETY: the grower is the arena's. The bytes that it gives are ours alone, and aligned for the
    // lengths; exactly as many are written.
    unsafe {
        let place = arena.allocate(grower, bytes, 1);
        let at = arena.pointer(place);
        #[cfg(loom)]
        Bytes::at(at as usize).write();
        at.cast::<u32>().write(value_len);
        at.cast::<u16>().add(2).write(key_len);
        let at = at.add(LENGTHS);
        ptr::copy_nonoverlapping(user_key.as_ptr(), at, user_key.len());
        let at = at.add(user_key.len());
        at.cast::<[u8; TRAILER_LEN]>().write(trailer.to_le_bytes());
        ptr::copy_nonoverlapping(value.as_ptr(), at.add(TRAILER_LEN), value.len());
        place
    }
}

impl<'a> Node<'a> {
    /// The node at a place.
    ///
    /// # Safety
    ///
    /// [`add_node`] returned the place for this arena, and the caller knows it by its own doing or by
    /// an acquiring load.
    #[inline]
    pub(super) unsafe fn at(arena: &'a Arena, place: u32) -> Node<'a> {
        // SAFETY: allocated, as the caller says; blocks are not at address 0.
        Node { at: unsafe { NonNull::new_unchecked(arena.pointer(place)) }, arena: PhantomData }
    }

    #[inline]
    fn permutation_word(self) -> Word<'a, AtomicU64> {
        // SAFETY: the first eight bytes of a node, aligned, always atomic.
        unsafe { word64(self.at) }
    }

    #[inline]
    fn version_word(self) -> Word<'a, AtomicU32> {
        // SAFETY: the next four.
        unsafe { word32(self.at.add(8)) }
    }

    #[inline]
    fn next_word(self) -> Word<'a, AtomicU32> {
        // SAFETY: the next four.
        unsafe { word32(self.at.add(12)) }
    }

    #[inline]
    fn link_word(self, slot: usize) -> Word<'a, AtomicU64> {
        debug_assert!(slot < SLOTS);
        // SAFETY: permutations name slots below SLOTS, and all nodes have as many links.
        unsafe { word64(self.at.add(16 + 8 * slot)) }
    }

    /// The order of its slots.
    #[inline]
    pub(super) fn permutation(self) -> Permutation {
        Permutation(self.permutation_word().load(Ordering::Acquire))
    }

    /// Makes slots visible, or those that went to another node invisible.
    pub(super) fn set_permutation(self, permutation: Permutation) {
        self.permutation_word().store(permutation.0, Ordering::Release);
    }

    /// The node behind it on its level; [`NOWHERE`] if it is the last.
    #[inline]
    pub(super) fn next(self) -> u32 {
        self.next_word().load(Ordering::Acquire)
    }

    /// Puts a node behind it.
    pub(super) fn set_next(self, place: u32) {
        self.next_word().store(place, Ordering::Release);
    }

    /// The link in a slot.
    #[inline]
    pub(super) fn link(self, slot: usize) -> Link {
        let word = self.link_word(slot).load(Ordering::Acquire);
        Link { head: (word >> 32) as u32, place: word as u32 }
    }

    /// Fills a slot that is free, or changes the head of one in use.
    pub(super) fn set_link(self, slot: usize, link: Link) {
        let word = u64::from(link.head) << 32 | u64::from(link.place);
        self.link_word(slot).store(word, Ordering::Release);
    }

    /// From now on, slots that are free may be filled again: who read the permutation before must not
    /// trust what it finds in them.
    pub(super) fn reuse_slots(self) {
        let version = self.version_word().load(Ordering::Relaxed);
        self.version_word().store(version.wrapping_add(1), Ordering::Release);
    }

    /// What `look` sees of the node while none of its slots is filled again; looks once more if one
    /// might have been.
    #[inline]
    pub(super) fn steady<T>(self, mut look: impl FnMut(Permutation) -> T) -> T {
        loop {
            let version = self.version_word().load(Ordering::Acquire);
            let seen = look(self.permutation());
            fence(Ordering::Acquire);
            if self.version_word().load(Ordering::Relaxed) == version {
                return seen;
            }
        }
    }

    /// Has the processor fetch both lines of it.
    #[inline]
    pub(super) fn prefetch(self) {
        prefetch(self.at);
        // SAFETY: a leaf, the smaller one, has two lines.
        prefetch(unsafe { self.at.add(LINE) });
    }
}

/// What inner nodes have besides.
impl Node<'_> {
    /// The place of the entry with the lowest key of the child in a slot.
    ///
    /// # Safety
    ///
    /// The node was made for a level above 0.
    #[inline]
    pub(super) unsafe fn anchor(self, slot: usize) -> u32 {
        debug_assert!(slot < SLOTS);
        // SAFETY: an inner node has as many anchors as slots behind what a leaf has.
        unsafe { word32(self.at.add(LEAF + 4 * slot)) }.load(Ordering::Acquire)
    }

    /// Sets it.
    ///
    /// # Safety
    ///
    /// The node was made for a level above 0.
    pub(super) unsafe fn set_anchor(self, slot: usize, place: u32) {
        debug_assert!(slot < SLOTS);
        // SAFETY: as above.
        unsafe { word32(self.at.add(LEAF + 4 * slot)) }.store(place, Ordering::Release);
    }
}

impl<'a> Entry<'a> {
    /// The entry at a place.
    ///
    /// # Safety
    ///
    /// [`write`] returned the place for this arena, and the caller knows it by its own doing or by an
    /// acquiring load.
    #[inline]
    pub(super) unsafe fn at(arena: &'a Arena, place: u32) -> Entry<'a> {
        // SAFETY: as for nodes.
        Entry { at: unsafe { NonNull::new_unchecked(arena.pointer(place)) }, arena: PhantomData }
    }

    #[inline]
    fn lengths(self) -> (usize, usize) {
        #[cfg(loom)]
        Bytes::at(self.at.as_ptr() as usize).read();
        // SAFETY: they stand at its place, aligned, constant.
        let (value_len, key_len) =
            unsafe { (self.at.cast::<u32>().read(), self.at.cast::<u16>().add(2).read()) };
        (usize::from(key_len) + TRAILER_LEN, value_len as usize)
    }

    /// The internal key.
    #[inline]
    pub(super) fn key(self) -> &'a [u8] {
        let (key_len, _) = self.lengths();
        // SAFETY: so many bytes stand behind the lengths, constant.
        unsafe { slice::from_raw_parts(self.at.as_ptr().add(LENGTHS), key_len) }
    }

    /// The value.
    #[inline]
    pub(super) fn value(self) -> &'a [u8] {
        let (key_len, value_len) = self.lengths();
        // SAFETY: so many bytes stand behind the key, constant.
        unsafe { slice::from_raw_parts(self.at.as_ptr().add(LENGTHS + key_len), value_len) }
    }

    /// Has the processor fetch its beginning.
    #[inline]
    pub(super) fn prefetch(self) {
        prefetch(self.at);
    }
}

#[inline]
fn prefetch(at: NonNull<u8>) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a hint to the processor; it reads nothing that the program could see.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.as_ptr().cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = at;
}
