//! Engines with bugs, for searches that must be able to find one.

use kvs::engine::batch::{Op, WriteBatch};
use kvs::engine::explain::Explanation;
use kvs::engine::options::WriteOptions;
use kvs::engine::range::KeyRange;
use kvs::engine::stats::Stats;
use kvs::engine::value::Value;
use kvs::engine::{Cursor, KvsEngine, KvsRead, Pairs, Snapshot};
use kvs::error::Result;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A store between the caller and an engine that does each of these differently, if it wants to.
pub(crate) trait Around: Send + Sync {
    fn inner(&self) -> &dyn KvsEngine;

    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        self.inner().get(key)
    }

    fn write(&self, batch: WriteBatch, options: &WriteOptions) -> Result<()> {
        self.inner().write(batch, options)
    }

    fn swap(&self, key: &[u8], value: Option<&[u8]>) -> Result<Option<Value>> {
        self.inner().swap(key, value)
    }

    fn snapshot(&self) -> Result<Snapshot> {
        self.inner().snapshot()
    }

    fn sync(&self) -> Result<()> {
        self.inner().sync()
    }
}

/// The engine that it seems to be.
pub(crate) struct Wrapped<A>(pub(crate) A);

impl<A: Around> KvsRead for Wrapped<A> {
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        self.0.get(key)
    }

    fn cursor(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>> {
        self.0.inner().cursor(range)
    }
}

impl<A: Around> KvsEngine for Wrapped<A> {
    fn write(&self, batch: WriteBatch, options: &WriteOptions) -> Result<()> {
        self.0.write(batch, options)
    }

    fn swap(&self, key: &[u8], value: Option<&[u8]>) -> Result<Option<Value>> {
        self.0.swap(key, value)
    }

    fn remove(&self, key: &[u8]) -> Result<bool> {
        self.0.inner().remove(key)
    }

    fn snapshot(&self) -> Result<Snapshot> {
        self.0.snapshot()
    }

    fn sync(&self) -> Result<()> {
        self.0.sync()
    }

    fn flush(&self) -> Result<()> {
        self.0.inner().flush()
    }

    fn settle(&self) -> Result<()> {
        self.0.inner().settle()
    }

    fn compact_range(&self, range: &KeyRange) -> Result<()> {
        self.0.inner().compact_range(range)
    }

    fn load_sorted(&self, pairs: &mut dyn Pairs) -> Result<u64> {
        self.0.inner().load_sorted(pairs)
    }

    fn checkpoint(&self, dest: &Path) -> Result<()> {
        self.0.inner().checkpoint(dest)
    }

    fn stats(&self) -> Result<Stats> {
        self.0.inner().stats()
    }

    fn explain_get(&self, key: &[u8]) -> Result<Explanation> {
        self.0.inner().explain_get(key)
    }

    fn explain_scan(&self, range: KeyRange, limit: u64) -> Result<Explanation> {
        self.0.inner().explain_scan(range, limit)
    }
}

/// A removal in a batch is lost if a set of the same batch went before it.
pub(crate) struct Forgetful(pub(crate) Arc<dyn KvsEngine>);

impl Around for Forgetful {
    fn inner(&self) -> &dyn KvsEngine {
        &*self.0
    }

    fn write(&self, batch: WriteBatch, options: &WriteOptions) -> Result<()> {
        let mut kept = WriteBatch::new();
        for op in batch.iter() {
            match op {
                Op::Set(key, value) => kept.set(key, value),
                Op::Remove(key) if kept.is_empty() => kept.remove(key),
                Op::Remove(_) => {}
            }
        }
        self.0.write(kept, options)
    }
}

/// Writes and syncs wait for no device, whatever is asked for.
pub(crate) struct Unsynced(pub(crate) Arc<dyn KvsEngine>);

impl Around for Unsynced {
    fn inner(&self) -> &dyn KvsEngine {
        &*self.0
    }

    fn write(&self, batch: WriteBatch, _: &WriteOptions) -> Result<()> {
        self.0.write(batch, &WriteOptions::default())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

/// What is wrong with a [`Careless`] engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// One get in a hundred tells what the get of that key before it told.
    StaleGet,
    /// A swap reads, and then writes.
    SwapInTwoSteps,
    /// A batch is two.
    BatchInTwoSteps,
    /// One snapshot in ten is the one before.
    OldSnapshot,
}

/// An engine that is right as long as nobody else is there.
pub(crate) struct Careless {
    inner: Arc<dyn KvsEngine>,
    bug: Bug,
    count: AtomicU64,
    told: Mutex<HashMap<Vec<u8>, Option<Value>>>,
    taken: Mutex<Option<Snapshot>>,
}

impl Careless {
    pub(crate) fn new(inner: Arc<dyn KvsEngine>, bug: Bug) -> Careless {
        let (count, told, taken) = Default::default();
        Careless { inner, bug, count, told, taken }
    }

    /// Every so manieth time.
    fn is_time(&self, every: u64) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed) % every == every - 1
    }
}

impl Around for Careless {
    fn inner(&self) -> &dyn KvsEngine {
        &*self.inner
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        if self.bug != Bug::StaleGet {
            return self.inner.get(key);
        }
        let mut told = self.told.lock().expect("nobody panics here");
        if self.is_time(100)
            && let Some(value) = told.get(key)
        {
            return Ok(value.clone());
        }
        let value = self.inner.get(key)?;
        told.insert(key.to_vec(), value.clone());
        Ok(value)
    }

    fn write(&self, batch: WriteBatch, options: &WriteOptions) -> Result<()> {
        if self.bug != Bug::BatchInTwoSteps {
            return self.inner.write(batch, options);
        }
        let mut halves = [WriteBatch::new(), WriteBatch::new()];
        for (at, op) in batch.iter().enumerate() {
            let half = &mut halves[at % 2];
            match op {
                Op::Set(key, value) => half.set(key, value),
                Op::Remove(key) => half.remove(key),
            }
        }
        halves.into_iter().try_for_each(|half| self.inner.write(half, options))
    }

    fn swap(&self, key: &[u8], value: Option<&[u8]>) -> Result<Option<Value>> {
        if self.bug != Bug::SwapInTwoSteps {
            return self.inner.swap(key, value);
        }
        let old = self.inner.get(key)?;
        std::thread::yield_now();
        let batch = WriteBatch::of_one(key, value)?;
        self.inner.write(batch, &WriteOptions::default())?;
        Ok(old)
    }

    fn snapshot(&self) -> Result<Snapshot> {
        if self.bug != Bug::OldSnapshot {
            return self.inner.snapshot();
        }
        let mut taken = self.taken.lock().expect("nobody panics here");
        if self.is_time(10)
            && let Some(snapshot) = &*taken
        {
            return Ok(snapshot.clone());
        }
        Ok(taken.insert(self.inner.snapshot()?).clone())
    }
}
