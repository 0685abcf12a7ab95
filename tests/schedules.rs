//! Schedules of whole engines, explored: threads, background work and the disk take steps in an order that
//! shuttle chooses, one seed after another.
//!
//! ```sh
//! .ci/model shuttle test --test schedules
//! ```
//!
//! `KVS_SCHEDULES` says how many schedules each scenario gets (1,000), `KVS_SEED` from which seed (1). What
//! fails prints its schedule; `KVS_REPLAY=<that>` and the name of the test run it again, step by step. What
//! is explored and what is not is in `notes/schedules.md`.
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "a test may")]

mod schedules_support {
    pub(crate) mod disk;
    pub(crate) mod explore;
}

use kvs::engine::batch::WriteBatch;
use kvs::engine::event::{Event, Listener};
use kvs::engine::options::{Access, OpenOptions, WriteOptions};
use kvs::engine::range::KeyRange;
use kvs::engine::{Cursor, KvsEngine, KvsRead, Pairs};
use kvs::error::Error;
use kvs::survive::engine::Engine;
use kvs::survive::linear::{Call, Register, Timed};
use kvs::vfs::Vfs;
use kvs::vfs::crash::{self, budget::Budget, timeline::Crash};
use kvs::vfs::fault::{self, At, Errno, Fault, FaultDisk, Lasting};
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::recording::Mark;
use kvs::vfs::memory::{Record, SimDisk};
use kvs::worker::Schedule;
use schedules_support::disk::Stepped;
use schedules_support::explore::{Size, explore, explore_engine};
use shuttle::thread;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// On each engine, a test of its own.
macro_rules! on_each_engine {
    ([$($name:ident: $size:ident),* $(,)?]) => {
        on_each_engine!(bitcask, [$($name: $size),*]);
        on_each_engine!(lsm, [$($name: $size),*]);
    };
    ($engine:ident, [$($name:ident: $size:ident),*]) => {
        mod $engine {
            $(#[test]
            fn $name() {
                super::explore_engine(stringify!($name), super::Engine::$engine(), super::Size::$size, super::$name);
            })*
        }
    };
}

on_each_engine!([
    every_read_is_linearizable: Usual,
    a_group_is_whole_and_durable: Tenth,
    no_get_goes_back_behind_a_batch: Usual,
    what_is_not_shown_yet_is_no_garbage: Usual,
    a_failed_sync_reaches_everybody: Usual,
    a_snapshot_is_one_moment: Usual,
    a_cursor_turns_round_beside_a_writer: Usual,
    no_scan_shows_a_write_without_the_load_before_it: Usual,
    reads_in_the_gap_of_a_flush: Usual,
    files_stay_while_a_reader_holds_them: Usual,
    closing_beside_busy_workers: Usual,
    a_checkpoint_beside_writers: Usual,
    a_crash_at_any_moment_leaves_a_prefix: Tenth,
]);

type Store = Arc<dyn KvsEngine>;

fn options(disk: Arc<dyn Vfs>) -> OpenOptions {
    OpenOptions { disk, store_id: Some(7), ..OpenOptions::default() }
}

fn open(engine: &Engine, disk: &SimDisk) -> Store {
    engine.open(Path::new("/db"), options(Stepped::new(Arc::new(disk.clone())))).unwrap()
}

/// What a disk holds, opened by itself.
fn reopen(engine: &Engine, image: &Image, path: &str) -> Result<Store, Error> {
    let disk = Arc::new(SimDisk::from_image(image, Record::Off));
    let options = OpenOptions { schedule: Schedule::Manual, access: Access::Write, ..options(disk) };
    engine.open(Path::new(path), options)
}

/// A value that says a number, large enough that four of them fill a log.
fn value(number: u64) -> Vec<u8> {
    let mut value = vec![b'.'; 1000];
    value[..8].copy_from_slice(&number.to_be_bytes());
    value
}

/// The number that a value says; 0 is no value.
fn number(value: Option<&[u8]>) -> u64 {
    value.map_or(0, |value| u64::from_be_bytes(value[..8].try_into().unwrap()))
}

fn get(store: &dyn KvsRead, key: &str) -> u64 {
    number(store.get(key.as_bytes()).unwrap().as_deref())
}

