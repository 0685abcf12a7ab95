//! Disks that fail: every operation, in every way. Rows E of the catalogue of faults.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[macro_use]
mod fault_support {
    pub(crate) mod child;
    pub(crate) mod durable;
    #[macro_use]
    pub(crate) mod engine;
    pub(crate) mod real;
    pub(crate) mod store;
    pub(crate) mod workload;
}

use fault_support::durable::synced_only;
use fault_support::engine::{empty_disk, refusal};
use fault_support::store::{DIR, Model, contents, open, open_at, open_options};
use fault_support::workload::{Judged, Run, steps};
use fault_support::{child, real};
use kvs::engine::KvsRead;
use kvs::engine::batch::WriteBatch;
use kvs::engine::event::{Event, Listener};
use kvs::engine::kind::EngineKind;
use kvs::engine::options::{Access, Durability, OpenOptions, WriteOptions};
use kvs::engine::range::KeyRange;
use kvs::error::{Error, Result};
use kvs::survive::engine::Engine;
use kvs::vfs::fault::{At, Call, Errno, Fault, FaultDisk, Lasting, Traced};
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::{Record, SimDisk};
use kvs::vfs::os::OsDisk;
use kvs::vfs::{Cause, Vfs};
use kvs::worker::Schedule;
use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

on_each_engine!([
    e01_fsync_fails_once,
    e01_nothing_is_acknowledged_after_a_failed_fsync,
    e01_what_a_failed_fsync_left_is_written_again,
    e02_append_fails_or_is_short,
    e03_each_operation_fails_once,
    e03_each_operation_fails_and_all_that_follow,
    e03_every_writer_of_a_group_is_told,
    e03_background_failures_are_told,
    e04_edit_of_the_manifest_fails,
    e05_no_space_at_each_operation,
    e05_a_full_disk_still_reads,
    e05_what_can_not_be_reserved_is_done_without,
    e05_what_can_not_be_rewritten_is_durable_all_the_same,
    e07_a_manifest_grows_where_no_new_one_can_be_made,
    e06_interruptions_and_short_reads_are_invisible,
    e06_a_read_error_is_never_not_found,
    e06_a_directory_that_is_missing_for_a_moment_is_no_empty_one,
    e07_no_descriptors_at_each_operation,
    e07_open_files_go_on_working,
    e08_rename_or_remove_fails,
    e09_read_only,
    e09_read_only_directory,
    e10_background_thread_panics,
    e10_a_panic_at_each_event,
    e11_second_process,
    e11_second_handle_in_the_same_process,
    e12_live_after_recovery,
]);

/// Whether the error says what the disk said.
fn is_told(error: &Error, errno: Errno) -> bool {
    let code = match errno {
        Errno::NoSpace => return matches!(error.root(), Error::NoSpace { .. }),
        Errno::Io => libc::EIO,
        Errno::TooManyFiles => libc::EMFILE,
        Errno::Interrupted => libc::EINTR,
        Errno::Denied => libc::EACCES,
        Errno::ReadOnly => libc::EROFS,
        Errno::Missing => libc::ENOENT,
    };
    matches!(error.root(), Error::Io { source, .. } if source.raw_os_error() == Some(code))
}

/// The operations of the workload when nothing fails.
fn trace(engine: &Engine) -> Vec<Traced> {
    let mut run = Run::new(engine);
    run.all(&steps());
    let trace = run.disk.trace();
    let Judged { errors, heard } = run.judge();
    assert!(errors.is_empty() && heard.is_empty(), "{errors:?} {heard:?}");
    trace
}

/// Whether a fault of this operation must go unnoticed: it is asked for again, or does no harm.
fn is_invisible(op: &Traced, trace: &[Traced], fault: Fault, lasting: Lasting) -> bool {
    use Call::{Append, Create, List, Lock, Open, OpenAppend, Read, Reserve, Truncate, WriteAgain};
    match fault {
        Fault::Fail(Errno::Interrupted) => {
            matches!(
                op.call,
                Append | Create | List | Lock | Open | OpenAppend | Read | Reserve | Truncate | WriteAgain
            )
        }
        // Short reads are read on; anything else that is to be done by half fails.
        Fault::Short(_) => {
            let mut struck = trace.iter().filter(|later| later.index >= op.index);
            op.call == Read && (lasting == Lasting::Once || struck.all(|op| op.call == Read))
        }
        // Nothing needs what is reserved.
        Fault::Fail(Errno::NoSpace) => op.call == Reserve,
        Fault::Fail(_) => false,
    }
}

/// Whether a fault of this operation may go unnoticed: nothing that anybody asked for depends on it.
fn may_be_swallowed(op: &Traced) -> bool {
    let is_hint = op.path.extension().is_some_and(|end| end == "hint");
    match op.call {
        // A second name: copied instead.
        Call::Link => true,
        // Hints are never needed; a checkpoint goes without them.
        Call::Remove => is_hint,
        Call::Open | Call::Read | Call::Create | Call::Append | Call::Sync => is_hint,
        _ => false,
    }
}

/// Tries something for each of these operations; all failures together, in words.
fn for_each(what: &str, ops: &[Traced], mut attempt: impl FnMut(&Traced)) {
    let mut failures = Vec::new();
    for op in ops {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| attempt(op))) {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            let text = text.unwrap_or_default();
            failures.push(format!("{} {} {}: {text}", op.index, op.call, op.path.display()));
        }
    }
    println!("injected: {} of {what}", ops.len());
    assert!(!ops.is_empty(), "{what}: nothing was tried");
    assert!(failures.is_empty(), "{} of {}, {what}:\n{}", failures.len(), ops.len(), failures.join("\n"));
}

/// One life of a store, in which this goes wrong.
fn live_with(engine: &Engine, at: At, fault: Fault, lasting: Lasting) -> (Vec<Traced>, Judged) {
    let (Fault::Fail(errno) | Fault::Short(errno)) = fault;
    let mut run = Run::new(engine);
    run.disk.rule(at, fault, lasting);
    run.all(&steps());
    assert!(run.disk.faults() > 0, "the fault came");
    let trace = run.disk.trace();
    assert!(trace.len() < 20_000, "nobody tries again and again");
    let judged = run.judge();
    for error in &judged.errors {
        assert!(is_told(error, errno), "an error that does not say what happened: {error:?}");
    }
    (trace, judged)
}

