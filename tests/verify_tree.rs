//! Verify, repair and find on LSM trees: every kind of damage is found, what a crash may leave is none,
//! and what has a right checksum is saved.

#![expect(clippy::unwrap_used, reason = "a test that can not go on panics")]

use kvs::engine::batch::WriteBatch;
use kvs::engine::lsm::Lsm;
use kvs::engine::lsm::comparator::{Comparator, Order};
use kvs::engine::lsm::options::{Compression, Compressions, LsmOptions};
use kvs::engine::lsm::version::edit::{LiveFile, TableMeta};
use kvs::engine::manifest::{self, Edit, Manifest};
use kvs::engine::options::{Access, OpenOptions, WriteOptions};
use kvs::engine::range::KeyRange;
use kvs::engine::{KvsEngine, KvsRead};
use kvs::error::Error;
use kvs::inspect::find::find;
use kvs::inspect::repair::{self, repair};
use kvs::inspect::verify::report::Report;
use kvs::inspect::verify::{verify, verify_ordered};
use kvs::inspect::{View, inspect};
use kvs::vfs::counting::CountingDisk;
use kvs::vfs::crash::budget::Budget;
use kvs::vfs::crash::explore;
use kvs::vfs::dir::Dir;
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::{Record, SimDisk};
use kvs::vfs::os::OsDisk;
use kvs::vfs::{Cause, Vfs};
use kvs::worker::Schedule;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

fn open_at(disk: &SimDisk, path: &str, access: Access) -> Result<Lsm, Error> {
    let open = OpenOptions {
        disk: Arc::new(disk.clone()),
        access,
        schedule: Schedule::Inline,
        store_id: Some(42),
        ..OpenOptions::default()
    };
    // Some tables stay in level 0, above those that were compacted.
    let compression = Compressions(vec![Compression::None, Compression::Lz4]);
    Lsm::open(Path::new(path), open, LsmOptions { compression, level0_tables: 4, ..LsmOptions::tiny() })
}

fn key(i: usize) -> Vec<u8> {
    format!("key{i:03}").into_bytes()
}

/// A tree of several levels and a log: keys that are replaced and removed across levels, and batches.
fn store() -> (SimDisk, Pairs) {
    let disk = SimDisk::new();
    disk.record(Record::Off);
    let mut model = Pairs::new();
    let store = open_at(&disk, "/db", Access::Create).unwrap();
    for round in 0..3 {
        for i in 15 * round..15 * round + 40 {
            let value = vec![b'a' + round as u8; 40 + i];
            store.set(&key(i), &value).unwrap();
            model.insert(key(i), value);
        }
        let mut batch = WriteBatch::new();
        for i in 100..105 {
            let value = vec![b'A' + round as u8; 10];
            batch.set(&key(i), &value);
            model.insert(key(i), value);
        }
        batch.remove(&key(round));
        model.remove(&key(round));
        store.write(batch, &WriteOptions::durable()).unwrap();
        store.flush().unwrap();
    }
    drop(store);
    let store = open_at(&disk, "/db", Access::Write).unwrap();
    let mut batch = WriteBatch::new();
    batch.set(b"last", b"word");
    batch.remove(&key(30));
    store.write(batch, &WriteOptions::durable()).unwrap();
    store.set(&key(31), b"in the log").unwrap();
    model.insert(b"last".to_vec(), b"word".to_vec());
    model.insert(key(31), b"in the log".to_vec());
    model.remove(&key(30));
    drop(store);
    (disk, model)
}

fn check(disk: &SimDisk) -> Report {
    verify(Arc::new(disk.clone()), Path::new("/db")).unwrap()
}

fn pairs(store: &dyn KvsRead) -> Pairs {
    let pairs = store.scan(KeyRange::all()).unwrap().map(|pair| pair.unwrap());
    pairs.map(|(k, v)| (k.to_vec(), v.to_vec())).collect()
}

fn mend(disk: &SimDisk) -> (repair::report::Report, Pairs) {
    let before = disk.image();
    let report = repair(Arc::new(disk.clone()), Path::new("/db"), Path::new("/new")).unwrap();
    let mut after = disk.image();
    after.files.retain(|path, _| !path.starts_with("/new"));
    after.dirs.retain(|path| !path.starts_with("/new"));
    assert!(before == after, "the original was touched");
    let sound = verify(Arc::new(disk.clone()), Path::new("/new")).unwrap();
    assert!(sound.is_sound(), "{sound}");
    let store = open_at(disk, "/new", Access::Read).unwrap();
    let found = pairs(&store);
    assert_eq!(report.saved.keys, found.len() as u64);
    (report, found)
}

