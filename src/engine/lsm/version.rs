//! Versions: which tables are live, level by level, at one moment.
//!
//! A version never changes. A flush or a compaction makes a new one from the old and an edit; readers
//! hold the one that they began with, and a table's file goes when the last version that names it does.
//!
//! ```text
//! level 0    [k......t]  [a.......s]  [c......z]     newest first; ranges overlap
//! level 1    -                                       empty, until level 2 is full
//! level 2    [a..d][e..k] [m.....r]                  by key; no two tables share a user key
//! level 3    [a.b][c..d][f..g][h..m][n..p][q..z]
//! ```
//!
//! Invariants:
//!
//! 1. In level 1 and below, tables are sorted, and no two of them hold the same user key.
//! 2. Of two entries of a key, the newer stands in the memtables, or in a level above, or in the same
//!    table; within level 0 in the same table or in one with higher sequence numbers.
//! 3. The sequence numbers of level 0's tables do not overlap, but for such as were loaded in order.

pub mod edit;
pub mod level;

use crate::engine::event::{Event, Listener};
use crate::engine::filename;
use crate::engine::health::Health;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::user_key;
use crate::engine::lsm::options::LEVELS;
use crate::engine::lsm::table::store::TableSlot;
use crate::engine::lsm::version::edit::TableMeta;
use crate::sync::atomic::{AtomicBool, Ordering as Memory};
use crate::vfs::dir::Dir;
use std::cmp::Ordering;
use std::sync::Arc;

/// A live table, as versions hold it.
#[derive(Debug)]
pub struct TableFile {
    /// Its number.
    pub number: u64,
    /// What the manifest says of it.
    pub meta: TableMeta,
    file: Arc<Kept>,
}

/// The file of a table, which may stand on one level in one version and on another in the next.
#[derive(Debug)]
struct Kept {
    number: u64,
    slot: TableSlot,
    /// `None` if there is no file.
    bin: Option<Arc<Bin>>,
    condemned: AtomicBool,
}

/// Where files go that nobody needs any more.
#[derive(Debug)]
pub struct Bin {
    /// The directory.
    pub dir: Dir,
    /// Nothing is removed from a store that is poisoned: its manifest may still name it.
    pub health: Arc<Health>,
    /// Told what is removed.
    pub listener: Listener,
}

impl TableFile {
    /// A table that is on the disk.
    pub fn new(number: u64, meta: TableMeta, bin: Arc<Bin>) -> TableFile {
        TableFile::with_bin(number, meta, Some(bin))
    }

    /// A table of which there is only the description: for simulations.
    pub fn without_file(number: u64, meta: TableMeta) -> TableFile {
        TableFile::with_bin(number, meta, None)
    }

    fn with_bin(number: u64, meta: TableMeta, bin: Option<Arc<Bin>>) -> TableFile {
        let file = Kept { number, slot: TableSlot::default(), bin, condemned: AtomicBool::new(false) };
        TableFile { number, meta, file: Arc::new(file) }
    }

    /// The same file on another level.
    pub fn moved(&self, level: u8) -> TableFile {
        let meta = TableMeta { level, ..self.meta.clone() };
        TableFile { number: self.number, meta, file: self.file.clone() }
    }

    /// Where the open table is kept.
    #[inline]
    pub fn slot(&self) -> &TableSlot {
        &self.file.slot
    }

    /// The user key of its first entry.
    #[inline]
    pub fn smallest_user(&self) -> &[u8] {
        user_key(&self.meta.smallest)
    }

    /// The user key of its last entry.
    #[inline]
    pub fn largest_user(&self) -> &[u8] {
        user_key(&self.meta.largest)
    }

    /// Whether a user key lies between its first and its last.
    #[inline]
    pub fn spans(&self, key: &[u8], order: &Order) -> bool {
        order.compare(self.smallest_user(), key) != Ordering::Greater
            && order.compare(key, self.largest_user()) != Ordering::Greater
    }

    /// Whether it may hold a user key from `smallest` to `largest`, both included.
    pub fn overlaps(&self, smallest: &[u8], largest: &[u8], order: &Order) -> bool {
        order.compare(self.smallest_user(), largest) != Ordering::Greater
            && order.compare(smallest, self.largest_user()) != Ordering::Greater
    }

