//! What a reader looks at: memtables and a version, at one moment.
//!
//! A view never changes. Rotating, flushing and compacting put another one in its place; a reader goes
//! on with the one that it pinned. A single get pins it *before* it asks for the visible sequence number:
//! what was visible when a view was made is in it, whatever was compacted since. A cursor holds its number
//! first, as a snapshot does, so that no compaction drops what it sees, and pins after it.

use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::memtable::Memtable;
use crate::engine::lsm::version::{TableFile, Version};
use crate::sync::{ArcSwap, Guard, Mutex};
use std::sync::Arc;

/// Where the newest entries are, and the older, and the oldest.
#[derive(Clone, Debug)]
pub struct View {
    /// The memtable that is written.
    pub active: Arc<Memtable>,
    /// Those that are full and not in a table yet, the newest first.
    pub sealed: Vec<SealedMemtable>,
    /// The tables.
    pub version: Arc<Version>,
}

/// A memtable that does not change any more, and waits for its flush.
#[derive(Clone, Debug)]
pub struct SealedMemtable {
    /// Its entries.
    pub memtable: Arc<Memtable>,
    /// The log that holds them until they are in a table.
    pub wal: u64,
}

impl View {
    /// How many tables level 0 has.
    pub fn level0(&self) -> usize {
        self.version.levels[0].len()
    }

    /// All memtables, the newest first.
    pub fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(self.sealed.iter().map(|sealed| &sealed.memtable))
    }
}

/// The current view. Reading it takes no lock; changing it is one step at a time.
#[derive(Debug)]
pub struct Views {
    current: ArcSwap<View>,
    changing: Mutex<()>,
    order: Order,
}

impl Views {
    /// Begins with `view`.
    pub fn new(view: View, order: Order) -> Views {
        Views { current: ArcSwap::from_pointee(view), changing: Mutex::default(), order }
    }

    /// The current view, for a short look.
    #[inline]
    pub fn load(&self) -> Guard<Arc<View>> {
        self.current.load()
    }

    /// The current view, to be kept.
    pub fn pin(&self) -> Arc<View> {
        self.current.load_full()
    }

    /// The order of the keys.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Puts what `change` makes of the current view into its place.
    pub fn change(&self, change: impl FnOnce(&View) -> View) {
        let _changing = self.changing.lock();
        let next = change(&self.current.load());
        self.current.store(Arc::new(next));
    }

    /// Seals the memtable whose log is `wal`, and puts an empty one into its place.
    pub fn rotate(&self, wal: u64, active: Arc<Memtable>) {
        self.change(|view| {
            let full = SealedMemtable { memtable: view.active.clone(), wal };
            let sealed = std::iter::once(full).chain(view.sealed.iter().cloned()).collect();
            View { active, sealed, version: view.version.clone() }
        });
    }

    /// Puts tables into the place of the sealed memtable whose log is `wal`.
    pub fn flush(&self, wal: u64, tables: &[Arc<TableFile>]) {
        self.change(|view| View {
            active: view.active.clone(),
            sealed: view.sealed.iter().filter(|sealed| sealed.wal != wal).cloned().collect(),
            version: Arc::new(view.version.with(&[], tables, &self.order)),
        });
    }

    /// Takes tables away and puts others in; the memtables stay.
    pub fn change_tables(&self, removed: &[u64], added: &[Arc<TableFile>]) {
        self.change(|view| View {
            version: Arc::new(view.version.with(removed, added, &self.order)),
            ..view.clone()
        });
    }
}
