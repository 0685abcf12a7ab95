//! Tables as a whole: against a map, and byte by byte.

mod damage;
mod reading;

use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::iter::EntryCursor;
use crate::engine::lsm::key::{self, Kind, internal, trailer};
use crate::engine::lsm::options::{Compression, Compressions, LsmOptions};
use crate::engine::lsm::table::block::BlockBuilder;
use crate::engine::lsm::table::builder::TableBuilder;
use crate::engine::lsm::table::cursor::{Access, TableCursor};
use crate::engine::lsm::table::layout::{Content, RegionKind};
use crate::engine::lsm::table::store::TableStore;
use crate::engine::lsm::table::{Lookup, Table};
use crate::engine::lsm::version::edit::TableMeta;
use crate::error::{Error, Result};
use crate::vfs::dir::Dir;
use crate::vfs::memory::{Record, SimDisk};
use crate::vfs::{Cause, Vfs};
use proptest::prelude::*;
use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;

const STORE: u64 = 0x5eed;
const ACCESSES: [Access; 2] = [Access::Point, Access::Sequential];

/// Internal keys and values, sorted.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.record(Record::Off);
    disk.create_dir(Path::new("/db")).unwrap();
    disk
}

fn dir(disk: &SimDisk) -> Dir {
    Dir::new(Arc::new(disk.clone()), Path::new("/db"))
}

fn build(dir: &Dir, number: u64, options: &LsmOptions, entries: &Entries) -> TableMeta {
    let mut builder = TableBuilder::create(dir, number, STORE, 2, options, Cause::Flush).unwrap();
    for (key, value) in entries {
        builder.add(key, value).unwrap();
        assert_eq!(builder.last_user_key(), key::user_key(key));
    }
    let estimate = builder.bytes();
    let meta = builder.finish().unwrap();
    assert!(estimate.abs_diff(meta.len) < 600 + meta.len / 4, "{estimate} for {}", meta.len);
    meta
}

fn open(dir: &Dir, number: u64, meta: &TableMeta, options: &LsmOptions) -> Result<Arc<Table>> {
    TableStore::new(dir.clone(), STORE, options).open(number, meta, Cause::Log).map(Arc::new)
}

fn set(key: &[u8], seqno: u64) -> Vec<u8> {
    internal(key, trailer(seqno, Kind::Set))
}

/// `n` keys of which every third has three versions, and every seventh ends with a tombstone.
fn entries(n: u64) -> Entries {
    let mut entries = Vec::new();
    for i in 0..n {
        let user_key = format!("key-{i:05}");
        let versions = if i % 3 == 0 { 3 } else { 1 };
        for version in (0..versions).rev() {
            let is_tombstone = i % 7 == 0 && version == versions - 1;
            let kind = if is_tombstone { Kind::Remove } else { Kind::Set };
            let value =
                if is_tombstone { Vec::new() } else { format!("value {i} {version} ").repeat(3).into() };
            entries.push((internal(user_key.as_bytes(), trailer(10 + 10 * version + i % 5, kind)), value));
        }
    }
    entries
}

/// Everything in it, read in one of many ways.
fn read_all(table: &Arc<Table>, access: Access) -> Result<Entries> {
    let mut cursor = TableCursor::new(table.clone(), access);
    let mut found = Vec::new();
    cursor.seek_to_first()?;
    while cursor.valid() {
        found.push((cursor.key().to_vec(), cursor.value().to_vec()));
        cursor.next()?;
    }
    Ok(found)
}

fn read_all_backward(table: &Arc<Table>, access: Access) -> Result<Entries> {
    let mut cursor = TableCursor::new(table.clone(), access);
    let mut found = Vec::new();
    cursor.seek_to_last()?;
    while cursor.valid() {
        found.push((cursor.key().to_vec(), cursor.value().to_vec()));
        cursor.prev()?;
    }
    found.reverse();
    Ok(found)
}

fn get(table: &Table, user_key: &[u8], at: u64) -> Result<Option<(u64, Kind, Vec<u8>)>> {
    Ok(match table.get(user_key, table.shelf().hash(user_key), at)? {
        Lookup::Found { seqno, kind, value } => Some((seqno, kind, value.to_vec())),
        Lookup::Absent | Lookup::Filtered => None,
    })
}

/// What a get should find.
fn expected(entries: &Entries, order: &Order, user_key: &[u8], at: u64) -> Option<(u64, Kind, Vec<u8>)> {
    let target = internal(user_key, key::seek_trailer(at));
    let first = entries.iter().find(|(key, _)| order.compare_internal(key, &target) != Ordering::Less)?;
    let (found, trailer) = key::split(&first.0);
    (found == user_key).then(|| (key::seqno(trailer), Kind::of(trailer).unwrap(), first.1.clone()))
}

