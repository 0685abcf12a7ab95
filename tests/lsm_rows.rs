//! What can go wrong in a tree only: logs and tables that an edit names or does not, tables that are
//! damaged or exchanged, versions of a key that are spread over levels. Rows of the catalogue of faults.
//!
//! Everything is small, so that a few dozen writes flush and compact through several levels.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[macro_use]
mod fault_support {
    #[macro_use]
    pub(crate) mod engine;
    pub(crate) mod intruder;
    pub(crate) mod manifest;
    #[expect(dead_code, reason = "stores are opened with a schedule here")]
    pub(crate) mod store;
}

use fault_support::engine::{disk_of, empty_disk};
use fault_support::intruder::{Intruded, When};
use fault_support::manifest::{MANIFEST, replace_manifest};
use fault_support::store::{DIR, Model, STORE_ID, contents, open_options};
use kvs::engine::batch::WriteBatch;
use kvs::engine::event::{Event, Listener};
use kvs::engine::filename::{self, FileName};
use kvs::engine::lsm::key::MAX_SEQNO;
use kvs::engine::lsm::options::LsmOptions;
use kvs::engine::lsm::table::Table;
use kvs::engine::lsm::table::layout::{Region, RegionKind};
use kvs::engine::lsm::table::store::TableStore;
use kvs::engine::lsm::version::edit::{LiveFile, StoreMeta, TableMeta, WalMeta, WalState};
use kvs::engine::manifest::{self, Files};
use kvs::engine::options::{Access, Durability, OpenOptions, WriteOptions};
use kvs::engine::range::KeyRange;
use kvs::engine::{Cursor, KvsEngine, KvsRead, Pairs, Snapshot};
use kvs::error::{Error, Result};
use kvs::inspect::verify::verify;
use kvs::survive::engine::Engine;
use kvs::vfs::counting::CountingDisk;
use kvs::vfs::crash::budget::Budget;
use kvs::vfs::crash::explore;
use kvs::vfs::crash::timeline::Crash;
use kvs::vfs::dir::Dir;
use kvs::vfs::fault::{At, Call, Errno, Fault, FaultDisk, Lasting};
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::recording::{Forget, Mark, Op, Recording};
use kvs::vfs::memory::{Record, SimDisk};
use kvs::vfs::{Cause, Vfs};
use kvs::worker::Schedule;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, Weak, mpsc};
use std::time::Duration;

/// What the tests call tiny is what the engine calls so.
#[test]
fn tiny_is_tiny() {
    let mut options = LsmOptions::default();
    for (name, value) in common::engines::LSM_TINY.settings {
        options.set(name, value).unwrap();
    }
    assert_eq!(options, LsmOptions::tiny());
}

// ---- stores ----

/// Opens the store; nothing is done in the background.
fn open_manual(disk: Arc<dyn Vfs>) -> Result<Arc<dyn KvsEngine>> {
    open_with(&Engine::lsm(), disk, Access::Create, Schedule::Manual)
}

fn open_with(
    engine: &Engine,
    disk: Arc<dyn Vfs>,
    access: Access,
    schedule: Schedule,
) -> Result<Arc<dyn KvsEngine>> {
    engine.open(Path::new(DIR), OpenOptions { schedule, ..open_options(disk, access) })
}

/// An empty store on a disk of its own.
fn fresh(engine: &Engine, schedule: Schedule) -> (Arc<dyn KvsEngine>, SimDisk) {
    let disk = empty_disk();
    (open_with(engine, Arc::new(disk.clone()), Access::Create, schedule).unwrap(), disk)
}

/// Key number `n`.
fn key(n: u32) -> Vec<u8> {
    format!("key{n:05}").into_bytes()
}

/// Value number `n`, in `len` bytes that do not shrink when they are compressed.
fn value(n: u32, len: usize) -> Vec<u8> {
    let mut random = u64::from(n) * 2 + 1;
    (0..len).map(|_| next_random(&mut random) as u8).collect()
}

fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 24
}

