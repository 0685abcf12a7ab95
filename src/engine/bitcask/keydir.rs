//! The keydir: for every key, the place of its value. All of it lives in memory; this is Bitcask's
//! bargain: one lookup here and one read there, whatever the size of the data.
//!
//! ```text
//! hash(key) ─┬─ 4 bits ──> shard ──┬─ table   [u32]    hash table of entry ids
//!            └─ the rest ─────────>│  arena   chunks of entries, one behind the other:
//!                                  │            segment:u32 offset:u32 len:u32 key_len:u16 key
//!                                  └─ order   [u32]    entry ids by key; only once somebody scanned
//! ```
//!
//! - **Point lookups** go through a hash table of four-byte ids, not of keys: an entry costs its key,
//!   14 bytes in the arena, and 5 bytes a slot in a table that is 44 to 88 % full.
//! - **Ordered scans** need an order that a hash table has not. It is made when the first scan asks:
//!   each shard sorts its ids, and from then on keeps new ones aside until the next scan sorts them
//!   in. A store that never scans never pays; one that does pays four bytes a key. A scan merges the
//!   shards.
//! - **Shards** keep locks short: a lookup takes one shard's lock for a probe, a write for an insertion.
//!   A batch takes those of all its keys before it changes one, and lets go of them behind the last: so
//!   no reader sees half of it. Who takes several takes them in their order. Nobody holds one while
//!   touching the disk.
//!
//! The hash is XXH3 seeded with the store's id, so that the same key lands in the same shard in every
//! process: hint files are sorted by shard, and loading one fills a shard while it is in the cache.
//!
//! `notes/decisions/0005-keydir.md` has the measurements against a B-tree and a plain hash map.

use crate::engine::range::{Direction, KeyRange};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use hashbrown::HashTable;
use std::cmp;
use std::collections::BinaryHeap;
use std::ops::Bound;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How many shards there are. Part of the hint format: it sorts by them.
pub const SHARDS: usize = 16;

/// Bytes of an arena's chunk. A key that needs more gets a chunk of its own.
const CHUNK: usize = 1 << 16;

/// A shard with more chunks than this takes no further batch. Ids have room for 65,536 chunks, and one
/// batch adds at most 32,768: as many keys of just over half a chunk as fit into 1 GiB.
const FULL_AT: usize = 32_000;

/// Bytes of an entry before its key.
const ENTRY: usize = 14;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of its segment.
    pub segment: u32,
    /// The offset of its first byte there.
    pub offset: u32,
    /// Its bytes in all; never 0.
    pub len: u32,
}

/// The place of every key's newest value.
#[derive(Debug)]
pub struct Keydir {
    shards: Box<[RwLock<Shard>]>,
    seed: u64,
    /// Set when a shard has [`FULL_AT`] chunks.
    full: AtomicBool,
}

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

/// What a keydir costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Keys.
    pub keys: u64,
    /// Bytes of memory, keys included.
    pub bytes: u64,
}