fn options(
    block_bytes: u64,
    restart_interval: usize,
    filter_bits: usize,
    how: Compression,
    order: Order,
) -> LsmOptions {
    LsmOptions {
        block_bytes,
        restart_interval,
        filter_bits,
        compression: Compressions(vec![how]),
        comparator: Some(order),
        cache_bytes: 4096,
        ..LsmOptions::default()
    }
}

/// Reads a table in every way, and compares with what was put in.
fn check(table: &Arc<Table>, entries: &Entries, order: &Order) {
    assert_eq!(table.verify().len(), 0, "{:?}", table.verify());
    for access in ACCESSES {
        assert!(read_all(table, access).unwrap() == *entries, "{access:?}");
        assert!(read_all_backward(table, access).unwrap() == *entries, "{access:?} backward");
    }
    for (key, _) in entries {
        let (user_key, trailer) = key::split(key);
        let seqno = key::seqno(trailer);
        for at in [seqno.saturating_sub(1), seqno, seqno + 1, key::MAX_SEQNO] {
            assert_eq!(get(table, user_key, at).unwrap(), expected(entries, order, user_key, at));
        }
        let absent = [user_key, &b"\0"[..]].concat();
        assert_eq!(
            get(table, &absent, key::MAX_SEQNO).unwrap(),
            expected(entries, order, &absent, key::MAX_SEQNO)
        );
    }
}

#[test]
fn golden_bytes() {
    let dir = dir(&disk());
    let entries: Entries = vec![
        (set(b"apple", 3), b"red".to_vec()),
        (internal(b"apply", trailer(2, Kind::Remove)), Vec::new()),
        (set(b"pear", 1), b"green".to_vec()),
    ];
    let meta = build(&dir, 7, &options(256, 2, 0, Compression::None, Order::Bytewise), &entries);
    let bytes = dir.read("000007.sst", 1 << 20, Cause::Inspect).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [
        // The data block: shared 0, 13 bytes of key, 3 of value; key, seqno << 8 | set; value.
        "00 0d 03  6170706c65 0203000000000000  726564",
        // Four bytes shared with "apple".
        "04 09 00  79 0102000000000000",
        // A restart point.
        "00 0c 05  70656172 0201000000000000  677265656e",
        // Restart points 0 and 0x1f, two of them; not compressed; the checksum.
        "00000000 1f000000 02000000  00 bac613f5",
        // The index: a separator above "pear", "q", before all of its entries: offset 0, 0x44 bytes.
        "00 09 02  71 02ffffffffffffff  00 44  00000000 01000000  00 6d1a3394",
        // The properties: 3 entries, 1 tombstone, 22 bytes, of them in a block 63; seqnos 1 to 3.
        "0300000000000000 0100000000000000 0000000000000000",
        "1600000000000000 3f00000000000000",
        "0100000000000000 0300000000000000",
        // First and last key, the order, level 2, no filter, one partition, one plain block.
        "0d00000000000000 6170706c65 0203000000000000",
        "0c00000000000000 70656172 0201000000000000",
        "0800000000000000 6279746577697365  02 00000000 0100000000000000",
        "0100000000000000 0000000000000000 0000000000000000  00 201da8e6",
        // The top index: the index is at 0x44, of 0x1b bytes; there is no filter.
        "00 09 04  71 02ffffffffffffff  44 1b 00 00  00000000 01000000  00 aaec3541",
        // The footer: top index, properties, contents, format, checksum, magic.
        "fa00000000000000 1d00000000000000 5f00000000000000 9b00000000000000",
        "81c5a417b25b7915 01000000 77c6c925 4b56535441420001",
    ];
    assert_eq!(hex, parts.concat().replace(' ', ""));
    assert_eq!((meta.len, meta.entries, meta.tombstones, meta.raw_bytes), (bytes.len() as u64, 3, 1, 22));
    assert_eq!((meta.first_seqno, meta.last_seqno, meta.level), (1, 3, 2));
    assert_eq!((meta.smallest, meta.largest), (entries[0].0.clone(), entries[2].0.clone()));
}

#[test]
fn every_shape_of_table_answers_as_it_should() {
    let entries = entries(400);
    for how in [Compression::None, Compression::Lz4, Compression::Zstd] {
        for (block_bytes, interval, bits) in [(256, 1, 10), (256, 16, 0), (1000, 3, 10), (4096, 16, 10)] {
            let dir = dir(&disk());
            let options = options(block_bytes, interval, bits, how, Order::Bytewise);
            let meta = build(&dir, 3, &options, &entries);
            let table = open(&dir, 3, &meta, &options).unwrap();
            check(&table, &entries, &Order::Bytewise);
            let properties = table.properties();
            assert!(properties.partitions > 1 || block_bytes >= 1000, "{properties:?}");
            let compressed = properties.lz4_blocks + properties.zstd_blocks;
            assert_eq!(compressed > 0, how != Compression::None);
        }
    }
}

