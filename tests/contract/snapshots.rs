//! Snapshots: the store as it was, whatever happens to it.

use crate::common::engines::Store;
use crate::common::words::{
    Random, batch, expect_many, fill, fill_many, get, pairs, some, text, text_in, value, write,
};
use kvs::engine::range::KeyRange;
use kvs::engine::{KvsEngine, Snapshot};

on_every_engine!([
    a_snapshot_does_not_see_later_writes,
    a_snapshot_of_an_empty_store_stays_empty,
    a_snapshot_does_not_see_compaction,
    a_snapshot_outlives_overwrites_and_many_compactions,
    a_snapshot_keeps_a_key_that_is_removed_and_set_again,
    a_snapshot_does_not_see_what_was_removed_before_it,
    a_snapshot_sees_a_batch_as_a_whole,
    a_snapshot_scans_both_ways_and_within_bounds,
    a_clone_lives_on_without_the_original,
    snapshots_of_many_moments_each_keep_theirs,
    snapshots_may_go_in_any_order,
    a_snapshot_may_outlive_the_engine,
    the_store_opens_again_beside_an_old_snapshot,
    a_snapshot_can_be_read_in_another_thread,
    held_snapshots_are_counted,
    space_held_by_a_snapshot_is_reclaimed_after_it,
]);

fn a_snapshot_does_not_see_later_writes(store: &dyn KvsEngine) {
    fill(store, "a=1 b=1 c=1");
    let past = store.snapshot().unwrap();
    fill(store, "a=2 -b d=2");
    store.swap(b"c", None).unwrap();
    assert_eq!(text(&past), "a=1 b=1 c=1");
    assert_eq!(get(&past, "d"), None);
    assert_eq!(text(store), "a=2 d=2");
}

fn a_snapshot_of_an_empty_store_stays_empty(store: &dyn KvsEngine) {
    let past = store.snapshot().unwrap();
    fill(store, "a=1 b=2");
    store.compact().unwrap();
    assert_eq!(text(&past), "");
    assert_eq!(get(&past, "a"), None);
}

fn a_snapshot_does_not_see_compaction(store: &dyn KvsEngine) {
    fill_many(store, 300, 60, 1);
    let past = store.snapshot().unwrap();
    fill_many(store, 200, 60, 2);
    store.compact().unwrap();
    expect_many(&past, 300, 60, 1);
    assert_eq!(get(store, "key0000"), some(value(0, 60, 2)));
    assert_eq!(get(store, "key0299"), some(value(299, 60, 1)));
}

fn a_snapshot_outlives_overwrites_and_many_compactions(store: &dyn KvsEngine) {
    fill_many(store, 100, 200, 0);
    let past = store.snapshot().unwrap();
    for salt in 1..10 {
        fill_many(store, 100, 200, salt);
        store.compact().unwrap();
        expect_many(&past, 100, 200, 0);
    }
    expect_many(store, 100, 200, 9);
}

fn a_snapshot_keeps_a_key_that_is_removed_and_set_again(store: &dyn KvsEngine) {
    fill(store, "k=old");
    let past = store.snapshot().unwrap();
    fill(store, "-k");
    store.compact().unwrap();
    let between = store.snapshot().unwrap();
    fill(store, "k=new");
    store.compact().unwrap();
    assert_eq!((text(&past), text(&between), text(store)), ("k=old".into(), "".into(), "k=new".into()));
}

fn a_snapshot_does_not_see_what_was_removed_before_it(store: &dyn KvsEngine) {
    fill(store, "a=1 b=1 -a");
    let past = store.snapshot().unwrap();
    assert_eq!(text(&past), "b=1");
    fill(store, "a=2");
    assert_eq!(get(&past, "a"), None);
}

fn a_snapshot_sees_a_batch_as_a_whole(store: &dyn KvsEngine) {
    let mut pasts = Vec::new();
    for i in 0..20 {
        pasts.push(store.snapshot().unwrap());
        write(store, &format!("a={i} b={i} c={i}"));
    }
    assert_eq!(text(&pasts[0]), "");
    for (i, past) in pasts.iter().enumerate().skip(1) {
        let i = i - 1;
        assert_eq!(text(past), format!("a={i} b={i} c={i}"));
    }
}

fn a_snapshot_scans_both_ways_and_within_bounds(store: &dyn KvsEngine) {
    fill(store, "a=1 b=2 c=3 d=4");
    let past = store.snapshot().unwrap();
    fill(store, "a=9 -b bb=9 -d");
    assert_eq!(text_in(&past, KeyRange::of("b".."d")), "b=2 c=3");
    assert_eq!(text_in(&past, KeyRange::of("b"..="d").reverse()), "d=4 c=3 b=2");
    assert_eq!(text_in(&past, KeyRange::prefix("b")), "b=2");
}

