//! Readers, writers, snapshots and merges at once: what each may see of the others.
//!
//! How long the mixed runs take is set by `KVS_CONCURRENCY_SECONDS` (4 by default), how much the others do
//! by `KVS_CONCURRENCY_OPS` (20,000 by default). For ten minutes of each mixed run, with what it did:
//! `KVS_CONCURRENCY_SECONDS=600 cargo test --release --test concurrency -- --nocapture consistent`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[macro_use]
mod fault_support {
    #[macro_use]
    pub(crate) mod engine;
}

mod concurrency_support {
    pub(crate) mod mixed;
}

use concurrency_support::mixed;
use fault_support::engine::empty_disk;
use kvs::engine::batch::WriteBatch;
use kvs::engine::event::{Event, Listener};
use kvs::engine::options::{OpenOptions, WriteOptions};
use kvs::engine::range::KeyRange;
use kvs::engine::{KvsEngine, KvsRead};
use kvs::survive::engine::Engine;
use kvs::vfs::{Cause, DirEntry, DirLock, DiskFile, LockMode, Vfs};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

on_each_engine!([
    every_read_is_consistent_in_memory,
    every_read_is_consistent_on_the_disk,
    no_snapshot_sees_half_a_batch,
    no_get_goes_back_behind_a_batch,
    what_is_not_shown_yet_is_no_garbage,
    swaps_are_one_step_among_all_writers,
    eight_durable_writers_share_syncs,
    reads_go_on_while_a_write_waits_for_the_disk,
    reads_and_writes_go_on_while_a_merge_waits_for_the_disk,
]);

/// What a hook is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Append,
    Sync,
}

type Hook = Arc<dyn Fn(Call, Cause) + Send + Sync>;

/// A disk that asks a hook before it appends or syncs: so that a test can hold an operation up for as
/// long as it likes.
#[derive(Clone)]
struct HookDisk {
    inner: Arc<dyn Vfs>,
    hook: Hook,
}

struct HookFile {
    inner: Arc<dyn DiskFile>,
    cause: Cause,
    hook: Hook,
}

impl HookDisk {
    fn new(inner: Arc<dyn Vfs>, hook: impl Fn(Call, Cause) + Send + Sync + 'static) -> Arc<HookDisk> {
        Arc::new(HookDisk { inner, hook: Arc::new(hook) })
    }

    fn wrap(&self, inner: Arc<dyn DiskFile>, cause: Cause) -> Arc<dyn DiskFile> {
        Arc::new(HookFile { inner, cause, hook: self.hook.clone() })
    }
}

impl fmt::Debug for HookDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookDisk")
    }
}

impl fmt::Debug for HookFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookFile")
    }
}

impl Vfs for HookDisk {
    fn create(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.inner.create(path, cause)?, cause))
    }
    fn append(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.inner.append(path, cause)?, cause))
    }
    fn open(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        self.inner.open(path, cause)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.link(from, to)
    }
    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.real_path(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }
    fn lock(&self, dir: &Path, mode: LockMode) -> io::Result<Box<dyn DirLock>> {
        self.inner.lock(dir, mode)
    }
}

impl DiskFile for HookFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (self.hook)(Call::Append, self.cause);
        self.inner.append(bytes)
    }
    fn sync(&self) -> io::Result<()> {
        (self.hook)(Call::Sync, self.cause);
        self.inner.sync()
    }
    fn write_again(&self, from: u64) -> io::Result<()> {
        self.inner.write_again(from)
    }
    fn reserve(&self, bytes: u64) -> io::Result<()> {
        self.inner.reserve(bytes)
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.inner.truncate(len)
    }
    fn len(&self) -> u64 {
        self.inner.len()
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }
}

/// Lets one operation wait until the test lets it go.
#[derive(Default)]
struct Gate {
    closed: AtomicBool,
    arrived: AtomicU64,
}

