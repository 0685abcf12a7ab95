//! redb: one table, a transaction a write.

use super::{bounds, failed};
use crate::peer::{Peer, Terms};
use kvs::WriteBatch;
use kvs::bench::error::{Error, Result};
use kvs::engine::batch::Op;
use kvs::engine::range::Direction;
use redb::{Builder, Database, Durability, ReadTransaction, ReadableDatabase, TableDefinition};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{RwLock, RwLockReadGuard};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("pairs");

/// Pages are only free again behind a durable commit: every so many-th is one.
const DURABLE_EVERY: u64 = 10_000;

struct Redb {
    /// Behind a lock, since a compaction wants it alone.
    db: RwLock<Database>,
    commits: AtomicU64,
}

fn error(error: impl Into<redb::Error>) -> Error {
    failed("redb", error.into())
}

pub(super) fn open(dir: &Path, terms: &Terms) -> Result<Box<dyn Peer>> {
    let cache_bytes = terms.cache_bytes as usize;
    let db = Builder::new().set_cache_size(cache_bytes).create(dir.join("pairs.redb")).map_err(error)?;
    let store = Redb { db: RwLock::new(db), commits: AtomicU64::new(0) };
    store.write(WriteBatch::new(), true)?;
    Ok(Box::new(store))
}

impl Redb {
    fn db(&self) -> RwLockReadGuard<'_, Database> {
        self.db.read().expect("nobody panics with the lock")
    }

    fn read(&self) -> Result<ReadTransaction> {
        self.db().begin_read().map_err(error)
    }

    fn durability(&self, is_durable: bool) -> Durability {
        let commit = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        match is_durable || commit.is_multiple_of(DURABLE_EVERY) {
            true => Durability::Immediate,
            false => Durability::None,
        }
    }
}

impl Peer for Redb {
    fn write(&self, batch: WriteBatch, is_durable: bool) -> Result<()> {
        let mut transaction = self.db().begin_write().map_err(error)?;
        transaction.set_durability(self.durability(is_durable)).map_err(error)?;
        let mut table = transaction.open_table(TABLE).map_err(error)?;
        for op in batch.iter() {
            let before = match op {
                Op::Set(key, value) => table.insert(key, value),
                Op::Remove(key) => table.remove(key),
            };
            before.map_err(error)?;
        }
        drop(table);
        transaction.commit().map_err(error)
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let table = self.read()?.open_table(TABLE).map_err(error)?;
        Ok(table.get(key).map_err(error)?.map(|value| see(value.value())).is_some())
    }

    fn scan(
        &self,
        from: Option<&[u8]>,
        direction: Direction,
        limit: u64,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64> {
        let table = self.read()?.open_table(TABLE).map_err(error)?;
        let mut pairs = table.range::<&[u8]>(bounds(from, direction)).map_err(error)?;
        let mut count = 0;
        while count < limit {
            let pair = match direction {
                Direction::Forward => pairs.next(),
                Direction::Reverse => pairs.next_back(),
            };
            let Some(pair) = pair else { break };
            let (key, value) = pair.map_err(error)?;
            see(key.value(), value.value());
            count += 1;
        }
        Ok(count)
    }

    fn settle(&self) -> Result<()> {
        self.write(WriteBatch::new(), true)
    }

    fn compact(&self) -> Result<()> {
        self.db.write().expect("nobody panics with the lock").compact().map_err(error)?;
        Ok(())
    }
}
