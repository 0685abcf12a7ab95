//! The smallest engine that keeps the contract: a sorted map in memory. The model that tests hold
//! the others against.

use crate::engine::batch::{Op, WriteBatch};
use crate::engine::explain::{Explanation, Found, Step};
use crate::engine::load;
use crate::engine::options::WriteOptions;
use crate::engine::range::{Direction, KeyRange};
use crate::engine::stats::{Counter, Stats};
use crate::engine::value::Value;
use crate::engine::{Cursor, KvsEngine, KvsRead, Pairs, Snapshot};
use crate::error::{Error, Result};
use crate::sync::RwLock;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

type Map = BTreeMap<Vec<u8>, Arc<[u8]>>;

/// A sorted map behind a lock. Keeps everything of the contract but durability: nothing outlives it.
///
/// A snapshot shares the map; the first write beside one copies the map's tree, not its values. That
/// is what makes it the model, and no engine for large data.
#[derive(Debug, Default)]
pub struct Memory {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    map: Arc<Map>,
    /// Held once more by each snapshot and cursor, to count them.
    held: Arc<()>,
    /// Sets and removals so far.
    seqno: u64,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Memory {
        Memory::default()
    }

    fn past(&self) -> Past {
        let state = self.state.read();
        Past { map: state.map.clone(), _held: state.held.clone() }
    }
}

impl KvsRead for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        Ok(self.state.read().map.get(key).map(|value| Value::from(&value[..])))
    }

    fn cursor(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(MapCursor::new(self.past(), range)))
    }
}

impl KvsEngine for Memory {
    fn write(&self, batch: WriteBatch, _: &WriteOptions) -> Result<()> {
        batch.validate()?;
        let state = &mut *self.state.write();
        let map = Arc::make_mut(&mut state.map);
        for op in batch.iter() {
            match op {
                Op::Set(key, value) => _ = map.insert(key.to_vec(), value.into()),
                Op::Remove(key) => _ = map.remove(key),
            }
        }
        state.seqno += batch.len() as u64;
        Ok(())
    }

    fn swap(&self, key: &[u8], value: Option<&[u8]>) -> Result<Option<Value>> {
        WriteBatch::of_one(key, value)?;
        let state = &mut *self.state.write();
        let old = match value {
            None if !state.map.contains_key(key) => return Ok(None),
            None => Arc::make_mut(&mut state.map).remove(key),
            Some(value) => Arc::make_mut(&mut state.map).insert(key.to_vec(), value.into()),
        };
        state.seqno += 1;
        Ok(old.map(|value| Value::from(&value[..])))
    }

    fn remove(&self, key: &[u8]) -> Result<bool> {
        Ok(self.swap(key, None)?.is_some())
    }

    fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::new(Arc::new(self.past())))
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }

    fn compact_range(&self, _: &KeyRange) -> Result<()> {
        Ok(())
    }

    fn load_sorted(&self, pairs: &mut dyn Pairs) -> Result<u64> {
        load::in_batches(pairs, |batch| self.write(batch, &WriteOptions::default()))
    }

    fn checkpoint(&self, _: &Path) -> Result<()> {
        Err(Error::invalid("the memory engine keeps nothing on disk; use export"))
    }

    fn stats(&self) -> Result<Stats> {
        let state = self.state.read();
        let bytes = state.map.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        Ok(Stats {
            engine: "memory",
            keys: state.map.len() as u64,
            seqno: state.seqno,
            memory_bytes: bytes,
            memory: vec![Counter { name: "pairs", value: bytes }],
            snapshots: Arc::strong_count(&state.held) as u64 - 1,
            ..Stats::default()
        })
    }

    fn explain_get(&self, key: &[u8]) -> Result<Explanation> {
        let state = self.state.read();
        let found = state.map.get(key).map(|value| found(value));
        let outcome = if found.is_some() { "set" } else { "not there" };
        let pairs = found.is_some().into();
        Ok(explanation(&state, Step { blocks: 1, ..step(outcome) }, found, pairs))
    }

    fn explain_scan(&self, range: KeyRange, limit: u64) -> Result<Explanation> {
        let state = self.state.read();
        let in_range = range.bounds().map(|bounds| state.map.range::<[u8], _>(bounds));
        let in_range = in_range.into_iter().flatten();
        // The last pair depends on the way, and with a limit so does which pairs there are.
        let pairs: Vec<_> = match range.direction {
            Direction::Forward => in_range.map(|(_, value)| value).take(at_most(limit)).collect(),
            Direction::Reverse => in_range.rev().map(|(_, value)| value).take(at_most(limit)).collect(),
        };
        let count = pairs.len() as u64;
        let step = Step { blocks: count, ..step(format!("{count} pairs")) };
        Ok(explanation(&state, step, pairs.last().map(|value| found(value)), count))
    }
}

