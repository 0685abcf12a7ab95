//! Sharing: one engine, many threads.

use crate::common::engines::Store;
use crate::common::words::Count;
use crate::common::words::{Random, expect_many, fill_many, get, key, some, text, text_in, value, write};
use kvs::engine::range::KeyRange;
use kvs::engine::{KvsEngine, Snapshot};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

on_every_engine!([
    threads_write_their_own_keys,
    an_engine_can_be_dropped_by_any_thread,
    only_one_thread_removes_a_key,
    no_value_is_lost_or_doubled_by_swaps,
    an_acknowledged_write_is_seen_by_other_threads,
    batches_are_seen_whole_or_not_at_all,
    scans_beside_writers_see_one_moment,
    compaction_beside_readers_and_writers_loses_nothing,
    snapshots_come_and_go_in_many_threads,
    writers_racing_for_one_key_leave_one_of_their_values,
]);

const THREADS: usize = 4;

/// Runs `work` in each thread with its number.
fn in_threads(work: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for number in 0..THREADS {
            let work = &work;
            scope.spawn(move || work(number));
        }
    });
}

fn threads_write_their_own_keys(store: &mut Store) {
    let engine = store.engine();
    in_threads(|number| {
        for i in (number..400).step_by(THREADS) {
            engine.set(&key(i), &value(i, 50, 1)).unwrap();
            assert_eq!(get(&*engine, key(i)), some(value(i, 50, 1)));
        }
    });
    drop(engine);
    expect_many(&**store, 400, 50, 1);
    store.reopen();
    expect_many(&**store, 400, 50, 1);
}

fn an_engine_can_be_dropped_by_any_thread(store: &mut Store) {
    write(&**store, "a=1");
    let engine = store.engine();
    store.close();
    thread::spawn(move || drop(engine)).join().unwrap();
    if store.is_kept() {
        store.reopen();
    }
    assert_eq!(text(&**store), "a=1");
}

fn only_one_thread_removes_a_key(store: &dyn KvsEngine) {
    fill_many(store, 200, 10, 1);
    let removed = AtomicU64::new(0);
    in_threads(|_| {
        for i in 0..200 {
            removed.fetch_add(u64::from(store.remove(&key(i)).unwrap()), Ordering::Relaxed);
        }
    });
    assert_eq!(removed.into_inner(), 200);
    assert_eq!(store.key_count(), 0);
}

/// Each value goes in once and comes out once, whoever comes first.
fn no_value_is_lost_or_doubled_by_swaps(store: &dyn KvsEngine) {
    let out = Mutex::new(BTreeSet::new());
    let take = |old: Option<Vec<u8>>| {
        if let Some(old) = old {
            assert!(out.lock().unwrap().insert(old), "came out twice");
        }
    };
    in_threads(|number| {
        for i in 0..200 {
            let value = format!("{number}/{i}");
            take(store.swap(&key(i % 3), Some(value.as_bytes())).unwrap().map(|old| old.to_vec()));
        }
    });
    for i in 0..3 {
        take(store.swap(&key(i), None).unwrap().map(|old| old.to_vec()));
    }
    assert_eq!(out.into_inner().unwrap().len(), THREADS * 200);
}

fn an_acknowledged_write_is_seen_by_other_threads(store: &dyn KvsEngine) {
    let acknowledged = AtomicU64::new(0);
    store.set(b"count", b"0").unwrap();
    let count = || -> u64 { String::from_utf8(get(store, "count").unwrap()).unwrap().parse().unwrap() };
    thread::scope(|scope| {
        scope.spawn(|| {
            for i in 1..=1000u64 {
                store.set(b"count", i.to_string().as_bytes()).unwrap();
                acknowledged.store(i, Ordering::Release);
            }
        });
        scope.spawn(|| {
            let mut last = 0;
            while last < 1000 {
                let floor = acknowledged.load(Ordering::Acquire);
                let seen = count();
                assert!(seen >= floor && seen >= last, "acknowledged {floor}, seen {last} and then {seen}");
                last = seen;
            }
        });
    });
}

