//! Crashes: every disk that one could leave must open, with a prefix of what was done.
//!
//! Each test is a row of the catalogue of faults that others met; its source is named above it. Most run
//! a workload on a recording disk and judge the disks that a crash at each moment could have left (see
//! `src/survive/oracle.rs` for what is promised); some also kill the process and go on with a second
//! one before the power goes, or let the recovery crash in its turn.
//!
//! `KVS_CRASH_BUDGET=long cargo test --release --test crash -- --nocapture` tries ten times as much.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;
#[macro_use]
mod fault_support {
    #[macro_use]
    pub(crate) mod engine;
    pub(crate) mod intruder;
}
mod crash_support;

use crate::crash_support::experiments::{is_sound, least_disks, run_all, seeds};
use crate::fault_support::engine::disk_of;
use crate::fault_support::intruder::{Intruded, When};
use kvs::engine::KvsEngine;
use kvs::engine::batch::{MAX_KEY_LEN, WriteBatch};
use kvs::engine::filename;
use kvs::engine::kind::EngineKind;
use kvs::engine::lsm::version::edit::LiveFile;
use kvs::engine::manifest;
use kvs::engine::options::Durability::{Always, Os};
use kvs::engine::options::{OpenOptions, WriteOptions};
use kvs::error::Error;
use kvs::survive::crash::sweep::{Verdict, sweep};
use kvs::survive::engine::Engine;
use kvs::survive::history::{CLOSING, History, STORE_ID, Setting, Workload};
use kvs::survive::lives::replay;
use kvs::survive::model::{contents, digest};
use kvs::survive::oracle::{Known, Oracle};
use kvs::survive::sites::edit;
use kvs::survive::step::set;
use kvs::survive::workloads;
use kvs::vfs::Vfs;
use kvs::vfs::crash::budget::Budget;
use kvs::vfs::crash::explore;
use kvs::vfs::dir::Dir;
use kvs::vfs::fault::{At, Call, Errno, Fault, FaultDisk, Lasting};
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::recording::{Mark, Op};
use kvs::vfs::memory::{Record, SimDisk};
use kvs::vfs::os::OsDisk;
use kvs::worker::Schedule;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

on_each_engine!([
    enough_states_are_shown,
    each_sync_is_missed,
    c01_first_creation,
    c05_dir_entry_of_new_file,
    c11_missing_file,
    c12_merge_at_every_operation,
    c12_manifest_replaced,
    c12_checkpoint,
    c12_checkpoints_into_one_directory,
    c13_torn_tail_is_cut_before_the_first_append,
    c14_crash_during_recovery,
    c15_record_of_several_pages,
    c16_tail_of_zeros,
    c17_old_bytes_behind_the_end,
    c18_value_that_holds_a_log,
    c19_batches_are_all_or_nothing,
    c19_illegal_member,
    s05_deleted_between_merges,
    random_workloads,
]);

/// Each kind of sync is left out in its turn, wherever an engine makes it, as `kvs crash --forget each` does:
/// a promise is broken, or it is known why none is. The stories stand in `crash_support/forgotten.rs`.
fn each_sync_is_missed(engine: &Engine) {
    let omissions = sweep(engine, 1, &mut |_| true).unwrap();
    for omission in &omissions {
        assert!(omission.verdict.is_right(), "{omission:?}");
    }
    let caught =
        omissions.iter().filter(|omission| matches!(omission.verdict, Verdict::Caught { .. })).count();
    println!("syncs of {}: {caught} of {} caught when left out", engine.name(), omissions.len());
    assert!(caught >= 18, "{caught}");
}