/// Makes a fault at each operation, and judges what came of it.
fn inject_everywhere(engine: &Engine, fault: Fault, lasting: Lasting) {
    let trace = trace(engine);
    for_each(&format!("{fault:?} {lasting:?}"), &trace, |op| {
        let (_, Judged { errors, heard }) = live_with(engine, At::Index(op.index), fault, lasting);
        let is_noticed = !errors.is_empty() || !heard.is_empty();
        if is_invisible(op, &trace, fault, lasting) {
            assert!(!is_noticed, "nobody needs to know: {errors:?} {heard:?}");
            return;
        }
        // Who is out of descriptors closes what it can spare, and asks again.
        let is_retried = fault == Fault::Fail(Errno::TooManyFiles) && lasting == Lasting::Once;
        assert!(is_noticed || is_retried || may_be_swallowed(op), "nobody was told");
    });
}

/// After a fault, until the store is opened again or the file made anew: whether this was asked of the
/// file again.
fn is_asked_again(trace: &[Traced], call: Call) -> bool {
    let at = trace.iter().position(|op| op.faulted).unwrap();
    let path = &trace[at].path;
    let later = trace[at + 1..].iter().take_while(|op| op.call != Call::Lock);
    let mut later = later.take_while(|op| !(op.call == Call::Create && op.path == *path));
    later.any(|op| op.call == call && op.path == *path)
}

fn operations(engine: &Engine, call: Call) -> Vec<Traced> {
    trace(engine).into_iter().filter(|op| op.call == call).collect()
}

// Row E1. fsyncgate: after a failed fsync the system has dropped the pages that it could not write, and
// says that all is well when asked again; PostgreSQL believed it for twenty years. The disk here does the
// same. The call fails, nothing is synced again, nothing more is acknowledged; and a power cut then takes
// nothing that ever was (the judge looks at what alone was synced).
fn e01_fsync_fails_once(engine: &Engine) {
    let syncs = operations(engine, Call::Sync);
    for_each("a failed sync", &syncs, |op| {
        let fault = Fault::Fail(Errno::Io);
        let (trace, judged) = live_with(engine, At::Index(op.index), fault, Lasting::Once);
        assert!(!is_asked_again(&trace, Call::Sync), "a failed sync was tried again");
        assert!(!judged.errors.is_empty() || !judged.heard.is_empty() || may_be_swallowed(op));
    });
    for_each("a failed sync of a directory", &operations(engine, Call::SyncDir), |op| {
        live_with(engine, At::Index(op.index), Fault::Fail(Errno::Io), Lasting::Once);
    });
}

// Row E1, the promise in slow motion.
fn e01_nothing_is_acknowledged_after_a_failed_fsync(engine: &Engine) {
    let sim = SimDisk::new();
    let disk = FaultDisk::new(Arc::new(sim.clone()));
    let store = open(engine, Arc::new(disk.clone()), Access::Create).unwrap();
    let durable = WriteOptions::durable;
    let write = |key: &[u8], options: WriteOptions| {
        let mut batch = WriteBatch::new();
        batch.set(key, b"");
        store.write(batch, &options)
    };
    write(b"1", durable()).unwrap();
    disk.rule(At::first(Call::Sync, ""), Fault::Fail(Errno::Io), Lasting::Once);
    assert!(matches!(write(b"2", durable()).unwrap_err(), Error::Io { op: "sync", .. }));
    for options in [durable(), WriteOptions::default()] {
        let error = write(b"3", options).unwrap_err();
        let Error::Poisoned(cause) = &error else { panic!("{error:?}") };
        assert!(matches!(&**cause, Error::Io { op: "sync", .. }), "{cause:?}");
    }
    assert!(matches!(store.swap(b"1", None), Err(Error::Poisoned(_))));
    assert!(matches!(store.remove(b"1"), Err(Error::Poisoned(_))));
    assert!(matches!(store.compact(), Err(Error::Poisoned(_))));
    assert!(matches!(store.sync(), Err(Error::Poisoned(_))));
    assert!(store.stats().unwrap().poisoned.unwrap().contains("sync"));
    assert_eq!(contents(&*store).unwrap().len(), 1, "reads go on, of what was acknowledged");
    drop(store);
    let cut = Arc::new(SimDisk::from_image(&synced_only(&sim.recording()), Record::Off));
    assert_eq!(contents(&*open(engine, cut, Access::Write).unwrap()).unwrap().len(), 1);
}

// Row E5. The tables of a flush could not be written; closing ended with that, before the log that grows was synced,
// and nobody was left to do it: with durability `interval` what was acknowledged hours ago went with the power. Bitcask
// gave up a merge for a hint that could not be written, which was the way to get room.
fn e05_what_can_not_be_rewritten_is_durable_all_the_same(engine: &Engine) {
    let sim = SimDisk::new();
    let disk = FaultDisk::new(Arc::new(sim.clone()));
    let options =
        OpenOptions { schedule: Schedule::Manual, ..open_options(Arc::new(disk.clone()), Access::Create) };
    let engine = match engine.kind {
        EngineKind::Lsm => engine.clone().with("sealed_memtables", "16"),
        _ => engine.clone(),
    };
    let store = engine.open(Path::new(DIR), options).unwrap();
    let mut model = Model::new();
    disk.rule(At::first(Call::Create, ".sst"), Fault::Fail(Errno::NoSpace), Lasting::Sticky);
    disk.rule(At::first(Call::Create, ".hint"), Fault::Fail(Errno::NoSpace), Lasting::Sticky);
    for i in 0..100u8 {
        store.set(&[i % 30], &[i; 200]).unwrap();
        model.insert(vec![i % 30], vec![i; 200]);
    }
    let before: u64 = store.stats().unwrap().disk_bytes;
    let compacted = store.compact();
    assert!(disk.faults() > 0, "there was something to write");
    if engine.kind == EngineKind::Bitcask {
        compacted.unwrap();
        assert!(store.stats().unwrap().disk_bytes < before / 2, "a merge makes room");
    }
    for i in 0..10u8 {
        store.set(&[i], b"again").unwrap();
        model.insert(vec![i], b"again".to_vec());
    }
    assert_eq!(store.stats().unwrap().poisoned, None);
    drop(store);
    let cut = Arc::new(SimDisk::from_image(&synced_only(&sim.recording()), Record::Off));
    assert_eq!(contents(&*open(&engine, cut, Access::Write).unwrap()).unwrap(), model);
}