impl Gate {
    fn pass(&self) {
        if self.closed.load(Ordering::SeqCst) {
            self.arrived.fetch_add(1, Ordering::SeqCst);
            while self.closed.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
    }

    fn wait_for_arrival(&self) {
        while self.arrived.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
    }
}

fn open(engine: &Engine, disk: Arc<dyn Vfs>) -> Arc<dyn KvsEngine> {
    engine.open(Path::new("/store"), OpenOptions { disk, ..OpenOptions::default() }).unwrap()
}

fn key(n: u64) -> Vec<u8> {
    format!("key{n:04}").into_bytes()
}

/// A value that says its version twice, and is long enough that segments fill.
fn value(version: u64) -> Vec<u8> {
    let mut value = version.to_le_bytes().to_vec();
    value.resize(8 + (version % 90) as usize, b'.');
    value.extend_from_slice(&version.to_le_bytes());
    value
}

fn version(value: &[u8]) -> u64 {
    let (first, last) = (value.first_chunk::<8>().unwrap(), value.last_chunk::<8>().unwrap());
    assert_eq!(first, last, "a torn value");
    u64::from_le_bytes(*first)
}

fn ops() -> u64 {
    std::env::var("KVS_CONCURRENCY_OPS").ok().and_then(|ops| ops.parse().ok()).unwrap_or(20_000)
}

fn seconds() -> u64 {
    std::env::var("KVS_CONCURRENCY_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(4)
}

/// The real disk, with `/store` somewhere below a temporary directory.
#[derive(Debug)]
struct Rooted {
    root: PathBuf,
}

impl Rooted {
    fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap())
    }
}

impl Vfs for Rooted {
    fn create(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        kvs::vfs::os::OsDisk.create(&self.at(path), cause)
    }
    fn append(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        kvs::vfs::os::OsDisk.append(&self.at(path), cause)
    }
    fn open(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        kvs::vfs::os::OsDisk.open(&self.at(path), cause)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        kvs::vfs::os::OsDisk.remove(&self.at(path))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        kvs::vfs::os::OsDisk.rename(&self.at(from), &self.at(to))
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        kvs::vfs::os::OsDisk.link(&self.at(from), &self.at(to))
    }
    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_path_buf())
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        kvs::vfs::os::OsDisk.list(&self.at(dir))
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        kvs::vfs::os::OsDisk.create_dir(&self.at(dir))
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        kvs::vfs::os::OsDisk.sync_dir(&self.at(dir))
    }
    fn lock(&self, dir: &Path, mode: LockMode) -> io::Result<Box<dyn DirLock>> {
        kvs::vfs::os::OsDisk.lock(&self.at(dir), mode)
    }
}

fn every_read_is_consistent_in_memory(engine: &Engine) {
    mixed::run(engine, Arc::new(empty_disk()), seconds());
}

fn every_read_is_consistent_on_the_disk(engine: &Engine) {
    let dir = tempfile::tempdir().unwrap();
    mixed::run(&engine.with_log_bytes(64 << 10), Arc::new(Rooted { root: dir.path().into() }), seconds());
}

/// One batch after the other sets all keys to one number.
fn number_all(store: &dyn KvsEngine, keys: u64, done: &AtomicBool) {
    for round in 0..ops() / 20 {
        let mut batch = WriteBatch::new();
        (0..keys).for_each(|n| batch.set(&key(n), &value(round)));
        store.write(batch, &WriteOptions::default()).unwrap();
    }
    done.store(true, Ordering::SeqCst);
}

/// A batch sets all keys to one number. Whoever looks at a snapshot sees one number.
fn no_snapshot_sees_half_a_batch(engine: &Engine) {
    const KEYS: u64 = 20;
    let store = open(engine, Arc::new(empty_disk()));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| number_all(&*store, KEYS, &done));
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let snapshot = store.snapshot().unwrap();
                    let seen = snapshot.scan(KeyRange::all()).unwrap().map(|pair| version(&pair.unwrap().1));
                    let seen: Vec<_> = seen.collect();
                    assert!(seen.is_empty() || seen.len() == KEYS as usize);
                    assert!(seen.iter().all(|version| *version == seen[0]), "{seen:?}");
                    if let Some(first) = seen.first() {
                        let got = snapshot.get(&key(KEYS - 1)).unwrap().unwrap();
                        assert_eq!(version(&got), *first);
                    }
                }
            });
        }
    });
}