fn path_of(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// What the manifest of an image says; `None` if it can not be read.
fn live(image: &Image) -> Option<Files<LiveFile>> {
    let dir = Dir::new(disk_of(image), Path::new(DIR));
    manifest::read::<LiveFile>(&dir, STORE_ID).ok().map(|read| read.files)
}

/// The numbers of the files of an image that `number` knows.
fn numbers(image: &Image, number: fn(FileName) -> Option<u64>) -> Vec<u64> {
    let names = image.files.keys().filter_map(|path| path.file_name()?.to_str().and_then(filename::parse));
    names.filter_map(number).collect()
}

fn tables(image: &Image) -> Vec<u64> {
    numbers(image, |name| if let FileName::Table(number) = name { Some(number) } else { None })
}

fn wals(image: &Image) -> Vec<u64> {
    numbers(image, |name| if let FileName::Wal(number) = name { Some(number) } else { None })
}

/// Tables and logs of an image that its manifest does not name.
fn strays(image: &Image) -> Vec<u64> {
    let live = live(image).map(|files| files.live).unwrap_or_default();
    let is_stray = |number: &u64| !live.contains_key(number);
    [tables(image), wals(image)].concat().into_iter().filter(is_stray).collect()
}

/// Opens what a crash has left: it must hold one of these, take a write, a flush, a compaction, and open
/// again with all of it; and nothing is there then that nobody needs. Says how many of `allowed` were
/// passed over.
fn goes_on(image: &Image, allowed: &[&Model]) -> std::result::Result<usize, String> {
    let disk = SimDisk::from_image(image, Record::Off);
    let held = |store: &dyn KvsEngine| contents(store).map_err(|error| error.to_string());
    let opened = || open_manual(Arc::new(disk.clone())).map_err(|error| error.to_string());
    let store = opened()?;
    let found = held(&*store)?;
    let which = allowed.iter().position(|model| **model == found).ok_or_else(|| {
        format!("{} keys, which it never held: {:?}", found.len(), found.keys().next_back())
    })?;
    if !strays(&disk.image()).is_empty() {
        return Err(format!("left over: {:?}", strays(&disk.image())));
    }
    let seqno = store.stats().unwrap().seqno;
    let mut model = found;
    model.insert(b"zz".to_vec(), b"after".to_vec());
    type Step = fn(&dyn KvsEngine) -> Result<()>;
    let steps: [Step; 3] =
        [|store| store.set(b"zz", b"after"), |store| store.flush(), |store| store.compact()];
    for step in steps {
        step(&*store).map_err(|error| error.to_string())?;
        if held(&*store)? != model {
            return Err("other answers after it went on".into());
        }
    }
    drop(store);
    let store = opened()?;
    if held(&*store)? != model || store.stats().unwrap().seqno <= seqno {
        return Err("other answers after it was opened again".into());
    }
    Ok(which)
}

fn corrupt_file(error: &Error) -> PathBuf {
    match error {
        Error::Corruption { path, .. } => path.clone(),
        other => panic!("not damage: {other:?}"),
    }
}

/// The store can not be opened, in no way, and that changes nothing. Returns why.
fn is_refused(image: &Image, what: &str) -> Error {
    let mut errors = [Access::Read, Access::Write, Access::Create].map(|access| {
        let disk = SimDisk::from_image(image, Record::Off);
        let opened = open_with(&Engine::lsm(), Arc::new(disk.clone()), access, Schedule::Manual);
        let Err(error) = opened.map(|_| ()) else { panic!("{what}: it opens, {access:?}") };
        assert!(disk.image() == *image, "{what}: something was written, {access:?}");
        Some(error)
    });
    errors[1].take().unwrap()
}

/// A flush, as the disk saw it.
struct Flush {
    recording: Recording,
    /// What the store holds, before and after.
    model: Model,
    seqno: u64,
    /// What is on the disk when it is over.
    after: Image,
}

/// Flushes some writes, all of them durable, into a store that has one table.
fn record_flush() -> Flush {
    let disk = SimDisk::new();
    let store = open_manual(Arc::new(disk.clone())).unwrap();
    (0..12).for_each(|n| store.set(&key(n), &value(n, 50)).unwrap());
    store.flush().unwrap();
    (6..20).for_each(|n| store.set(&key(n), &value(n + 100, 60)).unwrap());
    assert!(store.remove(&key(1)).unwrap());
    store.sync().unwrap();
    disk.record(Record::On);
    store.flush().unwrap();
    let (recording, after) = (disk.recording(), disk.image());
    assert_eq!((tables(&after).len(), wals(&after).len()), (2, 1));
    Flush { recording, model: contents(&*store).unwrap(), seqno: store.stats().unwrap().seqno, after }
}

// ---- crashes ----

// Row C2. A table is whole and synced, and the crash comes before the edit (weaviate#1697: what a crash
// left in a directory broke the next run). It is removed; and when its number is given to another table,
// no crash of that shows the old bytes.
#[test]
fn c02_table_without_its_edit() {
    let Flush { recording, model, .. } = record_flush();
    let mut whole_strays = Vec::new();
    let report = explore(&recording, &Budget::default(), |state| {
        let stray: Vec<u64> =
            tables(&state.image).into_iter().filter(|n| strays(&state.image).contains(n)).collect();
        if !stray.is_empty() && state.crash == Crash::Kill {
            whole_strays.push((state.image.clone(), stray[0]));
        }
        goes_on(&state.image, &[&model]).map(|_| ())
    });
    assert!(report.violations.is_empty(), "{report}");
    // The last of them is the one that has all of its bytes.
    let (image, number) = whole_strays.pop().unwrap();
    let disk = SimDisk::from_image(&image, Record::On);
    let store = open_manual(Arc::new(disk.clone())).unwrap();
    assert_eq!(image.get(path_of(&filename::table(number))).map(<[u8]>::is_empty), Some(false));
    assert_eq!(disk.image().get(path_of(&filename::table(number))), None, "removed");
    disk.mark(Mark::Issue(1));
    store
        .write(batch((0..15).map(|n| (key(n), Some(value(n + 200, 60))))), &WriteOptions::durable())
        .unwrap();
    disk.mark(Mark::Ack(1));
    store.flush().unwrap();
    let after = contents(&*store).unwrap();
    let report = explore(&disk.recording(), &Budget::default(), |state| {
        let allowed = [&model, &after];
        goes_on(&state.image, &allowed[state.lo() as usize..=state.hi() as usize]).map(|_| ())
    });
    assert!(report.violations.is_empty(), "{report}");
}

// Row C3. The edit is durable, and its table is not: surrealdb#7426, leveldb#333, rocksdb#13161 (a table
// of no bytes in the manifest). Whatever a crash leaves: a table that the manifest names is whole. Without
// the syncs that see to that, it is not.
#[test]
fn c03_edit_without_its_table() {
    let Flush { recording, after, .. } = record_flush();
    let whole = |image: &Image| {
        let live = live(image).ok_or("no manifest")?.live;
        let named = live.iter().filter(|(_, file)| matches!(file, LiveFile::Table(_)));
        for (number, _) in named {
            let path = path_of(&filename::table(*number));
            if image.get(&path) != after.get(&path) || image.get(&path).is_none() {
                return Err(format!("table {number} is named, and not whole"));
            }
        }
        Ok(())
    };
    let report = explore(&recording, &Budget::default(), |state| whole(&state.image));
    assert!(report.violations.is_empty(), "{report}");
    for forget in [Forget::file_syncs(".sst"), Forget::dir_syncs("db")] {
        let mut recording = recording.clone();
        assert!(recording.forget(&forget) > 0);
        let report = explore(&recording, &Budget::default(), |state| whole(&state.image));
        assert!(!report.violations.is_empty(), "{forget:?} matters");
    }
}

// Row C4. A killed rotation leaves a log that nothing names. mini-lsm then never opened again: it wants
// to be the one that makes the file.
#[test]
fn c04_log_that_nothing_names() {
    let Flush { recording, model, .. } = record_flush();
    let mut with_stray = 0;
    let report = explore(&recording, &Budget::default(), |state| {
        let strays = strays(&state.image);
        let newest = wals(&state.image).pop();
        if newest.is_some_and(|newest| strays.contains(&newest)) {
            with_stray += 1;
            // Killed again and again: each opening is as the first.
            let disk = SimDisk::from_image(&state.image, Record::Off);
            for _ in 0..2 {
                let store = open_manual(Arc::new(disk.clone())).map_err(|error| error.to_string())?;
                let image = disk.image();
                if wals(&image).len() != 1 {
                    return Err(format!("logs {:?}", wals(&image)));
                }
                drop(store);
            }
        }
        goes_on(&state.image, &[&model]).map(|_| ())
    });
    assert!(report.violations.is_empty(), "{report}");
    assert!(with_stray > 2, "{with_stray}: the log was made before the edit that names it");
}

// Row C6. Elsewhere a file CURRENT names the newest of several manifests, and a crash could lose its
// rename and keep the removal of the old one (ALICE; rocksdb#1554). Here the manifest is replaced as a
// whole: there is the old one or the new one, and both are right at that moment. An old one that is put
// back later is not, and says so.
#[test]
fn c06_manifest_replaced_and_the_rename_lost() {
    let disk = SimDisk::new();
    let store = open_manual(Arc::new(disk.clone())).unwrap();
    let mut round = 0;
    let mut step = || {
        round += 1;
        store.set(&key(round % 9), &value(round, 40)).unwrap();
        store.sync().unwrap();
        store.compact().unwrap();
    };
    while disk.image().get(MANIFEST).unwrap().len() < 15 << 10 {
        step();
    }
    let is_rename = |op: &Op| matches!(op, Op::Rename { .. });
    let (recording, before, model) = loop {
        let before = disk.image();
        disk.record(Record::On);
        step();
        if disk.recording().ops().iter().any(is_rename) {
            break (disk.recording(), before, contents(&*store).unwrap());
        }
    };
    let model_before = contents(&*open_manual(disk_of(&before)).unwrap()).unwrap();
    let first_len = recording.base().files[&recording.base().names[Path::new(MANIFEST)]].len();
    let new_len = renamed_len(&recording);
    let (mut old, mut new) = (0, 0);
    let report = explore(&recording, &Budget::default(), |state| {
        // What is renamed is whole and durable before, so that the loss of the rename alone is the disk on
        // which it stands beside the old one.
        let len_of = |path: &str| state.image.get(path).map(<[u8]>::len);
        match (len_of(MANIFEST), len_of("/db/MANIFEST.tmp")) {
            (None, _) => return Err("no manifest at all".into()),
            (Some(len), tmp) if len >= first_len => old += usize::from(tmp == Some(new_len)),
            _ => new += 1,
        }
        goes_on(&state.image, &[&model_before, &model]).map(|_| ())
    });
    assert!(report.violations.is_empty(), "{report}");
    assert!(old > 0 && new > 0, "{old} states with the rename lost, {new} with it");

    (0..3).for_each(|_| step());
    let mut image = disk.image();
    image.put(MANIFEST, before.get(MANIFEST).unwrap());
    let path = corrupt_file(&is_refused(&image, "an old manifest"));
    assert!(image.get(&path).is_none(), "it names {}, which is gone", path.display());
}

/// The bytes of the file that is renamed, when it is.
fn renamed_len(recording: &Recording) -> usize {
    let ops = recording.ops();
    let renamed = ops.iter().position(|op| matches!(op, Op::Rename { .. })).unwrap();
    let Op::Rename { file: new, .. } = &ops[renamed] else { unreachable!("just found") };
    let written = ops[..renamed].iter().map(|op| match op {
        Op::Append { file, bytes, .. } if file == new => bytes.len(),
        _ => 0,
    });
    written.sum()
}

// Row C7. The file that says what the store is made of is empty, cut, zeroed, of another store, names what
// is not there, or is gone. RocksDB took an empty CURRENT for damage at best (rocksdb#8682); the worst
// would be a new and empty store.
#[test]
fn c07_manifest_that_is_none() {
    let Flush { after: image, .. } = record_flush();
    let bytes = image.get(MANIFEST).unwrap().to_vec();
    let first_edit = 32 + kvs::record::frame::record_len(&bytes[32..], bytes.len() as u64 - 32).unwrap();
    for len in 0..first_edit {
        let mut image = image.clone();
        image.cut(MANIFEST, len);
        assert_eq!(corrupt_file(&is_refused(&image, "cut")), Path::new(MANIFEST), "cut to {len}");
    }
    for from in [0, 8, 32, first_edit / 2] {
        let mut image = image.clone();
        image.edit(MANIFEST)[from..].fill(0);
        assert_eq!(corrupt_file(&is_refused(&image, "zeros")), Path::new(MANIFEST), "zeros from {from}");
    }
    let mut gone = image.clone();
    gone.remove(MANIFEST);
    assert_eq!(corrupt_file(&is_refused(&gone, "gone")), Path::new(MANIFEST));
    for other_id in [0, STORE_ID + 1] {
        let mut image = image.clone();
        replace_manifest::<LiveFile>(&mut image, other_id, |_| {});
        assert_eq!(corrupt_file(&is_refused(&image, "another store's")), Path::new(MANIFEST));
    }
    let known = live(&image).unwrap();
    let (number, table) = known.live.iter().find(|(_, file)| matches!(file, LiveFile::Table(_))).unwrap();
    let mut missing = image.clone();
    let unknown = known.next_number + 7;
    replace_manifest(&mut missing, STORE_ID, |live| drop(live.insert(unknown, table.clone())));
    let path = corrupt_file(&is_refused(&missing, "a table that never was"));
    assert_eq!(path, path_of(&filename::table(unknown)));
    // As it is, with a fresh manifest, it opens: what was refused was refused for its reason.
    let mut same = image.clone();
    replace_manifest::<LiveFile>(&mut same, STORE_ID, |live| assert!(live.contains_key(number)));
    assert!(open_manual(disk_of(&same)).is_ok());
}

// Row C7, a manifest whose checksums are right, and which says what can not be.
#[test]
fn c07_manifest_that_says_what_can_not_be() {
    let (store, disk) = fresh(&Engine::lsm().with("compression", "none"), Schedule::Manual);
    (0..60).for_each(|n| store.set(&key(n), &value(n, 90)).unwrap());
    store.compact().unwrap();
    assert!(store.remove(&key(3)).unwrap());
    drop(store);
    let image = disk.image();
    let known = live(&image).unwrap().live;
    let of_tables = known.iter().filter_map(|(number, file)| match file {
        LiveFile::Table(meta) => Some((*number, meta.clone())),
        _ => None,
    });
    let of_tables: Vec<_> = of_tables.collect();
    let ((number, meta), (_, second)) = (&of_tables[0], &of_tables[1]);
    assert!(meta.level > 0 && meta.level == second.level);
    let log = *known.iter().find(|(_, file)| matches!(file, LiveFile::Wal(_))).unwrap().0;
    let table = |change: fn(&mut TableMeta)| {
        let mut meta = meta.clone();
        change(&mut meta);
        (*number, Some(LiveFile::Table(meta)))
    };
    let wal = |first_seqno, state| (log, Some(LiveFile::Wal(WalMeta { first_seqno, state })));
    let active = WalState::Active { durable: 0 };
    let sealed = WalState::Sealed { len: 32, checksum: 0, last_seqno: 1 };
    let crossing = TableMeta { largest: second.smallest.clone(), ..meta.clone() };
    let cases = [
        ("a table with the highest number", (u64::MAX - 1, Some(known[number].clone())), ".sst"),
        ("a log with the highest number", (u64::MAX - 1, Some(known[&log].clone())), ".wal"),
        ("a table as the store itself", (0, Some(known[number].clone())), "MANIFEST"),
        ("the store itself as a file", (log + 50, Some(known[&0].clone())), "MANIFEST"),
        ("no log", (log, None), "MANIFEST"),
        ("nothing about the store", (0, None), "MANIFEST"),
        ("a sealed log as the newest", wal(1, sealed), ""),
        ("a log that begins with write 0", wal(0, active), "MANIFEST"),
        ("a log that begins behind the last write", wal(u64::MAX, active), "MANIFEST"),
        ("a level that there is not", table(|meta| meta.level = 7), "MANIFEST"),
        ("a first key that is none", table(|meta| meta.smallest = vec![1; 7]), "MANIFEST"),
        ("a last key that is none", table(|meta| meta.largest = Vec::new()), "MANIFEST"),
        ("writes that go back", table(|meta| meta.last_seqno = 0), "MANIFEST"),
        ("writes beyond the last one", table(|meta| meta.last_seqno = u64::MAX), "MANIFEST"),
        ("more tombstones than entries", table(|meta| meta.tombstones = meta.entries + 1), "MANIFEST"),
        ("entries without end", table(|meta| meta.entries = u64::MAX), "MANIFEST"),
        ("another length", table(|meta| meta.len += 1), ".sst"),
        ("tables of one level that share keys", (*number, Some(LiveFile::Table(crossing))), "MANIFEST"),
    ];
    for (what, (number, file), wanted) in cases {
        let mut image = image.clone();
        replace_manifest(&mut image, STORE_ID, |live| match file {
            Some(file) => drop(live.insert(number, file)),
            None => drop(live.remove(&number)),
        });
        let path = corrupt_file(&is_refused(&image, what));
        assert!(path.to_str().unwrap().ends_with(wanted), "{what}: {}", path.display());
        let report = verify(disk_of(&image), Path::new(DIR)).unwrap();
        assert!(!report.is_sound(), "{what}: {report}");
    }
    // What it says of a table's contents is believed only until that is read.
    let mut image = image.clone();
    let (number, file) = table(|meta| meta.contents ^= 1);
    replace_manifest(&mut image, STORE_ID, |live| drop(live.insert(number, file.unwrap())));
    let store = open_manual(disk_of(&image)).unwrap();
    assert_eq!(corrupt_file(&contents(&*store).unwrap_err()), path_of(&filename::table(number)));
}

fn batch(ops: impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (key, value) in ops {
        match value {
            Some(value) => batch.set(&key, &value),
            None => batch.remove(&key),
        }
    }
    batch
}

// A leader who has to wait for a flush keeps the writer meanwhile. The flusher asked for the writer before it flushed,
// for the file whose writing the system should begin: large values, eight threads, and both waited for ever.
#[test]
fn a_flush_needs_nothing_of_a_writer_who_waits_for_it() {
    const WRITERS: u8 = 8;
    let engine = Engine::lsm().with("sealed_memtables", "1").with("memtable_bytes", "4MiB");
    for _ in 0..3 {
        let options = OpenOptions {
            schedule: Schedule::Threads,
            ..open_options(Arc::new(empty_disk()), Access::Create)
        };
        let store = engine.open(Path::new(DIR), options).unwrap();
        let (tell, told) = mpsc::channel();
        for writer in 0..WRITERS {
            let (store, tell) = (store.clone(), tell.clone());
            std::thread::spawn(move || {
                (0..6).for_each(|n| store.set(&[writer, n], &vec![n; 3 << 20]).unwrap());
                tell.send(()).unwrap();
            });
        }
        for _ in 0..WRITERS {
            told.recv_timeout(Duration::from_secs(60)).expect("a writer waits for ever");
        }
    }
}

// A load was shown to readers only when compactions could begin again. One that began in between took what was
// replaced for hidden, and a snapshot of the moment before the load found neither the old values nor the new.
#[test]
fn a_load_is_shown_before_a_compaction_can_begin() {
    let opened = Arc::new(OnceLock::<Weak<dyn KvsEngine>>::new());
    let (tell, told) = mpsc::channel();
    let reads_from = opened.clone();
    let listener = Listener::new(move |event| {
        if let Event::LoadedSorted { .. } = event {
            let store = reads_from.get().and_then(Weak::upgrade).unwrap();
            tell.send(store.get(b"k").unwrap().map(|value| value.to_vec())).unwrap();
        }
    });
    let options = OpenOptions { listener, ..open_options(Arc::new(empty_disk()), Access::Create) };
    let store = Engine::lsm().open(Path::new(DIR), options).unwrap();
    opened.set(Arc::downgrade(&store)).unwrap();
    store.set(b"k", b"old").unwrap();
    store.load_sorted(&mut One(Some((b"k", b"new")))).unwrap();
    assert_eq!(told.recv().unwrap().as_deref(), Some(&b"new"[..]));
}

// Who loads keeps the writer, which who syncs behind writers needs: an interval passed with each minute of a load, and
// what was acknowledged before it was not durable.
#[test]
fn what_was_acknowledged_is_durable_before_a_long_load() {
    struct Looking(CountingDisk, u64);
    impl Pairs for Looking {
        fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
            self.1 = self.0.ledger().total.syncs;
            Ok(None)
        }
    }
    let disk = CountingDisk::new(Arc::new(empty_disk()));
    let options = OpenOptions {
        durability: Durability::Interval(Duration::from_secs(3600)),
        schedule: Schedule::Threads,
        ..open_options(Arc::new(disk.clone()), Access::Create)
    };
    let store = Engine::lsm().open(Path::new(DIR), options).unwrap();
    store.set(b"k", b"v").unwrap();
    let before = disk.ledger().total.syncs;
    let mut pairs = Looking(disk, 0);
    store.load_sorted(&mut pairs).unwrap();
    assert_eq!(pairs.1, before + 1);
}

