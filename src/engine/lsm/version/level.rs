//! A cursor over tables that follow each other: a whole level, or one table.

use crate::engine::explain::Step;
use crate::engine::filename;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::iter::EntryCursor;
use crate::engine::lsm::table::cursor::{Access, Looked, TableCursor};
use crate::engine::lsm::table::store::TableStore;
use crate::engine::lsm::version::{TableFile, Version};
use crate::error::Result;
use crate::vfs::Cause;
use std::cmp::Ordering;
use std::sync::Arc;

/// Tables in the order of their keys, none of which share a user key.
#[derive(Debug)]
pub enum Run {
    /// A level of a version, below level 0.
    Level(Arc<Version>, usize),
    /// Some tables.
    Tables(Vec<Arc<TableFile>>),
}

impl Run {
    #[inline]
    fn tables(&self) -> &[Arc<TableFile>] {
        match self {
            Run::Level(version, level) => &version.levels[*level],
            Run::Tables(tables) => tables,
        }
    }
}

/// Moves over the entries of tables one behind the other. Opens a table when it comes to it, and holds
/// one at a time.
#[derive(Debug)]
pub struct LevelCursor {
    run: Run,
    store: Arc<TableStore>,
    order: Order,
    access: Access,
    /// It opens tables of its own, which are read for this.
    own: Option<Cause>,
    /// The table that `cursor` is in.
    at: usize,
    cursor: Option<TableCursor>,
    /// Tables that it went into.
    entered: u64,
    /// What it read in those that it left.
    left: Looked,
}

impl LevelCursor {
    /// A cursor over `run`. Opens nothing yet.
    pub fn new(run: Run, store: Arc<TableStore>, order: Order, access: Access) -> LevelCursor {
        let (cursor, left) = (None, Looked::default());
        LevelCursor { run, store, order, access, own: None, at: 0, cursor, entered: 0, left }
    }

    /// A cursor that reads `run` once, for a cause of its own: so that what a compaction reads is not
    /// taken for what users read.
    pub fn once(run: Run, store: Arc<TableStore>, order: Order, cause: Cause) -> LevelCursor {
        LevelCursor { own: Some(cause), ..LevelCursor::new(run, store, order, Access::Sequential) }
    }

    /// The table that the cursor stands in.
    pub fn table(&self) -> Option<&Arc<TableFile>> {
        self.cursor.as_ref().and_then(|_| self.run.tables().get(self.at))
    }

    /// What it looked at, for people.
    pub fn step(&self) -> Step {
        let place = match (&self.run, self.run.tables()) {
            (Run::Tables(_), [table]) => filename::table(table.number),
            (Run::Level(_, level), tables) => format!("level {level}: {} tables", tables.len()),
            (Run::Tables(_), tables) => format!("{} tables", tables.len()),
        };
        let level = self.run.tables().first().map(|table| table.meta.level);
        let outcome = format!("{} tables entered", self.entered);
        let Looked { blocks, cached, bytes } = self.looked();
        Step { place, level, outcome, blocks, cached, bytes, ..Step::default() }
    }

    fn looked(&self) -> Looked {
        let (before, now) = (self.left, self.cursor.as_ref().map(TableCursor::looked).unwrap_or_default());
        Looked {
            blocks: before.blocks + now.blocks,
            cached: before.cached + now.cached,
            bytes: before.bytes + now.bytes,
        }
    }

    /// Goes into table `at`; stands nowhere if there is none.
    fn enter(&mut self, at: usize) -> Result<Option<&mut TableCursor>> {
        if self.cursor.is_none() || self.at != at {
            self.left = self.looked();
            self.cursor = None;
            let Some(file) = self.run.tables().get(at) else { return Ok(None) };
            let table = match self.own {
                Some(cause) => Arc::new(self.store.open(file.number, &file.meta, cause)?),
                None => self.store.find(file.number, &file.meta, file.slot())?.share(),
            };
            self.cursor = Some(TableCursor::new(table, self.access));
            self.at = at;
            self.entered += 1;
        }
        Ok(self.cursor.as_mut())
    }

    /// While the cursor is behind the end of its table, goes to the beginning of the next one.
    fn skip_forward(&mut self) -> Result<()> {
        while self.cursor.as_ref().is_some_and(|cursor| !cursor.valid()) {
            if let Some(cursor) = self.enter(self.at + 1)? {
                cursor.seek_to_first()?;
            }
        }
        Ok(())
    }

