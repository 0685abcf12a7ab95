//! A block: sorted entries that share the beginnings of their keys.
//!
//! ```text
//! block := entry* restart:u32* restart_count:u32
//! entry := shared:varint unshared:varint value_len:varint key_suffix value
//! ```
//!
//! A key is the first `shared` bytes of the key before it, and `key_suffix`. At a restart point
//! `shared` is 0, so that reading can begin there: a search bisects the restart points and then goes
//! on entry by entry. In a data block every 16th entry is one, in an index every one. From LevelDB.

use crate::codec::{self, Reader};
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::{self, TRAILER_LEN};
use std::cmp::Ordering;
use std::ops::Range;

/// Writes one block after the other behind whatever is in a buffer.
#[derive(Debug)]
pub struct BlockBuilder {
    interval: usize,
    restarts: Vec<u32>,
    /// Entries since the last restart point.
    since_restart: usize,
    last_key: Vec<u8>,
    /// Where in the buffer the block begins.
    start: usize,
}

impl BlockBuilder {
    /// One that stores every `interval`th key whole.
    pub fn new(interval: usize) -> BlockBuilder {
        BlockBuilder { interval, restarts: Vec::new(), since_restart: 0, last_key: Vec::new(), start: 0 }
    }

    /// Adds an entry behind the others. `out` ends with the entries that were added before.
    #[inline]
    pub fn add(&mut self, out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
        if self.restarts.is_empty() {
            self.start = out.len();
        }
        let mut shared = 0;
        if self.restarts.is_empty() || self.since_restart == self.interval {
            self.restarts.push((out.len() - self.start) as u32);
            self.since_restart = 0;
        } else {
            shared = common_prefix(&self.last_key, key);
        }
        let suffix = &key[shared..];
        if shared < 0x80 && suffix.len() < 0x80 && value.len() < 0x80 {
            out.extend_from_slice(&[shared as u8, suffix.len() as u8, value.len() as u8]);
        } else {
            codec::put_varint(out, shared as u64);
            codec::put_varint(out, suffix.len() as u64);
            codec::put_varint(out, value.len() as u64);
        }
        out.extend_from_slice(suffix);
        out.extend_from_slice(value);
        self.since_restart += 1;
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(suffix);
    }

    /// Whether the block has no entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.restarts.is_empty()
    }

    /// The key that was added last, in this block or in the one before; empty before the first.
    #[inline]
    pub fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    /// Bytes that the block would have if it ended now. `out` ends with its entries.
    #[inline]
    pub fn byte_len(&self, out: &[u8]) -> usize {
        match self.is_empty() {
            true => 0,
            false => out.len() - self.start + 4 * (self.restarts.len() + 1),
        }
    }

    /// Ends the block, and returns where in `out` it begins. The next entry begins another.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> usize {
        for restart in &self.restarts {
            out.extend_from_slice(&restart.to_le_bytes());
        }
        out.extend_from_slice(&(self.restarts.len() as u32).to_le_bytes());
        self.restarts.clear();
        self.start
    }
}

/// Bytes that both begin with.
#[inline]
pub fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let mut shared = 0;
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        let differing = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differing != 0 {
            return shared + differing.trailing_zeros() as usize / 8;
        }
        shared += 8;
    }
    shared + a[shared..].iter().zip(&b[shared..]).take_while(|(a, b)| a == b).count()
}

/// A block's bytes, verified, to be read. Every read is `None` where they are not what a block is;
/// nothing is believed and nothing allocated.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    bytes: &'a [u8],
    /// Where the entries end.
    end: usize,
}

/// The parts of an entry, by their places in the block.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Bytes that its key has from the one before.
    pub shared: usize,
    /// Where the rest of its key begins.
    pub suffix: usize,
    /// Where its value begins.
    pub value: usize,
    /// Where the next entry begins.
    pub next: usize,
}

impl Entry {
    /// The value's place.
    #[inline]
    pub fn value_range(&self) -> Range<usize> {
        self.value..self.next
    }
}

/// What a search in a block has found.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// The first entry that is not below the target, and where it begins.
    At(usize, Entry),
    /// All entries are below the target.
    End,
}

