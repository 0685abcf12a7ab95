//! The LSM tree's own rows of the catalogue of faults that are not crashes of a workload: its manifest, its
//! tables, its sequence numbers, and what compactions must not change.
//!
//! The crashes (c02 to c09) are in `crash.rs`, the errors (e04) in `errors.rs`, beside those of every
//! engine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod fault_support {
    pub(crate) mod alloc;
    #[macro_use]
    pub(crate) mod engine;
    pub(crate) mod forge;
    pub(crate) mod intruder;
    pub(crate) mod judge;
    pub(crate) mod real;
    pub(crate) mod store;
}

use fault_support::engine::{Engine, disk_of, empty_disk, refusal};
use fault_support::forge;
use fault_support::intruder::{Intruded, When};
use fault_support::judge::{self, Judge, Tally};
use fault_support::store::{DIR, Model, STORE_ID, contents, open, open_options};
use kvs::engine::batch::WriteBatch;
use kvs::engine::claim::FIRST_LOG;
use kvs::engine::filename;
use kvs::engine::lsm::key::MAX_SEQNO;
use kvs::engine::lsm::options::LsmOptions;
use kvs::engine::lsm::table::layout::{Region, RegionKind};
use kvs::engine::lsm::version::edit::{LiveFile, StoreMeta, TableMeta, WalMeta, WalState};
use kvs::engine::manifest::{self, Manifest};
use kvs::engine::options::{Access, OpenOptions, WriteOptions};
use kvs::engine::range::KeyRange;
use kvs::engine::stats::FileStats;
use kvs::engine::{KvsEngine, KvsRead, Pairs, Snapshot};
use kvs::error::{Error, Result};
use kvs::vfs::Vfs;
use kvs::vfs::dir::Dir;
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::{Record, SimDisk};
use kvs::worker::Schedule;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

#[global_allocator]
static ALLOCATOR: fault_support::alloc::Capped = fault_support::alloc::Capped;

/// The options of these tests are those that the engine's own tests call tiny.
#[test]
fn tiny_is_tiny() {
    let mut options = LsmOptions::default();
    for (name, value) in common::engines::LSM_TINY.settings {
        options.set(name, value).unwrap();
    }
    assert_eq!(options, LsmOptions::tiny());
}

/// A store in which nothing is flushed or compacted but when it is asked for.
fn open_manual(engine: &Engine, disk: Arc<dyn Vfs>) -> Arc<dyn KvsEngine> {
    let options = OpenOptions { schedule: Schedule::Manual, ..open_options(disk, Access::Create) };
    engine.open(Path::new(DIR), options).unwrap()
}

fn key(n: usize) -> Vec<u8> {
    format!("key{n:03}").into_bytes()
}

/// The live files of a store that is closed, by the words of its manifest.
fn live_files(image: &Image) -> BTreeMap<u64, LiveFile> {
    manifest::read(&Dir::new(disk_of(image), Path::new(DIR)), STORE_ID).unwrap().files.live
}

/// The store with another manifest, which is sound and says this.
fn with_manifest(image: &Image, store_id: u64, live: BTreeMap<u64, LiveFile>) -> Image {
    let disk = SimDisk::from_image(image, Record::Off);
    let dir = Dir::new(Arc::new(disk.clone()), Path::new(DIR));
    Manifest::create(&dir, store_id, live.into_iter().collect()).unwrap();
    disk.image()
}