impl Keydir {
    /// An empty keydir that hashes with `seed`.
    pub fn new(seed: u64) -> Keydir {
        let shards = (0..SHARDS).map(|_| RwLock::new(Shard { seed, ..Shard::default() })).collect();
        Keydir { shards, seed, full: AtomicBool::new(false) }
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.seed)
    }

    /// The shard that a key belongs to.
    #[inline]
    pub fn shard_of(&self, key: &[u8]) -> usize {
        shard_of(self.hash(key))
    }

    /// Where the key's value is. One shared lock, two or three cache misses, no allocation.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<Place> {
        let hash = self.hash(key);
        let shard = self.shards[shard_of(hash)].read();
        let &id = shard.find(hash, key)?;
        Some(shard.arena.place(id))
    }

    /// Puts the key's value at `place`; returns where it was.
    #[inline]
    pub fn set(&self, key: &[u8], place: Place) -> Option<Place> {
        self.lock_keys([key]).set(key, place)
    }

    /// Whether it should take no more keys: a shard's entries come near the end of their ids, with some
    /// 2 GiB of keys in it, or 32 GiB in all. Removing keys does not help before the next opening.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Forgets the key; returns where its value was.
    pub fn remove(&self, key: &[u8]) -> Option<Place> {
        self.lock_keys([key]).remove(key)
    }

    /// Exclusive use of these keys, until it is dropped: readers see all that it changes, or nothing.
    #[inline]
    pub fn lock_keys<'k>(&self, keys: impl IntoIterator<Item = &'k [u8]>) -> KeysGuard<'_> {
        let mut wanted = 0u16;
        // Some fifty keys want all of them: a large batch is not looked through.
        for key in keys {
            wanted |= 1 << self.shard_of(key);
            if wanted == u16::MAX {
                break;
            }
        }
        let mut shards = [const { None }; SHARDS];
        for (number, shard) in shards.iter_mut().enumerate().filter(|(number, _)| wanted >> number & 1 == 1) {
            *shard = Some(self.shards[number].write());
        }
        KeysGuard { keydir: self, shards }
    }

    /// Moves the key's value from one place to another, if it still is there.
    pub fn relocate(&self, key: &[u8], from: Place, to: Place) -> bool {
        let hash = self.hash(key);
        let mut shard = self.shards[shard_of(hash)].write();
        match shard.find(hash, key) {
            Some(&id) if shard.arena.place(id) == from => {
                shard.arena.put_place(id, to);
                true
            }
            _ => false,
        }
    }

    /// Exclusive use of one shard: what loading hints needs.
    pub fn lock_shard(&self, shard: usize) -> ShardGuard<'_> {
        ShardGuard { shard: self.shards[shard].write(), seed: self.seed }
    }

    /// How many keys there are, and what they cost. Looks at each shard in turn.
    pub fn footprint(&self) -> Footprint {
        let mut sum = Footprint::default();
        for shard in &self.shards {
            let shard = shard.read();
            sum.keys += shard.table.len() as u64;
            sum.bytes += shard.bytes();
        }
        sum
    }

    /// The first keys of a range in its direction, `limit` at most.
    ///
    /// Takes all shards' locks together for as long as it copies the keys. The first call sorts all
    /// keys; later ones those that are new.
    pub fn page(&self, range: &KeyRange, limit: usize) -> Page {
        let shards: Vec<_> = self.shards.iter().map(ordered).collect();
        let mut heap = BinaryHeap::with_capacity(SHARDS);
        for shard in &shards {
            let walk = Walk::start(shard, range);
            heap.extend(walk.head(range));
        }
        let mut page = Page::default();
        while page.len() < limit {
            // The head in place: one sift instead of two.
            let Some(mut top) = heap.peek_mut() else { break };
            page.push(top.key, top.walk.shard.arena.place(top.id));
            match top.walk.head(range) {
                Some(next) => *top = next,
                None => _ = std::collections::binary_heap::PeekMut::pop(top),
            }
        }
        page.is_last = heap.is_empty();
        page
    }
}

/// Bits of the hash that the table does not lean on: it uses the lowest and the highest.
#[inline]
fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

/// Some keys for oneself.
#[derive(Debug)]
pub struct KeysGuard<'a> {
    keydir: &'a Keydir,
    /// Those of the keys.
    shards: [Option<RwLockWriteGuard<'a, Shard>>; SHARDS],
}

impl KeysGuard<'_> {
    #[inline]
    fn shard(&mut self, hash: u64) -> &mut Shard {
        self.shards[shard_of(hash)].as_mut().expect("the key is one of those that were asked for")
    }

    /// As [`Keydir::get`].
    pub fn get(&mut self, key: &[u8]) -> Option<Place> {
        let hash = self.keydir.hash(key);
        let shard = self.shard(hash);
        shard.find(hash, key).map(|&id| shard.arena.place(id))
    }

    /// As [`Keydir::set`].
    #[inline]
    pub fn set(&mut self, key: &[u8], place: Place) -> Option<Place> {
        let hash = self.keydir.hash(key);
        let shard = self.shard(hash);
        let old = shard.set(hash, key, place);
        if shard.arena.chunks.len() > FULL_AT {
            self.keydir.full.store(true, Ordering::Relaxed);
        }
        old
    }

    /// As [`Keydir::remove`].
    #[inline]
    pub fn remove(&mut self, key: &[u8]) -> Option<Place> {
        let hash = self.keydir.hash(key);
        self.shard(hash).remove(hash, key)
    }
}

/// A shard for oneself.
#[derive(Debug)]
pub struct ShardGuard<'a> {
    shard: RwLockWriteGuard<'a, Shard>,
    seed: u64,
}

