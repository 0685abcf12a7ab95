//! Tables as a whole: against a map, byte by byte, and damaged in every way.

use crate::engine::explain::Step;
use crate::engine::filename;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::iter::EntryCursor;
use crate::engine::lsm::key::{self, Kind, internal, trailer};
use crate::engine::lsm::options::{Compression, Compressions, LsmOptions};
use crate::engine::lsm::table::block::BlockBuilder;
use crate::engine::lsm::table::builder::TableBuilder;
use crate::engine::lsm::table::cursor::{Access, Looked, TableCursor};
use crate::engine::lsm::table::format::{Footer, Properties, Salt, TRAILER_LEN};
use crate::engine::lsm::table::layout::{Content, Region, RegionKind};
use crate::engine::lsm::table::store::{TableSlot, TableStore};
use crate::engine::lsm::table::{Lookup, Table};
use crate::engine::lsm::version::edit::TableMeta;
use crate::error::{Error, Result};
use crate::vfs::counting::CountingDisk;
use crate::vfs::dir::Dir;
use crate::vfs::fault::{At, Call, Errno, Fault, FaultDisk, Lasting};
use crate::vfs::memory::{Record, SimDisk};
use crate::vfs::os::OsDisk;
use crate::vfs::{Cause, Vfs};
use proptest::prelude::*;
use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

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
        comparator: order,
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

/// The answers of a table that may be damaged: an error, or those of the whole one.
fn reads_right_or_fails(dir: &Dir, meta: &TableMeta, options: &LsmOptions, entries: &Entries) -> bool {
    let Ok(table) = open(dir, 3, meta, options) else { return false };
    let mut is_right = table.verify().is_empty();
    for access in ACCESSES {
        for read in [read_all(&table, access), read_all_backward(&table, access)] {
            match read {
                Ok(found) => assert!(found == *entries, "another answer"),
                Err(error) => {
                    assert!(error.is_corruption(), "{error}");
                    is_right = false;
                }
            }
        }
    }
    for (key, value) in entries {
        let (user_key, trailer) = key::split(key);
        match get(&table, user_key, key::seqno(trailer)) {
            Ok(found) => assert_eq!(found.unwrap().2, *value),
            Err(error) => assert!(error.is_corruption(), "{error}"),
        }
    }
    is_right
}

/// Puts other bytes in the place of table 3.
fn forge(dir: &Dir, bytes: &[u8]) {
    dir.create(&filename::table(3), Cause::Inspect).unwrap().append(bytes).unwrap();
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    for how in [Compression::None, Compression::Zstd] {
        let dir = dir(&disk());
        let options = LsmOptions { cache_bytes: 0, ..options(256, 3, 10, how, Order::Bytewise) };
        let entries = entries(12);
        let meta = build(&dir, 3, &options, &entries);
        let bytes = dir.read(&filename::table(3), 1 << 20, Cause::Inspect).unwrap();
        assert!(reads_right_or_fails(&dir, &meta, &options, &entries));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            forge(&dir, &flipped);
            assert!(!reads_right_or_fails(&dir, &meta, &options, &entries), "bit {bit} of byte {}", bit / 8);
        }
        for cut in 0..bytes.len() {
            forge(&dir, &bytes[..cut]);
            assert!(open(&dir, 3, &meta, &options).unwrap_err().is_corruption(), "cut at {cut}");
        }
        forge(&dir, &[&bytes[..], b"\0"].concat());
        assert!(open(&dir, 3, &meta, &options).unwrap_err().is_corruption());
    }
}

