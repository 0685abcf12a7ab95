//! Keys in their order: what a scan takes from the shards.

use crate::engine::bitcask::keydir::arena::Arena;
use crate::engine::bitcask::keydir::place::Place;
use crate::engine::bitcask::keydir::shard::Shard;
use crate::engine::range::{Direction, KeyRange};
use crate::sync::RwLockReadGuard;
use std::cmp;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::Bound;

/// Keys in a row, as a scan takes them from the keydir.
#[derive(Debug, Default)]
pub struct Page {
    keys: Vec<u8>,
    /// Where each key ends in `keys`, and its place.
    entries: Vec<(u32, Place)>,
    /// Whether the range ends with this page: behind its last key there is none.
    pub is_last: bool,
}

impl Page {
    /// The first keys of a range in its direction, `limit` at most, of shards that have their order.
    pub(super) fn merge(shards: &[RwLockReadGuard<'_, Shard>], range: &KeyRange, limit: usize) -> Page {
        let mut heap = BinaryHeap::with_capacity(shards.len());
        heap.extend(shards.iter().filter_map(|shard| Walk::start(shard, range).head(range)));
        let mut page = Page::default();
        while page.len() < limit {
            // The head in place: one sift instead of two.
            let Some(mut top) = heap.peek_mut() else { break };
            page.push(top.key, top.walk.arena.place(top.id));
            match top.walk.head(range) {
                Some(next) => *top = next,
                None => _ = PeekMut::pop(top),
            }
        }
        page.is_last = heap.is_empty();
        page
    }

    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Key number `index`, in the order of the walk.
    pub fn key(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.entries[before].0);
        &self.keys[start as usize..self.entries[index].0 as usize]
    }

    /// The place of key number `index`.
    pub fn place(&self, index: usize) -> Place {
        self.entries[index].1
    }

    fn push(&mut self, key: &[u8], place: Place) {
        self.keys.extend_from_slice(key);
        self.entries.push((self.keys.len() as u32, place));
    }
}

/// One shard's keys in a row.
#[derive(Clone, Copy)]
struct Walk<'a> {
    arena: &'a Arena,
    sorted: &'a [u32],
    direction: Direction,
}

impl<'a> Walk<'a> {
    /// Stands at the range's first key in its direction.
    fn start(shard: &'a Shard, range: &KeyRange) -> Walk<'a> {
        let (arena, sorted) = shard.sorted();
        let key = |&id: &u32| arena.key(id);
        let sorted = match (range.direction, &range.start, &range.end) {
            (Direction::Forward, Bound::Unbounded, _) | (Direction::Reverse, _, Bound::Unbounded) => sorted,
            (Direction::Forward, ..) => {
                &sorted[sorted.partition_point(|id| !range.is_after_start(key(id)))..]
            }
            (Direction::Reverse, ..) => &sorted[..sorted.partition_point(|id| range.is_before_end(key(id)))],
        };
        Walk { arena, sorted, direction: range.direction }
    }

    /// The next key that is alive and in the range.
    #[inline]
    fn head(mut self, range: &KeyRange) -> Option<Head<'a>> {
        loop {
            let (&id, rest) = match self.direction {
                Direction::Forward => self.sorted.split_first()?,
                Direction::Reverse => self.sorted.split_last()?,
            };
            self.sorted = rest;
            if self.arena.is_dead(id) {
                continue;
            }
            let key = self.arena.key(id);
            let inside = match self.direction {
                Direction::Forward => range.is_before_end(key),
                Direction::Reverse => range.is_after_start(key),
            };
            return inside.then_some(Head { key, id, walk: self });
        }
    }
}

/// A shard's next key. The heap's greatest is the one that the walk meets first.
struct Head<'a> {
    key: &'a [u8],
    id: u32,
    walk: Walk<'a>,
}

impl Ord for Head<'_> {
    #[inline]
    fn cmp(&self, other: &Self) -> cmp::Ordering {
        match self.walk.direction {
            Direction::Forward => other.key.cmp(self.key),
            Direction::Reverse => self.key.cmp(other.key),
        }
    }
}

impl PartialOrd for Head<'_> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Head<'_> {}