/// A get that sees a batch is not followed by one that does not, of whichever of its keys.
///
/// Bitcask showed a batch key by key, so that one reader was told the new value of one key and then the old
/// one of another. `kvs torture --concurrent` found it after some hundred thousand calls. A batch now takes
/// the shards of all its keys before it shows the first. (tests/schedules.rs asks the same of threads that
/// it leads.)
fn no_get_goes_back_behind_a_batch(engine: &Engine) {
    const KEYS: u64 = 100;
    let store = open(engine, Arc::new(empty_disk()));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| number_all(&*store, KEYS, &done));
        for reader in 0..2 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                let mut seen = None;
                for turn in 0.. {
                    let now = store.get(&key((reader + 37 * turn) % KEYS)).unwrap();
                    let now = now.map(|value| version(&value));
                    assert!(now >= seen, "{now:?} behind {seen:?}");
                    seen = now;
                    if done.load(Ordering::SeqCst) {
                        break;
                    }
                }
            });
        }
    });
}

/// Writes that are in the log and not yet shown are no garbage, though nothing points to them.
///
/// The leader of a commit may go on in the next log in the middle of its group. The segment that it sealed
/// had no live bytes then, so a Bitcask's merge in that moment left all its records out. The writes were
/// acknowledged and lost: the keydir pointed into a segment that was gone, and the next write of such a key
/// searched for it for ever. `kvs torture --concurrent` did not end. A merge now leaves alone what holds
/// writes after the last that is shown.
///
/// Here four writers come together on a disk that takes its time, so that groups form, and each writes its
/// keys twice, so that there is something to merge. The background, when it has done a merge, waits for a log
/// that is sealed before it looks for the next one, and the writer who sealed it waits for the background.
fn what_is_not_shown_yet_is_no_garbage(engine: &Engine) {
    const WRITERS: u64 = 4;
    const EACH: u64 = 100;
    let log = engine.log_cause();
    let memory = empty_disk();
    let disk = HookDisk::new(Arc::new(memory.clone()), move |call, cause| {
        if (call, cause) == (Call::Append, log) {
            std::thread::sleep(Duration::from_micros(100));
        }
    });
    let (seals, sealed) = sync_channel(0);
    let sealed = Mutex::new(sealed);
    let listener = Listener::new(move |event| match event {
        Event::Rotated { .. } if seals.try_send(()).is_ok() => std::thread::sleep(Duration::from_millis(2)),
        Event::Compacted { .. } => _ = sealed.lock().unwrap().recv_timeout(Duration::from_millis(10)),
        _ => {}
    });
    let options = OpenOptions { disk, listener, ..OpenOptions::default() };
    let store = engine.open(Path::new("/store"), options).unwrap();
    std::thread::scope(|scope| {
        for me in 0..WRITERS {
            let store = &store;
            let write = move |n| (0..2).for_each(|_| store.set(&key(n), &[b'.'; 1500]).unwrap());
            scope.spawn(move || (0..EACH).for_each(|n| write(WRITERS * n + me)));
        }
    });
    // Not in this thread: a get of what is gone searches without end.
    let (answers, answered) = channel();
    let reading = store.clone();
    std::thread::spawn(move || {
        let found = (0..WRITERS * EACH).filter(|n| reading.get(&key(*n)).unwrap().is_some()).count();
        drop(reading);
        answers.send(found)
    });
    let all = (WRITERS * EACH) as usize;
    assert_eq!(answered.recv_timeout(Duration::from_secs(10)), Ok(all));
    drop(store);
    let store = open(engine, Arc::new(memory));
    assert_eq!(store.scan(KeyRange::all()).unwrap().count(), all);
}

/// `swap` and `remove` are one step: of many who take a ticket, each gets its own.
fn swaps_are_one_step_among_all_writers(engine: &Engine) {
    let store = open(engine, Arc::new(empty_disk()));
    let (rounds, threads) = (ops() / 20, 4);
    let won = AtomicU64::new(0);
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (store, won, barrier) = (&store, &won, &barrier);
            scope.spawn(move || {
                for round in 0..rounds {
                    if thread == 0 {
                        store.set(b"ticket", &round.to_le_bytes()).unwrap();
                    }
                    barrier.wait();
                    let old = store.swap(b"ticket", None).unwrap();
                    if let Some(old) = old {
                        assert_eq!(old, round.to_le_bytes());
                        won.fetch_add(1, Ordering::SeqCst);
                    }
                    barrier.wait();
                }
            });
        }
    });
    assert_eq!(won.into_inner(), rounds, "each ticket was taken once");
}