/// Every experiment, and how many different disks were judged in all.
fn enough_states_are_shown(engine: &Engine) {
    let outcomes = run_all(engine);
    let disks: HashSet<u128> =
        outcomes.iter().flat_map(|(_, (outcome, _))| &outcome.disks).copied().collect();
    let broken: Vec<_> =
        outcomes.iter().filter(|(_, (outcome, _))| !outcome.report.violations.is_empty()).collect();
    let violations: usize = broken.iter().map(|(_, (outcome, _))| outcome.report.violations.len()).sum();
    let judged: u64 = outcomes.iter().map(|(_, (outcome, _))| outcome.report.distinct).sum();
    let seconds: f64 = outcomes.iter().map(|(_, (_, took))| took.as_secs_f64()).sum();
    println!(
        "crash states of {}: {} distinct, {violations} violations ({} experiments, {judged} judgements, {seconds:.0} s)",
        engine.name(),
        disks.len(),
        outcomes.len()
    );
    if let Some((name, (outcome, _))) = broken.first() {
        panic!("{name}: {}", outcome.report);
    }
    assert!(disks.len() >= least_disks());
}

/// A crash at any moment of the very first opening leaves a directory that opens: as a store, or to be
/// made one again (etcd-io/bbolt#567: a half-written first page that could never be opened).
fn c01_first_creation(engine: &Engine) {
    is_sound(engine, "creation");
}

/// A record was synced, but the file's name was not, or that of a directory above it: fjall lost
/// acknowledged writes in 212 states so; RocksDB notes the same in HISTORY.md:1151.
fn c05_dir_entry_of_new_file(engine: &Engine) {
    is_sound(engine, "creation");
    is_sound(engine, "rotation");
    is_sound(engine, "singles");
    is_sound(engine, "singles, durable");
}

/// Somebody removed a file from the middle of the store. RocksDB (#10080, #7275, #13226) opened without
/// a word, with what was in it gone. Here the manifest names every file.
fn c11_missing_file(engine: &Engine) {
    let image = left_by(&workloads::rotation(engine));
    let files = engine.data_files(&image);
    assert!(files.len() > 4);
    for file in files {
        let mut image = image.clone();
        image.remove(&file);
        let disk = SimDisk::from_image(&image, Record::Off);
        match Setting::of(engine).open(Arc::new(disk.clone())).map(|_| ()) {
            Err(Error::Corruption { path, .. }) => assert_eq!(path, file),
            other => panic!("{}: {other:?}", file.display()),
        }
        assert_eq!(disk.image(), image, "nothing was touched");
    }
}

/// A merge died half way. rosedb trusted a hint whose segments were half replaced (#342), and did not
/// open after the second merge (#242): a merge is there as a whole, by one edit of the manifest.
fn c12_merge_at_every_operation(engine: &Engine) {
    let own: &[&str] = match engine.kind {
        EngineKind::Bitcask => &["compact without hints", "partial merge"],
        EngineKind::Lsm => &["levels", "ranges"],
        EngineKind::Memory => unreachable!("it has no files"),
    };
    own.iter().for_each(|workload| is_sound(engine, workload));
    is_sound(engine, "merge behind");
    is_sound(engine, "compact");
    is_sound(engine, "reopening");
}

/// The manifest grows with each rotation and merge, and is replaced by a short one now and then.
fn c12_manifest_replaced(engine: &Engine) {
    let history = workloads::manifest_replaced(engine).record().unwrap();
    assert_eq!(history.count(|op| matches!(op, Op::Rename { .. })), 1, "it is replaced in this workload");
    is_sound(engine, "manifest replaced");
}

