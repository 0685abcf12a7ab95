//! A flush: from a memtable to a table of level 0. A cursor in, a table out.
//!
//! What nobody can see any more stays behind; tombstones do not, since older entries of their keys may
//! stand in any table.
//!
//! The steps of one are a list, and each has its crash: the table is whole and durable; the edit that
//! names it, and no longer the log, is durable; readers see the table in the place of the memtable; only
//! then the log goes.

use crate::engine::catalog::Catalog;
use crate::engine::event::Event;
use crate::engine::filename;
use crate::engine::lsm::counters::Counters;
use crate::engine::lsm::iter::EntryCursor;
use crate::engine::lsm::key::{seqno, split};
use crate::engine::lsm::maker::{Made, Maker};
use crate::engine::lsm::memtable::Memtable;
use crate::engine::lsm::pressure::{Pressure, Relief};
use crate::engine::lsm::read::Reads;
use crate::engine::lsm::snapshots::Keep;
use crate::engine::lsm::version::edit::LiveFile;
use crate::engine::lsm::view::SealedMemtable;
use crate::engine::manifest::Edit;
use crate::error::Result;
use crate::sync::Mutex;
use crate::sync::atomic::Ordering;
use crate::vfs::Cause;
use std::sync::Arc;

/// What a flush needs of an open store.
#[derive(Debug)]
pub(super) struct Flusher {
    pub(super) maker: Arc<Maker>,
    pub(super) reads: Arc<Reads>,
    pub(super) catalog: Arc<Catalog<LiveFile>>,
    pub(super) pressure: Arc<Pressure>,
    pub(super) counters: Arc<Counters>,
    /// Held by the one flush at a time. Locked after the writer, and before the catalog, where both are.
    pub(super) turn: Mutex<()>,
}

impl Flusher {
    /// Flushes all sealed memtables, the oldest first. What goes wrong is told, to who waits too, and
    /// harms nothing: the log stays.
    pub(super) fn flush_behind(&self) {
        if self.maker.health().check().is_ok()
            && let Err(error) = self.flush_sealed()
        {
            self.pressure.trouble(Relief::Flush, &error);
            self.maker.tell(Event::BackgroundFailed { reason: format!("a flush: {error}") });
        }
    }

    /// Flushes all sealed memtables.
    pub(super) fn flush_sealed(&self) -> Result<()> {
        let _turn = self.turn.lock();
        loop {
            let Some(oldest) = self.reads.views.load().sealed.last().cloned() else { return Ok(()) };
            self.maker.health().check()?;
            self.flush_one(&oldest)?;
        }
    }

    fn flush_one(&self, sealed: &SealedMemtable) -> Result<()> {
        let number = self.catalog.take_number()?;
        let made = run(&self.maker, &sealed.memtable, self.reads.snapshots.moments(), number)?;
        self.install(sealed, number, made)
    }

    /// Puts a flush's table in the place of its memtable.
    fn install(&self, sealed: &SealedMemtable, number: u64, mut made: Made<'_>) -> Result<()> {
        let _watch = self.maker.health().watch("installing a flush");
        // From here on the edit may be on the disk: the files stay, whatever comes.
        made.keep();
        let order = self.reads.views.order();
        let store = LiveFile::store(order.name(), sealed.memtable.last_seqno());
        let add = made.edits().chain([store]).collect();
        self.catalog.apply(Edit { add, remove: vec![sealed.wal], ..Edit::default() })?;
        self.reads.views.flush(sealed.wal, &self.maker.files(&made.tables));
        self.maker.bin.remove(&filename::wal(sealed.wal));
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        self.counters.flushed_bytes.fetch_add(made.bytes(), Ordering::Relaxed);
        self.maker.tell(Event::Flushed { table: number, wal: sealed.wal, bytes: made.bytes() });
        self.pressure.relieve(Relief::Flush);
        Ok(())
    }
}

/// Writes `memtable`, which is not empty, as table `number`. Durable, name and all, when it returns.
fn run<'a>(maker: &'a Maker, memtable: &Memtable, moments: Vec<u64>, number: u64) -> Result<Made<'a>> {
    let mut made = maker.make();
    let mut table = made.begin(number, 0, Cause::Flush)?;
    let mut keep = Keep::new(maker.options.order(), moments);
    let mut cursor = memtable.cursor();
    cursor.seek_to_first()?;
    while cursor.valid() {
        let (user_key, trailer) = split(cursor.key());
        if keep.is_seen(user_key, seqno(trailer)) {
            table.add(cursor.key(), cursor.value())?;
        }
        cursor.next()?;
    }
    made.finish(table)?;
    made.publish()?;
    Ok(made)
}
