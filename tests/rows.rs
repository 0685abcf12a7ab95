//! What must not change what a store says: a merge beside a reader, sizes at their limits, the clock.
//! Rows S of the catalogue of faults that are not crashes, and what is asked of the manifest of both engines.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[macro_use]
mod fault_support {
    #[macro_use]
    pub(crate) mod engine;
    pub(crate) mod manifest;
    pub(crate) mod store;
}

use fault_support::engine::{disk_of, empty_disk, refusal};
use fault_support::manifest::{MANIFEST, replace_manifest};
use fault_support::store::{DIR, Model, STORE_ID, contents, open, open_at, open_options};
use kvs::engine::batch::{MAX_BATCH_BYTES, MAX_KEY_LEN, MAX_VALUE_LEN, WriteBatch};
use kvs::engine::bitcask::segment::{Sealed, SegmentMeta, SegmentState};
use kvs::engine::event::{Event, Listener};
use kvs::engine::filename;
use kvs::engine::manifest::{self, Edit, Manifest};
use kvs::engine::memory::Memory;
use kvs::engine::options::{Access, Durability, OpenOptions, WriteOptions};
use kvs::engine::range::KeyRange;
use kvs::engine::{Cursor, KvsEngine, KvsRead};
use kvs::error::Error;
use kvs::inspect::verify::verify;
use kvs::record::frame::HEADER_LEN;
use kvs::survive::engine::Engine;
use kvs::vfs::Vfs;
use kvs::vfs::counting::CountingDisk;
use kvs::vfs::dir::Dir;
use kvs::vfs::fault::{At, Call, Errno, Fault, FaultDisk, Lasting};
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::{Record, SimDisk};
use kvs::vfs::os::OsDisk;
use kvs::worker::Schedule;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

on_each_engine!([
    c06_old_manifest_beside_a_newer_log,
    what_a_killed_writer_left_half_made_goes_at_the_next_opening,
    a_torn_tail_is_told_to_the_byte,
    s07_merge_beside_a_cursor_and_a_snapshot,
    s07_merge_beside_gets_in_flight,
    s07_snapshot_that_outlives_its_store,
    s07_merge_beside_a_writer_that_never_rests,
    compacting_what_is_compact_reads_nothing,
    a_merge_without_room_leaves_nothing_behind,
    s10_sizes_at_their_limits,
    s10_value_larger_than_a_segment,
    s10_too_much_at_once,
    s11_an_interval_is_kept_without_a_clock,
    s11_a_shorter_interval_is_kept_at_once,
]);

/// The cursor stands on this key, and the value is the first that the key had.
fn expect_at(cursor: &mut dyn Cursor, key: u8) {
    assert_eq!(cursor.key(), [key]);
    assert_eq!(cursor.value().unwrap(), [key; 300]);
}

// Row C6. A rename that is lost, or a backup of one file, puts an old manifest beside a newer log. What it
// names is all there, so that nothing is missing but the edit. The log holds what was acknowledged: it must
// not be taken for what a crash left over, and removed.
fn c06_old_manifest_beside_a_newer_log(engine: &Engine) {
    let disk = empty_disk();
    let manual =
        OpenOptions { schedule: Schedule::Manual, ..open_options(Arc::new(disk.clone()), Access::Create) };
    let store = engine.open(Path::new(DIR), manual).unwrap();
    let before = disk.image();
    let names = |image: &Image| image.files.keys().cloned().collect::<Vec<_>>();
    let mut i = 0u16;
    while names(&disk.image()) == names(&before) {
        store.set(&i.to_be_bytes(), &[7; 100]).unwrap();
        i += 1;
    }
    store.set(b"in the newer log", b"and nowhere else").unwrap();
    store.sync().unwrap();
    let model = contents(&*store).unwrap();
    let whole = disk.image();
    let mut image = whole.clone();
    image.put(MANIFEST, before.get(MANIFEST).unwrap());
    for access in [Access::Read, Access::Write] {
        let disk = SimDisk::from_image(&image, Record::Off);
        let error = refusal(open(engine, Arc::new(disk.clone()), access)).to_string();
        assert!(error.contains("an edit is missing"), "{error}");
        image = disk.image();
    }
    // Nothing was removed: with the right manifest it is all there again.
    image.put(MANIFEST, whole.get(MANIFEST).unwrap());
    assert_eq!(contents(&*open(engine, disk_of(&image), Access::Write).unwrap()).unwrap(), model);
}

