//! One key: set, get, remove, swap; what a key and a value may be.

use crate::common::engines::Store;
use crate::common::words::Count;
use crate::common::words::{Random, expect_many, fill, fill_many, get, key, some, text, value};
use kvs::engine::KvsEngine;
use kvs::engine::batch::{MAX_KEY_LEN, WriteBatch};
use kvs::engine::range::KeyRange;
use kvs::error::Error;

on_every_engine!([
    an_empty_store_has_nothing,
    what_was_set_is_there,
    a_set_replaces_with_shorter_and_longer,
    setting_the_same_value_again_is_a_write,
    a_removed_key_is_gone,
    a_removed_key_can_be_set_again,
    remove_says_whether_the_key_was_there,
    removing_what_is_missing_writes_nothing,
    swap_returns_what_it_replaced,
    swap_with_none_removes,
    swapping_nothing_for_nothing_writes_nothing,
    swap_tells_an_empty_value_from_none,
    the_empty_key_is_a_key,
    the_empty_value_is_a_value,
    every_byte_may_be_in_a_key_and_in_a_value,
    keys_that_begin_alike_are_different,
    a_value_that_looks_like_a_record_is_a_value,
    the_longest_key_is_stored,
    a_key_one_too_long_is_refused_by_every_write,
    a_key_one_too_long_is_not_there,
    values_of_many_lengths_come_back,
    a_value_of_sixteen_mebibytes_comes_back,
    many_keys_in_random_order_are_all_there,
    many_overwrites_leave_the_last,
]);

fn an_empty_store_has_nothing(store: &dyn KvsEngine) {
    assert_eq!(get(store, "a"), None);
    assert_eq!(get(store, ""), None);
    assert_eq!(text(store), "");
    assert_eq!(store.key_count(), 0);
}

fn what_was_set_is_there(store: &dyn KvsEngine) {
    store.set(b"a", b"1").unwrap();
    assert_eq!(get(store, "a"), some("1"));
    assert_eq!(get(store, "b"), None);
}

fn a_set_replaces_with_shorter_and_longer(store: &dyn KvsEngine) {
    for value in ["middling", "s", "very much longer than it was", "", "x"] {
        store.set(b"k", value.as_bytes()).unwrap();
        assert_eq!(get(store, "k"), some(value));
    }
    assert_eq!(text(store), "k=x");
}

fn setting_the_same_value_again_is_a_write(store: &dyn KvsEngine) {
    store.set(b"k", b"v").unwrap();
    let before = store.stats().unwrap();
    store.set(b"k", b"v").unwrap();
    let after = store.stats().unwrap();
    assert_eq!(store.key_count(), 1);
    assert!(after.seqno > before.seqno);
    assert_eq!(text(store), "k=v");
}

fn a_removed_key_is_gone(store: &dyn KvsEngine) {
    fill(store, "a=1 b=2 c=3");
    store.remove(b"b").unwrap();
    assert_eq!(get(store, "b"), None);
    assert_eq!(text(store), "a=1 c=3");
}

fn a_removed_key_can_be_set_again(store: &dyn KvsEngine) {
    for round in ["1", "2", "3"] {
        store.set(b"k", round.as_bytes()).unwrap();
        assert_eq!(text(store), format!("k={round}"));
        assert!(store.remove(b"k").unwrap());
        assert_eq!(text(store), "");
    }
}

fn remove_says_whether_the_key_was_there(store: &dyn KvsEngine) {
    assert!(!store.remove(b"k").unwrap());
    store.set(b"k", b"v").unwrap();
    assert!(store.remove(b"k").unwrap());
    assert!(!store.remove(b"k").unwrap());
}

fn removing_what_is_missing_writes_nothing(store: &mut Store) {
    fill(&**store, "a=1 b=2 -b");
    let (stats, bytes) = (store.stats().unwrap(), store.disk_bytes());
    assert!(!store.remove(b"b").unwrap());
    assert!(!store.remove(b"never").unwrap());
    assert_eq!(store.stats().unwrap().seqno, stats.seqno);
    assert_eq!(store.disk_bytes(), bytes);
}

fn swap_returns_what_it_replaced(store: &dyn KvsEngine) {
    let swap = |value: &str| store.swap(b"k", Some(value.as_bytes())).unwrap().map(|old| old.to_vec());
    assert_eq!(swap("1"), None);
    assert_eq!(swap("2"), some("1"));
    assert_eq!(swap("3"), some("2"));
    assert_eq!(text(store), "k=3");
}