#[test]
fn hundreds_of_tables_in_level_0_are_compacted_in_steps() {
    let (store, _disk) = fresh(&Engine::lsm(), Schedule::Manual);
    let mut model = Model::new();
    for n in 0..300 {
        for key in [key(n % 7), key(1000 + n)] {
            store.set(&key, &value(n, 20)).unwrap();
            model.insert(key, value(n, 20));
        }
        if n % 5 == 4 {
            store.remove(&key(n % 7)).unwrap();
            model.remove(&key(n % 7));
        }
        store.flush().unwrap();
    }
    let in_level0 = || store.stats().unwrap().files.iter().filter(|file| file.level == Some(0)).count();
    assert_eq!(in_level0(), 300);
    store.compact().unwrap();
    assert_eq!((in_level0(), contents(&*store).unwrap()), (0, model));
}

// A damaged table kept `compact` from its work, and only the first of several calls said so.
#[test]
fn compact_fails_for_as_long_as_damage_is_in_its_way() {
    let (store, disk) = fresh(&Engine::lsm(), Schedule::Manual);
    for round in 0..3 {
        (0..60).for_each(|n| store.set(&key(n), &value(n + round, 90)).unwrap());
        store.flush().unwrap();
    }
    drop(store);
    let mut image = disk.image();
    let table = image.files.keys().find(|path| path.extension().is_some_and(|e| e == "sst")).unwrap().clone();
    image.flip_bit(&table, 800);
    let store = open_manual(disk_of(&image)).unwrap();
    for _ in 0..3 {
        assert!(store.compact().unwrap_err().is_corruption());
    }
}

