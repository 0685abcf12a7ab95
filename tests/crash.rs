//! Crashes of Bitcask: every disk that one could leave must open, with a prefix of what was done.
//!
//! Each test is a row of the catalogue of faults that others met; its source is named above it. Most run
//! a workload on a recording disk and judge the disks that a crash at each moment could have left (see
//! `crash_support/oracle.rs` for what is promised); some also kill the process and go on with a second
//! one before the power goes, or let the recovery crash in its turn.
//!
//! `KVS_CRASH_BUDGET=long cargo test --release --test crash -- --nocapture` tries ten times as much.
#![expect(clippy::unwrap_used, reason = "tests")]

mod crash_support;

use crate::crash_support::experiments::{Scale, is_sound, run_all};
use crate::crash_support::history::{History, Setting, Workload, contents, set};
use crate::crash_support::intruder::{Intruded, When};
use crate::crash_support::oracle::{Known, Oracle};
use crate::crash_support::workloads;
use kvs::engine::batch::{MAX_KEY_LEN, WriteBatch};
use kvs::engine::bitcask::Bitcask;
use kvs::engine::options::Durability::{Always, Os};
use kvs::engine::{KvsEngine, KvsRead};
use kvs::error::Error;
use kvs::vfs::crash::{Budget, explore};
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::recording::{Mark, Op};
use kvs::vfs::memory::{Record, SimDisk};
use kvs::worker::Schedule;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, OnceLock};

/// Every experiment, and how many different disks were judged in all.
#[test]
fn enough_states_are_shown() {
    let outcomes = run_all();
    let disks: HashSet<u128> = outcomes.iter().flat_map(|(_, outcome)| &outcome.disks).copied().collect();
    let broken: Vec<_> =
        outcomes.iter().filter(|(_, outcome)| !outcome.report.violations.is_empty()).collect();
    let violations: usize = broken.iter().map(|(_, outcome)| outcome.report.violations.len()).sum();
    let judged: u64 = outcomes.iter().map(|(_, outcome)| outcome.report.distinct).sum();
    let seconds: f64 = outcomes.iter().map(|(_, outcome)| outcome.took.as_secs_f64()).sum();
    println!(
        "crash states: {} distinct, {violations} violations ({} experiments, {judged} judgements, {seconds:.0} s)",
        disks.len(),
        outcomes.len()
    );
    if let Some((name, outcome)) = broken.first() {
        panic!("{name}: {}", outcome.report);
    }
    assert!(disks.len() >= Scale::chosen().least());
}

/// A crash at any moment of the very first opening leaves a directory that opens: as a store, or to be
/// made one again (etcd-io/bbolt#567: a half-written first page that could never be opened).
#[test]
fn c01_first_creation() {
    is_sound("creation");
}

/// A record was synced, but the file's name was not, or that of a directory above it: fjall lost
/// acknowledged writes in 212 states so; RocksDB notes the same in HISTORY.md:1151.
#[test]
fn c05_dir_entry_of_new_file() {
    is_sound("creation");
    is_sound("rotation");
    is_sound("singles");
    is_sound("singles, durable");
}

/// Somebody removed a file from the middle of the store. RocksDB (#10080, #7275, #13226) opened without
/// a word, with what was in it gone. Here the manifest names every segment.
#[test]
fn c11_missing_segment() {
    let image = left_by(&workloads::rotation());
    let segments: Vec<_> =
        image.files.keys().filter(|path| path.extension().is_some_and(|e| e == "seg")).collect();
    assert!(segments.len() > 4);
    for segment in segments {
        let mut image = image.clone();
        image.remove(segment);
        let disk = SimDisk::from_image(&image, Record::Off);
        match Setting::default().open(Arc::new(disk.clone())) {
            Err(Error::Corruption { path, .. }) => assert_eq!(path, **segment),
            other => panic!("{}: {other:?}", segment.display()),
        }
        assert_eq!(disk.image(), image, "nothing was touched");
    }
}

/// A merge died half way. rosedb trusted a hint whose segments were half replaced (#342), and did not
/// open after the second merge (#242): a merge is there as a whole, by one edit of the manifest.
#[test]
fn c12_merge_at_every_operation() {
    is_sound("merge behind");
    is_sound("compact");
    is_sound("compact without hints");
    is_sound("partial merge");
    is_sound("reopening");
}

/// The manifest grows with each rotation and merge, and is replaced by a short one now and then.
#[test]
fn c12_manifest_replaced() {
    let history = workloads::manifest_replaced().record();
    assert_eq!(history.count(|op| matches!(op, Op::Rename { .. })), 1, "it is replaced in this workload");
    is_sound("manifest replaced");
}

