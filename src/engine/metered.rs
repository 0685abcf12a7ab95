//! The upper meter: wraps an engine and counts what the user asked of it.
//!
//! The lower meter is the disk's ([`CountingDisk`](crate::vfs::counting::CountingDisk)). What an
//! engine costs is the quotient of the two, so the engines need no counters of their own.

use crate::engine::batch::{Op, WriteBatch};
use crate::engine::explain::Explanation;
use crate::engine::options::WriteOptions;
use crate::engine::range::KeyRange;
use crate::engine::stats::Stats;
use crate::engine::value::Value;
use crate::engine::{Cursor, KvsEngine, KvsRead, Pairs, Snapshot};
use crate::error::Result;
use crate::sync::atomic::{AtomicU64, Ordering};
use serde::Serialize;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// An engine whose use is counted. Snapshots and cursors that are taken through it are counted too,
/// for as long as they live.
///
/// What failed counts as an error and, but for gets, as nothing else. Numbers are exact once the
/// callers are done; while they are at work, two numbers may be of slightly different moments.
pub struct Metered {
    engine: Arc<dyn KvsEngine>,
    meter: Arc<Meter>,
}

/// Writes down the counted things once, as the numbers that are read and as the atomics behind them.
macro_rules! counted {
    ($($(#[$about:meta])* $name:ident,)*) => {
        /// What was asked of an engine.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Usage {
            $($(#[$about])* pub $name: u64,)*
        }

        impl Usage {
            /// What was asked since `earlier`.
            pub fn since(&self, earlier: &Usage) -> Usage {
                Usage { $($name: self.$name.saturating_sub(earlier.$name),)* }
            }
        }

        #[derive(Debug, Default)]
        struct Meter {
            $($name: AtomicU64,)*
        }

        impl Meter {
            fn usage(&self) -> Usage {
                // Relaxed, here and in `add`: the numbers order nothing.
                Usage { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counted! {
    /// Gets, whatever they found.
    gets,
    /// Gets that found a value.
    hits,
    /// Gets that found none.
    misses,
    /// Batches written; a set by itself is a batch of one.
    batches,
    /// Sets, in batches, by themselves, or by a swap.
    sets,
    /// Removals, in batches, by themselves, or by a swap, whether the key was there or not.
    removes,
    /// Swaps.
    swaps,
    /// Cursors taken; each scan takes one.
    cursors,
    /// A cursor sought a key or an end.
    seeks,
    /// A cursor moved to a neighbour.
    steps,
    /// Snapshots taken.
    snapshots,
    /// Syncs asked for.
    syncs,
    /// Flushes asked for.
    flushes,
    /// Settlings asked for.
    settles,
    /// Compactions asked for, of a range or of everything.
    compactions,
    /// Loads of sorted pairs. Their pairs count as sets, also those that a failed load has read.
    loads,
    /// Explanations asked for. What they read counts as nothing.
    explanations,
    /// Checkpoints written.
    checkpoints,
    /// Bytes of the keys of hits, and of the keys that cursors came to stand on.
    key_bytes_read,
    /// Bytes of values that gets and swaps returned and that cursors showed.
    value_bytes_read,
    /// Bytes of the keys of sets and removals.
    key_bytes_written,
    /// Bytes of the values of sets.
    value_bytes_written,
    /// Calls that failed.
    errors,
}

impl Usage {
    /// Bytes of keys and values that came out.
    pub fn bytes_read(&self) -> u64 {
        self.key_bytes_read + self.value_bytes_read
    }

    /// Bytes of keys and values that went in.
    pub fn bytes_written(&self) -> u64 {
        self.key_bytes_written + self.value_bytes_written
    }
}

impl Metered {
    /// Counts what is asked of `engine` from now on, through this handle.
    pub fn new(engine: Arc<dyn KvsEngine>) -> Metered {
        Metered { engine, meter: Arc::default() }
    }

    /// What was asked so far.
    pub fn usage(&self) -> Usage {
        self.meter.usage()
    }
}

impl KvsRead for Metered {
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        self.meter.get(key, self.engine.get(key))
    }

    fn cursor(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>> {
        self.meter.cursor(self.engine.cursor(range))
    }
}

impl KvsEngine for Metered {
    fn write(&self, batch: WriteBatch, options: &WriteOptions) -> Result<()> {
        let written = Written::by(&batch);
        self.meter.outcome(self.engine.write(batch, options))?;
        self.meter.batch(&written);
        Ok(())
    }

    fn swap(&self, key: &[u8], value: Option<&[u8]>) -> Result<Option<Value>> {
        let old = self.meter.outcome(self.engine.swap(key, value))?;
        self.meter.wrote(&Written::one(key, value));
        add(&self.meter.swaps, 1);
        add(&self.meter.value_bytes_read, old.as_ref().map_or(0, |old| old.len()));
        Ok(old)
    }

    fn remove(&self, key: &[u8]) -> Result<bool> {
        let was_there = self.meter.outcome(self.engine.remove(key))?;
        self.meter.wrote(&Written::one(key, None));
        Ok(was_there)
    }

    fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.meter.outcome(self.engine.set(key, value))?;
        self.meter.batch(&Written::one(key, Some(value)));
        Ok(())
    }

    fn snapshot(&self) -> Result<Snapshot> {
        let snapshot = self.meter.outcome(self.engine.snapshot())?;
        add(&self.meter.snapshots, 1);
        Ok(Snapshot::new(Arc::new(MeteredSnapshot { snapshot, meter: self.meter.clone() })))
    }

    fn sync(&self) -> Result<()> {
        self.meter.did(&self.meter.syncs, self.engine.sync())
    }

    fn flush(&self) -> Result<()> {
        self.meter.did(&self.meter.flushes, self.engine.flush())
    }

    fn settle(&self) -> Result<()> {
        self.meter.did(&self.meter.settles, self.engine.settle())
    }

    fn compact_range(&self, range: &KeyRange) -> Result<()> {
        self.meter.did(&self.meter.compactions, self.engine.compact_range(range))
    }

    fn compact(&self) -> Result<()> {
        self.meter.did(&self.meter.compactions, self.engine.compact())
    }

    fn load_sorted(&self, pairs: &mut dyn Pairs) -> Result<u64> {
        let mut pairs = MeteredPairs { pairs, written: Written::default() };
        let loaded = self.engine.load_sorted(&mut pairs);
        self.meter.wrote(&pairs.written);
        let loaded = self.meter.outcome(loaded)?;
        add(&self.meter.loads, 1);
        Ok(loaded)
    }

    fn checkpoint(&self, dest: &Path) -> Result<()> {
        self.meter.did(&self.meter.checkpoints, self.engine.checkpoint(dest))
    }

    fn stats(&self) -> Result<Stats> {
        self.meter.outcome(self.engine.stats())
    }

    fn explain_get(&self, key: &[u8]) -> Result<Explanation> {
        let explained = self.meter.outcome(self.engine.explain_get(key))?;
        add(&self.meter.explanations, 1);
        Ok(explained)
    }

    fn explain_scan(&self, range: KeyRange, limit: u64) -> Result<Explanation> {
        let explained = self.meter.outcome(self.engine.explain_scan(range, limit))?;
        add(&self.meter.explanations, 1);
        Ok(explained)
    }
}

/// Pairs to load that are counted as they pass.
struct MeteredPairs<'a> {
    pairs: &'a mut dyn Pairs,
    written: Written,
}

impl Pairs for MeteredPairs<'_> {
    fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        let pair = self.pairs.next_pair()?;
        if let Some((key, value)) = pair {
            self.written.add(key, Some(value));
        }
        Ok(pair)
    }
}

impl fmt::Debug for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered").field("usage", &self.usage()).finish_non_exhaustive()
    }
}

/// A snapshot whose reads are counted.
struct MeteredSnapshot {
    snapshot: Snapshot,
    meter: Arc<Meter>,
}

impl KvsRead for MeteredSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        self.meter.get(key, self.snapshot.get(key))
    }

    fn cursor(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>> {
        self.meter.cursor(self.snapshot.cursor(range))
    }
}

/// A cursor whose moves are counted.
struct MeteredCursor<'a> {
    cursor: Box<dyn Cursor + 'a>,
    meter: &'a Meter,
    /// Whether the value of this pair was counted: looking twice reads once.
    shown: bool,
}