fn pair(cursor: &mut dyn Cursor) -> (Vec<u8>, u64) {
    (cursor.key().to_vec(), number(Some(cursor.value().unwrap())))
}

fn batch(keys: &[&str], number: u64) -> WriteBatch {
    let mut batch = WriteBatch::new();
    keys.iter().for_each(|key| batch.set(key.as_bytes(), &value(number)));
    batch
}

fn write(store: &dyn KvsEngine, keys: &[&str], number: u64) {
    store.write(batch(keys, number), &WriteOptions::default()).unwrap();
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Calls and their answers, on a clock that stands still between steps.
#[derive(Default)]
struct History {
    clock: AtomicU64,
    calls: Mutex<Vec<(&'static str, Timed)>>,
}

impl History {
    fn call(&self, thread: usize, key: &'static str, ask: impl FnOnce() -> Call) {
        let begin = self.clock.fetch_add(1, SeqCst);
        let call = ask();
        let end = self.clock.fetch_add(1, SeqCst);
        self.calls.lock().unwrap().push((key, Timed { thread, begin, end, call }));
    }

    fn judge(&self) {
        let calls = self.calls.lock().unwrap();
        for key in KEYS {
            let of_key: Vec<_> = calls.iter().filter(|(of, _)| *of == key).map(|(_, timed)| *timed).collect();
            assert_eq!(Register::new(0).check(&of_key), Ok(()), "{key}: {of_key:?}");
        }
    }
}

const KEYS: [&str; 2] = ["apple", "pear"];

/// Two writers who set, swap and remove, and a reader: each key is a register. The log rotates and the
/// background works meanwhile.
fn every_read_is_linearizable(engine: &Engine) {
    let (store, history) = (open(engine, &SimDisk::new()), Arc::new(History::default()));
    let writers = (0..2).map(|me| {
        let (store, history) = (store.clone(), history.clone());
        thread::spawn(move || {
            for round in 0..3 {
                let (key, new) = (KEYS[(me + round) % 2], (10 * (me + 1) + round) as u64);
                history.call(me, key, || match round {
                    0 => Call::Swap(
                        new,
                        number(store.swap(key.as_bytes(), Some(&value(new))).unwrap().as_deref()),
                    ),
                    1 if me == 1 => Call::Remove(store.remove(key.as_bytes()).unwrap()),
                    _ => {
                        store.set(key.as_bytes(), &value(new)).unwrap();
                        Call::Put(new)
                    }
                });
            }
        })
    });
    let mut threads: Vec<_> = writers.collect();
    let (reading, told) = (store.clone(), history.clone());
    threads.push(thread::spawn(move || {
        for key in [KEYS[0], KEYS[1], KEYS[0], KEYS[1]] {
            told.call(2, key, || Call::Get(get(&*reading, key)));
        }
    }));
    join(threads);
    KEYS.iter().for_each(|key| history.call(0, key, || Call::Get(get(&*store, key))));
    history.judge();
}

/// What writers were promised, as marks on the disk: `w n` says that batch `n` of writer `w` is there.
struct Promises {
    disk: SimDisk,
    count: AtomicU64,
}

impl Promises {
    fn new(disk: &SimDisk) -> Arc<Promises> {
        disk.record(Record::On);
        Arc::new(Promises { disk: disk.clone(), count: AtomicU64::new(0) })
    }

    fn keep(&self, writer: u64, number: u64, is_durable: bool) {
        let count = self.count.fetch_add(1, SeqCst) + 1;
        self.disk
            .mark(Mark::Note(format!("{} {writer} {number}", if is_durable { "durable" } else { "handed" })));
        self.disk.mark(if is_durable { Mark::Ack(count) } else { Mark::Handed(count) });
    }

    /// Every crash leaves of each writer's batches a prefix with all that it was promised, each whole.
    fn judge(&self, engine: &Engine, writers: u64) {
        let budget = Budget {
            random_per_cut: 1,
            max_per_cut: 5,
            exhaustive: 0,
            torn_writes: 0,
            tears_per_write: 0,
            ..Budget::default()
        };
        let report = crash::explore(&self.disk.recording(), &budget, |state| {
            let store = reopen(engine, &state.image, "/db").map_err(|error| error.to_string())?;
            let promised = state.marks().filter_map(|mark| match mark {
                Mark::Note(text) => text.strip_prefix("durable ").or_else(|| match state.crash {
                    Crash::Kill => text.strip_prefix("handed "),
                    Crash::PowerCut => None,
                }),
                _ => None,
            });
            let mut least = vec![0; writers as usize];
            for text in promised {
                let (writer, number) = text.split_once(' ').unwrap();
                least[writer.parse::<usize>().unwrap()] = number.parse().unwrap();
            }
            (0..writers).try_for_each(|writer| judge_writer(&*store, writer, least[writer as usize]))
        });
        assert!(report.violations.is_empty(), "{report}");
        assert!(report.distinct > 0);
    }
}

/// Of one writer's batches: each set two keys to its number, and left a key of its own.
fn judge_writer(store: &dyn KvsRead, writer: u64, least: u64) -> Result<(), String> {
    let found = [0, 1].map(|part| get(store, &format!("{writer}-{part}")));
    let own: Vec<u64> = (1..=9).filter(|n| get(store, &format!("{writer}:{n}")) == *n).collect();
    let newest = own.len() as u64;
    let is_prefix = own.iter().copied().eq(1..=newest);
    match is_prefix && found == [newest; 2] && newest >= least {
        true => Ok(()),
        false => Err(format!("of writer {writer}: {found:?}, {own:?}, promised {least}")),
    }
}

/// Writes so many batches, each of which `judge_writer` knows, and promises them as they are acknowledged.
fn write_batches(
    store: &dyn KvsEngine,
    promises: &Promises,
    writer: u64,
    count: u64,
    options: &WriteOptions,
) {
    for n in 1..=count {
        let keys = [format!("{writer}-0"), format!("{writer}:{n}"), format!("{writer}-1")];
        let keys = keys.each_ref().map(String::as_str);
        store.write(batch(&keys, n), options).unwrap();
        promises.keep(writer, n, options.durability.is_some());
    }
}

/// Three durable writers share syncs; a power cut at any moment takes no acknowledged batch, and no half.
fn a_group_is_whole_and_durable(engine: &Engine) {
    let disk = SimDisk::new();
    let store = open(engine, &disk);
    let promises = Promises::new(&disk);
    let writers = (0..3).map(|me| {
        let (store, promises) = (store.clone(), promises.clone());
        thread::spawn(move || write_batches(&*store, &promises, me, 1, &WriteOptions::durable()))
    });
    join(writers.collect());
    drop(store);
    promises.judge(engine, 3);
}

/// The first sync of the log fails: every member of that group is told, nobody later is told otherwise, and
/// what was acknowledged before is still read.
fn a_failed_sync_reaches_everybody(engine: &Engine) {
    let disk = SimDisk::new();
    let faults = FaultDisk::new(Arc::new(disk.clone()));
    let stepped = Stepped::new(Arc::new(faults.clone()));
    let store = engine.open(Path::new("/db"), options(stepped)).unwrap();
    store.set(b"before", &value(1)).unwrap();
    faults.rule(At::first(fault::Call::Sync, ""), Fault::Fail(Errno::Io), Lasting::Sticky);
    let results = Arc::new(Mutex::new(Vec::new()));
    let writers = (0..3u64).map(|me| {
        let (store, results) = (store.clone(), results.clone());
        thread::spawn(move || {
            let result = store.write(batch(&["x"], me + 1), &WriteOptions::durable());
            results.lock().unwrap().push(result);
        })
    });
    join(writers.collect());
    assert!(results.lock().unwrap().iter().all(Result::is_err), "{results:?}");
    assert!(faults.faults() > 0);
    assert!(matches!(store.set(b"after", b""), Err(Error::Poisoned(_))));
    assert_eq!(get(&*store, "before"), 1);
}

/// A get that sees a batch is not followed by one that does not, of whichever of its keys.
///
/// Bitcask showed a batch key by key, so that one reader was told the new value of one key and then the old
/// one of another. `kvs torture --concurrent` found it after some hundred thousand calls, where nobody had
/// asked before. A batch now takes the shards of all its keys before it shows the first.
fn no_get_goes_back_behind_a_batch(engine: &Engine) {
    let store = open(engine, &SimDisk::new());
    let keys = ["a", "b", "c", "d"];
    let writing = store.clone();
    let writer = thread::spawn(move || (1..=3).for_each(|n| write(&*writing, &keys, n)));
    let readers = (0..2).map(|me| {
        let store = store.clone();
        thread::spawn(move || {
            let mut seen = 0;
            for turn in 0..8 {
                let key = keys[(me + 3 * turn) % keys.len()];
                let now = get(&*store, key);
                assert!(now >= seen, "{key} is {now} behind {seen}");
                seen = now;
            }
        })
    });
    join(readers.chain([writer]).collect());
}

/// Writers whose groups fill more than one log, beside who merges all that there is.
///
/// A group may go on in the next segment before its first writes are shown. The segment that it sealed had no
/// live bytes then, so a merge in that moment took it for garbage: the writes were acknowledged, pointed into
/// a segment that was gone, and the next write of such a key searched for it for ever. `kvs torture
/// --concurrent` did not end. A merge now leaves alone what holds writes after the last that is shown.
fn what_is_not_shown_yet_is_no_garbage(engine: &Engine) {
    let disk = SimDisk::new();
    let store = open(engine, &disk);
    let writers = [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]].map(|keys| {
        let store = store.clone();
        thread::spawn(move || (1..=2).for_each(|n| write(&*store, &keys, n)))
    });
    let settling = store.clone();
    let merger = thread::spawn(move || (0..20).for_each(|_| settling.settle().unwrap()));
    join(writers.into_iter().chain([merger]).collect());
    let look = |store: &dyn KvsRead| {
        let scan = store.scan(KeyRange::all()).unwrap();
        let numbers: Vec<_> = scan.map(|pair| number(Some(&pair.unwrap().1))).collect();
        assert_eq!(numbers, [2; 9]);
        ["a", "e", "i"].iter().for_each(|key| assert_eq!(get(store, key), 2, "{key}"));
    };
    look(&*store);
    drop(store);
    look(&*reopen(engine, &disk.image(), "/db").unwrap());
}

/// Batches that set three keys to one number, beside whoever rewrites files: a snapshot sees one number,
/// the same one for ever, and the next snapshot none that is older.
fn a_snapshot_is_one_moment(engine: &Engine) {
    let store = open(engine, &SimDisk::new());
    let (writing, compacting) = (store.clone(), store.clone());
    write(&*store, &["a", "b", "c"], 1);
    let threads = vec![
        thread::spawn(move || (2..=4).for_each(|n| write(&*writing, &["a", "b", "c"], n))),
        thread::spawn(move || compacting.compact().unwrap()),
    ];
    let look = |snapshot: &dyn KvsRead| {
        let one = get(snapshot, "b");
        let scan = snapshot.scan(KeyRange::all()).unwrap();
        let scanned: Vec<_> = scan.map(|pair| number(Some(&pair.unwrap().1))).collect();
        assert_eq!(scanned, [one; 3], "a snapshot that saw {one}");
        one
    };
    let first = store.snapshot().unwrap();
    let seen = look(&first);
    let second = store.snapshot().unwrap();
    assert!(look(&second) >= seen);
    drop(second);
    assert_eq!(look(&first), seen);
    join(threads);
    assert_eq!((look(&first), get(&*store, "a")), (seen, 4));
}

/// A cursor that is moved to and fro beside a writer sees one moment: the same pairs in both directions.
fn a_cursor_turns_round_beside_a_writer(engine: &Engine) {
    let store = open(engine, &SimDisk::new());
    write(&*store, &["b", "d", "f"], 1);
    let writing = store.clone();
    let writer = thread::spawn(move || {
        write(&*writing, &["a", "b", "c", "d", "e", "f", "g"], 2);
        writing.remove(b"d").unwrap();
        writing.flush().unwrap();
    });
    let mut cursor = store.cursor(KeyRange::all()).unwrap();
    let mut forward = Vec::new();
    cursor.seek_to_first().unwrap();
    while cursor.valid() {
        let here = pair(&mut *cursor);
        // There and back again.
        cursor.next().unwrap();
        if cursor.valid() {
            cursor.prev().unwrap();
            assert_eq!(pair(&mut *cursor), here);
            cursor.next().unwrap();
        }
        forward.push(here);
    }
    let mut back = Vec::new();
    cursor.seek_to_last().unwrap();
    while cursor.valid() {
        back.push(pair(&mut *cursor));
        cursor.prev().unwrap();
    }
    drop(cursor);
    back.reverse();
    assert_eq!(forward, back);
    let keys: Vec<u8> = forward.iter().map(|(key, _)| key[0]).collect();
    assert!([&b"bdf"[..], b"abcdefg", b"abcefg"].contains(&&keys[..]), "{keys:?}");
    assert!(forward.iter().all(|(_, number)| *number == forward[0].1), "{forward:?}");
    join(vec![writer]);
}

/// A load, and then a write. The LSM tree's cursor pinned its view before it held a moment; a load into an empty
/// memtable changes only the view, and the write behind it went into the memtable that both views have: the cursor
/// showed the write, and not the load.
fn no_scan_shows_a_write_without_the_load_before_it(engine: &Engine) {
    struct One(bool);
    impl Pairs for One {
        fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>, Error> {
            Ok(std::mem::take(&mut self.0).then_some((b"a", &[0; 8])))
        }
    }
    let store = open(engine, &SimDisk::new());
    let writing = store.clone();
    let writer = thread::spawn(move || {
        writing.load_sorted(&mut One(true)).unwrap();
        write(&*writing, &["b"], 2);
    });
    for _ in 0..3 {
        let keys: Vec<u8> = store.scan(KeyRange::all()).unwrap().map(|pair| pair.unwrap().0[0]).collect();
        assert_ne!(keys, b"b", "the load was before it");
    }
    join(vec![writer]);
}

/// One key is written again and again, through rotations and flushes: who reads it never sees nothing, and
/// never an older number than before.
fn reads_in_the_gap_of_a_flush(engine: &Engine) {
    let store = open(engine, &SimDisk::new());
    write(&*store, &["x"], 1);
    let (writing, flushing) = (store.clone(), store.clone());
    let threads = vec![
        thread::spawn(move || (2..=6).for_each(|n| write(&*writing, &["x"], n))),
        thread::spawn(move || {
            flushing.flush().unwrap();
            flushing.compact().unwrap();
        }),
    ];
    let mut last = 1;
    for _ in 0..5 {
        let now = get(&*store, "x");
        assert!(now >= last, "{now} after {last}");
        last = now;
    }
    join(threads);
    assert_eq!(get(&*store, "x"), 6);
}

/// Compactions and merges take files away; who reads from them does not notice.
fn files_stay_while_a_reader_holds_them(engine: &Engine) {
    let removed = Arc::new(AtomicU64::new(0));
    let hear = removed.clone();
    let listener = Listener::new(move |event: &Event| {
        hear.fetch_add(u64::from(matches!(event, Event::Removed { .. })), SeqCst);
    });
    let disk = Stepped::new(Arc::new(SimDisk::new()));
    let store = engine.open(Path::new("/db"), OpenOptions { listener, ..options(disk) }).unwrap();
    for n in 1..=2 {
        write(&*store, &["a", "b", "c"], n);
        store.flush().unwrap();
    }
    let (compacting, reading) = (store.clone(), store.clone());
    let threads = vec![
        thread::spawn(move || compacting.compact().unwrap()),
        thread::spawn(move || (0..3).for_each(|_| assert_eq!(get(&*reading, "c"), 2))),
    ];
    let snapshot = store.snapshot().unwrap();
    let mut cursor = store.cursor(KeyRange::all()).unwrap();
    cursor.seek_to_first().unwrap();
    for key in ["a", "b", "c"] {
        assert_eq!(pair(&mut *cursor), (key.as_bytes().to_vec(), 2));
        assert_eq!(get(&snapshot, key), 2);
        cursor.next().unwrap();
    }
    assert!(!cursor.valid());
    drop(cursor);
    drop(snapshot);
    join(threads);
    store.compact().unwrap();
    assert!(removed.load(SeqCst) > 0, "nothing was removed");
}

/// A store is let go while its workers are busy: that ends, and the next opening finds everything.
fn closing_beside_busy_workers(engine: &Engine) {
    let disk = SimDisk::new();
    let store = open(engine, &disk);
    let writers = (0..2u64).map(|me| {
        let store = store.clone();
        thread::spawn(move || (1..=4).for_each(|n| write(&*store, &[["a", "b"][me as usize]], n)))
    });
    let writers = writers.collect();
    drop(store);
    // The last writer to end closes it.
    join(writers);
    for _ in 0..2 {
        let store = open(engine, &disk);
        assert_eq!((get(&*store, "a"), get(&*store, "b")), (4, 4));
    }
}

/// A checkpoint holds a moment between its beginning and its end: whole batches, and all that was
/// acknowledged before.
fn a_checkpoint_beside_writers(engine: &Engine) {
    let disk = SimDisk::new();
    let store = open(engine, &disk);
    write(&*store, &["a", "b"], 1);
    let writing = store.clone();
    let acked = Arc::new(AtomicU64::new(1));
    let acks = acked.clone();
    let writer = thread::spawn(move || {
        for n in 2..=5 {
            write(&*writing, &["a", "b"], n);
            acks.store(n, SeqCst);
        }
    });
    let least = acked.load(SeqCst);
    store.checkpoint(Path::new("/copy")).unwrap();
    let most = acked.load(SeqCst) + 1;
    let copy = reopen(engine, &disk.image(), "/copy").unwrap();
    let (a, b) = (get(&*copy, "a"), get(&*copy, "b"));
    assert!(a == b && (least..=most).contains(&a), "{a} {b}, not {least} to {most}");
    join(vec![writer]);
}

/// Two writers who wait for no sync, beside rotations, flushes and merges. The power goes at any moment:
/// of each writer's batches a prefix is there. The process is killed: all that was acknowledged.
fn a_crash_at_any_moment_leaves_a_prefix(engine: &Engine) {
    let disk = SimDisk::new();
    let store = open(engine, &disk);
    let promises = Promises::new(&disk);
    let writers = (0..2).map(|me| {
        let (store, promises) = (store.clone(), promises.clone());
        thread::spawn(move || write_batches(&*store, &promises, me, 2, &WriteOptions::default()))
    });
    join(writers.collect());
    drop(store);
    promises.judge(engine, 2);
}

/// The newest entries, and those that are on the disk: as an engine has it, and nothing else.
struct Toy {
    view: shuttle::sync::Mutex<Arc<Vec<u64>>>,
    visible: shuttle::sync::atomic::AtomicU64,
}

/// What a reader asks for first.
#[derive(Clone, Copy)]
enum First {
    View,
    Moment,
}

impl Toy {
    fn write(&self, moment: u64) {
        let mut view = self.view.lock().unwrap();
        *view = Arc::new(view.iter().copied().chain([moment]).collect());
        self.visible.store(moment, SeqCst);
    }

    /// Keeps of all entries the newest: no snapshot is held.
    fn compact(&self) {
        let mut view = self.view.lock().unwrap();
        *view = Arc::new(view.last().copied().into_iter().collect());
    }

    fn read(&self, first: First) -> Option<u64> {
        let moment = || self.visible.load(SeqCst);
        let pin = || self.view.lock().unwrap().clone();
        let (at, view) = match first {
            First::View => {
                let view = pin();
                (moment(), view)
            }
            First::Moment => (moment(), pin()),
        };
        view.iter().copied().filter(|entry| *entry <= at).max()
    }
}

fn read_beside_a_compaction(first: First) {
    let toy = Toy { view: Default::default(), visible: Default::default() };
    toy.write(1);
    let toy = Arc::new(toy);
    let writing = toy.clone();
    let writer = thread::spawn(move || {
        writing.write(2);
        writing.compact();
    });
    assert!(toy.read(first).is_some(), "an entry is lost");
    join(vec![writer]);
}

/// That the exploration finds anything at all: a reader who asks for the moment before it pins the view
/// loses what a compaction in between took away. One step of one thread has to fall between two of another.
#[test]
fn a_planted_bug_is_found() {
    explore("a toy", Size::Toy, || read_beside_a_compaction(First::View));
    let find = || explore("a toy with a bug", Size::Toy, || read_beside_a_compaction(First::Moment));
    assert!(catch_unwind(AssertUnwindSafe(find)).is_err(), "no schedule showed the bug");
}
