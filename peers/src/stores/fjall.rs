//! fjall: one keyspace of a database.

use super::{bounds, failed, show};
use crate::peer::{Peer, Terms, single};
use fjall::config::{BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{CompressionType, Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode};
use kvs::WriteBatch;
use kvs::bench::error::{Error, Result};
use kvs::engine::batch::Op;
use kvs::engine::range::Direction;
use std::path::Path;
use std::time::{Duration, Instant};

struct Fjall {
    pairs: Keyspace,
    db: Database,
}

fn error(error: fjall::Error) -> Error {
    failed("fjall", error)
}

pub(super) fn open(dir: &Path, terms: &Terms) -> Result<Box<dyn Peer>> {
    let db = Database::builder(dir).cache_size(terms.cache_bytes).open().map_err(error)?;
    let filter = match terms.filter_bits {
        0 => FilterPolicyEntry::None,
        bits => FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(bits as f32)),
    };
    let options = || {
        KeyspaceCreateOptions::default()
            .max_memtable_size(terms.buffer_bytes)
            .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
            .filter_policy(FilterPolicy::all(filter))
    };
    let pairs = db.keyspace("pairs", options).map_err(error)?;
    Ok(Box::new(Fjall { pairs, db }))
}

impl Fjall {
    /// There is no call that waits for compactions: looks until nothing has happened for a fifth of a
    /// second.
    fn wait(&self) {
        let (began, mut calm, mut before) = (Instant::now(), 0, None);
        while calm < 4 && began.elapsed() < Duration::from_secs(300) {
            let done = Some(self.db.compactions_completed());
            let works = self.db.active_compactions() > 0 || self.db.outstanding_flushes() > 0;
            calm = if works || done != before { 0 } else { calm + 1 };
            before = done;
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Peer for Fjall {
    fn write(&self, batch: WriteBatch, is_durable: bool) -> Result<()> {
        match single(&batch) {
            Some(Op::Set(key, value)) => self.pairs.insert(key, value).map_err(error)?,
            Some(Op::Remove(key)) => self.pairs.remove(key).map_err(error)?,
            None => {
                let mut all = self.db.batch();
                batch.iter().for_each(|op| match op {
                    Op::Set(key, value) => all.insert(&self.pairs, key, value),
                    Op::Remove(key) => all.remove(&self.pairs, key),
                });
                all.commit().map_err(error)?;
            }
        }
        if is_durable { self.db.persist(PersistMode::SyncData).map_err(error) } else { Ok(()) }
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.pairs.get(key).map_err(error)?.map(|value| see(&value)).is_some())
    }

    fn scan(
        &self,
        from: Option<&[u8]>,
        direction: Direction,
        limit: u64,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64> {
        let pairs = self.pairs.range::<&[u8], _>(bounds(from, direction));
        match direction {
            Direction::Forward => show("fjall", pairs.map(Guard::into_inner), limit, see),
            Direction::Reverse => show("fjall", pairs.rev().map(Guard::into_inner), limit, see),
        }
    }

    fn settle(&self) -> Result<()> {
        self.pairs.rotate_memtable_and_wait().map_err(error)?;
        self.wait();
        Ok(())
    }

    fn compact(&self) -> Result<()> {
        self.pairs.major_compact().map_err(error)?;
        self.wait();
        Ok(())
    }
}
