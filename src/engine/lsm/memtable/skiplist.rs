//! The skip list: entries in order, for one writer at a time and readers that take no lock.
//!
//! ```text
//! node := link[height-1] .. link[1] link[0] | value_len:u32 key_len:u16 unused:u16 | internal key | value
//!                                           ^ the node's place
//! link := head:32 place:32                  place 0: none behind
//! head := generation:2 head of the key:30   how keys are measured changes as the table fills
//! ```
//!
//! A search that stands on a node has its links in the same cache line, and in each link the head of
//! the key that it leads to ([`Heads`](super::head::Heads)): it goes to a node only to walk on from it,
//! or if heads are equal and the whole keys must be compared. What costs time in a large list is
//! touching nodes, one cache miss each; of the nodes that a plain list compares and does not follow,
//! none is touched. With them out of the way, half of the nodes on each level go up to the next is
//! better than the usual quarter: the walk on each level is shorter.
//!
//! Heads of one generation can be compared; those of different ones say nothing. Generation 0 is
//! before there are keys to fit a measure to; its heads are all equal. When there are 256, 4,096 and
//! 65,536 entries, the writer looks whether another measure would tell them apart better, and if so
//! publishes it and writes all links anew, with the same places. A reader may meet old and new links in
//! one search. Both are right.
//!
//! Why its `unsafe` is right:
//!
//! 1. **Places.** A place that is not 0 gets into a link only from [`Skiplist::insert`], which got it
//!    from this list's arena. So a place that comes out of a link is that of a node.
//! 2. **Publication.** A node's bytes and its links are written before the first releasing store of its
//!    place, and its bytes never again. Whoever loads a link loads it acquiring, and sees them all. All
//!    stores of links that are reachable release, those that only change the head too.
//! 3. **Levels.** A link of level `n` leads to a node that has more than `n` links: only these
//!    levels are linked. The first node has all there are.
//! 4. **Lengths** that a node says are those it was given room for.
//! 5. **Aliasing.** Links are only touched as atomics; the bytes behind them are shared and constant
//!    once published. No `&mut` to either exists at any time.
//! 6. **Lifetime.** A [`Node`] borrows the list, and [`Cursor`] keeps it alive; nodes go with the
//!    arena, which goes with the list.
//! 7. **One writer.** All of a writer's state is in a mutex, the arena's grower too.

#![expect(unsafe_code, reason = "nodes are read and written through pointers; the proof stands above")]

use super::arena::{Arena, GRANULE, Grower};
use super::head::{HEAD_BITS, Heads};
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::{TRAILER_LEN, split};
use parking_lot::{Mutex, MutexGuard};
use std::cmp;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// The most levels. Enough for a million entries; a list that has more is only slower.
const HEIGHT: usize = 20;

/// One node in two to this power goes up to the next level.
const UP_BITS: u32 = 1;

/// How many entries there are when the measure of keys is looked at.
const FIT_AT: [u64; GENERATIONS] = [256, 4 << 10, 64 << 10];

/// How many measures a list may have, one after another.
const GENERATIONS: usize = 3;

/// Bytes between a node's links and its key.
const LENGTHS: usize = 8;

/// Sorted entries.
#[derive(Debug)]
pub struct Skiplist {
    arena: Arena,
    order: Order,
    /// The node before all others: a full tower and no key.
    first: u32,
    /// How many levels are in use, 1 at least.
    height: AtomicUsize,
    /// The measures, and how many there are.
    heads: [OnceLock<Heads>; GENERATIONS],
    generation: AtomicU32,
    len: AtomicU64,
    bytes: AtomicU64,
    state: Mutex<State>,
}

/// What only the writer touches.
#[derive(Debug)]
struct State {
    grower: Grower,
    /// On each level, the last node at or before where the last entry was inserted.
    before: [u32; HEIGHT],
    random: u64,
}

/// What is searched for.
struct Target<'a> {
    user_key: &'a [u8],
    trailer: u64,
    /// With its generation.
    head: u32,
}

/// A node, for as long as its list is borrowed.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    at: NonNull<u8>,
    list: PhantomData<&'a Skiplist>,
}

