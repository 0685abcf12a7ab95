//! Records what is asked of an engine into a trace.

use crate::bench::trace::{Made, TraceWriter};
use crate::engine::batch::{Op, WriteBatch};
use crate::engine::explain::Explanation;
use crate::engine::options::{Durability, WriteOptions};
use crate::engine::range::{Direction, KeyRange};
use crate::engine::stats::Stats;
use crate::engine::value::Value;
use crate::engine::{Cursor, KvsEngine, KvsRead, Pairs, Snapshot};
use crate::error::Result;
use parking_lot::Mutex;
use std::fmt;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

/// A trace that several engines, cursors and snapshots may write to.
pub type Sink = Arc<Mutex<TraceWriter>>;

/// An engine whose calls are recorded: those that succeed, in the order in which they end. Of a snapshot,
/// reads are recorded as if they were of the present.
pub struct Recording {
    engine: Arc<dyn KvsEngine>,
    sink: Sink,
}

impl Recording {
    /// Records what is asked of `engine` from now on.
    pub fn new(engine: Arc<dyn KvsEngine>, sink: Sink) -> Recording {
        Recording { engine, sink }
    }

    /// The same, and first writes down which keys are there. Reads all of it.
    pub fn with_state(engine: Arc<dyn KvsEngine>, sink: Sink) -> Result<Recording> {
        for pair in engine.scan(KeyRange::all())? {
            let (key, value) = pair?;
            sink.lock().push(&Made::State(key.to_vec(), size(&value)));
        }
        Ok(Recording { engine, sink })
    }

    fn did(&self, made: Made) {
        self.sink.lock().push(&made);
    }
}

fn size(value: &[u8]) -> u32 {
    u32::try_from(value.len()).unwrap_or(u32::MAX)
}

impl KvsRead for Recording {
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        let found = self.engine.get(key)?;
        self.did(Made::Get(key.to_vec()));
        Ok(found)
    }

    fn cursor(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>> {
        let cursor = self.engine.cursor(range.clone())?;
        Ok(Box::new(RecordedCursor::new(cursor, range, self.sink.clone())))
    }
}

impl KvsEngine for Recording {
    fn write(&self, batch: WriteBatch, options: &WriteOptions) -> Result<()> {
        let ops = batch.iter().map(|op| match op {
            Op::Set(key, value) => (key.to_vec(), Some(size(value))),
            Op::Remove(key) => (key.to_vec(), None),
        });
        let made = Made::Write(ops.collect(), options.durability == Some(Durability::Always));
        self.engine.write(batch, options)?;
        self.did(made);
        Ok(())
    }

    fn swap(&self, key: &[u8], value: Option<&[u8]>) -> Result<Option<Value>> {
        let old = self.engine.swap(key, value)?;
        self.did(Made::Swap(key.to_vec(), value.map(size)));
        Ok(old)
    }

    fn remove(&self, key: &[u8]) -> Result<bool> {
        let was_there = self.engine.remove(key)?;
        self.did(Made::Swap(key.to_vec(), None));
        Ok(was_there)
    }

    fn snapshot(&self) -> Result<Snapshot> {
        let past = RecordedPast { past: self.engine.snapshot()?, sink: self.sink.clone() };
        Ok(Snapshot::new(Arc::new(past)))
    }

    fn sync(&self) -> Result<()> {
        self.engine.sync()
    }

    fn flush(&self) -> Result<()> {
        self.engine.flush()?;
        self.did(Made::Flush);
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.engine.settle()
    }

    fn compact_range(&self, range: &KeyRange) -> Result<()> {
        self.engine.compact_range(range)?;
        self.did(Made::Compact);
        Ok(())
    }

    fn load_sorted(&self, pairs: &mut dyn Pairs) -> Result<u64> {
        self.engine.load_sorted(&mut RecordedPairs { pairs, sink: &self.sink })
    }

