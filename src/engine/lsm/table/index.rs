//! An index in memory: its block, the heads of its keys, to be searched without touching them, and where
//! its entries lead.
//!
//! All keys of an index begin alike (`prefix`); the eight bytes behind that are a key's *head*, read as
//! a big-endian number. Where heads differ, they stand as the keys do. So a search compares the prefix
//! once, bisects numbers that lie side by side, and looks at keys only where heads are equal: a get in
//! a cached table is a fifth faster for it. Handles lie side by side too, so that a get touches one line
//! for where its block is instead of two, the restart point and the entry.

use crate::codec::Reader;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key;
use crate::engine::lsm::table::block::{Block, Target, common_prefix};
use crate::engine::lsm::table::cache::CachedBlock;
use crate::engine::lsm::table::format::Handle;
use std::cmp::Ordering;

/// Bytes of a head.
const HEAD_LEN: usize = 8;

/// An index block that was read, and found to make sense.
#[derive(Debug)]
pub struct Index {
    bytes: CachedBlock,
    len: usize,
    /// What all user keys begin with. Unused, as the heads are, where the order is not that of bytes.
    prefix: Box<[u8]>,
    heads: Box<[u64]>,
    /// The block that each entry stands for.
    handles: Box<[Handle]>,
}

impl Index {
    /// Takes in a verified block of a file whose blocks end at `end`; `None` if it is no index, or leads
    /// beyond that. Every entry is looked at.
    pub fn new(bytes: CachedBlock, order: &Order, end: u64) -> Option<Index> {
        let block = Block::new(&bytes)?;
        let len = block.restarts();
        let user_key = |i| Some(key::user_key(block.key_at_restart(i)?.0));
        let (first, last) = (user_key(0)?, user_key(len - 1)?);
        let shared = if order.is_bytewise() { common_prefix(first, last) } else { 0 };
        let prefix = first[..shared].into();
        let heads = (0..len).map(|i| Some(head(user_key(i)?.get(shared..)?))).collect::<Option<_>>()?;
        let handle = |i| {
            let (_, entry) = block.key_at_restart(i)?;
            Handle::decode(&mut Reader::new(block.value(&entry)?), end)
        };
        let handles = (0..len).map(handle).collect::<Option<_>>()?;
        Some(Index { len, prefix, heads, handles, bytes })
    }

    /// Entries. At least one.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: an index has an entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes in memory.
    pub fn byte_len(&self) -> usize {
        self.bytes.len() + self.prefix.len() + size_of_val(&*self.heads) + size_of_val(&*self.handles)
    }

    /// The first entry whose key is not below `target`; their number if all are below. `None` if the
    /// block is malformed.
    #[inline]
    pub fn seek(&self, order: &Order, target: Target<'_>) -> Option<usize> {
        let among = if order.is_bytewise() { self.among(target.user_key) } else { (0, self.len) };
        let (mut low, mut high) = among;
        if low < high {
            let block = Block::new(&self.bytes)?;
            while low < high {
                let middle = low.midpoint(high);
                match target.is_above(order, block.key_at_restart(middle)?.0) {
                    true => low = middle + 1,
                    false => high = middle,
                }
            }
        }
        Some(low)
    }

    /// All entries before the first number are below any entry of this key, those from the second on
    /// are not; those between have to be looked at.
    #[inline]
    fn among(&self, user_key: &[u8]) -> (usize, usize) {
        let begin = &user_key[..user_key.len().min(self.prefix.len())];
        match begin.cmp(&self.prefix) {
            Ordering::Less => (0, 0),
            Ordering::Greater => (self.len, self.len),
            Ordering::Equal => {
                let head = head(&user_key[self.prefix.len()..]);
                let low = self.heads.partition_point(|&other| other < head);
                let equal = self.heads[low..].iter().take_while(|&&other| other == head).count();
                (low, low + equal)
            }
        }
    }

