//! A part of the keydir: a hash table of ids, the entries that they stand for, and their order.

use crate::engine::bitcask::keydir::arena::Arena;
use crate::engine::bitcask::keydir::place::Place;
use crate::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The keys of one shard.
#[derive(Debug, Default)]
pub(super) struct Shard {
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
    /// An empty one, whose keys are hashed with `seed`.
    pub(super) fn new(seed: u64) -> Shard {
        Shard { seed, ..Shard::default() }
    }

    /// The id of a key.
    #[inline]
    fn find(&self, hash: u64, key: &[u8]) -> Option<&u32> {
        self.table.find(hash, |&id| self.arena.key(id) == key)
    }

    /// Where the key's value is.
    #[inline]
    pub(super) fn get(&self, hash: u64, key: &[u8]) -> Option<Place> {
        self.find(hash, key).map(|&id| self.arena.place(id))
    }

    /// Puts the key's value at `place`; returns where it was.
    #[inline]
    pub(super) fn set(&mut self, hash: u64, key: &[u8], place: Place) -> Option<Place> {
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

    /// Moves the key's value from one place to another, if it still is there.
    pub(super) fn relocate(&mut self, hash: u64, key: &[u8], from: Place, to: Place) -> bool {
        match self.find(hash, key) {
            Some(&id) if self.arena.place(id) == from => {
                self.arena.put_place(id, to);
                true
            }
            _ => false,
        }
    }

    /// Makes room for so many more keys at once.
    pub(super) fn reserve(&mut self, keys: usize) {
        let (arena, seed) = (&self.arena, self.seed);
        self.table.reserve(keys, |&id| xxh3_64_with_seed(arena.key(id), seed));
    }

    /// Whether it should take no more keys.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.arena.is_full()
    }

    /// How many keys it has.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Forgets the key; returns where its value was.
    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Place> {
        let arena = &self.arena;
        let (id, _) = self.table.find_entry(hash, |&id| arena.key(id) == key).ok()?.remove();
        let old = self.arena.place(id);
        self.arena.kill(id);
        if self.arena.is_worth_packing() {
            self.rebuild();
        }
        Some(old)
    }

    /// Leaves the dead behind. Costs a pass over the shard, once for as many removals as it has keys.
    fn rebuild(&mut self) {
        // Settling may pack, but need not.
        self.settle();
        if self.arena.has_dead() {
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

    /// Its entries, and their ids in the order of the keys: those of removed keys too. [`ordered`] makes the order.
    pub(super) fn sorted(&self) -> (&Arena, &[u32]) {
        (&self.arena, self.order.as_ref().map_or(&[], |order| &order.sorted))
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> u64 {
        let order = self.order.as_ref().map_or(0, |order| order.sorted.capacity() + order.fresh.capacity());
        self.arena.bytes() + (self.table.allocation_size() + 4 * order) as u64
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
pub(super) fn ordered(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    let guard = shard.read();
    if guard.is_ordered() {
        return guard;
    }
    drop(guard);
    let mut guard = shard.write();
    guard.make_order();
    RwLockWriteGuard::downgrade(guard)
}