impl<'a> Block<'a> {
    /// Reads the end of a block.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Option<Block<'a>> {
        let (rest, count) = bytes.split_last_chunk::<4>()?;
        let count = u32::from_le_bytes(*count) as usize;
        let end = rest.len().checked_sub(count.checked_mul(4)?)?;
        (count > 0).then_some(Block { bytes, end })
    }

    /// The block whose entries are known to end at `end`.
    #[inline]
    pub fn known(bytes: &'a [u8], end: usize) -> Block<'a> {
        Block { bytes, end }
    }

    /// Where the entries end.
    #[inline]
    pub fn end(&self) -> usize {
        self.end
    }

    /// Restart points.
    #[inline]
    pub fn restarts(&self) -> usize {
        (self.bytes.len() - self.end) / 4 - 1
    }

    /// Where restart point `index` is.
    #[inline]
    pub fn restart(&self, index: usize) -> Option<usize> {
        let at = self.end + 4 * index;
        let bytes = self.bytes.get(at..at + 4)?.first_chunk()?;
        let offset = u32::from_le_bytes(*bytes) as usize;
        (offset < self.end).then_some(offset)
    }

    /// The entry at `at`.
    #[inline]
    pub fn entry(&self, at: usize) -> Option<Entry> {
        let entries = self.bytes.get(..self.end)?;
        let head = entries.get(at..)?;
        let (shared, unshared, value_len, suffix) = match head {
            // Nearly all entries.
            &[shared, unshared, value_len, ..] if (shared | unshared | value_len) < 0x80 => {
                (usize::from(shared), usize::from(unshared), usize::from(value_len), at + 3)
            }
            _ => {
                let mut reader = Reader::new(head);
                let mut number = || reader.varint().and_then(|n| usize::try_from(n).ok());
                let (shared, unshared, value_len) = (number()?, number()?, number()?);
                (shared, unshared, value_len, at + head.len() - reader.rest().len())
            }
        };
        let value = suffix.checked_add(unshared)?;
        let next = value.checked_add(value_len)?;
        (next <= self.end).then_some(Entry { shared, suffix, value, next })
    }

    /// Makes the key of the entry before that of this one; says no if that can not be.
    #[inline]
    pub fn assemble(&self, entry: &Entry, key: &mut Vec<u8>) -> Option<()> {
        if entry.shared > key.len() {
            return None;
        }
        key.truncate(entry.shared);
        key.extend_from_slice(self.bytes.get(entry.suffix..entry.value)?);
        key::is_valid(key).then_some(())
    }

    /// The bytes of a value.
    #[inline]
    pub fn value(&self, entry: &Entry) -> Option<&'a [u8]> {
        self.bytes.get(entry.value_range())
    }

    /// The whole key that stands at restart point `index`, and its entry.
    #[inline]
    pub fn key_at_restart(&self, index: usize) -> Option<(&'a [u8], Entry)> {
        let entry = self.entry(self.restart(index)?)?;
        let key = self.bytes.get(entry.suffix..entry.value)?;
        (entry.shared == 0 && key::is_valid(key)).then_some((key, entry))
    }

    /// The last restart point whose key is below `target`, or the first one.
    #[inline]
    fn seek_restart(&self, order: &Order, target: Target<'_>) -> Option<usize> {
        let (mut low, mut high) = (0, self.restarts());
        while low < high {
            let middle = low.midpoint(high);
            match target.is_above(order, self.key_at_restart(middle)?.0) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        self.restart(low.saturating_sub(1))
    }

    /// The first entry that is not below `target`; its key is in `key` then.
    #[inline]
    pub fn seek(&self, order: &Order, target: Target<'_>, key: &mut Vec<u8>) -> Option<Found> {
        let mut at = self.seek_restart(order, target)?;
        key.clear();
        while at < self.end {
            let entry = self.entry(at)?;
            self.assemble(&entry, key)?;
            if !target.is_above(order, key) {
                return Some(Found::At(at, entry));
            }
            at = entry.next;
        }
        Some(Found::End)
    }

    /// The first entry that is not below `target`, if it is one of the target's user key, and its
    /// trailer. `key` is room for a key.
    #[inline]
    pub fn find(&self, order: &Order, target: Target<'_>, key: &mut Vec<u8>) -> Option<Option<(Entry, u64)>> {
        if order.is_bytewise()
            && let Some(answer) = self.find_bytewise(target)?
        {
            return Some(answer);
        }
        let Found::At(_, entry) = self.seek(order, target, key)? else { return Some(None) };
        let (user_key, trailer) = key::split(key);
        let is_same = order.compare(user_key, target.user_key) == Ordering::Equal;
        Some(is_same.then_some((entry, trailer)))
    }

    /// [`Block::find`] without putting keys together. `Some(None)`: it can not tell.
    ///
    /// It keeps how many bytes the user key before has in common with the target (`matched`). That key
    /// is below the target, so of the entry behind it:
    ///
    /// 1. What it shares beyond `matched` includes the byte in which the key before is below the target.
    ///    So the entry is below too: nothing need be looked at.
    /// 2. If it shares no more than `matched`, that part is the target's own: only its suffix is compared.
    ///
    /// The first does not hold if the key before ends at `matched`: what is shared beyond are bytes of a
    /// trailer. That is where it can not tell: rare, but in the versions of the very key.
    #[inline]
    fn find_bytewise(&self, target: Target<'_>) -> Option<Option<Option<(Entry, u64)>>> {
        let mut at = self.seek_restart(&Order::Bytewise, target)?;
        let (mut matched, mut last_len) = (0, 0);
        while at < self.end {
            let entry = self.entry(at)?;
            at = entry.next;
            let len = entry.shared.checked_add(entry.value - entry.suffix)?.checked_sub(TRAILER_LEN)?;
            if entry.shared > matched {
                if matched >= last_len {
                    return Some(None);
                }
                last_len = len;
                continue;
            }
            let suffix = self.bytes.get(entry.suffix..entry.value)?;
            let (own, rest) =
                (suffix.get(..len.checked_sub(entry.shared)?)?, &target.user_key[entry.shared..]);
            let common = common_prefix(own, rest);
            match own.get(common).cmp(&rest.get(common)) {
                Ordering::Less => {}
                Ordering::Greater => return Some(Some(None)),
                Ordering::Equal => {
                    let trailer = u64::from_le_bytes(*suffix.last_chunk()?);
                    if trailer <= target.trailer {
                        return Some(Some(Some((entry, trailer))));
                    }
                }
            }
            (matched, last_len) = (entry.shared + common, len);
        }
        Some(Some(None))
    }
}

