//! Verify finds every kind of damage, and no damage in what a crash may leave; repair loses nothing that
//! has a right checksum.

#![expect(clippy::unwrap_used, reason = "a test that can not go on panics")]

mod common;
#[macro_use]
mod fault_support {
    #[macro_use]
    pub(crate) mod engine;
}

use fault_support::engine::empty_disk;
use kvs::engine::batch::WriteBatch;
use kvs::engine::bitcask::Bitcask;
use kvs::engine::bitcask::hint::{FIXED, HintBuilder};
use kvs::engine::bitcask::options::BitcaskOptions;
use kvs::engine::bitcask::segment::SegmentMeta;
use kvs::engine::identity::Identity;
use kvs::engine::kind::EngineKind;
use kvs::engine::lsm::version::edit::LiveFile;
use kvs::engine::manifest::{self, Edit, Manifest};
use kvs::engine::options::{Access, OpenOptions, WriteOptions};
use kvs::engine::range::KeyRange;
use kvs::engine::{KvsEngine, KvsRead};
use kvs::error::Error;
use kvs::inspect::find::find;
use kvs::inspect::repair::{self, repair};
use kvs::inspect::verify::report::Report;
use kvs::inspect::verify::verify;
use kvs::inspect::{View, inspect};
use kvs::record::frame::{HEADER_LEN, Header};
use kvs::survive::engine::Engine;
use kvs::vfs::Vfs;
use kvs::vfs::crash::budget::Budget;
use kvs::vfs::crash::explore;
use kvs::vfs::dir::Dir;
use kvs::vfs::fault::{At, Call, Errno, Fault, FaultDisk, Lasting};
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::{Record, SimDisk};
use kvs::vfs::os::OsDisk;
use kvs::worker::Schedule;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

fn open_at(disk: &SimDisk, path: &str, access: Access) -> Result<Bitcask, Error> {
    let open = OpenOptions {
        disk: Arc::new(disk.clone()),
        access,
        schedule: Schedule::Manual,
        store_id: Some(42),
        ..OpenOptions::default()
    };
    let options = BitcaskOptions { merge_garbage_ratio: 1.0, ..BitcaskOptions::tiny() };
    Bitcask::open(Path::new(path), open, options)
}

fn key(i: usize) -> Vec<u8> {
    format!("key{i:03}").into_bytes()
}

/// Three or more sealed segments with hints and an active one: keys that are replaced and removed across
/// segments, and batches.
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
    }
    drop(store);
    let store = open_at(&disk, "/db", Access::Write).unwrap();
    store.set(b"last", b"word").unwrap();
    model.insert(b"last".to_vec(), b"word".to_vec());
    drop(store);
    (disk, model)
}

fn check(disk: &SimDisk) -> Report {
    verify(Arc::new(disk.clone()), Path::new("/db")).unwrap()
}