// Row E7. A manifest that had grown was replaced, and where that could not be for want of a descriptor the store was
// poisoned: nothing was wrong with the old one.
fn e07_a_manifest_grows_where_no_new_one_can_be_made(engine: &Engine) {
    let sim = SimDisk::new();
    let disk = FaultDisk::new(Arc::new(sim.clone()));
    let store = open(engine, Arc::new(disk.clone()), Access::Create).unwrap();
    disk.rule(At::first(Call::Create, "MANIFEST.tmp"), Fault::Fail(Errno::TooManyFiles), Lasting::Sticky);
    let mut model = Model::new();
    let mut i = 0u32;
    while disk.faults() < 3 {
        store.set(&[i as u8], &i.to_le_bytes().repeat(100)).unwrap();
        model.insert(vec![i as u8], i.to_le_bytes().repeat(100));
        i += 1;
        assert!(i < 100_000, "the manifest grows");
    }
    let grown = sim.image().get(format!("{DIR}/MANIFEST")).unwrap().len();
    disk.heal();
    store.set(b"x", b"y").unwrap();
    store.compact().unwrap();
    model.insert(b"x".to_vec(), b"y".to_vec());
    let replaced = sim.image().get(format!("{DIR}/MANIFEST")).unwrap().len();
    assert!(replaced < grown, "{replaced} after {grown}");
    drop(store);
    let cut = Arc::new(SimDisk::from_image(&synced_only(&sim.recording()), Record::Off));
    assert_eq!(contents(&*open(engine, cut, Access::Write).unwrap()).unwrap(), model);
}

// Row E1, in the next process. After a sync that failed, a system may take what it could not write for written:
// whoever opens the log reads it, and his sync has nothing to do. An opening that vouched for what it had read, and
// did not write it once more, acknowledged durable writes behind a hole, and the next power cut took them along; or
// the store was refused, for the hole had been vouched for. At every sync of a log or manifest in turn.
fn e01_what_a_failed_fsync_left_is_written_again(engine: &Engine) {
    // At once: a log with a hole may be gone when a life ends, for all of it is in a table then.
    let check = |sim: &SimDisk, acknowledged: &Model, when: &str| {
        let cut = Arc::new(SimDisk::from_image(&synced_only(&sim.recording()), Record::Off));
        let found = contents(&*open(engine, cut, Access::Write).unwrap()).unwrap();
        for (key, value) in acknowledged {
            assert_eq!(found.get(key), Some(value), "{when}: {key:?} was acknowledged");
        }
    };
    for (file, nth) in [(engine.log_ending(), 0..4), ("MANIFEST", 0..1)]
        .into_iter()
        .flat_map(|(f, n)| n.map(move |n| (f, n)))
    {
        let sim = SimDisk::new();
        let disk = FaultDisk::new(Arc::new(sim.clone()));
        let mut acknowledged = Model::new();
        for life in 0..4u8 {
            let store = open(engine, Arc::new(disk.clone()), Access::Create).unwrap();
            if life == 1 {
                disk.rule(At::nth(Call::Sync, file, nth), Fault::Fail(Errno::Io), Lasting::Once);
            }
            for i in 0..60u8 {
                let mut batch = WriteBatch::new();
                batch.set(&[life, i], &[i; 100]);
                let options = if i % 4 == 3 { WriteOptions::durable() } else { WriteOptions::default() };
                let Ok(_) = store.write(batch, &options) else { break };
                if i % 4 == 3 {
                    acknowledged.extend((i - 3..=i).map(|i| (vec![life, i], vec![i; 100])));
                    check(&sim, &acknowledged, &format!("{file} {nth}, life {life}, write {i}"));
                }
            }
            assert_eq!(disk.faults(), u64::from(life > 0), "{file} {nth}");
            check(&sim, &acknowledged, &format!("{file} {nth}, life {life}"));
            // Poisoned, it writes nothing more: as if it had been killed.
            drop(store);
        }
    }
}

// Row E2. fjall#308, rocksdb#12448: a write that failed by half, and then a good one behind the torn
// bytes, which recovery never reaches. Nothing is ever appended behind a failed append.
fn e02_append_fails_or_is_short(engine: &Engine) {
    let appends = operations(engine, Call::Append);
    for fault in [Fault::Fail(Errno::Io), Fault::Short(Errno::Io), Fault::Short(Errno::NoSpace)] {
        for_each(&format!("an append, {fault:?}"), &appends, |op| {
            let (trace, judged) = live_with(engine, At::Index(op.index), fault, Lasting::Once);
            assert!(!is_asked_again(&trace, Call::Append), "something was appended behind torn bytes");
            assert!(!judged.errors.is_empty() || !judged.heard.is_empty() || may_be_swallowed(op));
        });
    }
}

// Rows E2 to E8 at once, for every operation of a store's whole life: what fails is told to somebody,
// nothing that was acknowledged is gone, what was only asked for is there as a prefix, and the store opens
// again. mini-lsm was unopenable after one error, at 2 of 44 operations.
fn e03_each_operation_fails_once(engine: &Engine) {
    inject_everywhere(engine, Fault::Fail(Errno::Io), Lasting::Once);
}

// The same when the disk never works again, until the store is opened anew.
fn e03_each_operation_fails_and_all_that_follow(engine: &Engine) {
    inject_everywhere(engine, Fault::Fail(Errno::Io), Lasting::Sticky);
    inject_everywhere(engine, Fault::Short(Errno::Io), Lasting::Sticky);
}

