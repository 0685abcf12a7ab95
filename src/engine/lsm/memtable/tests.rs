//! What must hold of any memtable: against a model, and with readers beside the writer.

use super::cursor::MemtableCursor;
use super::{Entry, Memtable};
use crate::engine::lsm::comparator::{Comparator, Order};
use crate::engine::lsm::iter::EntryCursor;
use crate::engine::lsm::key::{Kind, internal, seek_trailer, seqno, split, trailer, user_key};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

/// Fewer rounds where each is slow.
const ROUNDS: u64 = if cfg!(miri) { 1 } else { 25 };

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        (self.0 >> 33) % n
    }
}

/// Shorter keys first.
#[derive(Debug)]
struct ByLength;

impl Comparator for ByLength {
    fn name(&self) -> &str {
        "by length"
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        a.len().cmp(&b.len()).then(a.cmp(b))
    }
}

/// An internal key in the order of a table, for the model.
#[derive(Clone, Debug)]
struct Ordered(Order, Vec<u8>);

impl PartialEq for Ordered {
    fn eq(&self, other: &Ordered) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Ordered) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Ordered) -> Ordering {
        self.0.compare_internal(&self.1, &other.1)
    }
}

type Model = BTreeMap<Ordered, Vec<u8>>;

struct Both {
    order: Order,
    table: Memtable,
    model: Model,
    seqno: u64,
}

impl Both {
    fn new(order: Order) -> Both {
        let table = Memtable::new(order.clone(), 64 << 10);
        Both { order, table, model: Model::new(), seqno: 0 }
    }

    fn insert(&mut self, key: &[u8], kind: Kind, value: &[u8]) {
        self.seqno += 1;
        self.table.writer().insert(key, self.seqno, kind, value);
        let key = internal(key, trailer(self.seqno, kind));
        self.model.insert(Ordered(self.order.clone(), key), value.to_vec());
    }

    fn at(&self, user_key: &[u8], trailer: u64) -> Ordered {
        Ordered(self.order.clone(), internal(user_key, trailer))
    }

    fn check_get(&self, key: &[u8], at: u64) {
        let newest = self.model.range(self.at(key, seek_trailer(at))..).next();
        let expected = newest.filter(|(found, _)| user_key(&found.1) == key).map(|(found, value)| {
            let (_, trailer) = split(&found.1);
            Entry { seqno: seqno(trailer), kind: Kind::of(trailer).unwrap(), value }
        });
        assert_eq!(self.table.get(key, at), expected, "{key:?} at {at}");
    }

    /// Seeks to a key, and from there both ways.
    fn check_seek(&self, key: &[u8], at: u64) {
        let target = self.at(key, seek_trailer(at));
        let mut cursor = self.table.cursor();
        cursor.seek(&target.1).unwrap();
        let mut behind = self.model.range(target.clone()..);
        for _ in 0..40 {
            assert_eq!(stands_on(&cursor), behind.next().map(|(key, value)| (key.1.clone(), value.clone())));
            if !cursor.valid() {
                break;
            }
            cursor.next().unwrap();
        }
        cursor.seek(&target.1).unwrap();
        if cursor.valid() {
            cursor.prev().unwrap();
        } else {
            cursor.seek_to_last().unwrap();
        }
        let mut before = self.model.range(..target);
        for step in 0..40 {
            let expected = before.next_back().map(|(key, value)| (key.1.clone(), value.clone()));
            assert_eq!(stands_on(&cursor), expected, "step {step}");
            if !cursor.valid() {
                break;
            }
            cursor.prev().unwrap();
        }
    }

    /// Walks from end to end, both ways.
    fn check_all(&self) {
        let mut cursor = self.table.cursor();
        assert!(!cursor.valid());
        cursor.seek_to_first().unwrap();
        for (key, value) in &self.model {
            assert_eq!((cursor.key(), cursor.value()), (&key.1[..], &value[..]));
            cursor.next().unwrap();
        }
        assert!(!cursor.valid());
        cursor.seek_to_last().unwrap();
        for (key, value) in self.model.iter().rev() {
            assert_eq!((cursor.key(), cursor.value()), (&key.1[..], &value[..]));
            cursor.prev().unwrap();
        }
        assert!(!cursor.valid());
        assert_eq!(self.table.len(), self.model.len() as u64);
    }
}

fn stands_on(cursor: &MemtableCursor) -> Option<(Vec<u8>, Vec<u8>)> {
    cursor.valid().then(|| (cursor.key().to_vec(), cursor.value().to_vec()))
}

fn orders() -> [Order; 3] {
    [Order::Bytewise, Order::Reverse, Order::Own(Arc::new(ByLength))]
}