// Row C8. The edit of a flush is durable, and its log is still there: it is not replayed once more, is not
// missed either (rocksdb#7725), and sequence numbers go on from where they were.
#[test]
fn c08_log_that_was_flushed() {
    let Flush { recording, model, seqno, .. } = record_flush();
    let mut seen = 0;
    let report = explore(&recording, &Budget::default(), |state| {
        let live = live(&state.image).ok_or("no manifest")?;
        let left = wals(&state.image).into_iter().find(|number| !live.live.contains_key(number));
        if live.live.values().filter(|file| matches!(file, LiveFile::Table(_))).count() == 2
            && let Some(left) = left
        {
            seen += 1;
            let disk = SimDisk::from_image(&state.image, Record::Off);
            let store = open_manual(Arc::new(disk.clone())).map_err(|error| error.to_string())?;
            let stats = store.stats().unwrap();
            if stats.seqno != seqno || stats.files.iter().any(|file| file.state == "sealed") {
                return Err(format!("write {}, not {seqno}; or replayed again", stats.seqno));
            }
            store.set(&key(3), b"new").unwrap();
            if store.stats().unwrap().seqno != seqno + 1 || wals(&disk.image()).contains(&left) {
                return Err(format!("log {left} stays, or the next write is not the next"));
            }
        }
        goes_on(&state.image, &[&model]).map(|_| ())
    });
    assert!(report.violations.is_empty(), "{report}");
    assert!(seen > 0);
}

/// A store that was killed with several logs that nobody had flushed, all but the newest sealed.
fn several_logs() -> (Image, Model) {
    let (store, disk) = fresh(&Engine::lsm(), Schedule::Manual);
    for round in 0..6 {
        for n in 0..12 {
            store.set(&key(n), &value(100 * round + n, 200)).unwrap();
        }
        store.remove(&key(round)).unwrap();
        store.set(&key(50 + round), b"of this round").unwrap();
    }
    let model = contents(&*store).unwrap();
    assert!(wals(&disk.image()).len() > 3 && tables(&disk.image()).is_empty());
    (disk.image(), model)
}

// Row C9. Two or more logs had not been flushed: all of them are replayed, in their order (surrealkv#264).
#[test]
fn c09_several_logs() {
    let (image, model) = several_logs();
    for access in [Access::Read, Access::Write] {
        let store = open_with(&Engine::lsm(), disk_of(&image), access, Schedule::Manual).unwrap();
        let stats = store.stats().unwrap();
        let logs: Vec<_> = stats.files.iter().map(|file| (file.first_seqno, file.last_seqno)).collect();
        assert_eq!(logs.len(), wals(&image).len());
        assert!(logs.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{logs:?}");
        assert_eq!(contents(&*store).unwrap(), model);
    }
    goes_on(&image, &[&model]).unwrap();
    // Inline they are flushed by the opening.
    let disk = SimDisk::from_image(&image, Record::Off);
    let store = open_with(&Engine::lsm(), Arc::new(disk.clone()), Access::Write, Schedule::Inline).unwrap();
    assert_eq!(wals(&disk.image()).len(), 1);
    assert_eq!(contents(&*store).unwrap(), model);
}

// Row C10. A log is torn, and the next one is whole: nothing may be put on the hole (rocksdb#7701,
// pebble#864; surrealkv passes over what is missing).
#[test]
fn c10_hole_in_a_sealed_log() {
    let (image, _) = several_logs();
    let mut logs = wals(&image);
    logs.pop().unwrap();
    for path in logs.into_iter().map(|number| path_of(&filename::wal(number))) {
        let len = image.get(&path).unwrap().len();
        for cut in [0, 1, 32, 33, len / 2, len - 1] {
            let mut image = image.clone();
            image.cut(&path, cut);
            assert_eq!(corrupt_file(&is_refused(&image, "cut")), path, "cut to {cut}");
        }
        for byte in (0..len).step_by(97).chain([len - 1]) {
            let mut image = image.clone();
            image.flip_bit(&path, 8 * byte as u64 + 3);
            assert_eq!(corrupt_file(&is_refused(&image, "flipped")), path, "byte {byte}");
        }
        for from in [32, len / 2, len - 1] {
            let mut image = image.clone();
            image.edit(&path)[from..].fill(0);
            assert_eq!(corrupt_file(&is_refused(&image, "zeros")), path, "zeros from {from}");
        }
        let mut image = image.clone();
        image.remove(&path);
        assert_eq!(corrupt_file(&is_refused(&image, "gone")), path);
    }
}

// Row C20. What was cleared came back with the next opening (fjall#241): also when nothing but tombstones
// is left of it, and when a compaction has dropped these too.
#[test]
fn c20_cleared_stays_cleared() {
    for (flushes, compacts) in [(false, false), (true, false), (false, true), (true, true)] {
        let (store, disk) = fresh(&Engine::lsm(), Schedule::Inline);
        (0..150).for_each(|n| store.set(&key(n), &value(n, 100)).unwrap());
        store.compact().unwrap();
        (0..150).step_by(3).for_each(|n| store.set(&key(n), &value(n + 1, 100)).unwrap());
        assert!(!tables(&disk.image()).is_empty());
        (0..150).for_each(|n| assert!(store.remove(&key(n)).unwrap()));
        if flushes {
            store.flush().unwrap();
        }
        if compacts {
            store.compact().unwrap();
            assert_eq!(tables(&disk.image()), [0; 0], "every table is gone");
        }
        store.sync().unwrap();
        // Killed, and closed.
        let killed = disk.image();
        drop(store);
        for image in [killed, disk.image()] {
            let store = open_with(&Engine::lsm(), disk_of(&image), Access::Read, Schedule::Manual).unwrap();
            assert_eq!(contents(&*store).unwrap(), Model::new());
            (0..150).for_each(|n| assert!(store.get(&key(n)).unwrap().is_none()));
            drop(store);
            goes_on(&image, &[&Model::new()]).unwrap();
        }
    }
}

// Row C21. The last trace of the newest sequence number is in a log only, in a table only, in the manifest
// only, or in a table whose neighbours a compaction has dropped. Who takes it for lower writes below what
// is there, and the old value wins (LevelDB's `RecoveryTest`, `fjall/tests/seqno_recovery.rs`).
#[test]
fn c21_last_trace_of_a_seqno() {
    type Leave = fn(&dyn KvsEngine);
    let in_log: Leave = |store| store.set(b"k", b"old").unwrap();
    let in_table: Leave = |store| {
        store.set(b"k", b"old").unwrap();
        store.flush().unwrap();
    };
    let in_manifest: Leave = |store| {
        store.set(b"k", b"old").unwrap();
        assert!(store.remove(b"k").unwrap());
        store.compact().unwrap();
    };
    let in_one_of_many: Leave = |store| {
        (0..200).for_each(|n| store.set(&key(n), &value(n, 100)).unwrap());
        store.set(b"k", b"old").unwrap();
        (0..199).for_each(|n| assert!(store.remove(&key(n)).unwrap()));
        store.compact().unwrap();
    };
    for (leave, logged, in_tables) in
        [(in_log, 1, 0), (in_table, 0, 1), (in_manifest, 0, 0), (in_one_of_many, 0, 2)]
    {
        let (store, disk) = fresh(&Engine::lsm(), Schedule::Manual);
        leave(&*store);
        let stats = store.stats().unwrap();
        let entries = |is_log: bool| {
            let files = stats.files.iter().filter(|file| (file.state != "table") == is_log);
            files.map(|file| file.entries.unwrap()).sum::<u64>()
        };
        assert_eq!((entries(true), entries(false)), (logged, in_tables));
        // Killed, and closed.
        overwrites(&SimDisk::from_image(&disk.image(), Record::Off), stats.seqno);
        drop(store);
        overwrites(&disk, stats.seqno);
    }
}

/// Opens the store again and again, and overwrites `k` each time: that wins.
fn overwrites(disk: &SimDisk, mut seqno: u64) {
    for life in 0..3u8 {
        let store = open_manual(Arc::new(disk.clone())).unwrap();
        assert_eq!(store.stats().unwrap().seqno, seqno);
        store.set(b"k", &[life]).unwrap();
        assert_eq!(store.get(b"k").unwrap().as_deref(), Some(&[life][..]));
        if life == 1 {
            store.compact().unwrap();
            assert_eq!(store.get(b"k").unwrap().as_deref(), Some(&[life][..]));
        }
        let now = store.stats().unwrap().seqno;
        assert!(now > seqno, "{now} after {seqno}");
        seqno = now;
    }
    let store = open_manual(Arc::new(disk.clone())).unwrap();
    assert_eq!(store.get(b"k").unwrap().as_deref(), Some(&[2][..]));
}

// Row C22. Sequence numbers come to the end of their field: writes are refused before one would wrap, with
// a word on what to do, and everything else goes on.
#[test]
fn c22_seqnos_at_their_end() {
    let (store, disk) = fresh(&Engine::lsm(), Schedule::Manual);
    (0..5).for_each(|n| store.set(&key(n), b"old").unwrap());
    store.compact().unwrap();
    let mut model = contents(&*store).unwrap();
    drop(store);
    let with_last = |seqno| {
        let mut image = disk.image();
        replace_manifest(&mut image, STORE_ID, |live| match live.get_mut(&0) {
            Some(LiveFile::Store(StoreMeta { last_seqno, .. })) => *last_seqno = seqno,
            _ => panic!("{live:?}"),
        });
        image
    };
    // The highest number there is; and one beyond.
    let store = open_manual(disk_of(&with_last(MAX_SEQNO))).unwrap();
    assert!(contents(&*store).unwrap() == model && store.set(b"k", b"v").is_err());
    is_refused(&with_last(MAX_SEQNO + 1), "a write that there can not be");
    let image = with_last(MAX_SEQNO - 8);
    let disk = SimDisk::from_image(&image, Record::Off);
    let store = open_manual(Arc::new(disk.clone())).unwrap();
    assert_eq!(store.stats().unwrap().seqno, MAX_SEQNO - 8);
    for n in 0..4 {
        store.set(&key(n), b"new").unwrap();
        model.insert(key(n), b"new".to_vec());
    }
    let refused = |result: Result<()>| {
        let Err(Error::InvalidArgument(reason)) = result else { panic!("{result:?}") };
        assert!(reason.contains("export"), "{reason}");
    };
    let whole = |n| batch((0..n).map(|n| (key(n), Some(b"much".to_vec()))));
    let before = disk.image();
    refused(store.write(whole(4), &WriteOptions::default()));
    assert!(disk.image() == before && contents(&*store).unwrap() == model, "refused as a whole");
    store.write(whole(3), &WriteOptions::default()).unwrap();
    (0..3).for_each(|n| drop(model.insert(key(n), b"much".to_vec())));
    let full = |store: &dyn KvsEngine, disk: &SimDisk| {
        let before = disk.image();
        refused(store.set(b"k", b"v"));
        refused(store.remove(&key(0)).map(|_| ()));
        refused(store.swap(&key(0), None).map(|_| ()));
        refused(store.load_sorted(&mut One(Some((b"k", b"v")))).map(|_| ()));
        assert!(disk.image() == before, "nothing was written");
        assert_eq!(store.stats().unwrap().seqno, MAX_SEQNO - 1);
        assert_eq!(contents(store).unwrap(), model);
        assert_eq!(contents(&store.snapshot().unwrap()).unwrap(), model);
    };
    full(&*store, &disk);
    store.sync().unwrap();
    drop(store);
    for _ in 0..2 {
        let store = open_manual(Arc::new(disk.clone())).unwrap();
        full(&*store, &disk);
        store.flush().unwrap();
        full(&*store, &disk);
        store.compact().unwrap();
        full(&*store, &disk);
    }
}

/// One pair to load.
struct One(Option<(&'static [u8], &'static [u8])>);

impl Pairs for One {
    fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        Ok(self.0.take())
    }
}