/// Two stores were told to make their checkpoints in one directory, which both found empty. The second one's files
/// took the names of the first one's, and with them the bytes: they were links to the first store's live files.
fn c12_checkpoints_into_one_directory(engine: &Engine) {
    let root = tempfile::tempdir().unwrap();
    let [one, two, dest] = ["one", "two", "dest"].map(|name| root.path().join(name));
    let open = |path: &Path, disk: Arc<dyn Vfs>| {
        engine.open(path, OpenOptions { disk, durability: Os, ..OpenOptions::default() }).unwrap()
    };
    let fill = |store: &dyn KvsEngine, len| {
        (0..40u8).for_each(|key| store.set(&[key], &vec![key; len]).unwrap());
        contents(store).unwrap()
    };
    let first = open(&one, Arc::new(OsDisk));
    let model = fill(&*first, 300);
    let intruder = {
        let (first, dest) = (first.clone(), dest.clone());
        move || first.checkpoint(&dest).unwrap()
    };
    let disk = Arc::new(Intruded::new(Arc::new(OsDisk), When::DirectoryIsLocked, intruder));
    let second = open(&two, disk.clone());
    let other = fill(&*second, 200);
    disk.arm();
    let refused = second.checkpoint(&dest).unwrap_err();
    assert!(disk.has_acted() && matches!(refused, Error::InvalidArgument(_)), "{refused:?}");
    assert_eq!(contents(&*second).unwrap(), other);
    drop((first, second, disk));
    for (path, wanted) in [(&one, &model), (&two, &other), (&dest, &model)] {
        let report = kvs::inspect::verify::verify(Arc::new(OsDisk), path).unwrap();
        assert!(report.damage.is_empty(), "{}: {report:?}", path.display());
        assert_eq!(&contents(&*open(path, Arc::new(OsDisk))).unwrap(), wanted, "{}", path.display());
    }
}

/// A second store, made of links: until it is whole it is none, and then it is durable.
fn c12_checkpoint(engine: &Engine) {
    is_sound(engine, "checkpoint");
}

/// The log ended in half a record; the next process appended behind it, and what it wrote could not be
/// reached any more (amelie#17, kuzu#5852).
fn c13_torn_tail_is_cut_before_the_first_append(engine: &Engine) {
    is_sound(engine, "torn tail");
    is_sound(engine, "torn edit");
    is_sound(engine, "reserving");
}

/// RocksDB: a second recovery failed where the first had crashed (HISTORY.md:2211, 2282). All workloads
/// have an experiment in which the recovery crashes too; this one has all kinds of steps.
fn c14_crash_during_recovery(engine: &Engine) {
    is_sound(engine, "random 200");
    is_sound(engine, "reopening");
}

/// Of a record of several pages, a later page was on the device and an earlier one not; or a later
/// record and an earlier one not (leveldb#251, pebblesdb#28 with LazyFS).
fn c15_record_of_several_pages(engine: &Engine) {
    is_sound(engine, "pages");
}

/// The file has its new length but not its bytes, or space was reserved. In a naive frame zeros are a
/// record of no bytes whose checksum, 0, is right; LevelDB keeps a record type for this (`kZeroType`).
fn c16_tail_of_zeros(engine: &Engine) {
    let (image, held) = three_records(engine);
    let log = engine.newest_log(&image);
    for zeros in [1, 4, 7, 15, 100, 4096, 70_000] {
        for end in [&*log, Path::new("/s/MANIFEST")] {
            let mut image = image.clone();
            image.edit(end).extend(vec![0; zeros]);
            assert_goes_on(engine, &image, &held, &format!("{zeros} zeros behind {}", end.display()));
        }
    }
}

/// Bytes of an earlier life stand behind the end: of another store in the same blocks, of another file,
/// or of this one at another place (badger#592 and #602, rocksdb#12918). Checksums are salted with
/// store, file and offset, so that none of them is ever a record.
fn c17_old_bytes_behind_the_end(engine: &Engine) {
    let (image, held) = three_records(engine);
    let log = engine.newest_log(&image);
    let own = image.get(&log).unwrap().to_vec();
    let eight = |setting: Setting| {
        let steps = (0..8).map(|n| set(&format!("k{n}"), 100, Os)).collect();
        killed_in(&Workload { setting, ..Workload::new("", engine, steps) })
    };
    let other_store = eight(Setting { store_id: 8, ..Setting::of(engine) });
    let other_file = killed_in(&workloads::rotation(engine));
    let other_log = engine.newest_log(&other_file);
    assert_ne!(other_log, log);
    let old: [(&str, Vec<u8>); 3] = [
        ("another store", other_store.get(&log).unwrap()[own.len()..].to_vec()),
        ("another file", other_file.get(&other_log).unwrap()[own.len()..].to_vec()),
        ("another place", own[32..].to_vec()),
    ];
    for (what, bytes) in old {
        assert!(bytes.len() > 300, "{what}");
        // At each offset that a record could stand at, and behind zeros.
        for gap in [0, 1, 64] {
            let mut image = image.clone();
            image.edit(&log).extend([vec![0; gap], bytes.clone()].concat());
            assert_goes_on(engine, &image, &held, &format!("{what}, behind {gap} zeros"));
        }
    }
}

