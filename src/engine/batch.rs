//! A batch: sets and removals that happen together or not at all.
//!
//! Limits, the same in both engines and refused before a byte is written:
//!
//! | what | limit |
//! |---|---|
//! | a key | 0 to 65,535 bytes |
//! | a value | 0 to 512 MiB |
//! | a batch: all keys and values, with 16 bytes a step and their lengths | 1 GiB |

use crate::codec::{self, Reader};
use crate::error::{Error, Result};

/// The longest key, in bytes. The empty key is a key.
pub const MAX_KEY_LEN: usize = 65_535;

/// The longest value, in bytes.
pub const MAX_VALUE_LEN: usize = 512 << 20;

/// The largest batch, in bytes as [`WriteBatch::byte_len`] counts them.
pub const MAX_BATCH_BYTES: usize = 1 << 30;

const SET: u8 = 1;
const REMOVE: u8 = 2;

/// Sets and removals that happen together, in their order: the last one of a key wins.
///
/// Kept as one buffer: an op is its tag, the key behind its length, and for a set the value behind
/// its length. A batch of one costs one allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteBatch {
    bytes: Vec<u8>,
    count: usize,
}

/// One step of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// The key has this value from now on.
    Set(&'a [u8], &'a [u8]),
    /// The key is not there any more, whether it was or not.
    Remove(&'a [u8]),
}

impl<'a> Op<'a> {
    /// The key that it is about.
    #[inline]
    pub fn key(&self) -> &'a [u8] {
        match self {
            Op::Set(key, _) | Op::Remove(key) => key,
        }
    }
}

impl WriteBatch {
    /// An empty batch. Writing it does nothing.
    pub fn new() -> WriteBatch {
        WriteBatch::default()
    }

    /// An empty batch with room for `bytes` of keys and values.
    pub fn with_capacity(bytes: usize) -> WriteBatch {
        WriteBatch { bytes: Vec::with_capacity(bytes), count: 0 }
    }

    /// A batch that sets or removes (`None`) one key. Refuses what breaks a limit.
    pub fn of_one(key: &[u8], value: Option<&[u8]>) -> Result<WriteBatch> {
        check_key(key)?;
        let mut batch = WriteBatch::with_capacity(key.len() + value.map_or(0, <[u8]>::len) + 16);
        match value {
            Some(value) => batch.set(key, value),
            None => batch.remove(key),
        }
        batch.validate()?;
        Ok(batch)
    }

    /// Adds a set.
    #[inline]
    pub fn set(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.push(SET);
        codec::put_bytes(&mut self.bytes, key);
        codec::put_bytes(&mut self.bytes, value);
        self.count += 1;
    }

    /// Adds a removal, blind: it does not look whether the key is there.
    #[inline]
    pub fn remove(&mut self, key: &[u8]) {
        self.bytes.push(REMOVE);
        codec::put_bytes(&mut self.bytes, key);
        self.count += 1;
    }

    /// How many sets and removals it has.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that it counts as: its keys and values, and 16 for each step.
    pub fn byte_len(&self) -> usize {
        self.bytes.len() + 16 * self.count
    }

    /// The steps as bytes, as they are kept: what [`Ops::decode`] reads.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The steps, in order.
    #[inline]
    pub fn iter(&self) -> Ops<'_> {
        Ops { reader: Reader::new(&self.bytes) }
    }

    /// Whether every limit is kept; names the one that is not.
    #[inline]
    pub fn validate(&self) -> Result<()> {
        let len = self.byte_len();
        if len > MAX_BATCH_BYTES {
            return Err(Error::invalid(format!("a batch of {len} bytes; the limit is {MAX_BATCH_BYTES}")));
        }
        for op in self.iter() {
            check_key(op.key())?;
            if let Op::Set(_, value) = op {
                check_value(value)?;
            }
        }
        Ok(())
    }
}

/// Whether a key is short enough to be written.
#[inline]
pub fn check_key(key: &[u8]) -> Result<()> {
    match key.len() {
        ..=MAX_KEY_LEN => Ok(()),
        len => Err(Error::invalid(format!("a key of {len} bytes; the limit is {MAX_KEY_LEN}"))),
    }
}

/// Whether a value is short enough to be written.
#[inline]
pub fn check_value(value: &[u8]) -> Result<()> {
    match value.len() {
        ..=MAX_VALUE_LEN => Ok(()),
        len => Err(Error::invalid(format!("a value of {len} bytes; the limit is {MAX_VALUE_LEN}"))),
    }
}

/// The steps of a batch.
#[derive(Clone, Debug)]
pub struct Ops<'a> {
    reader: Reader<'a>,
}

impl<'a> Ops<'a> {
    /// Reads the steps of a batch that was kept as bytes, and how many there are; `None` if the bytes
    /// are no steps, whole and within the limits.
    pub fn decode(bytes: &'a [u8]) -> Option<(Ops<'a>, u64)> {
        let mut reader = Reader::new(bytes);
        let mut count = 0;
        while !reader.rest().is_empty() {
            let tag = reader.u8()?;
            let key = reader.bytes()?;
            let value = match tag {
                SET => reader.bytes()?,
                REMOVE => &[],
                _ => return None,
            };
            if key.len() > MAX_KEY_LEN || value.len() > MAX_VALUE_LEN {
                return None;
            }
            count += 1;
        }
        Some((Ops { reader: Reader::new(bytes) }, count))
    }
}

impl<'a> Iterator for Ops<'a> {
    type Item = Op<'a>;

    #[inline]
    fn next(&mut self) -> Option<Op<'a>> {
        let tag = self.reader.u8()?;
        let key = self.reader.bytes()?;
        match tag {
            SET => Some(Op::Set(key, self.reader.bytes()?)),
            _ => Some(Op::Remove(key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_KEY_LEN, Op, WriteBatch};

    #[test]
    fn steps_come_back_in_order() {
        let mut batch = WriteBatch::new();
        batch.set(b"", b"");
        batch.remove(b"k");
        batch.set(&[7; 300], &[8; 20_000]);
        let ops: Vec<_> = batch.iter().collect();
        assert_eq!(ops, [Op::Set(b"", b""), Op::Remove(b"k"), Op::Set(&[7; 300], &[8; 20_000])]);
        assert_eq!(batch.len(), 3);
        assert!(batch.validate().is_ok());
    }

    #[test]
    fn a_key_too_long_is_refused() {
        let mut batch = WriteBatch::new();
        batch.set(b"fine", b"");
        batch.remove(&vec![0; MAX_KEY_LEN]);
        assert!(batch.validate().is_ok());
        batch.remove(&vec![0; MAX_KEY_LEN + 1]);
        let error = batch.validate().unwrap_err().to_string();
        assert_eq!(error, "a key of 65536 bytes; the limit is 65535");
    }
}