impl MeteredCursor<'_> {
    fn moved(&mut self, count: &AtomicU64, outcome: Result<()>) -> Result<()> {
        self.shown = false;
        self.meter.did(count, outcome)?;
        if self.cursor.valid() {
            add(&self.meter.key_bytes_read, self.cursor.key().len());
        }
        Ok(())
    }
}

impl Cursor for MeteredCursor<'_> {
    fn seek_to_first(&mut self) -> Result<()> {
        let outcome = self.cursor.seek_to_first();
        self.moved(&self.meter.seeks, outcome)
    }

    fn seek_to_last(&mut self) -> Result<()> {
        let outcome = self.cursor.seek_to_last();
        self.moved(&self.meter.seeks, outcome)
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        let outcome = self.cursor.seek(key);
        self.moved(&self.meter.seeks, outcome)
    }

    fn next(&mut self) -> Result<()> {
        let outcome = self.cursor.next();
        self.moved(&self.meter.steps, outcome)
    }

    fn prev(&mut self) -> Result<()> {
        let outcome = self.cursor.prev();
        self.moved(&self.meter.steps, outcome)
    }

    fn valid(&self) -> bool {
        self.cursor.valid()
    }

    fn key(&self) -> &[u8] {
        self.cursor.key()
    }

    fn value(&mut self) -> Result<&[u8]> {
        let value = self.meter.outcome(self.cursor.value())?;
        if !std::mem::replace(&mut self.shown, true) {
            add(&self.meter.value_bytes_read, value.len());
        }
        Ok(value)
    }
}