fn path_of(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// The tables of an open store.
fn tables(store: &dyn KvsEngine) -> Vec<FileStats> {
    let files = store.stats().unwrap().files.into_iter();
    files.filter(|file| file.level.is_some()).collect()
}

/// A store with tables in level 0 and below, closed.
fn closed() -> (Image, Model) {
    let disk = empty_disk();
    let engine = Engine::lsm().with("compression", "none");
    let store = open_manual(&engine, Arc::new(disk.clone()));
    for round in 0..3_u8 {
        for n in (0..80).filter(|n| n % 3 >= usize::from(round)) {
            store.set(&key(n), &[b'a' + round; 60]).unwrap();
        }
        store.remove(&key(usize::from(round) + 5)).unwrap();
        if round < 2 { store.compact().unwrap() } else { store.flush().unwrap() }
    }
    store.set(b"in the log", b"1").unwrap();
    let model = contents(&*store).unwrap();
    let levels: Vec<_> = tables(&*store).iter().filter_map(|table| table.level).collect();
    assert!(levels.contains(&0) && levels.iter().filter(|level| **level > 0).count() >= 2, "{levels:?}");
    drop(store);
    (disk.image(), model)
}

/// No way of opening it succeeds, each says why, as damage, and nothing changes.
fn expect_damage(image: &Image, what: &str, is_right: impl Fn(&str) -> bool) {
    for access in [Access::Create, Access::Write, Access::Read] {
        let disk = SimDisk::from_image(image, Record::Off);
        let error = refusal(open(&Engine::lsm(), Arc::new(disk.clone()), access));
        let (file, _) = judge::place(&error).unwrap_or_else(|other| panic!("{what}, {access:?}: {other}"));
        assert!(is_right(&file), "{what}, {access:?}: {error}");
        assert!(disk.image() == *image, "{what}, {access:?}: the directory was changed");
    }
}

// Row C7. A `CURRENT` that is empty, cut, or names a manifest that is not there (rocksdb#8682). Here there
// is no second file to point to the manifest; a manifest that is any of that is damage, and never a reason
// to make a new, empty store.
#[test]
fn c07_manifest_that_is_none() {
    let (image, _) = closed();
    let path = path_of("MANIFEST");
    let bytes = image.get(&path).unwrap().to_vec();
    let with = |bytes: Vec<u8>| {
        let mut image = image.clone();
        image.put(&path, bytes);
        image
    };
    let other_store = with_manifest(&image, STORE_ID + 1, live_files(&image)).get(&path).unwrap().to_vec();
    let wal = image.files.keys().rfind(|path| Engine::lsm().is_log(path)).unwrap();
    let others: [(&str, Vec<u8>); 7] = [
        ("empty", Vec::new()),
        ("a header alone", bytes[..32].to_vec()),
        ("a line of text", b"MANIFEST-000005\n".to_vec()),
        ("zeros", vec![0; bytes.len()]),
        ("backwards", bytes.iter().rev().copied().collect()),
        ("of another store", other_store),
        ("another log of the store", image.get(wal).unwrap().to_vec()),
    ];
    for (what, content) in others {
        expect_damage(&with(content), what, |file| file == "MANIFEST");
    }
    let mut missing = image.clone();
    missing.remove(&path);
    for access in [Access::Create, Access::Write, Access::Read] {
        let disk = SimDisk::from_image(&missing, Record::Off);
        assert!(open(&Engine::lsm(), Arc::new(disk.clone()), access).is_err(), "{access:?}");
        assert!(disk.image() == missing);
    }
    // Every cut: what was durable when the store was closed is missed.
    for len in 0..bytes.len() {
        let disk = disk_of(&with(bytes[..len].to_vec()));
        match open(&Engine::lsm(), disk, Access::Write) {
            Err(error) => drop(judge::place(&error).unwrap()),
            // Behind the last edit stands the `Close` alone.
            Ok(store) => assert_eq!(contents(&*store).unwrap(), closed().1, "cut to {len}"),
        }
    }
}

// Row C7, a manifest whose checksums are right and which says what can not be.
#[test]
fn c07_manifest_that_names_what_can_not_be() {
    let (image, _) = closed();
    let live = live_files(&image);
    let (&number, table) = live.iter().find(|(_, file)| matches!(file, LiveFile::Table(_))).unwrap();
    let LiveFile::Table(meta) = table else { unreachable!("found so") };
    let (&log, wal) = live.iter().find(|(_, file)| matches!(file, LiveFile::Wal(_))).unwrap();
    let without = |gone: u64| {
        let mut live = live.clone();
        live.remove(&gone);
        live
    };
    let with = |number: u64, file: LiveFile| {
        let mut live = live.clone();
        live.insert(number, file);
        live
    };
    let changed = |change: fn(&mut TableMeta)| {
        let mut meta = meta.clone();
        change(&mut meta);
        with(number, LiveFile::Table(meta))
    };
    let sealed = WalState::Sealed { len: 32, checksum: 0, last_seqno: 1 };
    let wals = |first_seqno, state| LiveFile::Wal(WalMeta { first_seqno, state });
    let active = WalState::Active { durable: 0 };
    let cases = [
        ("a table that is missing", with(999, table.clone()), "000999.sst"),
        ("a table with the highest number", with(u64::MAX - 1, table.clone()), ""),
        ("a log that is missing", with(u64::MAX - 1, wal.clone()), ""),
        ("a table as the store itself", with(0, table.clone()), "MANIFEST"),
        ("the store itself as a file", with(log + 50, live[&0].clone()), "MANIFEST"),
        ("no log", without(log), "MANIFEST"),
        ("nothing about the store", without(0), "MANIFEST"),
        ("a sealed log as the newest", with(log, wals(1, sealed)), ""),
        ("a log that begins with write 0", with(log, wals(0, active)), "MANIFEST"),
        ("a log that begins behind the last write", with(log, wals(u64::MAX, active)), "MANIFEST"),
        ("a level that there is not", changed(|meta| meta.level = 7), "MANIFEST"),
        ("keys that are none", changed(|meta| meta.smallest = vec![1; 7]), "MANIFEST"),
        ("a last key that is none", changed(|meta| meta.largest = Vec::new()), "MANIFEST"),
        ("writes that go back", changed(|meta| meta.last_seqno = 0), "MANIFEST"),
        ("writes beyond the last one", changed(|meta| meta.last_seqno = u64::MAX), "MANIFEST"),
        ("more tombstones than entries", changed(|meta| meta.tombstones = meta.entries + 1), "MANIFEST"),
        ("entries without end", changed(|meta| meta.entries = u64::MAX), "MANIFEST"),
        ("another length", changed(|meta| meta.len += 1), ".sst"),
    ];
    for (what, live, wanted) in cases {
        expect_damage(&with_manifest(&image, STORE_ID, live), what, |file| file.ends_with(wanted));
    }
    // Two tables of one level that share keys.
    let lower = live.iter().filter_map(|(number, file)| match file {
        LiveFile::Table(meta) if meta.level > 0 => Some((*number, meta.clone())),
        _ => None,
    });
    let lower: Vec<_> = lower.collect();
    let crossing = TableMeta { largest: lower[1].1.smallest.clone(), ..lower[0].1.clone() };
    let crossing = with(lower[0].0, LiveFile::Table(crossing));
    expect_damage(&with_manifest(&image, STORE_ID, crossing), "tables that cross", |file| file == "MANIFEST");
    // What it says of contents is believed only until the table is read.
    let image = with_manifest(&image, STORE_ID, changed(|meta| meta.contents ^= 1));
    let store = open(&Engine::lsm(), disk_of(&image), Access::Read).unwrap();
    let error = contents(&*store).unwrap_err();
    assert_eq!(judge::place(&error).unwrap().0, filename::table(number));
}

/// A store that was killed with several logs, none of which was flushed; and the sealed ones.
fn several_logs() -> (Image, Model, Vec<PathBuf>) {
    let disk = empty_disk();
    let store = open_manual(&Engine::lsm(), Arc::new(disk.clone()));
    for n in 0..24 {
        store.set(&key(n % 9), &[b'a' + n as u8; 700]).unwrap();
    }
    let (image, model) = (disk.image(), contents(&*store).unwrap());
    let mut logs: Vec<_> = image.files.keys().filter(|path| Engine::lsm().is_log(path)).collect();
    logs.pop();
    let sealed = logs.into_iter().map(|path| path.to_path_buf()).collect::<Vec<_>>();
    assert!(sealed.len() >= 3, "{sealed:?}");
    (image, model, sealed)
}

// Row C10. rocksdb#7701 and pebble#864: a log ended in a torn record, and the next one was replayed all
// the same, on top of a hole. A log that is not the newest was synced as a whole when it was sealed: what
// it lacks is damage.
#[test]
fn c10_torn_log_before_a_whole_one() {
    let (image, model, sealed) = several_logs();
    let engine = Engine::lsm();
    assert_eq!(contents(&*open(&engine, disk_of(&image), Access::Read).unwrap()).unwrap(), model);
    for path in &sealed {
        let name = path.file_name().unwrap().to_str().unwrap();
        let len = image.get(path).unwrap().len();
        for cut in (0..len).step_by(13).chain([len - 1]) {
            let mut image = image.clone();
            image.cut(path, cut);
            expect_damage(&image, &format!("{name} cut to {cut}"), |file| file == name);
        }
        for bit in (0..8 * len as u64).step_by(101) {
            let mut image = image.clone();
            image.flip_bit(path, bit);
            expect_damage(&image, &format!("{name} bit {bit}"), |file| file == name);
        }
        let mut longer = image.clone();
        longer.edit(path).extend([0; 100]);
        expect_damage(&longer, &format!("{name} with zeros behind it"), |file| file == name);
        let mut missing = image.clone();
        missing.remove(path);
        expect_damage(&missing, &format!("{name} is missing"), |file| file == name);
    }
    let mut exchanged = image.clone();
    exchanged.put(&sealed[0], image.get(&sealed[1]).unwrap());
    exchanged.put(&sealed[1], image.get(&sealed[0]).unwrap());
    expect_damage(&exchanged, "two logs exchanged", |file| sealed.iter().any(|path| path.ends_with(file)));
}

// Row C20. fjall#241: a store that was cleared had everything back after it was opened again.
#[test]
fn c20_cleared_stays_cleared() {
    enum Way {
        Compact,
        Range,
        Flush,
        Nothing,
    }
    for way in [Way::Compact, Way::Range, Way::Flush, Way::Nothing] {
        let disk = empty_disk();
        let store = open(&Engine::lsm(), Arc::new(disk.clone()), Access::Create).unwrap();
        for n in 0..60 {
            store.set(&key(n), &[n as u8; 300]).unwrap();
        }
        let mut all = WriteBatch::new();
        (0..60).for_each(|n| all.remove(&key(n)));
        store.write(all, &WriteOptions::default()).unwrap();
        match way {
            Way::Compact => store.compact().unwrap(),
            Way::Range => store.compact_range(&KeyRange::prefix("key")).unwrap(),
            Way::Flush => store.flush().unwrap(),
            Way::Nothing => {}
        }
        store.sync().unwrap();
        if matches!(way, Way::Compact | Way::Range) {
            assert_eq!(tables(&*store), [], "nothing is left to be a table");
        }
        // Killed, not closed.
        let image = disk.image();
        drop(store);
        for image in [image, disk.image()] {
            let disk = disk_of(&image);
            for _ in 0..3 {
                let store = open(&Engine::lsm(), disk.clone(), Access::Write).unwrap();
                assert_eq!(contents(&*store).unwrap(), Model::new());
                assert_eq!(store.get(&key(7)).unwrap(), None);
                store.compact().unwrap();
            }
            let store = open(&Engine::lsm(), disk, Access::Write).unwrap();
            store.set(&key(7), b"again").unwrap();
            assert_eq!(contents(&*store).unwrap().len(), 1);
        }
    }
}

// Row C21. The newest write's number is known from one place only; whoever goes on from a lower one writes
// what nobody sees (LevelDB and fjall have a test for this, mini-lsm had the bug).
#[test]
fn c21_last_trace_of_a_sequence_number() {
    type Leave = fn(&dyn KvsEngine);
    let in_the_log: Leave = |store| store.set(b"k", b"old").unwrap();
    let in_a_table: Leave = |store| {
        store.set(b"k", b"old").unwrap();
        store.flush().unwrap();
    };
    let in_the_manifest: Leave = |store| {
        store.set(b"k", b"old").unwrap();
        assert!(store.remove(b"k").unwrap());
        store.compact().unwrap();
        assert_eq!(tables(store), [], "no entry is left");
    };
    let all_but_one_gone: Leave = |store| {
        store.set(b"k", b"old").unwrap();
        (0..20).for_each(|n| store.set(&key(n), &[1; 100]).unwrap());
        store.flush().unwrap();
        (0..20).for_each(|n| assert!(store.remove(&key(n)).unwrap()));
        store.compact().unwrap();
        assert_eq!(contents(store).unwrap().len(), 1);
    };
    let of_a_load: Leave = |store| {
        store.set(b"k", b"older").unwrap();
        assert_eq!(store.load_sorted(&mut Once(Some((b"k", b"old")))).unwrap(), 1);
    };
    for (what, leave) in [
        ("in the log", in_the_log),
        ("in a table", in_a_table),
        ("in the manifest", in_the_manifest),
        ("all but one gone", all_but_one_gone),
        ("of a load", of_a_load),
    ] {
        let disk = empty_disk();
        let store = open_manual(&Engine::lsm(), Arc::new(disk.clone()));
        leave(&*store);
        store.sync().unwrap();
        let newest = store.stats().unwrap().seqno;
        assert!(newest > 0);
        let killed = disk.image();
        drop(store);
        for image in [killed, disk.image()] {
            let disk = disk_of(&image);
            let store = open(&Engine::lsm(), disk.clone(), Access::Write).unwrap();
            assert_eq!(store.stats().unwrap().seqno, newest, "{what}");
            store.set(b"k", b"new").unwrap();
            assert_eq!(store.stats().unwrap().seqno, newest + 1, "{what}");
            assert_eq!(store.get(b"k").unwrap().unwrap(), b"new", "{what}");
            drop(store);
            for compact in [false, true] {
                let store = open(&Engine::lsm(), disk.clone(), Access::Write).unwrap();
                if compact {
                    store.compact().unwrap();
                }
                assert_eq!(store.get(b"k").unwrap().unwrap(), b"new", "{what}");
                assert_eq!(store.stats().unwrap().seqno, newest + 1, "{what}");
            }
        }
    }
}

/// One pair to load.
struct Once(Option<(&'static [u8], &'static [u8])>);

impl Pairs for Once {
    fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        Ok(self.0.take())
    }
}

