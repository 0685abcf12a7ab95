//! Loading pairs that come in order: what both wings check, and the way of an engine that has no
//! cheaper one than batches.

use crate::engine::Pairs;
use crate::engine::batch::{WriteBatch, check_key, check_value};
use crate::error::{Error, Result};
use std::cmp::Ordering;

/// Pairs that are known to keep the order and the limits: each is checked as it passes.
///
/// Copies each key, to compare the next one with it; allocates nothing for each.
pub struct Ascending<'a, O> {
    pairs: &'a mut dyn Pairs,
    order: O,
    /// The key that went before; none if `count` is 0.
    before: Vec<u8>,
    count: u64,
}

impl<'a, O: Fn(&[u8], &[u8]) -> Ordering> Ascending<'a, O> {
    /// Checks `pairs`, whose keys must ascend in this order.
    pub fn new(pairs: &'a mut dyn Pairs, order: O) -> Ascending<'a, O> {
        Ascending { pairs, order, before: Vec::new(), count: 0 }
    }

    /// How many have passed.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The next pair; an error that names it if it must not come here.
    #[inline]
    pub fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        let Some((key, value)) = self.pairs.next_pair()? else { return Ok(None) };
        if self.count > 0 && (self.order)(key, &self.before) != Ordering::Greater {
            return Err(out_of_order(&self.before, key));
        }
        check_key(key)?;
        check_value(value)?;
        self.before.clear();
        self.before.extend_from_slice(key);
        self.count += 1;
        Ok(Some((key, value)))
    }
}

#[cold]
fn out_of_order(before: &[u8], key: &[u8]) -> Error {
    let (key, before) = (key.escape_ascii(), before.escape_ascii());
    Error::invalid(format!(
        "pairs to load must come in strictly ascending order of their keys: \"{key}\" comes after \"{before}\""
    ))
}

/// The bytes of a batch, as [`WriteBatch::byte_len`] counts them, at which it is written.
pub const BATCH_BYTES: usize = 1 << 20;

/// Writes the pairs, whose keys ascend as bytes, in batches of about [`BATCH_BYTES`]; returns how many.
/// After an error the batches before it are written.
pub fn in_batches(pairs: &mut dyn Pairs, write: impl Fn(WriteBatch) -> Result<()>) -> Result<u64> {
    let mut pairs = Ascending::new(pairs, |a: &[u8], b: &[u8]| a.cmp(b));
    loop {
        let mut batch = WriteBatch::new();
        while batch.byte_len() < BATCH_BYTES
            && let Some((key, value)) = pairs.next_pair()?
        {
            batch.set(key, value);
        }
        if batch.is_empty() {
            return Ok(pairs.count());
        }
        write(batch)?;
    }
}

#[cfg(test)]
mod tests {
    use super::{BATCH_BYTES, in_batches};
    use crate::engine::memory::Memory;
    use crate::engine::options::WriteOptions;
    use crate::engine::range::KeyRange;
    use crate::engine::{CursorPairs, KvsEngine, KvsRead};
    use std::cell::Cell;

    #[test]
    fn many_pairs_go_in_several_batches() {
        let (from, to) = (Memory::new(), Memory::new());
        let value = vec![7; BATCH_BYTES / 4];
        (0..10u8).for_each(|key| from.set(&[key], &value).unwrap());
        let batches = Cell::new(0);
        let write = |batch| {
            batches.set(batches.get() + 1);
            to.write(batch, &WriteOptions::default())
        };
        let mut pairs = CursorPairs::new(from.cursor(KeyRange::all()).unwrap());
        assert_eq!(in_batches(&mut pairs, write).unwrap(), 10);
        assert_eq!((batches.get(), to.stats().unwrap().keys), (3, 10));
    }
}