/// A checksum tells damage, not malice: bytes that were forged with care are read without a panic, an
/// endless loop or a huge allocation, whatever they answer.
#[test]
fn forged_blocks_do_no_harm() {
    for how in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let dir = dir(&disk());
        let options = LsmOptions { cache_bytes: 0, ..options(256, 3, 10, how, Order::Bytewise) };
        let entries = entries(12);
        let meta = build(&dir, 3, &options, &entries);
        let bytes = dir.read(&filename::table(3), 1 << 20, Cause::Inspect).unwrap();
        let salt = Salt::new(STORE, 3);
        let regions = open(&dir, 3, &meta, &options).unwrap().layout().regions;
        for region in regions.iter().filter(|region| region.kind != RegionKind::Footer) {
            let (begin, end) = (region.at.offset as usize, region.at.end() as usize - 4);
            for bit in begin * 8..end * 8 {
                let mut forged = bytes.clone();
                forged[bit / 8] ^= 1 << (bit % 8);
                let sum = salt.checksum(region.at.offset, &forged[begin..end]);
                forged[end..end + 4].copy_from_slice(&sum.to_le_bytes());
                forge(&dir, &forged);
                let Ok(table) = open(&dir, 3, &meta, &options) else { continue };
                assert!(!table.verify().is_empty(), "bit {bit} of byte {}: {region:?}", bit / 8);
                for access in ACCESSES {
                    drop((read_all(&table, access), read_all_backward(&table, access)));
                }
                entries.iter().for_each(|(key, _)| drop(get(&table, key::user_key(key), 15)));
            }
        }
    }
}

#[test]
fn tables_are_read_through_maps_too() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = Dir::new(Arc::new(OsDisk), temporary.path());
    for how in [Compression::None, Compression::Zstd] {
        let options = LsmOptions { mmap: true, ..options(256, 3, 10, how, Order::Bytewise) };
        let entries = entries(100);
        let meta = build(&dir, 3, &options, &entries);
        check(&open(&dir, 3, &meta, &options).unwrap(), &entries, &Order::Bytewise);
    }
}

#[test]
fn blocks_and_tables_pass_in_their_own_place_only() {
    let dir = dir(&disk());
    let options = LsmOptions { cache_bytes: 0, ..options(256, 3, 10, Compression::None, Order::Bytewise) };
    // Blocks of one size: every value is as long as every other.
    let fixed =
        |salt: u8| -> Entries { (0..60u8).map(|n| (set(&[b'k', n], 5), vec![n ^ salt; 100])).collect() };
    let entries = fixed(0);
    let meta = build(&dir, 3, &options, &entries);
    let bytes = dir.read(&filename::table(3), 1 << 20, Cause::Inspect).unwrap();
    let table = open(&dir, 3, &meta, &options).unwrap();
    let regions = table.layout().regions;
    let data: Vec<_> = regions.iter().filter(|region| region.kind == RegionKind::Data).collect();
    let place = |n: usize| data[n].at.offset as usize..data[n].at.end() as usize;
    assert_eq!(place(0).len(), place(1).len());

    let mut swapped = bytes.clone();
    let (first, second) = (bytes[place(0)].to_vec(), bytes[place(1)].to_vec());
    swapped[place(0)].copy_from_slice(&second);
    swapped[place(1)].copy_from_slice(&first);
    forge(&dir, &swapped);
    assert!(!reads_right_or_fails(&dir, &meta, &options, &entries), "two blocks were swapped");

    // Another table of the store, and an older one of the same number.
    let other = build(&dir, 4, &options, &fixed(1));
    let foreign = dir.read(&filename::table(4), 1 << 20, Cause::Inspect).unwrap();
    forge(&dir, &foreign);
    assert!(open(&dir, 3, &meta, &options).unwrap_err().is_corruption());
    assert!(open(&dir, 3, &other, &options).unwrap_err().is_corruption(), "it is bound to its number");
    assert_eq!(build(&dir, 3, &options, &fixed(1)).len, meta.len);
    assert!(open(&dir, 3, &meta, &options).unwrap_err().to_string().contains("not the table"));

    // A block of it in the whole table's place.
    let older = dir.read(&filename::table(3), 1 << 20, Cause::Inspect).unwrap();
    let mut mixed = bytes.clone();
    mixed[place(2)].copy_from_slice(&older[place(2)]);
    forge(&dir, &mixed);
    let table = open(&dir, 3, &meta, &options).unwrap();
    let damage = table.verify();
    assert!(damage.len() == 1 && damage[0].to_string().contains("identity"), "{damage:?}");
}

