//! A store in numbers: its tables and logs, level by level.

use crate::engine::filename;
use crate::engine::health::Health;
use crate::engine::lsm::options::NAME;
use crate::engine::lsm::read::Reads;
use crate::engine::lsm::version::TableFile;
use crate::engine::lsm::view::View;
use crate::engine::stats::{Counter, FileStats, Stats};
use crate::error::Result;
use crate::record::frame::HEADER_LEN;
use crate::vfs::dir::Dir;

/// Counts what the view names and what the directory costs. Lists the directory; reads no file.
///
/// How many keys there are is an estimate: whether an entry replaces another is known only when the two
/// meet.
pub(super) fn take(dir: &Dir, reads: &Reads, active_wal: Option<u64>, health: &Health) -> Result<Stats> {
    let view = reads.views.pin();
    let seqno = reads.snapshots.visible();
    let in_tables =
        |count: fn(&TableFile) -> u64| view.version.tables().map(|table| count(table)).sum::<u64>();
    let table_bytes = in_tables(|t| t.meta.len);
    let listed = dir.list()?.unwrap_or_default();
    let len = |name: &str| listed.iter().find(|entry| entry.name == name).map_or(0, |entry| entry.len);
    let sealed = view.sealed.iter().map(|sealed| (sealed.wal, &sealed.memtable, "sealed"));
    let logs = sealed.rev().chain(active_wal.map(|wal| (wal, &view.active, "active")));
    let log_files = logs.map(|(number, memtable, state)| FileStats {
        name: filename::wal(number),
        state: state.to_string(),
        bytes: len(&filename::wal(number)),
        live_bytes: len(&filename::wal(number)).saturating_sub(HEADER_LEN),
        entries: Some(memtable.len()),
        first_seqno: memtable.first_seqno(),
        last_seqno: memtable.last_seqno(),
        ..FileStats::default()
    });
    let files: Vec<FileStats> = log_files.chain(view.version.tables().map(|table| of_table(table))).collect();
    let live_bytes: u64 = files.iter().map(|file| file.live_bytes).sum();
    let live_in_tables = in_tables(live_bytes_of);
    let memtables = view.memtables().map(|memtable| memtable.bytes()).sum();
    let [indexes, filters, cache] = reads.tables.memory_bytes();
    let part = |name, value| Counter { name, value };
    let memory = vec![
        part("memtables", memtables),
        part("table indexes", indexes),
        part("filters", filters),
        part("block cache", cache),
    ];
    let ours = listed.iter().filter(|entry| filename::parse(&entry.name).is_some());
    Ok(Stats {
        engine: NAME,
        keys: estimate_keys(&view),
        is_estimate: true,
        seqno,
        disk_bytes: ours.map(|entry| entry.len).sum(),
        live_bytes,
        dead_bytes: table_bytes - live_in_tables,
        memory_bytes: memory.iter().map(|part| part.value).sum(),
        memory,
        snapshots: reads.snapshots.count(),
        files,
        poisoned: health.cause().map(ToString::to_string),
        ..Stats::default()
    })
}

/// About how many keys there are: every tombstone is taken to hide one entry, and every entry in memory to
/// be a new key.
pub(super) fn estimate_keys(view: &View) -> u64 {
    let tables = view.version.tables().map(|table| table.meta.entries - hidden_entries(table));
    let memtables = view.memtables().map(|memtable| memtable.len());
    tables.chain(memtables).sum()
}

/// Entries that hide another or are hidden.
fn hidden_entries(table: &TableFile) -> u64 {
    let meta = &table.meta;
    meta.tombstones.saturating_mul(2).saturating_add(meta.older).min(meta.entries)
}

fn live_bytes_of(table: &TableFile) -> u64 {
    let (live, all) = (table.meta.entries - hidden_entries(table), table.meta.entries);
    (u128::from(table.meta.len) * u128::from(live)).checked_div(u128::from(all)).unwrap_or(0) as u64
}

fn of_table(table: &TableFile) -> FileStats {
    FileStats {
        name: filename::table(table.number),
        state: "table".to_string(),
        level: Some(table.meta.level),
        bytes: table.meta.len,
        live_bytes: live_bytes_of(table),
        entries: Some(table.meta.entries),
        smallest: Some(table.smallest_user().to_vec()),
        largest: Some(table.largest_user().to_vec()),
        first_seqno: table.meta.first_seqno,
        last_seqno: table.meta.last_seqno,
    }
}
