//! Little of everything: file descriptors, address space, room on the disk; and a directory that changes
//! under a store that is open. The real disk, real limits, in a process of their own.
//!
//! A disk that is full at each single operation, and descriptors that are refused at each single one, are
//! rows E5 and E7 in `tests/errors.rs`; clocks are row S11 in `tests/rows.rs`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[macro_use]
mod fault_support {
    pub(crate) mod child;
    #[macro_use]
    pub(crate) mod engine;
    pub(crate) mod store;
}

use fault_support::child;
use fault_support::engine::empty_disk;
use fault_support::store::{Model, contents, open, open_at};
use kvs::engine::kind::EngineKind;
use kvs::engine::options::{Access, Durability, OpenOptions, WriteOptions};
use kvs::engine::range::KeyRange;
use kvs::error::Error;
use kvs::survive::engine::Engine;
use kvs::vfs::fault::{At, Call, Errno, Fault, FaultDisk, Lasting};
use kvs::vfs::os::OsDisk;
use std::process::Stdio;
use std::sync::Arc;

on_each_engine!([
    sixty_four_descriptors,
    little_address_space,
    a_disk_that_is_full_for_a_while,
    a_disk_that_becomes_read_only,
    a_directory_that_vanishes,
]);

/// Runs the test again, in a process of its own, and there `work` under a limit of the system.
fn under(limit: (Resource, u64), engine: &Engine, test: &str, work: fn(&Engine)) {
    if child::part().is_some() {
        set_limit(limit);
        return work(engine);
    }
    let child = child::command(engine, test, "limited").stdin(Stdio::null()).output().unwrap();
    print!("{}", String::from_utf8_lossy(&child.stdout));
    assert!(child.status.success(), "{}", child.status);
}

/// What a process has no more of than so much.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Resource {
    Descriptors,
    AddressSpace,
}

#[expect(unsafe_code, reason = "setrlimit has no safe wrapper in std")]
fn set_limit((resource, amount): (Resource, u64)) {
    let limit = libc::rlimit { rlim_cur: amount, rlim_max: amount };
    let which = match resource {
        Resource::Descriptors => libc::RLIMIT_NOFILE,
        Resource::AddressSpace => libc::RLIMIT_AS,
    };
    // SAFETY: the pointer is to a live value of the right type, and is not kept.
    assert_eq!(unsafe { libc::setrlimit(which, &limit) }, 0);
}

/// A store has hundreds of files, and the process may have 64 open: an option says 256, the limit of the
/// system says less, and what was a default must not become "Too many open files" in the middle of a
/// merge. (goleveldb#41, leveldb#401, rocksdb#164: stores that stop, or lose what they could not open.)
fn sixty_four_descriptors(engine: &Engine) {
    under((Resource::Descriptors, 64), engine, "sixty_four_descriptors", |engine| {
        let root = tempfile::tempdir().unwrap();
        let (path, copy) = (root.path().join("db"), root.path().join("copy"));
        let usual = match engine.kind {
            EngineKind::Lsm => engine.with("max_open_tables", "512").with("table_bytes", "1KiB"),
            _ => engine.with("max_open_segments", "256").unmerged(),
        };
        let engine = usual;
        let mut model = Model::new();
        let mut files = 0;
        for round in 0..2_u8 {
            // On threads, as users have it.
            let store = engine.open(&path, OpenOptions::default()).unwrap();
            for n in 0..3000_u32 {
                let (key, value) = (n.wrapping_mul(2_654_435_761).to_be_bytes(), [round; 300]);
                store.set(&key, &value).unwrap();
                model.insert(key.to_vec(), value.to_vec());
            }
            let snapshot = store.snapshot().unwrap();
            files = files.max(store.stats().unwrap().files.len());
            assert_eq!(contents(&*store).unwrap(), model);
            assert_eq!(store.scan(KeyRange::all().reverse()).unwrap().count(), model.len());
            for key in model.keys() {
                assert!(store.get(key).unwrap().is_some());
            }
            if round == 1 {
                store.compact().unwrap();
                store.checkpoint(&copy).unwrap();
            }
            assert_eq!(contents(&snapshot).unwrap(), model);
            assert_eq!(store.stats().unwrap().poisoned, None);
        }
        println!("{} files under 64 descriptors", files);
        assert!(files > 150, "{files}");
        let store = open_at(&engine, Arc::new(OsDisk), &copy, Access::Read).unwrap();
        assert_eq!(contents(&*store).unwrap(), model);
    });
}