/// A file is made under another name, and renamed when it is whole.
fn what_a_killed_writer_left_half_made_goes_at_the_next_opening(engine: &Engine) {
    let disk = empty_disk();
    let store = open(engine, Arc::new(disk.clone()), Access::Create).unwrap();
    store.set(b"key", b"value").unwrap();
    drop(store);
    let mut left = vec!["/db/MANIFEST.tmp", "/db/ENGINE.tmp"];
    if engine.name() == "bitcask" {
        // The hint of a segment that no edit names.
        left.push("/db/000099.hint");
    }
    let mut image = disk.image();
    left.iter().for_each(|path| image.put(path, "half of it"));
    let disk = SimDisk::from_image(&image, Record::Off);
    for (access, stays) in [(Access::Read, true), (Access::Write, false)] {
        let store = open(engine, Arc::new(disk.clone()), access).unwrap();
        assert_eq!(store.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
        drop(store);
        assert!(left.iter().all(|path| disk.image().get(path).is_some() == stays), "{access:?}");
    }
}

// Row C22, for segments: half of all numbers are more than can be written; a manifest that says otherwise is
// damaged. The store goes on from the last that can be.
#[test]
fn c22_numbers_at_their_end() {
    const MOST: u64 = u64::MAX >> 1;
    let disk = empty_disk();
    drop(open(&Engine::bitcask(), Arc::new(disk.clone()), Access::Create).unwrap());
    let opened = |first_seqno, next_number| {
        let mut image = disk.image();
        replace_manifest(&mut image, STORE_ID, |live: &mut BTreeMap<u64, SegmentMeta>| {
            live.values_mut().for_each(|meta| meta.first_seqno = first_seqno);
        });
        let disk = SimDisk::from_image(&image, Record::Off);
        let dir = Dir::new(Arc::new(disk.clone()), Path::new(DIR));
        let read = manifest::read::<SegmentMeta>(&dir, STORE_ID).unwrap();
        Manifest::resume(&dir, read).unwrap().apply(Edit { next_number, ..Edit::default() }).unwrap();
        open(&Engine::bitcask(), Arc::new(disk), Access::Write)
    };
    let store = opened(MOST + 1, 9).unwrap();
    assert_eq!((store.stats().unwrap().seqno, store.get(b"k").unwrap()), (MOST, None));
    store.set(b"k", b"v").unwrap();
    assert_eq!(store.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
    drop(store);
    assert!(refusal(opened(MOST + 2, 9)).is_corruption());
    // A segment's number has four bytes in the keydir.
    opened(1, 1 << 32).unwrap();
    assert!(refusal(opened(1, (1 << 32) + 1)).is_corruption());
}

// Row C7, for segments. What the manifest says of a sealed one can not be: another length than the file's, an
// end before its beginning, writes that an older one has.
//
// Found by the fuzzer (`store`, after 388,000 inputs): `verify` counted one behind the last write of a segment to see
// whether it ends before it begins, which is no number behind the last of all.
#[test]
fn c07_manifest_of_segments_that_says_what_can_not_be() {
    let disk = empty_disk();
    let store = open(&Engine::bitcask().unmerged(), Arc::new(disk.clone()), Access::Create).unwrap();
    for key in 0..30u8 {
        store.set(&[key], &[7; 100]).unwrap();
        if key % 10 == 9 {
            store.flush().unwrap();
        }
    }
    drop(store);
    type Change = fn(&mut SegmentMeta, &mut Sealed);
    let opened = |change: Change| {
        let mut image = disk.image();
        replace_manifest(&mut image, STORE_ID, |live: &mut BTreeMap<u64, SegmentMeta>| {
            let second = live.get_mut(&2).unwrap();
            let SegmentState::Sealed(mut sealed) = second.state else { panic!("{second:?}") };
            change(second, &mut sealed);
            second.state = SegmentState::Sealed(sealed);
        });
        let report = verify(disk_of(&image), Path::new(DIR)).unwrap();
        let opened = open(&Engine::bitcask(), disk_of(&image), Access::Read);
        assert_eq!(report.is_sound(), opened.is_ok(), "{report}");
        opened
    };
    opened(|_, _| ()).unwrap();
    let cases: [(&str, Change, &str); 6] = [
        ("a byte more", |_, sealed| sealed.len += 1, "000002.seg"),
        ("a byte less", |_, sealed| sealed.len -= 1, "000002.seg"),
        ("an end before the beginning", |meta, sealed| sealed.last_seqno = meta.first_seqno - 2, "MANIFEST"),
        ("a beginning in the one before", |meta, _| meta.first_seqno -= 1, "MANIFEST"),
        ("an end in the one behind", |_, sealed| sealed.last_seqno += 1, "MANIFEST"),
        ("an end behind all numbers", |_, sealed| sealed.last_seqno = u64::MAX, "MANIFEST"),
    ];
    for (what, change, named) in cases {
        match refusal(opened(change)) {
            Error::Corruption { path, .. } => assert!(path.ends_with(named), "{what}: {}", path.display()),
            other => panic!("{what}: {other}"),
        }
    }
}

/// A tombstone goes with what it hid when all that is older holds current values alone, though no merge has ever
/// seen that.
#[test]
fn a_tombstone_goes_where_all_that_is_older_is_current() {
    let disk = empty_disk();
    let store = open(&Engine::bitcask().unmerged(), Arc::new(disk.clone()), Access::Create).unwrap();
    store.set(b"stays", b"value").unwrap();
    store.flush().unwrap();
    store.set(b"goes", b"value").unwrap();
    store.remove(b"goes").unwrap();
    store.compact().unwrap();
    let stats = store.stats().unwrap();
    assert_eq!(
        (stats.keys, stats.dead_bytes, stats.files.len()),
        (1, 0, 2),
        "what stays, and the active one"
    );
}

/// Bytes behind the last whole record of the newest log: where they begin, and how many they are.
fn a_torn_tail_is_told_to_the_byte(engine: &Engine) {
    let disk = empty_disk();
    let store = open(engine, Arc::new(disk.clone()), Access::Create).unwrap();
    store.set(b"key", b"value").unwrap();
    // As a killed process leaves it.
    let mut image = disk.image();
    drop(store);
    let is_log = |path: &Path| path.extension().is_some_and(|e| e == "seg" || e == "wal");
    let log = image.files.keys().filter(|path| is_log(path)).max().unwrap().clone();
    let end = image.get(&log).unwrap().iter().rposition(|&byte| byte != 0).unwrap() as u64 + 1;
    image.edit(&log).truncate(end as usize);
    image.edit(&log).extend_from_slice(&[1; 13]);
    let (listener, told) = Listener::channel();
    let options = OpenOptions { listener, ..open_options(disk_of(&image), Access::Write) };
    let store = engine.open(Path::new(DIR), options).unwrap();
    let torn = Event::TornTail { path: log.to_path_buf(), offset: end, dropped_bytes: 13 };
    assert!(told.try_iter().any(|event| event == torn), "{torn:?}");
    assert_eq!(store.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
}

/// What a snapshot sees and the present does not is looked at page by page: all of a range at once kept writers
/// waiting for as long as that took, for each seek.
#[test]
fn a_snapshot_of_thousands_of_removed_keys_is_walked_in_pages() {
    const KEYS: u16 = 3000;
    let store = open(&Engine::bitcask(), Arc::new(empty_disk()), Access::Create).unwrap();
    (0..KEYS).for_each(|n| store.set(&n.to_be_bytes(), &[n as u8; 3]).unwrap());
    let snapshot = store.snapshot().unwrap();
    let model = contents(&snapshot).unwrap();
    for n in (0..KEYS).filter(|n| n % 1000 > 3) {
        assert!(store.remove(&n.to_be_bytes()).unwrap());
    }
    (0..KEYS).for_each(|n| store.set(&[&n.to_be_bytes()[..], b"new"].concat(), b"").unwrap());
    assert_eq!(contents(&snapshot).unwrap(), model);
    let reverse = snapshot.scan(KeyRange::all().reverse()).unwrap().map(|pair| pair.unwrap().0.to_vec());
    assert!(reverse.eq(model.keys().rev().cloned()));
    let mut cursor = snapshot.cursor(KeyRange::all()).unwrap();
    for n in (0..KEYS - 1).step_by(97) {
        cursor.seek(&n.to_be_bytes()).unwrap();
        assert_eq!(cursor.key(), n.to_be_bytes());
        cursor.next().unwrap();
        assert_eq!(cursor.key(), (n + 1).to_be_bytes());
        cursor.prev().unwrap();
        assert_eq!(cursor.key(), n.to_be_bytes());
    }
}

// Row S7. A snapshot pins files that a compaction has replaced. It was let go of after its store was closed, and took
// them away by their names: by then the directory may hold another store.
fn s07_snapshot_that_outlives_its_store(engine: &Engine) {
    let disk = empty_disk();
    let store = open(engine, Arc::new(disk.clone()), Access::Create).unwrap();
    (0..60u8).for_each(|i| store.set(&[i], &[i; 300]).unwrap());
    store.flush().unwrap();
    let snapshot = store.snapshot().unwrap();
    (0..60u8).for_each(|i| store.set(&[i], &[1; 300]).unwrap());
    store.flush().unwrap();
    store.compact().unwrap();
    drop(store);
    let before = disk.image();
    assert_eq!(snapshot.get(&[7]).unwrap().as_deref(), Some(&[7; 300][..]));
    drop(snapshot);
    assert!(disk.image() == before, "a file was removed from a directory that is not the store's any more");
    // Who opens it next removes what is left over.
    drop(open(engine, Arc::new(disk.clone()), Access::Write).unwrap());
    let after = disk.image();
    let is_gone = before.files.keys().any(|path| !after.files.contains_key(path));
    // A tree's snapshot holds a moment, and no files.
    assert_eq!(is_gone, engine.name() == "bitcask", "{:?}", after.files.keys());
}

/// Who closes a store waits for the merge that runs, and not for all that are left: that took ten seconds for 1,600
/// segments, and would take hours for large ones.
#[test]
fn closing_waits_for_one_merge() {
    let engine = Engine::bitcask();
    let disk = empty_disk();
    let store = open(&engine.unmerged(), Arc::new(disk.clone()), Access::Create).unwrap();
    for round in 0..40u8 {
        (0..20u8).for_each(|i| store.set(&[i], &[round; 300]).unwrap());
        store.flush().unwrap();
        (0..200u8).for_each(|i| store.set(&[round, i], &[i; 300]).unwrap());
    }
    drop(store);
    let merges = Arc::new(AtomicU16::new(0));
    let (counted, opened) = (merges.clone(), Arc::new(OnceLock::<Weak<dyn KvsEngine>>::new()));
    let closing = opened.clone();
    let listener = Listener::new(move |event| {
        if let Event::Compacted { .. } = event
            && counted.fetch_add(1, Ordering::Relaxed) == 0
        {
            // Until it is being closed.
            while closing.get().is_none_or(|store| store.strong_count() > 0) {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let base = open_options(Arc::new(disk.clone()), Access::Write);
    let store =
        engine.open(Path::new(DIR), OpenOptions { schedule: Schedule::Threads, listener, ..base }).unwrap();
    opened.set(Arc::downgrade(&store)).unwrap();
    while merges.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
    drop(store);
    assert_eq!(merges.load(Ordering::Relaxed), 1);
}

// Row S7. dain/leveldb#78: a compaction removed the table under an iterator. Whoever stands in a segment
// when a merge removes it reads on; the file goes when the last one lets go of it.
fn s07_merge_beside_a_cursor_and_a_snapshot(engine: &Engine) {
    let disk = empty_disk();
    let store = open(engine, Arc::new(disk.clone()), Access::Create).unwrap();
    for i in 0..60u8 {
        store.set(&[i], &[i; 300]).unwrap();
    }
    let before = contents(&*store).unwrap();
    let old_files = engine.data_files(&disk.image());
    let snapshot = store.snapshot().unwrap();
    let mut forward = store.cursor(KeyRange::all()).unwrap();
    let mut backward = snapshot.cursor(KeyRange::all()).unwrap();
    forward.seek_to_first().unwrap();
    backward.seek_to_last().unwrap();
    for i in 0..30u8 {
        expect_at(&mut *forward, i);
        expect_at(&mut *backward, 59 - i);
        forward.next().unwrap();
        backward.prev().unwrap();
        // Everything that they stand on is overwritten or removed, and merged away, again and again.
        (0..60u8).filter(|key| key % 3 != 0).for_each(|key| store.set(&[key], &[i; 200]).unwrap());
        (0..60u8).filter(|key| key % 6 == 0).for_each(|key| _ = store.remove(&[key]).unwrap());
        store.compact().unwrap();
    }
    for i in 30..60u8 {
        expect_at(&mut *forward, i);
        expect_at(&mut *backward, 59 - i);
        forward.next().unwrap();
        backward.prev().unwrap();
    }
    assert!(!forward.valid() && !backward.valid());
    assert_eq!(contents(&snapshot).unwrap(), before);
    let held = engine.data_files(&disk.image());
    assert!(old_files.iter().any(|file| held.contains(file)), "what is looked at stays");
    drop((forward, backward));
    drop(snapshot);
    let left = engine.data_files(&disk.image());
    let live = store.stats().unwrap().files.len();
    assert_eq!(left.len(), live, "what nobody looks at is gone: {left:?}");
    assert!(old_files.iter().all(|file| !left.contains(file)));
}

// Row S7, with threads, on the real disk, where segments are mapped: gets and scans in flight while
// their files are merged away and removed.
fn s07_merge_beside_gets_in_flight(engine: &Engine) {
    let root = tempfile::tempdir().unwrap();
    for mmap in [true, false] {
        let path = root.path().join(format!("mmap-{mmap}"));
        let engine = engine.with("mmap", &mmap.to_string());
        let open =
            OpenOptions { schedule: Schedule::Threads, ..open_options(Arc::new(OsDisk), Access::Create) };
        let store = engine.open(&path, open).unwrap();
        // A value says its key and a round that never goes back.
        let value = |key: u8, round: u32| [&[key][..], &round.to_le_bytes(), &[key; 120]].concat();
        (0..40u8).for_each(|key| store.set(&[key], &value(key, 0)).unwrap());
        let done = AtomicBool::new(false);
        let check = |key: u8, found: &[u8], at_least: u32| {
            let round = u32::from_le_bytes(found[1..5].try_into().unwrap());
            assert!(found == value(key, round) && round >= at_least, "{key}: {found:?}");
            round
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut rounds = [0; 40];
                    while !done.load(Ordering::Relaxed) {
                        for key in 0..40u8 {
                            let found = store.get(&[key]).unwrap().unwrap();
                            let seen = &mut rounds[usize::from(key)];
                            *seen = check(key, &found, *seen);
                        }
                        let pairs: Vec<_> =
                            store.scan(KeyRange::all()).unwrap().map(Result::unwrap).collect();
                        assert_eq!(pairs.len(), 40);
                        pairs.iter().for_each(|(key, found)| _ = check(key[0], found, 0));
                    }
                });
            }
            for round in 1..60 {
                (0..40u8).for_each(|key| store.set(&[key], &value(key, round)).unwrap());
                store.compact().unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        drop(store);
        let store = open_at(&engine, Arc::new(OsDisk), &path, Access::Read).unwrap();
        (0..40u8).for_each(|key| assert_eq!(store.get(&[key]).unwrap().unwrap(), value(key, 59)));
    }
}

// Row S7. Each time that a part of the store is merged, a key in what came of it is written again, so that
// there is garbage anew. A compact is about what there was when it was called, and comes to an end.
fn s07_merge_beside_a_writer_that_never_rests(engine: &Engine) {
    const KEYS: u16 = 500;
    type Opened = OnceLock<Weak<dyn KvsEngine>>;
    let (opened, next) = (Arc::new(Opened::new()), Arc::new(AtomicU16::new(0)));
    let (writes_to, written) = (opened.clone(), next.clone());
    let listener = Listener::new(move |event| {
        let store = writes_to.get().and_then(Weak::upgrade);
        if let (Event::Compacted { .. }, Some(store)) = (event, store) {
            let key = written.fetch_add(1, Ordering::Relaxed) % KEYS;
            store.set(&key.to_be_bytes(), b"new").unwrap();
        }
    });
    let disk = Arc::new(empty_disk());
    let manual = OpenOptions { schedule: Schedule::Manual, listener, ..open_options(disk, Access::Create) };
    let store = engine.open(Path::new(DIR), manual).unwrap();
    for round in 0..2u8 {
        (0..KEYS).for_each(|key| store.set(&key.to_be_bytes(), &[round; 40]).unwrap());
    }
    opened.set(Arc::downgrade(&store)).unwrap();
    // The active one is sealed, and another begun.
    let files = store.stats().unwrap().files.len() + 1;
    store.compact().unwrap();
    let merges = next.load(Ordering::Relaxed);
    // Bitcask merges none of them twice. It did, and began with the oldest each time, until it had made its number of
    // merges: what writers had done to what it had just written was garbage too, and the newest were never reached.
    let most = if engine.name() == "bitcask" { files } else { 2 * files + 4 };
    assert!((1..=most).contains(&usize::from(merges)), "{merges} merges of {files} files");
    for key in 0..KEYS {
        let expected: &[u8] = if key < merges { b"new" } else { &[1; 40] };
        assert_eq!(store.get(&key.to_be_bytes()).unwrap().as_deref(), Some(expected), "{key}");
    }
}

// A file in which nothing is dead needs no look, whatever keys are asked for.
fn compacting_what_is_compact_reads_nothing(engine: &Engine) {
    let disk = CountingDisk::new(Arc::new(empty_disk()));
    let store = open(engine, Arc::new(disk.clone()), Access::Create).unwrap();
    for round in 0..3u8 {
        (0..60u8).for_each(|key| store.set(&[key], &[round; 100]).unwrap());
    }
    store.compact().unwrap();
    let before = disk.ledger();
    let (from, to) = ([10u8], [20u8]);
    for range in [KeyRange::all(), KeyRange::of(&from[..]..&to[..])] {
        store.compact_range(&range).unwrap();
    }
    assert_eq!(disk.ledger().since(&before).total.read_calls, 0);
    assert_eq!(contents(&*store).unwrap().len(), 60);
}

/// What a merge writes is as large as a segment may be, to the byte.
#[test]
fn a_merge_fills_its_segments() {
    let disk = empty_disk();
    let set = |store: &dyn KvsEngine, key: u8| store.set(&[key], &[7; 1100]).unwrap();
    let store = open(&Engine::bitcask(), Arc::new(disk.clone()), Access::Create).unwrap();
    let written = || disk.image().get("/db/000001.seg").unwrap().len();
    let lens = [1, 2].map(|key| {
        set(&*store, key);
        written()
    });
    let segment_bytes = HEADER_LEN as usize + 4 * (lens[1] - lens[0]);
    drop(store);
    let disk = empty_disk();
    let engine = Engine::bitcask().unmerged().with("segment_bytes", &segment_bytes.to_string());
    let (listener, told) = Listener::channel();
    let options = OpenOptions { listener, ..open_options(Arc::new(disk.clone()), Access::Create) };
    let store = engine.open(Path::new(DIR), options).unwrap();
    (0..16).for_each(|key| set(&*store, key));
    (0..16).filter(|key| key % 2 == 1).for_each(|key| set(&*store, key));
    store.compact().unwrap();
    let (mut all, mut read, mut written) = (Vec::new(), 0, 0);
    for event in told.try_iter() {
        if let Event::Compacted { outputs, read_bytes, written_bytes, .. } = event {
            all.extend(outputs);
            read += read_bytes;
            written += written_bytes;
        }
    }
    let len = |n: &u64| disk.image().get(Path::new(DIR).join(filename::segment(*n))).unwrap().len();
    let lens: Vec<_> = all.iter().map(len).collect();
    assert_eq!(written, lens.iter().sum::<usize>() as u64);
    assert!((written + 1..3 * written).contains(&read), "{read} bytes read, {written} written");
    let (last, full) = lens.split_last().unwrap();
    assert!(full == [segment_bytes; 2] && *last < segment_bytes, "{lens:?} of {segment_bytes}");
}

/// Who opens a store is told how much of it was read from hints, and how much record by record.
#[test]
fn what_was_loaded_is_told() {
    let engine = Engine::bitcask();
    let disk = empty_disk();
    let store = open(&engine, Arc::new(disk.clone()), Access::Create).unwrap();
    (0..100u8).for_each(|key| store.set(&[key], &[7; 300]).unwrap());
    drop(store);
    let loaded = |disk: &SimDisk| {
        let (listener, told) = Listener::channel();
        let options = OpenOptions { listener, ..open_options(Arc::new(disk.clone()), Access::Read) };
        drop(engine.open(Path::new(DIR), options).unwrap());
        told.iter().find_map(|event| match event {
            Event::Loaded { from_hints, from_logs } => Some((from_hints, from_logs)),
            _ => None,
        })
    };
    let image = disk.image();
    let hints: Vec<_> =
        image.files.keys().filter(|path| path.extension().is_some_and(|e| e == "hint")).collect();
    assert!(hints.len() >= 5, "{hints:?}");
    let all = hints.len() as u64;
    assert_eq!(loaded(&disk), Some((all, 0)));
    disk.remove(hints[1]).unwrap();
    disk.remove(hints[3]).unwrap();
    assert_eq!(loaded(&disk), Some((all - 2, 2)));
}

/// The disk is full in the midst of a merge. What it has written so far is of no use to anybody, takes the room
/// that is missing, and goes at once.
fn a_merge_without_room_leaves_nothing_behind(engine: &Engine) {
    let ending = if engine.name() == "bitcask" { ".seg" } else { ".sst" };
    let engine = engine.unmerged();
    let mut failures = 0;
    for nth in 0.. {
        let sim = empty_disk();
        let disk = FaultDisk::new(Arc::new(sim.clone()));
        let store = open(&engine, Arc::new(disk.clone()), Access::Create).unwrap();
        for round in 0..3u8 {
            (0..60 - 20 * round).for_each(|key| store.set(&[key], &[round; 100]).unwrap());
            store.flush().unwrap();
        }
        let before = contents(&*store).unwrap();
        disk.rule(At::nth(Call::Append, ending, nth), Fault::Fail(Errno::NoSpace), Lasting::Sticky);
        let result = store.compact();
        disk.heal();
        let live = store.stats().unwrap().files.len();
        let files = engine.data_files(&sim.image());
        assert_eq!(files.len(), live, "append {nth}: {files:?}");
        assert_eq!(contents(&*store).unwrap(), before, "append {nth}");
        if result.is_ok() {
            break;
        }
        failures += 1;
    }
    assert!(failures > 1, "{failures}");
}

// Row S10. What fits is stored, and what does not is refused before a byte is written; the same in every
// engine.
fn s10_sizes_at_their_limits(engine: &Engine) {
    let sim = empty_disk();
    let disk = FaultDisk::new(Arc::new(sim.clone()));
    let store = open(engine, Arc::new(disk.clone()), Access::Create).unwrap();
    let memory = Memory::new();
    let (mut model, mut refused) = (Model::new(), 0);
    let key_lens =
        [0, 1, 127, 128, 16_383, 16_384, 65_534, MAX_KEY_LEN, MAX_KEY_LEN + 1, MAX_KEY_LEN + 2, 1 << 20];
    let values = [vec![], vec![7], vec![9; 127], vec![5; 5000], vec![3; 70_000]];
    for len in key_lens {
        for value in &values {
            // Keys of one length differ in their ends.
            let mut key = vec![b'k'; len];
            if let Some(last) = key.last_mut() {
                *last = value.len() as u8;
            }
            for store in [&*store, &memory] {
                let before = (disk.operations(), sim.image());
                let results = [
                    store.set(&key, value),
                    store.swap(&key, Some(value)).map(|_| ()),
                    store.remove(&key).map(|_| ()),
                    store.set(&key, value),
                ];
                if len <= MAX_KEY_LEN {
                    assert!(results.iter().all(Result::is_ok), "{len}: {results:?}");
                    assert_eq!(store.get(&key).unwrap().unwrap(), *value);
                    model.insert(key.clone(), value.clone());
                } else {
                    let is_right =
                        |result: &Result<(), Error>| matches!(result, Err(Error::InvalidArgument(_)));
                    assert!(results.iter().all(is_right), "{len}: {results:?}");
                    assert_eq!(store.get(&key).unwrap(), None);
                    assert!((disk.operations(), sim.image()) == before, "refused, and the disk was touched");
                    refused += 1;
                }
            }
        }
    }
    assert_eq!(refused, 3 * 5 * 2);
    // One member of a batch that is too long: none of it happened.
    let mut batch = WriteBatch::new();
    batch.set(b"fine", b"");
    batch.set(&vec![0; MAX_KEY_LEN + 1], b"");
    let before = sim.image();
    assert!(matches!(store.write(batch, &WriteOptions::durable()), Err(Error::InvalidArgument(_))));
    assert!(sim.image() == before && store.get(b"fine").unwrap().is_none());
    assert_eq!(contents(&*store).unwrap(), model);
    assert_eq!(contents(&memory).unwrap(), model);
    store.compact().unwrap();
    drop(store);
    for access in [Access::Read, Access::Write] {
        assert_eq!(contents(&*open(engine, Arc::new(disk.clone()), access).unwrap()).unwrap(), model);
    }
}

// Row S10, a value larger than a segment, and than four of them; on the real disk as well, where a
// segment is mapped at its usual size.
fn s10_value_larger_than_a_segment(engine: &Engine) {
    let root = tempfile::tempdir().unwrap();
    let sim: Arc<dyn Vfs> = Arc::new(empty_disk());
    let real: Arc<dyn Vfs> = Arc::new(OsDisk);
    for (disk, path) in [(sim, Path::new(DIR).to_path_buf()), (real, root.path().join("db"))] {
        let store = open_at(engine, disk.clone(), &path, Access::Create).unwrap();
        let lens = [4000, 4096, 4097, 10_000, 16 << 20, 20_000, 1];
        let value = |i: usize| -> Vec<u8> { (0..lens[i]).map(|at| (at ^ i) as u8).collect() };
        for i in 0..lens.len() {
            store.set(&[i as u8], &value(i)).unwrap();
            assert_eq!(store.get(&[i as u8]).unwrap().unwrap(), value(i));
        }
        let mut batch = WriteBatch::new();
        (0..lens.len()).for_each(|i| batch.set(&[100 + i as u8], &value(i)));
        store.write(batch, &WriteOptions::durable()).unwrap();
        let check = |store: &dyn KvsEngine| {
            for i in 0..lens.len() {
                for key in [i as u8, 100 + i as u8] {
                    assert!(store.get(&[key]).unwrap().unwrap() == value(i)[..], "{i}");
                }
            }
        };
        check(&*store);
        drop(store);
        let store = open_at(engine, disk.clone(), &path, Access::Write).unwrap();
        check(&*store);
        // A merge copies them.
        store.set(b"gone", b"").unwrap();
        store.set(&[2], &value(2)).unwrap();
        store.compact().unwrap();
        check(&*store);
        drop(store);
        check(&*open_at(engine, disk, &path, Access::Read).unwrap());
    }
}

// Row S10, what is over the limits of a value and of a batch. The batch is one of sixty million steps
// with nothing in them: it counts as more than a gibibyte, and takes a tenth of that.
fn s10_too_much_at_once(engine: &Engine) {
    let sim = empty_disk();
    let disk = FaultDisk::new(Arc::new(sim.clone()));
    let store = open(engine, Arc::new(disk.clone()), Access::Create).unwrap();
    store.set(b"k", b"v").unwrap();
    let before = (disk.operations(), sim.image());
    let mut batch = WriteBatch::new();
    while batch.byte_len() <= MAX_BATCH_BYTES {
        batch.remove(b"");
    }
    let mut value = WriteBatch::with_capacity(MAX_VALUE_LEN + 32);
    value.set(b"k", &vec![0; MAX_VALUE_LEN + 1]);
    for batch in [batch, value] {
        let error = store.write(batch, &WriteOptions::default()).unwrap_err();
        assert!(matches!(&error, Error::InvalidArgument(text) if text.contains("limit")), "{error:?}");
    }
    assert!((disk.operations(), sim.image()) == before, "refused, and the disk was touched");
    assert_eq!(store.get(b"k").unwrap().unwrap(), b"v");
    assert_eq!(store.stats().unwrap().poisoned, None);
}

// Row S11. Bitcask's merges went by file times, and its tombstones came back when the clock went back
// (bitcask_timeshift.erl). Here order comes from sequence numbers alone: nothing below the contract can
// even ask what time it is.
#[test]
fn s11_nothing_asks_for_the_time_of_day() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut looked_at = 0;
    let mut dirs = vec![root.join("src/engine"), root.join("src/record"), root.join("src/vfs")];
    let mut files = ["src/engine.rs", "src/record.rs", "src/vfs.rs", "src/worker.rs", "src/codec.rs"]
        .map(|file| root.join(file))
        .to_vec();
    while let Some(dir) = dirs.pop() {
        for entry in OsDisk.list(&dir).unwrap() {
            let list = if entry.is_dir { &mut dirs } else { &mut files };
            list.push(dir.join(entry.name));
        }
    }
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["SystemTime", "UNIX_EPOCH", ".modified()", ".created()", "clock_gettime", "chrono"] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
        looked_at += 1;
    }
    assert!(looked_at > 30, "{looked_at}");
}

fn syncs_of_logs(engine: &Engine, disk: &FaultDisk) -> usize {
    let is_sync = |op: &&kvs::vfs::fault::Traced| op.call == Call::Sync && engine.is_log(&op.path);
    disk.trace().iter().filter(is_sync).count()
}

// Row S11. A write that asked for ten milliseconds got the store's hour: whatever it said, the thread of the store was
// to sync it. And an interval of no time at all, which the command refuses, kept that thread busy.
fn s11_a_shorter_interval_is_kept_at_once(engine: &Engine) {
    let disk = FaultDisk::new(Arc::new(empty_disk()));
    let open = |interval| {
        let base = open_options(Arc::new(disk.clone()), Access::Create);
        let options =
            OpenOptions { schedule: Schedule::Threads, durability: Durability::Interval(interval), ..base };
        engine.open(Path::new(DIR), options)
    };
    assert!(matches!(refusal(open(Duration::ZERO)), Error::InvalidArgument(_)));
    let store = open(Duration::from_secs(3600)).unwrap();
    let synced = |millis| {
        let before = syncs_of_logs(engine, &disk);
        let batch = WriteBatch::of_one(b"k", Some(b"v")).unwrap();
        let durability = Some(Durability::Interval(Duration::from_millis(millis)));
        store.write(batch, &WriteOptions { durability }).unwrap();
        syncs_of_logs(engine, &disk) - before
    };
    assert_eq!([synced(3_600_000), synced(10), synced(7_200_000)], [0, 1, 0]);
}

// Row S11, the one place where time counts: how long a write may wait for its sync. Where nothing can
// wait, it does not wait; where a thread can, it is that thread that syncs, and the clock that it goes by
// only goes forward.
fn s11_an_interval_is_kept_without_a_clock(engine: &Engine) {
    let syncs = |disk: &FaultDisk| syncs_of_logs(engine, disk);
    let every = Duration::from_millis(1);
    for schedule in [Schedule::Inline, Schedule::Manual, Schedule::Threads] {
        let disk = FaultDisk::new(Arc::new(empty_disk()));
        let base = open_options(Arc::new(disk.clone()), Access::Create);
        let options = OpenOptions { schedule, durability: Durability::Interval(every), ..base };
        let store = engine.open(Path::new(DIR), options).unwrap();
        let before = syncs(&disk);
        store.set(b"k", b"v").unwrap();
        if schedule != Schedule::Threads {
            assert_eq!(syncs(&disk), before + 1, "{schedule:?}: synced before it was acknowledged");
            continue;
        }
        // It comes without anybody asking for it; if not, the test runner's patience ends first.
        while syncs(&disk) == before {
            std::thread::yield_now();
        }
    }
}
