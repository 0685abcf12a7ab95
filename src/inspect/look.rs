//! A store as it is looked at: which files it has, and which of their records are live.

use crate::engine::bitcask;
use crate::engine::bitcask::recover::{Purpose, Recovered, recover};
use crate::engine::bitcask::segment::{SegmentMeta, SegmentState, Shelf};
use crate::engine::filename::{self, FileName};
use crate::engine::identity::Identity;
use crate::engine::manifest::Files;
use crate::error::Result;
use crate::record::frame::Header;
use crate::vfs::dir::Dir;
use crate::vfs::{DirEntry, DirLock, LockMode};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What a record is to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// A get finds it.
    Live,
    /// No get finds it: a later write has replaced it, or its group never happened.
    Dead,
    /// A removal: never found, but needed while something older can be.
    Tombstone,
    /// Not a key's record.
    Other,
    /// The store could not be read.
    Unknown,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Live => "live",
            State::Dead => "dead",
            State::Tombstone => "tomb",
            State::Other => "-",
            State::Unknown => "?",
        })
    }
}

/// A directory, with the store in it as far as it can be read. Keeps writers out while it is there.
#[derive(Debug)]
pub(super) struct Look {
    /// Where it is.
    pub(super) dir: Dir,
    /// What is in it.
    pub(super) entries: Vec<DirEntry>,
    /// Whose it is, or why that can not be read.
    pub(super) identity: std::result::Result<Option<Identity>, String>,
    /// The store, or why its records' liveness is unknown.
    pub(super) store: std::result::Result<Recovered, String>,
    _lock: Option<Box<dyn DirLock>>,
}

impl Look {
    /// Looks at a directory. Fails only if it can not be listed.
    pub(super) fn open(dir: Dir) -> Result<Look> {
        let entries = dir.list()?.unwrap_or_default();
        let identity = Identity::load(&dir).map_err(|error| error.to_string());
        let lock = dir.lock(LockMode::Shared);
        let store = match (&lock, &identity) {
            (_, Err(reason)) => Err(reason.clone()),
            (_, Ok(None)) => Err("no identity file (ENGINE) in this directory".into()),
            (Err(error), _) => Err(error.to_string()),
            (_, Ok(Some(identity))) if identity.engine != bitcask::NAME => {
                Err(format!("the {} engine is not built yet", identity.engine))
            }
            (Ok(_), Ok(Some(identity))) => {
                recover(&shelf(&dir, identity.store_id), true, Purpose::Read, 0).map_err(|e| e.to_string())
            }
        };
        Ok(Look { dir, entries, identity, store, _lock: lock.ok() })
    }

    /// The store's id, if its identity can be read.
    pub(super) fn store_id(&self) -> Option<u64> {
        self.identity.as_ref().ok()?.as_ref().map(|identity| identity.store_id)
    }

    /// What the manifest says of a segment.
    pub(super) fn meta(&self, number: u64) -> Option<&SegmentMeta> {
        self.live_files()?.live.get(&number)
    }

    /// What the manifest says.
    pub(super) fn live_files(&self) -> Option<&Files<SegmentMeta>> {
        self.store.as_ref().ok().map(|store| &store.manifest.files)
    }

    /// The header that the file of this number should have, if it is a live segment.
    pub(super) fn header(&self, number: u64) -> Option<Header> {
        Some(self.meta(number)?.header(self.store_id()?, number))
    }

    /// What the record of `key` at an offset of segment `number` is to the store.
    pub(super) fn state(&self, number: u64, offset: u64, key: &[u8], is_tombstone: bool) -> State {
        let Ok(store) = &self.store else { return State::Unknown };
        let place = store.keydir.get(key);
        let is_found = place.is_some_and(|p| (u64::from(p.segment), u64::from(p.offset)) == (number, offset));
        match (is_found, is_tombstone, self.meta(number)) {
            (true, ..) => State::Live,
            (false, true, Some(_)) if place.is_none() => State::Tombstone,
            _ => State::Dead,
        }
    }

    /// The names of the store's files that can be shown, identity and manifest first.
    pub(super) fn names(&self) -> Vec<&str> {
        let files = self.entries.iter().filter(|entry| !entry.is_dir);
        files.filter_map(|entry| shown(&entry.name).then_some(&entry.name[..])).collect()
    }

    /// Bytes of the directory's files, by name.
    pub(super) fn lens(&self) -> BTreeMap<&str, u64> {
        self.entries.iter().map(|entry| (&entry.name[..], entry.len)).collect()
    }
}

fn shown(name: &str) -> bool {
    use FileName::{Engine, Hint, Manifest, Segment};
    matches!(filename::parse(name), Some(Engine | Manifest | Segment(_) | Hint(_)))
}

/// What recovery needs to read the segments of a directory, unmapped.
pub(super) fn shelf(dir: &Dir, store_id: u64) -> Arc<Shelf> {
    Arc::new(Shelf::to_look(dir.clone(), store_id))
}

/// `sealed`, or `active`.
pub(super) fn state_name(meta: &SegmentMeta) -> &'static str {
    match meta.state {
        SegmentState::Active { .. } => "active",
        SegmentState::Sealed(_) => "sealed",
    }
}