impl ShardGuard<'_> {
    /// Makes room for so many more keys at once.
    pub fn reserve(&mut self, keys: usize) {
        let Shard { table, arena, seed, .. } = &mut *self.shard;
        table.reserve(keys, |&id| xxh3_64_with_seed(arena.key(id), *seed));
    }

    /// As [`Keydir::set`]; the key belongs to this shard.
    #[inline]
    pub fn set(&mut self, key: &[u8], place: Place) -> Option<Place> {
        self.shard.set(xxh3_64_with_seed(key, self.seed), key, place)
    }

    /// As [`Keydir::remove`]; the key belongs to this shard.
    pub fn remove(&mut self, key: &[u8]) -> Option<Place> {
        self.shard.remove(xxh3_64_with_seed(key, self.seed), key)
    }
}

#[derive(Debug, Default)]
struct Shard {
    seed: u64,
    table: HashTable<u32>,
    arena: Arena,
    /// Ids by key, once somebody has asked for an order. Ids of removed keys stay until the shard is
    /// rebuilt.
    order: Option<Order>,
}

#[derive(Debug, Default)]
struct Order {
    sorted: Vec<u32>,
    /// Ids of keys that came since, in no order.
    fresh: Vec<u32>,
}

impl Shard {
    #[inline]
    fn find(&self, hash: u64, key: &[u8]) -> Option<&u32> {
        self.table.find(hash, |&id| self.arena.key(id) == key)
    }

    #[inline]
    fn set(&mut self, hash: u64, key: &[u8], place: Place) -> Option<Place> {
        if let Some(&id) = self.find(hash, key) {
            let old = self.arena.place(id);
            self.arena.put_place(id, place);
            return Some(old);
        }
        let id = self.arena.add(key, place);
        let (arena, seed) = (&self.arena, self.seed);
        self.table.insert_unique(hash, id, |&id| xxh3_64_with_seed(arena.key(id), seed));
        if let Some(order) = &mut self.order {
            order.fresh.push(id);
        }
        None
    }

    fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Place> {
        let arena = &self.arena;
        let (id, _) = self.table.find_entry(hash, |&id| arena.key(id) == key).ok()?.remove();
        let old = self.arena.place(id);
        self.arena.kill(id);
        if self.arena.dead > CHUNK && self.arena.dead > self.arena.live {
            self.rebuild();
        }
        Some(old)
    }

    /// Leaves the dead behind. Costs a pass over the shard, once for as many removals as it has keys.
    fn rebuild(&mut self) {
        // Settling may pack, but need not.
        self.settle();
        if self.arena.dead > 0 {
            self.pack();
        }
    }

    /// Moves all entries to a new arena: in the order of their keys if there is one, so that a scan
    /// reads its keys one behind the other.
    fn pack(&mut self) {
        let old = std::mem::take(&mut self.arena);
        let mut table = HashTable::with_capacity(self.table.len());
        let seed = self.seed;
        let mut ids: Vec<u32> = match &mut self.order {
            Some(order) => std::mem::take(&mut order.sorted),
            None => self.table.iter().copied().collect(),
        };
        ids.retain_mut(|id| {
            if old.is_dead(*id) {
                return false;
            }
            let key = old.key(*id);
            *id = self.arena.add(key, old.place(*id));
            let arena = &self.arena;
            table.insert_unique(xxh3_64_with_seed(key, seed), *id, |&id| {
                xxh3_64_with_seed(arena.key(id), seed)
            });
            true
        });
        self.table = table;
        if let Some(order) = &mut self.order {
            ids.shrink_to_fit();
            order.sorted = ids;
        }
    }

    /// Whether the order is there and has every key.
    fn is_ordered(&self) -> bool {
        self.order.as_ref().is_some_and(|order| order.fresh.is_empty())
    }

    /// Sorts the fresh keys in.
    fn settle(&mut self) {
        let Some(order) = &mut self.order else { return };
        if order.fresh.is_empty() {
            return;
        }
        let arena = &self.arena;
        order.fresh.retain(|&id| !arena.is_dead(id));
        order.fresh.sort_unstable_by(|&a, &b| arena.key(a).cmp(arena.key(b)));
        let are_few = order.fresh.len() * 8 < order.sorted.len();
        match are_few {
            true => order.merge_few(arena),
            false => order.merge_many(arena),
        }
        order.fresh = Vec::new();
        if !are_few {
            self.pack();
        }
    }