// Row C22. Two writes are left before sequence numbers end, in a store whose manifest says so. They are
// made; everything after is refused, says why, and leaves the store as it was.
#[test]
fn c22_sequence_numbers_end() {
    let disk = empty_disk();
    drop(open(&Engine::lsm(), Arc::new(disk.clone()), Access::Create).unwrap());
    let order = LsmOptions::tiny().comparator.name().to_string();
    let live = |last_seqno: u64| {
        let store = LiveFile::Store(StoreMeta { comparator: order.clone(), last_seqno });
        let state = WalState::Active { durable: 0 };
        BTreeMap::from([
            (0, store),
            (FIRST_LOG, LiveFile::Wal(WalMeta { first_seqno: last_seqno + 1, state })),
        ])
    };
    // The log of the empty store holds its header alone.
    let mut fresh = disk.image();
    fresh.cut(path_of(&filename::wal(FIRST_LOG)), 32);
    let image = with_manifest(&fresh, STORE_ID, live(MAX_SEQNO - 3));
    let disk = disk_of(&image);
    let store = open(&Engine::lsm(), disk.clone(), Access::Write).unwrap();
    assert_eq!(store.stats().unwrap().seqno, MAX_SEQNO - 3);
    let is_refused = |result: Result<()>| match result {
        Err(Error::InvalidArgument(text)) => assert!(text.contains("sequence numbers"), "{text}"),
        other => panic!("{other:?}"),
    };
    let three = || {
        let mut batch = WriteBatch::new();
        (0..3).for_each(|n| batch.set(&key(n), b"too many"));
        batch
    };
    is_refused(store.write(three(), &WriteOptions::default()));
    store.set(b"a", b"1").unwrap();
    store.flush().unwrap();
    store.set(b"a", b"2").unwrap();
    let held = Model::from([(b"a".to_vec(), b"2".to_vec())]);
    let refuses = |store: &dyn KvsEngine| {
        for _ in 0..2 {
            is_refused(store.set(b"a", b"3"));
            is_refused(store.write(three(), &WriteOptions::durable()));
            is_refused(store.remove(b"a").map(|_| ()));
            is_refused(store.swap(b"a", None).map(|_| ()));
            is_refused(store.load_sorted(&mut Once(Some((b"z", b"z")))).map(|_| ()));
            // What writes nothing goes on.
            assert!(!store.remove(b"not there").unwrap());
            store.sync().unwrap();
            store.flush().unwrap();
            store.compact().unwrap();
            assert_eq!(contents(store).unwrap(), held);
            assert_eq!(contents(&store.snapshot().unwrap()).unwrap(), held);
        }
        assert_eq!(store.stats().unwrap().poisoned, None);
        assert_eq!(store.stats().unwrap().seqno, MAX_SEQNO - 1);
    };
    refuses(&*store);
    drop(store);
    refuses(&*open(&Engine::lsm(), disk, Access::Write).unwrap());
    // A manifest that says more than that is damaged.
    for beyond in [MAX_SEQNO + 1, u64::MAX - 1] {
        let image = with_manifest(&fresh, STORE_ID, live(beyond));
        expect_damage(&image, "a number that there is not", |file| file == "MANIFEST");
    }
}