/// Files that are mapped take address space, and a process may have less of it than its store is large.
/// What can not be mapped is read with calls.
fn little_address_space(engine: &Engine) {
    // A quarter of 2 GiB, so that a store that is larger is written in a moment. Much less is not enough
    // for the allocator, which takes 64 MiB of it for each thread.
    const LIMIT: u64 = 512 << 20;
    under((Resource::AddressSpace, LIMIT), engine, "little_address_space", |engine| {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("db");
        let engine = match engine.kind {
            EngineKind::Lsm => engine
                .with("mmap", "true")
                .with("memtable_bytes", "8MiB")
                .with("table_bytes", "4MiB")
                .with("block_bytes", "4096")
                .with("max_open_tables", "512"),
            _ => engine.with("mmap", "true").with("segment_bytes", "8MiB").with("max_open_segments", "256"),
        };
        let engine = engine.unmerged();
        let value = |n: u32| n.to_le_bytes().repeat(16 << 10);
        const KEYS: u32 = 9000;
        for _ in 0..2 {
            let store = engine.open(&path, OpenOptions::default()).unwrap();
            let is_new = store.get(&0_u32.to_be_bytes()).unwrap().is_none();
            for n in (0..KEYS).filter(|_| is_new) {
                store.set(&n.to_be_bytes(), &value(n)).unwrap();
            }
            for n in 0..KEYS {
                assert_eq!(store.get(&n.to_be_bytes()).unwrap().unwrap(), value(n)[..], "{n}");
            }
            assert_eq!(store.scan(KeyRange::all()).unwrap().count(), KEYS as usize);
            let bytes: u64 = store.stats().unwrap().files.iter().map(|file| file.bytes).sum();
            assert!(bytes > LIMIT, "{bytes}");
            assert_eq!(store.stats().unwrap().poisoned, None);
        }
    });
}

/// The disk is full at some moment; whatever is tried then fails, and reads go on. Somebody makes room,
/// and the store, opened again, has all that was acknowledged and takes writes.
fn a_disk_that_is_full_for_a_while(engine: &Engine) {
    let mut moments = 0;
    for moment in 0.. {
        let disk = Arc::new(FaultDisk::new(Arc::new(empty_disk())));
        let mut model = Model::new();
        let store = open(engine, disk.clone(), Access::Create).unwrap();
        disk.rule(At::nth(Call::Append, "", moment), Fault::Fail(Errno::NoSpace), Lasting::Sticky);
        let mut doubtful = None;
        for n in 0..60_u32 {
            let (key, value) = ((n % 7).to_be_bytes(), n.to_le_bytes().repeat(80));
            match store.set(&key, &value) {
                Ok(()) => drop(model.insert(key.to_vec(), value)),
                Err(error) => {
                    doubtful = doubtful.or(Some((key.to_vec(), value)));
                    assert!(
                        matches!(error, Error::Io { .. } | Error::NoSpace { .. } | Error::Poisoned(_)),
                        "{error:?}"
                    );
                }
            }
        }
        assert_eq!(contents(&*store).unwrap(), model, "full from append {moment} on: reads go on");
        let is_full = disk.faults() > 0;
        drop(store);
        disk.heal();
        let store = open(engine, disk, Access::Write).unwrap();
        let found = contents(&*store).unwrap();
        let mut with_doubtful = model.clone();
        with_doubtful.extend(doubtful);
        assert!(found == model || found == with_doubtful, "full from append {moment} on");
        for n in 0..40_u32 {
            store.set(&n.to_be_bytes(), &[7; 400]).unwrap();
        }
        store.compact().unwrap();
        if !is_full {
            break;
        }
        moments += 1;
    }
    println!("{}: full from each of {moments} appends on", engine.name());
    assert!(moments > 60, "{moments}");
}