fn swap_with_none_removes(store: &dyn KvsEngine) {
    fill(store, "a=1 b=2");
    assert_eq!(store.swap(b"a", None).unwrap().map(|old| old.to_vec()), some("1"));
    assert_eq!(text(store), "b=2");
}

fn swapping_nothing_for_nothing_writes_nothing(store: &mut Store) {
    fill(&**store, "a=1");
    let (stats, bytes) = (store.stats().unwrap(), store.disk_bytes());
    assert!(store.swap(b"b", None).unwrap().is_none());
    assert_eq!(store.stats().unwrap().seqno, stats.seqno);
    assert_eq!(store.disk_bytes(), bytes);
}

fn swap_tells_an_empty_value_from_none(store: &dyn KvsEngine) {
    assert!(store.swap(b"k", Some(b"")).unwrap().is_none());
    assert_eq!(store.swap(b"k", Some(b"")).unwrap().map(|old| old.to_vec()), some(""));
    assert_eq!(store.swap(b"k", None).unwrap().map(|old| old.to_vec()), some(""));
    assert!(store.swap(b"k", None).unwrap().is_none());
}

fn the_empty_key_is_a_key(store: &mut Store) {
    assert_eq!(get(&**store, ""), None);
    fill(&**store, "a=1");
    store.set(b"", b"nothing").unwrap();
    store.reopen();
    assert_eq!(get(&**store, ""), some("nothing"));
    assert_eq!(text(&**store), "=nothing a=1", "the smallest key of all");
    assert!(store.remove(b"").unwrap());
    store.reopen();
    assert_eq!(text(&**store), "a=1");
}

fn the_empty_value_is_a_value(store: &mut Store) {
    store.set(b"k", b"").unwrap();
    for _ in 0..2 {
        assert_eq!(get(&**store, "k"), some(""));
        assert_eq!(text(&**store), "k=");
        store.compact().unwrap();
        store.reopen();
    }
    assert!(store.remove(b"k").unwrap());
    assert_eq!(get(&**store, "k"), None);
}

fn every_byte_may_be_in_a_key_and_in_a_value(store: &mut Store) {
    for byte in 0..=255u8 {
        store.set(&[byte], &[b'<', byte, byte, b'>']).unwrap();
        store.set(&[b'k', byte, b'\n'], &[byte]).unwrap();
    }
    store.reopen();
    for byte in 0..=255u8 {
        assert_eq!(get(&**store, [byte]), some([b'<', byte, byte, b'>']));
        assert_eq!(get(&**store, [b'k', byte, b'\n']), some([byte]));
    }
    assert_eq!(store.scan(KeyRange::all()).unwrap().count(), 512);
}

fn keys_that_begin_alike_are_different(store: &dyn KvsEngine) {
    let keys = ["", "a", "a\0", "a\0\0", "aa", "aaa", "ab", "b"];
    for key in keys {
        store.set(key.as_bytes(), format!("of {key:?}").as_bytes()).unwrap();
    }
    for key in keys {
        assert_eq!(get(store, key), some(format!("of {key:?}")));
    }
    store.remove(b"a\0").unwrap();
    assert_eq!(get(store, "a"), some("of \"a\""));
    assert_eq!(get(store, "a\0\0"), some("of \"a\\0\\0\""));
}

/// Other stores mark removals in the value, or look for records inside values after damage.
fn a_value_that_looks_like_a_record_is_a_value(store: &mut Store) {
    store.set(b"first", b"x").unwrap();
    let files: Vec<u8> = store.image().into_iter().flat_map(|(_, bytes)| bytes).collect();
    let lookalikes: [&[u8]; 5] =
        [b"bitcask_tombstone", b"KVSSTORE", b"\0\0\0\0\0\0\0\0", b"TOMBSTONE", &files];
    for (i, lookalike) in lookalikes.iter().enumerate() {
        store.set(&key(i), lookalike).unwrap();
    }
    for _ in 0..2 {
        for (i, lookalike) in lookalikes.iter().enumerate() {
            assert_eq!(get(&**store, key(i)), some(lookalike));
        }
        store.compact().unwrap();
        store.reopen();
    }
}