/// A second store, made of links: until it is whole it is none, and then it is durable.
#[test]
fn c12_checkpoint() {
    is_sound("checkpoint");
}

/// The log ended in half a record; the next process appended behind it, and what it wrote could not be
/// reached any more (amelie#17, kuzu#5852).
#[test]
fn c13_torn_tail_is_cut_before_the_first_append() {
    is_sound("torn tail");
    is_sound("torn edit");
    is_sound("reserving");
}

/// RocksDB: a second recovery failed where the first had crashed (HISTORY.md:2211, 2282). All workloads
/// have an experiment in which the recovery crashes too; this one has all kinds of steps.
#[test]
fn c14_crash_during_recovery() {
    is_sound("random 200");
    is_sound("reopening");
}

/// Of a record of several pages, a later page was on the device and an earlier one not; or a later
/// record and an earlier one not (leveldb#251, pebblesdb#28 with LazyFS).
#[test]
fn c15_record_of_several_pages() {
    is_sound("pages");
}

/// The file has its new length but not its bytes, or space was reserved. In a naive frame zeros are a
/// record of no bytes whose checksum, 0, is right; LevelDB keeps a record type for this (`kZeroType`).
#[test]
fn c16_tail_of_zeros() {
    let (image, held) = three_records();
    for zeros in [1, 4, 7, 15, 100, 4096, 70_000] {
        for end in ["000001.seg", "MANIFEST"] {
            let mut image = image.clone();
            let path = format!("/s/{end}");
            image.edit(&path).extend(vec![0; zeros]);
            assert_goes_on(&image, &held, &format!("{zeros} zeros behind {end}"));
        }
    }
}

/// Bytes of an earlier life stand behind the end: of another store in the same blocks, of another file,
/// or of this one at another place (badger#592 and #602, rocksdb#12918). Checksums are salted with
/// store, file and offset, so that none of them is ever a record.
#[test]
fn c17_old_bytes_behind_the_end() {
    const SEGMENT: &str = "/s/000001.seg";
    let (image, held) = three_records();
    let own = image.get(SEGMENT).unwrap().to_vec();
    let more = |setting: &Setting| {
        let steps = (0..8).map(|n| set(&format!("k{n}"), 100, Os)).collect();
        Workload { setting: setting.clone(), ..Workload::new("", steps) }.record()
    };
    let other_store = image_of(&more(&Setting { store_id: 8, ..Setting::default() }));
    let other_file = left_by(&workloads::rotation());
    let old: [(&str, Vec<u8>); 3] = [
        ("another store", other_store.get(SEGMENT).unwrap()[own.len()..].to_vec()),
        ("another file", other_file.get("/s/000002.seg").unwrap()[own.len()..].to_vec()),
        ("another place", own[32..].to_vec()),
    ];
    for (what, bytes) in old {
        assert!(bytes.len() > 300, "{what}");
        // At each offset that a record could stand at, and behind zeros.
        for gap in [0, 1, 64] {
            let mut image = image.clone();
            image.edit(SEGMENT).extend([vec![0; gap], bytes.clone()].concat());
            assert_goes_on(&image, &held, &format!("{what}, behind {gap} zeros"));
        }
    }
}

/// A value is itself a log, with records that are right for the very place that they stand at. Who
/// looks for the next record behind a torn one must not find them (LevelDB's log format notes this).
#[test]
fn c18_value_that_holds_a_log() {
    let workload = workloads::values_that_look_like_records();
    is_sound(&workload.name);
    // And at every single byte.
    let history = workload.record();
    let image = image_of(&history);
    let len = image.get("/s/000001.seg").unwrap().len();
    for cut in (32..len).step_by(7) {
        let mut image = image.clone();
        image.cut("/s/000001.seg", cut);
        // It was closed in an orderly way; of a crash the manifest knows nothing.
        image.put("/s/MANIFEST", history.recording.base().files[&manifest_of(&history)].to_vec());
        let store = Setting::default().open(Arc::new(SimDisk::from_image(&image, Record::Off))).unwrap();
        assert_eq!(store.get(b"evil").unwrap(), None, "cut at {cut}");
    }
}

/// Batches of 1, 2 and 100 members, of a byte to three blocks each. badger let half a transaction
/// through, because each entry had a checksum of its own (#570).
#[test]
fn c19_batches_are_all_or_nothing() {
    is_sound("batches");
}

