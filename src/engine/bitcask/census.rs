//! A store in numbers: its keys, its segments, what of them is alive.

use crate::engine::bitcask::index::Index;
use crate::engine::bitcask::segment::{Segment, Shelf};
use crate::engine::filename;
use crate::engine::stats::{Counter, FileStats, Stats};
use crate::error::Result;
use crate::record::frame::HEADER_LEN;
use crate::sync::atomic::{AtomicU64, Ordering};

/// What the engine did since it was opened.
#[derive(Debug, Default)]
pub struct Counters {
    /// Segments that were sealed and followed by another.
    pub rotations: AtomicU64,
    /// Merges that were installed.
    pub merges: AtomicU64,
    /// Bytes of segments that they read.
    pub merge_read_bytes: AtomicU64,
    /// Bytes of segments that they wrote.
    pub merge_written_bytes: AtomicU64,
}

impl Counters {
    /// Counts a merge.
    pub fn merged(&self, read_bytes: u64, written_bytes: u64) {
        self.merges.fetch_add(1, Ordering::Relaxed);
        self.merge_read_bytes.fetch_add(read_bytes, Ordering::Relaxed);
        self.merge_written_bytes.fetch_add(written_bytes, Ordering::Relaxed);
    }

    fn list(&self) -> Vec<Counter> {
        let counter = |name, value: &AtomicU64| Counter { name, value: value.load(Ordering::Relaxed) };
        vec![
            counter("rotations", &self.rotations),
            counter("merges", &self.merges),
            counter("merge read bytes", &self.merge_read_bytes),
            counter("merge written bytes", &self.merge_written_bytes),
        ]
    }
}

/// Counts what the index holds and what the directory costs. Lists the directory; reads no file.
pub fn take(shelf: &Shelf, index: &Index, counters: &Counters) -> Result<Stats> {
    let footprint = index.keydir.footprint();
    let snapshots = index.history.held();
    let seqno = index.history.lock().visible;
    let files: Vec<_> = index.view.load().by_age().iter().map(|segment| of_segment(segment, seqno)).collect();
    let live_bytes: u64 = files.iter().map(|file| file.live_bytes).sum();
    let records: u64 = files.iter().map(|file| file.bytes.saturating_sub(HEADER_LEN)).sum();
    let entries = shelf.dir.list()?.unwrap_or_default();
    let ours = entries.iter().filter(|entry| filename::parse(&entry.name).is_some());
    Ok(Stats {
        keys: footprint.keys,
        seqno,
        disk_bytes: ours.map(|entry| entry.len).sum(),
        live_bytes,
        dead_bytes: records.saturating_sub(live_bytes),
        memory_bytes: footprint.bytes,
        memory: vec![Counter { name: "keydir", value: footprint.bytes }],
        snapshots,
        files,
        counters: counters.list(),
        poisoned: shelf.health.cause().map(ToString::to_string),
        ..Stats::default()
    })
}

fn of_segment(segment: &Segment, seqno: u64) -> FileStats {
    let (state, last_seqno) = match segment.sealed() {
        Some(sealed) => ("sealed", sealed.last_seqno),
        None => ("active", seqno),
    };
    FileStats {
        name: filename::segment(segment.number),
        state: state.to_string(),
        bytes: segment.len(),
        live_bytes: segment.live_bytes(),
        first_seqno: segment.first_seqno,
        last_seqno,
        // Segments are ordered by time: which keys are in one, only reading it would tell.
        ..FileStats::default()
    }
}
