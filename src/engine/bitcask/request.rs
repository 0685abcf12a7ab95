//! A request: one call that writes, on its way through the commit queue.

use crate::engine::batch::{Op, WriteBatch};
use crate::engine::value::Value;
use crate::error::Result;

/// What a caller wants to know of the key that it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Nothing: a blind write.
    Nothing,
    /// Whether the key was there.
    WasThere,
    /// The value that it had.
    OldValue,
}

/// What a caller is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It did not ask.
    Nothing,
    /// The key was not there.
    Absent,
    /// The key was there.
    Present,
    /// The key had this value.
    Old(Box<Value>),
}

/// A batch to write, when to acknowledge it, and what to tell.
#[derive(Debug)]
pub struct Request {
    /// What to write. Never changed on the way.
    pub batch: WriteBatch,
    /// Whether it must be durable before it is acknowledged.
    pub is_durable: bool,
    /// What to find out, before it is applied, about its first key.
    pub ask: Ask,
    /// Whether the leader writes it: a removal of what is not there is not written.
    pub is_written: bool,
    /// How it went. `None` until its leader has said, and for ever if that one panicked.
    pub outcome: Option<Result<Answer>>,
}

impl Request {
    /// A request that nobody has looked at.
    pub fn new(batch: WriteBatch, is_durable: bool, ask: Ask) -> Request {
        Request { batch, is_durable, ask, is_written: true, outcome: None }
    }

    /// The last step of this batch for `key`.
    pub fn last_op(&self, key: &[u8]) -> Option<Op<'_>> {
        self.batch.iter().filter(|op| op.key() == key).last()
    }
}