fn damaged(image: &Image, damage: impl FnOnce(&mut Image)) -> SimDisk {
    let mut image = image.clone();
    damage(&mut image);
    SimDisk::from_image(&image, Record::Off)
}

fn files(image: &Image, ending: &str) -> Vec<String> {
    let names = image.files.keys().map(|path| path.to_str().unwrap().to_string());
    names.filter(|name| name.ends_with(ending)).collect()
}

/// Every view of every file and of the directory, which must not fail, whatever the damage.
fn look_at_all(disk: &SimDisk) {
    let mut targets = files(&disk.image(), "");
    targets.push("/db".into());
    for target in targets {
        for view in [View::Summary, View::Explain, View::Layout, View::Entries, View::Props] {
            let result = inspect(Arc::new(disk.clone()), Path::new(&target), view, &mut Vec::new());
            result.unwrap_or_else(|error| panic!("{target} {view:?}: {error}"));
        }
    }
    find(Arc::new(disk.clone()), Path::new("/db"), b"key031").unwrap();
}

#[test]
fn a_sound_tree_is_sound_and_says_what_was_checked() {
    let (disk, model) = store();
    let before = disk.image();
    assert!(files(&before, ".sst").len() >= 3, "{:?}", files(&before, ""));
    let report = check(&disk);
    assert!(report.is_sound(), "{report}");
    assert!(report.notes.is_empty(), "{report}");
    let counted = |what| report.checked.iter().filter(|c| c.what == what).map(|c| c.count).sum::<u64>();
    assert_eq!(counted("keys"), model.len() as u64);
    assert_eq!(counted("writes"), 3);
    assert!(counted("entries") > 80 && counted("data blocks") >= 20, "{report}");
    assert!(serde_json::to_string(&report).unwrap().contains("\"engine\":\"lsm\""));
    assert!(disk.image() == before, "verify changes nothing");
    look_at_all(&disk);
    let (report, found) = mend(&disk);
    assert_eq!(found, model, "{report}");
    assert!(report.is_lossless() && report.notes.is_empty(), "{report}");
}

/// K1, K2, K3, K8: a cleanly closed tree, any byte of any file.
#[test]
fn a_flip_of_any_byte_is_found_and_costs_at_most_its_block() {
    let (disk, model) = store();
    let image = disk.image();
    for name in files(&image, "") {
        let len = image.get(&name).unwrap().len();
        for at in (0..len).step_by(if name.ends_with(".sst") { 13 } else { 3 }) {
            let disk = damaged(&image, |image| image.edit(&name)[at] ^= 0x10);
            let report = check(&disk);
            // What a Close record says is vouched for by nothing, and needed by nobody.
            let last = at + 16 >= len && (name.ends_with("MANIFEST") || name.ends_with(".wal"));
            assert!(!report.is_sound() || last, "{name} at {at}: {report}");
            if at % 39 == 0 {
                look_at_all(&disk);
            }
            if at % 3 == 0 {
                let (report, found) = mend(&disk);
                let missing = model.iter().filter(|(key, value)| found.get(*key) != Some(value)).count();
                // A block of 256 bytes, or one batch.
                assert!(missing <= 8, "{name} at {at}: {missing} lost: {report}");
                assert!(missing == 0 || !report.is_lossless(), "{name} at {at}: {report}");
                let holds_data = name.ends_with(".sst") || name.ends_with(".wal");
                // Tables that a compaction has replaced are gone: nothing comes back without the manifest.
                assert!(holds_data || found == model, "{name} at {at}: {report}");
            }
        }
    }
}

/// K6: a file of every length, and repair of what is left.
#[test]
fn a_cut_anywhere_is_found() {
    let (disk, _) = store();
    let image = disk.image();
    let table = files(&image, ".sst").swap_remove(0);
    for name in [table, "/db/ENGINE".into()] {
        let len = image.get(&name).unwrap().len();
        for at in (0..len).step_by(29) {
            let disk = damaged(&image, |image| image.cut(&name, at));
            assert!(!check(&disk).is_sound(), "{name} cut to {at}");
            if at % 87 == 0 {
                look_at_all(&disk);
                mend(&disk);
            }
        }
    }
}