// ---- damage ----

/// The parts of a table of an image.
fn regions(image: &Image, number: u64) -> Vec<Region> {
    let store = TableStore::new(Dir::new(disk_of(image), Path::new(DIR)), STORE_ID, &LsmOptions::tiny());
    let layout = Table::open(store.shelf(), number, Cause::Inspect).unwrap().layout();
    assert!(layout.damage.is_empty(), "{layout:?}");
    layout.regions
}

fn bytes_of(region: &Region) -> Range<usize> {
    region.at.offset as usize..region.at.end() as usize
}

/// Asks a damaged store for everything: each answer is right or says that something is damaged. How many
/// times it said so.
fn errors_of(store: &dyn KvsEngine, model: &Model, absent: &[Vec<u8>], what: &str) -> usize {
    let mut errors = 0;
    let mut note = |error: Error| {
        assert!(error.is_corruption(), "{what}: {error:?}");
        errors += 1;
    };
    let present = model.iter().map(|(key, value)| (key, Some(&value[..])));
    for (key, value) in present.chain(absent.iter().map(|key| (key, None))) {
        match store.get(key) {
            Ok(found) => {
                assert_eq!(found.as_deref(), value, "{what}: {}", key.escape_ascii());
            }
            Err(error) => note(error),
        }
    }
    let mut expected = model.iter();
    for pair in store.scan(KeyRange::all()).unwrap() {
        match pair {
            Ok((key, value)) => {
                assert_eq!(
                    Some((&key[..], &value[..])),
                    expected.next().map(|(k, v)| (&k[..], &v[..])),
                    "{what}"
                );
            }
            Err(error) => {
                note(error);
                return errors;
            }
        }
    }
    assert!(expected.next().is_none(), "{what}: the scan ends early");
    errors
}

/// Opens an image and asks it for everything, before and after a compaction.
fn judge(image: &Image, model: &Model, absent: &[Vec<u8>], what: &str) -> usize {
    let engine = Engine::lsm().uncached();
    let store = match open_with(&engine, disk_of(image), Access::Write, Schedule::Manual) {
        Ok(store) => store,
        Err(error) => {
            assert!(error.is_corruption(), "{what}: {error:?}");
            return 1;
        }
    };
    let errors = errors_of(&*store, model, absent, what);
    let compacted = store.compact();
    assert!(compacted.as_ref().err().is_none_or(Error::is_corruption), "{what}: {compacted:?}");
    errors + errors_of(&*store, model, absent, what)
}

/// A store with tables that are as alike as can be, and what it holds: their keys are the same, and their
/// values are not. `salt` makes another such store.
fn alike(salt: u32) -> (Image, Model) {
    let (store, disk) = fresh(&Engine::lsm().unmerged(), Schedule::Manual);
    for round in 0..3 {
        for n in 0..16 {
            store.set(&key(n), &value(1000 * salt + 100 * round + n, 100)).unwrap();
        }
        store.flush().unwrap();
    }
    let model = contents(&*store).unwrap();
    drop(store);
    let image = disk.image();
    assert_eq!(tables(&image).len(), 3);
    (image, model)
}

// Row K7. Two tables exchanged, an older table under a number, a block over another one of its file: each
// has right checksums of its own, and is in the wrong place. RocksDB asks for a unique id of each table
// (`verify_sst_unique_id_in_manifest`); here checksums are salted with store, file and offset, and the
// manifest knows what is in a table.
#[test]
fn k07_exchanged_tables_and_blocks() {
    let (image, model) = alike(1);
    let absent = [b"".to_vec(), b"never".to_vec()];
    assert_eq!(judge(&image, &model, &absent, "as it was"), 0);
    let files: Vec<PathBuf> = tables(&image).into_iter().map(|n| path_of(&filename::table(n))).collect();
    let of = |image: &Image, path: &Path| image.get(path).unwrap().to_vec();
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        let mut swapped = image.clone();
        swapped.put(&files[one], of(&image, &files[other]));
        swapped.put(&files[other], of(&image, &files[one]));
        assert!(judge(&swapped, &model, &absent, &format!("tables {one} and {other} swapped")) > 0);
        let mut copied = image.clone();
        copied.put(&files[one], of(&image, &files[other]));
        assert!(judge(&copied, &model, &absent, &format!("table {other} twice")) > 0);
    }
    // The same store id, the same number, the same keys: another life of the store.
    let (older, _) = alike(2);
    for path in &files {
        assert_eq!(of(&older, path).len(), of(&image, path).len(), "alike");
        let mut image = image.clone();
        image.put(path, of(&older, path));
        assert!(judge(&image, &model, &absent, &format!("an older {}", path.display())) > 0);
    }
    let mut blocks_copied = 0;
    for (number, path) in tables(&image).into_iter().zip(&files) {
        let mut blocks = regions(&image, number);
        blocks.retain(|region| region.kind == RegionKind::Data);
        for (one, other) in blocks.iter().flat_map(|one| blocks.iter().map(move |other| (one, other))) {
            if one.at.offset == other.at.offset || one.at.len != other.at.len {
                continue;
            }
            let block = image.get(path).unwrap()[bytes_of(one)].to_vec();
            let mut image = image.clone();
            image.edit(path)[bytes_of(other)].copy_from_slice(&block);
            let what = format!("{}: {one:?} over {other:?}", path.display());
            assert!(judge(&image, &model, &absent, &what) > 0, "{what}");
            blocks_copied += 1;
        }
    }
    assert!(blocks_copied > 10, "{blocks_copied}");
}