/// A value is itself a log, with records that are right for the very place that they stand at. Who
/// looks for the next record behind a torn one must not find them (LevelDB's log format notes this).
fn c18_value_that_holds_a_log(engine: &Engine) {
    let workload = workloads::values_that_look_like_records(engine);
    is_sound(engine, &workload.name);
    // And at every single byte.
    let image = killed_in(&workload);
    let log = engine.newest_log(&image);
    let len = image.get(&log).unwrap().len();
    for cut in (32..len).step_by(7) {
        let mut image = image.clone();
        image.cut(&log, cut);
        let store = workload.setting.open(disk_of(&image)).unwrap();
        assert_eq!(store.get(b"evil").unwrap(), None, "cut at {cut}");
    }
}

/// Batches of 1, 2 and 100 members, of a byte to three blocks each. badger let half a transaction
/// through, because each entry had a checksum of its own (#570).
fn c19_batches_are_all_or_nothing(engine: &Engine) {
    is_sound(engine, "batches");
}

/// A batch with one member that can not be written leaves nothing: not on the disk, not in memory.
fn c19_illegal_member(engine: &Engine) {
    let disk = SimDisk::new();
    let store = Setting::of(engine).open(Arc::new(disk.clone())).unwrap();
    store.set(b"k", b"v").unwrap();
    let before = disk.image();
    let mut batch = WriteBatch::new();
    batch.set(b"k", b"other");
    batch.remove(b"k");
    batch.set(&vec![0; MAX_KEY_LEN + 1], b"");
    batch.set(b"l", b"");
    let refused = store.write(batch, &WriteOptions::default());
    assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{refused:?}");
    assert_eq!(disk.image(), before);
    assert_eq!(contents(&*store).unwrap(), BTreeMap::from([(b"k".to_vec(), b"v".to_vec())]));
}

/// A value in file 1, its tombstone in file 2, and a merge of file 2 alone that drops the tombstone: the
/// key is back (basho/bitcask#82, #102, #128, #148, #156).
///
/// This test looked away for a while: its tombstone stood in file 1, right behind the values, and was never
/// part of the merge. A merge that drops every tombstone passed. The museum of bugs found it.
#[test]
fn s03_tombstone_outside_of_its_merge() {
    let engine = &Engine::bitcask();
    let workload = workloads::partial_merge(engine);
    is_sound(engine, &workload.name);
    let image = left_by(&workload);
    let names = |number: u32| image.get(format!("/s/{number:06}.seg"));
    let value = b"old0=old0=old0=";
    assert!(names(1).is_some_and(|bytes| bytes.windows(value.len()).any(|at| at == value)), "file 1 stays");
    assert!(!names(1).unwrap().ends_with(b"old0"), "the tombstone stands in another file");
    assert_eq!(names(2), None, "file 2 was merged");
    let store = Setting::of(engine).open(disk_of(&image)).unwrap();
    assert_eq!(store.get(b"old0").unwrap(), None);
    assert!(store.get(b"old1").unwrap().is_some());
}

/// While a merge copies a key, it is overwritten, or deleted, or so much is written that the log
/// rotates. The merge's output has a higher number than the file with the newer value: in bitcask#148
/// the old value won.
#[test]
fn s04_writes_in_the_middle_of_a_merge() {
    for when in [When::InputIsOpened, When::OutputIsMade, When::OutputsAreWhole] {
        for change in [Some(&[7; 30][..]), Some(&[7; 4000][..]), None] {
            write_in_a_merge(when, change);
        }
    }
}

