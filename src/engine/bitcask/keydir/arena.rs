//! Where keys and places lie in memory.

use crate::engine::bitcask::keydir::place::Place;

/// Bytes of a chunk. A key that needs more gets a chunk of its own.
const CHUNK: usize = 1 << 16;

/// An arena with more chunks than this takes no further batch of new keys. Ids have room for 65,536
/// chunks, and one batch adds at most 32,768: as many keys of just over half a chunk as fit into 1 GiB. It may be the
/// last one of a commit group, all of which was let in together: what stands before it is just under 64 MiB, and
/// adds 2,048 more.
const FULL_AT: usize = 28_000;

/// Bytes of an entry before its key.
const ENTRY: usize = 14;

/// Entries one behind the other, in chunks that never move. An id is its chunk's number and its
/// offset there, 16 bits each.
#[derive(Debug, Default)]
pub(super) struct Arena {
    chunks: Vec<Vec<u8>>,
    /// Bytes of entries that are in the table, and of those that are not any more.
    live: usize,
    dead: usize,
    capacity: u64,
}

impl Arena {
    /// A new entry; its id.
    pub(super) fn add(&mut self, key: &[u8], place: Place) -> u32 {
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

    /// The key of an entry.
    #[inline]
    pub(super) fn key(&self, id: u32) -> &[u8] {
        let entry = self.entry(id);
        let len = u16::from_le_bytes([entry[12], entry[13]]);
        &entry[ENTRY..ENTRY + usize::from(len)]
    }

    /// The place in an entry.
    #[inline]
    pub(super) fn place(&self, id: u32) -> Place {
        let entry: &[u8; ENTRY] = self.entry(id).first_chunk().expect("an id is the start of an entry");
        let word = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
        Place { segment: word(0), offset: word(4), len: word(8) }
    }

    /// Puts another place into an entry.
    #[inline]
    pub(super) fn put_place(&mut self, id: u32, place: Place) {
        let entry = &mut self.chunks[(id >> 16) as usize][(id & 0xffff) as usize..];
        entry[..4].copy_from_slice(&place.segment.to_le_bytes());
        entry[4..8].copy_from_slice(&place.offset.to_le_bytes());
        entry[8..12].copy_from_slice(&place.len.to_le_bytes());
    }

    /// A place of no bytes marks an entry whose key was removed.
    pub(super) fn kill(&mut self, id: u32) {
        let len = ENTRY + self.key(id).len();
        self.put_place(id, Place { segment: 0, offset: 0, len: 0 });
        self.live -= len;
        self.dead += len;
    }

    /// Whether the key of an entry was removed.
    #[inline]
    pub(super) fn is_dead(&self, id: u32) -> bool {
        self.place(id).len == 0
    }

    /// Whether half of the ids are given away.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.chunks.len() > FULL_AT
    }

    /// Whether most of it are entries of keys that were removed, and more than a chunk.
    pub(super) fn is_worth_packing(&self) -> bool {
        self.dead > CHUNK && self.dead > self.live
    }

    /// Whether there is any such entry.
    pub(super) fn has_dead(&self) -> bool {
        self.dead > 0
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> u64 {
        self.capacity
    }
}
