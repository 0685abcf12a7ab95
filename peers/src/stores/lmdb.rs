//! LMDB, through heed: a map that is read, and written with write calls; a transaction a write.

use super::{bounds, failed, show};
use crate::peer::{Peer, Terms};
use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, WithoutTls};
use kvs::WriteBatch;
use kvs::bench::error::{Error, Result};
use kvs::engine::batch::Op;
use kvs::engine::range::Direction;
use std::path::Path;

/// Bytes of address space: more than any run needs.
const MAP_BYTES: usize = 64 << 30;

struct Lmdb {
    env: Env<WithoutTls>,
    pairs: Database<Bytes, Bytes>,
}

fn error(error: heed::Error) -> Error {
    failed("lmdb", error)
}

pub(super) fn version() -> String {
    let version = heed::lmdb_version();
    format!("{}.{}.{}", version.major, version.minor, version.patch)
}

/// It has no cache of its own, no buffer and no filters.
pub(super) fn open(dir: &Path, _: &Terms) -> Result<Box<dyn Peer>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(MAP_BYTES);
    #[expect(unsafe_code, reason = "a map is sound only as long as nobody else changes the files")]
    // SAFETY: the directory was made for this store, in this process: nobody else opens or changes its
    // files. Without syncs the files may be torn after a power cut; no run opens a store again.
    let env = unsafe {
        options.flags(EnvFlags::NO_SYNC);
        options.open(dir).map_err(error)?
    };
    let mut transaction = env.write_txn().map_err(error)?;
    let pairs = env.create_database(&mut transaction, None).map_err(error)?;
    transaction.commit().map_err(error)?;
    Ok(Box::new(Lmdb { env, pairs }))
}

impl Peer for Lmdb {
    fn write(&self, batch: WriteBatch, is_durable: bool) -> Result<()> {
        let mut transaction = self.env.write_txn().map_err(error)?;
        for op in batch.iter() {
            match op {
                Op::Set(key, value) => self.pairs.put(&mut transaction, key, value).map_err(error)?,
                Op::Remove(key) => drop(self.pairs.delete(&mut transaction, key).map_err(error)?),
            }
        }
        transaction.commit().map_err(error)?;
        if is_durable { self.env.force_sync().map_err(error) } else { Ok(()) }
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let transaction = self.env.read_txn().map_err(error)?;
        Ok(self.pairs.get(&transaction, key).map_err(error)?.map(see).is_some())
    }

    fn scan(
        &self,
        from: Option<&[u8]>,
        direction: Direction,
        limit: u64,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64> {
        let (transaction, bounds) = (self.env.read_txn().map_err(error)?, bounds(from, direction));
        match direction {
            Direction::Forward => {
                show("lmdb", self.pairs.range(&transaction, &bounds).map_err(error)?, limit, see)
            }
            Direction::Reverse => {
                show("lmdb", self.pairs.rev_range(&transaction, &bounds).map_err(error)?, limit, see)
            }
        }
    }

    fn settle(&self) -> Result<()> {
        self.env.force_sync().map_err(error)
    }

    /// It has no such call but a copy to another place.
    fn compact(&self) -> Result<()> {
        self.settle()
    }
}