/// Merges a store in which `k` changes meanwhile, and judges every crash of that.
fn write_in_a_merge(when: When, change: Option<&[u8]>) {
    let what = format!("{when:?}, {:?} bytes", change.map(<[u8]>::len));
    let disk = SimDisk::new();
    let slot: Arc<OnceLock<Arc<dyn KvsEngine>>> = Arc::default();
    let intruder = {
        let (disk, slot, change) = (disk.clone(), slot.clone(), change.map(<[u8]>::to_vec));
        move || {
            disk.mark(Mark::Issue(1));
            slot.get().unwrap().swap(b"k", change.as_deref()).unwrap();
            disk.mark(Mark::Ack(1));
        }
    };
    let intruded = Arc::new(Intruded::new(Arc::new(disk.clone()), when, intruder));
    // Inline, a rotation would begin a merge within this one, in the same thread.
    let setting =
        Setting { durability: Always, schedule: Schedule::Manual, ..Setting::of(&Engine::bitcask()) };
    let store = setting.open(intruded.clone()).unwrap();
    for (key, len) in [("k", 500), ("gone", 500), ("k", 600), ("other", 600), ("gone", 1)] {
        store.set(key.as_bytes(), &vec![1; len]).unwrap();
    }
    store.remove(b"gone").unwrap();
    let mut prefixes = vec![contents(&*store).unwrap()];
    let mut after = prefixes[0].clone();
    match change {
        Some(value) => drop(after.insert(b"k".to_vec(), value.to_vec())),
        None => drop(after.remove(&b"k"[..])),
    }
    prefixes.push(after.clone());
    assert!(slot.set(store.clone()).is_ok(), "set once");
    intruded.arm();
    disk.record(Record::On);
    store.compact().unwrap();
    assert!(intruded.has_acted(), "{what}");
    assert_eq!(contents(&*store).unwrap(), after, "{what}");
    store.compact().unwrap();
    assert_eq!(contents(&*store).unwrap(), after, "{what}, merged again");
    drop((store, slot, intruded));
    let again = setting.open(disk_of(&disk.image())).unwrap();
    assert_eq!(contents(&*again).unwrap(), after, "{what}, opened again");

    let history = History::new(&setting, disk.recording(), &prefixes);
    let mut known = Known::default();
    let mut oracle = Oracle::new(&history, &mut known);
    let report = explore(&history.recording, &Budget::default(), |state| oracle.judge(state));
    assert!(report.violations.is_empty(), "{what}: {report}");
    assert!(report.distinct > 50, "{what}: {report}");
}

/// Set, merge, delete, merge, open again: rosedb#258 had the key back.
fn s05_deleted_between_merges(engine: &Engine) {
    is_sound(engine, "deleted between merges");
    let image = left_by(&workloads::deleted_between_merges(engine));
    let store = Setting::of(engine).open(disk_of(&image)).unwrap();
    assert_eq!(contents(&*store).unwrap().into_keys().collect::<Vec<_>>(), [b"other"]);
}

/// Anything, from eight seeds or more; sixty in the long run.
fn random_workloads(engine: &Engine) {
    (0..seeds(engine.kind)).for_each(|seed| is_sound(engine, &format!("random {seed}")));
}

// ---- the LSM tree's own ----

/// Every moment of a workload at which something is true of the next operation, and the disk then.
fn moments(history: &History, is_next: impl Fn(&Op) -> bool) -> Vec<(usize, Image)> {
    let ops = history.recording.ops();
    let found = (0..ops.len()).filter(|at| is_next(&ops[*at]));
    found.map(|at| (at, replay(&history.recording, &ops[..at]).unwrap().image())).collect()
}

/// What must be there when the process was killed before operation `at`: between so many changes and so
/// many.
fn expected(history: &History, at: usize) -> std::ops::RangeInclusive<usize> {
    let (mut lo, mut hi) = (0, 0);
    for op in &history.recording.ops()[..at] {
        match op {
            Op::Mark(Mark::Issue(n)) => hi = *n as usize,
            Op::Mark(Mark::Handed(n) | Mark::Ack(n)) => lo = *n as usize,
            _ => {}
        }
    }
    lo..=hi
}