// Row E3. fjall#304: a batch failed in the background, and a later sync said that all was well. All
// writers of a group share its fate: who is told `Ok` finds the write after a power cut, who is not is
// told why.
fn e03_every_writer_of_a_group_is_told(engine: &Engine) {
    for nth in [0, 1, 2, 5, 9] {
        let sim = SimDisk::new();
        let disk = FaultDisk::new(Arc::new(sim.clone()));
        let options = OpenOptions {
            durability: Durability::Always,
            schedule: Schedule::Threads,
            ..open_options(Arc::new(disk.clone()), Access::Create)
        };
        let store = engine.open(Path::new(DIR), options).unwrap();
        disk.rule(At::nth(Call::Sync, engine.log_ending(), nth), Fault::Fail(Errno::Io), Lasting::Once);
        let acknowledged = Mutex::new(Model::new());
        let refused = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8u8 {
                let (store, acknowledged, refused) = (&store, &acknowledged, &refused);
                scope.spawn(move || {
                    for i in 0..50u8 {
                        match store.set(&[thread, i], &[i; 40]) {
                            Ok(()) => _ = acknowledged.lock().unwrap().insert(vec![thread, i], vec![i; 40]),
                            Err(error) => {
                                assert!(is_told(&error, Errno::Io), "{error:?}");
                                refused.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                });
            }
        });
        assert!(refused.into_inner() > 0 && disk.faults() == 1);
        let cut = Arc::new(SimDisk::from_image(&synced_only(&sim.recording()), Record::Off));
        let found = contents(&*open(engine, cut, Access::Write).unwrap()).unwrap();
        for (key, value) in acknowledged.into_inner().unwrap() {
            assert_eq!(found.get(&key), Some(&value), "{key:?} was acknowledged");
        }
    }
}

// Row E3, on a thread of its own: what fails behind everybody's back is told to the listener, and if it
// leaves the disk unknown, to the next writer.
fn e03_background_failures_are_told(engine: &Engine) {
    let output = engine.output_ending();
    for (call, ends_with, is_fatal) in
        [(Call::Read, output, false), (Call::Create, output, false), (Call::Append, "MANIFEST", true)]
    {
        let disk = FaultDisk::new(Arc::new(empty_disk()));
        let base = open_options(Arc::new(disk.clone()), Access::Create);
        let manual = OpenOptions { schedule: Schedule::Manual, ..base.clone() };
        let store = engine.open(Path::new(DIR), manual).unwrap();
        // Garbage in every segment, and something to keep.
        (0..40u8).for_each(|i| store.set(&[if i % 5 == 0 { i } else { 1 }], &[i; 400]).unwrap());
        let model = contents(&*store).unwrap();
        drop(store);
        let (listener, hear) = Listener::channel();
        let options = OpenOptions { schedule: Schedule::Threads, listener, ..base };
        // Opening reads, and appends nothing; merging does.
        let nth = if call == Call::Read { reads_at_open(engine, &disk) } else { 0 };
        disk.rule(At::nth(call, ends_with, nth), Fault::Fail(Errno::Io), Lasting::Sticky);
        let store = engine.open(Path::new(DIR), options).unwrap();
        let reason = hear.iter().find_map(|event| match event {
            Event::BackgroundFailed { reason } => Some(reason),
            _ => None,
        });
        assert!(reason.unwrap().contains("Input/output error"), "{call}");
        disk.heal();
        assert_eq!(contents(&*store).unwrap(), model);
        match store.set(b"k", b"") {
            Err(error) => assert!(is_fatal && is_told(&error, Errno::Io), "{error:?}"),
            Ok(()) => assert!(!is_fatal, "{call}"),
        }
    }
}

/// How often opening the store reads what merges read too.
fn reads_at_open(engine: &Engine, disk: &FaultDisk) -> u64 {
    let is_it = |op: &&Traced| {
        op.call == Call::Read && op.path.to_str().is_some_and(|path| path.ends_with(engine.output_ending()))
    };
    let count = || disk.trace().iter().filter(is_it).count();
    let before = count();
    let manual =
        OpenOptions { schedule: Schedule::Manual, ..open_options(Arc::new(disk.clone()), Access::Write) };
    drop(engine.open(Path::new(DIR), manual).unwrap());
    (count() - before) as u64
}

// Row E4. rocksdb#6316 and #6331 went on with a manifest whose last edit had failed, and mini-lsm could not
// be opened any more after one such error in two places of forty-four. After an edit that failed, or was
// written by half, nothing is appended to that manifest again: the store takes no more writes, and opening
// it cuts off what nobody vouches for.
fn e04_edit_of_the_manifest_fails(engine: &Engine) {
    let is_edit = |op: &Traced| {
        matches!(op.call, Call::Append | Call::Sync | Call::Rename) && op.path.ends_with("MANIFEST")
            || op.path.ends_with("MANIFEST.tmp")
    };
    let edits: Vec<_> = trace(engine).into_iter().filter(is_edit).collect();
    assert!(edits.len() > 40, "{}", edits.len());
    for fault in [Fault::Fail(Errno::Io), Fault::Short(Errno::Io), Fault::Short(Errno::NoSpace)] {
        for_each(&format!("an edit of the manifest, {fault:?}"), &edits, |op| {
            let (trace, judged) = live_with(engine, At::Index(op.index), fault, Lasting::Once);
            assert!(!is_asked_again(&trace, Call::Append), "another edit behind one that failed");
            assert!(!judged.errors.is_empty() || !judged.heard.is_empty());
        });
    }
}

// Row E5. The disk is full, at every operation of a store's life: at that moment alone, and until space
// is freed, when writes work again after opening.
fn e05_no_space_at_each_operation(engine: &Engine) {
    inject_everywhere(engine, Fault::Fail(Errno::NoSpace), Lasting::Once);
    inject_everywhere(engine, Fault::Short(Errno::NoSpace), Lasting::Sticky);
}

// Row E5, as it is in life: what needs space fails from some moment on, and reading, syncing and removing
// go on.
fn e05_a_full_disk_still_reads(engine: &Engine) {
    for call in [Call::Append, Call::Create] {
        let ops = operations(engine, call);
        let mut nth = 0;
        for_each(&format!("a full disk from one {call} on"), &ops, |_| {
            let (trace, judged) =
                live_with(engine, At::nth(call, "", nth), Fault::Short(Errno::NoSpace), Lasting::Sticky);
            nth += 1;
            assert!(trace.iter().all(|op| !op.faulted || op.call == call));
            assert!(!judged.errors.is_empty() || !judged.heard.is_empty() || ops.len() as u64 - nth < 8);
        });
    }
}

// Row E5 as well. A store that wrote durably, on a disk with less than a megabyte left, was poisoned by its ninth
// sync: the zeros that it put ahead of the log did not fit. The write itself would have, and so after the next
// opening another eight.
fn e05_what_can_not_be_reserved_is_done_without(engine: &Engine) {
    let (trace, judged) =
        live_with(engine, At::first(Call::Reserve, ""), Fault::Fail(Errno::NoSpace), Lasting::Sticky);
    assert!(trace.iter().filter(|op| op.faulted).all(|op| op.call == Call::Reserve));
    assert!(judged.errors.is_empty() && judged.heard.is_empty(), "{:?} {:?}", judged.errors, judged.heard);
}

// Row E6. lsm-tree took a short read for the whole, others an error for "not found". Interruptions and
// short reads are nobody's business; errors are errors.
fn e06_interruptions_and_short_reads_are_invisible(engine: &Engine) {
    inject_everywhere(engine, Fault::Fail(Errno::Interrupted), Lasting::Once);
    let reads = operations(engine, Call::Read);
    for lasting in [Lasting::Once, Lasting::Sticky] {
        let mut nth = 0;
        for_each(&format!("short reads {lasting:?}"), &reads, |_| {
            let (_, judged) =
                live_with(engine, At::nth(Call::Read, "", nth), Fault::Short(Errno::Io), lasting);
            nth += 1;
            assert!(judged.errors.is_empty() && judged.heard.is_empty());
        });
    }
}

// Row E6 as well: a directory is read too.
/// A listing that failed as if the directory were missing passed for an empty one. Two of them, one behind the
/// lock, and a store that was there was cleared away and a new one made in its place; the call said that all was well.
fn e06_a_directory_that_is_missing_for_a_moment_is_no_empty_one(engine: &Engine) {
    let sim = empty_disk();
    let store = open(engine, Arc::new(sim.clone()), Access::Create).unwrap();
    (0..9u8).for_each(|key| store.set(&[key], &[key; 90]).unwrap());
    let model = contents(&*store).unwrap();
    drop(store);
    for missing in 1..4 {
        for first in 0.. {
            let disk = FaultDisk::new(Arc::new(SimDisk::from_image(&sim.image(), Record::Off)));
            for nth in first..first + missing {
                let fault = Fault::Fail(Errno::Missing);
                disk.rule(At::nth(Call::List, "", nth), fault, Lasting::Once);
            }
            let opened = open(engine, Arc::new(disk.clone()), Access::Create);
            if let Ok(store) = opened {
                assert_eq!(contents(&*store).unwrap(), model, "{missing} of {first}");
            }
            let is_over = disk.faults() == 0;
            disk.heal();
            let store = open(engine, Arc::new(disk), Access::Write).unwrap();
            assert_eq!(contents(&*store).unwrap(), model, "{missing} of {first}, opened again");
            if is_over {
                assert!(first > 2, "it lists at least before the lock, behind it, and to recover");
                break;
            }
        }
    }
}

// Row E6, in every way of reading.
fn e06_a_read_error_is_never_not_found(engine: &Engine) {
    let disk = FaultDisk::new(Arc::new(empty_disk()));
    let store = open(&engine.uncached(), Arc::new(disk.clone()), Access::Create).unwrap();
    let keys: Vec<_> = (0..30u32).map(|i| i.to_le_bytes()).collect();
    keys.iter().for_each(|key| store.set(key, &[9; 500]).unwrap());
    store.flush().unwrap();
    let model = contents(&*store).unwrap();
    let snapshot = store.snapshot().unwrap();
    for call in [Call::Read, Call::Open] {
        for errno in [Errno::Io, Errno::Denied, Errno::TooManyFiles] {
            // Reads of files that are open go on without opening.
            let must_fail = call == Call::Read;
            disk.rule(At::first(call, ""), Fault::Fail(errno), Lasting::Sticky);
            let is_right = |found: Result<Option<Vec<u8>>>| match found {
                Ok(value) => {
                    assert!(!must_fail && value.as_deref() == Some(&[9; 500][..]), "{call} {errno:?}")
                }
                Err(error) => assert!(is_told(&error, errno), "{error:?}"),
            };
            for key in &keys {
                is_right(store.get(key).map(|value| value.map(|value| value.to_vec())));
                is_right(snapshot.get(key).map(|value| value.map(|value| value.to_vec())));
                // The old value is asked for: without it nothing is written.
                if must_fail {
                    is_right(store.swap(key, None).map(|value| value.map(|value| value.to_vec())));
                }
            }
            for range in [KeyRange::all(), KeyRange::all().reverse()] {
                let found: Vec<_> = store.scan(range).unwrap().collect();
                let is_whole = found.len() == model.len() && found.iter().all(Result::is_ok);
                assert!(is_whole && !must_fail || found.iter().any(Result::is_err), "{call} {errno:?}");
            }
            disk.heal();
            assert_eq!(contents(&*store).unwrap(), model);
            assert_eq!(store.stats().unwrap().poisoned, None, "a failed read harms nothing");
        }
    }
    store.set(b"k", b"v").unwrap();
}

// Row E7. goleveldb#41, leveldb#401: out of descriptors, a compaction went on without its input. Every
// open and create in turn, once and from then on.
fn e07_no_descriptors_at_each_operation(engine: &Engine) {
    inject_everywhere(engine, Fault::Fail(Errno::TooManyFiles), Lasting::Once);
    inject_everywhere(engine, Fault::Fail(Errno::TooManyFiles), Lasting::Sticky);
}

// Row E7, as it is in life: what is open works, and nothing more can be opened, until it can.
fn e07_open_files_go_on_working(engine: &Engine) {
    for call in [Call::Open, Call::OpenAppend, Call::Create, Call::List, Call::Lock] {
        let mut nth = 0;
        for_each(&format!("no descriptor from one {call} on"), &operations(engine, call), |_| {
            live_with(engine, At::nth(call, "", nth), Fault::Fail(Errno::TooManyFiles), Lasting::Sticky);
            nth += 1;
        });
    }
}

// Row E8. Cassandra (palantir#573): a file that could not be removed brought its data back. What can not
// be renamed changes nothing; what can not be removed is harmless, and goes at the next opening.
fn e08_rename_or_remove_fails(engine: &Engine) {
    for call in [Call::Rename, Call::Remove, Call::Link] {
        for lasting in [Lasting::Once, Lasting::Sticky] {
            let mut nth = 0;
            for_each(&format!("{call}, {lasting:?}"), &operations(engine, call), |op| {
                let fault = Fault::Fail(Errno::Denied);
                let (_, judged) = live_with(engine, At::nth(call, "", nth), fault, lasting);
                nth += 1;
                if call == Call::Rename {
                    assert!(!judged.errors.is_empty());
                } else {
                    assert!(judged.errors.is_empty(), "{:?}", judged.errors);
                    assert!(!judged.heard.is_empty() || may_be_swallowed(op));
                }
            });
        }
    }
}

/// A store with sealed segments, without hints, with half a record at its end.
fn torn_store(engine: &Engine) -> (Image, Model) {
    let disk = empty_disk();
    let manual =
        OpenOptions { schedule: Schedule::Manual, ..open_options(Arc::new(disk.clone()), Access::Create) };
    let store = engine.plain().open(Path::new(DIR), manual).unwrap();
    (0..40u8).for_each(|i| store.set(&[i % 30], &[i; 300]).unwrap());
    let model = contents(&*store).unwrap();
    store.set(b"torn", &[1; 100]).unwrap();
    let mut image = disk.image();
    let active = image.files.keys().rfind(|path| engine.is_log(path)).unwrap().clone();
    let len = image.get(&active).unwrap().len();
    image.cut(&active, len - 50);
    // Left over from something that died.
    image.put(Path::new(DIR).join("MANIFEST.tmp"), *b"half");
    image.put(Path::new(DIR).join("000099.hint"), *b"half");
    (image, model)
}

/// Everything that changes a disk.
const CHANGES: [Call; 11] = [
    Call::Create,
    Call::OpenAppend,
    Call::Remove,
    Call::Rename,
    Call::Link,
    Call::CreateDir,
    Call::SyncDir,
    Call::Append,
    Call::Sync,
    Call::Reserve,
    Call::Truncate,
];

// Row E9. Who opens for reading changes nothing, not even what a writer would mend: rocksdb#10433 wrote a
// log into a directory that was opened for reading only.
fn e09_read_only(engine: &Engine) {
    let (image, model) = torn_store(engine);
    for errno in [Errno::ReadOnly, Errno::Denied] {
        let sim = SimDisk::from_image(&image, Record::Off);
        let disk = FaultDisk::new(Arc::new(sim.clone()));
        CHANGES.iter().for_each(|call| disk.rule(At::first(*call, ""), Fault::Fail(errno), Lasting::Sticky));
        let (listener, hear) = Listener::channel();
        let options = OpenOptions { listener, ..open_options(Arc::new(disk.clone()), Access::Read) };
        let store = engine.open(Path::new(DIR), options).unwrap();
        let is_torn = |event| matches!(event, Event::TornTail { dropped_bytes, .. } if dropped_bytes > 0);
        assert!(hear.try_iter().any(is_torn), "the torn tail is told");
        assert_eq!(contents(&*store).unwrap(), model);
        assert_eq!(store.snapshot().unwrap().get(b"torn").unwrap(), None);
        for result in [
            store.set(b"k", b""),
            store.remove(&[1]).map(|_| ()),
            store.swap(&[1], None).map(|_| ()),
            store.compact(),
            store.checkpoint(Path::new("/elsewhere")),
        ] {
            assert!(matches!(result, Err(Error::ReadOnly)), "{result:?}");
        }
        assert_eq!(store.stats().unwrap().poisoned, None);
        let second = open(engine, Arc::new(disk.clone()), Access::Read).unwrap();
        assert_eq!(contents(&*second).unwrap(), model, "readers do not keep each other out");
        drop((store, second));
        assert_eq!((disk.faults(), sim.image() == image), (0, true), "nothing was even tried");
        // Who wants to write is told why not, and the directory is as it was.
        for access in [Access::Write, Access::Create] {
            let error = refusal(open(engine, Arc::new(disk.clone()), access));
            assert!(is_told(&error, errno), "{error:?}");
            assert_eq!(sim.image(), image);
        }
    }
}

// Row E9, on the real disk, with the rights taken away. (The superuser has them all the same.)
fn e09_read_only_directory(engine: &Engine) {
    use std::os::unix::fs::PermissionsExt;
    let (image, model) = torn_store(engine);
    let root = tempfile::tempdir().unwrap();
    real::write(&image, root.path());
    let path = root.path().join("db");
    let allow = |files: u32, dir: u32| {
        for file in files_in(&path).keys() {
            std::fs::set_permissions(path.join(file), std::fs::Permissions::from_mode(files)).unwrap();
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(dir)).unwrap();
    };
    let before = files_in(&path);
    allow(0o400, 0o500);
    for _ in 0..2 {
        let store = open_at(engine, Arc::new(OsDisk), &path, Access::Read).unwrap();
        assert_eq!(contents(&*store).unwrap(), model);
        assert!(matches!(store.set(b"k", b""), Err(Error::ReadOnly)));
    }
    assert_eq!(files_in(&path), before);
    allow(0o600, 0o700);
    let store = open_at(engine, Arc::new(OsDisk), &path, Access::Write).unwrap();
    assert_eq!(contents(&*store).unwrap(), model);
}

// Row E10. fjall's PoisonDart: a background thread that dies in silence leaves a store that never merges
// or syncs again. The panic is told, to the listener, in the statistics, and to every later writer.
fn e10_background_thread_panics(engine: &Engine) {
    let disk = Arc::new(empty_disk());
    let (tell, hear) = channel();
    let listener = Listener::new(move |event| match event {
        Event::Compacted { .. } => panic!("the listener has had enough"),
        Event::Poisoned { reason } => tell.send(reason.clone()).unwrap(),
        _ => {}
    });
    let options =
        OpenOptions { schedule: Schedule::Threads, listener, ..open_options(disk.clone(), Access::Create) };
    let store = engine.open(Path::new(DIR), options).unwrap();
    let mut model = Model::new();
    let error = (0..).find_map(|i: u32| {
        let value = i.to_le_bytes().repeat(50);
        let result = store.set(&[i as u8 % 4], &value);
        if result.is_ok() {
            model.insert(vec![i as u8 % 4], value);
        }
        result.err()
    });
    let reason = hear.recv().unwrap();
    assert!(reason.contains("panicked"), "{reason}");
    assert!(matches!(error, Some(Error::Poisoned(_))), "{error:?}");
    assert_eq!(store.stats().unwrap().poisoned, Some(reason));
    assert_eq!(contents(&*store).unwrap(), model, "reads go on");
    drop(store);
    let store = open(engine, disk, Access::Write).unwrap();
    assert_eq!(contents(&*store).unwrap(), model);
    store.set(b"k", b"").unwrap();
}

// Row E10, at each thing that happens. The story: a panic while the log was rotated left a writer that
// went on appending to the sealed segment, and a store that could not be opened again. A panic of whoever
// commits poisons as well.
fn e10_a_panic_at_each_event(engine: &Engine) {
    let life = |panic_at: u64| {
        let sim = empty_disk();
        let count = Arc::new(AtomicU64::new(0));
        let counted = count.clone();
        let listener = Listener::new(move |event| {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            assert!(number != panic_at, "enough: {event}");
        });
        let mut states = vec![Model::new()];
        let mut acknowledged = 0;
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let options = OpenOptions { listener, ..open_options(Arc::new(sim.clone()), Access::Create) };
            let store = engine.open(Path::new(DIR), options).unwrap();
            for i in 0..60u8 {
                let mut next = states[acknowledged].clone();
                next.insert(vec![i % 7], vec![i; 400]);
                if states.len() == acknowledged + 1 {
                    states.push(next.clone());
                }
                let result = catch_unwind(AssertUnwindSafe(|| store.set(&[i % 7], &[i; 400])));
                match result {
                    Ok(Ok(())) => {
                        assert_eq!(states[acknowledged + 1], next, "a write after one that panicked");
                        acknowledged += 1;
                    }
                    Ok(Err(error)) => assert!(matches!(error, Error::Poisoned(_)), "{error:?}"),
                    Err(_) => assert!(store.stats().unwrap().poisoned.is_some(), "a panic poisons"),
                }
                assert_eq!(
                    contents(&*store).unwrap().len(),
                    states[acknowledged].len().max(1),
                    "reads go on"
                );
            }
        }));
        let store = open(engine, Arc::new(sim), Access::Create).unwrap();
        let found = contents(&*store).unwrap();
        assert!(states[acknowledged..].contains(&found), "at event {panic_at}");
        count.load(Ordering::Relaxed)
    };
    let events = life(u64::MAX);
    assert!(events > 15, "{events}");
    (0..events).for_each(|at| _ = life(at));
    println!("panics: {events}");
}

