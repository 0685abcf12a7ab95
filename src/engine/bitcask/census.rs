//! A store in numbers: its keys, its segments, what of them is alive.

use crate::engine::bitcask::index::Index;
use crate::engine::bitcask::segment::{Segment, Shelf};
use crate::engine::filename;
use crate::engine::stats::{FileStats, Stats};
use crate::error::Result;
use crate::record::frame::HEADER_LEN;

/// Counts what the index holds and what the directory costs. Lists the directory; reads no file.
pub fn take(shelf: &Shelf, index: &Index) -> Result<Stats> {
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
        snapshots,
        files,
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