    fn skip_backward(&mut self) -> Result<()> {
        while self.cursor.as_ref().is_some_and(|cursor| !cursor.valid()) {
            let Some(before) = self.at.checked_sub(1) else {
                self.cursor = None;
                return Ok(());
            };
            if let Some(cursor) = self.enter(before)? {
                cursor.seek_to_last()?;
            }
        }
        Ok(())
    }

    /// Keeps the promise that a cursor is invalid after an error.
    fn settle(&mut self, result: Result<()>) -> Result<()> {
        if result.is_err() {
            self.cursor = None;
        }
        result
    }
}

impl EntryCursor for LevelCursor {
    fn seek_to_first(&mut self) -> Result<()> {
        let result = match self.enter(0) {
            Ok(Some(cursor)) => cursor.seek_to_first().and_then(|()| self.skip_forward()),
            other => other.map(|_| ()),
        };
        self.settle(result)
    }

    fn seek_to_last(&mut self) -> Result<()> {
        let last = self.run.tables().len().saturating_sub(1);
        let result = match self.enter(last) {
            Ok(Some(cursor)) => cursor.seek_to_last().and_then(|()| self.skip_backward()),
            other => other.map(|_| ()),
        };
        self.settle(result)
    }

    fn seek(&mut self, target: &[u8]) -> Result<()> {
        let is_below =
            |file: &Arc<TableFile>| self.order.compare_internal(&file.meta.largest, target) == Ordering::Less;
        let at = self.run.tables().partition_point(is_below);
        let result = match self.enter(at) {
            Ok(Some(cursor)) => cursor.seek(target).and_then(|()| self.skip_forward()),
            other => other.map(|_| ()),
        };
        self.settle(result)
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        let Some(cursor) = &mut self.cursor else { return Ok(()) };
        match cursor.next() {
            Ok(()) if cursor.valid() => Ok(()),
            result => {
                let result = result.and_then(|()| self.skip_forward());
                self.settle(result)
            }
        }
    }

    fn prev(&mut self) -> Result<()> {
        let Some(cursor) = &mut self.cursor else { return Ok(()) };
        let result = cursor.prev().and_then(|()| self.skip_backward());
        self.settle(result)
    }

    #[inline]
    fn valid(&self) -> bool {
        self.cursor.as_ref().is_some_and(TableCursor::valid)
    }

    #[inline]
    fn key(&self) -> &[u8] {
        self.cursor.as_ref().map_or(&[], TableCursor::key)
    }

    #[inline]
    fn value(&self) -> &[u8] {
        self.cursor.as_ref().map_or(&[], TableCursor::value)
    }
}

#[cfg(test)]
mod tests {
    use super::{LevelCursor, Run};
    use crate::engine::filename;
    use crate::engine::lsm::comparator::Order;
    use crate::engine::lsm::iter::EntryCursor;
    use crate::engine::lsm::key::{Kind, internal, trailer};
    use crate::engine::lsm::options::{Compression, Compressions, LsmOptions};
    use crate::engine::lsm::table::builder::TableBuilder;
    use crate::engine::lsm::table::cursor::Access;
    use crate::engine::lsm::table::store::TableStore;
    use crate::engine::lsm::version::{TableFile, Version};
    use crate::vfs::Cause;
    use crate::vfs::dir::Dir;
    use crate::vfs::memory::SimDisk;
    use std::path::Path;
    use std::sync::Arc;

    const TABLES: u64 = 3;
    const KEYS: u64 = 20;

    /// A level of three tables, of keys by twos: between two of them there is room for one.
    struct Level {
        dir: Dir,
        store: Arc<TableStore>,
        version: Arc<Version>,
        entries: Vec<(Vec<u8>, Vec<u8>)>,
    }

    fn key(n: u64) -> Vec<u8> {
        internal(format!("key-{n:03}").as_bytes(), trailer(1, Kind::Set))
    }

    fn level() -> Level {
        let dir = Dir::new(Arc::new(SimDisk::new()), Path::new("/"));
        let compression = Compressions(vec![Compression::None]);
        let options = LsmOptions { block_bytes: 300, compression, ..LsmOptions::default() };
        let mut entries = Vec::new();
        let tables = (0..TABLES).map(|number| {
            let mut builder = TableBuilder::create(&dir, number, 7, 2, &options, Cause::Flush).unwrap();
            for n in 0..KEYS {
                let n = 2 * (number * KEYS + n);
                entries.push((key(n), format!("value {n}").into_bytes()));
                let (key, value) = entries.last().unwrap();
                builder.add(key, value).unwrap();
            }
            Arc::new(TableFile::without_file(number, builder.finish().unwrap()))
        });
        let version = Arc::new(Version::of(tables, &Order::Bytewise));
        let store = Arc::new(TableStore::new(dir.clone(), 7, &options));
        Level { dir, store, version, entries }
    }