fn a_clone_lives_on_without_the_original(store: &dyn KvsEngine) {
    fill(store, "a=1");
    let original = store.snapshot().unwrap();
    let clone = original.clone();
    fill(store, "a=2");
    let clone_of_clone = clone.clone();
    drop((original, clone));
    store.compact().unwrap();
    assert_eq!(text(&clone_of_clone), "a=1");
}

/// A moment of the store, and what it held then.
fn moments(store: &dyn KvsEngine, count: usize, random: &mut Random) -> Vec<(Snapshot, String)> {
    let mut moments = Vec::new();
    for i in 0..count {
        for _ in 0..10 {
            let key = (b'a' + random.below(12) as u8) as char;
            match random.below(4) {
                0 => write(store, &format!("-{key}")),
                1 => write(store, &format!("{key}={i} {key}{key}={i}")),
                _ => write(store, &format!("{key}={i}")),
            }
        }
        if random.below(3) == 0 {
            store.compact().unwrap();
        }
        moments.push((store.snapshot().unwrap(), text(store)));
    }
    moments
}

fn snapshots_of_many_moments_each_keep_theirs(store: &dyn KvsEngine) {
    for (past, then) in moments(store, 30, &mut Random::new(1)) {
        assert_eq!(text(&past), then);
    }
}

fn snapshots_may_go_in_any_order(store: &dyn KvsEngine) {
    let mut random = Random::new(2);
    let mut held = moments(store, 20, &mut random);
    random.shuffle(&mut held);
    let now = text(store);
    while held.pop().is_some() {
        if held.len().is_multiple_of(4) {
            store.compact().unwrap();
        }
        for (past, then) in &held {
            assert_eq!(&text(past), then);
        }
    }
    assert_eq!(text(store), now);
}

fn a_snapshot_may_outlive_the_engine(store: &mut Store) {
    fill_many(&**store, 200, 100, 1);
    let past = store.snapshot().unwrap();
    fill_many(&**store, 200, 100, 2);
    store.close();
    expect_many(&past, 200, 100, 1);
    let sought = pairs(&past, KeyRange::of("key0100"..="key0100"));
    assert_eq!(sought, [(b"key0100".to_vec(), value(100, 100, 1))]);
}

/// The lock goes with the engine, not with what it left behind. The files that the snapshot reads
/// may go too, when the new engine compacts: then it says so, and never answers from other files.
fn the_store_opens_again_beside_an_old_snapshot(store: &mut Store) {
    fill_many(&**store, 200, 100, 1);
    let past = store.snapshot().unwrap();
    store.reopen();
    fill_many(&**store, 200, 100, 2);
    store.compact().unwrap();
    expect_many(&**store, 200, 100, 2);
    for i in 0..200 {
        use kvs::engine::KvsRead;
        let found = past.get(&crate::common::words::key(i));
        assert!(found.is_err() || found.unwrap().unwrap() == value(i, 100, 1), "the past, or an error");
    }
}

fn a_snapshot_can_be_read_in_another_thread(store: &dyn KvsEngine) {
    fill(store, "a=1");
    let past = store.snapshot().unwrap();
    let reader = std::thread::spawn(move || text(&past));
    store.write(batch("a=2 b=2"), &Default::default()).unwrap();
    assert_eq!(reader.join().unwrap(), "a=1");
}

fn held_snapshots_are_counted(store: &dyn KvsEngine) {
    let held = || store.stats().unwrap().snapshots;
    assert_eq!(held(), 0);
    let first = store.snapshot().unwrap();
    fill(store, "a=1");
    let second = store.snapshot().unwrap();
    assert_eq!(held(), 2);
    drop(first);
    assert_eq!(held(), 1);
    let cursor = store.cursor(KeyRange::all()).unwrap();
    assert_eq!(held(), 2);
    drop((second, cursor));
    assert_eq!(held(), 0);
}

fn space_held_by_a_snapshot_is_reclaimed_after_it(store: &mut Store) {
    fill_many(&**store, 100, 1000, 1);
    let past = store.snapshot().unwrap();
    fill_many(&**store, 100, 1000, 2);
    store.compact().unwrap();
    expect_many(&past, 100, 1000, 1);
    drop(past);
    store.compact().unwrap();
    assert!(store.disk_bytes() < 150_000, "{} bytes for 100,000 of data", store.disk_bytes());
    expect_many(&**store, 100, 1000, 2);
}