/// C11: a file that is gone.
#[test]
fn a_missing_file_is_found_and_repair_does_without() {
    let (disk, model) = store();
    let image = disk.image();
    for name in files(&image, "") {
        let disk = damaged(&image, |image| _ = image.remove(&name));
        let report = check(&disk);
        assert!(!report.is_sound(), "{name}: {report}");
        look_at_all(&disk);
        let (report, found) = mend(&disk);
        match name.ends_with(".sst") || name.ends_with(".wal") {
            false => assert_eq!(found, model, "{name}: {report}"),
            true => assert!(report.lost.iter().any(|lost| lost.path == name), "{name}: {report}"),
        }
    }
}

/// K7: the manifest lost, and of a table everything but its data blocks.
#[test]
fn without_manifest_and_indexes_all_blocks_are_found_and_the_newest_version_wins() {
    let (disk, model) = store();
    let disk = damaged(&disk.image(), |image| {
        image.remove("/db/MANIFEST");
        image.remove("/db/ENGINE");
        for name in files(image, ".sst") {
            let len = image.get(&name).unwrap().len();
            image.edit(&name)[len - 20] ^= 1;
        }
    });
    look_at_all(&disk);
    let (report, found) = mend(&disk);
    assert_eq!(found, model, "{report}");
    assert!(report.notes.iter().any(|note| note.contains("from the headers")), "{report}");
}

#[test]
fn two_tables_that_changed_places_are_found_and_nothing_is_lost() {
    let (disk, model) = store();
    let disk = damaged(&disk.image(), |image| {
        let names = files(image, ".sst");
        let (a, b) = (image.remove(&names[0]), image.remove(&names[1]));
        image.put(&names[0], b.to_vec());
        image.put(&names[1], a.to_vec());
    });
    assert!(!check(&disk).is_sound());
    look_at_all(&disk);
    let (report, found) = mend(&disk);
    assert_eq!(found, model, "{report}");
    assert!(report.notes.iter().any(|note| note.contains("by its footer")), "{report}");
}

/// Where no index names a damaged block, those behind it are found all the same.
#[test]
fn behind_a_damaged_block_and_a_damaged_index_the_search_goes_on() {
    let (disk, model) = store();
    let image = disk.image();
    let name = files(&image, ".sst").swap_remove(0);
    let disk = damaged(&image, |image| {
        let len = image.get(&name).unwrap().len();
        image.edit(&name)[len - 20] ^= 1;
        image.edit(&name)[40] ^= 1;
    });
    let (report, found) = mend(&disk);
    let missing = model.iter().filter(|(key, value)| found.get(*key) != Some(value)).count();
    assert!(missing <= 8, "{missing} lost: {report}");
    assert!(report.lost.iter().any(|lost| lost.path == name && lost.offset == 0), "{report}");
}

/// A hole of any size: the search that tried every length at every place behind it gave up after 64 KiB, and all that
/// stood there was lost.
#[test]
fn behind_a_large_hole_and_a_damaged_index_every_block_is_found() {
    const VALUE: usize = 1 << 10;
    const HOLE: std::ops::Range<usize> = 100 << 10..400 << 10;
    let mut noise = 1u64;
    let mut noise = |len: usize| -> Vec<u8> {
        let mut byte = || {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (noise >> 56) as u8
        };
        (0..len).map(|_| byte()).collect()
    };
    let disk = SimDisk::new();
    disk.record(Record::Off);
    let open = OpenOptions {
        disk: Arc::new(disk.clone()),
        access: Access::Create,
        schedule: Schedule::Manual,
        store_id: Some(42),
        ..OpenOptions::default()
    };
    let store = Lsm::open(Path::new("/db"), open, LsmOptions::default()).unwrap();
    let model: Pairs = (0..600).map(|i| (key(i), noise(VALUE))).collect();
    for (key, value) in &model {
        store.set(key, value).unwrap();
    }
    store.compact().unwrap();
    drop(store);
    let image = disk.image();
    let [name] = &files(&image, ".sst")[..] else { panic!("one table") };
    for hole in [noise(HOLE.len()), vec![0; HOLE.len()], vec![1; HOLE.len()]] {
        let disk = damaged(&image, |image| {
            let bytes = image.edit(name);
            bytes[HOLE].copy_from_slice(&hole);
            *bytes.iter_mut().nth_back(20).unwrap() ^= 1;
        });
        let (report, found) = mend(&disk);
        let missing = model.iter().filter(|(key, value)| found.get(*key) != Some(value)).count();
        assert!(missing <= HOLE.len() / VALUE + 10, "{missing} lost: {report}");
        assert_eq!(report.lost.iter().filter(|lost| lost.path == *name).count(), 1, "{report}");
    }
}

