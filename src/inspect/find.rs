//! Find: every version of one key, in every file of a store, whole or damaged.
//!
//! Bitcask has no index by key on the disk: all segments are read. Of an LSM tree the logs are, and of
//! each table the blocks that its index names; where that is damaged, all of its blocks.

mod bitcask;
mod tree;

use crate::engine::identity::Identity;
use crate::engine::kind::EngineKind;
use crate::error::{Error, Result};
use crate::inspect::header;
use crate::inspect::look::Look;
use crate::inspect::scan::Gap;
use crate::inspect::state::State;
use crate::vfs::Vfs;
use crate::vfs::dir::Dir;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// Bytes of a value that are kept to be shown.
const PREVIEW: usize = 64;

/// All that was found of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The engine whose store it is.
    pub engine: String,
    /// The versions, the newest first.
    pub versions: Vec<Version>,
    /// What is worth knowing, and where a version may have been that can not be read.
    pub notes: Vec<String>,
    /// Whether everything was read that can hold a version. Torn tails count as nothing.
    pub is_sure: bool,
}

/// One version of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// The name of its file.
    pub file: String,
    /// Where in the file its record begins; of a table, its block.
    pub offset: u64,
    /// Of a table, where in the unfolded block its entry begins.
    pub entry: Option<u64>,
    /// Its sequence number; none, where a hint says nothing of it.
    pub seqno: Option<u64>,
    /// `set` or `remove`; `hint` for the entry of a hint.
    pub kind: &'static str,
    /// `live`: a get finds it. `dead`: none does. `tombstone`: it is the newest, and a removal.
    /// `unknown`, where the store can not be read.
    pub state: &'static str,
    /// Bytes of the value.
    pub value_bytes: u64,
    /// The beginning of the value.
    #[serde(skip)]
    pub preview: Vec<u8>,
}

impl Found {
    /// A version may have been where nothing can be read.
    fn miss(&mut self, reason: String) {
        self.notes.push(reason);
        self.is_sure = false;
    }

    /// A part of a log that can not be read.
    fn gap(&mut self, name: &str, gap: &Gap) {
        let (at, len, why) = (gap.offset, gap.end - gap.offset, gap.why);
        match (gap.is_followed, gap.is_zero) {
            (true, _) => self.miss(format!("{name}: {len} bytes at {at} can not be read: {why}")),
            (false, true) => {}
            (false, false) => {
                self.notes.push(format!("{name}: {len} bytes at {at}: a torn tail, or damage: {why}"))
            }
        }
    }
}

impl Version {
    fn new(file: &str, offset: u64, kind: &'static str, state: State) -> Version {
        Version {
            file: file.into(),
            offset,
            entry: None,
            seqno: None,
            kind,
            state: state_word(state),
            value_bytes: 0,
            preview: Vec::new(),
        }
    }
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Live => "live",
        State::Dead => "dead",
        State::Tombstone => "tombstone",
        State::Other | State::Unknown => "unknown",
    }
}

/// Looks for every version of `key` in the store at `path`, and changes nothing. Damage is no error: what
/// can not be read is in the notes.
///
/// # Errors
/// [`Error::NoStore`] where there is none; whatever keeps the directory from being listed.
pub fn find(disk: Arc<dyn Vfs>, path: &Path, key: &[u8]) -> Result<Found> {
    let look = Look::open(Dir::new(disk, path))?;
    if look.names().is_empty() {
        return Err(Error::NoStore { path: path.to_path_buf() });
    }
    if let Err(error @ (Error::UnknownFormat { .. } | Error::Unfinished { .. })) = Identity::load(&look.dir) {
        return Err(error);
    }
    let engine = look.engine().unwrap_or_else(|| header::likely_engine(&look.dir, &look.entries));
    let mut found = Found { engine: engine.name().into(), is_sure: true, ..Found::default() };
    if let Err(reason) = &look.store {
        found.notes.push(format!("liveness unknown: {reason}"));
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