/// Opens what was killed before operation `at`: it holds what it must.
fn open_killed(history: &History, at: usize, disk: Arc<dyn Vfs>) -> Arc<dyn KvsEngine> {
    let store = history.setting.open(disk).unwrap_or_else(|e| panic!("killed before #{at}: {e}"));
    let found = digest(&*store).unwrap().digest128();
    assert!(history.prefixes[expected(history, at)].contains(&found), "killed before #{at}");
    store
}

fn is_called(path: &Path, ending: &str) -> bool {
    path.to_str().is_some_and(|path| path.ends_with(ending))
}

fn tables(image: &Image) -> Vec<&Path> {
    image.files.keys().filter(|path| is_called(path, ".sst")).map(|path| &**path).collect()
}

fn manifest_edits(history: &History) -> impl Fn(&Op) -> bool {
    |op| matches!(op, Op::Append { file, .. } if history.recording.first_name(*file).is_some_and(|name| is_called(name, "MANIFEST")))
}

/// A table is written, synced and named, and the process dies before the edit: weaviate#1697 stumbled
/// over what such a run had left. It is removed, or, where that fails, in nobody's way: a later table that
/// gets its number has nothing of it.
#[test]
fn c02_table_without_its_edit() {
    let engine = &Engine::lsm();
    is_sound(engine, "flushes");
    let history = workloads::flushes(engine).record().unwrap();
    let mut orphans = 0;
    for (at, image) in moments(&history, manifest_edits(&history)) {
        let dir = Dir::new(disk_of(&image), Path::new("/s"));
        let live = manifest::read::<LiveFile>(&dir, STORE_ID).unwrap().files.live;
        let is_orphan = |path: &&Path| !live.keys().any(|number| path.ends_with(filename::table(*number)));
        let Some(orphan) = tables(&image).into_iter().find(is_orphan) else { continue };
        orphans += 1;
        let disk = SimDisk::from_image(&image, Record::Off);
        let store = open_killed(&history, at, Arc::new(disk.clone()));
        let named: Vec<String> = store.stats().unwrap().files.into_iter().map(|file| file.name).collect();
        drop(store);
        let left = disk.image();
        let left = tables(&left).into_iter().find(|path| !named.iter().any(|name| path.ends_with(name)));
        assert_eq!(left, None, "left over");
        // It can not be removed, ever; and then it is in the way of a table.
        let disk = FaultDisk::new(disk_of(&image));
        disk.rule(At::first(Call::Remove, ".sst"), Fault::Fail(Errno::Denied), Lasting::Sticky);
        for round in 0..3_u8 {
            let store = history.setting.open(Arc::new(disk.clone())).unwrap();
            for n in 0..4_u8 {
                store.set(&[round, n], &[n; 700]).unwrap();
                store.flush().unwrap();
            }
            store.compact().unwrap();
            for (round, n) in (0..=round).flat_map(|round| (0..4).map(move |n| (round, n))) {
                assert_eq!(store.get(&[round, n]).unwrap().unwrap(), [n; 700], "behind {}", orphan.display());
            }
        }
        assert!(disk.faults() > 0);
    }
    assert!(orphans >= 5, "{orphans}");
}