#[test]
fn where_nothing_can_be_saved_that_is_said() {
    let (disk, _) = store();
    let disk = damaged(&disk.image(), |image| {
        for name in files(image, ".sst").into_iter().chain(files(image, ".wal")) {
            image.cut(&name, 10);
        }
    });
    let result = repair(Arc::new(disk.clone()), Path::new("/db"), Path::new("/new"));
    assert!(result.is_err_and(|error| error.is_corruption()));
    assert!(disk.list(Path::new("/new")).is_err(), "nothing was made");
}

/// Whatever a crash leaves is no damage, at any moment of a tree's life: verify and opening agree, and
/// repair has what opening shows.
#[test]
fn no_crash_is_taken_for_damage() {
    let disk = SimDisk::new();
    let store = open_at(&disk, "/db", Access::Create).unwrap();
    for round in 0..2 {
        for i in 0..4 {
            store.set(&key(i), &[round; 300]).unwrap();
        }
        let mut batch = WriteBatch::new();
        batch.set(b"in a batch", &[round; 400]);
        batch.remove(&key(round.into()));
        store.write(batch, &WriteOptions::durable()).unwrap();
        store.flush().unwrap();
    }
    store.compact().unwrap();
    store.set(b"after", b"that").unwrap();
    drop(store);
    let store = open_at(&disk, "/db", Access::Write).unwrap();
    store.set(b"reopened", b"now").unwrap();
    drop(store);
    let budget = Budget { random_per_cut: 2, max_per_cut: 20, exhaustive: 3, ..Budget::default() };
    let report = explore(&disk.recording(), &budget, |state| {
        let disk = SimDisk::from_image(&state.image, Record::Off);
        let shared: Arc<dyn Vfs> = Arc::new(disk.clone());
        let opened = match (open_at(&disk, "/db", Access::Read), verify(shared.clone(), Path::new("/db"))) {
            (Err(Error::NoStore { .. }), Err(Error::NoStore { .. })) => return Ok(()),
            (Ok(store), Ok(report)) if report.is_sound() => pairs(&store),
            (opened, verified) => {
                let verified = verified.map(|report| report.to_string());
                return Err(format!("opened: {:?}\nverified: {verified:?}", opened.map(|_| ())));
            }
        };
        if opened.is_empty() {
            return Ok(()); // Of nothing, nothing can be saved.
        }
        let (report, saved) = mend(&disk);
        match report.is_lossless() && saved != opened {
            true => Err(format!("opening shows {} keys, {report}", opened.len())),
            false => Ok(()),
        }
    });
    assert!(report.violations.is_empty() && report.distinct > 200, "{report}");
}

/// What the manifest says of tables is held against what they are, and against each other.
#[test]
fn a_manifest_that_lies_is_found() {
    let (disk, _) = store();
    let shared: Arc<dyn Vfs> = Arc::new(disk.clone());
    let dir = Dir::new(shared, Path::new("/db"));
    let files = manifest::read::<LiveFile>(&dir, 42).unwrap().files;
    let tables = files.live.iter().filter_map(|(number, file)| match file {
        LiveFile::Table(meta) => Some((*number, meta.clone())),
        _ => None,
    });
    let tables: Vec<_> = tables.collect();
    let (number, meta) = &tables[0];
    let lies: [(TableMeta, &str); 5] = [
        (TableMeta { entries: meta.entries + 1, ..meta.clone() }, "other entries"),
        (TableMeta { contents: meta.contents ^ 1, ..meta.clone() }, "other contents"),
        (TableMeta { smallest: meta.largest.clone(), ..meta.clone() }, "other first key"),
        (TableMeta { level: 7, ..meta.clone() }, "there is none"),
        (TableMeta { len: meta.len + 1, ..meta.clone() }, "bytes, not"),
    ];
    for (lie, words) in lies {
        let report = verify_with(&disk, vec![(*number, lie)]);
        assert!(report.damage.iter().any(|damage| damage.reason.contains(words)), "{words}: {report}");
    }
    // All in one level: they share keys.
    let flat = tables.iter().map(|(number, meta)| (*number, TableMeta { level: 6, ..meta.clone() }));
    let report = verify_with(&disk, flat.collect());
    assert!(report.damage.iter().any(|damage| damage.reason.contains("share keys")), "{report}");
    // What is older stands above.
    let upside_down = tables.iter().map(|(number, meta)| {
        let level = if meta.level == 0 { 6 } else { 1 };
        (*number, TableMeta { level, ..meta.clone() })
    });
    let report = verify_with(&disk, upside_down.collect());
    assert!(!report.is_sound(), "{report}");
}