/// The same keys, each time with other values: so that stores have tables of the same numbers.
fn history_of(value: u8) -> (Image, Model) {
    let disk = empty_disk();
    let store = open_manual(&Engine::lsm(), Arc::new(disk.clone()));
    for round in 0..2 {
        (0..24).for_each(|n| store.set(&key(n), &[value + round; 40]).unwrap());
        store.flush().unwrap();
    }
    let model = contents(&*store).unwrap();
    drop(store);
    (disk.image(), model)
}

fn sst_files(image: &Image) -> Vec<PathBuf> {
    let all = image.files.keys().filter(|path| path.extension().is_some_and(|end| end == "sst"));
    all.map(|path| path.to_path_buf()).collect()
}

// Row K7. A table in the place of another passed in many engines: its blocks have the right checksums.
// Here they are salted with the file's number and each block's offset, and the manifest knows each table
// by its contents.
#[test]
fn k07_tables_exchanged() {
    let ((image, model), (other, _)) = (history_of(b'a'), history_of(b'k'));
    let judge = Judge { engine: &Engine::lsm(), model: &model, absent: &[b"never"] };
    assert_eq!(judge.look(&image), Ok(None));
    let files = sst_files(&image);
    assert!(files.len() == 2 && sst_files(&other) == files);
    let mut tally = Tally::default();
    let mut look = |image: &Image, suspect: Option<&Path>, what: &str| {
        let before = tally.detected;
        judge.count(&mut tally, image, suspect, || what.to_string());
        assert_eq!(tally.detected, before + 1, "{what}: {tally}");
    };
    let mut swapped = image.clone();
    swapped.put(&files[0], image.get(&files[1]).unwrap());
    swapped.put(&files[1], image.get(&files[0]).unwrap());
    look(&swapped, None, "two tables exchanged");
    for file in &files {
        let twin = other.get(file).unwrap();
        assert_eq!(twin.len(), image.get(file).unwrap().len(), "told apart by its contents alone");
        let mut replaced = image.clone();
        replaced.put(file, twin);
        look(&replaced, Some(file), "a table of the same number, from another life");
    }
    // A block over another one of its file.
    let (file, content) = (&files[0], image.get(&files[0]).unwrap());
    let data: Vec<Region> = data_blocks(file, content);
    for (from, to) in data.iter().zip(&data[1..]).filter(|(from, to)| from.at.len == to.at.len) {
        let mut copied = image.clone();
        let bytes = content[from.at.offset as usize..from.at.end() as usize].to_vec();
        copied.edit(file)[to.at.offset as usize..to.at.end() as usize].copy_from_slice(&bytes);
        look(&copied, Some(file), "a block over another");
    }
    assert!(tally.tried > 4 && tally.silent.is_empty(), "{tally}: {:?}", tally.silent);
    println!("tables exchanged: {tally}");
}

