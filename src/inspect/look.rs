//! A store as it is looked at: which files it has, and which of their records are live.

use crate::engine::bitcask::recover::{Purpose, Recovered, recover};
use crate::engine::bitcask::segment::{SegmentMeta, SegmentState, Shelf};
use crate::engine::filename::{self, FileName};
use crate::engine::identity::Identity;
use crate::engine::kind::EngineKind;
use crate::error::Result;
use crate::inspect::state::State;
use crate::inspect::tree::Tree;
use crate::record::frame::Header;
use crate::vfs::dir::Dir;
use crate::vfs::{DirEntry, DirLock, LockMode};
use std::collections::BTreeMap;
use std::sync::Arc;

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
    pub(super) store: std::result::Result<Store, String>,
    lock: Option<Box<dyn DirLock>>,
}

/// The store of either engine.
#[derive(Debug)]
pub(super) enum Store {
    Bitcask(Box<Recovered>),
    Lsm(Box<Tree>),
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
            (Ok(_), Ok(Some(identity))) => Store::read(&dir, identity).map_err(|e| e.to_string()),
        };
        Ok(Look { dir, entries, identity, store, lock: lock.ok() })
    }

    /// Whether writers are kept out: what can not be read then is damaged.
    pub(super) fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// The store's id, if its identity can be read.
    pub(super) fn store_id(&self) -> Option<u64> {
        self.identity.as_ref().ok()?.as_ref().map(|identity| identity.store_id)
    }

    /// The engine that the identity file names.
    pub(super) fn engine(&self) -> Option<EngineKind> {
        self.identity.as_ref().ok()?.as_ref()?.engine.parse().ok()
    }

    /// The store, if it is Bitcask's and can be read.
    pub(super) fn bitcask(&self) -> Option<&Recovered> {
        match &self.store {
            Ok(Store::Bitcask(store)) => Some(store),
            _ => None,
        }
    }

    /// The store, if it is an LSM tree and can be read.
    pub(super) fn tree(&self) -> Option<&Tree> {
        match &self.store {
            Ok(Store::Lsm(tree)) => Some(tree),
            _ => None,
        }
    }

    /// What the manifest says of a segment.
    pub(super) fn meta(&self, number: u64) -> Option<&SegmentMeta> {
        self.bitcask()?.manifest.files.live.get(&number)
    }

    /// The header that the file of this number should have, if it is a live segment.
    pub(super) fn header(&self, number: u64) -> Option<Header> {
        Some(self.meta(number)?.header(self.store_id()?, number))
    }

    /// What the record of `key` at an offset of segment `number` is to the store.
    pub(super) fn state(&self, number: u64, offset: u64, key: &[u8], is_tombstone: bool) -> State {
        let Some(store) = self.bitcask() else { return State::Unknown };
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

impl Store {
    fn read(dir: &Dir, identity: &Identity) -> Result<Store> {
        let store_id = identity.store_id;
        match identity.engine.parse()? {
            EngineKind::Lsm => Ok(Store::Lsm(Box::new(Tree::read(dir, store_id)?))),
            EngineKind::Bitcask | EngineKind::Memory => {
                let recovered = recover(&shelf(dir, store_id), true, Purpose::Read, 0)?;
                Ok(Store::Bitcask(Box::new(recovered)))
            }
        }
    }
}

fn shown(name: &str) -> bool {
    !matches!(filename::parse(name), None | Some(FileName::Temporary))
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
