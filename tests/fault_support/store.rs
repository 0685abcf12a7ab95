//! A small store on a disk in memory, and what it holds.

use kvs::engine::event::Listener;
use kvs::engine::options::{Access, Durability, OpenOptions};
use kvs::engine::range::KeyRange;
use kvs::engine::{KvsEngine, KvsRead};
use kvs::error::Result;
use kvs::survive::engine::Engine;
use kvs::vfs::Vfs;
use kvs::worker::Schedule;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Where the store is.
pub(crate) const DIR: &str = "/db";

/// The id of each store.
pub(crate) const STORE_ID: u64 = 0x5eed_cafe_f00d_1234;

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
        store_id: Some(STORE_ID),
    }
}

/// Opens the store in [`DIR`].
pub(crate) fn open(engine: &Engine, disk: Arc<dyn Vfs>, access: Access) -> Result<Arc<dyn KvsEngine>> {
    open_at(engine, disk, Path::new(DIR), access)
}

/// Opens the store in `path`.
pub(crate) fn open_at(
    engine: &Engine,
    disk: Arc<dyn Vfs>,
    path: &Path,
    access: Access,
) -> Result<Arc<dyn KvsEngine>> {
    engine.open(path, open_options(disk, access))
}

/// All that a store holds, by a scan.
pub(crate) fn contents(store: &dyn KvsRead) -> Result<Model> {
    let pairs = store.scan(KeyRange::all())?;
    pairs.map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
}
