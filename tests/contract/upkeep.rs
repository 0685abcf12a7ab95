//! Upkeep: stats, sync, compaction.

use crate::common::engines::Store;
use crate::common::words::Count;
use crate::common::words::{
    every_range, expect_many, fill, fill_many, get, key, pairs, some, text, value, write,
};
use kvs::engine::KvsEngine;
use kvs::engine::batch::WriteBatch;
use kvs::engine::event::{Event, Listener};
use kvs::engine::filename::{self, FileName};
use kvs::engine::kind::EngineKind;
use kvs::engine::options::{OpenOptions, WriteOptions};
use kvs::engine::range::KeyRange;
use kvs::engine::value::Value;
use kvs::vfs::DirEntry;
use kvs::worker::Schedule;
use std::collections::{BTreeMap, BTreeSet};

on_every_engine!([
    stats_name_the_engine_and_fit_into_json,
    stats_count_the_keys,
    reading_does_not_grow_the_seqno,
    stats_of_bytes_add_up,
    stats_are_the_same_after_opening,
    a_sound_store_is_not_poisoned,
    sync_is_there_for_every_state,
    a_durable_write_is_there_at_once,
    compacting_an_empty_store_does_nothing,
    compact_keeps_everything,
    compact_twice_is_compact_once,
    compact_reclaims_what_was_overwritten,
    compact_reclaims_what_was_removed,
    compact_keeps_what_was_written_after_the_last_one,
    compact_does_not_bring_back_the_dead,
    a_removal_outlives_the_merge_of_the_file_it_is_in,
    compacting_a_range_keeps_every_answer,
    compacting_every_range_reclaims_like_compacting_all,
    compacting_a_range_without_keys_does_no_harm,
    compacting_a_range_does_not_bring_back_the_dead,
    compacting_a_range_leaves_files_of_other_keys_alone,
    flush_keeps_everything,
    flush_may_be_repeated,
    settling_keeps_everything_and_leaves_nothing_to_do,
    what_comes_and_goes_leaves_nothing,
    what_is_told_of_files_adds_up,
    reads_and_writes_go_on_after_compaction,
    everything_shows_itself_for_debugging,
]);

fn stats_name_the_engine_and_fit_into_json(store: &mut Store) {
    fill(&**store, "a=1");
    let stats = store.stats().unwrap();
    assert_eq!(stats.engine, store.kind().name());
    let json = serde_json::to_value(&stats).unwrap();
    assert_eq!(json["keys"], 1);
}

fn stats_count_the_keys(store: &mut Store) {
    let steps = [("a=1", 1), ("a=2", 1), ("b=1 c=1", 3), ("-a", 2), ("-a", 2), ("a=3 -a", 2), ("-b b=1", 2)];
    for (words, keys) in steps {
        write(&**store, words);
        assert_eq!(store.key_count(), keys, "after {words}");
    }
    store.compact().unwrap();
    assert_eq!(store.key_count(), 2);
    store.reopen();
    assert_eq!(store.key_count(), 2);
}

fn reading_does_not_grow_the_seqno(store: &dyn KvsEngine) {
    fill(store, "a=1 b=2");
    let before = store.stats().unwrap().seqno;
    text(store);
    store.snapshot().unwrap();
    store.sync().unwrap();
    store.remove(b"missing").unwrap();
    assert_eq!(store.stats().unwrap().seqno, before);
}

fn stats_of_bytes_add_up(store: &mut Store) {
    fill_many(&**store, 100, 100, 1);
    fill_many(&**store, 50, 100, 2);
    for _ in 0..2 {
        let stats = store.stats().unwrap();
        assert!(stats.memory_bytes > 0);
        assert_eq!(stats.memory.iter().map(|part| part.value).sum::<u64>(), stats.memory_bytes);
        if store.is_kept() {
            assert!(stats.live_bytes >= 100 * 100, "{stats:?}");
            assert!(stats.live_bytes + stats.dead_bytes <= stats.disk_bytes, "{stats:?}");
            let live: u64 = stats.files.iter().map(|file| file.live_bytes).sum();
            assert_eq!(live, stats.live_bytes, "{stats:?}");
            for file in &stats.files {
                assert!(file.live_bytes <= file.bytes && file.first_seqno <= file.last_seqno + 1, "{file:?}");
            }
        }
        store.reopen();
    }
}