fn number_of(file: &Path) -> u64 {
    match filename::parse(file.file_name().unwrap().to_str().unwrap()) {
        Some(filename::FileName::Table(number)) => number,
        other => panic!("{other:?}"),
    }
}

fn data_blocks(file: &Path, content: &[u8]) -> Vec<Region> {
    let regions = forge::regions(number_of(file), content).into_iter();
    regions.filter(|region| region.kind == RegionKind::Data).collect()
}

// Row K8. A filter with a flipped bit says "not there" of a key that is; a damaged index loses a whole
// block (RocksDB's `detect_filter_construct_corruption` is about this). Each bit of each of them in turn:
// an error, or the right answer, never "not found".
#[test]
fn k08_damaged_filter_or_index() {
    let (image, model) = history_of(b'a');
    // Between all keys: so each part of each filter is asked.
    let between: Vec<_> = model.keys().map(|key| [&key[..], b"?"].concat()).collect();
    let between: Vec<_> = between.iter().map(|key| &key[..]).collect();
    let judge = Judge { engine: &Engine::lsm(), model: &model, absent: &between };
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for file in sst_files(&image) {
        let content = image.get(&file).unwrap();
        for region in forge::regions(number_of(&file), content) {
            if region.kind == RegionKind::Data {
                continue;
            }
            let tally = tallies.entry(region.kind.name()).or_default();
            for bit in 8 * region.at.offset..8 * region.at.end() {
                let mut image = image.clone();
                image.flip_bit(&file, bit);
                judge.count(tally, &image, Some(&file), || format!("{} bit {bit}", file.display()));
            }
        }
    }
    for (kind, tally) in &tallies {
        println!("{kind}: {tally}");
        assert!(tally.silent.is_empty() && tally.detected == tally.tried, "{kind}: {:?}", tally.silent);
    }
    assert!(["filter", "index", "top index"].iter().all(|kind| tallies.contains_key(kind)), "{tallies:?}");
}

/// Tables of level 0 and below; one data block of one of level 0 has a flipped bit. The keys in it.
fn with_a_bad_block() -> (Image, Model, PathBuf, Vec<Vec<u8>>) {
    let disk = empty_disk();
    let store = open_manual(&Engine::lsm(), Arc::new(disk.clone()));
    (0..60).for_each(|n| store.set(&key(n), &[b'o'; 50]).unwrap());
    store.compact().unwrap();
    (10..50).for_each(|n| store.set(&key(n), format!("newer {n:040}").as_bytes()).unwrap());
    store.flush().unwrap();
    (20..30).for_each(|n| store.set(&key(n), &[b'p'; 50]).unwrap());
    store.flush().unwrap();
    let model = contents(&*store).unwrap();
    drop(store);
    let mut image = disk.image();
    let holds = |content: &[u8]| {
        content.windows(46).position(|window| window == format!("newer {:040}", 40).as_bytes())
    };
    let (path, at) =
        image.files.iter().find_map(|(path, content)| Some((path.clone(), holds(content)?))).unwrap();
    let block = data_blocks(&path, image.get(&path).unwrap())
        .into_iter()
        .find(|block| (block.at.offset..block.at.end()).contains(&(at as u64)))
        .unwrap();
    let bytes = &image.get(&path).unwrap()[block.at.offset as usize..block.at.end() as usize];
    let is_in = |n: &usize| bytes.windows(46).any(|window| window == format!("newer {n:040}").as_bytes());
    let keys: Vec<_> = (10..50).filter(is_in).map(key).collect();
    assert!(!keys.is_empty() && keys.len() < 10, "{keys:?}");
    image.flip_bit(&path, 8 * at as u64);
    (image, model, path.to_path_buf(), keys)
}

/// Keys in the bad block are errors that name their table; all others are as they were.
fn expect_the_rest(store: &dyn KvsEngine, model: &Model, damaged: &Path, bad: &[Vec<u8>]) {
    for (key, value) in model {
        match store.get(key) {
            Ok(found) => {
                assert!(!bad.contains(key), "{key:?} was read from the bad block");
                assert_eq!(found.as_deref(), Some(&value[..]));
            }
            Err(error) => {
                assert!(bad.contains(key), "{key:?}: {error}");
                assert!(damaged.ends_with(judge::place(&error).unwrap().0));
            }
        }
    }
}

// Row K9. LevelDB (CompactionInputError) and RocksDB (HISTORY.md:2525) have gone on without the bad block,
// and removed the table that it was in. A compaction that meets damage ends, says so, and leaves all its
// inputs; what it had written is gone.
#[test]
fn k09_compaction_meets_a_bad_block() {
    let (image, model, damaged, bad) = with_a_bad_block();
    let sim = SimDisk::from_image(&image, Record::Off);
    let store = open_manual(&Engine::lsm(), Arc::new(sim.clone()));
    expect_the_rest(&*store, &model, &damaged, &bad);
    let error = store.compact().unwrap_err();
    assert!(damaged.ends_with(judge::place(&error).unwrap().0), "{error}");
    let names = |image: &Image| sst_files(image);
    let inputs_stay = |image: &Image, before: &Image| {
        assert_eq!(names(image), names(before), "inputs stay, and no output is left");
        names(before).iter().for_each(|path| assert!(image.get(path) == before.get(path)));
    };
    inputs_stay(&sim.image(), &image);
    expect_the_rest(&*store, &model, &damaged, &bad);
    // It is not tried again and again, and the store goes on.
    let _ = store.compact();
    inputs_stay(&sim.image(), &image);
    store.set(b"writes", b"go on").unwrap();
    assert_eq!(store.stats().unwrap().poisoned, None);
    drop(store);
    for access in [Access::Read, Access::Write] {
        let store = open(&Engine::lsm(), Arc::new(sim.clone()), access).unwrap();
        expect_the_rest(&*store, &model, &damaged, &bad);
        assert_eq!(store.get(b"writes").unwrap().unwrap(), b"go on");
    }
}