/// Eight writers who want to be durable share syncs: while one sync runs, the others queue up and are
/// committed together. The disk here needs a millisecond for a sync, as a fast real one does.
fn eight_durable_writers_share_syncs(engine: &Engine) {
    let syncs = Arc::new(AtomicU64::new(0));
    let counted = syncs.clone();
    let log = engine.log_cause();
    let disk = HookDisk::new(Arc::new(empty_disk()), move |call, cause| {
        if (call, cause) == (Call::Sync, log) {
            counted.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let store = open(&engine.with_log_bytes(1 << 20), disk);
    let before = syncs.load(Ordering::SeqCst);
    let (threads, writes) = (8, 50);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let store = &store;
            scope.spawn(move || {
                for i in 0..writes {
                    let mut batch = WriteBatch::new();
                    batch.set(&key(thread * 1000 + i), b"v");
                    store.write(batch, &WriteOptions::durable()).unwrap();
                }
            });
        }
    });
    let shared = syncs.load(Ordering::SeqCst) - before;
    println!("{} durable writes took {shared} syncs", threads * writes);
    assert!(shared <= threads * writes / 2, "{shared} syncs for {} writes", threads * writes);
}

/// A reader never waits for a writer's disk: gets, scans and snapshots go on while a sync hangs.
fn reads_go_on_while_a_write_waits_for_the_disk(engine: &Engine) {
    for held_up in [Call::Append, Call::Sync] {
        let gate = Arc::new(Gate::default());
        let passed = gate.clone();
        let log = engine.log_cause();
        let disk = HookDisk::new(Arc::new(empty_disk()), move |call, cause| {
            if (call, cause) == (held_up, log) {
                passed.pass();
            }
        });
        let store = open(engine, disk);
        store.set(b"k", b"old").unwrap();
        gate.closed.store(true, Ordering::SeqCst);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut batch = WriteBatch::new();
                batch.set(b"k", b"new");
                store.write(batch, &WriteOptions::durable()).unwrap();
            });
            gate.wait_for_arrival();
            assert_eq!(store.get(b"k").unwrap().unwrap(), b"old");
            let snapshot = store.snapshot().unwrap();
            assert_eq!(snapshot.scan(KeyRange::all()).unwrap().count(), 1);
            gate.closed.store(false, Ordering::SeqCst);
        });
        assert_eq!(store.get(b"k").unwrap().unwrap(), b"new");
    }
}

/// Nor for a merge: reads and writes go on while one hangs in the middle of its copying, and what was
/// written meanwhile is newer than what it copied.
fn reads_and_writes_go_on_while_a_merge_waits_for_the_disk(engine: &Engine) {
    let gate = Arc::new(Gate::default());
    let passed = gate.clone();
    let disk = HookDisk::new(Arc::new(empty_disk()), move |call, cause| {
        if call == Call::Sync && Engine::is_rewrite(cause) {
            passed.pass();
        }
    });
    let store = open(&engine.unmerged(), disk);
    for round in 0..3 {
        (0..100).for_each(|n| store.set(&key(n), &value(round)).unwrap());
    }
    gate.closed.store(true, Ordering::SeqCst);
    let (done, wait) = channel();
    std::thread::scope(|scope| {
        let store = &store;
        scope.spawn(move || {
            store.compact().unwrap();
            done.send(()).unwrap();
        });
        gate.wait_for_arrival();
        store.set(&key(0), &value(7)).unwrap();
        assert!(store.remove(&key(1)).unwrap());
        assert_eq!(version(&store.get(&key(2)).unwrap().unwrap()), 2);
        assert_eq!(store.scan(KeyRange::all()).unwrap().count(), 99);
        assert!(wait.try_recv().is_err(), "the merge still waits");
        gate.closed.store(false, Ordering::SeqCst);
        wait.recv().unwrap();
    });
    assert_eq!(version(&store.get(&key(0)).unwrap().unwrap()), 7);
    assert_eq!(store.get(&key(1)).unwrap(), None);
    assert_eq!(version(&store.get(&key(2)).unwrap().unwrap()), 2);
    assert!(store.stats().unwrap().dead_bytes < 200, "{:?}", store.stats().unwrap());
}