impl<'a> Node<'a> {
    #[inline]
    fn link(self, level: usize) -> &'a AtomicU64 {
        // SAFETY: whoever asks for a level came to the node on it, so the node has that many links in
        // front of its place (point 3), aligned as granules are, and only touched as atomics (point 5).
        unsafe { self.at.cast::<AtomicU64>().sub(level + 1).as_ref() }
    }

    #[inline]
    fn lengths(self) -> (usize, usize) {
        // SAFETY: they stand at the node's place, were written before it was published, and are
        // constant since (points 2 and 5). Granules align them.
        let (value_len, key_len) =
            unsafe { (self.at.cast::<u32>().read(), self.at.cast::<u16>().add(2).read()) };
        (usize::from(key_len) + TRAILER_LEN, value_len as usize)
    }

    /// The internal key.
    #[inline]
    pub fn key(self) -> &'a [u8] {
        let (key_len, _) = self.lengths();
        // SAFETY: so many bytes stand behind the lengths (point 4), constant (point 5).
        unsafe { slice::from_raw_parts(self.at.as_ptr().add(LENGTHS), key_len) }
    }

    /// The value.
    #[inline]
    pub fn value(self) -> &'a [u8] {
        let (key_len, value_len) = self.lengths();
        // SAFETY: as for the key, behind which it stands.
        unsafe { slice::from_raw_parts(self.at.as_ptr().add(LENGTHS + key_len), value_len) }
    }

    fn prefetch(self) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: a hint to the processor; it reads nothing that the program could see.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.at.as_ptr().cast());
        }
    }
}

/// The place that a link leads to.
#[inline]
fn place(link: u64) -> u32 {
    link as u32
}

/// The head in a link, with its generation.
#[inline]
fn head(link: u64) -> u32 {
    (link >> 32) as u32
}

#[inline]
fn link(head: u32, place: u32) -> u64 {
    u64::from(head) << 32 | u64::from(place)
}

/// Whether a random number is that of a node which goes up no further.
fn height(random: u64) -> usize {
    let ups = random.trailing_zeros() / UP_BITS;
    (ups as usize + 1).min(HEIGHT)
}

impl Skiplist {
    /// An empty list that will hold about so many bytes.
    pub fn new(order: Order, capacity_hint_bytes: usize) -> Skiplist {
        let (arena, mut grower) = Arena::new(capacity_hint_bytes);
        let tower = HEIGHT * GRANULE;
        // SAFETY: the grower is this arena's. Its fresh zeros are links to nothing and no key.
        let start = unsafe { arena.allocate(&mut grower, tower + LENGTHS + TRAILER_LEN) };
        let first = start + HEIGHT as u32;
        Skiplist {
            arena,
            order,
            first,
            height: AtomicUsize::new(1),
            heads: Default::default(),
            generation: AtomicU32::new(0),
            len: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            state: Mutex::new(State { grower, before: [first; HEIGHT], random: 0x9e37_79b9_7f4a_7c15 }),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Bytes that they take, nodes and all.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// The right to insert. Waits for another who has it.
    pub fn writer(&self) -> Writer<'_> {
        Writer { list: self, state: self.state.lock() }
    }

    /// The first entry that is not below a key and its trailer.
    ///
    /// Some `log2(len)` steps; about four cache misses in a list of 500,000.
    #[inline]
    pub fn seek(&self, user_key: &[u8], trailer: u64) -> Option<Node<'_>> {
        let target = self.target(user_key, trailer);
        let (_, link) = self.search(&target, |_, _| {});
        self.node(place(link))
    }

    /// The newest entry of a key with at most this trailer.
    #[inline]
    pub fn get(&self, user_key: &[u8], trailer: u64) -> Option<Node<'_>> {
        let target = self.target(user_key, trailer);
        let (_, link) = self.search(&target, |_, _| {});
        if !may_be(head(link), target.head) {
            return None;
        }
        let node = self.node(place(link))?;
        let found = split(node.key()).0;
        self.order.compare(found, user_key).is_eq().then_some(node)
    }

    /// The node at a place that came out of a link of this list.
    #[inline]
    fn node(&self, place: u32) -> Option<Node<'_>> {
        (place != 0).then(|| self.node_at(place))
    }

    /// The same for a place that is known not to be 0.
    #[inline]
    fn node_at(&self, place: u32) -> Node<'_> {
        // SAFETY: only places of nodes get here: from links (point 1) that were loaded acquiring, or
        // by the writer's doing.
        let at = unsafe { NonNull::new_unchecked(self.arena.pointer(place)) };
        Node { at, list: PhantomData }
    }

    fn target<'a>(&self, user_key: &'a [u8], trailer: u64) -> Target<'a> {
        Target { user_key, trailer, head: self.head_of(user_key) }
    }

    /// The head of a key by the newest measure, with its generation.
    #[inline]
    fn head_of(&self, user_key: &[u8]) -> u32 {
        let generation = self.generation.load(Ordering::Acquire);
        match self.heads.get((generation as usize).wrapping_sub(1)).and_then(OnceLock::get) {
            Some(heads) => generation << HEAD_BITS | heads.of(user_key),
            None => 0,
        }
    }

    /// How the entry that a link leads to stands to the target.
    #[inline]
    fn compare(&self, link: u64, target: &Target<'_>) -> cmp::Ordering {
        let head = head(link);
        if (head ^ target.head) >> HEAD_BITS == 0 && head != target.head {
            return head.cmp(&target.head);
        }
        let (user_key, trailer) = split(self.node_at(place(link)).key());
        self.order.compare(user_key, target.user_key).then(target.trailer.cmp(&trailer))
    }

    /// The last node that is below the target, and its link on the lowest level: to the first that is
    /// not. Tells on each level the last node below.
    #[inline]
    fn search(&self, target: &Target<'_>, mut tell: impl FnMut(usize, u32)) -> (u32, u64) {
        let mut at = self.first;
        let mut node = self.node_at(at);
        let mut beyond = 0;
        let mut link = 0;
        for level in (0..self.height.load(Ordering::Relaxed)).rev() {
            loop {
                link = node.link(level).load(Ordering::Acquire);
                // What was found not to be below on a level above is not below.
                if place(link) == beyond || place(link) == 0 {
                    break;
                }
                if self.compare(link, target).is_ge() {
                    beyond = place(link);
                    break;
                }
                at = place(link);
                node = self.node_at(at);
            }
            tell(level, at);
        }
        (at, link)
    }

    /// The last entry.
    fn last(&self) -> u32 {
        let mut at = self.first;
        for level in (0..self.height.load(Ordering::Relaxed)).rev() {
            loop {
                let link = self.node_at(at).link(level).load(Ordering::Acquire);
                if place(link) == 0 {
                    break;
                }
                at = place(link);
            }
        }
        at
    }
}

