//! Stepped runs: where background work is done inline, the same calls leave the same store, to the byte.
//!
//! A long random life of each engine on a simulated disk is lived twice at the same time, on two threads,
//! and a third time from another seed. What is drawn of the first two is equal: the levels after every so
//! many steps, all that was read, the ledger of the disk, and the directory at the end. So an experiment
//! can be told by its seed, and a failure that was seen once can be seen again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[macro_use]
mod fault_support {
    #[macro_use]
    pub(crate) mod engine;
}

use common::words::Random;
use fault_support::engine::empty_disk;
use kvs::engine::batch::WriteBatch;
use kvs::engine::options::OpenOptions;
use kvs::engine::range::KeyRange;
use kvs::engine::stats::{FileStats, Stats};
use kvs::engine::{CursorPairs, KvsEngine, KvsRead, Snapshot};
use kvs::survive::engine::Engine;
use kvs::vfs::counting::CountingDisk;
use kvs::vfs::memory::SimDisk;
use kvs::worker::Schedule;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

on_each_engine!([equal_runs_leave_equal_stores]);

/// Steps of a life.
const STEPS: u64 = 3000;

/// The levels are drawn whenever so many steps are done.
const DRAWN_EVERY: u64 = 100;

/// Different keys.
const KEYS: usize = 400;

/// What is left of a life.
struct Life {
    /// The levels, every now and then, and the sums of what was read.
    pictures: Vec<String>,
    /// What the disk did, by kind of file and cause.
    ledger: String,
    /// All files, with their bytes.
    files: BTreeMap<String, Vec<u8>>,
}

fn equal_runs_leave_equal_stores(engine: &Engine) {
    let [one, same, other] = std::thread::scope(|scope| {
        let lives = [1, 1, 2].map(|seed| scope.spawn(move || live(engine, seed)));
        lives.map(|life| life.join().unwrap())
    });
    for (at, (one, same)) in one.pictures.iter().zip(&same.pictures).enumerate() {
        assert_eq!(one, same, "after {} steps", at as u64 * DRAWN_EVERY);
    }
    assert_eq!(one.pictures.len(), same.pictures.len());
    assert_eq!(one.ledger, same.ledger);
    let names = |life: &Life| life.files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&one), names(&same));
    for (name, bytes) in &one.files {
        let same = &same.files[name];
        let differs = bytes.iter().zip(same).position(|(a, b)| a != b);
        assert_eq!((bytes.len(), differs), (same.len(), None), "{name} differs, from there on");
    }

    // None of this is equal because nothing was looked at, or because nothing happened.
    assert_ne!(one.pictures.last(), other.pictures.last());
    assert_ne!(one.ledger, other.ledger);
    assert_ne!(one.files, other.files);
    let files = |picture: &String| picture.lines().filter(|line| line.starts_with("  ")).count();
    assert!(one.pictures.iter().map(files).max() > Some(8), "{:?}", one.pictures.last());
    assert!(one.ledger.contains(if engine.name() == "lsm" { "sst compaction-L" } else { "seg merge" }));
    println!("{engine}, seed 1, in the end:\n{}{}", one.pictures.last().unwrap(), one.ledger);
}

/// Lives from a seed.
fn live(engine: &Engine, seed: u64) -> Life {
    let disk = empty_disk();
    let counting = CountingDisk::new(Arc::new(disk.clone()));
    let open = || {
        let options = OpenOptions {
            disk: Arc::new(counting.clone()),
            schedule: Schedule::Inline,
            store_id: Some(7),
            ..OpenOptions::default()
        };
        engine.open(Path::new("/store"), options).unwrap()
    };
    let mut random = Random::new(seed);
    let mut store = open();
    let mut held: Vec<Snapshot> = Vec::new();
    let (mut read, mut pictures) = (0, Vec::new());
    for step in 0..STEPS {
        if step.is_multiple_of(DRAWN_EVERY) {
            pictures.push(picture(&store.stats().unwrap(), read));
        }
        if random.below(400) == 0 {
            held.clear();
            drop(store);
            store = open();
        }
        read += take_step(&*store, &mut random, step, &mut held);
    }
    pictures.push(picture(&store.stats().unwrap(), read));
    held.clear();
    drop(store);
    Life { pictures, ledger: ledger(&counting), files: files(&disk) }
}