/// An internal key to look for, in its two parts.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The user's key.
    pub user_key: &'a [u8],
    /// The trailer.
    pub trailer: u64,
}

impl<'a> Target<'a> {
    /// Of an internal key.
    #[inline]
    pub fn of(internal: &'a [u8]) -> Target<'a> {
        let (user_key, trailer) = key::split(internal);
        Target { user_key, trailer }
    }

    /// Whether an internal key stands before this one.
    #[inline]
    pub fn is_above(&self, order: &Order, internal: &[u8]) -> bool {
        let (user_key, trailer) = key::split(internal);
        match order.compare(user_key, self.user_key) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => trailer > self.trailer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Block, BlockBuilder, Found, Target, common_prefix};
    use crate::engine::lsm::comparator::Order;
    use crate::engine::lsm::key::{Kind, internal, trailer};

    #[test]
    fn a_restart_point_stands_before_the_end() {
        let last = 5u32;
        for (at, stands_there) in [(0, true), (last, true), (last + 1, false), (u32::MAX, false)] {
            let bytes = [&[0; 6][..], &at.to_le_bytes(), &1u32.to_le_bytes()].concat();
            let block = Block::new(&bytes).unwrap();
            assert_eq!(block.restart(0), stands_there.then_some(at as usize));
            assert_eq!(block.restart(2), None);
        }
    }

    #[test]
    fn golden_bytes() {
        let mut out = b"before".to_vec();
        let mut builder = BlockBuilder::new(2);
        for (key, value) in [("ab", "1"), ("abc", "22"), ("b", "")] {
            builder.add(&mut out, &internal(key.as_bytes(), trailer(7, Kind::Set)), value.as_bytes());
        }
        assert_eq!(builder.byte_len(&out), 12 + 2 + 13 + 2 + 9 + 3 + 12 - 2 + 2 - 1);
        assert_eq!(builder.finish(&mut out), 6);
        let expected = [
            &b"\x00\x0a\x01ab\x02\x07\0\0\0\0\0\0"[..],
            b"1\x02\x09\x02c\x02\x07\0\0\0\0\0\0",
            b"22\x00\x09\x00b\x02\x07\0\0\0\0\0\0",
            b"\x00\0\0\0\x1c\0\0\0\x02\0\0\0",
        ];
        let expected = expected.concat();
        assert_eq!(&out[6..], expected, "{:?}", out[6..].escape_ascii().to_string());
    }

    /// Lengths from 128 on take two bytes and more, each by itself.
    #[test]
    fn long_parts_of_an_entry_come_back() {
        let part = |len: usize, with: u8| vec![with; len];
        // A suffix ends in eight bytes of trailer.
        let two_bytes = [
            (128, 3, 3),
            (3, 120, 3),
            (3, 3, 128),
            (200, 3, 3),
            (3, 200, 3),
            (3, 3, 200),
            (127, 127, 127),
            (128, 128, 128),
        ];
        let three_bytes = [(20_000, 3, 3), (3, 20_000, 3), (3, 3, 20_000), (0, 16_376, 3)];
        for (shared, suffix, value) in two_bytes.into_iter().chain(three_bytes) {
            let keys = [b'a', b'b'].map(|with| {
                internal(&[part(shared, b'k'), part(suffix, with)].concat(), trailer(7, Kind::Set))
            });
            let (mut out, mut builder) = (Vec::new(), BlockBuilder::new(16));
            keys.iter().for_each(|key| builder.add(&mut out, key, &part(value, b'v')));
            builder.finish(&mut out);
            let block = Block::new(&out).unwrap();
            for key in &keys {
                let mut room = Vec::new();
                let (entry, at) = block.find(&Order::Bytewise, Target::of(key), &mut room).unwrap().unwrap();
                assert_eq!(
                    (at, entry.next - entry.value),
                    (trailer(7, Kind::Set), value),
                    "{shared} {suffix}"
                );
            }
        }
    }

    #[test]
    fn every_target_is_found_at_every_interval() {
        let keys: Vec<_> = (0..60u64)
            .map(|n| internal(format!("k{:03}", n / 3).as_bytes(), trailer(9 - n % 3, Kind::Set)))
            .collect();
        for interval in [1, 2, 3, 16, 256] {
            let (mut out, mut builder) = (Vec::new(), BlockBuilder::new(interval));
            keys.iter().for_each(|key| builder.add(&mut out, key, &key[..3]));
            builder.finish(&mut out);
            let block = Block::new(&out).unwrap();
            let mut found = Vec::new();
            for (i, key) in keys.iter().enumerate() {
                let Some(Found::At(_, entry)) = block.seek(&Order::Bytewise, Target::of(key), &mut found)
                else {
                    panic!("{i} at interval {interval}")
                };
                assert_eq!((&found, block.value(&entry)), (key, Some(&key[..3])));
            }
            let above = internal(b"l", 2);
            assert!(matches!(block.seek(&Order::Bytewise, Target::of(&above), &mut found), Some(Found::End)));
        }
    }

    #[test]
    fn bytes_that_are_no_block_are_refused() {
        assert!(Block::new(&[]).is_none() && Block::new(&[0; 4]).is_none() && Block::new(&[1; 8]).is_none());
        // One restart point that points at itself, lengths that point out, a shared part of nothing.
        for bytes in
            [&b"\x04\0\0\0\x01\0\0\0"[..], b"\0\x7f\0\0\0\0\0\x01\0\0\0", b"\x01\0\0\0\0\0\0\x01\0\0\0"]
        {
            let found = Block::new(bytes).and_then(|block| {
                block.seek(&Order::Bytewise, Target { user_key: b"", trailer: 0 }, &mut Vec::new())
            });
            assert!(found.is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn the_common_prefix_is_found_eight_bytes_at_a_time() {
        let a: Vec<u8> = (0..40).collect();
        for len in 0..=40 {
            for at in 0..=len {
                let mut b = a[..len].to_vec();
                if at < len {
                    b[at] ^= 0x80;
                }
                assert_eq!(common_prefix(&a, &b), at);
                assert_eq!(common_prefix(&b, &a), at);
            }
        }
    }

    /// A search begins at a restart point, and a get of the usual order puts no keys together.
    #[test]
    fn a_search_takes_the_short_way() {
        let keys: Vec<_> =
            (0..100u32).map(|n| internal(format!("key-{n:03}").as_bytes(), trailer(3, Kind::Set))).collect();
        let (mut out, mut builder) = (Vec::new(), BlockBuilder::new(4));
        assert!(builder.is_empty());
        keys.iter().for_each(|key| builder.add(&mut out, key, b"value"));
        assert!(!builder.is_empty());
        builder.finish(&mut out);
        let block = Block::new(&out).unwrap();
        for (i, key) in keys.iter().enumerate() {
            // The key of a restart point may have newer entries behind the point before.
            let restart = i.saturating_sub(1) / 4;
            assert_eq!(block.seek_restart(&Order::Bytewise, Target::of(key)), block.restart(restart), "{i}");
            let (_, trailer) = block.find_bytewise(Target::of(key)).unwrap().unwrap().unwrap();
            assert_eq!(trailer >> 8, 3);
            let behind = [&key[..7], b"x"].concat();
            let absent = Target { user_key: &behind, trailer: u64::MAX };
            assert!(block.find_bytewise(absent).unwrap().unwrap().is_none());
        }
    }

    #[test]
    fn a_restart_point_that_shares_or_is_no_key_is_malformed() {
        let of = |entry: &[u8]| {
            let bytes = [entry, &0u32.to_le_bytes(), &1u32.to_le_bytes()].concat();
            Block::new(&bytes).unwrap().key_at_restart(0).map(|(key, _)| key.to_vec())
        };
        let whole = internal(b"k", trailer(7, Kind::Set));
        assert_eq!(of(&[&[0, 9, 0], &whole[..]].concat()), Some(whole.clone()));
        assert_eq!(of(&[&[1, 9, 0], &whole[..]].concat()), None, "shares with none");
        assert_eq!(of(b"\x00\x03\x00abc"), None, "no trailer");
    }
}
