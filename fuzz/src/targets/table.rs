//! A whole table: opened, taken apart, read both ways, and asked for keys.

use super::disk::{self, STORE};
use super::input::Input;
use super::mend;
use kvs::engine::filename;
use kvs::engine::lsm::comparator::Order;
use kvs::engine::lsm::iter::EntryCursor;
use kvs::engine::lsm::key::{self, Kind, MAX_SEQNO, internal, trailer};
use kvs::engine::lsm::options::{Compression, Compressions, LsmOptions};
use kvs::engine::lsm::table::builder::TableBuilder;
use kvs::engine::lsm::table::cursor::{Access, TableCursor};
use kvs::engine::lsm::table::format::Salt;
use kvs::engine::lsm::table::shelf::Shelf;
use kvs::engine::lsm::table::{Lookup, Table};
use kvs::error::Result;
use kvs::vfs::Cause;
use std::cmp::Ordering;
use std::sync::Arc;

const NUMBER: u64 = 3;

/// Internal keys and values.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// `choice:u8 key file`. A table that is found whole is the same read forward and backward, in the order of
/// its keys, with as many entries as it says; and a get finds the newest entry of each key.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let sought = input.bytes();
    let mut bytes = input.rest().to_vec();
    if choice & 1 == 1 {
        mend::table(&mut bytes, Salt::new(STORE, NUMBER));
    }
    let options = LsmOptions {
        comparator: (choice & 2 == 2).then_some(Order::Reverse),
        cache_bytes: if choice & 4 == 4 { 0 } else { 8 << 10 },
        ..LsmOptions::tiny()
    };
    let shelf = Arc::new(Shelf::new(disk::with(&filename::table(NUMBER), &bytes), STORE, &options));
    let Ok(table) = Table::open(&shelf, NUMBER, Cause::Inspect) else { return };
    assert_eq!(table.len(), bytes.len() as u64);
    let is_whole = table.verify().is_empty();
    let table = Arc::new(table);
    let _ = get(&table, sought, MAX_SEQNO);
    let _ = seek(&table, &internal(sought, u64::MAX));
    let access = if choice & 8 == 8 { Access::Point } else { Access::Sequential };
    let (forward, backward) = (forward(&table, access), backward(&table, access));
    if is_whole {
        let forward = forward.expect("the table is whole");
        assert_eq!(Ok(&forward), backward.as_ref().map_err(ToString::to_string), "backward");
        check(&table, &forward);
    }
}

fn check(table: &Table, entries: &Entries) {
    let order = &table.shelf().order;
    let is_sorted =
        |pair: &[(Vec<u8>, Vec<u8>)]| order.compare_internal(&pair[0].0, &pair[1].0) == Ordering::Less;
    assert!(entries.windows(2).all(is_sorted), "{entries:?}");
    assert_eq!(table.properties().entries, entries.len() as u64);
    let mut before: Option<&[u8]> = None;
    for (internal, value) in entries {
        let (user_key, trailer) = key::split(internal);
        if before != Some(user_key) {
            let found = get(table, user_key, MAX_SEQNO).expect("the table is whole");
            let kind = Kind::of(trailer).expect("the table is whole");
            assert_eq!(found, Some((key::seqno(trailer), kind, value.clone())));
        }
        before = Some(user_key);
    }
}

fn get(table: &Table, user_key: &[u8], at: u64) -> Result<Option<(u64, Kind, Vec<u8>)>> {
    Ok(match table.get(user_key, table.shelf().hash(user_key), at)? {
        Lookup::Found { seqno, kind, value } => Some((seqno, kind, value.to_vec())),
        Lookup::Absent | Lookup::Filtered => None,
    })
}

/// Looks around a key: on from it, and back over it.
fn seek(table: &Arc<Table>, internal: &[u8]) -> Result<()> {
    let mut cursor = TableCursor::new(table.clone(), Access::Point);
    cursor.seek(internal)?;
    for step in [1, 1, 0, 0, 0, 1] {
        if cursor.valid() {
            let _ = (cursor.key().len(), cursor.value().len());
            if step == 1 { cursor.next()? } else { cursor.prev()? }
        }
    }
    Ok(())
}

fn forward(table: &Arc<Table>, access: Access) -> Result<Entries> {
    let (mut cursor, mut found) = (TableCursor::new(table.clone(), access), Vec::new());
    cursor.seek_to_first()?;
    while cursor.valid() && found.len() <= MOST {
        found.push((cursor.key().to_vec(), cursor.value().to_vec()));
        cursor.next()?;
    }
    Ok(found)
}

fn backward(table: &Arc<Table>, access: Access) -> Result<Entries> {
    let (mut cursor, mut found) = (TableCursor::new(table.clone(), access), Vec::new());
    cursor.seek_to_last()?;
    while cursor.valid() && found.len() <= MOST {
        found.push((cursor.key().to_vec(), cursor.value().to_vec()));
        cursor.prev()?;
    }
    found.reverse();
    Ok(found)
}

/// An index may name one block many times: a walk over it is not longer than this.
const MOST: usize = 4096;

/// A table that the engine writes.
pub(crate) fn build(options: &LsmOptions, entries: &Entries) -> Vec<u8> {
    let dir = disk::with("other", b"");
    let what = "a disk in memory does not fail";
    let mut builder = TableBuilder::create(&dir, NUMBER, STORE, 2, options, Cause::Flush).expect(what);
    for (key, value) in entries {
        builder.add(key, value).expect("keys in order");
    }
    builder.finish().expect(what);
    dir.read(&filename::table(NUMBER), u64::MAX, Cause::Inspect).expect(what)
}

/// `n` keys, of which some have two versions and some end with a tombstone.
fn entries(n: u64) -> Entries {
    let mut entries = Vec::new();
    for i in 0..n {
        let user_key = format!("k{i:03}");
        for version in (0..1 + u64::from(i % 3 == 0)).rev() {
            let is_set = version == 0 || i % 2 == 0;
            let kind = if is_set { Kind::Set } else { Kind::Remove };
            let value = if is_set { vec![b'a' + (i % 26) as u8; 12] } else { Vec::new() };
            entries.push((internal(user_key.as_bytes(), trailer(1 + 100 * version + i, kind)), value));
        }
    }
    entries
}

/// Tables: with and without filters, compressed, of one partition and of more, in both orders.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let tiny = LsmOptions::tiny;
    let compressed = |how| LsmOptions { compression: Compressions(vec![how]), ..tiny() };
    let plain = LsmOptions { filter_bits: 0, ..compressed(Compression::None) };
    let mut seeds = Vec::new();
    for (options, count) in [
        (plain.clone(), 3),
        (plain, 40),
        (compressed(Compression::None), 20),
        (compressed(Compression::Lz4), 20),
        (compressed(Compression::Zstd), 20),
        (LsmOptions { restart_interval: 1, ..compressed(Compression::None) }, 30),
    ] {
        let file = build(&options, &entries(count));
        seeds.extend([0, 9].map(|choice| [&[choice, 4][..], b"k002", &file].concat()));
    }
    let reverse = LsmOptions { comparator: Some(Order::Reverse), ..tiny() };
    let mut entries = entries(9);
    entries.sort_by(|a, b| Order::Reverse.compare_internal(&a.0, &b.0));
    seeds.push([&[7, 4][..], b"k002", &build(&reverse, &entries)].concat());
    seeds
}
