//! Scans: a cursor as an iterator.

use crate::common::engines::Store;
use crate::common::words::Count;
use crate::common::words::{Random, every_range, fill, fill_many, get, key, pairs, text, text_in, value};
use kvs::engine::KvsEngine;
use kvs::engine::range::KeyRange;
use std::collections::BTreeMap;

on_every_engine!([
    a_scan_yields_keys_in_the_order_of_their_bytes,
    a_reverse_scan_is_the_scan_turned_round,
    every_range_reversed_is_the_same_turned_round,
    a_scan_can_be_limited,
    a_scan_can_be_dropped_early,
    a_scan_that_ended_stays_ended,
    a_scan_says_what_gets_say,
    a_scan_of_a_prefix,
    a_scan_does_not_see_its_own_loop_write,
    a_scan_may_remove_what_it_sees,
    two_scans_run_beside_each_other,
    a_scan_copies_what_it_yields,
    a_scan_equals_a_sorted_map,
]);

fn a_scan_yields_keys_in_the_order_of_their_bytes(store: &mut Store) {
    let mut keys: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    keys.extend([vec![], vec![0, 0], vec![0x7f, 0xff], vec![0x80, 0], vec![0xff, 0xff]]);
    Random::new(5).shuffle(&mut keys);
    for key in &keys {
        store.set(key, b"").unwrap();
    }
    keys.sort();
    for _ in 0..2 {
        let found: Vec<_> = pairs(&**store, KeyRange::all()).into_iter().map(|(key, _)| key).collect();
        assert_eq!(found, keys);
        store.reopen();
    }
}

fn a_reverse_scan_is_the_scan_turned_round(store: &dyn KvsEngine) {
    fill(store, "b=2 c=3 a=1 -c d=4");
    assert_eq!(text_in(store, KeyRange::all()), "a=1 b=2 d=4");
    assert_eq!(text_in(store, KeyRange::all().reverse()), "d=4 b=2 a=1");
}

fn every_range_reversed_is_the_same_turned_round(store: &dyn KvsEngine) {
    fill(store, "a=1 b=2 c=3 d=4");
    for range in every_range(&[b"a", b"bb", b"c", b"e"]) {
        let mut forward = pairs(store, range.clone());
        forward.reverse();
        assert_eq!(pairs(store, range.clone().reverse()), forward, "{range:?}");
    }
}

fn a_scan_can_be_limited(store: &dyn KvsEngine) {
    fill_many(store, 100, 10, 1);
    let keys = |range: KeyRange| -> Vec<_> {
        store.scan(range).unwrap().take(3).map(|pair| pair.unwrap().0.to_vec()).collect()
    };
    assert_eq!(keys(KeyRange::all()), [key(0), key(1), key(2)]);
    assert_eq!(keys(KeyRange::all().reverse()), [key(99), key(98), key(97)]);
    assert_eq!(keys(KeyRange::of(key(50)..)), [key(50), key(51), key(52)]);
    assert_eq!(keys(KeyRange::of(..key(50)).reverse()), [key(49), key(48), key(47)]);
}

fn a_scan_can_be_dropped_early(store: &dyn KvsEngine) {
    fill_many(store, 100, 10, 1);
    let mut scan = store.scan(KeyRange::all()).unwrap();
    scan.next().unwrap().unwrap();
    assert_eq!(store.stats().unwrap().snapshots, 1);
    drop(scan);
    drop(store.scan(KeyRange::all()).unwrap());
    assert_eq!(store.stats().unwrap().snapshots, 0);
    fill(store, "key0000=new");
    store.compact().unwrap();
    assert_eq!(text_in(store, KeyRange::of(..=key(0))), "key0000=new");
}

fn a_scan_that_ended_stays_ended(store: &dyn KvsEngine) {
    fill(store, "a=1");
    for range in [KeyRange::all(), KeyRange::all().reverse()] {
        let mut scan = store.scan(range).unwrap();
        assert!(scan.next().is_some());
        for _ in 0..3 {
            assert!(scan.next().is_none());
        }
    }
}