/// The one place where anything is.
const MAP: &str = "map";

fn at_most(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn step(outcome: impl Into<String>) -> Step {
    Step { place: MAP.into(), outcome: outcome.into(), ..Step::default() }
}

fn found(value: &[u8]) -> Found {
    Found { place: MAP.into(), seqno: None, value_bytes: value.len() as u64 }
}

fn explanation(state: &State, step: Step, found: Option<Found>, pairs: u64) -> Explanation {
    Explanation { engine: "memory", visible_seqno: state.seqno, steps: vec![step], found, pairs }
}

/// The map as it was.
#[derive(Clone)]
struct Past {
    map: Arc<Map>,
    _held: Arc<()>,
}

impl KvsRead for Past {
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        Ok(self.map.get(key).map(|value| Value::from(&value[..])))
    }

    fn cursor(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(MapCursor::new(self.clone(), range)))
    }
}

/// Stands on a key of the map, and looks up its neighbours.
struct MapCursor {
    past: Past,
    range: KeyRange,
    at: Option<(Vec<u8>, Arc<[u8]>)>,
}

impl MapCursor {
    fn new(past: Past, range: KeyRange) -> MapCursor {
        // A cursor goes both ways, whatever a scan of its range would do.
        let range = KeyRange { direction: Direction::Forward, ..range };
        MapCursor { past, range, at: None }
    }

    /// Stands on the first key of `part`, or its last if `part` is reversed.
    fn stand(&mut self, part: KeyRange) {
        let found = part.bounds().and_then(|bounds| {
            let mut pairs = self.past.map.range::<[u8], _>(bounds);
            match part.direction {
                Direction::Forward => pairs.next(),
                Direction::Reverse => pairs.next_back(),
            }
        });
        self.at = found.map(|(key, value)| (key.clone(), value.clone()));
    }
}

impl Cursor for MapCursor {
    fn seek_to_first(&mut self) -> Result<()> {
        self.stand(self.range.clone());
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.stand(self.range.clone().reverse());
        Ok(())
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.stand(KeyRange::of::<&[u8]>(key..).intersect(self.range.clone()));
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        if let Some((key, _)) = self.at.take() {
            use std::ops::Bound::{Excluded, Unbounded};
            self.stand(KeyRange::of((Excluded(key), Unbounded)).intersect(self.range.clone()));
        }
        Ok(())
    }

    fn prev(&mut self) -> Result<()> {
        if let Some((key, _)) = self.at.take() {
            self.stand(KeyRange::of(..key).reverse().intersect(self.range.clone()));
        }
        Ok(())
    }

    fn valid(&self) -> bool {
        self.at.is_some()
    }

    fn key(&self) -> &[u8] {
        &self.at.as_ref().expect("the caller checked that the cursor is valid").0
    }

    fn value(&mut self) -> Result<&[u8]> {
        Ok(&self.at.as_ref().expect("the caller checked that the cursor is valid").1)
    }
}
