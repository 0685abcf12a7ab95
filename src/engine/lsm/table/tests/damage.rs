//! Tables that are damaged, exchanged or forged.

use crate::engine::filename;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key;
use crate::engine::lsm::options::{Compression, LsmOptions};
use crate::engine::lsm::table::Table;
use crate::engine::lsm::table::format::{Footer, Properties, Salt, TRAILER_LEN};
use crate::engine::lsm::table::layout::{Region, RegionKind};
use crate::engine::lsm::table::store::TableStore;
use crate::engine::lsm::table::tests::{
    ACCESSES, Entries, STORE, build, dir, disk, entries, get, open, options, read_all, read_all_backward, set,
};
use crate::engine::lsm::version::edit::TableMeta;
use crate::error::Error;
use crate::vfs::Cause;
use crate::vfs::dir::Dir;
use xxhash_rust::xxh3::Xxh3;

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
    // Between the first key of its block and the last.
    let found = forged(RegionKind::Index, |index| {
        let key = index.windows(4).position(|bytes| bytes == b"key-").unwrap();
        index[key + 8] = b'1';
    });
    assert!(found.len() == 1 && says(&found, "a separator that does not separate"), "{found:?}");
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