impl Meter {
    /// Passes the outcome on; counts it if it is an error.
    fn outcome<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.inspect_err(|_| add(&self.errors, 1))
    }

    /// Passes the outcome on; adds one to `count`, or to the errors.
    fn did(&self, count: &AtomicU64, outcome: Result<()>) -> Result<()> {
        self.outcome(outcome)?;
        add(count, 1);
        Ok(())
    }

    fn get(&self, key: &[u8], found: Result<Option<Value>>) -> Result<Option<Value>> {
        add(&self.gets, 1);
        let found = self.outcome(found)?;
        match &found {
            None => add(&self.misses, 1),
            Some(value) => {
                add(&self.hits, 1);
                add(&self.key_bytes_read, key.len());
                add(&self.value_bytes_read, value.len());
            }
        }
        Ok(found)
    }

    fn cursor<'a>(&'a self, cursor: Result<Box<dyn Cursor + 'a>>) -> Result<Box<dyn Cursor + 'a>> {
        let cursor = self.outcome(cursor)?;
        add(&self.cursors, 1);
        Ok(Box::new(MeteredCursor { cursor, meter: self, shown: false }))
    }

    fn batch(&self, written: &Written) {
        add(&self.batches, 1);
        self.wrote(written);
    }

    fn wrote(&self, written: &Written) {
        add(&self.sets, written.sets);
        add(&self.removes, written.removes);
        add(&self.key_bytes_written, written.key_bytes);
        add(&self.value_bytes_written, written.value_bytes);
    }
}

fn add(count: &AtomicU64, n: usize) {
    count.fetch_add(n as u64, Ordering::Relaxed);
}

/// What a write brings, taken before the engine takes the batch.
#[derive(Default)]
struct Written {
    sets: usize,
    removes: usize,
    key_bytes: usize,
    value_bytes: usize,
}

impl Written {
    fn by(batch: &WriteBatch) -> Written {
        let mut written = Written::default();
        for op in batch.iter() {
            match op {
                Op::Set(key, value) => written.add(key, Some(value)),
                Op::Remove(key) => written.add(key, None),
            }
        }
        written
    }

    fn one(key: &[u8], value: Option<&[u8]>) -> Written {
        let mut written = Written::default();
        written.add(key, value);
        written
    }