    fn make_order(&mut self) {
        if self.order.is_none() {
            let fresh = self.table.iter().copied().collect();
            self.order = Some(Order { sorted: Vec::new(), fresh });
        }
        self.settle();
    }

    fn bytes(&self) -> u64 {
        let order = self.order.as_ref().map_or(0, |order| order.sorted.capacity() + order.fresh.capacity());
        self.arena.capacity + (self.table.allocation_size() + 4 * order) as u64
    }
}

impl Order {
    /// From the back, so that each id moves once.
    fn merge_few(&mut self, arena: &Arena) {
        let mut from = self.sorted.len();
        self.sorted.resize(from + self.fresh.len(), 0);
        for (rest, &id) in self.fresh.iter().enumerate().rev() {
            let key = arena.key(id);
            let at = self.sorted[..from].partition_point(|&other| arena.key(other) < key);
            self.sorted.copy_within(at..from, at + rest + 1);
            self.sorted[at + rest] = id;
            from = at;
        }
    }

    fn merge_many(&mut self, arena: &Arena) {
        let mut merged = Vec::with_capacity(self.sorted.len() + self.fresh.len());
        let mut old = self.sorted.iter().copied().peekable();
        for &id in &self.fresh {
            while let Some(&other) = old.peek().filter(|&&other| arena.key(other) < arena.key(id)) {
                merged.push(other);
                old.next();
            }
            merged.push(id);
        }
        merged.extend(old);
        self.sorted = merged;
    }
}

/// A shard's lock, once the shard has its order.
fn ordered(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    let guard = shard.read();
    if guard.is_ordered() {
        return guard;
    }
    drop(guard);
    let mut guard = shard.write();
    guard.make_order();
    RwLockWriteGuard::downgrade(guard)
}

/// One shard's keys in a row.
#[derive(Clone, Copy)]
struct Walk<'a> {
    shard: &'a Shard,
    sorted: &'a [u32],
    direction: Direction,
}

