//! Makes the calls of a trace again, and holds every answer against a model of what was written.

use crate::bench::error::{Error, Result};
use crate::bench::keys::Data;
use crate::bench::subject::Subject;
use crate::bench::trace::{LOADED, Made, Trace};
use crate::bench::workload::Call;
use crate::dice::mix;
use crate::engine::batch::WriteBatch;
use crate::engine::range::Direction;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Takes the time of what it is given.
pub type Timer<'a> = dyn FnMut(&mut dyn FnMut() -> Result<()>) -> Result<()> + 'a;

/// What the store holds, as far as the trace has written it: of each key the size of its value and what
/// it is made of.
#[derive(Debug, Default)]
pub struct Replay {
    pairs: BTreeMap<Vec<u8>, (u32, u64)>,
    bytes: u64,
    /// Values are numbered, so that no two are alike.
    values: u64,
    value: Vec<u8>,
}

/// What one call was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its kind.
    pub call: Call,
    /// Pairs that it wrote or read.
    pub pairs: u64,
}

impl Replay {
    /// Keys that are there.
    pub fn keys(&self) -> u64 {
        self.pairs.len() as u64
    }

    /// Bytes of the keys and values that are there.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds to a batch, and to the model.
    fn put(&mut self, data: &Data, batch: &mut WriteBatch, key: &[u8], size: Option<u32>) {
        let before = match size {
            None => {
                batch.remove(key);
                self.pairs.remove(key)
            }
            Some(size) => {
                self.values += 1;
                let seed = mix(self.values);
                data.filler(seed, size as usize, &mut self.value);
                batch.set(key, &self.value);
                self.bytes += key.len() as u64 + u64::from(size);
                self.pairs.insert(key.to_vec(), (size, seed))
            }
        };
        if let Some((size, _)) = before {
            self.bytes -= key.len() as u64 + u64::from(size);
        }
    }

    /// The batch with a number that loads the beginning.
    pub fn load(&mut self, trace: &Trace, number: u64, data: &Data) -> (WriteBatch, Done) {
        let state = trace.state.chunks(LOADED).nth(number as usize).unwrap_or_default();
        let mut batch = WriteBatch::new();
        state.iter().for_each(|(key, size)| self.put(data, &mut batch, key, Some(*size)));
        (batch, Done { call: Call::Batch, pairs: state.len() as u64 })
    }

    /// Makes a call; `time` takes the time of what it is given.
    pub fn make(
        &mut self,
        subject: &dyn Subject,
        made: &Made,
        data: &Data,
        time: &mut Timer<'_>,
    ) -> Result<Done> {
        let done = |call, pairs| Ok(Done { call, pairs });
        match made {
            Made::Get(key) => {
                let has = self.get(subject, key, data, time)?;
                done(if has { Call::Read } else { Call::Missing }, 1)
            }
            Made::Write(ops, is_durable) => {
                let mut batch = WriteBatch::new();
                ops.iter().for_each(|(key, size)| self.put(data, &mut batch, key, *size));
                let mut batch = Some(batch);
                time(&mut || subject.write(batch.take().unwrap_or_default(), *is_durable))?;
                let call = match &ops[..] {
                    [(_, None)] => Call::Delete,
                    [_] => Call::Update,
                    _ => Call::Batch,
                };
                done(call, ops.len() as u64)
            }
            Made::Swap(key, size) => {
                self.get(subject, key, data, time)?;
                let mut batch = WriteBatch::new();
                self.put(data, &mut batch, key, *size);
                let mut batch = Some(batch);
                time(&mut || subject.write(batch.take().unwrap_or_default(), false))?;
                done(Call::ReadModifyWrite, 1)
            }
            Made::Scan { from, direction, pairs } => {
                let pairs = self.scan(subject, (from.as_deref(), *direction, *pairs), data, time)?;
                done(Call::Scan, pairs)
            }
            Made::Flush => {
                time(&mut || subject.settle())?;
                done(Call::Compact, 0)
            }
            Made::Compact => {
                time(&mut || subject.compact())?;
                done(Call::Compact, 0)
            }
            Made::State(..) => Err(Error::plan("the state of a trace is no call of it")),
        }
    }

    fn wrong(call: &'static str, key: &[u8], reason: &str) -> Error {
        Error::Wrong { call, key: key.escape_ascii().to_string(), reason: reason.to_string() }
    }

    /// Whether `found` is what the model has under a key.
    fn check(&mut self, call: &'static str, key: &[u8], found: Option<&[u8]>, data: &Data) -> Result<()> {
        match (self.pairs.get(key), found) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(Replay::wrong(call, key, "it is there, and should not be")),
            (Some(_), None) => Err(Replay::wrong(call, key, "it is not there, and should be")),
            (Some(&(size, seed)), Some(found)) => {
                data.filler(seed, size as usize, &mut self.value);
                let is_right = self.value == found;
                is_right.then_some(()).ok_or_else(|| Replay::wrong(call, key, "another value came back"))
            }
        }
    }

    fn get(&mut self, subject: &dyn Subject, key: &[u8], data: &Data, time: &mut Timer<'_>) -> Result<bool> {
        let (mut value, mut has) = (Vec::new(), false);
        time(&mut || {
            has = subject.get(key, &mut |found| value.extend_from_slice(found))?;
            Ok(())
        })?;
        self.check("get", key, has.then_some(&value[..]), data)?;
        Ok(has)
    }

    fn scan(
        &mut self,
        subject: &dyn Subject,
        (from, direction, limit): (Option<&[u8]>, Direction, u64),
        data: &Data,
        time: &mut Timer<'_>,
    ) -> Result<u64> {
        let limit = limit.max(1);
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        time(&mut || {
            subject
                .scan(from, direction, limit, &mut |key, value| found.push((key.to_vec(), value.to_vec())))?;
            Ok(())
        })?;
        let range = match (from, direction) {
            (None, _) => (Bound::Unbounded, Bound::Unbounded),
            (Some(from), Direction::Forward) => (Bound::Included(from), Bound::Unbounded),
            (Some(from), Direction::Reverse) => (Bound::Unbounded, Bound::Excluded(from)),
        };
        let within = self.pairs.range::<[u8], _>(range).map(|(key, _)| key);
        let expected: Vec<Vec<u8>> = match direction {
            Direction::Forward => within.take(limit as usize).cloned().collect(),
            Direction::Reverse => within.rev().take(limit as usize).cloned().collect(),
        };
        if !expected.iter().eq(found.iter().map(|(key, _)| key)) {
            let from = from.unwrap_or(b"(an end)");
            return Err(Replay::wrong("scan", from, "other keys came than are there"));
        }
        found.iter().try_for_each(|(key, value)| self.check("scan", key, Some(value), data))?;
        Ok(found.len() as u64)
    }
}