#[test]
fn a_damaged_filter_or_index_is_never_not_found() {
    let dir = dir(&disk());
    let options = options(256, 3, 10, Compression::None, Order::Bytewise);
    let entries = entries(200);
    let meta = build(&dir, 3, &options, &entries);
    let bytes = dir.read(&filename::table(3), 1 << 20, Cause::Inspect).unwrap();
    let layout = open(&dir, 3, &meta, &options).unwrap().layout();
    for kind in [RegionKind::Filter, RegionKind::Index, RegionKind::Data] {
        let region = layout.regions.iter().find(|region| region.kind == kind).unwrap();
        let mut damaged = bytes.clone();
        damaged[region.at.offset as usize + 5] ^= 1;
        forge(&dir, &damaged);
        let table = open(&dir, 3, &meta, &options).unwrap();
        let user_key = key::user_key(&entries[0].0);
        let error = get(&table, user_key, key::MAX_SEQNO).unwrap_err();
        let at = region.at.offset;
        assert!(matches!(error, Error::Corruption { offset, .. } if offset == at), "{kind:?}: {error}");
        // What does not need the damaged part is still answered.
        let last = entries.last().unwrap();
        assert_eq!(get(&table, key::user_key(&last.0), key::MAX_SEQNO).unwrap().unwrap().2, last.1);
        assert!(!table.verify().is_empty());
        assert_eq!(table.layout().damage.len(), usize::from(kind == RegionKind::Index));
    }
}

#[test]
fn absent_keys_cost_a_block_once_in_a_hundred() {
    let dir = dir(&disk());
    let options = LsmOptions { cache_bytes: 1 << 20, ..LsmOptions::default() };
    let entries: Entries =
        (0..20_000u64).map(|n| (set(format!("{:08}", 2 * n).as_bytes(), 1), vec![0; 10])).collect();
    let meta = build(&dir, 3, &options, &entries);
    let table = open(&dir, 3, &meta, &options).unwrap();
    let mut passed = 0;
    for n in 0..20_000u64 {
        let key = format!("{:08}", 2 * n + 1);
        match table.get(key.as_bytes(), table.shelf().hash(key.as_bytes()), 9).unwrap() {
            Lookup::Filtered => {}
            Lookup::Absent => passed += 1,
            found => panic!("{found:?}"),
        }
    }
    assert!((50..=220).contains(&passed), "{passed} of 20,000");
    // The last key is above all separators, so that no filter was asked.
    assert!(passed - table.shelf().counters.false_positives.load(std::sync::atomic::Ordering::Relaxed) <= 1);
}

#[test]
fn a_get_says_what_it_looked_at() {
    let dir = dir(&disk());
    let options = options(256, 3, 10, Compression::None, Order::Bytewise);
    let meta = build(&dir, 3, &options, &entries(200));
    let table = open(&dir, 3, &meta, &options).unwrap();
    let explain = |key: &[u8]| {
        let mut step = Step::default();
        table.explain(key, table.shelf().hash(key), 99, &mut step).unwrap();
        (step.filter, step.blocks, step.cached, step.bytes > 0)
    };
    assert_eq!(explain(b"key-00001"), (Some("maybe"), 3, 0, true), "filter, index, block");
    assert_eq!(explain(b"key-00001"), (Some("maybe"), 1, 1, true));
    assert_eq!(explain(b"key-00001x"), (Some("absent"), 0, 0, false));
    assert_eq!(explain(b"zebra"), (None, 0, 0, false));
    assert!(table.memory_bytes() > 1000);
}

