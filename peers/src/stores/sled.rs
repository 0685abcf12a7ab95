//! sled, of the 0.34 series.

use super::{bounds, failed, show};
use crate::peer::{Peer, Terms, single, wait_until_idle};
use kvs::WriteBatch;
use kvs::bench::error::{Error, Result};
use kvs::engine::batch::Op;
use kvs::engine::range::Direction;
use std::path::Path;

struct Sled(sled::Db);

fn error(error: sled::Error) -> Error {
    failed("sled", error)
}

pub(super) fn open(dir: &Path, terms: &Terms) -> Result<Box<dyn Peer>> {
    let config = sled::Config::new().path(dir).cache_capacity(terms.cache_bytes);
    Ok(Box::new(Sled(config.open().map_err(error)?)))
}

impl Peer for Sled {
    fn write(&self, batch: WriteBatch, is_durable: bool) -> Result<()> {
        match single(&batch) {
            Some(Op::Set(key, value)) => drop(self.0.insert(key, value).map_err(error)?),
            Some(Op::Remove(key)) => drop(self.0.remove(key).map_err(error)?),
            None => {
                let mut all = sled::Batch::default();
                batch.iter().for_each(|op| match op {
                    Op::Set(key, value) => all.insert(key, value),
                    Op::Remove(key) => all.remove(key),
                });
                self.0.apply_batch(all).map_err(error)?;
            }
        }
        if is_durable {
            self.0.flush().map_err(error)?;
        }
        Ok(())
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.0.get(key).map_err(error)?.map(|value| see(&value)).is_some())
    }

    fn scan(
        &self,
        from: Option<&[u8]>,
        direction: Direction,
        limit: u64,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64> {
        let pairs = self.0.range::<&[u8], _>(bounds(from, direction));
        match direction {
            Direction::Forward => show("sled", pairs, limit, see),
            Direction::Reverse => show("sled", pairs.rev(), limit, see),
        }
    }

    fn settle(&self) -> Result<()> {
        self.0.flush().map_err(error)?;
        wait_until_idle();
        Ok(())
    }

    /// It has no such call.
    fn compact(&self) -> Result<()> {
        self.settle()
    }
}