// Row K8. A damaged filter or index is an error, and never "not found" (RocksDB's
// `detect_filter_construct_corruption` is there because it was). Every byte of a table beside its data.
#[test]
fn k08_damaged_filter_or_index() {
    let (store, disk) = fresh(&Engine::lsm(), Schedule::Manual);
    (0..24).for_each(|n| store.set(&key(2 * n), &value(n, 60)).unwrap());
    store.flush().unwrap();
    let model = contents(&*store).unwrap();
    drop(store);
    let image = disk.image();
    let absent: Vec<_> = (0..24).map(|n| key(2 * n + 1)).collect();
    let number = tables(&image)[0];
    let path = path_of(&filename::table(number));
    let mut kinds = BTreeMap::new();
    for region in regions(&image, number) {
        if region.kind == RegionKind::Data {
            continue;
        }
        let mut errors = 0;
        for byte in bytes_of(&region) {
            let mut image = image.clone();
            image.edit(&path)[byte] ^= 1 << (byte % 8);
            let what = format!("{} byte {byte}", region.kind.name());
            errors += judge(&image, &model, &absent, &what).min(1);
        }
        assert_eq!(errors, region.at.len as usize, "every flip of the {} is noticed", region.kind.name());
        *kinds.entry(region.kind.name()).or_insert(0) += errors;
    }
    assert!(
        ["filter", "index", "top index", "footer"].iter().all(|kind| kinds.contains_key(kind)),
        "{kinds:?}"
    );
}

/// A store with a table in the last level and some above, one data block of which is damaged; what it
/// holds, and the keys whose newest value stands in the block.
fn with_a_bad_block() -> (Image, Model, BTreeSet<Vec<u8>>) {
    let (store, disk) = fresh(&Engine::lsm(), Schedule::Manual);
    (0..30).for_each(|n| store.set(&key(n), &value(n, 100)).unwrap());
    store.compact().unwrap();
    (0..30).step_by(5).for_each(|n| store.set(&key(n), &value(n + 500, 100)).unwrap());
    store.flush().unwrap();
    let model = contents(&*store).unwrap();
    drop(store);
    let mut image = disk.image();
    let number = tables(&image)[0];
    let mut blocks = regions(&image, number);
    blocks.retain(|region| region.kind == RegionKind::Data);
    let bad = bytes_of(&blocks[blocks.len() / 2]);
    image.edit(path_of(&filename::table(number)))[bad.start + 9] ^= 0x40;
    let engine = Engine::lsm().uncached();
    let store = open_with(&engine, disk_of(&image), Access::Read, Schedule::Manual).unwrap();
    let unread = model.keys().filter(|key| store.get(key).is_err()).cloned().collect();
    (image, model, unread)
}

// Row K9. A compaction meets a bad block. LevelDB's went on without it, unless told to be paranoid
// (`CompactionInputError`; RocksDB `HISTORY.md:2525`): then the block's keys are gone for good. Here it
// ends, its inputs stay, and all that can be read can still be read.
#[test]
fn k09_compaction_meets_a_bad_block() {
    let (image, mut model, unread) = with_a_bad_block();
    assert!((1..10).contains(&unread.len()), "{unread:?}");
    let disk = SimDisk::from_image(&image, Record::Off);
    let store = open_manual(Arc::new(disk.clone())).unwrap();
    let inputs = tables(&image);
    let good = |store: &dyn KvsEngine, model: &Model| {
        for (key, value) in model {
            match store.get(key) {
                Ok(found) => assert_eq!(found.as_deref(), Some(&value[..])),
                Err(error) => assert!(error.is_corruption() && unread.contains(key), "{error:?}"),
            }
        }
    };
    for round in 0..4 {
        let compacted = store.compact();
        match round {
            0 => {
                let error = compacted.unwrap_err();
                assert_eq!(corrupt_file(&error), path_of(&filename::table(inputs[0])));
            }
            // Later ones may leave the table alone, or meet it again.
            _ => assert!(compacted.as_ref().err().is_none_or(Error::is_corruption), "{compacted:?}"),
        }
        let files = disk.image();
        assert!(
            files.get(path_of(&filename::table(inputs[0])))
                == image.get(path_of(&filename::table(inputs[0])))
        );
        good(&*store, &model);
        // It does not count as a failure of the log.
        for n in 100 * (round + 1)..100 * (round + 1) + 20 {
            store.set(&key(n), &value(n, 100)).unwrap();
            model.insert(key(n), value(n, 100));
        }
        store.flush().unwrap();
        good(&*store, &model);
    }
    let live = live(&disk.image()).unwrap().live;
    assert!(live.contains_key(&inputs[0]) && strays(&disk.image()).is_empty(), "no half output is left");
    drop(store);
    good(&*open_manual(Arc::new(disk.clone())).unwrap(), &model);
}

// Row K9, with threads: when level 0 is full and can not be compacted, the writer gets the error, and does
// not wait for ever.
#[test]
fn k09_writer_behind_a_bad_block() {
    let (image, _, unread) = with_a_bad_block();
    let (done, outcome) = mpsc::channel();
    std::thread::spawn(move || {
        let store = open_with(&Engine::lsm(), disk_of(&image), Access::Write, Schedule::Threads).unwrap();
        // All of it overlaps the bad table.
        let write = |n: u32| store.set(&key(n % 30), &value(n, 200));
        let failed = (0..20_000).map(write).find_map(Result::err);
        assert!(unread.iter().all(|key| store.get(key).is_ok_and(|found| found.is_some())), "overwritten");
        done.send(failed).unwrap();
    });
    let failed = outcome.recv_timeout(Duration::from_secs(120)).expect("the writer is not left waiting");
    assert!(failed.as_ref().is_some_and(Error::is_corruption), "{failed:?}");
}

// ---- errors ----

// Row E4. An edit of the manifest fails, and more would follow: rocksdb#6316 and #6331; mini-lsm could not
// be opened after one such error. Whether the edit is there is unknown, so nothing is built on it: the
// store is poisoned, reads go on, and the next opening finds what is there.
#[test]
fn e04_edit_fails() {
    let mut tried = 0;
    for (call, fault) in [
        (Call::Append, Fault::Fail(Errno::Io)),
        (Call::Append, Fault::Fail(Errno::NoSpace)),
        (Call::Append, Fault::Short(Errno::NoSpace)),
        (Call::Sync, Fault::Fail(Errno::Io)),
    ] {
        for nth in 0..3 {
            let sim = empty_disk();
            let disk = FaultDisk::new(Arc::new(sim.clone()));
            let store = open_manual(Arc::new(disk.clone())).unwrap();
            (0..20).for_each(|n| store.set(&key(n), &value(n, 60)).unwrap());
            store.flush().unwrap();
            (10..30).for_each(|n| store.set(&key(n), &value(n + 100, 60)).unwrap());
            let model = contents(&*store).unwrap();
            disk.rule(At::nth(call, "MANIFEST", nth), fault, Lasting::Once);
            // A rotation, a flush, and a compaction, each with its edit.
            let failed = store.compact().unwrap_err();
            assert!(matches!(failed, Error::Io { .. } | Error::NoSpace { .. }), "{failed:?}");
            tried += 1;
            let poisoned = |result: Result<()>| {
                assert!(matches!(result, Err(Error::Poisoned(_))), "{call:?} {nth}: {result:?}");
            };
            poisoned(store.set(b"k", b"v"));
            poisoned(store.flush());
            poisoned(store.compact());
            poisoned(store.sync());
            assert_eq!(contents(&*store).unwrap(), model, "reads go on");
            assert!(store.stats().unwrap().poisoned.is_some());
            let before = sim.image();
            drop(store);
            assert!(sim.image() == before, "nothing more is written");
            goes_on(&before, &[&model]).unwrap();
        }
    }
    assert_eq!(tried, 12);
}

// ---- versions and levels ----

/// The levels on which a table may hold a write of `key` with a number from `seqnos`.
fn levels_of(store: &dyn KvsEngine, key: &[u8], seqnos: Range<u64>) -> BTreeSet<u8> {
    let files = store.stats().unwrap().files;
    let may_hold = files.iter().filter(|file| {
        let keys = file.smallest.as_deref() <= Some(key) && file.largest.as_deref() >= Some(key);
        keys && file.first_seqno < seqnos.end && file.last_seqno >= seqnos.start
    });
    may_hold.filter_map(|file| file.level).collect()
}

fn stands_at(cursor: &mut dyn Cursor, key: &[u8], value: &[u8]) {
    assert!(cursor.valid());
    assert_eq!(cursor.key(), key);
    assert_eq!(cursor.value().unwrap(), value);
}

