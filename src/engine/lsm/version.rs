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
    /// Removes a file that no edit names, if it is still for this store to do.
    pub fn remove(&self, name: &str) {
        let Some(removed) = self.health.while_owner(|| self.dir.remove(name)) else { return };
        let path = self.dir.join(name);
        self.listener.tell(match removed {
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

#[cfg(test)]
mod tests {
    use super::{TableFile, Version};
    use crate::engine::lsm::comparator::Order;
    use crate::engine::lsm::key::{Kind, internal, trailer};
    use crate::engine::lsm::options::LEVELS;
    use crate::engine::lsm::version::edit::TableMeta;
    use std::sync::Arc;

    fn table(level: u8, number: u64, smallest: &str, largest: &str) -> Arc<TableFile> {
        let key = |key: &str| internal(key.as_bytes(), trailer(number, Kind::Set));
        let meta = TableMeta {
            level,
            len: 100 * number,
            contents: number,
            smallest: key(smallest),
            largest: key(largest),
            first_seqno: number,
            last_seqno: number,
            entries: 2,
            tombstones: 0,
            older: 0,
            raw_bytes: 10,
        };
        Arc::new(TableFile::without_file(number, meta))
    }

    fn numbers<'a>(tables: impl IntoIterator<Item = &'a Arc<TableFile>>) -> Vec<u64> {
        tables.into_iter().map(|table| table.number).collect()
    }

    #[test]
    fn tables_stand_where_they_are_looked_for() {
        let tables =
            [(0, 3, "d", "m"), (0, 7, "a", "z"), (2, 5, "p", "q"), (2, 4, "d", "m"), (9, 6, "a", "b")];
        let version =
            Version::of(tables.map(|(level, n, from, to)| table(level, n, from, to)), &Order::Bytewise);
        assert_eq!(numbers(&version.levels[0]), [7, 3], "the newest first");
        assert_eq!(numbers(&version.levels[2]), [4, 5], "by their keys");
        assert_eq!(numbers(&version.levels[LEVELS - 1]), [6], "no level is below the last");
        assert_eq!((version.last_level(), version.bytes(2)), (Some(LEVELS - 1), 900));
        let covering =
            |key: &str| version.covering(2, key.as_bytes(), &Order::Bytewise).map(|table| table.number);
        let found = ["c", "d", "h", "m", "n", "p", "q", "r"].map(covering);
        assert_eq!(found, [None, Some(4), Some(4), Some(4), None, Some(5), Some(5), None]);
    }

    #[test]
    fn a_table_spans_its_first_key_and_its_last() {
        let table = table(1, 1, "d", "m");
        let spans = ["c", "d", "h", "m", "n"].map(|key| table.spans(key.as_bytes(), &Order::Bytewise));
        assert_eq!(spans, [false, true, true, true, false]);
        let ranges = [("a", "c"), ("a", "d"), ("e", "f"), ("a", "z"), ("m", "z"), ("n", "z")];
        let overlaps =
            ranges.map(|(from, to)| table.overlaps(from.as_bytes(), to.as_bytes(), &Order::Bytewise));
        assert_eq!(overlaps, [false, true, true, true, true, false]);
    }

    #[test]
    fn two_tables_of_a_level_share_no_key_but_in_level_0() {
        let crossing = |level, from: &str| {
            let tables = [table(level, 1, "a", "d"), table(level, 2, from, "z")];
            Version::of(tables, &Order::Bytewise).crossing(&Order::Bytewise)
        };
        assert_eq!([crossing(3, "d"), crossing(3, "e"), crossing(0, "b")], [Some((1, 2)), None, None]);
    }

    #[test]
    fn a_table_that_is_moved_is_the_same_file_elsewhere() {
        let before = table(3, 1, "a", "d");
        let after = before.moved(5);
        assert_eq!((after.number, after.meta.level, after.meta.len), (1, 5, before.meta.len));
        assert!(std::ptr::eq(before.slot(), after.slot()), "opened once for both");
    }
}