/// The file system is mounted read-only under a store that is open, as Linux does after an error: nothing
/// is acknowledged any more, and all that was is read, then and later.
fn a_disk_that_becomes_read_only(engine: &Engine) {
    let disk = Arc::new(FaultDisk::new(Arc::new(empty_disk())));
    let store = open(engine, disk.clone(), Access::Create).unwrap();
    let mut model = Model::new();
    for n in 0..30_u32 {
        let (key, value) = (n.to_be_bytes(), n.to_le_bytes().repeat(90));
        store.set(&key, &value).unwrap();
        model.insert(key.to_vec(), value);
    }
    store.sync().unwrap();
    for call in [Call::Append, Call::Sync, Call::Create, Call::Remove, Call::Rename, Call::SyncDir] {
        disk.rule(At::first(call, ""), Fault::Fail(Errno::ReadOnly), Lasting::Sticky);
    }
    for _ in 0..3 {
        assert!(store.write(batch_of_one(), &WriteOptions { durability: Some(Durability::Always) }).is_err());
        assert_eq!(contents(&*store).unwrap(), model);
    }
    assert!(store.stats().unwrap().poisoned.is_some());
    drop(store);
    let reader = open(engine, disk.clone(), Access::Read).unwrap();
    assert_eq!(contents(&*reader).unwrap(), model);
    drop(reader);
    disk.heal();
    let store = open(engine, disk, Access::Write).unwrap();
    assert_eq!(contents(&*store).unwrap(), model);
    store.set(b"k", b"v").unwrap();
}

fn batch_of_one() -> kvs::engine::batch::WriteBatch {
    let mut batch = kvs::engine::batch::WriteBatch::new();
    batch.set(b"lost", b"never acknowledged");
    batch
}

/// Somebody removes the directory of a store that is open. What is in open files can be read; the first
/// thing that needs a name fails, with its path, and nothing is acknowledged after it. The next opening finds
/// no store, and says so.
fn a_directory_that_vanishes(engine: &Engine) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("db");
    let store = engine.open(&path, OpenOptions::default()).unwrap();
    for n in 0..100_u32 {
        store.set(&n.to_be_bytes(), &[1; 200]).unwrap();
    }
    std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_dir_all(&path)).unwrap();
    let error = (0..1_000_000_u32).find_map(|n| store.set(&n.to_be_bytes(), &[2; 200]).err());
    let error = error.expect("a store does not go on without a directory");
    assert!(matches!(error, Error::Io { .. } | Error::Poisoned(_)), "{error:?}");
    assert!(error.to_string().contains("db"), "it names the place: {error}");
    for _ in 0..3 {
        assert!(matches!(store.set(b"k", b"v"), Err(Error::Poisoned(_))));
    }
    // What can be read is right; what can not is an error.
    for n in 0..100_u32 {
        match store.get(&n.to_be_bytes()) {
            Ok(value) => assert!(value.is_some_and(|value| value.len() == 200), "{n}"),
            Err(error) => assert!(error.to_string().contains("db"), "{error}"),
        }
    }
    drop(store);
    assert!(!path.exists(), "nothing is made in its place");
    let again = open_at(engine, Arc::new(OsDisk), &path, Access::Write);
    assert!(matches!(again.map(|_| ()), Err(Error::NoStore { .. })));
    let new = engine.open(&path, OpenOptions::default()).unwrap();
    assert!(new.get(&0_u32.to_be_bytes()).unwrap().is_none());
}
