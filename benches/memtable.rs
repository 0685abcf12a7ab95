//! The measurement behind the memtable: its tree against a skip list from the shelf and a B-tree.
//!
//! `cargo bench --bench memtable` prints the table of `notes/decisions/0014-memtable.md`. The rows take
//! turns, so that the machine's drift falls on all; compare the rows, not the runs.

#![expect(clippy::unwrap_used, reason = "a measurement that fails says so by panicking")]

use crossbeam_skiplist::SkipMap;
use kvs::engine::lsm::comparator::Order;
use kvs::engine::lsm::iter::EntryCursor;
use kvs::engine::lsm::key::Kind;
use kvs::engine::lsm::memtable::Memtable;
use parking_lot::RwLock;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Bound;

const ENTRIES: u64 = 500_000;
const ROUNDS: usize = 5;
const VALUE: [u8; 100] = [7; 100];

/// What a table must do to be a memtable.
trait Table {
    fn new() -> Self;
    fn insert(&self, key: &[u8], seqno: u64);
    fn get(&self, key: &[u8], at: u64) -> bool;
    /// How many bytes of keys and values a walk in order meets.
    fn walk(&self) -> usize;
}

impl Table for Memtable {
    fn new() -> Self {
        Memtable::new(Order::Bytewise, 64 << 20)
    }

    fn insert(&self, key: &[u8], seqno: u64) {
        self.writer().insert(key, seqno, Kind::Set, &VALUE);
    }

    fn get(&self, key: &[u8], at: u64) -> bool {
        black_box(Memtable::get(self, key, at)).is_some()
    }

    fn walk(&self) -> usize {
        let (mut cursor, mut met) = (self.cursor(), 0);
        cursor.seek_to_first().unwrap();
        while cursor.valid() {
            met += cursor.key().len() - 8 + cursor.value().len();
            cursor.next().unwrap();
        }
        met
    }
}

type Key = (Vec<u8>, Reverse<u64>);

impl Table for SkipMap<Key, Vec<u8>> {
    fn new() -> Self {
        SkipMap::new()
    }

    fn insert(&self, key: &[u8], seqno: u64) {
        SkipMap::insert(self, (key.to_vec(), Reverse(seqno)), VALUE.to_vec());
    }

    fn get(&self, key: &[u8], at: u64) -> bool {
        let seek = (key.to_vec(), Reverse(at));
        self.lower_bound(Bound::Included(&seek)).is_some_and(|entry| black_box(&entry).key().0 == key)
    }

    fn walk(&self) -> usize {
        self.iter().map(|entry| entry.key().0.len() + entry.value().len()).sum()
    }
}

impl Table for RwLock<BTreeMap<Key, Vec<u8>>> {
    fn new() -> Self {
        RwLock::default()
    }

    fn insert(&self, key: &[u8], seqno: u64) {
        self.write().insert((key.to_vec(), Reverse(seqno)), VALUE.to_vec());
    }

    fn get(&self, key: &[u8], at: u64) -> bool {
        let seek = (key.to_vec(), Reverse(at));
        self.read().range(seek..).next().is_some_and(|entry| black_box(entry).0.0 == key)
    }

    fn walk(&self) -> usize {
        self.read().iter().map(|((key, _), value)| key.len() + value.len()).sum()
    }
}

/// Sixteen hex digits.
fn hex(n: u64) -> [u8; 16] {
    std::array::from_fn(|i| b"0123456789abcdef"[(n >> (60 - 4 * i) & 15) as usize])
}

/// The numbers below `ENTRIES` in no order, each once.
fn shuffled(seed: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = (0..ENTRIES).collect();
    let mut random = seed;
    for i in (1..numbers.len()).rev() {
        random = random.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        numbers.swap(i, (((random >> 32) * (i as u64 + 1)) >> 32) as usize);
    }
    numbers
}

/// What the processor spent on each entry, so that who else uses the machine is not counted.
fn nanos(run: impl FnOnce()) -> f64 {
    let spent = || {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        stat.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let start = spent();
    run();
    (spent() - start) as f64 / ENTRIES as f64
}

const COLUMNS: [&str; 6] =
    ["insert, shuffled", "get", "get, missing", "walk", "insert, ascending", "insert, scattered"];

fn measure<T: Table>() -> [f64; COLUMNS.len()] {
    let table = T::new();
    let (puts, gets) = (shuffled(1), shuffled(2));
    let each = |numbers: &[u64], run: &dyn Fn(u64)| nanos(|| numbers.iter().for_each(|&n| run(n)));
    let shuffle = each(&puts, &|n| table.insert(&hex(2 * n), n));
    let get = each(&gets, &|n| assert!(table.get(&hex(2 * n), ENTRIES)));
    let miss = each(&gets, &|n| assert!(!table.get(&hex(2 * n + 1), ENTRIES)));
    let walk = nanos(|| assert_eq!(table.walk(), ENTRIES as usize * 116));
    drop(table);
    let table = T::new();
    let ascending = nanos(|| (0..ENTRIES).for_each(|n| table.insert(&hex(2 * n), n)));
    drop(table);
    let table = T::new();
    let scatter =
        |n: u64| u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes();
    let scattered = nanos(|| (0..ENTRIES).for_each(|n| table.insert(&scatter(n), n)));
    [shuffle, get, miss, walk, ascending, scattered]
}

/// Bytes of a memtable beside the keys and the values, for each entry.
fn overhead(keys: impl Iterator<Item = u64>) -> f64 {
    let table = Memtable::new(Order::Bytewise, 64 << 20);
    keys.for_each(|n| Table::insert(&table, &hex(2 * n), n));
    table.bytes() as f64 / ENTRIES as f64 - 116.0
}

fn fastest(figures: impl Iterator<Item = f64>) -> f64 {
    figures.min_by(f64::total_cmp).unwrap()
}

fn main() {
    let mut rounds: [Vec<[f64; COLUMNS.len()]>; 3] = Default::default();
    let own = std::env::args().any(|arg| arg == "own");
    for _ in 0..ROUNDS {
        rounds[0].push(measure::<Memtable>());
        if !own {
            rounds[1].push(measure::<SkipMap<Key, Vec<u8>>>());
            rounds[2].push(measure::<RwLock<BTreeMap<Key, Vec<u8>>>>());
        }
    }
    println!("\n{ENTRIES} entries of 16 + 100 bytes; nanoseconds each, fastest of {ROUNDS} rounds\n");
    println!("| table | {} |\n|---|{}", COLUMNS.join(" | "), "---|".repeat(COLUMNS.len()));
    let columns = |rounds: &[[f64; COLUMNS.len()]]| {
        std::array::from_fn::<_, { COLUMNS.len() }, _>(|i| fastest(rounds.iter().map(|round| round[i])))
    };
    let best = columns(&rounds[0]);
    let names = ["memtable: B-link tree", "crossbeam `SkipMap`", "B-tree behind a lock"];
    for (name, rounds) in names.iter().zip(&rounds).filter(|(_, rounds)| !rounds.is_empty()) {
        let figures = columns(rounds);
        let cell = |i: usize| format!("{:.0} ({:.1})", figures[i], figures[i] / best[i]);
        println!("| {name} | {} |", (0..COLUMNS.len()).map(cell).collect::<Vec<_>>().join(" | "));
    }
    let (shuffled, ascending) = (overhead(shuffled(1).into_iter()), overhead(0..ENTRIES));
    println!(
        "\nthe memtable's bytes beside an entry's key and value: {shuffled:.1} shuffled, {ascending:.1} ascending"
    );
}