// Row K9, in the background: it is told, nothing is lost, and no writer waits for what can not be
// compacted.
#[test]
fn k09_background_compaction_meets_a_bad_block() {
    use kvs::engine::event::{Event, Listener};
    for schedule in [Schedule::Inline, Schedule::Threads] {
        let (image, mut model, damaged, bad) = with_a_bad_block();
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = told.clone();
        let listener = Listener::new(move |event| {
            if let Event::BackgroundFailed { reason } = event {
                heard.lock().unwrap().push(reason.clone());
            }
        });
        let disk = disk_of(&image);
        let options = OpenOptions { schedule, listener, ..open_options(disk.clone(), Access::Write) };
        let store = Engine::lsm().open(Path::new(DIR), options).unwrap();
        // Until the compactor has met it, and long beyond what level 0 may hold.
        let mut refused = 0;
        for n in 0..100 {
            match store.set(&key(100 + n), &[7; 700]) {
                Ok(()) => drop(model.insert(key(100 + n), vec![7; 700])),
                Err(error) => {
                    // Who would have to wait is told why it would be for ever.
                    assert!(error.is_corruption(), "{error}");
                    refused += 1;
                }
            }
        }
        let told = told.lock().unwrap().clone();
        assert!(told.iter().any(|reason| reason.contains("damaged at offset")), "{schedule:?}: {told:?}");
        assert!(schedule == Schedule::Threads || refused == 0, "{refused}");
        assert!(told.len() < 30, "not again and again: {}", told.len());
        expect_the_rest(&*store, &model, &damaged, &bad);
        drop(store);
        let store = open(&Engine::lsm(), disk, Access::Read).unwrap();
        expect_the_rest(&*store, &model, &damaged, &bad);
    }
}

/// The level of the table that a tombstone of `key` was found in, if it was found in one.
fn level_of_tombstone(store: &dyn KvsEngine, key: &[u8]) -> Option<u8> {
    let explained = store.explain_get(key).unwrap();
    assert_eq!(explained.found, None);
    explained.steps.iter().find(|step| step.outcome.contains("removed")).and_then(|step| step.level)
}

// Row S1. rocksdb#2722 and #2726, badger#2143, turbodb#94: a tombstone was compacted into a level that had
// nothing of its key, and dropped there, while a deeper level still had the value. Here values are at the
// bottom, and their tombstones wander down level by level, over ranges where other levels have nothing.
#[test]
fn s01_tombstone_over_an_empty_level() {
    let disk = empty_disk();
    let engine =
        Engine::lsm().with("level0_tables", "1").with("level_bytes", "1024").with("table_bytes", "1024");
    let store = open(&engine, Arc::new(disk.clone()), Access::Create).unwrap();
    let gone = |n: usize| n % 5 == 2;
    (0..100).for_each(|n| store.set(&key(n), &[b'v'; 200]).unwrap());
    store.compact().unwrap();
    let bottom = tables(&*store).iter().filter_map(|table| table.level).max().unwrap();
    assert!(bottom >= 3, "{bottom}");
    let mut levels = Vec::new();
    for n in (0..100).filter(|n| gone(*n)) {
        let mut batch = WriteBatch::new();
        batch.remove(&key(n));
        store.write(batch, &WriteOptions::default()).unwrap();
        // Something of elsewhere makes the levels move.
        (0..6).for_each(|i| {
            store.set(format!("x{:03}", (n * 7 + i * 31) % 200).as_bytes(), &[b'x'; 150]).unwrap()
        });
        store.flush().unwrap();
        for n in (0..=n).filter(|n| gone(*n)) {
            levels.extend(level_of_tombstone(&*store, &key(n)));
        }
    }
    levels.sort_unstable();
    levels.dedup();
    println!("tombstones were seen in levels {levels:?} above level {bottom}");
    assert!(levels.iter().any(|level| (1..bottom).contains(level)), "{levels:?}, not between 0 and {bottom}");
    let check = |store: &dyn KvsEngine| {
        let found = contents(store).unwrap();
        (0..100).for_each(|n| assert_eq!(found.contains_key(&key(n)), !gone(n), "key {n}"));
    };
    check(&*store);
    drop(store);
    let store = open(&engine, Arc::new(disk.clone()), Access::Write).unwrap();
    check(&*store);
    store.compact().unwrap();
    check(&*store);
    assert!(
        (0..100).filter(|n| gone(*n)).all(|n| level_of_tombstone(&*store, &key(n)).is_none()),
        "they are gone"
    );
}

/// In level 1 and below no two tables share a user key.
fn expect_no_shared_keys(store: &dyn KvsEngine) {
    type Ends = (Vec<u8>, Vec<u8>);
    let mut levels: BTreeMap<u8, Vec<Ends>> = BTreeMap::new();
    for table in tables(store).into_iter().filter(|table| table.level > Some(0)) {
        let ends = (table.smallest.unwrap(), table.largest.unwrap());
        levels.entry(table.level.unwrap()).or_default().push(ends);
    }
    for (level, mut ends) in levels {
        ends.sort();
        ends.windows(2).for_each(|pair| assert!(pair[0].1 < pair[1].0, "level {level}: {ends:?}"));
    }
}

