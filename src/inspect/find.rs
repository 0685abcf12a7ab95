//! Find: every version of one key, in every file of a store, whole or damaged.
//!
//! Bitcask has no index by key on the disk: all segments are read. Of an LSM tree the logs are, and of
//! each table the blocks that its index names; where that is damaged, all of its blocks.

mod bitcask;
pub mod report;
mod tree;

use crate::engine::identity::Identity;
use crate::engine::kind::EngineKind;
use crate::error::{Error, Result};
use crate::inspect::access::may_read;
use crate::inspect::find::report::Found;
use crate::inspect::header;
use crate::inspect::look::Look;
use crate::vfs::Vfs;
use crate::vfs::dir::Dir;
use std::path::Path;
use std::sync::Arc;

/// Looks for every version of `key` in the store at `path`, and changes nothing. Damage is no error: what
/// can not be read is in the notes.
///
/// # Errors
/// [`Error::NoStore`] where there is none; whatever keeps the directory from being listed; [`Error::Io`] if one of
/// its files may not be read.
pub fn find(disk: Arc<dyn Vfs>, path: &Path, key: &[u8]) -> Result<Found> {
    let look = Look::open(Dir::new(disk, path))?;
    if look.names().is_empty() {
        return Err(Error::NoStore { path: path.to_path_buf() });
    }
    may_read(&look.dir, &look.entries)?;
    if let Err(error @ (Error::UnknownFormat { .. } | Error::Unfinished { .. })) = Identity::load(&look.dir) {
        return Err(error);
    }
    let engine = look.engine().unwrap_or_else(|| header::likely_engine(&look.dir, &look.entries));
    let mut found = Found { engine: engine.name().into(), is_sure: true, ..Found::default() };
    match &look.store {
        // A store that is whole can be read, unless somebody writes to it.
        Err(reason) if look.is_locked() => found.miss(format!("liveness unknown: {reason}")),
        Err(reason) => found.notes.push(format!("liveness unknown: {reason}")),
        Ok(_) => {}
    }
    match look.store_id().or_else(|| header::vote(&look.dir, &look.entries)) {
        None => found.miss("without the store's id no checksum can be checked".into()),
        Some(store_id) => match engine {
            EngineKind::Lsm => tree::find(&look, store_id, key, &mut found),
            EngineKind::Bitcask | EngineKind::Memory => bitcask::find(&look, store_id, key, &mut found),
        },
    }
    Ok(found)
}