/// Keys that begin alike, that are alike, that are empty, and that are anything.
fn some_key(random: &mut Random, style: u64) -> Vec<u8> {
    match style {
        0 => format!("user{:06}", random.below(5000)).into_bytes(),
        1 => (0..random.below(4)).map(|_| [0, 1, 0xfe, 0xff][random.below(4) as usize]).collect(),
        2 => random.below(1 << 31).to_be_bytes()[4..].to_vec(),
        _ => vec![b'x'; random.below(3) as usize],
    }
}

#[test]
fn it_does_what_a_sorted_map_does() {
    for seed in 0..ROUNDS {
        for order in orders() {
            let mut random = Random(seed);
            let mut both = Both::new(order);
            let styles = 1 + seed % 4;
            for _ in 0..if cfg!(miri) { 200 } else { 100 + random.below(1500) } {
                let style = random.below(styles);
                let key = some_key(&mut random, style);
                let kind = if random.below(5) == 0 { Kind::Remove } else { Kind::Set };
                let value = vec![random.below(256) as u8; random.below(50) as usize];
                both.insert(&key, kind, &value);
                let key = some_key(&mut random, style);
                let at = random.below(both.seqno + 2);
                both.check_get(&key, at);
                if random.below(50) == 0 {
                    both.check_seek(&key, at);
                }
            }
            both.check_all();
        }
    }
}

#[test]
fn keys_in_order_and_in_the_reverse_are_all_found() {
    let count = if cfg!(miri) { 120 } else { 6_000 };
    for order in orders() {
        for is_down in [false, true] {
            let mut both = Both::new(order.clone());
            for n in 0..count {
                let n = if is_down { count - n } else { n };
                both.insert(format!("key{n:013}").as_bytes(), Kind::Set, &[]);
            }
            both.check_all();
            for n in (0..count).step_by(7) {
                both.check_get(format!("key{n:013}").as_bytes(), count / 2);
                both.check_get(format!("key{n:013}x").as_bytes(), count);
                both.check_get(&n.to_be_bytes(), count);
            }
        }
    }
}

#[test]
fn one_key_has_many_entries() {
    let mut both = Both::new(Order::Bytewise);
    both.insert(b"before", Kind::Set, b"");
    let count = if cfg!(miri) { 100 } else { 1000 };
    for n in 0..count {
        both.insert(b"k", if n % 3 == 0 { Kind::Remove } else { Kind::Set }, &[n as u8]);
    }
    both.insert(b"later", Kind::Set, b"");
    (0..count + 4).for_each(|at| both.check_get(b"k", at));
    both.check_all();
}

#[test]
fn it_holds_keys_and_values_of_all_sizes() {
    let mut both = Both::new(Order::Bytewise);
    assert!(both.table.is_empty() && both.table.bytes() == 0);
    assert_eq!((both.table.first_seqno(), both.table.last_seqno()), (0, 0));
    let key = vec![b'k'; 65_535];
    both.insert(b"", Kind::Set, b"");
    both.insert(&key, Kind::Set, b"long key");
    let lens = [0, 1, 100, 4095, 4096, 1 << 16, 3 << 20, 20 << 20];
    for &len in &lens[..if cfg!(miri) { 6 } else { 8 }] {
        both.insert(format!("value of {len}").as_bytes(), Kind::Set, &vec![7; len]);
        both.insert(format!("behind {len}").as_bytes(), Kind::Set, b"small");
    }
    both.check_all();
    both.check_get(b"", 1);
    both.check_get(&key[1..], 9);
    let bytes: usize = both.model.iter().map(|(key, value)| key.1.len() + value.len()).sum();
    let slack = both.table.bytes() as f64 / bytes as f64;
    assert!((1.0..1.1).contains(&slack), "{slack}");
    assert_eq!((both.table.first_seqno(), both.table.last_seqno()), (1, both.seqno));
}

#[test]
#[should_panic(expected = "65,535")]
fn a_longer_key_is_refused() {
    Memtable::new(Order::Bytewise, 0).writer().insert(&[0; 65_536], 1, Kind::Set, b"");
}

#[test]
#[cfg_attr(miri, ignore)]
fn an_entry_costs_little_beside_its_key_and_value() {
    let table = Memtable::new(Order::Bytewise, 64 << 20);
    let mut random = Random(1);
    let mut writer = table.writer();
    for n in 1..=100_000u64 {
        writer.insert(format!("{:016x}", random.below(1 << 31)).as_bytes(), n, Kind::Set, &[0; 100]);
    }
    let cost = table.bytes() as f64 / 100_000.0 - 116.0;
    assert!(cost < 40.0, "{cost} bytes an entry");
}

#[test]
fn a_cursor_keeps_the_entries() {
    let mut both = Both::new(Order::Bytewise);
    both.insert(b"key", Kind::Set, b"value");
    let mut cursor = both.table.cursor();
    drop(both);
    cursor.seek_to_last().unwrap();
    assert_eq!(stands_on(&cursor), Some((internal(b"key", trailer(1, Kind::Set)), b"value".to_vec())));
}