/// An edit that is durable names a table that is not (surrealdb#7426, leveldb#333, rocksdb#13161: an
/// empty table that the manifest names). In every workload, a table's bytes and then its name are synced
/// before the edit is so much as written. `forgotten_table_of_a_flush` and its neighbours show what comes
/// of it otherwise.
#[test]
fn c03_table_is_durable_before_its_edit() {
    let mut checked = 0;
    for workload in workloads::fixed(&Engine::lsm()) {
        let history = workload.record().unwrap();
        let ops = history.recording.ops();
        for (at, op) in ops.iter().enumerate() {
            let Op::Append { file, bytes, .. } = op else { continue };
            let name = history.recording.first_name(*file).unwrap();
            let Some(edit) = is_called(name, "MANIFEST").then(|| edit(bytes)).flatten() else { continue };
            for (number, file) in edit.add {
                let is_it = |op: &Op| matches!(op, Op::Create { path, .. } if path.ends_with(filename::table(number)));
                let Some(made) = ops[..at].iter().rposition(is_it) else { continue };
                assert!(matches!(file, LiveFile::Table(_)));
                let Op::Create { file: table, .. } = &ops[made] else { unreachable!("found so") };
                let written = ops[..at].iter().rposition(|op| op.data_of() == Some(*table)).unwrap();
                let is_sync = |op: &Op| matches!(op, Op::Sync { file } if file == table);
                let synced = ops[written..at].iter().position(is_sync).map(|n| written + n);
                let synced =
                    synced.unwrap_or_else(|| panic!("its bytes: {}", history.recording.describe(at)));
                let named = ops[synced..at].iter().any(|op| matches!(op, Op::SyncDir { .. }));
                assert!(named, "its name: {}", history.recording.describe(at));
                checked += 1;
            }
        }
    }
    assert!(checked > 80, "{checked}");
}

/// A new log exists, and nothing names it yet. mini-lsm could not open that any more, after a plain kill
/// too: it insisted on making the log anew.
#[test]
fn c04_log_that_nothing_names() {
    let engine = &Engine::lsm();
    let history = workloads::rotation(engine).record().unwrap();
    // The number of the edit that would name it is not important: at each operation between.
    let is_new = |op: &Op| matches!(op, Op::Create { path, .. } if engine.is_log(path));
    let mut tried = 0;
    for (begins, _) in moments(&history, is_new) {
        for at in begins + 1..begins + 6 {
            let disk = replay(&history.recording, &history.recording.ops()[..at]).unwrap();
            let disk = SimDisk::from_image(&disk.image(), Record::Off);
            for round in 0..3_u8 {
                let store = if round == 0 {
                    open_killed(&history, at, Arc::new(disk.clone()))
                } else {
                    history.setting.open(Arc::new(disk.clone())).unwrap()
                };
                store.set(&[round], &[round; 3000]).unwrap();
                store.set(&[round, 1], &[round; 3000]).unwrap();
                store.flush().unwrap();
            }
            let store = history.setting.open(Arc::new(disk.clone())).unwrap();
            (0..3).for_each(|round| assert_eq!(store.get(&[round]).unwrap().unwrap(), [round; 3000]));
            tried += 1;
        }
    }
    assert!(tried >= 10, "{tried}");
}

/// LevelDB renames `CURRENT` and then removes the old manifest: if the disk keeps the removal alone,
/// there is no store (ALICE, OSDI 2014; rocksdb#1554). Here the manifest itself is replaced by a rename,
/// and nothing in the directory is removed, made or renamed until that is durable.
#[test]
fn c06_manifest_is_replaced_durably() {
    let engine = &Engine::lsm();
    is_sound(engine, "manifest replaced");
    let mut replaced = 0;
    for workload in workloads::fixed(engine) {
        let history = workload.record().unwrap();
        let ops = history.recording.ops();
        for (at, _) in ops.iter().enumerate().filter(|(_, op)| matches!(op, Op::Rename { .. })) {
            let next = ops[at + 1..].iter().find(|op| !matches!(op, Op::Mark(_)));
            assert!(matches!(next, Some(Op::SyncDir { .. })), "{}", history.recording.describe(at));
            replaced += 1;
        }
    }
    assert!(replaced >= 5, "{replaced}");
}