fn pairs(store: &dyn KvsRead) -> Pairs {
    store
        .scan(KeyRange::all())
        .unwrap()
        .map(|pair| pair.unwrap())
        .map(|(k, v)| (k.to_vec(), v.to_vec()))
        .collect()
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

fn segments(image: &Image, ending: &str) -> Vec<String> {
    let names = image.files.keys().map(|path| path.to_str().unwrap().to_string());
    names.filter(|name| name.ends_with(ending)).collect()
}

/// Every view of every file and of the directory, which must not fail, whatever the damage.
fn look_at_all(disk: &SimDisk) {
    let mut targets = segments(&disk.image(), "");
    targets.push("/db".into());
    for target in targets {
        for view in [View::Summary, View::Explain, View::Layout, View::Entries, View::Props] {
            let result = inspect(Arc::new(disk.clone()), Path::new(&target), view, &mut Vec::new());
            result.unwrap_or_else(|error| panic!("{target} {view:?}: {error}"));
        }
    }
}

#[test]
fn a_sound_store_is_sound_and_says_what_was_checked() {
    let (disk, model) = store();
    let before = disk.image();
    let report = check(&disk);
    assert!(report.is_sound(), "{report}");
    assert!(report.notes.is_empty(), "{report}");
    let counted = |what| report.checked.iter().filter(|c| c.what == what).map(|c| c.count).sum::<u64>();
    assert_eq!(counted("keys"), model.len() as u64);
    assert_eq!(counted("records"), 3 * 46 + 1 + 1, "the last is a Close");
    assert!(counted("file checksum") >= 3 && counted("hint entries") >= 70, "{report}");
    assert!(serde_json::to_string(&report).unwrap().contains("\"engine\":\"bitcask\""));
    assert!(disk.image() == before, "verify changes nothing");
    look_at_all(&disk);
}

/// K1, K2, K3: a cleanly closed store, any byte of any file.
#[test]
fn a_flip_of_any_byte_is_found_and_costs_at_most_its_record() {
    let (disk, model) = store();
    let image = disk.image();
    for name in segments(&image, "") {
        let len = image.get(&name).unwrap().len();
        for at in (0..len).step_by(if name.ends_with(".seg") { 7 } else { 1 }) {
            let disk = damaged(&image, |image| image.edit(&name)[at] ^= 0x10);
            let report = check(&disk);
            // What a Close record says is vouched for by nothing, and needed by nobody.
            let last = at + 16 >= len
                && (name.ends_with("MANIFEST") || Some(&name) == segments(&image, ".seg").last());
            assert!(!report.is_sound() || last, "{name} at {at}: {report}");
            if at % 32 == 0 {
                look_at_all(&disk);
            }
            if at % 11 == 0 {
                let (report, found) = mend(&disk);
                let missing = model.iter().filter(|(key, value)| found.get(*key) != Some(value)).count();
                // One record, or one batch of six.
                assert!(missing <= 6, "{name} at {at}: {missing} lost: {report}");
                assert!(missing == 0 || !report.is_lossless(), "{name} at {at}");
                assert!(name.ends_with(".seg") || found == model, "{name} at {at}: {report}");
            }
        }
    }
}

/// K6: a sealed file of every length, and repair of what is left.
#[test]
fn a_cut_anywhere_is_found() {
    let (disk, _) = store();
    let image = disk.image();
    for name in segments(&image, "1.seg").into_iter().chain(segments(&image, "ENGINE")) {
        let len = image.get(&name).unwrap().len();
        for at in (0..len).step_by(7) {
            let disk = damaged(&image, |image| image.cut(&name, at));
            let report = check(&disk);
            assert!(!report.is_sound(), "{name} cut to {at}: {report}");
            if at % 21 == 0 {
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
    for name in segments(&image, "") {
        let disk = damaged(&image, |image| _ = image.remove(&name));
        let report = check(&disk);
        // A hint is never needed.
        assert_eq!(report.is_sound(), name.ends_with(".hint"), "{name}: {report}");
        look_at_all(&disk);
        let (report, found) = mend(&disk);
        match name.ends_with(".seg") {
            false => assert_eq!(found, model, "{name}"),
            true => assert!(report.lost.iter().any(|lost| lost.path == name), "{name}: {report}"),
        }
    }
}

#[test]
fn two_segments_that_changed_places_are_found_and_nothing_is_lost() {
    let (disk, model) = store();
    let disk = damaged(&disk.image(), |image| {
        let (a, b) = (image.remove("/db/000001.seg"), image.remove("/db/000002.seg"));
        image.put("/db/000001.seg", b.to_vec());
        image.put("/db/000002.seg", a.to_vec());
    });
    let report = check(&disk);
    let places: Vec<_> = report.damage.iter().map(|damage| &damage.path[..]).collect();
    assert!(places.contains(&"/db/000001.seg") && places.contains(&"/db/000002.seg"), "{report}");
    look_at_all(&disk);
    let (report, found) = mend(&disk);
    assert_eq!(found, model, "{report}");
    assert!(report.notes.iter().any(|note| note.contains("by its header it is 000002.seg")), "{report}");
    assert!(report.is_lossless(), "{report}");
}

#[test]
fn verify_goes_on_behind_the_first_damage() {
    let (disk, _) = store();
    let disk = damaged(&disk.image(), |image| {
        image.edit("/db/ENGINE")[20] ^= 1;
        image.edit("/db/000001.seg")[100] ^= 1;
        image.edit("/db/000001.seg")[1000] ^= 1;
        image.edit("/db/000002.hint")[FIXED + 50] ^= 1;
        image.remove("/db/000003.seg");
    });
    let report = check(&disk);
    let places: Vec<_> = report.damage.iter().map(|damage| (&damage.path[..], damage.offset)).collect();
    assert_eq!(places.len(), 5, "{report}");
    assert!(report.to_string().ends_with("DAMAGED: 5 places"), "{report}");
    let (_, found) = mend(&disk);
    assert!(found.contains_key(&b"last"[..]));
}

/// A hint whose checksum is right and whose content is wrong would make a get answer wrongly.
#[test]
fn a_hint_that_lies_is_found() {
    let (disk, _) = store();
    let name = "/db/000001.hint";
    let image = disk.image();
    let hint = image.get(name).unwrap();
    let body = &hint[..hint.len() - 4];
    let lie = |at: usize, to: u8| {
        let mut lie = body.to_vec();
        assert_ne!(lie[at], to);
        lie[at] = to;
        lie.extend_from_slice(&crc32c::crc32c(&lie).to_le_bytes());
        let disk = damaged(&image, |image| image.put(name, lie));
        let report = check(&disk);
        assert!(report.damage.iter().any(|damage| damage.path == name), "byte {at}: {report}");
    };
    // Of the first entry: its offset, its length, its key.
    lie(FIXED, 77);
    lie(FIXED + 4, 9);
    lie(FIXED + 12, b'X');
    // An empty hint says that its segment holds nothing.
    let disk = SimDisk::from_image(&image, Record::Off);
    let dir = Dir::new(Arc::new(disk.clone()), Path::new("/db"));
    let header = Header::decode(image.get("/db/000001.seg").unwrap()).unwrap();
    let content = image.get("/db/000001.seg").unwrap();
    let sealed = kvs::engine::bitcask::segment::Sealed {
        len: content.len() as u64,
        checksum: crc32c::crc32c(content),
        last_seqno: 0,
        purged_upto: 0,
    };
    HintBuilder::default().write(&dir, header.store_id, 1, &sealed).unwrap();
    let report = check(&disk);
    assert!(report.damage.iter().any(|damage| damage.reason.starts_with("no entry for")), "{report}");
}

/// What a crash leaves is no damage.
#[test]
fn what_a_crash_leaves_is_noted_and_sound() {
    let (disk, model) = store();
    let active = segments(&disk.image(), ".seg").pop().unwrap();
    let store = open_at(&disk, "/db", Access::Write).unwrap();
    store.set(b"more", b"1").unwrap();
    store.set(b"most", &[7; 100]).unwrap();
    // As if the process died here, and the power went.
    let image = disk.image();
    drop(store);
    let len = image.get(&active).unwrap().len();
    let torn = damaged(&image, |image| image.cut(&active, len - 3));
    let zeros = damaged(&image, |image| image.edit(&active).extend([0; 5000]));
    let half_hint = damaged(&image, |image| image.cut("/db/000001.hint", FIXED + 50));
    let no_hint = damaged(&image, |image| image.edit("/db/000001.hint").fill(0));
    let left = damaged(&image, |image| image.put("/db/MANIFEST.tmp", b"half"));
    for (name, disk) in
        [("torn", torn), ("zeros", zeros), ("half hint", half_hint), ("zero hint", no_hint), ("left", left)]
    {
        let report = check(&disk);
        assert!(report.is_sound() && !report.notes.is_empty(), "{name}: {report}");
        look_at_all(&disk);
        let (_, found) = mend(&disk);
        assert!(model.iter().all(|(key, value)| found.get(key) == Some(value)), "{name}");
        assert_eq!(found.contains_key(&b"most"[..]), name != "torn", "{name}");
    }
}

/// Whatever a crash leaves is no damage, at any moment of a store's life: verify and opening agree, and
/// repair has what opening shows.
#[test]
fn no_crash_is_taken_for_damage() {
    let disk = SimDisk::new();
    let store = open_at(&disk, "/db", Access::Create).unwrap();
    for round in 0..2 {
        for i in 0..4 {
            store.set(&key(i), &[round; 700]).unwrap();
        }
        let mut batch = WriteBatch::new();
        batch.set(b"in a batch", &[round; 900]);
        batch.remove(&key(round.into()));
        store.write(batch, &WriteOptions::durable()).unwrap();
    }
    store.compact().unwrap();
    store.set(b"after", b"that").unwrap();
    drop(store);
    let store = open_at(&disk, "/db", Access::Write).unwrap();
    store.set(b"reopened", b"now").unwrap();
    drop(store);
    let budget = Budget { random_per_cut: 4, max_per_cut: 60, exhaustive: 3, ..Budget::default() };
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
    assert!(report.violations.is_empty() && report.distinct > 300, "{report}");
}

#[test]
fn a_batch_is_saved_whole_or_not_at_all() {
    let (disk, _) = store();
    let image = disk.image();
    // The first batch: six records behind the forty of the first round.
    let name = "/db/000001.seg";
    let content = image.get(name).unwrap();
    let at = content.windows(16).position(|w| w == b"key101AAAAAAAAAA").unwrap();
    let disk = damaged(&image, |image| {
        image.edit(name)[at] ^= 1;
        for newer in segments(image, ".seg").into_iter().filter(|other| other != name) {
            image.remove(newer);
        }
    });
    let (report, found) = mend(&disk);
    assert!((100..105).all(|i| !found.contains_key(&key(i))), "{report}");
    assert_eq!(found[&key(0)], vec![b'a'; 40], "its removal is a part of that batch, and lost");
    let partial = report.lost.iter().filter(|lost| lost.reason.contains("incomplete batch"));
    assert_eq!(partial.count(), 2, "before the damage, and behind it: {report}");
    assert!(report.to_string().contains("older values"), "{report}");
}

#[test]
fn without_identity_and_manifest_every_key_comes_back() {
    let (disk, model) = store();
    let disk = damaged(&disk.image(), |image| {
        image.remove("/db/ENGINE");
        image.remove("/db/MANIFEST");
    });
    assert!(!check(&disk).is_sound());
    let (report, found) = mend(&disk);
    assert_eq!(found, model, "{report}");
    let text = report.to_string();
    assert!(text.contains("000000000000002a") && text.contains("all segments were read"), "{text}");
    assert!(serde_json::to_string(&report).unwrap().contains("\"saved\""));
}

#[test]
fn a_segment_without_its_header_is_read_all_the_same() {
    let (disk, model) = store();
    let disk = damaged(&disk.image(), |image| image.edit("/db/000002.seg")[..HEADER_LEN as usize].fill(0xee));
    assert!(!check(&disk).is_sound());
    let (report, found) = mend(&disk);
    assert_eq!(found, model, "{report}");
    assert!(report.is_lossless(), "{report}");
}

#[test]
fn a_segment_of_another_store_is_not_taken() {
    let (disk, _) = store();
    let other = SimDisk::new();
    let open = OpenOptions { disk: Arc::new(other.clone()), store_id: Some(43), ..OpenOptions::default() };
    Bitcask::open(Path::new("/db"), open, BitcaskOptions::tiny())
        .unwrap()
        .set(b"key000", b"foreign")
        .unwrap();
    let foreign = other.image().get("/db/000001.seg").unwrap().to_vec();
    let disk = damaged(&disk.image(), |image| image.put("/db/000001.seg", foreign));
    assert!(!check(&disk).is_sound());
    let (report, found) = mend(&disk);
    assert!(report.lost.iter().any(|lost| lost.reason.contains("another store")), "{report}");
    assert!(found.values().all(|value| value != b"foreign"));
}

#[test]
fn where_nothing_can_be_saved_it_says_so() {
    let (disk, _) = store();
    let disk = damaged(&disk.image(), |image| {
        for name in segments(image, ".seg") {
            image.edit(&name).fill(0x55);
        }
    });
    let error = repair(Arc::new(disk.clone()), Path::new("/db"), Path::new("/new")).unwrap_err();
    assert!(error.is_corruption() && error.to_string().contains("nothing can be saved"), "{error}");
    assert!(disk.list(Path::new("/new")).is_err(), "nothing was made");
}

/// A hint knows what stood in a hole of its segment.
#[test]
fn a_removal_that_only_a_hint_knows_is_respected() {
    let disk = SimDisk::new();
    let store = open_at(&disk, "/db", Access::Create).unwrap();
    store.set(b"gone", b"old").unwrap();
    store.set(b"kept", b"old").unwrap();
    store.set(b"filler", &[0; 4000]).unwrap();
    store.remove(b"gone").unwrap();
    store.set(b"kept", b"new").unwrap();
    store.set(b"filler", &[1; 4000]).unwrap();
    drop(store);
    let image = disk.image();
    let newer = segments(&image, ".seg").into_iter().find(|name| {
        let content = image.get(name).unwrap();
        content.windows(7).any(|window| window == b"keptnew")
    });
    let newer = newer.unwrap();
    let hint = newer.replace(".seg", ".hint");
    assert!(image.get(&hint).is_some());
    let harm = |image: &mut Image| image.edit(&newer)[HEADER_LEN as usize..55].fill(0xff);
    let (report, found) = mend(&damaged(&image, harm));
    assert!(!found.contains_key(&b"gone"[..]), "{report}");
    assert_eq!(found[&b"kept"[..]], b"old");
    assert_eq!(report.keys.len(), 1, "{report}");
    assert!(report.to_string().contains("\"kept\": an older value is there instead"), "{report}");
    // Also if all of the segment is gone.
    let (report, found) = mend(&damaged(&image, |image| _ = image.remove(&newer)));
    assert!(!found.contains_key(&b"gone"[..]) && !report.keys.is_empty(), "{report}");
    // Also if another segment was copied over it: that was no loss at all, and nobody asked the hint.
    let (report, found) = mend(&damaged(&image, |image| {
        let other = segments(image, ".seg").into_iter().find(|name| *name != newer).unwrap();
        let other = image.get(&other).unwrap().to_vec();
        image.put(&newer, other);
    }));
    assert!(!found.contains_key(&b"gone"[..]) && !report.keys.is_empty(), "{report}");
    // Without the hint nobody knows, and the report says so.
    let (report, found) = mend(&damaged(&image, |image| {
        harm(image);
        image.remove(&hint);
    }));
    assert_eq!(found[&b"gone"[..]], b"old");
    assert!(report.keys.is_empty() && report.to_string().contains("older values"), "{report}");
}

// ---- every engine ----

on_each_engine!([
    a_writer_keeps_verify_and_repair_out,
    where_there_is_no_store_there_is_nothing_to_verify,
    repair_goes_only_to_an_empty_place_outside,
    an_empty_store_is_repaired_into_an_empty_store,
    what_the_disk_can_not_read_is_damage,
    a_log_of_which_nothing_is_left_is_lost,
    what_nothing_says_was_durable_is_no_loss,
    a_repair_that_is_killed_leaves_no_store,
    a_file_that_was_overwritten_by_another_is_lost,
    a_file_under_another_name_is_found,
    what_an_old_manifest_does_not_name_is_read,
    the_newest_log_proves_that_its_edit_is_missing,
    a_leftover_is_looked_through_before_it_is_removed,
    a_directory_is_no_file_of_a_store,
    an_identity_of_another_store_is_overruled,
    where_nothing_says_the_id_there_is_damage_all_the_same,
]);

fn open_any(engine: &Engine, disk: &SimDisk, path: &str, access: Access) -> Arc<dyn KvsEngine> {
    let disk = Arc::new(disk.clone());
    let open = OpenOptions {
        disk,
        access,
        schedule: Schedule::Manual,
        store_id: Some(42),
        ..OpenOptions::default()
    };
    engine.open(Path::new(path), open).unwrap()
}

/// A store with files that do not change any more, and a log.
fn any_store(engine: &Engine) -> (SimDisk, Pairs) {
    let disk = empty_disk();
    let store = open_any(engine, &disk, "/db", Access::Create);
    for round in 0..3 {
        (0..40).for_each(|i| store.set(&key(i), &[round; 60]).unwrap());
        store.remove(&key(round.into())).unwrap();
        store.flush().unwrap();
    }
    store.set(b"last", b"word").unwrap();
    let model = pairs(&*store);
    drop(store);
    (disk, model)
}

fn a_writer_keeps_verify_and_repair_out(engine: &Engine) {
    let (disk, _) = any_store(engine);
    let _writer = open_any(engine, &disk, "/db", Access::Write);
    let log = engine.newest_log(&disk.image());
    let disk: Arc<dyn Vfs> = Arc::new(disk);
    assert!(matches!(verify(disk.clone(), Path::new("/db")), Err(Error::Locked { .. })));
    assert!(matches!(repair(disk.clone(), Path::new("/db"), Path::new("/new")), Err(Error::Locked { .. })));
    let mut out = Vec::new();
    inspect(disk, &log, View::Entries, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("liveness unknown: /db: locked"), "{out}");
}

fn where_there_is_no_store_there_is_nothing_to_verify(engine: &Engine) {
    let disk = empty_disk();
    let shared: Arc<dyn Vfs> = Arc::new(disk.clone());
    let is_none = || {
        let verified = verify(shared.clone(), Path::new("/db"));
        assert!(matches!(verified, Err(Error::NoStore { .. })), "{verified:?}");
        let repaired = repair(shared.clone(), Path::new("/db"), Path::new("/new"));
        assert!(matches!(repaired, Err(Error::NoStore { .. })), "{repaired:?}");
    };
    is_none();
    disk.create_dir(Path::new("/db")).unwrap();
    is_none();
    assert!(inspect(shared.clone(), Path::new("/db"), View::Summary, &mut Vec::new()).is_err());
    // The store stands beside it.
    drop(open_any(engine, &disk, "/other", Access::Create));
    is_none();
}

fn repair_goes_only_to_an_empty_place_outside(engine: &Engine) {
    let (disk, _) = any_store(engine);
    let disk: Arc<dyn Vfs> = Arc::new(disk);
    for dest in ["/db", "/db/inside"] {
        let error = repair(disk.clone(), Path::new("/db"), Path::new(dest)).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{dest}: {error}");
    }
}

/// An empty store is whole, and its copy is one.
fn an_empty_store_is_repaired_into_an_empty_store(engine: &Engine) {
    let disk = empty_disk();
    drop(open_any(engine, &disk, "/db", Access::Create));
    assert!(check(&disk).is_sound());
    let report = repair(Arc::new(disk.clone()), Path::new("/db"), Path::new("/new")).unwrap();
    assert!(report.is_lossless(), "{report}");
    let sound = verify(Arc::new(disk.clone()), Path::new("/new")).unwrap();
    assert!(sound.is_sound(), "{sound}");
    assert_eq!(pairs(&*open_any(engine, &disk, "/new", Access::Read)), Pairs::new());
}

/// E6: a block that can not be read is damage, not the end of the verification; what can be read at a
/// second attempt is not lost.
fn what_the_disk_can_not_read_is_damage(engine: &Engine) {
    let (disk, model) = any_store(engine);
    let ending = engine.output_ending();
    let files = engine.data_files(&disk.image());
    let file = files.iter().rfind(|path| path.to_str().unwrap().ends_with(ending)).unwrap();
    let file = file.file_name().unwrap().to_str().unwrap();
    let lasting = |lasting| {
        let disk = FaultDisk::new(Arc::new(SimDisk::from_image(&disk.image(), Record::Off)));
        disk.rule(At::first(Call::Read, file), Fault::Fail(Errno::Io), lasting);
        Arc::new(disk)
    };
    let report = verify(lasting(Lasting::Sticky), Path::new("/db")).unwrap();
    assert!(report.damage.iter().any(|damage| damage.reason.contains("can not be read")), "{report}");
    let report = repair(lasting(Lasting::Sticky), Path::new("/db"), Path::new("/new")).unwrap();
    assert!(!report.is_lossless() && report.saved.keys > 0, "{report}");
    let report = repair(lasting(Lasting::Once), Path::new("/db"), Path::new("/new")).unwrap();
    assert!(report.is_lossless() && report.saved.keys == model.len() as u64, "{report}");
}

/// A file that this user may not read was called damage. Its bytes may be as they should: nobody can tell, and what
/// helps is a right, not a repair.
#[test]
fn a_file_that_may_not_be_read_is_no_damage() {
    let (disk, _) = store();
    for name in ["ENGINE", "MANIFEST", "000001.seg"] {
        let disk = FaultDisk::new(Arc::new(SimDisk::from_image(&disk.image(), Record::Off)));
        disk.rule(At::first(Call::Open, name), Fault::Fail(Errno::Denied), Lasting::Sticky);
        let disk: Arc<dyn Vfs> = Arc::new(disk);
        let db = Path::new("/db");
        // Repair made a store of what was left, and told of losses; find said that the store was damaged.
        let errors = [
            verify(disk.clone(), db).unwrap_err(),
            repair(disk.clone(), db, Path::new("/new")).unwrap_err(),
            find(disk.clone(), db, b"key000").unwrap_err(),
        ];
        for error in errors {
            let is_denied = matches!(&error, Error::Io { op: "open", .. });
            assert!(is_denied && error.to_string().contains(name), "{error}");
        }
    }
}

// ---- what repair calls lost ----

/// Repair, of a store in which nothing may be left to save: what it says, or why it refused.
fn try_mend(disk: &SimDisk) -> Result<repair::report::Report, Error> {
    repair(Arc::new(disk.clone()), Path::new("/db"), Path::new("/new"))
}

/// Repair asked only how long the newest log was: where it was zeros, or empty, or cut in its header, "nothing was
/// lost", and what had been acknowledged was gone. Also in a store that was not closed, whose manifest does not say
/// how much of the log is durable.
fn a_log_of_which_nothing_is_left_is_lost(engine: &Engine) {
    let disk = empty_disk();
    let store = open_any(engine, &disk, "/db", Access::Create);
    store.set(b"a", b"1").unwrap();
    store.sync().unwrap();
    let killed = disk.image();
    drop(store);
    for image in [killed, disk.image()] {
        let log = engine.newest_log(&image);
        let log = log.to_str().unwrap();
        let len = image.get(log).unwrap().len();
        for left in [vec![0; len], vec![], vec![1; 9]] {
            let disk = damaged(&image, |image| image.put(log, left.clone()));
            assert!(!check(&disk).is_sound());
            assert!(!try_mend(&disk).is_ok_and(|report| report.is_lossless()), "{left:?}");
        }
    }
    // A whole header, and zeros behind it that were durable.
    let image = disk.image();
    let log = engine.newest_log(&image);
    let disk = damaged(&image, |image| image.edit(log.to_str().unwrap())[HEADER_LEN as usize..].fill(0));
    assert!(!check(&disk).is_sound());
    assert!(!try_mend(&disk).is_ok_and(|report| report.is_lossless()));
}

/// Repair called eight bytes lost that were never anybody's: every key was saved.
fn what_nothing_says_was_durable_is_no_loss(engine: &Engine) {
    let (disk, model) = any_store(engine);
    let image = disk.image();
    let log = engine.newest_log(&image);
    let disk = damaged(&image, |image| image.edit(log.to_str().unwrap()).extend(b"garbage\n"));
    assert!(check(&disk).is_sound());
    let report = try_mend(&disk).unwrap();
    assert!(report.is_lossless() && report.saved.keys == model.len() as u64, "{report}");
    assert!(
        report.notes.iter().any(|note| note.contains("8 bytes") && note.contains("torn tail")),
        "{report}"
    );
}

/// Any file with a high number passed for the proof that the manifest lacks edits, so the manifest was not asked, and
/// a segment that was missing was missed by nobody. A merge that was killed leaves such a file.
#[test]
fn a_missing_segment_is_missed_also_if_a_merge_has_just_begun() {
    let (disk, _) = store();
    let image = disk.image();
    let header = Header { store_id: 42, number: 90, kind: 3 };
    let disk = damaged(&image, |image| {
        image.remove("/db/000002.seg");
        image.put("/db/000090.seg", header.encode());
    });
    let (report, _) = mend(&disk);
    assert!(report.lost.iter().any(|lost| lost.path == "/db/000002.seg"), "{report}");
    // Without the manifest nobody knows: that is said.
    let disk = damaged(&image, |image| {
        image.remove("/db/000002.seg");
        image.remove("/db/MANIFEST");
    });
    let (report, _) = mend(&disk);
    assert!(!report.is_lossless() && report.to_string().ends_with("which files there were"), "{report}");
}

/// A crash between the edit of a merge and the removal of its input, and two torn bytes in the newest segment: repair
/// read the old segment "because of the losses", and a key that was removed was there again.
#[test]
fn a_torn_tail_brings_no_removed_key_back() {
    let disk = SimDisk::new();
    let store = open_at(&disk, "/db", Access::Create).unwrap();
    store.set(b"secret", b"1").unwrap();
    store.remove(b"secret").unwrap();
    store.set(b"filler", &[0; 4000]).unwrap();
    store.set(b"filler", &[1; 4000]).unwrap();
    store.sync().unwrap();
    let before = disk.image();
    store.compact().unwrap();
    store.set(b"after", b"that").unwrap();
    drop(store);
    let image = disk.image();
    let gone: Vec<_> =
        segments(&before, ".seg").into_iter().filter(|name| image.get(name).is_none()).collect();
    assert!(!gone.is_empty());
    let has_after = |name: &&String| image.get(name).unwrap().windows(9).any(|window| window == b"afterthat");
    let names = segments(&image, ".seg");
    let active = names.iter().find(has_after).unwrap();
    let disk = damaged(&image, |image| {
        gone.iter().for_each(|name| image.put(name, before.get(name).unwrap().to_vec()));
        image.edit(active).extend([1, 2]);
    });
    assert!(check(&disk).is_sound());
    let (report, found) = mend(&disk);
    assert!(!found.contains_key(&b"secret"[..]) && found.contains_key(&b"after"[..]), "{report}");
    assert!(report.is_lossless(), "{report}");
}

/// A repair that was killed left a part of the keys in a store that verify called sound, and that no repair would
/// touch again.
fn a_repair_that_is_killed_leaves_no_store(engine: &Engine) {
    let (disk, model) = any_store(engine);
    let disk = SimDisk::from_image(&disk.image(), Record::On);
    try_mend(&disk).unwrap();
    let budget = Budget { random_per_cut: 2, max_per_cut: 20, exhaustive: 2, ..Budget::default() };
    let report = explore(&disk.recording(), &budget, |state| {
        let disk = SimDisk::from_image(&state.image, Record::Off);
        let shared: Arc<dyn Vfs> = Arc::new(disk.clone());
        let is_there = match verify(shared, Path::new("/new")) {
            Ok(_) => true,
            Err(Error::NoStore { .. } | Error::Unfinished { .. }) => false,
            Err(error) => return Err(format!("verify: {error}")),
        };
        if !is_there && let Err(error) = try_mend(&disk) {
            return Err(format!("the second attempt: {error}"));
        }
        match pairs(&*open_any(engine, &disk, "/new", Access::Read)) == model {
            true => Ok(()),
            false => Err(format!("other pairs; it was there: {is_there}")),
        }
    });
    assert!(report.violations.is_empty() && report.distinct > 10, "{report}");
}

/// It was passed over in silence, whatever was in it.
#[test]
fn a_hint_of_the_active_segment_is_noted() {
    let (disk, _) = store();
    let active = segments(&disk.image(), ".seg").pop().unwrap();
    let hint = active.replace(".seg", ".hint");
    let report = check(&damaged(&disk.image(), |image| image.put(&hint, vec![1; 9])));
    assert!(report.is_sound() && report.notes.iter().any(|note| note.contains("still grows")), "{report}");
}

/// The files of a store that do not change any more, the oldest first.
fn outputs(engine: &Engine, image: &Image) -> Vec<String> {
    let newest = engine.newest_log(image);
    let mut names = segments(image, &format!(".{}", engine.output_ending().trim_start_matches('.')));
    names.retain(|name| Path::new(name) != newest);
    assert!(names.len() > 1, "{names:?}");
    names
}

/// A file with the number of another was read as that other, and nobody asked for what it should have been: "nothing
/// was lost", and the keys were gone.
fn a_file_that_was_overwritten_by_another_is_lost(engine: &Engine) {
    let (disk, model) = any_store(engine);
    let image = disk.image();
    let names = outputs(engine, &image);
    let (one, other) = (&names[0], &names[1]);
    let disk = damaged(&image, |image| image.put(one, image.get(other).unwrap().to_vec()));
    assert!(!check(&disk).is_sound());
    let report = try_mend(&disk).unwrap();
    let is_it = |lost: &repair::report::Lost| lost.path == *one && lost.reason.contains("its file holds");
    assert!(report.lost.iter().any(is_it), "{report}");
    assert!(report.lost.iter().all(|lost| lost.path == *one), "the other is whole: {report}");
    // Where they changed places, or moved on in a ring, nothing is lost; their lengths are asked of what they are.
    for count in 2..=names.len() {
        let disk = damaged(&image, |image| {
            let contents: Vec<_> = names[..count].iter().map(|name| image.remove(name).to_vec()).collect();
            for (i, content) in contents.into_iter().enumerate() {
                image.put(&names[(i + 1) % count], content);
            }
        });
        let report = try_mend(&disk).unwrap();
        assert!(report.is_lossless() && report.saved.keys == model.len() as u64, "{report}");
    }
}

/// A file that was live, under a name that no edit has, was missing, and was not read.
fn a_file_under_another_name_is_found(engine: &Engine) {
    let (disk, model) = any_store(engine);
    let image = disk.image();
    for name in outputs(engine, &image) {
        let disk = damaged(&image, |image| {
            let content = image.remove(&name).to_vec();
            image.put(name.replace("/0000", "/0009"), content);
        });
        assert!(!check(&disk).is_sound());
        let report = try_mend(&disk).unwrap();
        assert!(report.is_lossless() && report.saved.keys == model.len() as u64, "{report}");
    }
}

/// An old manifest beside newer files: the log that it names is gone, its records stand in a file that it does not
/// name, and repair read such files only for what an output of a merge or a table had lost.
fn what_an_old_manifest_does_not_name_is_read(engine: &Engine) {
    let disk = empty_disk();
    let store = open_any(engine, &disk, "/db", Access::Create);
    for round in 0..2 {
        (0..4).for_each(|i| store.set(&key(i), &[round; 9]).unwrap());
    }
    store.sync().unwrap();
    drop(store);
    let old = disk.image().get("/db/MANIFEST").unwrap().to_vec();
    let store = open_any(engine, &disk, "/db", Access::Write);
    store.compact().unwrap();
    drop(store);
    let disk = damaged(&disk.image(), |image| image.put("/db/MANIFEST", old));
    assert!(!check(&disk).is_sound());
    let report = try_mend(&disk).unwrap();
    assert_eq!(report.saved.keys, 4, "{report}");
    assert!(
        !report.is_lossless() && report.to_string().contains("that the manifest does not name"),
        "{report}"
    );
}

/// A manifest whose next number is far above all that is live, as a merge leaves it that took its number behind a
/// rotation and was applied before it.
fn with_higher_number(engine: &Engine, image: &Image) -> Vec<u8> {
    fn raise<F: serde::Serialize + serde::de::DeserializeOwned + Clone>(dir: &Dir) {
        let read = manifest::read::<F>(dir, 42).unwrap();
        let file = read.files.live.values().last().unwrap().clone();
        let mut manifest = Manifest::resume(dir, read).unwrap();
        manifest.apply(Edit { add: vec![(50, file)], ..Edit::default() }).unwrap();
        manifest.apply(Edit { remove: vec![50], ..Edit::default() }).unwrap();
    }
    let disk = SimDisk::from_image(image, Record::Off);
    let dir = Dir::new(Arc::new(disk.clone()), Path::new("/db"));
    match engine.kind {
        EngineKind::Lsm => raise::<LiveFile>(&dir),
        _ => raise::<SegmentMeta>(&dir),
    }
    disk.image().get("/db/MANIFEST").unwrap().to_vec()
}

/// A killed store whose manifest lacks the edit of its newest log, and that log, which holds two acknowledged writes.
/// `is_raised` says whether the manifest's next number is above the log's.
fn without_last_edit(engine: &Engine, is_raised: bool) -> (Image, String) {
    let disk = empty_disk();
    let store = open_any(engine, &disk, "/db", Access::Create);
    store.set(b"a", b"1").unwrap();
    store.sync().unwrap();
    let before = disk.image();
    // It rotates.
    store.checkpoint(Path::new("/copy")).unwrap();
    store.set(b"b", b"2").unwrap();
    store.sync().unwrap();
    store.set(b"c", b"3").unwrap();
    store.sync().unwrap();
    let mut image = disk.image();
    drop(store);
    let log = engine.newest_log(&image).to_str().unwrap().to_string();
    assert!(before.get(&log).is_none(), "{log}");
    for (path, content) in before.files.iter().filter(|(path, _)| path.starts_with("/db")) {
        image.put(path, content.to_vec());
    }
    if is_raised {
        image.put("/db/MANIFEST", with_higher_number(engine, &before));
    }
    (image, log)
}

fn expect_missing_edit(engine: &Engine, image: &Image, log: &str) {
    for access in [Access::Read, Access::Write] {
        let disk = SimDisk::from_image(image, Record::Off);
        let open = OpenOptions { disk: Arc::new(disk.clone()), access, ..OpenOptions::default() };
        let error = engine.open(Path::new("/db"), open).err().unwrap();
        assert!(error.to_string().contains("an edit is missing"), "{error}");
        assert!(disk.image().get(log).is_some(), "the log is still there");
    }
    let disk = SimDisk::from_image(image, Record::Off);
    let report = check(&disk);
    assert!(report.damage.iter().any(|damage| damage.reason.contains("an edit is missing")), "{report}");
    let report = try_mend(&disk).unwrap();
    assert!(report.notes.iter().any(|note| note.contains("lacks its last edits")), "{report}");
    assert!(open_any(engine, &disk, "/new", Access::Read).get(b"c").unwrap().is_some(), "{report}");
}

/// A rotation takes a number, a merge takes the next one and is applied first, and then the rotation's edit, which was
/// durable, is cut off as torn: its log's number was below all that are free, so it was left over, and the next opening
/// removed it with every write in it. Numbers are not applied in the order in which they are taken; those of logs are.
fn the_newest_log_proves_that_its_edit_is_missing(engine: &Engine) {
    for is_raised in [false, true] {
        let (image, log) = without_last_edit(engine, is_raised);
        expect_missing_edit(engine, &image, &log);
    }
}

/// Of a log that no edit names the first record was looked at, and the header: where these were damaged, or could not
/// be read, the log was removed.
fn a_leftover_is_looked_through_before_it_is_removed(engine: &Engine) {
    let (image, log) = without_last_edit(engine, false);
    for damage in [HEADER_LEN as usize + 6, 17] {
        let mut image = image.clone();
        image.edit(&log)[damage] ^= 1;
        expect_missing_edit(engine, &image, &log);
    }
    let disk = SimDisk::from_image(&image, Record::Off);
    let faulty = FaultDisk::new(Arc::new(disk.clone()));
    let name = log.rsplit('/').next().unwrap();
    faulty.rule(At::first(Call::Read, name), Fault::Fail(Errno::Io), Lasting::Sticky);
    let open = OpenOptions { disk: Arc::new(faulty), access: Access::Write, ..OpenOptions::default() };
    let error = engine.open(Path::new("/db"), open).err().unwrap();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(disk.image().get(&log).is_some());
    // What a crash leaves of one that was just begun is removed, and nothing is said.
    let header = image.get(&log).unwrap()[..HEADER_LEN as usize].to_vec();
    for left in [vec![], header[..9].to_vec(), vec![0; 32], header, vec![0; 4096]] {
        let disk = damaged(&image, |image| image.put(&log, left.clone()));
        assert!(check(&disk).is_sound(), "{left:?}");
        drop(open_any(engine, &disk, "/db", Access::Write));
        assert!(disk.image().get(&log).is_none_or(|found| *found != *left), "{left:?}");
    }
}

/// A directory with the name of a log was read as a log that no edit names, and no store could be opened beside it.
fn a_directory_is_no_file_of_a_store(engine: &Engine) {
    let (disk, model) = any_store(engine);
    for name in ["/db/000099.seg", "/db/000099.wal"] {
        disk.create_dir(Path::new(name)).unwrap();
    }
    let report = check(&disk);
    assert!(report.is_sound() && report.notes.is_empty(), "{report}");
    assert_eq!(pairs(&*open_any(engine, &disk, "/db", Access::Write)), model);
}

/// With the identity file of another store nothing had a right checksum, and nothing was saved; verify called every
/// file damaged but that one.
fn an_identity_of_another_store_is_overruled(engine: &Engine) {
    let (disk, model) = any_store(engine);
    for kind in [EngineKind::Bitcask, EngineKind::Lsm] {
        let foreign = Identity::new(kind.name(), Some(43)).encode();
        let disk = damaged(&disk.image(), |image| image.put("/db/ENGINE", foreign));
        let report = check(&disk);
        let places: Vec<_> = report.damage.iter().map(|damage| &damage.path[..]).collect();
        assert_eq!(places, ["/db/ENGINE"], "{report}");
        let report = try_mend(&disk).unwrap();
        assert!(report.is_lossless() && report.saved.keys == model.len() as u64, "{report}");
        assert_eq!(report.engine, engine.kind.name());
        assert!(report.notes.iter().any(|note| note.contains("of another store")), "{report}");
    }
}

/// It was called no store, which one that holds data must not be.
fn where_nothing_says_the_id_there_is_damage_all_the_same(engine: &Engine) {
    let (disk, _) = any_store(engine);
    let disk = damaged(&disk.image(), |image| {
        let names = segments(image, "");
        names
            .into_iter()
            .filter(|name| name.starts_with("/db/"))
            .for_each(|name| image.edit(&name).fill(0x55));
    });
    let report = check(&disk);
    assert!(report.damage.iter().any(|damage| damage.path == "/db/ENGINE"), "{report}");
    assert!(report.notes.iter().any(|note| note.contains("without the store's id")), "{report}");
}

/// A hint that a crash has cut four bytes behind the end of an entry was told from one with a damaged table of parts
/// by nothing: a sound store was called damaged.
#[test]
fn a_hint_may_be_cut_anywhere() {
    let (disk, _) = store();
    let image = disk.image();
    let name = "/db/000001.hint";
    for len in 0..image.get(name).unwrap().len() {
        let report = check(&damaged(&image, |image| image.cut(name, len)));
        assert!(report.is_sound(), "cut to {len}: {report}");
    }
}

/// Paths were compared as they were given: a relative one, and the same directory's absolute one, were two places.
#[test]
fn no_other_path_leads_into_the_damaged_store() {
    let here = tempfile::tempdir_in(".").unwrap();
    let source = Path::new(here.path().file_name().unwrap()).join("db");
    let disk: Arc<dyn Vfs> = Arc::new(OsDisk);
    let open = OpenOptions { disk: disk.clone(), ..OpenOptions::default() };
    drop(Bitcask::open(&source, open, BitcaskOptions::default()).unwrap());
    let absolute = std::path::absolute(&source).unwrap();
    for dest in [absolute.join("new"), source.join("../db/new")] {
        let error = repair(disk.clone(), &source, &dest).unwrap_err();
        assert!(error.to_string().contains("inside of"), "{error}");
    }
}
