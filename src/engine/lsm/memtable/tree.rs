//! The tree: entries in order, for one writer at a time and readers that take no lock.
//!
//! ```text
//! root ──────────> inner  [ link . link . link ]  ──next──> ...
//!                           │
//!                  leaf   [ link . link . link ]  ──next──> leaf ...      each link: head, place
//!                           │      │      │
//!                  entry    *      *      *
//! ```
//!
//! A B-link tree (Lehman and Yao, 1981) with the nodes of Masstree. Nodes have 14 links to entries or
//! children, and in each link a [head](Heads) that stands for the key: a search reads two cache lines a
//! level, and touches an entry only if its head equals that of what is searched. Where a skip list
//! follows a link, and so waits for memory, at each of some twenty steps, this does so at six, of which
//! the last two are not in the cache if the table has 500,000 entries.
//!
//! # Writing beside readers
//!
//! An entry is written, its link is put into a free slot of a leaf, and then the leaf's permutation is
//! stored, which names the slot: a reader sees it whole or not at all. If the leaf is full, its upper half
//! is first copied to a new one: (1) the new leaf is put behind the old one, (2) the old one's
//! permutation loses the upper half, (3) its version grows, and only then may the slots be filled again,
//! (4) the parent gets a link to the new leaf, by the same steps.
//!
//! Why a search finds what was there when it began:
//!
//! 1. A node's lowest key, its anchor, never changes, and what is behind a node begins above all that
//!    the node ever keeps. So who comes to a node whose anchor is below the target, is never too far to
//!    the right; and who is too far to the left finds the way by `next`.
//! 2. Between (1) and (2), what moves is in both nodes; after (2), who reads the old one's permutation
//!    also sees its new `next`. Nothing is ever in neither.
//! 3. Who read the permutation before (2) and slots after (3) may have read slots that were filled
//!    again. A filled slot is stored, releasing, behind the version: who loads it, acquiring, sees the
//!    new version afterwards, and looks again ([`Node::steady`]). Nobody waits for the writer.
//! 4. What a search finds in a leaf at or above the target is the first such: all between is in this
//!    leaf. If there is none, the next leaf's anchor tells whether to go on there.
//!
//! # Heads
//!
//! Heads of one generation can be compared; those of different ones say nothing. Generation 0 is before
//! there are keys to fit a measure to. When there are 256, 4,096 and 65,536 entries, the writer looks
//! whether another measure would tell them apart better, and if so publishes it and writes all heads
//! anew. A reader may meet old and new ones in one search; both are right.
//!
//! # Why its `unsafe` is right
//!
//! 1. Places in links of leaves are of entries, places in links of inner nodes are of nodes one level
//!    below, those in `next` of nodes on the same level, in anchors of entries. All are stored releasing
//!    when what they lead to is written, and loaded acquiring. What is free in a slot was once in use
//!    there, so what is read from it too early is a place as good as any.
//! 2. The root's level is loaded in one word with its place; it counts down on the way.
//! 3. All of a writer's state is in a mutex, the arena's grower too.
//! 4. Places are numbers, and a wrong one would be believed. So they, and what takes them, are seen in
//!    the memtable's folder alone; who holds one there holds its tree too, and uses it with no other.

#![expect(unsafe_code, reason = "places are turned into nodes and entries; the proof stands above")]

use super::arena::{Arena, Grower};
use super::head::{HEAD_BITS, Heads};
use super::node::{self, Entry, Link, NOWHERE, Node};
use super::permutation::{Permutation, SLOTS};
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::split;
use crate::sync::unlocked::Mutex;
use crate::sync::unlocked::atomic::{AtomicU32, AtomicU64, Ordering};
use std::cmp;
use std::sync::OnceLock;

/// How many measures of keys a tree may have, one after another.
pub(super) const GENERATIONS: usize = 3;

/// More levels than there can be: nodes but the last of a level have 7 links at least, and an arena has
/// less than `2^32` places.
const LEVELS: usize = 16;

/// Sorted entries.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) arena: Arena,
    pub(super) order: Order,
    /// The level above 32 bits, the place below.
    pub(super) root: AtomicU64,
    /// The first leaf.
    first: u32,
    /// The measures, and how many there are.
    pub(super) heads: [OnceLock<Heads>; GENERATIONS],
    pub(super) generation: AtomicU32,
    pub(super) len: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) state: Mutex<State>,
}

/// What only the writer touches.
#[derive(Debug)]
pub(super) struct State {
    pub(super) grower: Grower,
    /// Bytes that an empty tree takes.
    pub(super) empty: u64,
    /// Where the last entry went.
    pub(super) leaf: u32,
    pub(super) position: usize,
    /// Whether that was right behind the one before.
    pub(super) in_order: bool,
    /// For each level above 0: the node on the way to the last one that was searched, and which of its
    /// children it was.
    pub(super) way: [(u32, usize); LEVELS],
}

impl State {
    fn new(grower: Grower, leaf: u32) -> State {
        let empty = grower.used();
        State { grower, empty, leaf, position: 0, in_order: false, way: [(NOWHERE, 0); LEVELS] }
    }
}