#[test]
fn a_cursor_says_what_it_looked_at() {
    let dir = dir(&disk());
    let options = options(256, 3, 10, Compression::None, Order::Bytewise);
    let meta = build(&dir, 3, &options, &entries(200));
    let table = open(&dir, 3, &meta, &options).unwrap();
    for is_cached in [false, true] {
        let mut cursor = TableCursor::new(table.clone(), Access::Point);
        assert_eq!(cursor.looked(), Looked::default());
        cursor.seek(&set(b"key-00100", 99)).unwrap();
        let Looked { blocks, cached, bytes } = cursor.looked();
        assert_eq!((blocks, cached, bytes > 0), (1, u64::from(is_cached), true));
    }
}

#[test]
fn scans_leave_the_cache_alone_and_gets_use_it() {
    let dir = dir(&disk());
    let options = LsmOptions { cache_bytes: 1 << 20, ..LsmOptions::default() };
    let entries = entries(5000);
    let meta = build(&dir, 3, &options, &entries);
    let store = TableStore::new(dir, STORE, &options);
    let table = Arc::new(store.open(3, &meta, Cause::Log).unwrap());
    read_all(&table, Access::Sequential).unwrap();
    assert_eq!(store.shelf().cache.counts().inserts, 0);
    read_all(&table, Access::Point).unwrap();
    assert!(store.shelf().cache.counts().inserts <= 3, "it has begun to read ahead");
    for _ in 0..2 {
        entries.iter().for_each(|(key, _)| drop(get(&table, key::user_key(key), 99).unwrap()));
    }
    let counts = store.shelf().cache.counts();
    assert!(counts.inserts == table.properties().blocks() && counts.hits > 10 * counts.inserts, "{counts:?}");
    assert_eq!(counts.evictions, 0);
}

#[test]
fn no_more_tables_are_open_than_may_be() {
    let disk = CountingDisk::new(Arc::new(disk()));
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let dir = Dir::new(vfs, Path::new("/db"));
    let options = LsmOptions { max_open_tables: 3, ..LsmOptions::tiny() };
    let all = entries(20);
    let metas: Vec<_> = (0..10).map(|number| build(&dir, number, &options, &all)).collect();
    let slots: Vec<_> = (0..10).map(|_| TableSlot::default()).collect();
    let store = TableStore::new(dir, STORE, &options);
    let find = |n: usize| store.find(n as u64, &metas[n], &slots[n]).unwrap();
    let opens = || disk.ledger().names.opens;
    let held = find(0).share();
    for round in 0..3 {
        for n in 0..10 {
            assert_eq!(find(n).number(), n as u64);
            assert!(store.open_tables() <= 3, "round {round}: {}", store.open_tables());
            let full = slots.iter().filter(|slot| slot.is_full()).count();
            assert_eq!(full, store.open_tables(), "all that are open are known");
        }
    }
    assert!(read_all(&held, Access::Point).unwrap() == all, "a table that is used stays");
    let before = opens();
    for _ in 0..100 {
        assert_eq!((find(9).number(), find(8).number()), (9, 8));
    }
    assert!(opens() - before <= 2, "what is used is not closed");
    drop(slots);
    assert_eq!((store.open_tables(), store.close_all()), (0, 0));
    assert!(read_all(&held, Access::Point).unwrap() == all);
}

