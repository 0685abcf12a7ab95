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