// Row S2. LevelDB's issues 184 and 320: the versions of one key were parted between two tables, and a
// compaction took the newer one down below the older. Here one key has more versions than four tables hold,
// and snapshots see each of them.
#[test]
fn s02_versions_of_a_key_at_a_boundary() {
    let disk = empty_disk();
    let engine = Engine::lsm().with("table_bytes", "1024").with("compression", "none");
    let store = open(&engine, Arc::new(disk.clone()), Access::Create).unwrap();
    let mut held: Vec<(Snapshot, Model)> = Vec::new();
    let expect_all = |held: &[(Snapshot, Model)]| {
        for (snapshot, model) in held {
            assert_eq!(contents(snapshot).unwrap(), *model);
            assert_eq!(snapshot.get(b"k").unwrap().as_deref(), model.get(&b"k"[..]).map(|value| &value[..]));
        }
    };
    for version in 0..24_u8 {
        store.set(b"k", &[version; 300]).unwrap();
        store.set(format!("j{}", version % 3).as_bytes(), &[version; 200]).unwrap();
        store.set(format!("l{}", version % 3).as_bytes(), &[version; 200]).unwrap();
        if version % 6 == 5 {
            assert!(store.remove(b"k").unwrap());
        }
        held.push((store.snapshot().unwrap(), contents(&*store).unwrap()));
        if version % 5 == 4 {
            store.compact_range(&KeyRange::of("k"..="k")).unwrap();
        }
        expect_no_shared_keys(&*store);
        expect_all(&held);
    }
    store.compact().unwrap();
    expect_no_shared_keys(&*store);
    expect_all(&held);
    let all: u64 = tables(&*store).iter().map(|table| table.bytes).sum();
    // Every second one goes: the others stay readable through another compaction. When all are gone, what
    // they alone saw is reclaimed.
    let mut nth = 0;
    held.retain(|_| {
        nth += 1;
        nth % 2 == 0
    });
    store.compact().unwrap();
    expect_no_shared_keys(&*store);
    expect_all(&held);
    held.clear();
    store.compact().unwrap();
    let rest: u64 = tables(&*store).iter().map(|table| table.bytes).sum();
    assert!(rest < all / 3, "{rest} of {all} bytes");
    let model = contents(&*store).unwrap();
    drop(store);
    assert_eq!(contents(&*open(&engine, Arc::new(disk), Access::Write).unwrap()).unwrap(), model);
}

/// Whether any file on the disk has these bytes.
fn is_anywhere(disk: &SimDisk, bytes: &[u8]) -> bool {
    let image = disk.image();
    image.files.values().any(|content| content.windows(bytes.len()).any(|window| window == bytes))
}

// Row S6. lsm-tree#321, leveldb#887, rocksdb#8608: what a snapshot saw was compacted away while it was
// held, or never after it was let go, or in the moment between. Held: the newest version that it sees stays
// readable. Let go: the next compaction reclaims it. Let go in the middle of a compaction: no harm.
#[test]
fn s06_snapshot_through_flush_and_compaction() {
    for when in [When::OutputIsMade, When::OutputsAreWhole] {
        let sim = empty_disk();
        let held: Arc<Mutex<Option<Snapshot>>> = Arc::default();
        let intruder = {
            let held = held.clone();
            move || drop(held.lock().unwrap().take())
        };
        let disk = Arc::new(Intruded::new(Arc::new(sim.clone()), when, intruder));
        let engine = Engine::lsm().uncached().with("compression", "none");
        let store = open_manual(&engine, disk.clone());
        let keys = || (0..12).map(key);
        keys().for_each(|key| store.set(&key, b"the first version").unwrap());
        store.flush().unwrap();
        keys().for_each(|key| store.set(&key, b"the seen version").unwrap());
        let snapshot = store.snapshot().unwrap();
        let expect_seen = |snapshot: &Snapshot| {
            keys().for_each(|key| assert_eq!(snapshot.get(&key).unwrap().unwrap(), b"the seen version"));
            for range in [KeyRange::all(), KeyRange::all().reverse()] {
                let found: Vec<_> = snapshot.scan(range).unwrap().map(|pair| pair.unwrap().1).collect();
                assert!(found.len() == 12 && found.iter().all(|value| *value == b"the seen version"[..]));
            }
        };
        store.flush().unwrap();
        expect_seen(&snapshot);
        keys().step_by(2).for_each(|key| store.set(&key, b"the last version").unwrap());
        keys().skip(1).step_by(2).for_each(|key| assert!(store.remove(&key).unwrap()));
        store.flush().unwrap();
        expect_seen(&snapshot);
        store.compact().unwrap();
        expect_seen(&snapshot);
        assert!(is_anywhere(&sim, b"the seen version"));
        assert!(!is_anywhere(&sim, b"the first version"), "nobody sees that");
        // A cursor of the past, across the next compactions.
        let mut cursor = snapshot.cursor(KeyRange::all()).unwrap();
        cursor.seek(&key(5)).unwrap();
        store.set(b"more", b"1").unwrap();
        store.compact().unwrap();
        assert_eq!(cursor.key(), key(5));
        assert_eq!(cursor.value().unwrap(), b"the seen version");
        cursor.prev().unwrap();
        assert_eq!(cursor.key(), key(4));
        drop(cursor);
        // Let go of while a compaction runs, which had counted with it or not.
        *held.lock().unwrap() = Some(snapshot);
        store.set(b"more", b"2").unwrap();
        disk.arm();
        store.compact().unwrap();
        assert!(disk.has_acted() && held.lock().unwrap().is_none(), "{when:?}");
        let expect_last = |store: &dyn KvsEngine| {
            for n in 0..12 {
                let last = (n % 2 == 0).then_some(&b"the last version"[..]);
                assert_eq!(store.get(&key(n)).unwrap().as_deref(), last, "{when:?}");
            }
        };
        expect_last(&*store);
        store.compact().unwrap();
        expect_last(&*store);
        assert_eq!(store.stats().unwrap().snapshots, 0);
        assert!(!is_anywhere(&sim, b"the seen version"), "{when:?}: it was never reclaimed");
        drop(store);
        expect_last(&*open(&engine, Arc::new(sim), Access::Write).unwrap());
    }
}

