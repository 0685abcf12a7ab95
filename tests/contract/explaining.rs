//! Explanations agree with the reads that they explain.

use crate::common::engines::Store;
use crate::common::words::{every_range, fill, fill_many, get, key, pairs};
use kvs::engine::KvsEngine;
use kvs::engine::explain::Explanation;
use kvs::engine::range::KeyRange;

on_every_engine!([
    explain_get_finds_what_get_finds,
    explain_get_names_the_newest_write,
    explain_get_says_what_was_read,
    explain_scan_counts_what_scan_yields,
    explain_scan_stops_at_its_limit,
    explaining_changes_nothing,
]);

/// What is true of every explanation.
fn check(store: &dyn KvsEngine, explained: &Explanation) {
    assert_eq!(explained.engine, store.stats().unwrap().engine);
    assert_eq!(explained.visible_seqno, store.stats().unwrap().seqno);
    assert!(!explained.steps.is_empty());
    assert_eq!(explained.found.is_some(), explained.pairs > 0);
    for step in &explained.steps {
        assert!(!step.place.is_empty() && !step.outcome.is_empty(), "{step:?}");
        assert!(step.cached <= step.blocks, "{step:?}");
    }
    if let Some(found) = &explained.found {
        assert!(explained.steps.iter().any(|step| step.place == found.place), "{explained:?}");
        assert!(found.seqno.is_none_or(|seqno| seqno <= explained.visible_seqno), "{explained:?}");
    }
}

/// A store with every kind of key, in every place where one can be.
fn history(store: &mut Store, then: impl Fn(&dyn KvsEngine)) {
    fill_many(&**store, 60, 100, 1);
    then(&**store);
    store.flush().unwrap();
    then(&**store);
    fill_many(&**store, 20, 100, 2);
    (10..30).for_each(|i| _ = store.remove(&key(i)).unwrap());
    then(&**store);
    store.reopen();
    then(&**store);
    store.compact().unwrap();
    then(&**store);
}

fn explain_get_finds_what_get_finds(store: &mut Store) {
    history(store, |store| {
        for i in 0..70 {
            let explained = store.explain_get(&key(i)).unwrap();
            check(store, &explained);
            let value = get(store, key(i)).map(|value| value.len() as u64);
            assert_eq!(explained.found.map(|found| found.value_bytes), value, "{i}");
            assert_eq!(explained.pairs, u64::from(value.is_some()));
        }
    });
}

fn explain_get_names_the_newest_write(store: &mut Store) {
    fill(&**store, "a=1 b=1 a=2");
    let seqno = |store: &Store, key: &str| store.explain_get(key.as_bytes()).unwrap().found.unwrap().seqno;
    for _ in 0..2 {
        if store.is_kept() {
            assert_eq!((seqno(store, "a"), seqno(store, "b")), (Some(3), Some(2)));
        }
        store.reopen();
    }
    fill(&**store, "-a");
    assert_eq!(store.explain_get(b"a").unwrap().found, None);
}

fn explain_get_says_what_was_read(store: &mut Store) {
    fill_many(&**store, 10, 5_000, 1);
    store.flush().unwrap();
    let explained = store.explain_get(&key(3)).unwrap();
    let blocks: u64 = explained.steps.iter().map(|step| step.blocks).sum();
    assert!(blocks >= 1, "{explained:?}");
    if store.is_kept() {
        assert!(explained.bytes() >= 5_000, "{explained:?}");
    }
}

fn explain_scan_counts_what_scan_yields(store: &mut Store) {
    history(store, |store| {
        let ends = [key(5), key(15), key(40)];
        for range in every_range(&[&ends[0], &ends[1], &ends[2]]) {
            for range in [range.clone(), range.reverse()] {
                let found = pairs(store, range.clone());
                let explained = store.explain_scan(range, u64::MAX).unwrap();
                check(store, &explained);
                assert_eq!(explained.pairs, found.len() as u64);
                let last = found.last().map(|(_, value)| value.len() as u64);
                assert_eq!(explained.found.map(|found| found.value_bytes), last);
            }
        }
    });
}

fn explain_scan_stops_at_its_limit(store: &dyn KvsEngine) {
    fill(store, "a=1 b=22 c=333 d=4444");
    let last = |range: KeyRange, limit| {
        let explained = store.explain_scan(range, limit).unwrap();
        check(store, &explained);
        (explained.pairs, explained.found.map_or(0, |found| found.value_bytes))
    };
    assert_eq!(last(KeyRange::all(), 0), (0, 0));
    assert_eq!(last(KeyRange::all(), 2), (2, 2));
    assert_eq!(last(KeyRange::all(), 9), (4, 4));
    assert_eq!(last(KeyRange::all().reverse(), 1), (1, 4));
    assert_eq!(last(KeyRange::all().reverse(), 3), (3, 2));
}

fn explaining_changes_nothing(store: &dyn KvsEngine) {
    fill_many(store, 50, 100, 1);
    let before = store.stats().unwrap();
    store.explain_get(b"key0001").unwrap();
    store.explain_get(b"missing").unwrap();
    store.explain_scan(KeyRange::all(), 10).unwrap();
    let after = store.stats().unwrap();
    assert_eq!((after.keys, after.seqno, after.snapshots), (before.keys, before.seqno, before.snapshots));
    if !before.is_estimate {
        assert_eq!((after.live_bytes, after.files), (before.live_bytes, before.files));
    }
}
