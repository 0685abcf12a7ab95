//! The block cache: verified blocks that were read lately, uncompressed, in memory.
//!
//! Sixteen shards, each behind a lock of its own that is held for a few instructions. In a shard the
//! blocks stand in a ring, and a hand goes round when room is needed (CLOCK, as in Multics): a block
//! that was hit since the hand came by last is passed over, one hit less; one that was not goes. A new
//! block has no hits. So a scan that reads every block once pushes out what the scan itself has
//! brought, and blocks that are hit again and again stay.
//!
//! A block is found by its file's number and its offset. Numbers are never used twice, so that nothing
//! has to be removed when a table goes: the hand finds it.

use crate::sync::Mutex;
use hashbrown::HashTable;
use std::cell::Cell;
use std::convert::Infallible;
use std::ops::Deref;
use std::sync::Arc;

/// A verified, uncompressed block. Derefs to its bytes; clones share them.
///
/// The bytes lie in a room that may be somewhat larger, so that the room of a block that had to go
/// serves the next one: at a steady state reading a block allocates nothing.
#[derive(Clone, Debug)]
pub struct CachedBlock {
    room: Arc<[u8]>,
    len: usize,
}

/// Rooms are multiples of so many bytes.
const ROOM_STEP: usize = 128;

thread_local! {
    /// The room of the block that this thread has last pushed out.
    static SPARE: Cell<Option<Arc<[u8]>>> = const { Cell::new(None) };
}

impl CachedBlock {
    /// A block of `len` bytes, which `fill` puts there. What `fill` finds there is nobody's.
    pub fn new<E>(len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<CachedBlock, E> {
        let mut room = match SPARE.take() {
            Some(spare) if spare.len() >= len && spare.len() / 8 * 7 <= len => spare,
            _ => Arc::default(),
        };
        // Somebody may be reading in it still.
        if Arc::get_mut(&mut room).is_none_or(|room| room.len() < len) {
            room = std::iter::repeat_n(0, len.next_multiple_of(ROOM_STEP)).collect();
        }
        let free = Arc::get_mut(&mut room).expect("a new room has no other owner");
        fill(&mut free[..len])?;
        Ok(CachedBlock { room, len })
    }

    /// Leaves the first `len` bytes of it. The room stays what it is.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Bytes that it costs to keep it.
    fn charge(&self) -> u64 {
        self.room.len() as u64 + OVERHEAD_BYTES
    }
}

impl From<&[u8]> for CachedBlock {
    fn from(bytes: &[u8]) -> CachedBlock {
        let fill = |room: &mut [u8]| {
            room.copy_from_slice(bytes);
            Ok(())
        };
        CachedBlock::new::<Infallible>(bytes.len(), fill).unwrap_or_else(|never| match never {})
    }
}

impl Deref for CachedBlock {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.room[..self.len]
    }
}

/// The most shards.
const SHARDS: usize = 16;

/// A shard is not made smaller than this, but for a cache that is.
const MIN_SHARD_BYTES: u64 = 256 << 10;

/// What a block costs besides its bytes: its place in the ring and in the map, the counts of its `Arc`.
const OVERHEAD_BYTES: u64 = 80;

/// The most hits that count for a block.
const MAX_HITS: u8 = 3;

/// Which block: the file's number, and the offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BlockId {
    number: u64,
    offset: u64,
}

impl BlockId {
    /// Offsets are multiples of nothing, numbers are small: both are spread by one multiplication, which
    /// is enough for a map that takes its bits from above and a shard that takes them from the middle.
    #[inline]
    fn hash(self) -> u64 {
        let mixed = (self.offset ^ self.number.rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 32)
    }
}

#[derive(Debug)]
struct Slot {
    id: BlockId,
    /// None only between an eviction and what follows it.
    block: Option<CachedBlock>,
    hits: u8,
}

/// One part of the cache.
#[derive(Debug, Default)]
struct Shard {
    /// From ids to places in the ring.
    map: HashTable<u32>,
    ring: Vec<Slot>,
    hand: usize,
    used_bytes: u64,
    counts: CacheCounts,
}

/// What was asked of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Blocks that were there.
    pub hits: u64,
    /// Blocks that were not.
    pub misses: u64,
    /// Blocks that were put in.
    pub inserts: u64,
    /// Blocks that had to go.
    pub evictions: u64,
}

