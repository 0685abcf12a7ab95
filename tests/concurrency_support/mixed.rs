//! Writers, readers, snapshots, cursors and compaction at once, for as long as one likes, and every
//! single thing that is read is held against the history.
//!
//! Each key has one writer, which counts its versions up: what it is about to write is *issued*, what
//! has returned is *acknowledged*. A read that begins when version `a` is acknowledged, and ends when
//! `b` is issued, must find one of `a..=b`: nothing older (stale), nothing that is not there (lost),
//! nothing that was never written. The last keys are removed by every third version.

use crate::{open, version};
use kvs::dice::Dice;
use kvs::engine::batch::WriteBatch;
use kvs::engine::range::KeyRange;
use kvs::engine::{Cursor, KvsEngine, KvsRead};
use kvs::survive::engine::Engine;
use kvs::vfs::Vfs;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// All keys; those of a writer are the ones of its parity.
const KEYS: u64 = 200;

/// Keys from here on are there or not.
const STEADY: u64 = 150;

const WRITERS: u64 = 2;

/// What writers have begun and what was acknowledged, for each key; and what was read.
struct History {
    issued: Vec<AtomicU64>,
    acknowledged: Vec<AtomicU64>,
    writes: AtomicU64,
    reads: AtomicU64,
    compactions: AtomicU64,
    is_over: AtomicBool,
}

fn key(n: u64) -> Vec<u8> {
    format!("key{n:04}").into_bytes()
}

fn number(key: &[u8]) -> u64 {
    std::str::from_utf8(&key[3..]).unwrap().parse().unwrap()
}

/// What a version of a key is: `None`, a removal.
fn content(n: u64, version: u64) -> Option<Vec<u8>> {
    let is_there = n < STEADY || !version.is_multiple_of(3);
    is_there.then(|| crate::value(version))
}