fn verify_with(disk: &SimDisk, add: Vec<(u64, TableMeta)>) -> Report {
    let disk = SimDisk::from_image(&disk.image(), Record::Off);
    let shared: Arc<dyn Vfs> = Arc::new(disk.clone());
    let dir = Dir::new(shared, Path::new("/db"));
    let mut manifest = Manifest::resume(&dir, manifest::read::<LiveFile>(&dir, 42).unwrap()).unwrap();
    let add = add.into_iter().map(|(number, meta)| (number, LiveFile::Table(meta))).collect();
    manifest.apply(Edit { add, ..Edit::default() }).unwrap();
    check(&disk)
}

#[test]
fn every_version_is_found_the_newest_first() {
    let (disk, _) = store();
    let versions = |key: &[u8]| {
        let found = find(Arc::new(disk.clone()), Path::new("/db"), key).unwrap();
        assert!(found.is_sure && found.notes.is_empty(), "{found:?}");
        assert!(found.versions.is_sorted_by_key(|version| std::cmp::Reverse(version.seqno)), "{found:?}");
        found.versions
    };
    let found = versions(&key(31));
    assert!(found.len() >= 2, "{found:?}");
    assert!(found[0].file.ends_with(".wal") && found[0].state == "live" && found[0].kind == "set");
    assert_eq!((found[0].value_bytes, &found[0].preview[..]), (10, &b"in the log"[..]));
    assert!(found[1..].iter().all(|version| version.state == "dead" && version.file.ends_with(".sst")));
    let found = versions(&key(30));
    assert_eq!((found[0].kind, found[0].state), ("remove", "tombstone"));
    assert!(versions(b"nobody").is_empty());
    for i in (0..70).chain(100..105) {
        let live = versions(&key(i)).iter().filter(|version| version.state == "live").count();
        let store = open_at(&disk, "/db", Access::Read).unwrap();
        assert_eq!(live == 1, store.get(&key(i)).unwrap().is_some(), "{i}");
    }
}

#[test]
fn a_file_of_another_engine_is_shown_and_said_to_be_one() {
    let (disk, _) = store();
    let image = disk.image();
    let wal = image.get(&files(&image, ".wal")[0]).unwrap().to_vec();
    let disk = damaged(&image, |image| image.put("/db/000009.seg", wal));
    let report = check(&disk);
    assert!(report.notes.iter().any(|note| note.contains("another engine")), "{report}");
    look_at_all(&disk);
}

/// An order of one's own: by length, then as bytes.
#[derive(Debug)]
struct ByLength;

impl Comparator for ByLength {
    fn name(&self) -> &str {
        "by length"
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        (a.len(), a).cmp(&(b.len(), b))
    }
}

fn ordered(order: &Order) -> SimDisk {
    let disk = SimDisk::new();
    disk.record(Record::Off);
    let open =
        OpenOptions { disk: Arc::new(disk.clone()), schedule: Schedule::Inline, ..OpenOptions::default() };
    let options = LsmOptions { comparator: Some(order.clone()), ..LsmOptions::tiny() };
    let store = Lsm::open(Path::new("/db"), open, options).unwrap();
    for i in (0..300).rev() {
        store.set(format!("{i}").as_bytes(), &[7; 40]).unwrap();
    }
    disk
}