/// Keeps blocks up to so many bytes.
#[derive(Debug)]
pub struct BlockCache {
    shards: Box<[Mutex<Shard>]>,
    shard_bytes: u64,
}

impl BlockCache {
    /// A cache of at most `capacity` bytes, what it costs to keep a block included. 0: keeps nothing.
    pub fn new(capacity: u64) -> BlockCache {
        let fitting = (capacity / MIN_SHARD_BYTES).clamp(1, SHARDS as u64);
        let shards = 1 << fitting.ilog2();
        BlockCache { shards: (0..shards).map(|_| Mutex::default()).collect(), shard_bytes: capacity / shards }
    }

    #[inline]
    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        &self.shards[(hash >> 40) as usize & (self.shards.len() - 1)]
    }

    /// The block of file `number` at `offset`, if it is here.
    #[inline]
    pub fn get(&self, number: u64, offset: u64) -> Option<CachedBlock> {
        if self.shard_bytes == 0 {
            return None;
        }
        let id = BlockId { number, offset };
        let hash = id.hash();
        self.shard(hash).lock().get(id, hash)
    }

    /// Keeps a block. One that is larger than a shard is not kept.
    pub fn insert(&self, number: u64, offset: u64, block: &CachedBlock) {
        if block.charge() > self.shard_bytes {
            return;
        }
        let id = BlockId { number, offset };
        let hash = id.hash();
        let evicted = self.shard(hash).lock().insert(id, hash, block, self.shard_bytes);
        if let Some(evicted) = evicted {
            SPARE.set(Some(evicted.room));
        }
    }

    /// What was asked of it since it was made.
    pub fn counts(&self) -> CacheCounts {
        self.shards.iter().fold(CacheCounts::default(), |sum, shard| {
            let counts = shard.lock().counts;
            CacheCounts {
                hits: sum.hits + counts.hits,
                misses: sum.misses + counts.misses,
                inserts: sum.inserts + counts.inserts,
                evictions: sum.evictions + counts.evictions,
            }
        })
    }

    /// Bytes that it holds now.
    pub fn used_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().used_bytes).sum()
    }
}

impl Shard {
    #[inline]
    fn get(&mut self, id: BlockId, hash: u64) -> Option<CachedBlock> {
        let Some(&place) = self.map.find(hash, |&place| self.ring[place as usize].id == id) else {
            self.counts.misses += 1;
            return None;
        };
        self.counts.hits += 1;
        let slot = &mut self.ring[place as usize];
        slot.hits = (slot.hits + 1).min(MAX_HITS);
        slot.block.clone()
    }

    /// Takes a block in. Returns the last of those that had to go for it, if any had to.
    fn insert(&mut self, id: BlockId, hash: u64, block: &CachedBlock, most: u64) -> Option<CachedBlock> {
        if self.map.find(hash, |&place| self.ring[place as usize].id == id).is_some() {
            // Another thread has read it too.
            return None;
        }
        let mut evicted = None;
        while self.used_bytes + block.charge() > most {
            if let Some((place, _)) = evicted {
                self.remove_place(place);
            }
            evicted = Some(self.evict());
        }
        let slot = Slot { id, block: Some(block.clone()), hits: 0 };
        self.used_bytes += block.charge();
        self.counts.inserts += 1;
        let (place, evicted) = match evicted {
            // Where the hand has just been: it comes back here last.
            Some((place, evicted)) => {
                self.ring[place] = slot;
                (place, evicted)
            }
            None => {
                self.ring.push(slot);
                (self.ring.len() - 1, None)
            }
        };
        let ring = &self.ring;
        self.map.insert_unique(hash, place as u32, |&place| ring[place as usize].id.hash());
        evicted
    }

    /// Takes out the next block that was not hit, and returns it and its place, which is left to be
    /// filled.
    fn evict(&mut self) -> (usize, Option<CachedBlock>) {
        loop {
            let place = self.hand % self.ring.len();
            self.hand = place + 1;
            let slot = &mut self.ring[place];
            if slot.hits > 0 {
                slot.hits -= 1;
                continue;
            }
            let (id, block) = (slot.id, slot.block.take());
            self.used_bytes -= block.as_ref().map_or(0, CachedBlock::charge);
            self.unmap(id, place);
            self.counts.evictions += 1;
            return (place, block);
        }
    }

