//! What is measured: an engine of this crate between two meters, or any other store that answers the
//! same few calls.

use crate::bench::error::Result;
use crate::bench::recording::{Recording, Sink};
use crate::engine::batch::WriteBatch;
use crate::engine::kind::EngineKind;
use crate::engine::metered::{Metered, Usage};
use crate::engine::options::{Durability, OpenOptions, WriteOptions};
use crate::engine::range::{Direction, KeyRange};
use crate::engine::stats::Stats;
use crate::engine::{Cursor, KvsEngine, KvsRead};
use crate::vfs::counting::{CountingDisk, Ledger};
use std::path::Path;
use std::sync::Arc;

/// A store that workloads run on. Shared between threads.
pub trait Subject: Send + Sync {
    /// Applies a batch as a whole; durably before it returns, if asked.
    fn write(&self, batch: WriteBatch, is_durable: bool) -> Result<()>;

    /// Shows the value of `key` to `see`, if there is one; says whether there is.
    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Shows up to `limit` pairs, from the first at `from` or behind it (or at the end, in reverse: from
    /// the last below `from`); without `from`, from the first or last of all. Returns how many.
    fn scan(
        &self,
        from: Option<&[u8]>,
        direction: Direction,
        limit: u64,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64>;

    /// Returns when nothing is left to do in the background, and what was in memory is in files.
    fn settle(&self) -> Result<()>;

    /// Reclaims all that can be reclaimed.
    fn compact(&self) -> Result<()>;

    /// What was asked for, by the upper meter; `None` without one.
    fn usage(&self) -> Option<Usage>;

    /// What the disk did, by the lower meter; `None` without one.
    fn ledger(&self) -> Option<Ledger>;

    /// What the store tells of itself.
    fn stats(&self) -> Result<Stats>;

    /// Closes the store; what the disk did for it, in all, by the lower meter.
    fn close(self) -> Option<Ledger>
    where
        Self: Sized;
}

/// An engine of this crate, as it is measured.
#[derive(Debug)]
pub struct Measured {
    engine: Metered,
    disk: CountingDisk,
}

/// How an engine is opened to be measured.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The engine.
    pub engine: EngineKind,
    /// Its own options, by name.
    pub settings: Vec<(String, String)>,
    /// When its writes are acknowledged.
    pub durability: Durability,
}

impl Configuration {
    /// What it is called: `lsm:compression=lz4`.
    pub fn name(&self) -> String {
        let settings = self.settings.iter().map(|(name, value)| format!("{name}={value}"));
        let settings: Vec<_> = settings.collect();
        match settings.is_empty() {
            true => self.engine.to_string(),
            false => format!("{}:{}", self.engine, settings.join(",")),
        }
    }

    /// Opens a store with it, on a disk that is counted. With a `sink`, what is asked of it is recorded.
    pub fn open(&self, path: &Path, options: &OpenOptions, sink: Option<Sink>) -> Result<Measured> {
        let disk = CountingDisk::new(options.disk.clone());
        let options =
            OpenOptions { disk: Arc::new(disk.clone()), durability: self.durability, ..options.clone() };
        let engine = self.engine.open(path, options, &self.settings)?;
        let engine = Metered::new(match sink {
            Some(sink) => Arc::new(Recording::new(engine, sink)),
            None => engine,
        });
        Ok(Measured { engine, disk })
    }
}

impl Measured {
    /// The engine, by its contract.
    pub fn engine(&self) -> &dyn KvsEngine {
        &self.engine
    }
}

impl Subject for Measured {
    fn write(&self, batch: WriteBatch, is_durable: bool) -> Result<()> {
        let options = if is_durable { WriteOptions::durable() } else { WriteOptions::default() };
        Ok(self.engine.write(batch, &options)?)
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.engine.get(key)?.map(|value| see(&value)).is_some())
    }

    fn scan(
        &self,
        from: Option<&[u8]>,
        direction: Direction,
        limit: u64,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64> {
        let range = match (from, direction) {
            (Some(from), Direction::Forward) => KeyRange::of(from.to_vec()..),
            (Some(from), Direction::Reverse) => KeyRange::of(..from.to_vec()).reverse(),
            (None, Direction::Forward) => KeyRange::all(),
            (None, Direction::Reverse) => KeyRange::all().reverse(),
        };
        let mut cursor = self.engine.cursor(range)?;
        let mut key = Vec::new();
        match direction {
            Direction::Forward => cursor.seek_to_first()?,
            Direction::Reverse => cursor.seek_to_last()?,
        }
        let mut count = 0;
        while count < limit && cursor.valid() {
            key.clear();
            key.extend_from_slice(cursor.key());
            see(&key, cursor.value()?);
            count += 1;
            if count < limit {
                match direction {
                    Direction::Forward => cursor.next()?,
                    Direction::Reverse => cursor.prev()?,
                }
            }
        }
        Ok(count)
    }

    fn settle(&self) -> Result<()> {
        Ok(self.engine.settle()?)
    }

    fn compact(&self) -> Result<()> {
        Ok(self.engine.compact()?)
    }

    fn usage(&self) -> Option<Usage> {
        Some(self.engine.usage())
    }

    fn ledger(&self) -> Option<Ledger> {
        Some(self.disk.ledger())
    }

    fn stats(&self) -> Result<Stats> {
        Ok(self.engine.stats()?)
    }

    fn close(self) -> Option<Ledger> {
        let Measured { engine, disk } = self;
        drop(engine);
        Some(disk.ledger())
    }
}