/// Runs `write` over and over beside `read`, until `read` is through.
fn beside(write: impl Fn(u64) + Sync, read: impl FnOnce()) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut i = 0;
            while !done.load(Ordering::Relaxed) {
                write(i);
                i += 1;
            }
        });
        // Also when it panics: the writer would go on for ever.
        let _end = AtEnd(&done);
        read();
    });
}

/// Says so when it goes.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn batches_are_seen_whole_or_not_at_all(store: &dyn KvsEngine) {
    write(store, "a=0 m=0 z=0");
    beside(
        |i| write(store, &format!("a={i} m={i} z={i}")),
        || {
            for _ in 0..300 {
                let past = store.snapshot().unwrap();
                let (a, m, z) = (get(&past, "a"), get(&past, "m"), get(&past, "z"));
                assert!(a == m && m == z, "{a:?} {m:?} {z:?}");
                let seen = text_in(store, KeyRange::all());
                let values: BTreeSet<_> = seen.split(' ').map(|pair| &pair[2..]).collect();
                assert_eq!(values.len(), 1, "{seen}");
            }
        },
    );
}

fn scans_beside_writers_see_one_moment(store: &dyn KvsEngine) {
    // One token wanders over the keys: at any moment exactly one key holds it.
    write(store, "0=token");
    beside(
        |i| write(store, &format!("-{} {}=token", i % 7, (i + 1) % 7)),
        || {
            for round in 0..300 {
                let range = if round % 2 == 0 { KeyRange::all() } else { KeyRange::all().reverse() };
                assert_eq!(store.scan(range).unwrap().count(), 1);
            }
        },
    );
}

fn compaction_beside_readers_and_writers_loses_nothing(store: &mut Store) {
    let (engine, is_inline) = (store.engine(), store.is_inline());
    fill_many(&*engine, 100, 200, 0);
    beside(
        |i| engine.set(&key(i as usize % 100), &value(i as usize % 100, 200, 0)).unwrap(),
        || {
            let mut random = Random::new(1);
            // On a real disk each waits for many syncs.
            for _ in 0..if is_inline { 100 } else { 3 } {
                engine.compact().unwrap();
                for _ in 0..20 {
                    let i = random.below(100);
                    assert_eq!(get(&*engine, key(i)), some(value(i, 200, 0)), "{i}");
                }
            }
        },
    );
    drop(engine);
    let before = store.stats().unwrap();
    store.reopen();
    expect_many(&**store, 100, 200, 0);
    if is_inline && !before.is_estimate {
        assert_eq!(store.stats().unwrap().live_bytes, before.live_bytes, "no write was counted twice");
    }
}

fn snapshots_come_and_go_in_many_threads(store: &dyn KvsEngine) {
    in_threads(|number| {
        let own = format!("own{number}");
        let mut held: Vec<(Snapshot, usize)> = Vec::new();
        for i in 0..100 {
            store.set(own.as_bytes(), i.to_string().as_bytes()).unwrap();
            held.push((store.snapshot().unwrap(), i));
            if held.len() > 5 {
                let (past, then) = held.remove(i % 5);
                assert_eq!(get(&past, &own), some(then.to_string()));
            }
            if number == 0 && i % 20 == 0 {
                store.compact().unwrap();
            }
        }
        for (past, then) in held {
            assert_eq!(get(&past, &own), some(then.to_string()));
        }
    });
    assert_eq!(store.stats().unwrap().snapshots, 0);
}

fn writers_racing_for_one_key_leave_one_of_their_values(store: &mut Store) {
    let engine = store.engine();
    in_threads(|number| {
        for i in 0..100 {
            engine.set(b"k", format!("{number}/{i}").as_bytes()).unwrap();
        }
    });
    let last = get(&*engine, "k").unwrap();
    assert!(last.ends_with(b"/99"), "the last value of some thread: {}", last.escape_ascii());
    drop(engine);
    store.reopen();
    assert_eq!(get(&**store, "k"), Some(last));
}
