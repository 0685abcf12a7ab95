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

mod arena;
pub mod page;
pub mod place;
mod shard;

use crate::engine::bitcask::keydir::page::Page;
use crate::engine::bitcask::keydir::place::Place;
use crate::engine::bitcask::keydir::shard::Shard;
use crate::engine::range::KeyRange;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{RwLock, RwLockWriteGuard};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How many shards there are. Part of the hint format: it sorts by them.
pub const SHARDS: usize = 16;

/// The place of every key's newest value.
#[derive(Debug)]
pub struct Keydir {
    shards: Box<[RwLock<Shard>]>,
    seed: u64,
    /// Set when a shard is full.
    full: AtomicBool,
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
        let shards = (0..SHARDS).map(|_| RwLock::new(Shard::new(seed))).collect();
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
        self.shards[shard_of(hash)].read().get(hash, key)
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
        self.shards[shard_of(hash)].write().relocate(hash, key, from, to)
    }

    /// Exclusive use of one shard: what loading hints needs.
    pub fn lock_shard(&self, shard: usize) -> ShardGuard<'_> {
        ShardGuard { keydir: self, shard: self.shards[shard].write() }
    }

    /// Puts a key into a shard that is locked, and takes note if that is full then.
    #[inline]
    fn put(&self, shard: &mut Shard, hash: u64, key: &[u8], place: Place) -> Option<Place> {
        let old = shard.set(hash, key, place);
        if shard.is_full() {
            self.full.store(true, Ordering::Relaxed);
        }
        old
    }

    /// How many keys there are, and what they cost. Looks at each shard in turn.
    pub fn footprint(&self) -> Footprint {
        let mut sum = Footprint::default();
        for shard in &self.shards {
            let shard = shard.read();
            sum.keys += shard.len() as u64;
            sum.bytes += shard.bytes();
        }
        sum
    }

    /// The first keys of a range in its direction, `limit` at most.
    ///
    /// Takes all shards' locks together for as long as it copies the keys. The first call sorts all
    /// keys; later ones those that are new.
    pub fn page(&self, range: &KeyRange, limit: usize) -> Page {
        let shards: Vec<_> = self.shards.iter().map(shard::ordered).collect();
        Page::merge(&shards, range, limit)
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
        self.shard(hash).get(hash, key)
    }

    /// As [`Keydir::set`].
    #[inline]
    pub fn set(&mut self, key: &[u8], place: Place) -> Option<Place> {
        let (keydir, hash) = (self.keydir, self.keydir.hash(key));
        keydir.put(self.shard(hash), hash, key, place)
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
    keydir: &'a Keydir,
    shard: RwLockWriteGuard<'a, Shard>,
}

impl ShardGuard<'_> {
    /// Makes room for so many more keys at once.
    pub fn reserve(&mut self, keys: usize) {
        self.shard.reserve(keys);
    }

    /// As [`Keydir::set`]. The key should belong to this shard: in another one nobody finds it. That a hint
    /// says so is not asked again.
    #[inline]
    pub fn set(&mut self, key: &[u8], place: Place) -> Option<Place> {
        self.keydir.put(&mut self.shard, self.keydir.hash(key), key, place)
    }

    /// As [`Keydir::remove`].
    pub fn remove(&mut self, key: &[u8]) -> Option<Place> {
        self.shard.remove(self.keydir.hash(key), key)
    }
}

#[cfg(test)]
mod tests {
    use super::Keydir;
    use crate::engine::bitcask::keydir::place::Place;
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