/// A child that has the store open until it is killed or its input ends. `write` writes on and on, and
/// says what was acknowledged.
fn hold(engine: &Engine, part: &str) {
    let mut words = part.splitn(3, ' ');
    let (what, path) = (words.next().unwrap(), Path::new(words.next().unwrap()).to_path_buf());
    let access = if what == "read" { Access::Read } else { Access::Write };
    match open_at(engine, Arc::new(OsDisk), &path, access) {
        Err(Error::Locked { path: locked }) => println!("\nlocked {}", locked == path),
        Err(error) => println!("\nfailed {error}"),
        Ok(store) => {
            println!("\nopen");
            if what == "write" {
                for i in 0u64.. {
                    store.set(&i.to_le_bytes(), &[i as u8; 100]).unwrap();
                    println!("\nwritten {i}");
                }
            }
            let _ = std::io::stdin().lock().lines().next();
        }
    }
}

/// A child, and the first thing that it says.
struct Holder {
    child: std::process::Child,
    said: Box<dyn Iterator<Item = String>>,
}

impl Holder {
    fn start(engine: &Engine, what: &str, path: &Path) -> (Holder, String) {
        let part = format!("{what} {}", path.display());
        let mut child = child::command(engine, "e11_second_process", &part).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The test harness speaks on the same line.
        let ours =
            |line: &String| ["open", "locked", "failed", "written"].iter().any(|word| line.starts_with(word));
        let mut said = Box::new(lines.map_while(std::io::Result::ok).filter(ours));
        let first = said.next().unwrap();
        (Holder { child, said }, first)
    }