#[test]
fn the_order_may_be_reversed_or_the_users_own() {
    #[derive(Debug)]
    struct CaseFree;

    impl crate::engine::lsm::comparator::Comparator for CaseFree {
        fn name(&self) -> &str {
            "case-free"
        }

        fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
            a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase())
        }
    }

    for order in [Order::Reverse, Order::Own(Arc::new(CaseFree))] {
        let mut entries = entries(300);
        entries.sort_by(|a, b| order.compare_internal(&a.0, &b.0));
        let dir = dir(&disk());
        let options = options(256, 4, 10, Compression::None, order.clone());
        let meta = build(&dir, 3, &options, &entries);
        let table = open(&dir, 3, &meta, &options).unwrap();
        check(&table, &entries, &order);
        if order != Order::Reverse {
            assert_eq!(get(&table, b"KEY-00001", 99).unwrap(), get(&table, b"key-00001", 99).unwrap());
            assert!(get(&table, b"KEY-00001", 99).unwrap().is_some());
        }
        let wrong = open(&dir, 3, &meta, &LsmOptions::default()).unwrap_err();
        assert!(wrong.to_string().contains("order"), "{wrong}");
    }
}

#[test]
fn empty_keys_long_keys_and_large_values_fit() {
    for how in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let mut entries: Entries = vec![(set(b"", 9), b"".to_vec()), (set(b"", 2), b"older".to_vec())];
        for n in 0..5u8 {
            let long = [vec![b'a'; 65_534], vec![n]].concat();
            entries.push((set(&long, 5), vec![n; 1 << 20]));
            entries.push((set(&long, 4), vec![n; 3]));
        }
        entries.push((set(&[0xff; 65_535], 1), vec![7; 100]));
        let dir = dir(&disk());
        let options = options(256, 16, 10, how, Order::Bytewise);
        let meta = build(&dir, 3, &options, &entries);
        check(&open(&dir, 3, &meta, &options).unwrap(), &entries, &Order::Bytewise);
    }
}

#[test]
fn what_can_not_be_a_table_is_refused() {
    let dir = dir(&disk());
    let options = LsmOptions::tiny();
    let begin = |number| TableBuilder::create(&dir, number, STORE, 0, &options, Cause::Flush).unwrap();
    assert!(begin(1).finish().is_err());
    let mut builder = begin(2);
    builder.add(&set(b"b", 5), b"").unwrap();
    for key in [set(b"a", 9), set(b"b", 5), set(b"b", 6), b"short".to_vec()] {
        assert!(matches!(builder.add(&key, b""), Err(Error::InvalidArgument(_))), "{key:?}");
    }
    builder.add(&set(b"b", 4), b"").unwrap();
    assert_eq!(builder.finish().unwrap().entries, 2);
}

