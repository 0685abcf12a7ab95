//! What a segment's record says, without its value: so that a large one need not be in memory.

use crate::codec::{MAX_VARINT_LEN, Reader, varint_len};
use crate::engine::batch::{MAX_KEY_LEN, Op};
use crate::engine::bitcask::segment::{DELETE, Entry, SET};
use crate::inspect::bytes::Bytes;
use crate::inspect::scan::Frame;
use crate::record::frame::{Record, Shape};

/// Whether bytes may be a segment's record, by what stands before the key.
pub(super) fn is_likely(shape: &Shape, payload: &[u8]) -> bool {
    let len = (shape.len - shape.payload) as u64;
    let mut reader = Reader::new(payload);
    let (seqno, key_len) = (reader.varint(), reader.varint());
    match (shape.kind, seqno, key_len) {
        (SET, Some(seqno), Some(key_len)) => {
            let before = (varint_len(seqno) + varint_len(key_len)) as u64;
            key_len <= MAX_KEY_LEN as u64 && before + key_len <= len
        }
        (DELETE, Some(_), _) => len <= (MAX_KEY_LEN + MAX_VARINT_LEN) as u64,
        _ => false,
    }
}

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