/// What is searched for.
pub(super) struct Target<'a> {
    pub(super) user_key: &'a [u8],
    pub(super) trailer: u64,
    /// With its generation.
    pub(super) head: u32,
}

/// What a reader saw of a leaf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) leaf: u32,
    /// The places of its entries, in order.
    pub(super) places: [u32; SLOTS],
    /// How many there are.
    pub(super) len: usize,
}

impl Page {
    /// Of no leaf.
    pub(super) const NONE: Page = Page { leaf: NOWHERE, places: [NOWHERE; SLOTS], len: 0 };

    fn of(leaf: u32, node: Node<'_>, permutation: Permutation) -> Page {
        let place = |position| node.link(permutation.slot(position)).place;
        let len = permutation.len();
        Page { leaf, places: std::array::from_fn(|i| if i < len { place(i) } else { NOWHERE }), len }
    }
}

impl Tree {
    /// An empty tree that will hold about so many bytes.
    pub(super) fn new(order: Order, capacity_hint_bytes: usize) -> Tree {
        let (arena, mut grower) = Arena::new(capacity_hint_bytes);
        // SAFETY: the grower is this arena's. The first node takes the place that means nothing.
        let [_, first] = [0; 2].map(|level| unsafe { node::add_node(&arena, &mut grower, level) });
        // SAFETY: just made.
        unsafe { Node::at(&arena, first) }.set_permutation(Permutation::of(0));
        Tree {
            arena,
            order,
            root: AtomicU64::new(u64::from(first)),
            first,
            heads: Default::default(),
            generation: AtomicU32::new(0),
            len: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            state: Mutex::new(State::new(grower, first)),
        }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Bytes that they take, nodes and all.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// The newest entry of a key with at most this trailer.
    #[inline]
    pub(super) fn get(&self, user_key: &[u8], trailer: u64) -> Option<Entry<'_>> {
        let target = self.target(user_key, trailer);
        let mut leaf = self.descend(&target);
        loop {
            let node = self.node(leaf);
            let found = node.steady(|permutation| {
                let position = self.position(node, permutation, &target);
                (position < permutation.len()).then(|| node.link(permutation.slot(position)))
            });
            match (found, node.next()) {
                (Some(link), _) => return self.entry_if_equal(link, &target),
                (None, NOWHERE) => return None,
                // The anchor of what is behind is above, usually; then this looks at one leaf more.
                (None, next) => leaf = next,
            }
        }
    }

    #[inline]
    fn entry_if_equal(&self, link: Link, target: &Target<'_>) -> Option<Entry<'_>> {
        if is_decided(link.head, target.head) {
            return None;
        }
        let entry = self.entry(link.place);
        self.order.compare(split(entry.key()).0, target.user_key).is_eq().then_some(entry)
    }

    /// The first leaf with an entry that is not below a key and its trailer, and where it is there. If
    /// there is none, the position behind the last entry of all.
    pub(super) fn seek(&self, user_key: &[u8], trailer: u64) -> (Page, usize) {
        let target = self.target(user_key, trailer);
        self.seek_from(self.descend(&target), &target)
    }

    fn seek_from(&self, mut leaf: u32, target: &Target<'_>) -> (Page, usize) {
        loop {
            let (page, position) = self.look(leaf, target);
            match self.node(leaf).next() {
                next if position == page.len && next != NOWHERE => leaf = next,
                _ => return (page, position),
            }
        }
    }

    /// What stands behind an entry that is the last of its page.
    pub(super) fn behind(&self, page: &Page, entry: Entry<'_>) -> Option<(Page, usize)> {
        let next = self.node(page.leaf).next();
        // Some of the page may have moved to the next leaf since it was looked at, so this is a search.
        // Trailers go down: the first entry not below the next lower one is the first behind.
        let (user_key, trailer) = split(entry.key());
        (next != NOWHERE).then(|| self.seek_from(next, &self.target(user_key, trailer - 1)))
    }

    /// Has the processor fetch the leaf behind a page, which is needed soon.
    pub(super) fn prefetch_leaf(&self, page: &Page) {
        let next = self.node(page.leaf).next();
        if next != NOWHERE {
            self.node(next).prefetch();
        }
    }

    /// Has the processor fetch the first entry of the leaf behind a page.
    pub(super) fn prefetch_anchor(&self, page: &Page) {
        let next = self.node(page.leaf).next();
        if next != NOWHERE {
            self.entry(self.node(next).link(0).place).prefetch();
        }
    }

    /// What stands before an entry.
    pub(super) fn before(&self, entry: Entry<'_>) -> Option<(Page, usize)> {
        let (user_key, trailer) = split(entry.key());
        let target = self.target(user_key, trailer);
        let mut leaf = self.descend(&target);
        loop {
            let (page, position) = self.look(leaf, &target);
            let next = self.node(leaf).next();
            if position < page.len || next == NOWHERE || !self.is_below(self.node(next).link(0), &target) {
                return Some((page, position.checked_sub(1)?));
            }
            leaf = next;
        }
    }

    /// The first leaf.
    pub(super) fn first(&self) -> Page {
        self.page(self.first)
    }

    /// The last leaf.
    pub(super) fn last(&self) -> Page {
        let (mut level, mut place) = self.root();
        while level > 0 {
            let node = self.node(place);
            match node.next() {
                // Should the node be split now, this comes to a child left of the last: the leaves below
                // lead on to it.
                NOWHERE => {
                    let last = |permutation: Permutation| node.link(permutation.slot(permutation.len() - 1));
                    place = node.steady(last).place;
                    level -= 1;
                }
                next => place = next,
            }
        }
        loop {
            // What is in it first, and what is behind it second: the other way round a split in between
            // would hide the upper half.
            let page = self.page(place);
            match self.node(place).next() {
                NOWHERE => return page,
                next => place = next,
            }
        }
    }

    /// What is in a leaf, and how many of it are below the target.
    fn look(&self, leaf: u32, target: &Target<'_>) -> (Page, usize) {
        let node = self.node(leaf);
        node.steady(|permutation| {
            (Page::of(leaf, node, permutation), self.position(node, permutation, target))
        })
    }

    /// What is in a leaf.
    pub(super) fn page(&self, leaf: u32) -> Page {
        let node = self.node(leaf);
        node.steady(|permutation| Page::of(leaf, node, permutation))
    }

    #[inline]
    pub(super) fn root(&self) -> (u32, u32) {
        let root = self.root.load(Ordering::Acquire);
        ((root >> 32) as u32, root as u32)
    }

    #[inline]
    pub(super) fn node(&self, place: u32) -> Node<'_> {
        // SAFETY: only places from the root, from `next` and from inner nodes get here (point 1).
        unsafe { Node::at(&self.arena, place) }
    }

