//! The memtable under every schedule, within bounds, and under every order in which memory may show its
//! stores: `.ci/model loom test --lib loom`.
//!
//! One writer and one reader each. What is there before the reader comes is put in by the same thread that
//! starts both, so that no order is in doubt.

use super::Memtable;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::iter::EntryCursor;
use crate::engine::lsm::key::{Kind, MAX_SEQNO, split};
use crate::sync::unlocked::atomic::{AtomicU64, Ordering};
use crate::sync::unlocked::{Bytes, model};
use loom::thread;
use std::sync::Arc;

/// So many entries fill a leaf.
const LEAF: u8 = 14;

/// Says in how many ways it went; `KVS_PREEMPTIONS` adds to how often a thread may have to wait.
fn explore(name: &str, preemptions: usize, test: impl Fn() + Send + Sync + 'static) {
    let more = std::env::var("KVS_PREEMPTIONS").map_or(0, |more| more.parse().unwrap());
    println!("{name}: {} ways", model(preemptions + more, test));
}

fn table(keys: impl IntoIterator<Item = u8>) -> Arc<Memtable> {
    let table = Arc::new(Memtable::new(Order::Bytewise, 4096));
    let mut writer = table.writer();
    keys.into_iter().for_each(|key| writer.insert(&[key], 1, Kind::Set, &[key]));
    drop(writer);
    table
}

fn insert(table: &Memtable, key: u8, seqno: u64) {
    table.writer().insert(&[key], seqno, Kind::Set, &[key, seqno as u8]);
}

fn get(table: &Memtable, key: u8, at: u64) -> Option<Vec<u8>> {
    table.get(&[key], at).map(|entry| entry.value.to_vec())
}

fn key(cursor: &impl EntryCursor) -> u8 {
    split(cursor.key()).0[0]
}

/// An entry is seen whole or not at all; and seen by who knows of its sequence number.
#[test]
fn an_insert_is_published_whole() {
    explore("an_insert_is_published_whole", 3, || {
        let (table, visible) = (table([]), Arc::new(AtomicU64::new(0)));
        let (of_writer, shows) = (table.clone(), visible.clone());
        let writer = thread::spawn(move || {
            insert(&of_writer, 5, 1);
            shows.store(1, Ordering::Release);
        });
        let is_visible = visible.load(Ordering::Acquire) == 1;
        match get(&table, 5, MAX_SEQNO) {
            Some(value) => assert_eq!(value, [5, 1]),
            None => assert!(!is_visible),
        }
        writer.join().unwrap();
    });
}

/// A key is set again: who reads at the old moment sees the old entry, whatever is there.
#[test]
fn an_old_moment_stays() {
    explore("an_old_moment_stays", 3, || {
        let table = table([5]);
        let of_writer = table.clone();
        let writer = thread::spawn(move || insert(&of_writer, 5, 2));
        assert_eq!(get(&table, 5, 1).as_deref(), Some(&[5][..]));
        assert!([&[5][..], &[5, 2]].contains(&&get(&table, 5, 2).unwrap()[..]));
        writer.join().unwrap();
    });
}

/// Two inserts beside a cursor: it meets what was there, in order, and of what comes, some.
#[test]
fn two_inserts_beside_a_cursor() {
    explore("two_inserts_beside_a_cursor", 3, || {
        let table = table([2]);
        let of_writer = table.clone();
        let writer = thread::spawn(move || {
            insert(&of_writer, 1, 2);
            insert(&of_writer, 3, 3);
        });
        let mut cursor = table.cursor();
        let mut met = Vec::new();
        cursor.seek_to_first().unwrap();
        while cursor.valid() {
            met.push(key(&cursor));
            cursor.next().unwrap();
        }
        assert!([&[2][..], &[1, 2], &[2, 3], &[1, 2, 3]].contains(&&met[..]), "{met:?}");
        writer.join().unwrap();
    });
}

/// A leaf is split, and the slots that are free then are filled again, beside a search for a key that moves
/// and one that stays.
#[test]
fn a_search_beside_a_split() {
    explore("a_search_beside_a_split", 1, || {
        let table = table((0..LEAF).map(|n| 2 * n));
        let of_writer = table.clone();
        let writer = thread::spawn(move || {
            insert(&of_writer, 3, 2);
            insert(&of_writer, 5, 3);
        });
        for old in [2 * LEAF - 2, 8] {
            assert_eq!(get(&table, old, 1), Some(vec![old]));
        }
        writer.join().unwrap();
    });
}

/// The walk from the end beside a split: it meets all that was there.
#[test]
fn a_walk_from_the_end_beside_a_split() {
    explore("a_walk_from_the_end_beside_a_split", 2, || {
        let table = table((0..LEAF).map(|n| 2 * n));
        let of_writer = table.clone();
        let writer = thread::spawn(move || insert(&of_writer, 5, 2));
        let mut cursor = table.cursor();
        let mut met = Vec::new();
        cursor.seek_to_last().unwrap();
        while cursor.valid() {
            met.push(key(&cursor));
            cursor.prev().unwrap();
        }
        assert!(met.is_sorted_by(|a, b| a > b), "{met:?}");
        met.retain(|key| *key != 5);
        assert_eq!(met, (0..LEAF).rev().map(|n| 2 * n).collect::<Vec<_>>());
        writer.join().unwrap();
    });
}

/// What is published without an order is found: else the rest would prove nothing.
#[test]
#[should_panic(expected = "Causality violation")]
fn a_planted_bug_is_found_by_loom() {
    model(2, || {
        let shown = Arc::new(AtomicU64::new(0));
        let shows = shown.clone();
        let writer = thread::spawn(move || {
            Bytes::at(8).write();
            shows.store(1, Ordering::Relaxed);
        });
        if shown.load(Ordering::Acquire) == 1 {
            Bytes::at(8).read();
        }
        writer.join().unwrap();
    });
}