    impl Level {
        fn cursor(&self, access: Access) -> LevelCursor {
            let run = Run::Level(self.version.clone(), 2);
            LevelCursor::new(run, self.store.clone(), Order::Bytewise, access)
        }
    }

    fn rest(cursor: &mut LevelCursor) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        while cursor.valid() {
            found.push((cursor.key().to_vec(), cursor.value().to_vec()));
            cursor.next().unwrap();
        }
        found
    }

    #[test]
    fn a_level_is_walked_as_one_table() {
        let level = level();
        for access in [Access::Point, Access::Sequential] {
            let mut cursor = level.cursor(access);
            assert!(!cursor.valid() && cursor.table().is_none() && cursor.key().is_empty());
            cursor.next().unwrap();
            cursor.prev().unwrap();
            cursor.seek_to_first().unwrap();
            assert_eq!(rest(&mut cursor), level.entries);
            cursor.seek_to_last().unwrap();
            for (key, value) in level.entries.iter().rev() {
                assert_eq!((cursor.key(), cursor.value()), (&key[..], &value[..]));
                cursor.prev().unwrap();
            }
            assert!(!cursor.valid());
        }
    }

    /// Each key, and each place between two of them, with a step to both sides.
    #[test]
    fn seeking_goes_to_the_table_that_has_the_key() {
        let level = level();
        let mut cursor = level.cursor(Access::Point);
        for n in 0..2 * TABLES * KEYS {
            let at = n.div_ceil(2) as usize;
            let expect = |cursor: &LevelCursor, at: Option<usize>| {
                let entry = at.and_then(|at| level.entries.get(at));
                assert_eq!(cursor.valid().then(|| cursor.key()), entry.map(|(key, _)| &key[..]), "{n}");
            };
            for forward in [true, false] {
                cursor.seek(&key(n)).unwrap();
                expect(&cursor, Some(at));
                if cursor.valid() {
                    assert_eq!(cursor.table().unwrap().number, at as u64 / KEYS);
                }
                match forward {
                    true => cursor.next().unwrap(),
                    false => cursor.prev().unwrap(),
                }
                let there = at < level.entries.len();
                expect(
                    &cursor,
                    if forward { there.then_some(at + 1) } else { at.checked_sub(1).filter(|_| there) },
                );
            }
        }
    }

    #[test]
    fn it_says_what_it_looked_at_in_all_tables() {
        let level = level();
        let count = |access| {
            let mut cursor = level.cursor(access);
            cursor.seek_to_first().unwrap();
            rest(&mut cursor);
            cursor.step()
        };
        let blocks = level.version.tables().map(|table| {
            level.store.find(table.number, &table.meta, table.slot()).unwrap().properties().blocks()
        });
        let blocks: u64 = blocks.sum();
        assert!(blocks >= 6, "{blocks}");
        let step = count(Access::Sequential);
        assert_eq!((&step.place[..], step.level), ("level 2: 3 tables", Some(2)));
        assert_eq!((&step.outcome[..], step.blocks, step.cached), ("3 tables entered", blocks, 0));
        let data: usize = level.entries.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!((data as u64 / 2..2 * data as u64).contains(&step.bytes), "{} bytes", step.bytes);
        // The first two blocks of each table are kept: behind them it reads ahead.
        count(Access::Point);
        let again = count(Access::Point);
        assert_eq!((again.blocks, again.cached), (blocks, 2 * TABLES));
        let mut cursor = level.cursor(Access::Point);
        cursor.seek(&key(0)).unwrap();
        assert_eq!((&cursor.step().outcome[..], cursor.step().blocks), ("1 tables entered", 1));
    }

    #[test]
    fn it_stands_nowhere_after_an_error() {
        let level = level();
        level.dir.remove(&filename::table(1)).unwrap();
        let mut cursor = level.cursor(Access::Point);
        cursor.seek(&key(2 * KEYS - 2)).unwrap();
        assert!(cursor.valid());
        assert!(cursor.next().is_err() && !cursor.valid(), "the next table is gone");
        assert!(cursor.seek(&key(2 * KEYS)).is_err() && !cursor.valid());
        cursor.seek_to_last().unwrap();
        assert_eq!(cursor.key(), key(2 * (TABLES * KEYS - 1)));
    }
}