impl History {
    fn new() -> History {
        let zeros = || (0..KEYS).map(|_| AtomicU64::new(0)).collect();
        History {
            issued: zeros(),
            acknowledged: zeros(),
            writes: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            compactions: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    fn acknowledged(&self, n: u64) -> u64 {
        self.acknowledged[n as usize].load(SeqCst)
    }

    fn all_acknowledged(&self) -> Vec<u64> {
        (0..KEYS).map(|n| self.acknowledged(n)).collect()
    }

    fn issued(&self, n: u64) -> u64 {
        self.issued[n as usize].load(SeqCst)
    }

    /// A read of a key that began when `floor` was acknowledged, and ends now.
    fn check(&self, n: u64, floor: u64, found: Option<&[u8]>, by: &str) {
        let may_be: RangeInclusive<u64> = floor..=self.issued(n);
        self.reads.fetch_add(1, SeqCst);
        match found {
            Some(value) => {
                let version = version(value);
                assert!(may_be.contains(&version), "{by}: key {n} has version {version}, not of {may_be:?}");
                assert_eq!(content(n, version).as_deref(), Some(value), "{by}: key {n}");
            }
            None => {
                let is_removed = may_be.clone().any(|version| content(n, version).is_none());
                assert!(is_removed, "{by}: key {n} is not there; it was, in each of {may_be:?}");
            }
        }
    }

    /// All pairs that somebody saw at one moment.
    fn check_all(&self, floors: &[u64], found: &BTreeMap<Vec<u8>, Vec<u8>>, by: &str) {
        for n in 0..KEYS {
            self.check(n, floors[n as usize], found.get(&key(n)).map(|value| &value[..]), by);
        }
        assert!(found.keys().all(|found| number(found) < KEYS), "{by}: a key that nobody wrote");
    }

    fn is_over(&self) -> bool {
        self.is_over.load(SeqCst)
    }
}

/// Runs for so many seconds, and until each kind of reader and three compactions have come to their end;
/// then opens the store again.
pub(crate) fn run(engine: &Engine, disk: Arc<dyn Vfs>, seconds: u64) {
    let store = open(engine, disk.clone());
    let history = History::new();
    for n in 0..KEYS {
        if let Some(value) = content(n, 0) {
            store.set(&key(n), &value).unwrap();
        }
    }
    let began = Instant::now();
    std::thread::scope(|scope| {
        let (store, history) = (&*store, &history);
        let mut threads = Vec::new();
        for writer in 0..WRITERS {
            threads.push(scope.spawn(move || write(store, history, writer)));
        }
        for seed in 0..2 {
            threads.push(scope.spawn(move || get(store, history, seed)));
        }
        threads.push(scope.spawn(|| look_at_snapshots(store, history)));
        threads.push(scope.spawn(|| walk(store, history)));
        threads.push(scope.spawn(|| scan(store, history)));
        threads.push(scope.spawn(|| compact(store, history)));
        // One that panics ends all, so that the test ends.
        while began.elapsed() < Duration::from_secs(seconds) || history.compactions.load(SeqCst) < 3 {
            if threads.iter().any(|thread| thread.is_finished()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        history.is_over.store(true, SeqCst);
    });
    let stats = store.stats().unwrap();
    assert_eq!((stats.snapshots, stats.poisoned), (0, None));
    drop(store);
    let store = open(engine, disk);
    for n in 0..KEYS {
        let last = history.issued(n);
        assert_eq!(history.acknowledged(n), last);
        assert_eq!(store.get(&key(n)).unwrap().as_deref(), content(n, last).as_deref(), "opened again");
    }
    let [reads, writes, compactions] =
        [&history.reads, &history.writes, &history.compactions].map(|count| count.load(SeqCst));
    println!(
        "{engine}: {reads} reads, all consistent, beside {writes} writes and {compactions} compactions, {} s",
        began.elapsed().as_secs()
    );
    assert!(reads > 1000 && writes > 100, "{reads} reads, {writes} writes");
}

/// Writes single keys, batches, swaps and removals of its own keys.
fn write(store: &dyn KvsEngine, history: &History, writer: u64) {
    let mut random = Dice::new(writer + 1);
    while !history.is_over() {
        // Few keys often and many seldom, so that files have both garbage and what is live.
        let spread = [4, 20, KEYS / WRITERS][random.below(3) as usize];
        let count = if random.below(4) == 0 { 5 } else { 1 };
        let mut keys: Vec<u64> = (0..count).map(|_| random.below(spread) * WRITERS + writer).collect();
        keys.sort_unstable();
        keys.dedup();
        let next: Vec<u64> =
            keys.iter().map(|n| history.issued[*n as usize].fetch_add(1, SeqCst) + 1).collect();
        if let ([n], [version]) = (&keys[..], &next[..]) {
            write_one(store, &mut random, *n, *version);
        } else {
            let mut batch = WriteBatch::new();
            for (n, version) in keys.iter().zip(&next) {
                match content(*n, *version) {
                    Some(value) => batch.set(&key(*n), &value),
                    None => batch.remove(&key(*n)),
                }
            }
            store.write(batch, &Default::default()).unwrap();
        }
        for (n, version) in keys.iter().zip(&next) {
            history.acknowledged[*n as usize].store(*version, SeqCst);
        }
        history.writes.fetch_add(keys.len() as u64, SeqCst);
    }
}

/// One key, which nobody else writes: so what was there before is known.
fn write_one(store: &dyn KvsEngine, random: &mut Dice, n: u64, version: u64) {
    let (before, now) = (content(n, version - 1), content(n, version));
    match (random.below(3), &now) {
        (0, _) => {
            let old = store.swap(&key(n), now.as_deref()).unwrap();
            assert_eq!(old.as_deref(), before.as_deref(), "swap: key {n}, version {version}");
        }
        (_, Some(value)) => store.set(&key(n), value).unwrap(),
        (_, None) => assert_eq!(store.remove(&key(n)).unwrap(), before.is_some(), "remove: key {n}"),
    }
}

/// Gets keys, and never sees one go back.
fn get(store: &dyn KvsEngine, history: &History, seed: u64) {
    let mut random = Dice::new(100 + seed);
    let mut seen = [0; KEYS as usize];
    while !history.is_over() {
        let n = random.below(KEYS);
        let floor = history.acknowledged(n).max(seen[n as usize]);
        let found = store.get(&key(n)).unwrap();
        history.check(n, floor, found.as_deref(), "get");
        if let Some(found) = found {
            seen[n as usize] = version(&found);
        }
    }
}

fn contents(read: &dyn KvsRead, range: KeyRange) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let pairs = read.scan(range).unwrap().map(|pair| pair.unwrap());
    pairs.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// Holds a few snapshots, the oldest for long, and finds the same in them again and again: by scans both
/// ways and by gets.
fn look_at_snapshots(store: &dyn KvsEngine, history: &History) {
    let mut random = Dice::new(200);
    let mut held = Vec::new();
    while !history.is_over() {
        let floors = history.all_acknowledged();
        let snapshot = store.snapshot().unwrap();
        let found = contents(&snapshot, KeyRange::all());
        history.check_all(&floors, &found, "snapshot");
        held.push((snapshot, found));
        for (snapshot, found) in &held {
            assert_eq!(contents(snapshot, KeyRange::all().reverse()), *found, "a snapshot has changed");
            let n = random.below(KEYS);
            let again = snapshot.get(&key(n)).unwrap();
            assert_eq!(again.as_deref(), found.get(&key(n)).map(|value| &value[..]), "key {n} of a snapshot");
            history.reads.fetch_add(KEYS + 1, SeqCst);
        }
        if held.len() > 4 {
            held.remove(random.below(5) as usize);
        }
    }
}

/// Scans parts of the present, from either end.
fn scan(store: &dyn KvsEngine, history: &History) {
    let mut random = Dice::new(500);
    while !history.is_over() {
        let from = random.below(KEYS);
        let to = from + random.below(KEYS - from + 1);
        let mut range = KeyRange::of(key(from)..key(to));
        let is_reverse = random.below(2) == 0;
        if is_reverse {
            range = range.reverse();
        }
        let floors = history.all_acknowledged();
        let pairs = store.scan(range).unwrap().map(|pair| pair.unwrap());
        let mut found: Vec<(u64, Vec<u8>)> =
            pairs.map(|(key, value)| (number(&key), value.to_vec())).collect();
        if is_reverse {
            found.reverse();
        }
        let by = if is_reverse { "scan from the end" } else { "scan" };
        assert!(found.is_sorted_by(|(a, _), (b, _)| a < b), "{by} of {from}..{to}: {found:?}");
        assert!(found.iter().all(|(n, _)| (from..to).contains(n)), "{by} of {from}..{to}: {found:?}");
        let mut found = found.into_iter().peekable();
        for n in from..to {
            let value = found.next_if(|(at, _)| *at == n).map(|(_, value)| value);
            history.check(n, floors[n as usize], value.as_deref(), by);
        }
    }
}

/// Walks to and fro with one cursor after the other. What it has seen at a key it sees there again.
fn walk(store: &dyn KvsEngine, history: &History) {
    let mut random = Dice::new(300);
    while !history.is_over() {
        let floors = history.all_acknowledged();
        let mut cursor = store.cursor(KeyRange::all()).unwrap();
        let mut seen: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for _ in 0..20 {
            let from = random.below(KEYS);
            cursor.seek(&key(from)).unwrap();
            for _ in 0..random.below(20) {
                let Some(at) = look(&mut *cursor, &mut seen) else { break };
                if random.below(3) > 0 {
                    cursor.next().unwrap();
                    let next = if cursor.valid() { number(cursor.key()) } else { KEYS };
                    // Nothing of what always exists was passed over.
                    assert!(next > at && (at + 1..next).all(|n| n >= STEADY), "from {at} to {next}");
                } else {
                    cursor.prev().unwrap();
                    assert!(!cursor.valid() || number(cursor.key()) < at, "backward from {at}");
                }
            }
        }
        for (key, value) in &seen {
            let n = number(key);
            history.check(n, floors[n as usize], Some(value), "cursor");
        }
    }
}

/// What the cursor stands on, which is what it was.
fn look(cursor: &mut dyn Cursor, seen: &mut BTreeMap<Vec<u8>, Vec<u8>>) -> Option<u64> {
    if !cursor.valid() {
        return None;
    }
    let key = cursor.key().to_vec();
    let value = cursor.value().unwrap();
    let at = number(&key);
    let before = seen.entry(key).or_insert_with(|| value.to_vec());
    assert_eq!(*before, value, "key {at} has changed under a cursor");
    Some(at)
}

/// Flushes and compacts all the time, in parts and as a whole.
fn compact(store: &dyn KvsEngine, history: &History) {
    let mut random = Dice::new(400);
    while !history.is_over() {
        match random.below(4) {
            0 => store.flush().unwrap(),
            1 => store.compact().unwrap(),
            _ => {
                let from = random.below(KEYS);
                store.compact_range(&KeyRange::of(key(from)..key(from + 30))).unwrap();
            }
        }
        history.compactions.fetch_add(1, SeqCst);
        std::thread::sleep(Duration::from_millis(random.below(20)));
    }
}