#[test]
fn memory_is_what_indexes_and_filters_of_open_tables_take() {
    let disk = disk();
    let dir = dir(&disk);
    let options = LsmOptions { cache_bytes: 1 << 20, ..LsmOptions::tiny() };
    let all = entries(200);
    let metas = [1, 2].map(|number| build(&dir, number, &options, &all));
    let slots = [(); 2].map(|()| TableSlot::default());
    let store = TableStore::new(dir, STORE, &options);
    assert_eq!(store.memory_bytes(), [0, 0, 0]);
    let mut sums = [0, 0];
    for (meta, (number, slot)) in metas.iter().zip([1, 2].into_iter().zip(&slots)) {
        let table = store.find(number, meta, slot).unwrap().share();
        let [fresh, filters] = [table.memory_bytes(), table.filter_bytes()];
        assert_eq!(filters, 0, "nothing was asked for yet");
        for (key, _) in &all {
            get(&table, key::user_key(key), key::MAX_SEQNO).unwrap().unwrap();
        }
        let [all, filters] = [table.memory_bytes(), table.filter_bytes()].map(|bytes| bytes as u64);
        // Ten bits a key, in lines of 64 bytes; indexes are copies of what is in the file, and a little more.
        assert!((200 * 10 / 8..200 * 10 / 4).contains(&filters), "{filters}");
        assert!(
            all > filters + fresh as u64 && all - filters < meta.len,
            "{all} {filters} {fresh} {}",
            meta.len
        );
        sums = [sums[0] + all - filters, sums[1] + filters];
    }
    assert_eq!(store.memory_bytes()[..2], sums);
    assert!(store.memory_bytes()[2] > 0, "blocks in the cache");
}

#[test]
fn a_read_that_fails_is_an_error_and_nothing_stays_behind() {
    let inner = disk();
    let options = LsmOptions { cache_bytes: 512, ..options(256, 3, 10, Compression::Lz4, Order::Bytewise) };
    let all = entries(30);
    let meta = build(&dir(&inner), 3, &options, &all);
    let slot = TableSlot::default();
    let store = |disk: &FaultDisk| {
        let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
        TableStore::new(Dir::new(vfs, Path::new("/db")), STORE, &options)
    };
    let read = |store: &TableStore, slot: &TableSlot| -> Result<()> {
        let table = store.find(3, &meta, slot)?.share();
        for (key, value) in &all {
            let (user_key, trailer) = key::split(key);
            assert_eq!(get(&table, user_key, key::seqno(trailer))?.unwrap().2, *value);
        }
        for access in ACCESSES {
            assert!(read_all(&table, access)? == all && read_all_backward(&table, access)? == all);
        }
        Ok(())
    };
    let quiet = FaultDisk::new(Arc::new(inner.clone()));
    read(&store(&quiet), &slot).unwrap();
    assert!(quiet.operations() > 30, "{}", quiet.operations());
    for index in 0..quiet.operations() {
        let disk = FaultDisk::new(Arc::new(inner.clone()));
        disk.fail_at(index, Errno::Io);
        let (store, slot) = (store(&disk), TableSlot::default());
        let error = read(&store, &slot).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{index}: {error}");
        read(&store, &slot).unwrap();
    }
}

