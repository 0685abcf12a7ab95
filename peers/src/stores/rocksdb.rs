//! RocksDB, by the crate that compiles it.

use super::failed;
use crate::peer::{Peer, Terms, single};
use kvs::WriteBatch;
use kvs::bench::error::{Error, Result};
use kvs::engine::batch::Op;
use kvs::engine::range::Direction;
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, FlushOptions, Options, WaitForCompactOptions,
    WriteOptions,
};
use std::path::Path;

struct Rocks {
    db: DB,
    plain: WriteOptions,
    durable: WriteOptions,
}

fn error(error: rocksdb::Error) -> Error {
    failed("rocksdb", error)
}

pub(super) fn open(dir: &Path, terms: &Terms) -> Result<Box<dyn Peer>> {
    let mut tables = BlockBasedOptions::default();
    tables.set_block_cache(&Cache::new_lru_cache(terms.cache_bytes as usize));
    tables.set_bloom_filter(f64::from(terms.filter_bits), false);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_write_buffer_size(terms.buffer_bytes as usize);
    options.set_compression_type(DBCompressionType::None);
    options.set_block_based_table_factory(&tables);
    let mut durable = WriteOptions::default();
    durable.set_sync(true);
    let db = DB::open(&options, dir).map_err(error)?;
    Ok(Box::new(Rocks { db, plain: WriteOptions::default(), durable }))
}

impl Peer for Rocks {
    fn write(&self, batch: WriteBatch, is_durable: bool) -> Result<()> {
        let options = if is_durable { &self.durable } else { &self.plain };
        let written = match single(&batch) {
            Some(Op::Set(key, value)) => self.db.put_opt(key, value, options),
            Some(Op::Remove(key)) => self.db.delete_opt(key, options),
            None => {
                let mut all = rocksdb::WriteBatch::default();
                batch.iter().for_each(|op| match op {
                    Op::Set(key, value) => all.put(key, value),
                    Op::Remove(key) => all.delete(key),
                });
                self.db.write_opt(all, options)
            }
        };
        written.map_err(error)
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.db.get_pinned(key).map_err(error)?.map(|value| see(&value)).is_some())
    }

    fn scan(
        &self,
        from: Option<&[u8]>,
        direction: Direction,
        limit: u64,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64> {
        let (mut iterator, mut count) = (self.db.raw_iterator(), 0);
        match (from, direction) {
            (Some(from), Direction::Forward) => iterator.seek(from),
            (None, Direction::Forward) => iterator.seek_to_first(),
            (None, Direction::Reverse) => iterator.seek_to_last(),
            (Some(from), Direction::Reverse) => {
                iterator.seek_for_prev(from);
                if iterator.key() == Some(from) {
                    iterator.prev();
                }
            }
        }
        while count < limit {
            let Some((key, value)) = iterator.item() else { break };
            see(key, value);
            count += 1;
            match direction {
                Direction::Forward if count < limit => iterator.next(),
                Direction::Reverse if count < limit => iterator.prev(),
                _ => {}
            }
        }
        iterator.status().map_err(error)?;
        Ok(count)
    }

    fn settle(&self) -> Result<()> {
        let mut flush = FlushOptions::default();
        flush.set_wait(true);
        self.db.flush_opt(&flush).map_err(error)?;
        self.db.wait_for_compact(&WaitForCompactOptions::default()).map_err(error)
    }

    fn compact(&self) -> Result<()> {
        self.db.compact_range::<&[u8], &[u8]>(None, None);
        self.settle()
    }
}