    /// Gives up a place that an eviction has left, by moving the last slot there.
    fn remove_place(&mut self, place: usize) {
        self.ring.swap_remove(place);
        self.hand = place;
        if let Some(moved) = self.ring.get(place) {
            let (id, old) = (moved.id, self.ring.len());
            // Found, not entered: an entry may make the map grow, and that would ask for the hash of the
            // place that is no more.
            if let Some(mapped) = self.map.find_mut(id.hash(), |&at| at as usize == old) {
                *mapped = place as u32;
            }
        }
    }

    fn unmap(&mut self, id: BlockId, place: usize) {
        if let Ok(entry) = self.map.find_entry(id.hash(), |&at| at as usize == place) {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BlockCache, CacheCounts, CachedBlock, OVERHEAD_BYTES};
    use std::collections::HashMap;

    fn block(n: u64, len: usize) -> CachedBlock {
        CachedBlock::from(&vec![n as u8; len][..])
    }

    #[test]
    fn it_stays_within_its_bytes_and_never_answers_for_another_block() {
        for capacity in [0, 300, 8 << 10, 100 << 10, 4 << 20] {
            let cache = BlockCache::new(capacity);
            let mut lens = HashMap::new();
            for n in 0..20_000u64 {
                let scattered = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
                let (number, offset) = (scattered % 3, scattered % 1021 % (1 + n % 900) * 100);
                let len = *lens.entry((number, offset)).or_insert((n as usize * 31) % 3000);
                match cache.get(number, offset) {
                    Some(found) => assert!(found.len() == len),
                    None => cache.insert(number, offset, &block(n, len)),
                }
                assert!(n % 1000 > 0 || cache.used_bytes() <= capacity);
            }
            let counts = cache.counts();
            assert!(counts.inserts - counts.evictions <= capacity / OVERHEAD_BYTES);
            assert_eq!(counts.hits > 0, capacity > 0, "{capacity}: {counts:?}");
        }
    }

    #[test]
    fn a_scan_does_not_push_out_what_is_hit_again_and_again() {
        let cache = BlockCache::new(2 << 20);
        let hot = 0..100u64;
        hot.clone().for_each(|n| cache.insert(1, n * 4096, &block(n, 4096)));
        for cold in 0..10_000u64 {
            cache.insert(2, cold * 4096, &block(cold, 4096));
            if cold % 50 == 0 {
                hot.clone().for_each(|n| drop(cache.get(1, n * 4096)));
            }
        }
        let left = hot.filter(|n| cache.get(1, n * 4096).is_some()).count();
        assert!(left >= 95, "{left} of 100 hot blocks are left");
    }

    #[test]
    fn blocks_of_all_sizes_take_each_others_places() {
        let cache = BlockCache::new(64 << 10);
        for round in 0..50u64 {
            for (i, len) in [60_000, 100, 20_000, 1, 0, 33_000, 64 << 10].into_iter().enumerate() {
                let offset = round * 10 + i as u64;
                cache.insert(1, offset, &block(offset, len));
                let found = cache.get(1, offset);
                assert_eq!(found.map(|block| block.len()), (len < 64 << 10).then_some(len));
            }
        }
        assert!(cache.used_bytes() <= 64 << 10);
    }

    #[test]
    fn it_holds_as_many_bytes_as_it_may_and_counts() {
        let one = block(1, 100);
        let cache = BlockCache::new(2 * one.charge());
        (0..2).for_each(|offset| cache.insert(1, offset, &one));
        assert_eq!(cache.used_bytes(), 2 * one.charge());
        assert!(cache.get(1, 0).is_some() && cache.get(1, 1).is_some() && cache.get(1, 2).is_none());
        cache.insert(1, 2, &one);
        assert!(cache.get(1, 3).is_none());
        let expected = CacheCounts { hits: 2, misses: 2, inserts: 3, evictions: 1 };
        assert_eq!(cache.counts(), expected);
        let exact = BlockCache::new(one.charge());
        exact.insert(1, 0, &one);
        assert!(exact.get(1, 0).is_some(), "just enough");
        let small = BlockCache::new(one.charge() - 1);
        small.insert(1, 0, &one);
        assert!(small.get(1, 0).is_none());
    }
}
