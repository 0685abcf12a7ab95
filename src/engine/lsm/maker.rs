//! What flushes, compactions and loads need to write tables.

use crate::engine::event::Event;
use crate::engine::filename;
use crate::engine::health::Health;
use crate::engine::lsm::options::LsmOptions;
use crate::engine::lsm::table::builder::TableBuilder;
use crate::engine::lsm::table::store::TableStore;
use crate::engine::lsm::version::edit::{LiveFile, TableMeta};
use crate::engine::lsm::version::{Bin, TableFile};
use crate::error::Result;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::vfs::Cause;
use std::sync::Arc;

/// Makes the tables of a store.
#[derive(Debug)]
pub struct Maker {
    /// The store's id, with which checksums are salted.
    pub store_id: u64,
    /// How tables are made.
    pub options: LsmOptions,
    /// The tables that are read.
    pub tables: Arc<TableStore>,
    /// The directory, and what may be removed from it.
    pub bin: Arc<Bin>,
    /// Set when the store is being closed: long work ends early.
    pub stopping: AtomicBool,
}

/// Tables that were written and that no edit names yet. Unless they are [`kept`](Made::keep), their files
/// are removed again.
#[derive(Debug)]
pub struct Made<'a> {
    maker: &'a Maker,
    /// The tables, in the order of their keys; each with its number.
    pub tables: Vec<(u64, TableMeta)>,
    /// Files that were begun.
    begun: Vec<u64>,
}

impl Maker {
    /// For the store with this id.
    pub fn new(store_id: u64, options: LsmOptions, tables: Arc<TableStore>, bin: Arc<Bin>) -> Maker {
        Maker { store_id, options, tables, bin, stopping: AtomicBool::new(false) }
    }

    /// Begins to write tables.
    pub fn make(&self) -> Made<'_> {
        Made { maker: self, tables: Vec::new(), begun: Vec::new() }
    }

    /// Tables that an edit names, as a version holds them.
    pub fn files(&self, tables: &[(u64, TableMeta)]) -> Vec<Arc<TableFile>> {
        let file =
            |(number, meta): &(u64, TableMeta)| TableFile::new(*number, meta.clone(), self.bin.clone());
        tables.iter().map(|table| Arc::new(file(table))).collect()
    }

    /// Whether the store goes on.
    pub fn health(&self) -> &Health {
        &self.bin.health
    }

    /// Tells the store's listener.
    pub fn tell(&self, event: Event) {
        self.bin.listener.tell(event);
    }

    /// Whether the store is being closed.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

impl Made<'_> {
    /// Begins a table.
    pub fn begin(&mut self, number: u64, level: u8, cause: Cause) -> Result<TableBuilder> {
        self.begun.push(number);
        let Maker { store_id, options, bin, .. } = self.maker;
        // Who can not open another file lets go of tables that nobody reads.
        let create = || TableBuilder::create(&bin.dir, number, *store_id, level, options, cause);
        self.maker.tables.with_descriptor(create)
    }

    /// Ends a table; its bytes are durable, its name is not.
    pub fn finish(&mut self, builder: TableBuilder) -> Result<()> {
        let number = *self.begun.last().expect("a builder was begun");
        self.tables.push((number, builder.finish()?));
        Ok(())
    }

    /// Makes the tables' names durable. With this an edit may name them.
    pub fn publish(&self) -> Result<()> {
        self.maker.bin.dir.sync()
    }

    /// The tables as an edit adds them.
    pub fn edits(&self) -> impl Iterator<Item = (u64, LiveFile)> {
        self.tables.iter().map(|(number, meta)| (*number, LiveFile::Table(meta.clone())))
    }

    /// Leaves the files where they are: an edit that names them is, or may be, durable.
    pub fn keep(&mut self) {
        self.begun.clear();
    }

    /// Bytes of the tables.
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|(_, meta)| meta.len).sum()
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        for number in &self.begun {
            self.maker.bin.remove(&filename::table(*number));
        }
    }
}