#[test]
fn every_part_of_the_file_is_shown() {
    let dir = dir(&disk());
    let options = options(256, 3, 10, Compression::Lz4, Order::Bytewise);
    let all = entries(200);
    let meta = build(&dir, 3, &options, &all);
    let table = open(&dir, 3, &meta, &options).unwrap();
    let layout = table.layout();
    let mut found = Entries::new();
    let mut next = 0;
    for &region in &layout.regions {
        assert_eq!(region.at.offset, next);
        next = region.at.end();
        let decoded = table.decode(region).unwrap();
        match (region.kind, decoded.content) {
            (RegionKind::Data, Content::Entries(entries)) => {
                assert!(decoded.restarts == entries.len().div_ceil(3) && entries[0].at == 0);
                found.extend(entries.into_iter().map(|entry| (entry.key, entry.value)));
            }
            (RegionKind::Filter, Content::Filter(filter)) => assert!((0.2..0.7).contains(&filter.fill())),
            (RegionKind::Index, Content::Index(blocks)) => assert_eq!(blocks.len(), decoded.restarts),
            (RegionKind::Top, Content::Top(parts)) => {
                assert_eq!(parts.len() as u64, table.properties().partitions);
                assert!(parts.iter().all(|(_, _, filter)| filter.is_some()));
            }
            (RegionKind::Properties, Content::Properties(properties)) => {
                assert_eq!(&properties, table.properties());
            }
            (RegionKind::Footer, Content::Footer(footer)) => assert_eq!(footer.contents, meta.contents),
            (kind, content) => panic!("{kind:?}: {content:?}"),
        }
    }
    assert!(next == meta.len && found == all && layout.damage.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Random tables, random walks: a cursor is an index into a sorted vector.
    #[test]
    fn cursors_walk_as_on_a_vector(
        raw in prop::collection::btree_set(("[a-c]{0,5}", 1u64..6), 1..120),
        value_len in 0usize..60,
        interval in 1usize..8,
        lz4: bool, reverse: bool, sequential: bool,
        steps in prop::collection::vec((0u8..8, "[a-d]{0,5}", 0u64..7), 1..150),
    ) {
        let how = if lz4 { Compression::Lz4 } else { Compression::None };
        let order = if reverse { Order::Reverse } else { Order::Bytewise };
        let access = if sequential { Access::Sequential } else { Access::Point };
        let mut entries: Entries =
            raw.iter().map(|(key, seqno)| (set(key.as_bytes(), *seqno), vec![*seqno as u8; value_len])).collect();
        entries.sort_by(|a, b| order.compare_internal(&a.0, &b.0));
        let dir = dir(&disk());
        let options = options(256, interval, 10, how, order.clone());
        let meta = build(&dir, 3, &options, &entries);
        let table = open(&dir, 3, &meta, &options).unwrap();
        let mut cursor = TableCursor::new(table.clone(), access);
        let mut at: Option<usize> = None;
        for (step, key, seqno) in steps {
            at = match (step, at) {
                (0, _) => { cursor.seek_to_first().unwrap(); Some(0) }
                (1, _) => { cursor.seek_to_last().unwrap(); Some(entries.len() - 1) }
                (2..=4, Some(at)) => { cursor.next().unwrap(); (at + 1 < entries.len()).then_some(at + 1) }
                (5..=6, Some(at)) => { cursor.prev().unwrap(); at.checked_sub(1) }
                _ => {
                    let target = internal(key.as_bytes(), key::seek_trailer(seqno));
                    cursor.seek(&target).unwrap();
                    prop_assert_eq!(get(&table, key.as_bytes(), seqno).unwrap(),
                        expected(&entries, &order, key.as_bytes(), seqno));
                    let below = |entry: &(Vec<u8>, Vec<u8>)| order.compare_internal(&entry.0, &target) == Ordering::Less;
                    let found = entries.partition_point(below);
                    (found < entries.len()).then_some(found)
                }
            };
            prop_assert_eq!(cursor.valid(), at.is_some());
            if let Some(at) = at {
                prop_assert_eq!((cursor.key(), cursor.value()), (&entries[at].0[..], &entries[at].1[..]));
            }
        }
    }
}

/// A block ends before the entry that would make it larger than it should be; one entry makes a block, however
/// large it is.
#[test]
fn blocks_have_the_size_that_was_asked_for() {
    let dir = dir(&disk());
    let pairs: Entries = [b"a", b"b", b"c"].map(|key| (set(key, 1), vec![7; 90])).to_vec();
    let (mut out, mut block) = (Vec::new(), BlockBuilder::new(16));
    block.add(&mut out, &pairs[0].0, &pairs[0].1);
    let two = block.byte_len(&out) + pairs[1].0.len() + pairs[1].1.len();
    let properties = |block_bytes: usize| {
        let options = options(block_bytes as u64, 16, 10, Compression::None, Order::Bytewise);
        let meta = build(&dir, block_bytes as u64, &options, &pairs);
        let table = open(&dir, block_bytes as u64, &meta, &options).unwrap();
        table.properties().clone()
    };
    let blocks = [20, two - 1, two].map(|bytes| properties(bytes).blocks());
    assert_eq!(blocks, [3, 3, 2]);
    let found = properties(two);
    assert_eq!((found.partitions, found.filter_bits), (1, 10));
    block.add(&mut out, &pairs[1].0, &pairs[1].1);
    block.finish(&mut out);
    let (mut last, mut block) = (Vec::new(), BlockBuilder::new(16));
    block.add(&mut last, &pairs[2].0, &pairs[2].1);
    block.finish(&mut last);
    assert_eq!(found.block_bytes, (out.len() + last.len()) as u64);
}

#[test]
fn a_filter_has_a_key_once() {
    let bytes = |filter_bits| {
        let options = options(4096, 16, filter_bits, Compression::None, Order::Bytewise);
        let mut builder = TableBuilder::create(&dir(&disk()), 3, STORE, 2, &options, Cause::Flush).unwrap();
        (1..100).rev().for_each(|seqno| builder.add(&set(b"key", seqno), b"").unwrap());
        assert!(format!("{builder:?}").contains("000003.sst"));
        builder.bytes()
    };
    assert_eq!(bytes(80) - bytes(8), 72 / 8);
}
