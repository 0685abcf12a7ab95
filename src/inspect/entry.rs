//! What a segment's record says, without its value: so that a large one need not be in memory.

use crate::codec::MAX_VARINT_LEN;
use crate::engine::batch::{MAX_KEY_LEN, Op};
use crate::engine::bitcask::segment::{DELETE, Entry, SET};
use crate::inspect::bytes::Bytes;
use crate::inspect::scan::Frame;
use crate::record::frame::Record;

/// The record kinds of a segment.
pub(super) const KINDS: &[u8] = &[SET, DELETE];

/// Bytes of a payload that hold everything before the value, and the beginning of that.
const HEAD: usize = MAX_KEY_LEN + 2 * MAX_VARINT_LEN + 64;

/// An entry, as far as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    /// Its sequence number.
    pub(super) seqno: u64,
    /// Its key.
    pub(super) key: &'a [u8],
    /// The value's beginning; `None` for a tombstone.
    pub(super) value: Option<&'a [u8]>,
    /// The value's bytes in all.
    pub(super) value_len: u64,
}

/// Reads the entry in a record whose checksum is right; `None` if it holds none.
pub(super) fn head<'b>(bytes: &'b mut Bytes, frame: &Frame) -> Option<Head<'b>> {
    let len = frame.payload_len();
    let payload = bytes.get(frame.payload(), len.min(HEAD));
    let unread = (len - payload.len()) as u64;
    let shape = frame.shape;
    let record = Record { kind: shape.kind, part: shape.part, synced: shape.synced, payload, len: shape.len };
    let Entry { seqno, op } = Entry::decode(&record)?;
    match op {
        _ if op.key().len() > MAX_KEY_LEN => None,
        Op::Set(key, value) => {
            Some(Head { seqno, key, value: Some(value), value_len: value.len() as u64 + unread })
        }
        Op::Remove(key) if unread == 0 => Some(Head { seqno, key, value: None, value_len: 0 }),
        Op::Remove(_) => None,
    }
}
