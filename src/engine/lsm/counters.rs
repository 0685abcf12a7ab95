//! What an LSM tree did since it was opened.

use crate::engine::lsm::pressure::Pressure;
use crate::engine::lsm::table::store::TableStore;
use crate::engine::stats::Counter;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Counted as it happens; read by [`Counters::list`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) rotations: AtomicU64,
    pub(super) flushes: AtomicU64,
    pub(super) flushed_bytes: AtomicU64,
    pub(super) moves: AtomicU64,
    compactions: AtomicU64,
    compaction_read_bytes: AtomicU64,
    compaction_written_bytes: AtomicU64,
    dropped_entries: AtomicU64,
}

impl Counters {
    /// Counts a compaction.
    pub(super) fn compacted(&self, read_bytes: u64, written_bytes: u64, dropped: u64) {
        self.compactions.fetch_add(1, Ordering::Relaxed);
        self.compaction_read_bytes.fetch_add(read_bytes, Ordering::Relaxed);
        self.compaction_written_bytes.fetch_add(written_bytes, Ordering::Relaxed);
        self.dropped_entries.fetch_add(dropped, Ordering::Relaxed);
    }

    /// All of them, for people.
    pub(super) fn list(&self, pressure: &Pressure, tables: &TableStore) -> Vec<Counter> {
        let counter = |name, value: &AtomicU64| Counter { name, value: value.load(Ordering::Relaxed) };
        let shelf = tables.shelf();
        let cache = shelf.cache.counts();
        vec![
            counter("rotations", &self.rotations),
            counter("flushes", &self.flushes),
            counter("flushed bytes", &self.flushed_bytes),
            counter("compactions", &self.compactions),
            counter("tables moved", &self.moves),
            counter("compaction read bytes", &self.compaction_read_bytes),
            counter("compaction written bytes", &self.compaction_written_bytes),
            counter("entries dropped", &self.dropped_entries),
            counter("writers stopped", &pressure.stops),
            counter("microseconds stopped", &pressure.stopped_micros),
            counter("commits delayed", &pressure.delays),
            Counter { name: "cache hits", value: cache.hits },
            Counter { name: "cache misses", value: cache.misses },
            counter("tables opened", &shelf.counters.opens),
            counter("tables closed", &shelf.counters.closes),
            counter("blocks read", &shelf.counters.blocks_read),
            counter("bytes read of tables", &shelf.counters.bytes_read),
            counter("filter mistakes", &shelf.counters.false_positives),
        ]
    }
}