/// What is counted while writing is what is found while reading it back.
fn stats_are_the_same_after_opening(store: &mut Store) {
    fill_many(&**store, 100, 100, 1);
    fill_many(&**store, 50, 100, 2);
    for i in (0..100).step_by(3) {
        store.remove(&key(i)).unwrap();
    }
    for _ in 0..3 {
        let before = store.stats().unwrap();
        store.reopen();
        let after = store.stats().unwrap();
        // An estimate changes with every flush and compaction.
        if !before.is_estimate {
            assert_eq!((after.keys, after.live_bytes), (before.keys, before.live_bytes));
        }
        store.compact().unwrap();
    }
}

fn a_sound_store_is_not_poisoned(store: &dyn KvsEngine) {
    fill(store, "a=1");
    store.compact().unwrap();
    assert_eq!(store.stats().unwrap().poisoned, None);
}

fn sync_is_there_for_every_state(store: &mut Store) {
    store.sync().unwrap();
    fill(&**store, "a=1");
    store.sync().unwrap();
    store.sync().unwrap();
    store.compact().unwrap();
    store.sync().unwrap();
    store.reopen();
    store.sync().unwrap();
    assert_eq!(text(&**store), "a=1");
}

fn a_durable_write_is_there_at_once(store: &mut Store) {
    for i in 0..20 {
        let mut batch = WriteBatch::new();
        batch.set(&key(i), &value(i, 100, 1));
        store.write(batch, &WriteOptions::durable()).unwrap();
        assert_eq!(get(&**store, key(i)), some(value(i, 100, 1)));
    }
    store.reopen();
    expect_many(&**store, 20, 100, 1);
}

fn compacting_an_empty_store_does_nothing(store: &mut Store) {
    store.compact().unwrap();
    store.compact().unwrap();
    store.reopen();
    store.compact().unwrap();
    assert_eq!(text(&**store), "");
}

fn compact_keeps_everything(store: &mut Store) {
    fill_many(&**store, 500, 100, 1);
    fill_many(&**store, 250, 100, 2);
    store.compact().unwrap();
    for _ in 0..2 {
        for i in 0..500 {
            let salt = if i < 250 { 2 } else { 1 };
            assert_eq!(get(&**store, key(i)), some(value(i, 100, salt)), "{i}");
        }
        assert_eq!(store.key_count(), 500);
        store.reopen();
    }
}

fn compact_twice_is_compact_once(store: &mut Store) {
    fill_many(&**store, 200, 100, 1);
    fill_many(&**store, 200, 100, 2);
    store.compact().unwrap();
    let bytes = store.disk_bytes();
    store.compact().unwrap();
    store.compact().unwrap();
    assert!(store.disk_bytes() <= bytes + bytes / 10, "{bytes} bytes, then {}", store.disk_bytes());
    expect_many(&**store, 200, 100, 2);
}

fn compact_reclaims_what_was_overwritten(store: &mut Store) {
    for salt in 0..10 {
        fill_many(&**store, 200, 500, salt);
    }
    store.compact().unwrap();
    assert!(store.disk_bytes() < 150_000, "{} bytes for 100,000 of data", store.disk_bytes());
    expect_many(&**store, 200, 500, 9);
    store.reopen();
    expect_many(&**store, 200, 500, 9);
}

fn compact_reclaims_what_was_removed(store: &mut Store) {
    fill_many(&**store, 200, 500, 1);
    for i in 0..200 {
        assert!(store.remove(&key(i)).unwrap());
    }
    store.compact().unwrap();
    store.compact().unwrap();
    assert!(store.disk_bytes() < 10_000, "{} bytes for nothing", store.disk_bytes());
    for _ in 0..2 {
        assert_eq!(text(&**store), "");
        store.reopen();
    }
}

