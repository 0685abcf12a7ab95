//! What a write-ahead log's record says, without its values: so that a large one need not be in memory.

use crate::codec::{MAX_VARINT_LEN, Reader, varint_len};
use crate::engine::batch::{MAX_KEY_LEN, MAX_VALUE_LEN};
use crate::engine::lsm::key::MAX_SEQNO;
use crate::engine::lsm::wal::BATCH;
use crate::inspect::bytes::Bytes;
use crate::inspect::scan::Frame;
use crate::record::frame::{Part, Shape};

/// Bytes that hold all of an op before its value, and the beginning of that.
const HEAD: usize = 1 + MAX_KEY_LEN + 2 * MAX_VARINT_LEN + 64;

const SET: u8 = 1;
const REMOVE: u8 = 2;

/// One step of a batch: where its parts are. Its value is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LoggedOp {
    /// Where it begins, in the file.
    pub(super) at: u64,
    /// Where its key begins, and how long it is.
    pub(super) key: (u64, usize),
    /// Where its value begins, and how long it is; `None` for a removal.
    pub(super) value: Option<(u64, u64)>,
}

impl LoggedOp {
    /// Where the next one begins.
    pub(super) fn end(&self) -> u64 {
        self.value.map_or(self.key.0 + self.key.1 as u64, |(at, len)| at + len)
    }

    /// Its key.
    pub(super) fn key_of(&self, bytes: &mut Bytes) -> Vec<u8> {
        bytes.get(self.key.0, self.key.1).to_vec()
    }
}

/// A batch: where its ops are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LoggedBatch {
    /// The sequence number of its first op.
    pub(super) first_seqno: u64,
    /// How many ops it has.
    pub(super) count: u64,
    at: u64,
    end: u64,
}

impl LoggedBatch {
    /// Reads the batch in a record whose checksum is right, op by op; `None` if it holds none.
    pub(super) fn read(bytes: &mut Bytes, frame: &Frame) -> Option<LoggedBatch> {
        if frame.shape.kind != BATCH || frame.shape.part != Part::Full {
            return None;
        }
        let first_seqno = Reader::new(bytes.get(frame.payload(), MAX_VARINT_LEN)).varint()?;
        let (begin, end) = (frame.payload() + varint_len(first_seqno) as u64, frame.end());
        let (mut at, mut count) = (begin, 0);
        while at < end {
            at = op_at(bytes, at, end)?.end();
            count += 1;
        }
        let last = first_seqno.checked_add(count)?.checked_sub(1)?;
        let is_sound = first_seqno > 0 && count > 0 && last <= MAX_SEQNO;
        is_sound.then_some(LoggedBatch { first_seqno, count, at: begin, end })
    }

    /// The sequence number of its last op.
    pub(super) fn last_seqno(&self) -> u64 {
        self.first_seqno + self.count - 1
    }

    /// Tells `each` of the ops, with their sequence numbers.
    pub(super) fn each(&self, bytes: &mut Bytes, mut each: impl FnMut(&mut Bytes, u64, &LoggedOp)) {
        let (mut at, mut seqno) = (self.at, self.first_seqno);
        while let Some(op) = op_at(bytes, at, self.end).filter(|_| at < self.end) {
            each(bytes, seqno, &op);
            (at, seqno) = (op.end(), seqno + 1);
        }
    }
}

/// The op at `at` of a batch that ends at `end`.
fn op_at(bytes: &mut Bytes, at: u64, end: u64) -> Option<LoggedOp> {
    let head = bytes.get(at, HEAD.min((end - at) as usize));
    let mut reader = Reader::new(head);
    let tag = reader.u8()?;
    let place = |reader: &Reader<'_>| at + (head.len() - reader.rest().len()) as u64;
    let key_len = usize::try_from(reader.varint()?).ok().filter(|&len| len <= MAX_KEY_LEN)?;
    let key = (place(&reader), key_len);
    reader.take(key_len)?;
    let value = match tag {
        SET => {
            let len = reader.varint().filter(|&len| len <= MAX_VALUE_LEN as u64)?;
            Some((place(&reader), len))
        }
        REMOVE => None,
        _ => return None,
    };
    let op = LoggedOp { at, key, value };
    (op.end() <= end).then_some(op)
}

/// Whether bytes may be a log's record.
pub(super) fn is_likely(shape: &Shape, payload: &[u8]) -> bool {
    let mut reader = Reader::new(payload);
    let seqno = reader.varint();
    shape.kind == BATCH
        && shape.part == Part::Full
        && seqno.is_some_and(|seqno| seqno <= MAX_SEQNO)
        && matches!(reader.u8(), Some(SET | REMOVE))
}