/// A sound store in an order of its owner's was taken for one in that of bytes: DAMAGED, at every key.
#[test]
fn an_order_of_ones_own_is_no_damage() {
    let own = Order::Own(Arc::new(ByLength));
    let disk = ordered(&own);
    let report = check(&disk);
    assert!(report.is_sound(), "{report}");
    assert!(report.notes.iter().any(|note| note.contains("'by length'")), "{report}");
    let is_swept = |report: &Report| report.checked.iter().any(|check| check.what == "keys");
    assert!(!is_swept(&report), "{report}");
    // Who knows the order gets all of it.
    let report = verify_ordered(Arc::new(disk.clone()), Path::new("/db"), &own).unwrap();
    assert!(report.is_sound() && report.notes.is_empty() && is_swept(&report), "{report}");
    // What does not hang on the order is checked all the same.
    let image = disk.image();
    let table = files(&image, ".sst").swap_remove(0);
    assert!(!check(&damaged(&image, |image| image.edit(&table)[50] ^= 1)).is_sound());
    // This one has a name here. Without a manifest the tables say it.
    let image = ordered(&Order::Reverse).image();
    let report = check(&damaged(&image, |_| ()));
    assert!(report.is_sound() && report.notes.is_empty() && is_swept(&report), "{report}");
    let report = check(&damaged(&image, |image| _ = image.remove("/db/MANIFEST")));
    assert!(report.damage.iter().all(|damage| damage.path == "/db/MANIFEST"), "{report}");
}

/// The log of a memtable that was flushed, back again by a crash, and two torn bytes in the newest: a removed key
/// was there again.
#[test]
fn a_torn_tail_brings_no_removed_key_back() {
    let disk = SimDisk::new();
    let store = open_at(&disk, "/db", Access::Create).unwrap();
    store.set(b"secret", b"1").unwrap();
    store.sync().unwrap();
    let before = disk.image();
    store.remove(b"secret").unwrap();
    store.set(b"kept", b"1").unwrap();
    store.compact().unwrap();
    store.set(b"after", b"that").unwrap();
    drop(store);
    let image = disk.image();
    let [old, newest] = [&before, &image].map(|image| files(image, ".wal").pop().unwrap());
    assert!(image.get(&old).is_none());
    let disk = damaged(&image, |image| {
        image.put(&old, before.get(&old).unwrap().to_vec());
        image.edit(&newest).extend([1, 2]);
    });
    assert!(check(&disk).is_sound());
    let (report, found) = mend(&disk);
    assert_eq!(found.keys().collect::<Vec<_>>(), [&b"after"[..], b"kept"], "{report}");
    assert!(report.is_lossless(), "{report}");
}

/// At every part the search for the next asked for 64 MiB: a table with a damaged footer was read as many times as it
/// has parts, as far as it went.
#[test]
fn a_table_without_its_footer_is_read_a_few_times() {
    let disk = SimDisk::new();
    disk.record(Record::Off);
    let open =
        OpenOptions { disk: Arc::new(disk.clone()), schedule: Schedule::Manual, ..OpenOptions::default() };
    let store = Lsm::open(Path::new("/db"), open, LsmOptions::default()).unwrap();
    (0..600).for_each(|i| store.set(&key(i), &[i as u8; 4000]).unwrap());
    store.compact().unwrap();
    drop(store);
    let image = disk.image();
    let table = files(&image, ".sst").pop().unwrap();
    let len = image.get(&table).unwrap().len();
    let disk = damaged(&image, |image| image.edit(&table)[len - 20] ^= 1);
    let counting = Arc::new(CountingDisk::new(Arc::new(disk)));
    let report = repair(counting.clone(), Path::new("/db"), Path::new("/new")).unwrap();
    assert_eq!(report.saved.keys, 600, "{report}");
    let read = counting.ledger().of_cause(Cause::Inspect).read_bytes;
    assert!(read < 12 * len as u64, "{read} of {len}");
}

/// Without a manifest nobody knew the first key of a table, and all were opened at once: with few descriptors some
/// could not be, and their keys were lost.
#[test]
fn repair_without_a_manifest_needs_few_descriptors() {
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("db");
    let open = OpenOptions { schedule: Schedule::Manual, ..OpenOptions::default() };
    let store = Lsm::open(
        &path,
        open,
        LsmOptions { level0_tables: 100, level0_slowdown: 100, level0_stop: 100, ..LsmOptions::default() },
    )
    .unwrap();
    for i in 0..60 {
        store.set(&key(i), b"value").unwrap();
        store.flush().unwrap();
    }
    drop(store);
    OsDisk.remove(&path.join("MANIFEST")).unwrap();
    let run = "ulimit -n 40 && exec \"$0\" -p \"$1\" repair \"$2\"";
    let mut command = Command::new("sh");
    command.args(["-c", run, env!("CARGO_BIN_EXE_kvs")]).args([&path, &here.path().join("new")]);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("saved  60 keys"), "{text} {}", String::from_utf8_lossy(&output.stderr));
}