    /// The numbers that entry `i` holds. `None` if there is no such entry.
    #[inline]
    pub fn value(&self, i: usize) -> Option<Reader<'_>> {
        let block = Block::new(&self.bytes)?;
        if i >= self.len {
            return None;
        }
        let entry = block.entry(block.restart(i)?)?;
        Some(Reader::new(block.value(&entry)?))
    }

    /// The block that entry `i` stands for. `None` if there is no such entry.
    #[inline]
    pub fn handle(&self, i: usize) -> Option<Handle> {
        self.handles.get(i).copied()
    }
}

/// The first eight bytes as a number; zeros where there are fewer.
#[inline]
fn head(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<HEAD_LEN>() {
        Some(head) => u64::from_be_bytes(*head),
        None => bytes.iter().enumerate().fold(0, |head, (i, &byte)| head | u64::from(byte) << (56 - 8 * i)),
    }
}

#[cfg(test)]
mod tests {
    use super::Index;
    use crate::engine::lsm::comparator::Order;
    use crate::engine::lsm::key::{Kind, internal, seek_trailer, trailer};
    use crate::engine::lsm::table::block::{BlockBuilder, Target};
    use crate::engine::lsm::table::cache::CachedBlock;
    use crate::engine::lsm::table::format::Handle;
    use std::cmp::Ordering;

    /// Where the block of entry `i` is.
    fn handle(i: usize) -> Handle {
        Handle { offset: 1000 * i as u64, len: 1000 }
    }

    #[test]
    fn heads_lead_to_where_the_keys_lead() {
        let bytes = [0u8, 1, b'a', 0xff];
        let mut tails = vec![Vec::new()];
        for len in 1..=3usize {
            tails.extend((0..64).map(|n| (0..len).map(|i| bytes[n / 4usize.pow(i as u32) % 4]).collect()));
        }
        tails.sort();
        tails.dedup();
        for prefix in [&b""[..], b"x", b"longer than a head"] {
            let mut keys = Vec::new();
            for tail in &tails {
                let key = [prefix, tail].concat();
                keys.extend([5, 3].map(|seqno| internal(&key, trailer(seqno, Kind::Set))));
                keys.push(internal(&[&key[..], b"01234567890"].concat(), trailer(4, Kind::Set)));
            }
            for order in [Order::Bytewise, Order::Reverse] {
                keys.sort_by(|a, b| order.compare_internal(a, b));
                for step in [1, 2, 7, 1000] {
                    let (mut out, mut builder) = (Vec::new(), BlockBuilder::new(1));
                    let kept: Vec<_> = keys.iter().step_by(step).collect();
                    for (i, key) in kept.iter().enumerate() {
                        let mut value = Vec::new();
                        handle(i).encode(&mut value);
                        builder.add(&mut out, key, &value);
                    }
                    builder.finish(&mut out);
                    let bytes = || CachedBlock::from(&out[..]);
                    let end = handle(kept.len() - 1).end();
                    let index = Index::new(bytes(), &order, end).unwrap();
                    assert!(index.len() == kept.len() && !index.is_empty());
                    let least = out.len() + 16 * kept.len();
                    assert!((least..least + 8 * kept.len() + 32).contains(&index.byte_len()));
                    for i in 0..=kept.len() {
                        assert_eq!(index.handle(i), (i < kept.len()).then(|| handle(i)));
                    }
                    assert!(Index::new(bytes(), &order, end - 1).is_none(), "it leads beyond the end");
                    for (key, at) in keys.iter().flat_map(|key| [2, 3, 4, 9].map(|at| (key, at))) {
                        for user_key in [&key[..key.len() - 8], &key[..key.len() - 7], b"", b"x", b"y"] {
                            let target = internal(user_key, seek_trailer(at));
                            let below =
                                |key: &&Vec<u8>| order.compare_internal(key, &target) == Ordering::Less;
                            let expected = kept.partition_point(below);
                            assert_eq!(index.seek(&order, Target::of(&target)), Some(expected));
                        }
                    }
                }
            }
        }
    }
}
