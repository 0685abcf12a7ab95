//! A load of sorted pairs: straight into tables, each byte written once.
//!
//! The pairs are written as tables while writers wait (readers go on), with one sequence number for all,
//! and are installed by one edit: all or nothing. Where no table holds keys of their range they go to
//! the lowest level; else above the highest level that does, level 0 at most.

use crate::engine::Pairs;
use crate::engine::catalog::Catalog;
use crate::engine::event::Event;
use crate::engine::load::Ascending;
use crate::engine::lsm::compaction::jobs::Jobs;
use crate::engine::lsm::compaction::span::Span;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::{Kind, encode, trailer, user_key};
use crate::engine::lsm::maker::{Made, Maker};
use crate::engine::lsm::options::LEVELS;
use crate::engine::lsm::read::Reads;
use crate::engine::lsm::table::builder::TableBuilder;
use crate::engine::lsm::version::Version;
use crate::engine::lsm::version::edit::{LiveFile, TableMeta};
use crate::engine::lsm::writer::Writer;
use crate::engine::manifest::Edit;
use crate::error::Result;
use crate::vfs::Cause;
use std::sync::Arc;

/// The level that tables of a load are made for, before it is known which they go to.
const MADE_FOR: u8 = LEVELS as u8 - 1;

/// What a load needs of an open store. Who loads holds the writer.
#[derive(Debug)]
pub(super) struct Loader {
    pub(super) maker: Arc<Maker>,
    pub(super) reads: Arc<Reads>,
    pub(super) catalog: Arc<Catalog<LiveFile>>,
    pub(super) jobs: Arc<Jobs>,
}

impl Loader {
    /// Writes all pairs as tables; every entry has this sequence number. Also says how many there are.
    pub(super) fn write(&self, pairs: &mut dyn Pairs, seqno: u64) -> Result<(Made<'_>, u64)> {
        let order = self.reads.views.order();
        let mut made = self.maker.make();
        let mut table: Option<TableBuilder> = None;
        let mut pairs = Ascending::new(pairs, |a: &[u8], b: &[u8]| order.compare(a, b));
        let mut internal = Vec::new();
        while let Some((key, value)) = pairs.next_pair()? {
            if let Some(full) = table.take_if(|table| table.bytes() >= self.maker.options.table_bytes) {
                made.finish(full)?;
            }
            if table.is_none() {
                table = Some(made.begin(self.catalog.take_number()?, MADE_FOR, Cause::Flush)?);
            }
            internal.clear();
            encode(&mut internal, key, trailer(seqno, Kind::Set));
            table.as_mut().expect("begun above").add(&internal, value)?;
        }
        if let Some(table) = table {
            made.finish(table)?;
        }
        made.publish()?;
        Ok((made, pairs.count()))
    }

    /// Puts the tables of a load, of which there is one at least, above all that they replace. What was
    /// written before it is in tables. Their level is chosen, and they are put there, under the lock that
    /// begins and ends compactions: none passes them meanwhile.
    pub(super) fn install(&self, writer: &mut Writer, mut made: Made<'_>) -> Result<()> {
        let _watch = self.maker.health().watch("installing a load");
        let (seqno, order) = (writer.next_seqno, self.reads.views.order());
        let tables = std::mem::take(&mut made.tables);
        let (first, last) = (&tables[0].1, &tables[tables.len() - 1].1);
        let (smallest, largest) = (user_key(&first.smallest), user_key(&last.largest));
        let lowest = || level_for(&self.reads.views.load().version, smallest, largest, order);
        // From here on the edit may be on the disk: the files stay, whatever comes.
        made.keep();
        self.jobs.install_loaded(order, &Span { smallest, largest }, lowest, |level| {
            let placed = tables.iter().map(|(number, meta)| (*number, TableMeta { level, ..meta.clone() }));
            self.install_at(level, &placed.collect::<Vec<_>>(), seqno)
        })?;
        writer.next_seqno = seqno + 1;
        Ok(())
    }

    fn install_at(&self, level: u8, tables: &[(u64, TableMeta)], seqno: u64) -> Result<()> {
        let file = |(number, meta): &(u64, TableMeta)| (*number, LiveFile::Table(meta.clone()));
        let store = LiveFile::store(self.reads.views.order().name(), seqno);
        let add = tables.iter().map(file).chain([store]).collect();
        self.catalog.apply(Edit { add, ..Edit::default() })?;
        self.reads.views.change_tables(&[], &self.maker.files(tables));
        // Before the next compaction begins: it would take what the load replaces for hidden, and a snapshot
        // that is taken now, of the moment before, would find neither.
        self.reads.snapshots.publish(seqno);
        let numbers = tables.iter().map(|(number, _)| *number).collect();
        let bytes = tables.iter().map(|(_, meta)| meta.len).sum();
        self.maker.tell(Event::LoadedSorted { tables: numbers, level, bytes });
        Ok(())
    }
}

/// The lowest level that keys from `smallest` to `largest`, newer than all others, may be put on: nothing
/// that shares keys with them may stand on it or above it.
fn level_for(version: &Version, smallest: &[u8], largest: &[u8], order: &Order) -> u8 {
    let is_shared = |level: usize| version.levels[level].iter().any(|t| t.overlaps(smallest, largest, order));
    match (0..LEVELS).find(|&level| is_shared(level)) {
        None => LEVELS as u8 - 1,
        Some(level) => level.saturating_sub(1) as u8,
    }
}