// Row S1. A key stands deep, its tombstone above, and the tombstone is compacted into a level that has
// nothing there: it must not be dropped while a deeper level holds the key (rocksdb#2722 and #2726,
// badger#2143, turbodb#94).
#[test]
fn s01_tombstone_into_an_empty_level() {
    let (store, disk) = fresh(&Engine::lsm(), Schedule::Inline);
    // Enough that the tree has several levels above the last one.
    (0..2400).for_each(|n| store.set(&key(n), &value(n, 100)).unwrap());
    store.compact().unwrap();
    let gone: Vec<u32> = (1000..1040).collect();
    let deep = store.stats().unwrap().files.iter().filter_map(|file| file.level).max().unwrap();
    assert_eq!(levels_of(&*store, &key(1020), 0..u64::MAX), BTreeSet::from([deep]), "only in the last level");
    let first = store.stats().unwrap().seqno + 1;
    gone.iter().for_each(|n| assert!(store.remove(&key(*n)).unwrap()));
    let tombstones = first..store.stats().unwrap().seqno + 1;
    let is_gone = |store: &dyn KvsEngine| {
        gone.iter().for_each(|n| assert!(store.get(&key(*n)).unwrap().is_none(), "{n} is back"));
        let range = KeyRange::of(key(1000)..key(1040));
        assert_eq!(store.scan(range).unwrap().count(), 0);
    };
    store.flush().unwrap();
    // Writes beside them drive them down, step by step.
    let mut seen = BTreeSet::new();
    let mut random = 7;
    for round in 0..2000u32 {
        let n = next_random(&mut random) as u32 % 2400;
        let n = if gone.contains(&n) { 0 } else { n };
        store.set(&key(n), &value(round + 5000, 100)).unwrap();
        seen.extend(levels_of(&*store, &key(1020), tombstones.clone()));
        if round % 10 == 0 {
            is_gone(&*store);
        }
    }
    assert!(seen.len() > 2 && seen.contains(&0), "levels {seen:?} above {deep}");
    is_gone(&*store);
    drop(store);
    let store = open_with(&Engine::lsm(), Arc::new(disk), Access::Write, Schedule::Inline).unwrap();
    is_gone(&*store);
    store.compact().unwrap();
    is_gone(&*store);
    assert_eq!(store.scan(KeyRange::all()).unwrap().count(), 2400 - gone.len());
}

// Row S2. A key's versions, held by snapshots, fill more than a table: if they are spread over two, and
// only one is compacted, an older version comes to stand above a newer one (leveldb#184 and #320,
// `issue178_test.cc`, `issue320_test.cc`).
#[test]
fn s02_versions_of_a_key_span_tables() {
    let (store, disk) = fresh(&Engine::lsm().with("table_bytes", "1024"), Schedule::Inline);
    let mut held = Vec::new();
    let mut model = Model::new();
    for round in 0..120u32 {
        for (key, n) in [(key(50), round), (key(49 - round % 5), round + 500), (key(51 + round % 5), round)] {
            store.set(&key, &value(n, 150)).unwrap();
            model.insert(key, value(n, 150));
        }
        if round % 40 == 30 {
            store.remove(&key(50)).unwrap();
            model.remove(&key(50));
        }
        if round % 3 == 0 {
            held.push((store.snapshot().unwrap(), model.clone()));
        }
        // Beside the key, up to it, and from it on: parts of what holds its versions.
        match round % 10 {
            3 => store.compact_range(&KeyRange::of(..key(50))).unwrap(),
            6 => store.compact_range(&KeyRange::of(key(50)..)).unwrap(),
            9 => store.compact_range(&KeyRange::of(key(50)..=key(50))).unwrap(),
            _ => {}
        }
        assert_eq!(contents(&*store).unwrap(), model, "round {round}");
        for (snapshot, model) in held.iter().rev().step_by(7) {
            assert_eq!(contents(snapshot).unwrap(), *model, "round {round}");
            assert_eq!(
                snapshot.get(&key(50)).unwrap().as_deref(),
                model.get(&key(50)).map(|value| &value[..])
            );
        }
    }
    let files = store.stats().unwrap().files;
    let of_key = files.iter().filter(|file| {
        file.level.is_some() && file.smallest <= Some(key(50)) && file.largest >= Some(key(50))
    });
    let bytes: u64 = of_key.map(|file| file.bytes).sum();
    assert!(bytes > 2048, "{bytes}: more than two tables' worth of one key");
    for compacts in [false, true] {
        if compacts {
            store.compact().unwrap();
        }
        for (snapshot, model) in &held {
            assert_eq!(contents(snapshot).unwrap(), *model);
            // The other way round.
            let mut cursor = snapshot.cursor(KeyRange::all()).unwrap();
            cursor.seek_to_last().unwrap();
            for (key, value) in model.iter().rev() {
                stands_at(&mut *cursor, key, value);
                cursor.prev().unwrap();
            }
            assert!(!cursor.valid());
        }
    }
    drop(held);
    goes_on(&disk.image(), &[&model]).unwrap();
}

// Row S6. A snapshot stands between two versions, and there are a flush, a compaction, and cursors that
// are made anew; it is let go of in the middle of a compaction. It reads its version until then, and
// afterwards the version's space is reclaimed (lsm-tree#321, leveldb#887, rocksdb#8608).
#[test]
fn s06_snapshot_through_flush_and_compaction() {
    for when in [When::OutputIsMade, When::OutputsAreWhole, When::InputIsOpened] {
        let sim = empty_disk();
        let slot: Arc<Mutex<Option<Snapshot>>> = Arc::default();
        let held = slot.clone();
        let disk =
            Arc::new(Intruded::new(Arc::new(sim.clone()), when, move || drop(held.lock().unwrap().take())));
        let store = open_manual(disk.clone()).unwrap();
        let all = |value: u32| (0..60).map(|n| (key(n), self::value(n + value, 100))).collect::<Model>();
        let set = |pairs: &Model| pairs.iter().for_each(|(key, value)| store.set(key, value).unwrap());
        set(&all(0));
        store.flush().unwrap();
        let snapshot = store.snapshot().unwrap();
        set(&all(1000));
        (0..60).step_by(4).for_each(|n| assert!(store.remove(&key(n)).unwrap()));
        let now = contents(&*store).unwrap();
        let entries = || store.stats().unwrap().files.iter().filter_map(|file| file.entries).sum::<u64>();
        let mut cursor = snapshot.cursor(KeyRange::all()).unwrap();
        disk.arm();
        cursor.seek(&key(30)).unwrap();
        store.flush().unwrap();
        assert_eq!(contents(&snapshot).unwrap(), all(0));
        stands_at(&mut *cursor, &key(30), &value(30, 100));
        drop(cursor);
        assert_eq!(entries(), 135, "60 old ones, 60 new ones, 15 tombstones");
        *slot.lock().unwrap() = Some(snapshot);
        store.compact().unwrap();
        assert_eq!(contents(&*store).unwrap(), now);
        let is_released = slot.lock().unwrap().is_none();
        assert_eq!(is_released, disk.has_acted());
        assert!(is_released || when == When::InputIsOpened, "in the middle: {when:?}");
        drop(slot.lock().unwrap().take());
        store.compact().unwrap();
        assert_eq!(contents(&*store).unwrap(), now);
        assert_eq!(entries(), 45, "one for each key that is there, {when:?}");
        drop(store);
        goes_on(&sim.image(), &[&now]).unwrap();
    }
}

// Row S6, without haste: while it is held, everything is there after a compaction too. A table in the last
// level is rewritten when all of its older entries can go, so that the last of several snapshots counts.
#[test]
fn s06_snapshot_held_until_the_end() {
    let (store, disk) = fresh(&Engine::lsm(), Schedule::Inline);
    let mut snapshots = Vec::new();
    for round in 0..5u32 {
        (0..50)
            .filter(|n| n % 5 != round)
            .for_each(|n| store.set(&key(n), &value(n + 100 * round, 90)).unwrap());
        _ = store.remove(&key(round)).unwrap();
        snapshots.push((store.snapshot().unwrap(), contents(&*store).unwrap()));
        store.compact().unwrap();
        for (snapshot, model) in &snapshots {
            assert_eq!(contents(snapshot).unwrap(), *model);
            model.iter().for_each(|(key, value)| assert_eq!(&snapshot.get(key).unwrap().unwrap()[..], value));
        }
    }
    let entries = |store: &dyn KvsEngine| {
        let files = store.stats().unwrap().files;
        files.iter().filter(|file| file.level.is_some()).filter_map(|file| file.entries).sum::<u64>()
    };
    let now = contents(&*store).unwrap();
    let mut before = entries(&*store);
    assert!(before > 4 * now.len() as u64, "{before}: nearly every version is held");
    while !snapshots.is_empty() {
        snapshots.remove(0);
        store.compact().unwrap();
        let after = entries(&*store);
        assert!(after <= before, "{after} entries, {before} before");
        before = after;
    }
    assert_eq!(before, now.len() as u64, "one for each key that is there");
    drop(store);
    goes_on(&disk.image(), &[&now]).unwrap();
}

/// What reads cost shows in the stats.
#[test]
fn reads_of_tables_are_counted() {
    let (store, _disk) = fresh(&Engine::lsm(), Schedule::Inline);
    (0..200).for_each(|n| store.set(&key(n), &value(n, 100)).unwrap());
    store.compact().unwrap();
    let count = |name: &str| {
        let counters = store.stats().unwrap().counters;
        counters.iter().find(|counter| counter.name == name).unwrap().value
    };
    let names = ["tables opened", "blocks read", "bytes read of tables"];
    let before = names.map(count);
    (0..200).for_each(|n| assert!(store.get(&key(n)).unwrap().is_some()));
    let [opened, blocks, bytes] = [0, 1, 2].map(|i| count(names[i]) - before[i]);
    assert!(opened > 0 && blocks > opened && bytes > 20 * blocks, "{opened} {blocks} {bytes}");
    assert_eq!(count("filter mistakes"), 0, "every key was there");
    assert!(count("tables closed") <= count("tables opened"));
}