    /// Kills it, as `kill -9` does. What it had said until then.
    fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.said.collect()
    }
}

// Row E11. A second process is refused at once and writes nothing; the lock is the system's and dies
// with its process, however that dies. There is no lock file that could be left over or deleted.
fn e11_second_process(engine: &Engine) {
    if let Some(part) = child::part() {
        return hold(engine, &part);
    }
    let (image, model) = torn_store(engine);
    let root = tempfile::tempdir().unwrap();
    real::write(&image, root.path());
    let path = root.path().join("db");
    let names = |files: std::collections::BTreeMap<String, Vec<u8>>| files.into_keys().collect::<Vec<_>>();

    // Here, then there.
    let store = open_at(engine, Arc::new(OsDisk), &path, Access::Write).unwrap();
    let before = files_in(&path);
    assert!(
        names(before.clone()).iter().all(|name| !name.to_lowercase().contains("lock")),
        "a file for a lock"
    );
    for what in ["wait", "read"] {
        let (holder, said) = Holder::start(engine, what, &path);
        assert_eq!(said, "locked true");
        holder.kill();
    }
    assert_eq!(files_in(&path), before, "the loser writes nothing");
    assert_eq!(contents(&*store).unwrap(), model);
    drop(store);

    // There, then here; and the lock dies with the process.
    let (holder, said) = Holder::start(engine, "wait", &path);
    assert_eq!(said, "open");
    for access in [Access::Create, Access::Write, Access::Read] {
        let error = refusal(open_at(engine, Arc::new(OsDisk), &path, access));
        assert!(matches!(&error, Error::Locked { path: locked } if *locked == path), "{error:?}");
    }
    holder.kill();
    assert_eq!(contents(&*open_at(engine, Arc::new(OsDisk), &path, Access::Write).unwrap()).unwrap(), model);

    // Readers let readers in, and keep writers out.
    let (holder, said) = Holder::start(engine, "read", &path);
    assert_eq!(said, "open");
    assert_eq!(contents(&*open_at(engine, Arc::new(OsDisk), &path, Access::Read).unwrap()).unwrap(), model);
    assert!(matches!(open_at(engine, Arc::new(OsDisk), &path, Access::Write), Err(Error::Locked { .. })));
    holder.kill();

    // Killed in the middle of writing: all that it said was written is there.
    let (mut holder, said) = Holder::start(engine, "write", &path);
    assert_eq!(said, "open");
    let mut written: Vec<_> = holder.said.by_ref().take(100).collect();
    written.extend(holder.kill());
    // The last line may have been cut by the kill.
    written.pop();
    let last: u64 = written.last().unwrap().strip_prefix("written ").unwrap().parse().unwrap();
    let store = open_at(engine, Arc::new(OsDisk), &path, Access::Write).unwrap();
    for i in 0..=last {
        assert_eq!(store.get(&i.to_le_bytes()).unwrap().unwrap(), [i as u8; 100]);
    }
}