#[test]
fn tables_are_closed_when_the_process_has_no_descriptor_left() {
    let disk = FaultDisk::new(Arc::new(disk()));
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let dir = Dir::new(vfs, Path::new("/db"));
    let options = LsmOptions::default();
    let metas = [3, 4].map(|number| build(&dir, number, &options, &entries(3)));
    let store = TableStore::new(dir, STORE, &options);
    let [first, second] = [TableSlot::default(), TableSlot::default()];
    disk.rule(At::first(Call::Open, "000003.sst"), Fault::Fail(Errno::TooManyFiles), Lasting::Once);
    assert!(store.find(3, &metas[0], &first).is_err(), "there is nothing to close");
    store.find(3, &metas[0], &first).unwrap();
    disk.rule(At::first(Call::Open, "000004.sst"), Fault::Fail(Errno::TooManyFiles), Lasting::Once);
    store.find(4, &metas[1], &second).unwrap();
    assert_eq!(store.open_tables(), 1);
    store.find(3, &metas[0], &first).unwrap();
    assert_eq!(store.open_tables(), 2);
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

/// An error that has nothing to do with descriptors closes nothing, and is not tried again.
#[test]
fn only_a_lack_of_descriptors_closes_tables() {
    let dir = dir(&disk());
    let options = LsmOptions::default();
    let (meta, slot) = (build(&dir, 3, &options, &entries(3)), TableSlot::default());
    let store = TableStore::new(dir, STORE, &options);
    assert_eq!(format!("{:?}", store.find(3, &meta, &slot).unwrap()), "OpenTable(3)");
    for (errno, tries, left) in [(libc::EIO, 1, 1), (libc::EMFILE, 2, 0)] {
        let tried = std::cell::Cell::new(0);
        let failed = store.with_descriptor(|| -> Result<()> {
            tried.set(tried.get() + 1);
            let source = Arc::new(std::io::Error::from_raw_os_error(errno));
            Err(Error::Io { op: "open", path: "/db".into(), source })
        });
        assert!(failed.is_err() && (tried.get(), store.open_tables()) == (tries, left), "{errno}");
    }
}

/// Changes one part of a table, and makes all checksums right, and the identity: what is left to tell is what
/// the parts say of each other. Returns what a verification says.
fn forged(kind: RegionKind, change: impl FnOnce(&mut [u8])) -> Vec<String> {
    let dir = dir(&disk());
    let options = LsmOptions { cache_bytes: 0, ..options(256, 3, 10, Compression::None, Order::Bytewise) };
    let meta = build(&dir, 3, &options, &entries(40));
    let mut bytes = dir.read(&filename::table(3), 1 << 20, Cause::Inspect).unwrap();
    let table = open(&dir, 3, &meta, &options).unwrap();
    let (salt, regions) = (Salt::new(STORE, 3), table.layout().regions);
    let changed = regions.iter().find(|region| region.kind == kind).unwrap().at;
    change(&mut bytes[changed.offset as usize..changed.end() as usize - TRAILER_LEN]);
    let mut contents = Xxh3::new();
    for Region { at, .. } in regions.iter().filter(|region| region.kind != RegionKind::Footer) {
        let block = &mut bytes[at.offset as usize..at.end() as usize];
        let (body, sum) = block.split_last_chunk_mut::<4>().unwrap();
        *sum = salt.checksum(at.offset, body).to_le_bytes();
        contents.update(&*sum);
    }
    let at = table.footer_at().offset;
    let contents = if kind == RegionKind::Footer { 0 } else { contents.digest() };
    let footer = Footer { contents, ..*table.footer() }.encode(salt, at);
    bytes.truncate(at as usize);
    bytes.extend_from_slice(&footer);
    forge(&dir, &bytes);
    let table = TableStore::new(dir, STORE, &options).shelf().clone();
    Table::open(&table, 3, Cause::Log).unwrap().verify().iter().map(|error| error.to_string()).collect()
}

/// Replaces the first byte of the first key, or of all keys, of a block.
fn rename(from: u8, to: u8, count: usize) -> impl FnOnce(&mut [u8]) {
    move |block| {
        let places = (0..block.len()).filter(|&at| block[at..].starts_with(&[from, b'e', b'y', b'-']));
        places.collect::<Vec<_>>().into_iter().take(count).for_each(|at| block[at] = to);
    }
}

#[test]
fn what_parts_say_of_each_other_is_verified() {
    let says = |found: &[String], reason: &str| found.iter().any(|error| error.contains(reason));
    assert_eq!(forged(RegionKind::Data, |_| ()), Vec::<String>::new());
    let found = forged(RegionKind::Data, rename(b'k', b'z', 1));
    assert!(says(&found, "keys out of order"), "{found:?}");
    // The first key of all is another: still in order, and not that of the properties, nor in the filter.
    let found = forged(RegionKind::Data, rename(b'k', b'a', 1));
    assert!(!says(&found, "out of order") && says(&found, "denies a key"), "{found:?}");
    let found = forged(RegionKind::Filter, |filter| {
        let bits = filter.len() - 1;
        filter[..bits].fill(0);
    });
    assert!(found.len() == 1 && says(&found, "a filter denies a key that is there"), "{found:?}");
    for to in [b'a', b'z'] {
        let found = forged(RegionKind::Index, rename(b'k', to, 1));
        assert!(found.len() == 1 && says(&found, "a separator that does not separate"), "{found:?}");
    }
    let found = forged(RegionKind::Properties, |properties| {
        let before = Properties::decode(properties).unwrap();
        let other = Properties { tombstones: before.tombstones + 1, ..before }.encode();
        properties.copy_from_slice(&other);
    });
    assert!(found.len() == 1 && says(&found, "properties that are not those of the contents"), "{found:?}");
    let found = forged(RegionKind::Properties, |properties| {
        let mut other = Properties::decode(properties).unwrap();
        other.largest[0] += 1;
        properties.copy_from_slice(&other.encode());
    });
    assert!(found.len() == 1 && says(&found, "properties that are not those of the contents"), "{found:?}");
    let found = forged(RegionKind::Footer, |_| ());
    assert!(found.len() == 1 && says(&found, "an identity that is not that of the contents"), "{found:?}");
}

/// Damage is told once: a damaged index by what hides behind it, all else by itself.
#[test]
fn damage_is_told_once() {
    let dir = dir(&disk());
    let options = LsmOptions { cache_bytes: 0, ..options(256, 3, 10, Compression::None, Order::Bytewise) };
    let meta = build(&dir, 3, &options, &entries(40));
    let bytes = dir.read(&filename::table(3), 1 << 20, Cause::Inspect).unwrap();
    let regions = open(&dir, 3, &meta, &options).unwrap().layout().regions;
    let told = |kind: RegionKind| {
        let at = regions.iter().find(|region| region.kind == kind).unwrap().at;
        let mut damaged = bytes.clone();
        damaged[at.offset as usize + 5] ^= 1;
        forge(&dir, &damaged);
        let told = open(&dir, 3, &meta, &options).unwrap().verify();
        told.iter()
            .filter(|error| matches!(error, Error::Corruption { offset, .. } if *offset == at.offset))
            .count()
    };
    assert_eq!([RegionKind::Data, RegionKind::Filter, RegionKind::Index].map(told), [1, 1, 1]);
    let names: Vec<_> = regions.iter().map(|region| region.kind.name()).collect();
    assert!(names.starts_with(&["data", "data"]), "{names:?}");
    assert!(names.ends_with(&["filter", "index", "properties", "top index", "footer"]), "{names:?}");
}

/// Who wants all reads a quarter of a MiB at a time, from the first block on or, having sought, from the second.
/// Others read two blocks by themselves, then 16 KiB, and twice as much each time.
#[test]
fn a_scan_reads_ahead() {
    let disk = CountingDisk::new(Arc::new(disk()));
    let dir = Dir::new(Arc::new(disk.clone()), Path::new("/db"));
    let options = LsmOptions { compression: Compressions(vec![Compression::None]), ..LsmOptions::default() };
    let all: Entries = (0..4000u64).map(|n| (set(format!("{n:08}").as_bytes(), 1), vec![7; 500])).collect();
    let meta = build(&dir, 3, &options, &all);
    let table = open(&dir, 3, &meta, &options).unwrap();
    read_all(&table, Access::Sequential).unwrap();
    let calls = |access, first: u64| {
        let before = disk.ledger();
        let mut cursor = TableCursor::new(table.clone(), access);
        match first {
            0 => cursor.seek_to_first().unwrap(),
            n => cursor.seek(&all[n as usize].0).unwrap(),
        }
        while cursor.valid() {
            cursor.next().unwrap();
        }
        disk.ledger().since(&before).total.read_calls
    };
    // Two MiB are eight times as much; or 16, 32, 64 and 128 KiB, and then seven times.
    assert_eq!([calls(Access::Sequential, 0), calls(Access::Sequential, 1)], [8, 1 + 8]);
    assert_eq!(calls(Access::Point, 0), 2 + 4 + 7);
}