/// A batch with one member that can not be written leaves nothing: not on the disk, not in memory.
#[test]
fn c19_illegal_member() {
    let disk = SimDisk::new();
    let store = Setting::default().open(Arc::new(disk.clone())).unwrap();
    store.set(b"k", b"v").unwrap();
    let before = disk.image();
    let mut batch = WriteBatch::new();
    batch.set(b"k", b"other");
    batch.remove(b"k");
    batch.set(&vec![0; MAX_KEY_LEN + 1], b"");
    batch.set(b"l", b"");
    let refused = store.write(batch, &Default::default());
    assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{refused:?}");
    assert_eq!(disk.image(), before);
    assert_eq!(contents(&store).unwrap(), BTreeMap::from([(b"k".to_vec(), b"v".to_vec())]));
}

/// A value in file 1, its tombstone in file 2, and a merge of file 2 alone that drops the tombstone: the
/// key is back (basho/bitcask#82, #102, #128, #148, #156).
#[test]
fn s03_tombstone_outside_of_its_merge() {
    let workload = workloads::partial_merge();
    is_sound(&workload.name);
    let image = left_by(&workload);
    let names = |number: u32| image.get(format!("/s/{number:06}.seg"));
    let value = b"old0=old0=old0=";
    assert!(names(1).is_some_and(|bytes| bytes.windows(value.len()).any(|at| at == value)), "file 1 stays");
    assert_eq!(names(2), None, "file 2 was merged");
    let store = Setting::default().open(Arc::new(SimDisk::from_image(&image, Record::Off))).unwrap();
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
    let slot: Arc<OnceLock<Arc<Bitcask>>> = Arc::default();
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
    let setting = Setting { durability: Always, schedule: Schedule::Manual, ..Setting::default() };
    let store = Arc::new(setting.open(intruded.clone()).unwrap());
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
    slot.set(store.clone()).unwrap();
    disk.record(Record::On);
    store.compact().unwrap();
    assert!(intruded.has_acted(), "{what}");
    assert_eq!(contents(&*store).unwrap(), after, "{what}");
    store.compact().unwrap();
    assert_eq!(contents(&*store).unwrap(), after, "{what}, merged again");
    drop((store, slot, intruded));
    let again = setting.open(Arc::new(SimDisk::from_image(&disk.image(), Record::Off))).unwrap();
    assert_eq!(contents(&again).unwrap(), after, "{what}, opened again");

    let history = History::new(&setting, disk.recording(), &prefixes);
    let mut known = Known::default();
    let mut oracle = Oracle::new(&history, &mut known);
    let report = explore(&history.recording, &Budget::default(), |state| oracle.judge(state));
    assert!(report.violations.is_empty(), "{what}: {report}");
    assert!(report.distinct > 50, "{what}: {report}");
}

/// Set, merge, delete, merge, open again: rosedb#258 had the key back.
#[test]
fn s05_deleted_between_merges() {
    is_sound("deleted between merges");
    let store = Setting::default()
        .open(Arc::new(SimDisk::from_image(&left_by(&workloads::deleted_between_merges()), Record::Off)));
    assert_eq!(contents(&store.unwrap()).unwrap().into_keys().collect::<Vec<_>>(), [b"other"]);
}

/// Anything, from eight seeds; sixty in the long run.
#[test]
fn random_workloads() {
    (0..8).for_each(|seed| is_sound(&format!("random {seed}")));
}

/// What a workload leaves on the disk when it is over, and closed.
fn left_by(workload: &Workload) -> Image {
    image_of(&workload.record())
}

fn image_of(history: &History) -> Image {
    crash_support::lives::replay(&history.recording, history.recording.ops()).image()
}

fn manifest_of(history: &History) -> kvs::vfs::memory::recording::FileId {
    let mut names = history.recording.base().names.iter();
    *names.find(|(path, _)| path.ends_with("MANIFEST")).unwrap().1
}

/// A store that was killed, with three records in its first segment.
fn three_records() -> (Image, BTreeMap<Vec<u8>, Vec<u8>>) {
    let disk = SimDisk::new();
    let store = Setting::default().open(Arc::new(disk.clone())).unwrap();
    for key in [b"a", b"b", b"c"] {
        store.set(key, &[key[0]; 150]).unwrap();
    }
    (disk.image(), contents(&store).unwrap())
}

/// The store opens with exactly this, can be written, and opens again.
fn assert_goes_on(image: &Image, held: &BTreeMap<Vec<u8>, Vec<u8>>, what: &str) {
    let disk = SimDisk::from_image(image, Record::Off);
    let mut held = held.clone();
    for round in 0..3_u8 {
        let store = Setting::default().open(Arc::new(disk.clone())).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(contents(&store).unwrap(), held, "{what}, round {round}");
        store.set(b"new", &[round; 9]).unwrap();
        held.insert(b"new".to_vec(), vec![round; 9]);
    }
}