fn a_scan_says_what_gets_say(store: &dyn KvsEngine) {
    let mut random = Random::new(11);
    for i in 0..1000 {
        let key = key(random.below(150));
        match random.below(4) {
            0 => _ = store.remove(&key).unwrap(),
            _ => store.set(&key, &value(i, random.below(200), 1)).unwrap(),
        }
    }
    let found: BTreeMap<_, _> = pairs(store, KeyRange::all()).into_iter().collect();
    for i in 0..150 {
        assert_eq!(get(store, key(i)).as_ref(), found.get(&key(i)), "{i}");
    }
    assert_eq!(store.key_count(), found.len() as u64);
}

fn a_scan_of_a_prefix(store: &dyn KvsEngine) {
    fill(store, "a=0 user/=1 user/a=2 user/b=3 user0=4 usee=5 z=6");
    assert_eq!(text_in(store, KeyRange::prefix("user/")), "user/=1 user/a=2 user/b=3");
    assert_eq!(text_in(store, KeyRange::prefix("user/").reverse()), "user/b=3 user/a=2 user/=1");
    assert_eq!(text_in(store, KeyRange::prefix("nobody")), "");
}

fn a_scan_does_not_see_its_own_loop_write(store: &dyn KvsEngine) {
    fill(store, "a=1 b=1");
    let mut seen = 0;
    for pair in store.scan(KeyRange::all()).unwrap() {
        let (mut key, value) = (pair.unwrap().0.to_vec(), b"2");
        key.push(b'x');
        store.set(&key, value).unwrap();
        seen += 1;
        assert!(seen <= 2, "a scan that feeds itself would never end");
    }
    assert_eq!(text(store), "a=1 ax=2 b=1 bx=2");
}

fn a_scan_may_remove_what_it_sees(store: &dyn KvsEngine) {
    fill_many(store, 300, 20, 1);
    let mut removed = 0;
    for pair in store.scan(KeyRange::all()).unwrap() {
        let (key, found) = pair.unwrap();
        assert_eq!(found, value(removed, 20, 1));
        assert!(store.remove(&key).unwrap());
        removed += 1;
    }
    assert_eq!(removed, 300);
    assert_eq!(text(store), "");
}

fn two_scans_run_beside_each_other(store: &dyn KvsEngine) {
    fill_many(store, 50, 10, 1);
    let forward = store.scan(KeyRange::all()).unwrap();
    let backward = store.scan(KeyRange::all().reverse()).unwrap();
    for (i, (up, down)) in forward.zip(backward).enumerate() {
        assert_eq!((up.unwrap().0, down.unwrap().0), (key(i)[..].into(), key(49 - i)[..].into()));
    }
}

fn a_scan_copies_what_it_yields(store: &dyn KvsEngine) {
    fill_many(store, 50, 1000, 1);
    let held: Vec<_> = store.scan(KeyRange::all()).unwrap().map(|pair| pair.unwrap()).collect();
    fill_many(store, 50, 1000, 2);
    store.compact().unwrap();
    for (i, (k, v)) in held.iter().enumerate() {
        assert!(*k == key(i) && *v == value(i, 1000, 1));
    }
}

fn a_scan_equals_a_sorted_map(store: &mut Store) {
    let (mut random, mut map) = (Random::new(13), BTreeMap::new());
    for round in 0..5 {
        for _ in 0..200 {
            let len = random.below(6);
            let key: Vec<u8> = (0..len).map(|_| b'a' + random.below(4) as u8).collect();
            let value = value(random.below(1000), random.below(60), round);
            match random.below(4) {
                0 => assert_eq!(store.remove(&key).unwrap(), map.remove(&key).is_some()),
                _ => {
                    let old = store.swap(&key, Some(&value)).unwrap().map(|old| old.to_vec());
                    assert_eq!(old, map.insert(key, value));
                }
            }
        }
        let expected: Vec<_> = map.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        assert_eq!(pairs(&**store, KeyRange::all()), expected);
        store.reopen();
        assert_eq!(pairs(&**store, KeyRange::all()), expected);
        store.compact().unwrap();
    }
}