impl<'a> Walk<'a> {
    /// Stands at the range's first key in its direction.
    fn start(shard: &'a Shard, range: &KeyRange) -> Walk<'a> {
        let sorted = shard.order.as_ref().map_or(&[][..], |order| &order.sorted);
        let key = |&id: &u32| shard.arena.key(id);
        let sorted = match (range.direction, &range.start, &range.end) {
            (Direction::Forward, Bound::Unbounded, _) | (Direction::Reverse, _, Bound::Unbounded) => sorted,
            (Direction::Forward, ..) => {
                &sorted[sorted.partition_point(|id| !range.is_after_start(key(id)))..]
            }
            (Direction::Reverse, ..) => &sorted[..sorted.partition_point(|id| range.is_before_end(key(id)))],
        };
        Walk { shard, sorted, direction: range.direction }
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
            if self.shard.arena.is_dead(id) {
                continue;
            }
            let key = self.shard.arena.key(id);
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

/// Entries one behind the other, in chunks that never move. An id is its chunk's number and its
/// offset there, 16 bits each.
#[derive(Debug, Default)]
struct Arena {
    chunks: Vec<Vec<u8>>,
    /// Bytes of entries that are in the table, and of those that are not any more.
    live: usize,
    dead: usize,
    capacity: u64,
}

impl Arena {
    fn add(&mut self, key: &[u8], place: Place) -> u32 {
        let len = ENTRY + key.len();
        let fits = self.chunks.last().is_some_and(|chunk| chunk.len() + len <= CHUNK);
        if !fits {
            // The first chunk grows as it is filled: a small store stays small.
            let capacity = if self.chunks.is_empty() { 256 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(capacity.max(len)));
            self.capacity += capacity.max(len) as u64;
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let (offset, before) = (chunk.len(), chunk.capacity());
        chunk.extend_from_slice(&place.segment.to_le_bytes());
        chunk.extend_from_slice(&place.offset.to_le_bytes());
        chunk.extend_from_slice(&place.len.to_le_bytes());
        // Keys are at most 65,535 bytes: the contract's limit.
        chunk.extend_from_slice(&(key.len() as u16).to_le_bytes());
        chunk.extend_from_slice(key);
        self.capacity += (chunk.capacity() - before) as u64;
        self.live += len;
        (number as u32) << 16 | offset as u32
    }

    #[inline]
    fn entry(&self, id: u32) -> &[u8] {
        &self.chunks[(id >> 16) as usize][(id & 0xffff) as usize..]
    }

    #[inline]
    fn key(&self, id: u32) -> &[u8] {
        let entry = self.entry(id);
        let len = u16::from_le_bytes([entry[12], entry[13]]);
        &entry[ENTRY..ENTRY + usize::from(len)]
    }

    #[inline]
    fn place(&self, id: u32) -> Place {
        let entry: &[u8; ENTRY] = self.entry(id).first_chunk().expect("an id is the start of an entry");
        let word = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
        Place { segment: word(0), offset: word(4), len: word(8) }
    }

    #[inline]
    fn put_place(&mut self, id: u32, place: Place) {
        let entry = &mut self.chunks[(id >> 16) as usize][(id & 0xffff) as usize..];
        entry[..4].copy_from_slice(&place.segment.to_le_bytes());
        entry[4..8].copy_from_slice(&place.offset.to_le_bytes());
        entry[8..12].copy_from_slice(&place.len.to_le_bytes());
    }

    /// A place of no bytes marks an entry whose key was removed.
    fn kill(&mut self, id: u32) {
        let len = ENTRY + self.key(id).len();
        self.put_place(id, Place { segment: 0, offset: 0, len: 0 });
        self.live -= len;
        self.dead += len;
    }

    #[inline]
    fn is_dead(&self, id: u32) -> bool {
        self.place(id).len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Keydir, Place};
    use crate::engine::range::KeyRange;
    use std::collections::BTreeMap;

    fn place(n: u32) -> Place {
        Place { segment: n, offset: n + 1, len: n + 2 }
    }

    /// Walks a range page by page, as a cursor does.
    fn walk(keydir: &Keydir, range: &KeyRange, limit: usize) -> Vec<(Vec<u8>, Place)> {
        let page = keydir.page(range, limit);
        (0..page.len()).map(|i| (page.key(i).to_vec(), page.place(i))).collect()
    }

    #[test]
    fn a_random_history_agrees_with_a_sorted_map() {
        let keydir = Keydir::new(42);
        let mut model = BTreeMap::new();
        let mut random = 1u64;
        for step in 0..60_000u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let n = (random >> 33) % 9000;
            let key = format!("{n:0width$}", width = (n % 40) as usize).into_bytes();
            // Long stretches of sets, then of removals, so that shards are rebuilt.
            if (step / 10_000) % 2 == 0 || random >> 60 == 0 {
                assert_eq!(keydir.set(&key, place(step)), model.insert(key, place(step)));
            } else {
                assert_eq!(keydir.remove(&key), model.remove(&key));
            }
            if step % 997 == 0 {
                let range = KeyRange::of("1".as_bytes().."7".as_bytes());
                let all = model.range(b"1".to_vec()..b"7".to_vec()).map(|(k, p)| (k.clone(), *p));
                let expected: Vec<_> = all.clone().take(50).collect();
                assert_eq!(walk(&keydir, &range, 50), expected);
                let expected: Vec<_> = all.rev().take(50).collect();
                assert_eq!(walk(&keydir, &range.reverse(), 50), expected);
            }
        }
        let all = walk(&keydir, &KeyRange::all(), usize::MAX);
        assert_eq!(all, model.clone().into_iter().collect::<Vec<_>>());
        assert_eq!(keydir.footprint().keys, model.len() as u64);
        for (key, place) in model {
            assert_eq!(keydir.get(&key), Some(place));
        }
    }

    #[test]
    fn the_longest_keys_fit() {
        let keydir = Keydir::new(0);
        for n in 0..200u8 {
            let key = vec![n; 65_535 - usize::from(n)];
            assert_eq!(keydir.set(&key, place(n.into())), None);
        }
        for n in 0..200u8 {
            assert_eq!(keydir.get(&vec![n; 65_535 - usize::from(n)]), Some(place(n.into())));
        }
    }

    #[test]
    fn a_value_moves_only_from_where_it_is() {
        let keydir = Keydir::new(0);
        keydir.set(b"k", place(1));
        assert!(!keydir.relocate(b"k", place(2), place(3)));
        assert!(!keydir.relocate(b"other", place(1), place(3)));
        assert!(keydir.relocate(b"k", place(1), place(3)));
        assert_eq!(keydir.get(b"k"), Some(place(3)));
    }
}