fn compact_keeps_what_was_written_after_the_last_one(store: &mut Store) {
    for round in 0..5 {
        fill_many(&**store, 100, 100, round);
        store.compact().unwrap();
        store.set(b"key0000", &value(0, 100, round + 1)).unwrap();
        assert_eq!(get(&**store, "key0000"), some(value(0, 100, round + 1)));
        store.set(b"key0000", &value(0, 100, round)).unwrap();
    }
    store.reopen();
    expect_many(&**store, 100, 100, 4);
}

/// A tombstone may go only when nothing older can stand below it; other stores have dropped it
/// earlier, and the removed value was back after the next opening.
fn compact_does_not_bring_back_the_dead(store: &mut Store) {
    fill_many(&**store, 100, 200, 1);
    for i in 0..100 {
        store.remove(&key(i)).unwrap();
        store.set(&key(i + 200), &value(i, 200, 1)).unwrap();
        if i % 10 == 0 {
            store.compact().unwrap();
        }
        if i % 25 == 0 {
            store.reopen();
        }
    }
    for _ in 0..3 {
        assert_eq!(store.scan(KeyRange::of(..key(200))).unwrap().count(), 0);
        assert_eq!(store.key_count(), 100);
        store.compact().unwrap();
        store.reopen();
    }
}

/// The removed value lies in an old file that is not worth a merge, for most of it is still needed; the
/// removal in a young one that is merged early, for its neighbours are overwritten again and again.
fn a_removal_outlives_the_merge_of_the_file_it_is_in(store: &mut Store) {
    let is_doomed = |i: usize| i % 10 == 3;
    fill_many(&**store, 200, 100, 1);
    // What is written about the old file when it is closed knows of no removal.
    store.reopen();
    for i in (0..200).filter(|&i| is_doomed(i)) {
        store.remove(&key(i)).unwrap();
        for round in 0..20 {
            store.set(b"busy", &value(i, 200, round)).unwrap();
        }
    }
    for _ in 0..2 {
        let found = store.scan(KeyRange::prefix("key")).unwrap().map(|pair| pair.unwrap().0.to_vec());
        let expected: Vec<_> = (0..200).filter(|&i| !is_doomed(i)).map(key).collect();
        assert_eq!(found.collect::<Vec<_>>(), expected);
        store.reopen();
    }
}

fn compacting_a_range_keeps_every_answer(store: &mut Store) {
    let ends = [key(20), key(150), key(170)];
    for (round, range) in every_range(&[&ends[0], &ends[1], &ends[2]]).into_iter().enumerate() {
        let salt = round as u8;
        fill_many(&**store, 50, 100, salt);
        store.set(&key(100 + round), b"new").unwrap();
        store.remove(&key(100 + round / 2)).unwrap();
        let (before, past) = (pairs(&**store, KeyRange::all()), store.snapshot().unwrap());
        store.compact_range(&range).unwrap();
        assert_eq!(pairs(&**store, KeyRange::all()), before, "{range:?}");
        assert_eq!(pairs(&past, KeyRange::all()), before, "{range:?}");
        drop(past);
        if round % 10 == 0 {
            store.reopen();
            assert_eq!(pairs(&**store, KeyRange::all()), before, "{range:?}");
        }
    }
}

/// Bytes in its files, but for the manifest.
fn data_bytes(store: &Store) -> u64 {
    let is_data = |file: &&DirEntry| file.name != filename::MANIFEST;
    store.files().iter().filter(is_data).map(|file| file.len).sum()
}

// Failed now and then on a busy machine, on small segments and threads only: 80,041 bytes where less than 80,000
// were asked for. Nothing was left that should have gone; 27,000 of them were the manifest, whose 300 edits are
// longer or shorter by what the merger found to do meanwhile. It is rewritten when it is large, whatever is
// compacted, and so does not count.
fn compacting_every_range_reclaims_like_compacting_all(store: &mut Store) {
    for salt in 0..10 {
        fill_many(&**store, 200, 500, salt);
    }
    for i in 100..200 {
        store.remove(&key(i)).unwrap();
    }
    // From the last on, so that what lies below has to be looked at again.
    for range in [KeyRange::of(key(50)..), KeyRange::of(..key(50))] {
        store.compact_range(&range).unwrap();
    }
    let bytes = data_bytes(store);
    assert!(bytes < 70_000, "{bytes} bytes for 50,000 of data");
    expect_many(&**store, 100, 500, 9);
    store.reopen();
    expect_many(&**store, 100, 500, 9);
}