// Row E11, a second handle in the same process: `flock` alone would not see it on all systems, and some
// engines open the same files twice.
fn e11_second_handle_in_the_same_process(engine: &Engine) {
    let root = tempfile::tempdir().unwrap();
    let real_path = root.path().join("db");
    let sim: Arc<dyn Vfs> = Arc::new(empty_disk());
    let os: Arc<dyn Vfs> = Arc::new(OsDisk);
    for (disk, path) in [(sim, Path::new(DIR)), (os, &*real_path)] {
        let store = open_at(engine, disk.clone(), path, Access::Create).unwrap();
        store.set(b"k", b"v").unwrap();
        for access in [Access::Create, Access::Write, Access::Read] {
            assert!(matches!(open_at(engine, disk.clone(), path, access), Err(Error::Locked { .. })));
        }
        // A snapshot outlives its store, and keeps nobody out.
        let snapshot = store.snapshot().unwrap();
        drop(store);
        let first = open_at(engine, disk.clone(), path, Access::Read).unwrap();
        let second = open_at(engine, disk.clone(), path, Access::Read).unwrap();
        assert!(matches!(open_at(engine, disk.clone(), path, Access::Write), Err(Error::Locked { .. })));
        drop(first);
        assert!(matches!(open_at(engine, disk.clone(), path, Access::Create), Err(Error::Locked { .. })));
        drop(second);
        open_at(engine, disk.clone(), path, Access::Write).unwrap().set(b"k", b"new").unwrap();
        assert_eq!(snapshot.get(b"k").unwrap().unwrap(), b"v");
    }
}