fn key(n: usize) -> Vec<u8> {
    format!("key{n:04}").into_bytes()
}

/// One step; what was read, as a sum.
fn take_step(store: &dyn KvsEngine, random: &mut Random, step: u64, held: &mut Vec<Snapshot>) -> u64 {
    let n = random.below(KEYS);
    let value = vec![b'a' + (step % 26) as u8; random.below(120)];
    match random.below(100) {
        0..50 => store.set(&key(n), &value).unwrap(),
        50..62 => return u64::from(store.remove(&key(n)).unwrap()),
        62..72 => store.write(a_batch(random, &value), &Default::default()).unwrap(),
        72..76 => return sum(store.swap(&key(n), Some(&value)).unwrap().as_deref()),
        76..88 => return sum(store.get(&key(n)).unwrap().as_deref()),
        88..92 => {
            let range = KeyRange::of(key(n)..key(n + 40));
            return store.scan(range).unwrap().map(|pair| sum(Some(&pair.unwrap().1))).sum();
        }
        92..96 => {
            held.push(store.snapshot().unwrap());
            if held.len() > 3 {
                let past = held.remove(random.below(4));
                return sum(past.get(&key(n)).unwrap().as_deref());
            }
        }
        96 => store.flush().unwrap(),
        97 => store.compact_range(&KeyRange::of(key(n)..key(n + 100))).unwrap(),
        98 => store.sync().unwrap(),
        _ => {
            // What other stores are loaded with: pairs in order, here those of a moment ago.
            let past = store.snapshot().unwrap();
            let pairs = past.cursor(KeyRange::of(key(n)..key(n + 20))).unwrap();
            return store.load_sorted(&mut CursorPairs::new(pairs)).unwrap();
        }
    }
    0
}

fn a_batch(random: &mut Random, value: &[u8]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for _ in 0..random.below(10) {
        match random.below(4) {
            0 => batch.remove(&key(random.below(KEYS))),
            _ => batch.set(&key(random.below(KEYS)), value),
        }
    }
    batch
}

fn sum(value: Option<&[u8]>) -> u64 {
    value.map_or(0, |value| 1 + value.iter().map(|byte| u64::from(*byte)).sum::<u64>())
}

// ---- pictures ----

/// The levels with their files, from the top, and all numbers that the engine tells.
fn picture(stats: &Stats, read: u64) -> String {
    let mut levels: BTreeMap<Option<u8>, Vec<&FileStats>> = BTreeMap::new();
    stats.files.iter().for_each(|file| levels.entry(file.level).or_default().push(file));
    let mut text = String::new();
    for (level, files) in levels {
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        let name = level.map_or("log".into(), |level| format!("level {level}"));
        writeln!(text, "{name}: {} files, {bytes} bytes", files.len()).unwrap();
        for FileStats { name, state, bytes, live_bytes, entries, smallest, largest, .. } in &files {
            let keys = [smallest, largest].map(|key| key.as_deref().unwrap_or(b"?").escape_ascii());
            let [from, to] = keys.map(|key| key.to_string());
            writeln!(
                text,
                "  {name} {state} {bytes} bytes, {live_bytes} live, {entries:?} entries, {from} to {to}"
            )
            .unwrap();
        }
    }
    let counters = stats.counters.iter().map(|counter| format!("{} {}", counter.value, counter.name));
    let counters: Vec<_> = counters.collect();
    writeln!(text, "{}; {} keys, seqno {}", counters.join(", "), stats.keys, stats.seqno).unwrap();
    writeln!(text, "{} bytes in memory; the sum of what was read is {read}", stats.memory_bytes).unwrap();
    text
}

fn ledger(disk: &CountingDisk) -> String {
    let ledger = disk.ledger();
    let rows = ledger.rows.iter().map(|row| format!("{} {}: {:?}\n", row.file, row.cause, row.counts));
    rows.chain([format!("{:?}\n", ledger.names)]).collect()
}

fn files(disk: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    let image = disk.image();
    image.files.iter().map(|(path, bytes)| (path.display().to_string(), bytes.to_vec())).collect()
}