/// A sync asked for room in the memtable, as a write does. While no table could be made, what was acknowledged could
/// not be made durable either, though its log was sound.
#[test]
fn a_sync_needs_no_room() {
    let disk = Arc::new(FaultDisk::new(Arc::new(empty_disk())));
    disk.rule(At::first(Call::Create, ".sst"), Fault::Fail(Errno::NoSpace), Lasting::Sticky);
    let options = OpenOptions { schedule: Schedule::Threads, ..open_options(disk.clone(), Access::Create) };
    let store = Engine::lsm().open(Path::new(DIR), options).unwrap();
    let refused = (0..1000).find_map(|n| store.set(&key(n), &value(n, 100)).err());
    assert!(matches!(refused, Some(Error::NoSpace { .. } | Error::Io { .. })), "{refused:?}");
    store.sync().unwrap();
    assert!(store.set(b"more", b"than there is room for").is_err(), "it is still full");
    let model = contents(&*store).unwrap();
    disk.heal();
    store.flush().unwrap();
    store.set(b"more", b"than there was room for").unwrap();
    assert_eq!(contents(&*store).unwrap().len(), model.len() + 1);
}

/// A store that is only ever opened for a moment is compacted too: who closes it waits for what is small.
#[test]
fn a_small_compaction_is_finished_when_the_store_is_closed() {
    let (begun, wait) = mpsc::channel();
    let disk = Arc::new(Intruded::new(Arc::new(empty_disk()), When::InputIsOpened, move || {
        begun.send(()).unwrap();
        // Until the store is being closed.
        std::thread::sleep(Duration::from_millis(200));
    }));
    let (listener, told) = Listener::channel();
    let compacted = || told.try_iter().filter(|event| matches!(event, Event::Compacted { .. })).count();
    let (schedule, access) = (Schedule::Threads, Access::Create);
    let options = OpenOptions { schedule, listener, ..open_options(disk.clone(), access) };
    let store = Engine::lsm().open(Path::new(DIR), options).unwrap();
    disk.arm();
    for n in 0.. {
        store.set(&key(n % 50), &value(n, 100)).unwrap();
        if wait.try_recv().is_ok() {
            break;
        }
    }
    assert_eq!(compacted(), 0);
    drop(store);
    assert_eq!(compacted(), 1);
}

// Row S8. A cursor changes its direction while a key is written next to where it stands (LevelDB's
// `issue200_test.cc`: it stood still). It goes as over the store of the moment when it was made, whatever
// comes between the memtables and levels that it merges.
#[test]
fn s08_cursor_turns_beside_a_write() {
    let mut random = 11;
    for round in 0..30u32 {
        let (store, _disk) = fresh(&Engine::lsm(), Schedule::Inline);
        // In the last level, above it, and in memory.
        for (step, flushes) in [(1, true), (3, true), (5, false)] {
            (0..40).step_by(step).for_each(|n| store.set(&key(10 * n), &value(n + round, 30)).unwrap());
            _ = store.remove(&key(10 * (round + step as u32))).unwrap();
            if flushes {
                store.flush().unwrap();
            }
            if step == 1 {
                store.compact().unwrap();
            }
        }
        let model: Vec<_> = contents(&*store).unwrap().into_iter().collect();
        let mut cursor = store.cursor(KeyRange::all()).unwrap();
        let mut at = next_random(&mut random) as usize % model.len();
        cursor.seek(&model[at].0).unwrap();
        for step in 0..200u32 {
            stands_at(&mut *cursor, &model[at].0, &model[at].1);
            // A neighbour on either side, the key itself, or none of them.
            let here: u32 = std::str::from_utf8(&model[at].0[3..]).unwrap().parse().unwrap();
            match next_random(&mut random) % 6 {
                0 => store.set(&key(here + 1), b"above").unwrap(),
                1 => store.set(&key(here.saturating_sub(1)), b"below").unwrap(),
                2 => store.set(&key(here), b"here").unwrap(),
                3 => drop(store.remove(&key(here)).unwrap()),
                4 if step % 20 == 0 => store.flush().unwrap(),
                _ => {}
            }
            let is_forward = next_random(&mut random).is_multiple_of(2);
            match is_forward {
                true if at + 1 < model.len() => {
                    cursor.next().unwrap();
                    at += 1;
                }
                false if at > 0 => {
                    cursor.prev().unwrap();
                    at -= 1;
                }
                _ => {}
            }
        }
    }
}

// Row S9. Nothing is left of what a compaction reads: no table of nothing comes of it, and the store opens
// (mini-lsm#181 and #62, and a manifest that it could not replay after a full compaction).
#[test]
fn s09_compaction_without_output() {
    let (store, disk) = fresh(&Engine::lsm(), Schedule::Inline);
    (0..80).for_each(|n| store.set(&key(n), &value(n, 100)).unwrap());
    store.compact().unwrap();
    assert!(!tables(&disk.image()).is_empty());
    // From the middle outwards, and then all of it.
    for range in [20..60, 0..80] {
        range.clone().for_each(|n| _ = store.remove(&key(n)).unwrap());
        store.compact_range(&KeyRange::of(key(range.start)..key(range.end))).unwrap();
        let left = contents(&*store).unwrap();
        assert_eq!(left.len(), if range.start == 0 { 0 } else { 40 });
        goes_on(&disk.image(), &[&left]).unwrap();
    }
    assert_eq!(tables(&disk.image()), [0; 0]);
    let stats = store.stats().unwrap();
    assert_eq!(stats.files.len(), 1, "the log: {:?}", stats.files);
    let dropped = stats.counters.iter().find(|counter| counter.name == "entries dropped").unwrap().value;
    assert_eq!(dropped, 2 * 80, "each key with its tombstone");
    // Once more with nothing at all.
    store.compact().unwrap();
    drop(store);
    goes_on(&disk.image(), &[&Model::new()]).unwrap();
}

// Row S9, the manifest: after each call of the public interface the store can be opened again, by a process
// that comes after a kill and by one that comes after a close.
#[test]
fn s09_opens_after_every_call() {
    type Step = fn(&dyn KvsEngine);
    let steps: &[(&str, Step)] = &[
        ("nothing", |_| {}),
        ("set", |store| (0..60).for_each(|n| store.set(&key(n), &value(n, 100)).unwrap())),
        ("remove", |store| (0..60).step_by(2).for_each(|n| _ = store.remove(&key(n)).unwrap())),
        ("swap", |store| drop(store.swap(&key(3), Some(b"swapped")).unwrap())),
        ("write", |store| {
            let ops = (0..9).map(|n| (key(n), (n % 2 == 0).then(|| b"batch".to_vec())));
            store.write(batch(ops), &WriteOptions::durable()).unwrap();
        }),
        ("sync", |store| store.sync().unwrap()),
        ("flush", |store| store.flush().unwrap()),
        ("compact_range", |store| store.compact_range(&KeyRange::of(key(10)..key(20))).unwrap()),
        ("compact", |store| store.compact().unwrap()),
        ("load_sorted", |store| {
            assert_eq!(store.load_sorted(&mut One(Some((b"loaded", b"value")))).unwrap(), 1);
        }),
        ("load nothing", |store| assert_eq!(store.load_sorted(&mut One(None)).unwrap(), 0)),
        ("snapshot", |store| drop(store.snapshot().unwrap())),
        ("remove all", |store| {
            let keys: Vec<_> = contents(store).unwrap().into_keys().collect();
            keys.iter().for_each(|key| _ = store.remove(key).unwrap());
        }),
    ];
    // Each of them after each other.
    for schedule in [Schedule::Inline, Schedule::Manual] {
        for (first, one) in steps {
            let (store, disk) = fresh(&Engine::lsm(), schedule);
            (0..30).for_each(|n| store.set(&key(n), &value(n + 7, 100)).unwrap());
            one(&*store);
            let mut store = Some(store);
            for (second, other) in steps {
                other(&**store.as_ref().unwrap());
                let model = contents(&**store.as_ref().unwrap()).unwrap();
                let what = format!("{first}, {second}, {schedule:?}");
                let killed = goes_on(&disk.image(), &[&model]);
                assert_eq!(killed, Ok(0), "{what}");
                drop(store.take());
                let again =
                    open_with(&Engine::lsm(), Arc::new(disk.clone()), Access::Write, schedule).unwrap();
                assert_eq!(contents(&*again).unwrap(), model, "{what}");
                store = Some(again);
            }
            let copy = format!("/copy of {first}");
            store.unwrap().checkpoint(Path::new(&copy)).unwrap();
        }
    }
}
