//! What reading tables costs: blocks, caches, descriptors, memory.

use crate::engine::explain::Step;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::iter::EntryCursor;
use crate::engine::lsm::key;
use crate::engine::lsm::options::{Compression, Compressions, LsmOptions};
use crate::engine::lsm::table::Lookup;
use crate::engine::lsm::table::cursor::{Access, Looked, TableCursor};
use crate::engine::lsm::table::store::{TableSlot, TableStore};
use crate::engine::lsm::table::tests::{
    ACCESSES, Entries, STORE, build, check, dir, disk, entries, get, open, options, read_all,
    read_all_backward, set,
};
use crate::error::{Error, Result};
use crate::vfs::counting::CountingDisk;
use crate::vfs::dir::Dir;
use crate::vfs::fault::{At, Call, Errno, Fault, FaultDisk, Lasting};
use crate::vfs::os::OsDisk;
use crate::vfs::{Cause, Vfs};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
    assert!(passed - table.shelf().counters.false_positives.load(Ordering::Relaxed) <= 1);
}

/// Only a filter can be wrong, and only of a key that is not there.
#[test]
fn what_a_filter_lets_pass_in_vain_is_counted() {
    let counted = |filter_bits| {
        let dir = dir(&disk());
        let options = options(4096, 16, filter_bits, Compression::None, Order::Bytewise);
        let all: Entries =
            (0..500u64).map(|n| (set(format!("{:04}", 2 * n).as_bytes(), 1), vec![0])).collect();
        let meta = build(&dir, 3, &options, &all);
        let table = open(&dir, 3, &meta, &options).unwrap();
        let count = || table.shelf().counters.false_positives.load(Ordering::Relaxed);
        all.iter().for_each(|(key, _)| assert!(get(&table, key::user_key(key), 9).unwrap().is_some()));
        let there = count();
        for n in 0..499u64 {
            assert!(get(&table, format!("{:04}", 2 * n + 1).as_bytes(), 9).unwrap().is_none());
        }
        (there, count())
    };
    assert_eq!(counted(0), (0, 0), "there is no filter");
    let (there, absent) = counted(1);
    assert!(there == 0 && (100..499).contains(&absent), "{absent} of 499 with one bit for a key");
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

/// A table that is read between two that are opened stays for it.
#[test]
fn a_read_marks_a_table_as_used() {
    let dir = dir(&disk());
    let options = LsmOptions { max_open_tables: 3, ..LsmOptions::tiny() };
    let metas: Vec<_> = (0..6).map(|number| build(&dir, number, &options, &entries(20))).collect();
    let slots: Vec<_> = (0..6).map(|_| TableSlot::default()).collect();
    let store = TableStore::new(dir, STORE, &options);
    // The fourth closes the first, and all others have to prove themselves anew.
    for n in [0, 1, 2, 3, 1, 4, 5] {
        store.find(n as u64, &metas[n], &slots[n]).unwrap();
    }
    let open: Vec<_> = (0..6).filter(|&n| slots[n].is_full()).collect();
    assert_eq!(open, [1, 4, 5]);
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