    #[inline]
    pub(super) fn entry(&self, place: u32) -> Entry<'_> {
        // SAFETY: only places from leaves, from anchors and from pages get here (point 1).
        unsafe { Entry::at(&self.arena, place) }
    }

    #[inline]
    pub(super) fn target<'a>(&self, user_key: &'a [u8], trailer: u64) -> Target<'a> {
        Target { user_key, trailer, head: self.head_of(user_key) }
    }

    /// The head of a key by the newest measure, with its generation.
    #[inline]
    pub(super) fn head_of(&self, user_key: &[u8]) -> u32 {
        let generation = self.generation.load(Ordering::Acquire);
        match self.heads.get((generation as usize).wrapping_sub(1)).and_then(OnceLock::get) {
            Some(heads) => generation << HEAD_BITS | heads.of(user_key),
            None => 0,
        }
    }

    #[inline]
    fn is_entry_below(&self, place: u32, target: &Target<'_>) -> bool {
        let (user_key, trailer) = split(self.entry(place).key());
        match self.order.compare(user_key, target.user_key) {
            cmp::Ordering::Equal => trailer > target.trailer,
            unequal => unequal.is_lt(),
        }
    }

    /// Whether the entry that a leaf's link leads to is below the target.
    #[inline]
    pub(super) fn is_below(&self, link: Link, target: &Target<'_>) -> bool {
        if is_decided(link.head, target.head) {
            return link.head < target.head;
        }
        self.is_entry_below(link.place, target)
    }

    /// How many entries of a leaf are below the target.
    #[inline]
    pub(super) fn position(&self, leaf: Node<'_>, permutation: Permutation, target: &Target<'_>) -> usize {
        partition(0, permutation.len(), |position| {
            self.is_below(leaf.link(permutation.slot(position)), target)
        })
    }

    /// The child of an inner node to go on to: the last whose anchor is below the target, or the first.
    #[inline]
    pub(super) fn child(&self, inner: Node<'_>, permutation: Permutation, target: &Target<'_>) -> usize {
        let is_below = |position| {
            let slot = permutation.slot(position);
            let link = inner.link(slot);
            if is_decided(link.head, target.head) {
                return link.head < target.head;
            }
            // SAFETY: only nodes above level 0 are asked for children.
            self.is_entry_below(unsafe { inner.anchor(slot) }, target)
        };
        partition(1, permutation.len(), is_below) - 1
    }

    /// The leaf whose anchor is the last below the target; or one to the left of it, if it is new.
    #[inline]
    fn descend(&self, target: &Target<'_>) -> u32 {
        let (level, mut place) = self.root();
        for _ in 0..level {
            let node = self.node(place);
            place = node.steady(|permutation| {
                let child = self.child(node, permutation, target);
                node.link(permutation.slot(child)).place
            });
            self.node(place).prefetch();
        }
        place
    }
}

/// Whether heads tell how their keys stand.
#[inline]
fn is_decided(a: u32, b: u32) -> bool {
    a != b && (a ^ b) >> HEAD_BITS == 0
}

/// The first position from `low` on, up to `high`, for which something that holds first and then no
/// more does not hold.
#[inline]
fn partition(mut low: usize, mut high: usize, holds: impl Fn(usize) -> bool) -> usize {
    while low < high {
        let middle = (low + high) / 2;
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