fn compacting_a_range_without_keys_does_no_harm(store: &mut Store) {
    let crossed = KeyRange::of("m".."a");
    for range in [&crossed, &KeyRange::of("x"..), &KeyRange::prefix("nothing")] {
        store.compact_range(range).unwrap();
    }
    fill(&**store, "a=1 b=1 a=2 -b");
    for range in [&crossed, &KeyRange::of("x"..), &KeyRange::of("b"..="b").reverse()] {
        store.compact_range(range).unwrap();
        assert_eq!(text(&**store), "a=2");
        store.reopen();
        assert_eq!(text(&**store), "a=2");
    }
}

fn compacting_a_range_does_not_bring_back_the_dead(store: &mut Store) {
    fill_many(&**store, 100, 200, 1);
    store.flush().unwrap();
    for i in 0..100 {
        store.remove(&key(i)).unwrap();
        if i % 10 == 9 {
            store.compact_range(&KeyRange::of(key(i - 5)..key(i))).unwrap();
        }
        if i % 30 == 0 {
            store.reopen();
        }
    }
    for i in 0..10 {
        assert_eq!(text(&**store), "");
        store.compact_range(&KeyRange::of(key(10 * i)..key(10 * i + 10))).unwrap();
        store.reopen();
    }
    assert_eq!((text(&**store), store.key_count()), ("".into(), 0));
}

fn flush_keeps_everything(store: &mut Store) {
    store.flush().unwrap();
    for round in 0..4 {
        fill_many(&**store, 100, 100, round);
        let past = store.snapshot().unwrap();
        store.flush().unwrap();
        expect_many(&past, 100, 100, round);
        expect_many(&**store, 100, 100, round);
        if round % 2 == 0 {
            store.reopen();
        }
    }
    fill(&**store, "-key0000");
    store.flush().unwrap();
    assert!(!store.remove(&key(0)).unwrap());
    store.reopen();
    assert_eq!(store.key_count(), 99);
}

fn flush_may_be_repeated(store: &mut Store) {
    fill(&**store, "a=1");
    store.flush().unwrap();
    let files = store.stats().unwrap().files;
    store.flush().unwrap();
    assert_eq!(store.stats().unwrap().files, files, "there is nothing more to flush");
    fill(&**store, "b=1");
    store.flush().unwrap();
    store.close();
    store.reopen();
    assert_eq!(text(&**store), "a=1 b=1");
}

/// The numbers of its segments or tables.
fn data_files(store: &Store) -> BTreeSet<u64> {
    let number = |name: &str| match filename::parse(name) {
        Some(FileName::Segment(number) | FileName::Table(number)) => Some(number),
        _ => None,
    };
    store.files().iter().filter_map(|file| number(&file.name)).collect()
}

fn compacting_a_range_leaves_files_of_other_keys_alone(store: &mut Store) {
    if !store.is_kept() {
        return;
    }
    store.close();
    let (listener, told) = Listener::channel();
    let options = OpenOptions { listener, schedule: Schedule::Manual, ..store.options() };
    let engine = store.open_with(&store.path(), options, store.settings()).unwrap();
    // Thrice, so that there is garbage beyond the file that was begun with the last keys of others.
    let write_thrice = |first: &str| {
        for round in 0..3u8 {
            for i in 0..20u8 {
                engine.set(&[first.as_bytes(), &[i]].concat(), &[round; 100]).unwrap();
            }
            engine.flush().unwrap();
        }
    };
    write_thrice("a");
    let before = data_files(store);
    write_thrice("b");
    engine.compact_range(&KeyRange::prefix(b"a")).unwrap();
    let inputs = |event| if let Event::Compacted { inputs, .. } = event { inputs } else { Vec::new() };
    let read: BTreeSet<u64> = told.try_iter().flat_map(inputs).collect();
    assert!(
        !read.is_empty() && read.is_subset(&before),
        "read {read:?}; keys of the range are in {before:?}"
    );
}

