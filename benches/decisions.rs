//! The measurements behind two decisions: what the keydir is made of, and how segments are read.
//!
//! `cargo bench --bench decisions` prints the tables of `notes/decisions/0005-keydir.md` and
//! `notes/decisions/0006-mapped-reads.md`. Rows of one table take turns, so that the machine's drift
//! falls on all; compare the rows, not the runs.

#![expect(clippy::unwrap_used, reason = "a measurement that fails says so by panicking")]

use kvs::engine::bitcask::Bitcask;
use kvs::engine::bitcask::keydir::Keydir;
use kvs::engine::bitcask::keydir::place::Place;
use kvs::engine::bitcask::options::BitcaskOptions;
use kvs::{KeyRange, KvsEngine, KvsRead, OpenOptions};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

static ALLOCATED: AtomicI64 = AtomicI64::new(0);

struct Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one passes everything on")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const KEYS: u64 = 1_000_000;
const LOOKUPS: u64 = 1_000_000;
const ROUNDS: usize = 5;

/// Sixteen scattered bytes.
fn key(n: u64) -> [u8; 16] {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&n.to_be_bytes());
    key[8..].copy_from_slice(&n.rotate_left(32).to_le_bytes());
    key
}

/// A number below `KEYS` for each step, in no order.
fn random(step: u64) -> u64 {
    (step.wrapping_mul(0xd134_2543_de82_ef95).rotate_left(29) >> 8) % KEYS
}

fn place(n: u64) -> Place {
    Place { segment: 1, offset: n as u32, len: 127 }
}

/// What a table must do to be a keydir.
trait Table {
    fn set(&mut self, key: &[u8], place: Place);
    fn get(&self, key: &[u8]) -> Option<Place>;
    /// How many keys a walk in order meets; `None` if it has no order.
    fn walk(&self) -> Option<usize>;
}

impl Table for Keydir {
    fn set(&mut self, key: &[u8], place: Place) {
        Keydir::set(self, key, place);
    }

    fn get(&self, key: &[u8]) -> Option<Place> {
        Keydir::get(self, key)
    }

    fn walk(&self) -> Option<usize> {
        let (mut range, mut met) = (KeyRange::all(), 0);
        loop {
            let page = self.page(&range, 1024);
            met += page.len();
            if page.is_last {
                return Some(met);
            }
            range.start = std::ops::Bound::Excluded(page.key(page.len() - 1).to_vec());
        }
    }
}

#[derive(Default)]
struct Xxh3(u64);

impl Hasher for Xxh3 {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Hash = HashMap<Box<[u8]>, Place, BuildHasherDefault<Xxh3>>;

impl Table for Hash {
    fn set(&mut self, key: &[u8], place: Place) {
        self.insert(key.into(), place);
    }

    fn get(&self, key: &[u8]) -> Option<Place> {
        HashMap::get(self, key).copied()
    }

    fn walk(&self) -> Option<usize> {
        None
    }
}

impl Table for BTreeMap<Box<[u8]>, Place> {
    fn set(&mut self, key: &[u8], place: Place) {
        self.insert(key.into(), place);
    }

    fn get(&self, key: &[u8]) -> Option<Place> {
        BTreeMap::get(self, key).copied()
    }

    fn walk(&self) -> Option<usize> {
        Some(self.iter().filter(|(key, place)| !key.is_empty() && place.len > 0).count())
    }
}

fn nanos(count: u64, run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_nanos() as f64 / count as f64
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Insert, bytes, hit, miss, walk.
fn measure(mut table: impl Table) -> [f64; 5] {
    let before = ALLOCATED.load(Ordering::Relaxed);
    let insert = nanos(KEYS, || (0..KEYS).for_each(|n| table.set(&key(n), place(n))));
    let bytes = (ALLOCATED.load(Ordering::Relaxed) - before) as f64 / KEYS as f64 - 16.0;
    let hit = nanos(LOOKUPS, || {
        (0..LOOKUPS).for_each(|step| assert!(black_box(table.get(&key(random(step)))).is_some()));
    });
    let miss = nanos(LOOKUPS, || {
        (0..LOOKUPS).for_each(|step| assert!(table.get(&key(KEYS + random(step))).is_none()));
    });
    let walk = match table.walk() {
        None => f64::NAN,
        // The second walk: the keydir's first one makes its order.
        Some(_) => nanos(KEYS, || assert_eq!(table.walk(), Some(KEYS as usize))),
    };
    [insert, bytes, hit, miss, walk]
}

fn keydir_table() {
    println!("\n{KEYS} keys of 16 bytes; nanoseconds an operation, median of {ROUNDS} rounds\n");
    println!(
        "| table | insert | lookup, there | lookup, missing | walk in order | bytes a key beside the key |"
    );
    println!("|---|---|---|---|---|---|");
    let mut rounds: [Vec<[f64; 5]>; 3] = Default::default();
    for _ in 0..ROUNDS {
        rounds[0].push(measure(Keydir::new(1)));
        rounds[1].push(measure(Hash::default()));
        rounds[2].push(measure(BTreeMap::new()));
    }
    let names = ["keydir: ids and an arena", "hash map of boxed keys", "B-tree of boxed keys"];
    for (name, rounds) in names.iter().zip(&rounds) {
        let column = |i: usize| median(rounds.iter().map(|round| round[i]).collect());
        let walk = if column(4).is_nan() { "none".into() } else { format!("{:.0}", column(4)) };
        let (insert, bytes, hit, miss) = (column(0), column(1), column(2), column(3));
        println!("| {name} | {insert:.0} | {hit:.0} | {miss:.0} | {walk} | {bytes:.1} |");
    }
}

fn reads_table() {
    let directory = tempfile::tempdir().unwrap();
    let value = [7; 100];
    let open = |mmap| {
        let options = BitcaskOptions { mmap, ..BitcaskOptions::default() };
        Bitcask::open(directory.path(), OpenOptions::default(), options).unwrap()
    };
    let store = open(true);
    (0..KEYS).for_each(|n| store.set(&key(n), &value).unwrap());
    drop(store);
    println!(
        "\n{KEYS} pairs of 16 + 100 bytes, all in the page cache; nanoseconds a get, median of {ROUNDS}\n"
    );
    println!("| reads | all keys | the first 1 % |");
    println!("|---|---|---|");
    let mut rounds: [[Vec<f64>; 2]; 2] = Default::default();
    for _ in 0..ROUNDS {
        for (row, mmap) in [true, false].into_iter().enumerate() {
            let store = open(mmap);
            for (column, keys) in [KEYS, KEYS / 100].into_iter().enumerate() {
                let get = |step| assert!(store.get(&key(random(step) % keys)).unwrap().is_some());
                (0..LOOKUPS / 10).for_each(get);
                rounds[row][column].push(nanos(LOOKUPS, || (0..LOOKUPS).for_each(get)));
            }
        }
    }
    for (name, [all, hot]) in ["mapped", "positioned reads"].iter().zip(rounds) {
        println!("| {name} | {:.0} | {:.0} |", median(all), median(hot));
    }
}

fn main() {
    keydir_table();
    reads_table();
}