/// A flush's edit is durable, and its log is still there: it must not be replayed on top of the table, or
/// count as missing when it is gone (rocksdb#7725).
#[test]
fn c08_flushed_log_that_was_not_removed() {
    let engine = &Engine::lsm();
    let history = workloads::flushes(engine).record().unwrap();
    let is_removal = |op: &Op| matches!(op, Op::Remove { path, .. } if engine.is_log(path));
    let moments = moments(&history, is_removal);
    assert!(moments.len() >= 5);
    for (at, image) in moments {
        let Op::Remove { path, .. } = &history.recording.ops()[at] else { unreachable!("chosen so") };
        assert!(image.get(path).is_some());
        let mut without = image.clone();
        without.remove(path);
        let mut seqnos = Vec::new();
        for image in [&image, &without] {
            let disk = SimDisk::from_image(image, Record::Off);
            let store = open_killed(&history, at, Arc::new(disk.clone()));
            let before = store.stats().unwrap().seqno;
            seqnos.push(before);
            store.set(b"k1", b"newest").unwrap();
            assert_eq!(store.stats().unwrap().seqno, before + 1);
            store.compact().unwrap();
            drop(store);
            let store = history.setting.open(Arc::new(disk.clone())).unwrap();
            assert_eq!(store.get(b"k1").unwrap().unwrap(), b"newest");
            assert_eq!(disk.image().get(path), None, "nobody needs it");
        }
        assert_eq!(seqnos[0], seqnos[1], "what is flushed is counted once");
    }
}

/// Several logs whose memtables nobody had flushed: all are read, in their order (surrealkv#264 read the
/// newest alone).
#[test]
fn c09_several_logs() {
    let engine = &Engine::lsm();
    is_sound(engine, "several logs");
    let workload = workloads::several_logs(engine);
    let image = &workloads::unflushed(engine).unwrap();
    let logs = image.files.keys().filter(|path| engine.is_log(path)).count();
    assert!(logs >= 4 && tables(image).is_empty(), "{logs} logs");
    for setting in
        [workload.setting.clone(), Setting { schedule: Schedule::Manual, ..workload.setting.clone() }]
    {
        let disk = disk_of(image);
        for _ in 0..2 {
            let store = setting.open(disk.clone()).unwrap();
            // Each key was set two or three times, always longer.
            for n in 0..8 {
                let newest = (0..22).rfind(|step| step % 8 == n).unwrap();
                let found = store.get(format!("k{n}").as_bytes()).unwrap().unwrap();
                assert_eq!(found.len(), 650 + newest, "k{n}");
            }
            assert_eq!(store.stats().unwrap().seqno, 22);
        }
    }
}

/// What a workload leaves on the disk when it is over, and closed.
fn left_by(workload: &Workload) -> Image {
    let history = workload.record().unwrap();
    replay(&history.recording, history.recording.ops()).unwrap().image()
}

/// What is on the disk when the process of a workload is killed in the end.
fn killed_in(workload: &Workload) -> Image {
    let history = workload.record().unwrap();
    let ops = history.recording.ops();
    let closing = ops.iter().rposition(|op| matches!(op, Op::Mark(Mark::Note(note)) if note == CLOSING));
    replay(&history.recording, &ops[..closing.unwrap()]).unwrap().image()
}

/// A store that was killed, with three records in its log.
fn three_records(engine: &Engine) -> (Image, BTreeMap<Vec<u8>, Vec<u8>>) {
    let disk = SimDisk::new();
    let store = Setting::of(engine).open(Arc::new(disk.clone())).unwrap();
    for key in [b"a", b"b", b"c"] {
        store.set(key, &[key[0]; 150]).unwrap();
    }
    (disk.image(), contents(&*store).unwrap())
}

/// The store opens with exactly this, can be written, and opens again.
fn assert_goes_on(engine: &Engine, image: &Image, held: &BTreeMap<Vec<u8>, Vec<u8>>, what: &str) {
    let disk = SimDisk::from_image(image, Record::Off);
    let mut held = held.clone();
    for round in 0..3_u8 {
        let store =
            Setting::of(engine).open(Arc::new(disk.clone())).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(contents(&*store).unwrap(), held, "{what}, round {round}");
        store.set(b"new", &[round; 9]).unwrap();
        held.insert(b"new".to_vec(), vec![round; 9]);
    }
}