    /// No new version names it: its file goes when nobody holds it any more.
    pub fn condemn(&self) {
        self.file.condemned.store(true, Memory::Release);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Some(bin) = &self.bin else { return };
        if self.condemned.load(Memory::Acquire) {
            bin.remove(&filename::table(self.number));
        }
    }
}

impl Bin {
    /// Removes a file that no edit names, unless the store is poisoned.
    pub fn remove(&self, name: &str) {
        if self.health.check().is_err() {
            return;
        }
        let path = self.dir.join(name);
        self.listener.tell(match self.dir.remove(name) {
            Ok(()) => Event::Removed { path },
            // Harmless: the next opening tries again.
            Err(error) => Event::NotRemoved { path, reason: error.to_string() },
        });
    }
}

/// The live tables at one moment.
#[derive(Clone, Debug, Default)]
pub struct Version {
    /// The tables of each level: level 0 from the newest to the oldest, the others in order of keys.
    pub levels: [Vec<Arc<TableFile>>; LEVELS],
}

impl Version {
    /// The version of these tables.
    pub fn of(tables: impl IntoIterator<Item = Arc<TableFile>>, order: &Order) -> Version {
        let mut version = Version::default();
        for table in tables {
            let level = usize::from(table.meta.level).min(LEVELS - 1);
            version.levels[level].push(table);
        }
        version.sort(order);
        version
    }

    /// This version without the tables `removed`, by number, and with those `added`.
    pub fn with(&self, removed: &[u64], added: &[Arc<TableFile>], order: &Order) -> Version {
        let mut next = self.clone();
        for level in &mut next.levels {
            level.retain(|table| !removed.contains(&table.number));
        }
        for table in added {
            next.levels[usize::from(table.meta.level)].push(table.clone());
        }
        next.sort(order);
        next
    }

    fn sort(&mut self, order: &Order) {
        let newest_first = |table: &Arc<TableFile>| std::cmp::Reverse((table.meta.last_seqno, table.number));
        self.levels[0].sort_by_key(newest_first);
        for level in &mut self.levels[1..] {
            level.sort_by(|a, b| order.compare_internal(&a.meta.smallest, &b.meta.smallest));
        }
    }

    /// Whether two tables of one level below level 0 share a user key; names the two.
    pub fn crossing(&self, order: &Order) -> Option<(u64, u64)> {
        let crossed = |pair: &[Arc<TableFile>]| {
            order.compare(pair[0].largest_user(), pair[1].smallest_user()) != Ordering::Less
        };
        let mut pairs = self.levels[1..].iter().flat_map(|level| level.windows(2));
        pairs.find(|pair| crossed(pair)).map(|pair| (pair[0].number, pair[1].number))
    }

    /// The tables of a level below level 0 that may hold a user key from `smallest` to `largest`, both
    /// included.
    pub fn overlapping(
        &self,
        level: usize,
        smallest: &[u8],
        largest: &[u8],
        order: &Order,
    ) -> &[Arc<TableFile>] {
        let tables = &self.levels[level];
        let from =
            tables.partition_point(|table| order.compare(table.largest_user(), smallest) == Ordering::Less);
        let rest = &tables[from..];
        let upto =
            rest.partition_point(|table| order.compare(table.smallest_user(), largest) != Ordering::Greater);
        &rest[..upto]
    }

    /// The one table of a level below level 0 that may hold a user key.
    #[inline]
    pub fn covering(&self, level: usize, key: &[u8], order: &Order) -> Option<&Arc<TableFile>> {
        let tables = &self.levels[level];
        let at = tables.partition_point(|table| order.compare(table.largest_user(), key) == Ordering::Less);
        tables.get(at).filter(|table| order.compare(table.smallest_user(), key) != Ordering::Greater)
    }

    /// Bytes of a level's files.
    pub fn bytes(&self, level: usize) -> u64 {
        self.levels[level].iter().map(|table| table.meta.len).sum()
    }

    /// All tables, from the top to the bottom.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableFile>> {
        self.levels.iter().flatten()
    }

    /// The lowest level that has tables.
    pub fn last_level(&self) -> Option<usize> {
        self.levels.iter().rposition(|level| !level.is_empty())
    }
}