fn the_longest_key_is_stored(store: &mut Store) {
    let mut longest = vec![b'k'; MAX_KEY_LEN];
    store.set(&longest, b"1").unwrap();
    *longest.last_mut().unwrap() = b'l';
    store.swap(&longest, Some(b"2")).unwrap();
    for _ in 0..2 {
        assert_eq!(get(&**store, &longest), some("2"));
        assert_eq!(get(&**store, &longest[..MAX_KEY_LEN - 1]), None);
        assert_eq!(store.scan(KeyRange::of("k"..)).unwrap().count(), 2);
        store.compact().unwrap();
        store.reopen();
    }
    assert!(store.remove(&longest).unwrap());
    assert_eq!(store.key_count(), 1);
}

fn a_key_one_too_long_is_refused_by_every_write(store: &mut Store) {
    fill(&**store, "a=1");
    let (stats, bytes) = (store.stats().unwrap(), store.disk_bytes());
    for len in [MAX_KEY_LEN + 1, MAX_KEY_LEN + 2, 1 << 20] {
        let long = vec![b'k'; len];
        let mut blind = WriteBatch::new();
        blind.remove(&long);
        let refused = [
            store.set(&long, b"v").unwrap_err(),
            store.swap(&long, Some(b"v")).unwrap_err(),
            store.swap(&long, None).unwrap_err(),
            store.remove(&long).unwrap_err(),
            store.write(blind, &Default::default()).unwrap_err(),
        ];
        for error in refused {
            assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
            assert!(error.to_string().contains(&len.to_string()), "says how long: {error}");
        }
    }
    assert_eq!(store.stats().unwrap().seqno, stats.seqno);
    assert_eq!(store.disk_bytes(), bytes);
    fill(&**store, "b=2");
    assert_eq!(text(&**store), "a=1 b=2", "the store goes on");
}

/// It can not be there, so the answer is none, not an error.
fn a_key_one_too_long_is_not_there(store: &dyn KvsEngine) {
    let long = vec![b'k'; MAX_KEY_LEN + 1];
    store.set(&long[..MAX_KEY_LEN], b"v").unwrap();
    assert_eq!(get(store, &long), None);
    assert_eq!(store.scan(KeyRange::of(&long[..]..)).unwrap().count(), 0);
}

fn values_of_many_lengths_come_back(store: &mut Store) {
    let around = |n: usize| n.saturating_sub(20)..n + 20;
    let lens: Vec<_> = (0..260)
        .chain(around(4096))
        .chain(around(8192))
        .chain(around(32_768))
        .chain(around(65_536))
        .collect();
    for &len in &lens {
        store.set(&key(len), &value(len, len, 1)).unwrap();
    }
    for _ in 0..2 {
        for &len in &lens {
            assert!(get(&**store, key(len)) == some(value(len, len, 1)), "{len} bytes");
        }
        store.reopen();
    }
}

fn a_value_of_sixteen_mebibytes_comes_back(store: &mut Store) {
    let mut random = Random::new(16);
    let big: Vec<u8> = (0..2 << 20).flat_map(|_| random.next().to_le_bytes()).collect();
    fill(&**store, "a=1 z=1");
    store.set(b"big", &big).unwrap();
    fill(&**store, "a=2");
    for _ in 0..2 {
        assert!(get(&**store, "big").as_ref() == Some(&big));
        assert_eq!(store.key_count(), 3);
        store.compact().unwrap();
        store.reopen();
    }
    assert_eq!(store.swap(b"big", Some(b"small")).unwrap().map(|old| old.len()), Some(big.len()));
    assert_eq!(text(&**store), "a=2 big=small z=1");
}

fn many_keys_in_random_order_are_all_there(store: &mut Store) {
    let mut order: Vec<_> = (0..2000).collect();
    Random::new(7).shuffle(&mut order);
    for i in order {
        store.set(&key(i), &value(i, 30, 1)).unwrap();
    }
    expect_many(&**store, 2000, 30, 1);
    store.reopen();
    expect_many(&**store, 2000, 30, 1);
}

fn many_overwrites_leave_the_last(store: &mut Store) {
    for salt in 0..20 {
        fill_many(&**store, 50, 100, salt);
    }
    expect_many(&**store, 50, 100, 19);
    store.reopen();
    expect_many(&**store, 50, 100, 19);
}