    fn add(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.key_bytes += key.len();
        match value {
            Some(value) => {
                self.sets += 1;
                self.value_bytes += value.len();
            }
            None => self.removes += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Metered, Usage};
    use crate::engine::batch::{MAX_KEY_LEN, WriteBatch};
    use crate::engine::memory::Memory;
    use crate::engine::range::KeyRange;
    use crate::engine::{CursorPairs, KvsEngine, KvsRead};
    use std::sync::Arc;

    fn metered() -> Metered {
        Metered::new(Arc::new(Memory::new()))
    }

    #[test]
    fn writes_are_counted_by_call_and_by_key() {
        let store = metered();
        store.set(b"a", b"12").unwrap();
        let mut batch = WriteBatch::new();
        batch.set(b"b", b"345");
        batch.remove(b"cc");
        store.write(batch, &Default::default()).unwrap();
        store.swap(b"a", Some(b"6789")).unwrap();
        store.swap(b"a", None).unwrap();
        assert!(!store.remove(b"a").unwrap());
        let expected = Usage {
            batches: 2,
            sets: 3,
            removes: 3,
            swaps: 2,
            key_bytes_written: 1 + 3 + 1 + 1 + 1,
            value_bytes_written: 2 + 3 + 4,
            value_bytes_read: 2 + 4,
            ..Usage::default()
        };
        assert_eq!(store.usage(), expected);
        assert_eq!((expected.bytes_written(), expected.bytes_read()), (16, 6));
    }

    #[test]
    fn reads_are_counted_in_the_past_too() {
        let store = metered();
        store.set(b"k", b"value").unwrap();
        let snapshot = store.snapshot().unwrap();
        let before = store.usage();
        store.get(b"k").unwrap();
        snapshot.get(b"k").unwrap();
        snapshot.get(b"none").unwrap();
        assert_eq!(snapshot.scan(KeyRange::all()).unwrap().count(), 1);
        let expected = Usage {
            gets: 3,
            hits: 2,
            misses: 1,
            cursors: 1,
            seeks: 1,
            steps: 1,
            key_bytes_read: 3,
            value_bytes_read: 15,
            ..Usage::default()
        };
        assert_eq!(store.usage().since(&before), expected);
        drop(store);
        assert!(snapshot.get(b"k").unwrap().is_some(), "outlives the meter's owner");
    }

    #[test]
    fn looking_twice_at_one_value_reads_it_once() {
        let store = metered();
        store.set(b"k", b"value").unwrap();
        let mut cursor = store.cursor(KeyRange::all()).unwrap();
        cursor.seek(b"a").unwrap();
        cursor.value().unwrap();
        cursor.value().unwrap();
        assert_eq!(store.usage().value_bytes_read, 5);
        cursor.seek_to_last().unwrap();
        cursor.value().unwrap();
        cursor.prev().unwrap();
        let usage = store.usage();
        assert_eq!((usage.value_bytes_read, usage.seeks, usage.steps), (10, 2, 1));
    }

    #[test]
    fn what_fails_counts_as_an_error_only() {
        let store = metered();
        let long = vec![0; MAX_KEY_LEN + 1];
        assert!(store.set(&long, b"").is_err());
        assert!(store.remove(&long).is_err());
        assert!(store.swap(&long, None).is_err());
        assert!(store.checkpoint("anywhere".as_ref()).is_err());
        assert_eq!(store.usage(), Usage { errors: 4, ..Usage::default() });
    }

    #[test]
    fn loads_count_their_pairs() {
        let (from, store) = (Memory::new(), metered());
        from.set(b"a", b"12").unwrap();
        from.set(b"b", b"345").unwrap();
        let mut pairs = CursorPairs::new(from.cursor(KeyRange::all()).unwrap());
        assert_eq!(store.load_sorted(&mut pairs).unwrap(), 2);
        store.explain_get(b"a").unwrap();
        store.explain_scan(KeyRange::all(), 1).unwrap();
        let expected = Usage {
            loads: 1,
            sets: 2,
            key_bytes_written: 2,
            value_bytes_written: 5,
            explanations: 2,
            ..Usage::default()
        };
        assert_eq!(store.usage(), expected);
    }

    #[test]
    fn upkeep_is_counted() {
        let store = metered();
        store.sync().unwrap();
        store.flush().unwrap();
        store.compact().unwrap();
        store.compact_range(&KeyRange::prefix("a")).unwrap();
        store.settle().unwrap();
        store.snapshot().unwrap();
        let expected =
            Usage { syncs: 1, flushes: 1, settles: 1, compactions: 2, snapshots: 1, ..Usage::default() };
        assert_eq!(store.usage(), expected);
        let report = serde_json::to_value(store.usage()).unwrap();
        assert_eq!(report["compactions"], 2);
    }
}
