//! A small store on a disk in memory, and what it holds.

use kvs::engine::KvsRead;
use kvs::engine::bitcask::Bitcask;
use kvs::engine::bitcask::options::BitcaskOptions;
use kvs::engine::event::Listener;
use kvs::engine::options::{Access, Durability, OpenOptions};
use kvs::engine::range::KeyRange;
use kvs::error::Result;
use kvs::vfs::Vfs;
use kvs::worker::Schedule;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Where the store is.
pub(crate) const DIR: &str = "/db";

/// What a store should hold.
pub(crate) type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Nothing random, nothing in the background.
pub(crate) fn open_options(disk: Arc<dyn Vfs>, access: Access) -> OpenOptions {
    OpenOptions {
        disk,
        access,
        durability: Durability::Os,
        schedule: Schedule::Inline,
        listener: Listener::default(),
        store_id: Some(0x5eed_cafe_f00d_1234),
    }
}

/// Opens the store in [`DIR`] with tiny segments.
pub(crate) fn open(disk: Arc<dyn Vfs>, access: Access) -> Result<Bitcask> {
    open_at(disk, Path::new(DIR), access)
}

/// Opens the store in `path` with tiny segments.
pub(crate) fn open_at(disk: Arc<dyn Vfs>, path: &Path, access: Access) -> Result<Bitcask> {
    Bitcask::open(path, open_options(disk, access), BitcaskOptions::tiny())
}

/// All that a store holds, by a scan.
pub(crate) fn contents(store: &dyn KvsRead) -> Result<Model> {
    let pairs = store.scan(KeyRange::all())?;
    pairs.map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
}