// Row S8. LevelDB's issue 200: a cursor that turned around skipped a key, or saw one twice, where another
// had been inserted beside it meanwhile. At each key of each arrangement of memtables and tables, both
// ways, with neighbours written and flushed before the turn.
#[test]
fn s08_cursor_turns_beside_a_write() {
    for arrangement in 0..5 {
        let store = open(&Engine::lsm(), Arc::new(empty_disk()), Access::Create).unwrap();
        for n in (10..40).step_by(2) {
            store.set(&key(n), &[n as u8; 90]).unwrap();
            match (arrangement, n % 8) {
                (1 | 3, 2) => store.flush().unwrap(),
                (2 | 3, 6) => store.compact().unwrap(),
                (4, 4) => drop(store.remove(&key(n - 4)).unwrap()),
                _ => {}
            }
        }
        for turn in 0..20 {
            let model = contents(&*store).unwrap();
            let after = |key: &[u8]| model.range::<[u8], _>((Bound::Excluded(key), Bound::Unbounded)).next();
            let before =
                |key: &[u8]| model.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(key))).next_back();
            let at = model.keys().nth(turn * 7 % model.len()).unwrap();
            let mut cursor = store.cursor(KeyRange::all()).unwrap();
            cursor.seek(at).unwrap();
            // Right beside it, on both sides, on it, and on its neighbours.
            let beside = [[&at[..], b"\0"].concat(), [&at[..at.len() - 1], b"!"].concat(), at.clone()];
            for key in
                beside.iter().chain(after(at).map(|(key, _)| key)).chain(before(at).map(|(key, _)| key))
            {
                store.set(key, b"written beside").unwrap();
            }
            match turn % 3 {
                0 => drop(store.remove(at).unwrap()),
                1 => store.flush().unwrap(),
                _ => store.compact().unwrap(),
            }
            let mut expected = Some((at, &model[at]));
            for (step, forward) in [true, false, false, true, true, false].into_iter().enumerate() {
                let Some((key, value)) = expected else { break };
                let found = (cursor.key().to_vec(), cursor.value().unwrap().to_vec());
                assert_eq!(found, (key.clone(), value.clone()), "{arrangement}, at {at:?}, step {step}");
                expected = if forward { after(key) } else { before(key) };
                if forward {
                    cursor.next().unwrap()
                } else {
                    cursor.prev().unwrap()
                }
                assert_eq!(cursor.valid(), expected.is_some());
            }
        }
    }
}

/// Does one thing to the store, and to the model.
type Act = fn(&dyn KvsEngine, &mut Model);

// Row S9. mini-lsm#181 and #62: a compaction whose output is nothing made an empty table, and panicked; and
// a store that was compacted as a whole could not be opened again. Every operation of the contract, on a
// store that is empty, full, and full of nothing but tombstones; opened again after each.
#[test]
fn s09_compaction_without_output() {
    const OPERATIONS: [(&str, Act); 12] = [
        ("set", |store, model| {
            for n in 0..20 {
                store.set(&key(n), &[1; 200]).unwrap();
                model.insert(key(n), vec![1; 200]);
            }
        }),
        ("flush", |store, _| store.flush().unwrap()),
        ("compact", |store, _| store.compact().unwrap()),
        ("compact nothing", |store, _| store.compact_range(&KeyRange::of("x".."y")).unwrap()),
        ("remove all", |store, model| {
            for n in 0..20 {
                assert_eq!(store.remove(&key(n)).unwrap(), model.remove(&key(n)).is_some());
            }
        }),
        ("remove blindly", |store, model| {
            let mut batch = WriteBatch::new();
            (0..30).for_each(|n| batch.remove(&key(n)));
            store.write(batch, &WriteOptions::durable()).unwrap();
            model.retain(|key, _| !key.starts_with(b"key"));
        }),
        ("compact all but nothing", |store, _| store.compact_range(&KeyRange::all().reverse()).unwrap()),
        ("load", |store, model| {
            store.load_sorted(&mut Once(Some((b"loaded", b"1")))).unwrap();
            model.insert(b"loaded".to_vec(), b"1".to_vec());
        }),
        ("load nothing", |store, _| assert_eq!(store.load_sorted(&mut Once(None)).unwrap(), 0)),
        ("remove what was loaded", |store, model| {
            assert_eq!(
                store.swap(b"loaded", None).unwrap().is_some(),
                model.remove(&b"loaded"[..]).is_some()
            );
        }),
        ("an empty batch", |store, _| store.write(WriteBatch::new(), &WriteOptions::durable()).unwrap()),
        ("look", |store, _| {
            store.sync().unwrap();
            let snapshot = store.snapshot().unwrap();
            assert_eq!(contents(&snapshot).unwrap(), contents(store).unwrap());
            store.stats().unwrap();
            store.explain_get(&key(1)).unwrap();
            store.explain_scan(KeyRange::all(), 10).unwrap();
        }),
    ];
    // Each pair of operations stands side by side once.
    let mut state = 1_u64;
    for schedule in [Schedule::Inline, Schedule::Manual] {
        let disk = empty_disk();
        let mut model = Model::new();
        let mut empty_trees = 0;
        for round in 0..300 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (name, act) = OPERATIONS[(state >> 33) as usize % OPERATIONS.len()];
            let options = open_options(Arc::new(disk.clone()), Access::Create);
            let store = Engine::lsm().open(Path::new(DIR), OpenOptions { schedule, ..options }).unwrap();
            act(&*store, &mut model);
            assert_eq!(contents(&*store).unwrap(), model, "{round}: {name}");
            empty_trees += u64::from(name.starts_with("compact") && tables(&*store).is_empty());
            if round % 40 == 7 {
                let copy = format!("/copy{round}");
                store.checkpoint(Path::new(&copy)).unwrap();
                let copied =
                    Engine::lsm().open(Path::new(&copy), open_options(Arc::new(disk.clone()), Access::Write));
                assert_eq!(contents(&*copied.unwrap()).unwrap(), model, "{round}: a checkpoint after {name}");
            }
            drop(store);
            let store = open(&Engine::lsm(), Arc::new(disk.clone()), Access::Read).unwrap();
            assert_eq!(contents(&*store).unwrap(), model, "{round}: {name}, opened again");
        }
        assert!(empty_trees > 10, "{schedule:?}: {empty_trees}");
    }
}