/// The key of a write, and its value, which is made of both so that a torn one would show.
fn of_write(seqno: u64) -> (Vec<u8>, Vec<u8>) {
    let key = format!("key{:05}", seqno.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50).into_bytes();
    let value = [&key[..], &seqno.to_le_bytes()].concat().repeat(1 + seqno as usize % 5);
    (key, value)
}

/// The entries that a walk meets up to a sequence number, each looked at.
fn walk(cursor: &mut MemtableCursor, order: &Order, visible: u64) -> u64 {
    let (mut met, mut before) = (0, Vec::new());
    cursor.seek_to_first().unwrap();
    while cursor.valid() {
        let (key, trailer) = split(cursor.key());
        let (expected_key, expected_value) = of_write(seqno(trailer));
        assert_eq!((key, cursor.value()), (&expected_key[..], &expected_value[..]));
        assert!(before.is_empty() || order.compare_internal(&before, cursor.key()).is_lt());
        met += u64::from(seqno(trailer) <= visible);
        before = cursor.key().to_vec();
        cursor.next().unwrap();
    }
    met
}

fn walk_back(cursor: &mut MemtableCursor, order: &Order, visible: u64) -> u64 {
    let (mut met, mut behind) = (0, Vec::new());
    cursor.seek_to_last().unwrap();
    while cursor.valid() {
        assert!(behind.is_empty() || order.compare_internal(cursor.key(), &behind).is_lt());
        met += u64::from(seqno(split(cursor.key()).1) <= visible);
        behind = cursor.key().to_vec();
        cursor.prev().unwrap();
    }
    met
}

/// Each reader looks again and again until the writer is done. Up to the published number all must be
/// there, in order and whole.
fn read_beside_a_writer(order: Order, writes: u64, reader: impl Fn(&Memtable, &Order, u64) + Sync) {
    let table = Memtable::new(order.clone(), 1 << 20);
    let published = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while published.load(SeqCst) < writes {
                    reader(&table, &order, published.load(SeqCst));
                }
            });
        }
        let mut seqno = 0;
        while seqno < writes {
            let mut writer = table.writer();
            for _ in 0..3.min(writes - seqno) {
                seqno += 1;
                let (key, value) = of_write(seqno);
                writer.insert(&key, seqno, Kind::Set, &value);
            }
            published.store(seqno, SeqCst);
        }
    });
}

#[test]
fn walks_beside_a_writer_meet_all_that_was_published() {
    for order in [Order::Bytewise, Order::Own(Arc::new(ByLength))] {
        read_beside_a_writer(order, if cfg!(miri) { 120 } else { 10_000 }, |table, order, visible| {
            let mut cursor = table.cursor();
            assert_eq!(walk(&mut cursor, order, visible), visible);
            assert_eq!(walk_back(&mut cursor, order, visible), visible);
        });
    }
}

#[test]
fn gets_and_seeks_beside_a_writer_find_what_was_published() {
    for order in [Order::Bytewise, Order::Reverse] {
        let step = AtomicU64::new(0);
        read_beside_a_writer(order, if cfg!(miri) { 150 } else { 50_000 }, |table, _, visible| {
            let wanted = 1 + step.fetch_add(0x9e37_79b9, SeqCst) % visible.max(1);
            if wanted <= visible {
                let (key, value) = of_write(wanted);
                let found = table.get(&key, wanted).unwrap();
                assert_eq!((found.seqno, found.value), (wanted, &value[..]));
                let mut cursor = table.cursor();
                cursor.seek(&internal(&key, seek_trailer(wanted))).unwrap();
                assert_eq!(cursor.key(), internal(&key, trailer(wanted, Kind::Set)));
            }
        });
    }
}

/// A search for the last entry looked whether a leaf is the last first, and what is in it second. When the
/// leaf was split in between, its upper half was not seen: a scan from the end, in one of some hundred runs
/// beside a writer, did not see keys that had been there for long.
#[test]
fn the_last_entry_is_found_beside_a_writer() {
    let (table, done) = (Memtable::new(Order::Bytewise, 1 << 20), AtomicU64::new(0));
    let writes: u64 = if cfg!(miri) { 300 } else { 500_000 };
    // The last of all; every other one is put right before it, and so the last leaf is split all the time.
    table.writer().insert(&u64::MAX.to_be_bytes(), 1, Kind::Set, b"");
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=writes {
                table.writer().insert(&n.to_be_bytes(), n + 1, Kind::Set, b"");
            }
            done.store(1, SeqCst);
        });
        let mut cursor = table.cursor();
        while done.load(SeqCst) == 0 {
            cursor.seek_to_last().unwrap();
            assert_eq!(user_key(cursor.key()), u64::MAX.to_be_bytes());
        }
    });
}