// Row E12. fjall#257: after recovery, sealed memtables were queued that nobody flushed, and the next
// write waited for ever. What a killed store left undone is done after opening, within a bounded number
// of operations, and does not keep anybody waiting.
fn e12_live_after_recovery(engine: &Engine) {
    let disk = empty_disk();
    let manual =
        OpenOptions { schedule: Schedule::Manual, ..open_options(Arc::new(disk.clone()), Access::Create) };
    let store = engine.open(Path::new(DIR), manual).unwrap();
    // Much garbage, tombstones, nothing merged, and a snapshot that was held; then a kill.
    let snapshot = store.snapshot().unwrap();
    for round in 0..20u8 {
        (0..20u8).for_each(|i| store.set(&[i], &[round; 400]).unwrap());
        assert!(store.remove(&[round]).unwrap());
    }
    let (image, model) = (disk.image(), contents(&*store).unwrap());
    drop((snapshot, store));
    for schedule in [Schedule::Inline, Schedule::Threads] {
        let sim = SimDisk::from_image(&image, Record::Off);
        let disk = FaultDisk::new(Arc::new(sim.clone()));
        let (listener, hear) = Listener::channel();
        let base = open_options(Arc::new(disk.clone()), Access::Write);
        let options = OpenOptions { schedule, listener, ..base };
        let store = engine.open(Path::new(DIR), options).unwrap();
        assert_eq!(contents(&*store).unwrap(), model);
        store.set(b"alive", b"yes").unwrap();
        let is_merge = |event: &Event| matches!(event, Event::Compacted { .. });
        // Whoever waits for ever can not say for what.
        let mut heard = std::iter::from_fn(|| hear.recv_timeout(Duration::from_secs(30)).ok());
        assert!(heard.any(|event| is_merge(&event)), "what was left to merge is merged");
        store.compact().unwrap();
        drop(store);
        let store = open(engine, Arc::new(disk.clone()), Access::Write).unwrap();
        assert_eq!(contents(&*store).unwrap().len(), model.len() + 1);
        assert!(store.stats().unwrap().disk_bytes < 20_000, "garbage of {} bytes", image_bytes(&image));
        assert!(disk.operations() < 2000, "{}", disk.operations());
    }
}

fn image_bytes(image: &Image) -> usize {
    image.files.values().map(|content| content.len()).sum()
}

/// The files of a directory, and their bytes.
fn files_in(dir: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut files = std::collections::BTreeMap::new();
    for entry in OsDisk.list(dir).unwrap() {
        let file = OsDisk.open(&dir.join(&entry.name), Cause::Inspect).unwrap();
        let mut bytes = vec![0; file.len() as usize];
        kvs::vfs::read_exact_at(&*file, &mut bytes, 0).unwrap();
        files.insert(entry.name, bytes);
    }
    files
}