/// Whoever adds what came and takes away what went has the files that are there.
fn what_is_told_of_files_adds_up(store: &mut Store) {
    if !store.is_kept() {
        return;
    }
    store.close();
    let is_bitcask = store.kind() == EngineKind::Bitcask;
    let (listener, told) = Listener::channel();
    let mut files: BTreeMap<_, _> = data_files(store).into_iter().map(|number| (number, 1)).collect();
    let options = OpenOptions { listener, ..store.options() };
    let engine = store.open_with(&store.path(), options, store.settings()).unwrap();
    for salt in 0..4 {
        // Files that are needed for a part only, so that there is something to copy.
        fill_many(&*engine, 200 - 40 * usize::from(salt), 500, salt);
        engine.compact_range(&KeyRange::prefix(b"key")).unwrap();
    }
    engine.flush().unwrap();
    engine.compact().unwrap();
    drop(engine);
    for event in told.try_iter() {
        let mut count =
            |numbers: &[u64], by| numbers.iter().for_each(|n| *files.entry(*n).or_default() += by);
        match event {
            Event::Rotated { active, .. } if is_bitcask => count(&[active], 1),
            Event::Flushed { table, .. } => count(&[table], 1),
            Event::Compacted { inputs, outputs, .. } => {
                count(&inputs, -1);
                count(&outputs, 1);
            }
            _ => {}
        }
    }
    assert!(files.values().any(|&count| count == 0), "something was compacted");
    files.retain(|_, count| *count != 0);
    let there = data_files(store).into_iter().map(|number| (number, 1)).collect();
    assert_eq!(files, there);
}

fn reads_and_writes_go_on_after_compaction(store: &dyn KvsEngine) {
    fill(store, "a=1 b=1");
    store.compact().unwrap();
    fill(store, "a=2 -b c=2");
    assert_eq!(text(store), "a=2 c=2");
    store.compact().unwrap();
    assert_eq!(text(store), "a=2 c=2");
    assert_eq!(store.swap(b"a", None).unwrap().unwrap(), "2");
}

fn everything_shows_itself_for_debugging(store: &dyn KvsEngine) {
    fill(store, "a=1");
    assert_eq!(format!("{:?}", Value::from(&b"a\xff"[..])), r#""a\xff""#);
    assert!(format!("{:?}", store.snapshot().unwrap()).contains("Snapshot"));
    assert!(format!("{:?}", store.scan(KeyRange::all()).unwrap()).contains("Scan"));
    assert!(format!("{:?}", store.stats().unwrap()).contains("keys: 1"));
}

// Bitcask kept the tombstone of every key that was ever removed, as soon as some older segment had one dead record
// in it: too little to be worth a merge, and enough to leave open whether an older value was there.
fn what_comes_and_goes_leaves_nothing(store: &mut Store) {
    fill_many(&**store, 100, 100, 1);
    store.set(&key(50), &value(50, 100, 2)).unwrap();
    store.flush().unwrap();
    for job in 0..4000 {
        let name = format!("job {job:05}");
        store.set(name.as_bytes(), b"to do").unwrap();
        assert!(store.remove(name.as_bytes()).unwrap());
    }
    store.flush().unwrap();
    store.settle().unwrap();
    let bytes = data_bytes(store);
    // Two tables in level 0 are not worth a compaction.
    let most = if store.kind() == EngineKind::Lsm { 150_000 } else { 40_000 };
    assert!(bytes < most, "{bytes} bytes for 10,000 of data");
}

fn settling_keeps_everything_and_leaves_nothing_to_do(store: &mut Store) {
    for round in 0..6 {
        fill_many(&**store, 100, 100, round);
    }
    let before = pairs(&**store, KeyRange::all());
    store.settle().unwrap();
    assert_eq!(pairs(&**store, KeyRange::all()), before);
    let settled = store.stats().unwrap();
    store.settle().unwrap();
    assert_eq!(store.stats().unwrap(), settled, "nothing was left to do");
    store.reopen();
    assert_eq!(pairs(&**store, KeyRange::all()), before);
}