/// Whether keys with these heads may be equal.
#[inline]
fn may_be(a: u32, b: u32) -> bool {
    a == b || (a ^ b) >> HEAD_BITS != 0
}

/// The right to insert into a list.
#[derive(Debug)]
pub struct Writer<'a> {
    list: &'a Skiplist,
    state: MutexGuard<'a, State>,
}

impl Writer<'_> {
    /// Inserts an entry, which readers see from now on. No entry with this key and trailer may be there.
    ///
    /// Panics if the key is longer than 65,535 bytes, or the value than 4 GiB.
    pub fn insert(&mut self, user_key: &[u8], trailer: u64, value: &[u8]) {
        let target = self.list.target(user_key, trailer);
        self.find(&target);
        let height = height(self.random());
        let new = self.add_node(height, &target, value);
        self.connect(new, height, target.head);
        let len = self.list.len.load(Ordering::Relaxed) + 1;
        self.list.len.store(len, Ordering::Release);
        self.list.bytes.store(self.state.grower.used(), Ordering::Release);
        if FIT_AT.contains(&len) {
            self.fit();
        }
    }

    /// Puts into `before` the nodes that the new one goes behind.
    fn find(&mut self, target: &Target<'_>) {
        if !self.fits_behind_the_last(target) {
            let before = &mut self.state.before;
            self.list.search(target, |level, at| before[level] = at);
        }
    }

    /// Whether the target stands right behind what was inserted last: keys that come in order need no
    /// search. If it does on the lowest level, it does on all.
    fn fits_behind_the_last(&self, target: &Target<'_>) -> bool {
        let list = self.list;
        let last = self.state.before[0];
        if last == list.first {
            return false;
        }
        let (user_key, trailer) = split(list.node_at(last).key());
        let is_behind =
            list.order.compare(user_key, target.user_key).then(target.trailer.cmp(&trailer)).is_lt();
        let next = list.node_at(last).link(0).load(Ordering::Relaxed);
        is_behind && (place(next) == 0 || list.compare(next, target).is_gt())
    }

    fn random(&mut self) -> u64 {
        let random = &mut self.state.random;
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        *random
    }

    /// Writes a node that nothing leads to yet; returns its place.
    fn add_node(&mut self, height: usize, target: &Target<'_>, value: &[u8]) -> u32 {
        let key_len = u16::try_from(target.user_key.len()).expect("keys have at most 65,535 bytes");
        let value_len = u32::try_from(value.len()).expect("values have less than 4 GiB");
        let (tower, key) = (height * GRANULE, usize::from(key_len));
        let bytes = tower + LENGTHS + key + TRAILER_LEN + value.len();
        // SAFETY: the list made its grower with its arena.
        let start = unsafe { self.list.arena.allocate(&mut self.state.grower, bytes) };
        let place = start + height as u32;
        // SAFETY: the place is `tower` bytes behind what was allocated.
        let at = unsafe { self.list.arena.pointer(place) };
        // SAFETY: `bytes - tower` bytes behind the place are the node's, and it is not published: nobody
        // else has their address. Granules align the lengths.
        unsafe {
            at.cast::<u32>().write(value_len);
            at.cast::<u16>().add(2).write(key_len);
            let at = at.add(LENGTHS);
            ptr::copy_nonoverlapping(target.user_key.as_ptr(), at, key);
            at.add(key).cast::<[u8; TRAILER_LEN]>().write(target.trailer.to_le_bytes());
            ptr::copy_nonoverlapping(value.as_ptr(), at.add(key + TRAILER_LEN), value.len());
        }
        place
    }

    /// Links a node in behind those that were found, from the lowest level up: a reader who meets it on
    /// one level finds it on all below.
    fn connect(&mut self, new: u32, height: usize, head: u32) {
        let list = self.list;
        // Levels that were not in use have the first node in `before`.
        if height > list.height.load(Ordering::Relaxed) {
            list.height.store(height, Ordering::Relaxed);
        }
        let node = list.node_at(new);
        for level in 0..height {
            let before = list.node_at(self.state.before[level]).link(level);
            node.link(level).store(before.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        for level in 0..height {
            list.node_at(self.state.before[level]).link(level).store(link(head, new), Ordering::Release);
            self.state.before[level] = new;
        }
    }

    /// Measures keys anew, if the entries that are there now are told apart better so.
    fn fit(&mut self) {
        if matches!(self.list.order, Order::Own(_)) {
            return;
        }
        let generation = self.list.generation.load(Ordering::Relaxed) as usize;
        let heads = self.measure();
        let old = generation.checked_sub(1).and_then(|old| self.list.heads[old].get());
        if old.is_some_and(|old| !heads.is_wider_than(old)) || self.list.heads[generation].set(heads).is_err()
        {
            return;
        }
        self.list.generation.store(generation as u32 + 1, Ordering::Release);
        self.relink();
    }

    /// A measure that fits some 500 of the keys.
    fn measure(&self) -> Heads {
        let levels = (self.list.len() / 512).checked_ilog2().map_or(0, |log| log / UP_BITS + 1);
        let level = (levels as usize).min(self.list.height.load(Ordering::Relaxed) - 1);
        let next = move |at: &Node<'_>| self.list.node(place(at.link(level).load(Ordering::Relaxed)));
        let first = next(&self.list.node_at(self.list.first));
        // The last one too: of keys that come in order, it shares least with the first.
        let last = std::iter::once(self.list.node_at(self.list.last()));
        let nodes = std::iter::successors(first, next).chain(last);
        Heads::fit(nodes.map(|node| split(node.key()).0), matches!(self.list.order, Order::Reverse))
    }

    /// Writes the heads of all links anew.
    fn relink(&mut self) {
        let list = self.list;
        for level in 0..list.height.load(Ordering::Relaxed) {
            let mut at = list.node_at(list.first);
            while let Some(next) = list.node(place(at.link(level).load(Ordering::Relaxed))) {
                let to = place(at.link(level).load(Ordering::Relaxed));
                at.link(level).store(link(list.head_of(split(next.key()).0), to), Ordering::Release);
                at = next;
            }
        }
    }
}

/// Stands on an entry of a list, or on none; keeps the list.
#[derive(Clone, Debug)]
pub struct Cursor {
    list: Arc<Skiplist>,
    /// 0: on none.
    at: u32,
}

impl Cursor {
    /// Stands on none.
    pub fn new(list: Arc<Skiplist>) -> Cursor {
        Cursor { list, at: 0 }
    }

    /// The entry it stands on.
    #[inline]
    pub fn node(&self) -> Option<Node<'_>> {
        self.list.node(self.at)
    }

    /// Moves to the first entry.
    pub fn seek_to_first(&mut self) {
        self.follow(self.list.first);
    }

    /// Moves to the last entry.
    pub fn seek_to_last(&mut self) {
        self.stand_on(self.list.last());
    }

    /// Moves to the first entry that is not below a key and its trailer.
    pub fn seek(&mut self, user_key: &[u8], trailer: u64) {
        let (_, link) = self.list.search(&self.list.target(user_key, trailer), |_, _| {});
        self.at = place(link);
    }

    /// Moves to the next entry, if it stands on one.
    #[inline]
    pub fn next(&mut self) {
        if self.at != 0 {
            self.follow(self.at);
        }
    }

    /// Moves to the entry before, if it stands on one: by a search, for links lead one way.
    pub fn prev(&mut self) {
        let Some(node) = self.node() else { return };
        let (user_key, trailer) = split(node.key());
        let (before, _) = self.list.search(&self.list.target(user_key, trailer), |_, _| {});
        self.stand_on(before);
    }

    fn stand_on(&mut self, at: u32) {
        self.at = if at == self.list.first { 0 } else { at };
    }

    #[inline]
    fn follow(&mut self, from: u32) {
        self.at = place(self.list.node_at(from).link(0).load(Ordering::Acquire));
        if let Some(node) = self.node() {
            // Who comes here mostly goes on.
            if let Some(next) = self.list.node(place(node.link(0).load(Ordering::Acquire))) {
                next.prefetch();
            }
        }
    }
}
