//! Batches: in their order, all or nothing.

use crate::common::engines::Store;
use crate::common::words::Count;
use crate::common::words::{batch, expect_many, fill, get, key, some, text, value, write};
use kvs::engine::KvsEngine;
use kvs::engine::batch::{MAX_KEY_LEN, WriteBatch};
use kvs::engine::options::{Durability, WriteOptions};
use kvs::error::Error;
use std::time::Duration;

on_every_engine!([
    the_steps_happen_in_their_order,
    the_last_step_of_a_key_wins,
    a_key_set_and_removed_in_one_batch_is_not_there,
    a_key_removed_and_set_in_one_batch_is_there,
    an_empty_batch_does_nothing,
    a_blind_removal_of_what_is_missing_is_no_error,
    a_batch_of_blind_removals_empties_the_store,
    the_same_batch_twice_is_the_same_state,
    one_illegal_step_refuses_the_whole_batch,
    a_refused_batch_leaves_nothing_after_opening_again,
    a_batch_of_ten_thousand_steps_is_one_write,
    a_batch_larger_than_any_file_limit_is_one_write,
    each_durability_is_accepted_for_a_single_write,
    seqno_grows_by_every_batch,
]);

fn the_steps_happen_in_their_order(store: &dyn KvsEngine) {
    write(store, "a=1 b=2 c=3 -b d=4");
    assert_eq!(text(store), "a=1 c=3 d=4");
}

fn the_last_step_of_a_key_wins(store: &mut Store) {
    write(&**store, "a=1 b=1 a=2 b=2 a=3");
    assert_eq!(text(&**store), "a=3 b=2");
    store.reopen();
    assert_eq!(text(&**store), "a=3 b=2");
    store.compact().unwrap();
    store.reopen();
    assert_eq!(text(&**store), "a=3 b=2");
    assert_eq!(store.key_count(), 2);
}

fn a_key_set_and_removed_in_one_batch_is_not_there(store: &mut Store) {
    fill(&**store, "old=1");
    write(&**store, "new=1 -new old=2 -old");
    for _ in 0..2 {
        assert_eq!(text(&**store), "");
        assert_eq!(store.key_count(), 0);
        store.reopen();
    }
}

fn a_key_removed_and_set_in_one_batch_is_there(store: &mut Store) {
    fill(&**store, "old=1");
    write(&**store, "-new new=1 -old old=2");
    for _ in 0..2 {
        assert_eq!(text(&**store), "new=1 old=2");
        assert_eq!(store.key_count(), 2);
        store.reopen();
    }
}

fn an_empty_batch_does_nothing(store: &mut Store) {
    fill(&**store, "a=1");
    let (stats, bytes) = (store.stats().unwrap(), store.disk_bytes());
    store.write(WriteBatch::new(), &Default::default()).unwrap();
    store.write(WriteBatch::new(), &WriteOptions::durable()).unwrap();
    assert_eq!(store.stats().unwrap().seqno, stats.seqno);
    assert_eq!(store.disk_bytes(), bytes);
    assert_eq!(text(&**store), "a=1");
}

fn a_blind_removal_of_what_is_missing_is_no_error(store: &mut Store) {
    write(&**store, "-a");
    write(&**store, "-a -a -b c=1");
    for _ in 0..2 {
        assert_eq!(text(&**store), "c=1");
        assert_eq!(store.key_count(), 1);
        store.reopen();
    }
}

fn a_batch_of_blind_removals_empties_the_store(store: &mut Store) {
    let mut removals = WriteBatch::new();
    for i in 0..500 {
        store.set(&key(i), b"x").unwrap();
        removals.remove(&key(i));
    }
    store.write(removals, &Default::default()).unwrap();
    for _ in 0..2 {
        assert_eq!(text(&**store), "");
        assert_eq!(store.key_count(), 0);
        store.reopen();
    }
}

fn the_same_batch_twice_is_the_same_state(store: &dyn KvsEngine) {
    let twice = batch("a=1 -b c=3");
    store.write(twice.clone(), &Default::default()).unwrap();
    store.write(twice, &Default::default()).unwrap();
    assert_eq!(text(store), "a=1 c=3");
}

/// Other stores have let the legal half of such a batch through.
fn one_illegal_step_refuses_the_whole_batch(store: &mut Store) {
    fill(&**store, "a=1 b=2");
    let (stats, bytes) = (store.stats().unwrap(), store.disk_bytes());
    let long = vec![b'k'; MAX_KEY_LEN + 1];
    for place in 0..3 {
        let mut batch = WriteBatch::new();
        for step in 0..3 {
            match step == place {
                true => batch.set(&long, b"illegal"),
                false => batch.set(&key(step), b"legal"),
            }
        }
        batch.remove(b"a");
        let error = store.write(batch, &Default::default()).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    }
    assert_eq!(store.stats().unwrap().seqno, stats.seqno);
    assert_eq!(store.disk_bytes(), bytes);
    assert_eq!(text(&**store), "a=1 b=2");
}

fn a_refused_batch_leaves_nothing_after_opening_again(store: &mut Store) {
    fill(&**store, "a=1");
    let mut illegal = batch("a=2 b=2");
    illegal.remove(&vec![0; MAX_KEY_LEN + 1]);
    store.write(illegal, &Default::default()).unwrap_err();
    store.reopen();
    assert_eq!(text(&**store), "a=1");
    fill(&**store, "b=3");
    store.reopen();
    assert_eq!(text(&**store), "a=1 b=3");
}

fn a_batch_of_ten_thousand_steps_is_one_write(store: &mut Store) {
    let mut batch = WriteBatch::new();
    for i in 0..10_000 {
        batch.set(&key(i % 5000), &value(i % 5000, 40, (i / 5000) as u8));
    }
    assert_eq!(batch.len(), 10_000);
    store.write(batch, &Default::default()).unwrap();
    expect_many(&**store, 5000, 40, 1);
    store.reopen();
    expect_many(&**store, 5000, 40, 1);
}

fn a_batch_larger_than_any_file_limit_is_one_write(store: &mut Store) {
    let mut batch = WriteBatch::new();
    for i in 0..100 {
        batch.set(&key(i), &value(i, 50_000, 3));
    }
    batch.remove(&key(7));
    batch.set(&key(7), &value(7, 50_000, 3));
    store.write(batch, &Default::default()).unwrap();
    for _ in 0..2 {
        expect_many(&**store, 100, 50_000, 3);
        store.compact().unwrap();
        store.reopen();
    }
}

fn each_durability_is_accepted_for_a_single_write(store: &mut Store) {
    let kinds = [Durability::Always, Durability::Interval(Duration::from_secs(3600)), Durability::Os];
    for (i, durability) in kinds.into_iter().enumerate() {
        let options = WriteOptions { durability: Some(durability) };
        let mut batch = WriteBatch::new();
        batch.set(&key(i), durability.to_string().as_bytes());
        store.write(batch, &options).unwrap();
        assert_eq!(get(&**store, key(i)), some(durability.to_string()));
    }
    store.reopen();
    assert_eq!(text(&**store), "key0000=always key0001=interval:3600000 key0002=os");
}

fn seqno_grows_by_every_batch(store: &dyn KvsEngine) {
    let mut last = store.stats().unwrap().seqno;
    for words in ["a=1", "a=1 b=2", "-a", "-missing", "a=1 a=2 -a"] {
        write(store, words);
        let seqno = store.stats().unwrap().seqno;
        assert!(seqno > last, "{words}: {last} -> {seqno}");
        last = seqno;
    }
}