    fn checkpoint(&self, dest: &Path) -> Result<()> {
        self.engine.checkpoint(dest)
    }

    fn stats(&self) -> Result<Stats> {
        self.engine.stats()
    }

    fn explain_get(&self, key: &[u8]) -> Result<Explanation> {
        self.engine.explain_get(key)
    }

    fn explain_scan(&self, range: KeyRange, limit: u64) -> Result<Explanation> {
        self.engine.explain_scan(range, limit)
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recording")
    }
}

struct RecordedPast {
    past: Snapshot,
    sink: Sink,
}

impl KvsRead for RecordedPast {
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        let found = self.past.get(key)?;
        self.sink.lock().push(&Made::Get(key.to_vec()));
        Ok(found)
    }

    fn cursor(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>> {
        let cursor = self.past.cursor(range.clone())?;
        Ok(Box::new(RecordedCursor::new(cursor, range, self.sink.clone())))
    }
}

struct RecordedPairs<'a> {
    pairs: &'a mut dyn Pairs,
    sink: &'a Sink,
}

impl Pairs for RecordedPairs<'_> {
    fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        let pair = self.pairs.next_pair()?;
        if let Some((key, value)) = pair {
            self.sink.lock().push(&Made::Write(vec![(key.to_vec(), Some(size(value)))], false));
        }
        Ok(pair)
    }
}

/// From each seek to the next one, or to the end, what a cursor does is a scan.
struct RecordedCursor<'a> {
    cursor: Box<dyn Cursor + 'a>,
    range: KeyRange,
    sink: Sink,
    scan: Option<(Option<Vec<u8>>, Direction, u64)>,
}

impl<'a> RecordedCursor<'a> {
    fn new(cursor: Box<dyn Cursor + 'a>, range: KeyRange, sink: Sink) -> RecordedCursor<'a> {
        RecordedCursor { cursor, range, sink, scan: None }
    }

    fn begin(&mut self, from: Option<Vec<u8>>, direction: Direction) {
        self.end();
        self.scan = Some((from, direction, u64::from(self.cursor.valid())));
    }

    fn step(&mut self, direction: Direction) {
        let is_valid = u64::from(self.cursor.valid());
        match &mut self.scan {
            Some((_, now, pairs)) if *now == direction => *pairs += is_valid,
            // It turns round: another scan, from where it came to.
            _ if is_valid == 1 => {
                let mut from = self.cursor.key().to_vec();
                if direction == Direction::Reverse {
                    from.push(0);
                }
                self.begin(Some(from), direction);
            }
            _ => {}
        }
    }

    fn end(&mut self) {
        if let Some((from, direction, pairs)) = self.scan.take() {
            self.sink.lock().push(&Made::Scan { from, direction, pairs });
        }
    }
}

/// The first key behind a bound.
fn behind(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

impl Cursor for RecordedCursor<'_> {
    fn seek_to_first(&mut self) -> Result<()> {
        self.cursor.seek_to_first()?;
        let from = match &self.range.start {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(key.clone()),
            Bound::Excluded(key) => Some(behind(key)),
        };
        self.begin(from, Direction::Forward);
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.cursor.seek_to_last()?;
        let from = match &self.range.end {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(behind(key)),
            Bound::Excluded(key) => Some(key.clone()),
        };
        self.begin(from, Direction::Reverse);
        Ok(())
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.cursor.seek(key)?;
        self.begin(Some(key.to_vec()), Direction::Forward);
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        self.cursor.next()?;
        self.step(Direction::Forward);
        Ok(())
    }

    fn prev(&mut self) -> Result<()> {
        self.cursor.prev()?;
        self.step(Direction::Reverse);
        Ok(())
    }

    fn valid(&self) -> bool {
        self.cursor.valid()
    }

    fn key(&self) -> &[u8] {
        self.cursor.key()
    }

    fn value(&mut self) -> Result<&[u8]> {
        self.cursor.value()
    }
}

impl Drop for RecordedCursor<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
