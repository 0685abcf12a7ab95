//! A request: one call that writes, on its way through the commit queue.

use crate::engine::batch::{Op, WriteBatch};
use crate::engine::value::Value;
use crate::error::{Error, Result};

/// The present, as a commit leader asks for it.
pub trait Present {
    /// The value of `key`.
    fn value(&self, key: &[u8]) -> Result<Option<Value>>;

    /// Whether `key` is there.
    fn has(&self, key: &[u8]) -> Result<bool>;
}

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

    /// Has it not written, for this reason.
    pub fn refuse(&mut self, error: Error) {
        self.is_written = false;
        self.outcome = Some(Err(error));
    }

    /// The last step of this batch for `key`.
    pub fn last_op(&self, key: &[u8]) -> Option<Op<'_>> {
        self.batch.iter().filter(|op| op.key() == key).last()
    }

    /// Finds out what it asks for, in the requests that the same group writes before it, else in the
    /// store; and whether there is anything to write.
    pub fn answer(&mut self, before: &[Request], present: &dyn Present) {
        let answer = self.look_up(before, present);
        self.is_written &= answer.is_ok();
        self.outcome = Some(answer);
    }

    fn look_up(&mut self, before: &[Request], present: &dyn Present) -> Result<Answer> {
        let op = match (self.ask, self.batch.iter().next()) {
            (Ask::Nothing, _) | (_, None) => return Ok(Answer::Nothing),
            (Ask::WasThere | Ask::OldValue, Some(op)) => op,
        };
        let key = op.key();
        let mut earlier = before.iter().rev().filter(|earlier| earlier.is_written);
        let answer = match (earlier.find_map(|earlier| earlier.last_op(key)), self.ask) {
            (Some(Op::Remove(_)), _) => Answer::Absent,
            (Some(Op::Set(_, value)), Ask::OldValue) => Answer::Old(Box::new(Value::from(value))),
            (Some(Op::Set(..)), _) => Answer::Present,
            (None, Ask::OldValue) => match present.value(key)? {
                Some(value) => Answer::Old(Box::new(value)),
                None => Answer::Absent,
            },
            (None, _) if present.has(key)? => Answer::Present,
            (None, _) => Answer::Absent,
        };
        self.is_written = !(matches!(op, Op::Remove(_)) && answer == Answer::Absent);
        Ok(answer)
    }
}
