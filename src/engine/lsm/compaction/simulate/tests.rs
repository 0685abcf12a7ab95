//! Histories on the simulated tree, and what must hold in all of them.

use super::{Entry, Rest, Setting, Simulation};
use crate::engine::lsm::compaction::targets::{Limits, targets};
use crate::engine::lsm::key::Kind;
use crate::engine::lsm::options::LEVELS;
use std::cmp::Reverse;

const SMALL: Setting = Setting {
    limits: Limits {
        level0_tables: 4,
        level0_part: 64,
        level_bytes: 40_000,
        level_factor: 10,
        table_bytes: 5_000,
    },
    memtable_bytes: 10_000,
    entry_bytes: 100,
    tombstone_bytes: 25,
    jobs: 1,
    rest: Rest::AtTheEnd,
};

fn random_setting(seed: u64) -> Setting {
    let mut dice = Simulation::new(SMALL, seed);
    Setting {
        limits: Limits {
            level0_tables: 1 + dice.random(4) as usize,
            level0_part: [1, 2, 3, 5, 64][dice.random(5) as usize],
            level_bytes: 200 + dice.random(3_000),
            level_factor: 2 + dice.random(6),
            table_bytes: 150 + dice.random(800),
        },
        memtable_bytes: 150 + dice.random(2_000),
        jobs: 1 + dice.random(3) as usize,
        rest: if dice.random(2) == 0 { Rest::Always } else { Rest::AtTheEnd },
        ..SMALL
    }
}

#[test]
fn random_histories_under_random_limits_lose_nothing() {
    let (mut side_by_side, mut deepest) = (0, 0);
    for seed in 0..60 {
        let setting = random_setting(seed);
        let mut tree = Simulation::new(setting, seed);
        let keys = 20 + tree.random(600);
        let (mut from, mut width) = (0, keys);
        for step in 0..3_000 {
            // For a while all keys are from one neighbourhood, so that tables are narrow and wide.
            if tree.random(30) == 0 {
                (from, width) = (tree.random(keys), 1 + tree.random(keys));
                width = if tree.random(3) == 0 { width } else { 1 + width / 20 };
            }
            let key = (from + tree.random(width)) % keys;
            let kind = if tree.random(5) == 0 { Kind::Remove } else { Kind::Set };
            tree.write(key, kind);
            match tree.random(400) {
                0 => tree.take_snapshot(),
                1 | 2 => tree.release_snapshot(),
                3 => tree.compact(Some(key), Some(key + keys / 4)),
                4..=40 => tree.start_all(setting.rest == Rest::Always),
                41..=60 => tree.finish_one(),
                _ => {}
            }
            let running = tree.running().count();
            assert!(running <= setting.jobs, "seed {seed}: {running} jobs; {setting:?}");
            side_by_side += u32::from(running > 1);
            if step % 25 == 0 {
                tree.check().unwrap_or_else(|wrong| panic!("seed {seed}, step {step}: {wrong}; {setting:?}"));
            }
        }
        tree.release_snapshot();
        tree.settle();
        tree.check().unwrap_or_else(|wrong| panic!("seed {seed}, at the end: {wrong}; {setting:?}"));
        let now = targets(&tree.version, &setting.limits, &Default::default());
        assert!(now.scores.iter().all(|&score| score < 1.0), "seed {seed}: {now:?}");
        deepest = deepest.max((1..LEVELS).filter(|&level| tree.version.bytes(level) > 0).count());
        tree.compact(None, None);
        tree.check().unwrap_or_else(|wrong| panic!("seed {seed}, compacted: {wrong}; {setting:?}"));
        let with_data = (0..LEVELS).filter(|&level| tree.version.bytes(level) > 0).count();
        let tombstones: u64 = tree.version.tables().map(|table| table.meta.tombstones).sum();
        assert!(with_data <= 1 && tombstones == 0, "seed {seed}");
    }
    assert!(side_by_side > 1_000 && deepest >= 3, "{side_by_side} steps with jobs, {deepest} levels");
}

/// Level 0 with more tables than go down at a time: narrow ones, here and there, by who flushes often.
#[test]
fn a_large_level_0_goes_down_in_parts_and_loses_nothing() {
    for seed in 0..300 {
        let mut setting = random_setting(seed);
        setting.limits.level0_part = 2 + (seed % 6) as usize;
        // Level 0 goes straight to the last level, where the data is.
        setting.limits.level_bytes = 1 << 20;
        let mut tree = Simulation::new(setting, seed);
        let keys = 100;
        (0..keys).for_each(|key| tree.write(key, Kind::Set));
        tree.settle();
        tree.compact(None, None);
        for n in 0..30 {
            // Spots that have no keys in common: what joins them are tables below. One is older than the others.
            let spot = if n < 10 { 0 } else { [0, 8, 16, 90][tree.random(4) as usize] };
            for key in [spot + tree.random(6), spot + tree.random(6)] {
                let kind = if tree.random(4) == 0 { Kind::Remove } else { Kind::Set };
                // No memtable is full of two keys: nothing is compacted yet.
                tree.memtable_bytes = 0;
                tree.write(key % keys, kind);
            }
            tree.flush();
        }
        assert!(tree.version.levels[0].len() > setting.limits.level0_part);
        let key = tree.random(30);
        match seed % 2 {
            0 => tree.compact(Some(8), Some(8 + key)),
            _ => tree.settle(),
        }
        tree.check().unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}; {setting:?}"));
        tree.compact(None, None);
        tree.check().unwrap_or_else(|wrong| panic!("seed {seed}, compacted: {wrong}; {setting:?}"));
    }
}

#[test]
fn ascending_keys_are_moved_and_not_rewritten() {
    let mut tree = Simulation::new(SMALL, 1);
    (0..100_000).for_each(|key| tree.write(key, Kind::Set));
    tree.settle();
    tree.check().unwrap();
    assert!(tree.counts.moves > 900, "{:?}", tree.counts);
    assert!((1.0..1.01).contains(&tree.write_amplification()), "{}", tree.write_amplification());
}

#[test]
fn work_between_flushes_keeps_every_level_within_its_size() {
    let counts = [Rest::Always, Rest::AtTheEnd].map(|rest| {
        let mut tree = Simulation::new(Setting { rest, ..SMALL }, 8);
        for _ in 0..20_000 {
            let key = tree.random(5_000);
            tree.write(key, Kind::Set);
            let scores = targets(&tree.version, &SMALL.limits, &Default::default()).scores;
            // One job at a time, and it ends before the next write.
            assert!(scores.iter().all(|&score| score < 1.0), "{scores:?}");
        }
        let largest = (1..LEVELS).flat_map(|level| &tree.version.levels[level]).map(|table| table.meta.len);
        let largest = largest.max().unwrap();
        assert!(largest <= SMALL.limits.table_bytes + SMALL.entry_bytes, "{largest} bytes in a table");
        tree.counts
    });
    let [always, at_the_end] = counts;
    assert!(at_the_end.rewrites > 100 && at_the_end.rewrites < always.rewrites, "{counts:?}");
    assert!(at_the_end.compacted_bytes < always.compacted_bytes, "{counts:?}");
}

#[test]
fn amplification_is_what_was_written_and_what_is_held() {
    let mut tree = Simulation::new(SMALL, 9);
    for _ in 0..2 {
        (0..50).for_each(|key| tree.write(key, Kind::Set));
        tree.flush();
    }
    assert_eq!((tree.write_amplification(), tree.space_amplification()), (1.0, 2.0));
    tree.compact(None, None);
    assert_eq!((tree.write_amplification(), tree.space_amplification()), (1.5, 1.0));
}

#[test]
fn a_check_finds_what_is_wrong() {
    let wrong = |spoil: fn(&mut Simulation)| {
        let mut tree = Simulation::new(SMALL, 10);
        (0..100).for_each(|key| tree.write(key, Kind::Set));
        tree.take_snapshot();
        (0..100).for_each(|key| tree.write(key, Kind::Set));
        tree.settle();
        tree.check().unwrap();
        spoil(&mut tree);
        tree.check().unwrap_err()
    };
    let lost = wrong(|tree| _ = tree.latest.insert(7, Entry { seqno: Reverse(999), ..tree.latest[&7] }));
    assert!(lost.starts_with("expected"), "{lost}");
    let unknown = wrong(|tree| _ = tree.latest.remove(&7));
    assert!(unknown.contains("never written"), "{unknown}");
    let held = wrong(|tree| tree.snapshot.as_mut().unwrap().latest.clear());
    assert!(held.contains("never written"), "{held}");
}

/// A seed gives the same tree everywhere.
#[test]
fn chance_is_as_published() {
    assert_eq!(Simulation::new(SMALL, 0).random(u64::MAX), 0xe220_a839_7b1d_cdaf);
}

#[test]
fn tombstones_reach_the_bottom_and_vanish() {
    for rest in [Rest::Always, Rest::AtTheEnd] {
        let mut tree = Simulation::new(Setting { rest, ..SMALL }, 2);
        for key in 0..20_000 {
            tree.write(key * 7919 % 20_000, Kind::Set);
        }
        (0..20_000).for_each(|key| tree.write(key, Kind::Remove));
        tree.settle();
        tree.check().unwrap();
        let left: u64 = tree.version.tables().map(|table| table.meta.len).sum();
        assert!(left == 0, "{left} bytes of 2,000,000 for {rest:?}");
    }
}

#[test]
fn a_store_at_rest_is_little_larger_than_its_data() {
    for (seed, keys) in [(3, 300), (4, 1_000), (5, 5_000), (6, 20_000)] {
        let mut tree = Simulation::new(SMALL, seed);
        for _ in 0..4 * keys {
            let key = tree.random(keys);
            tree.write(key, Kind::Set);
        }
        tree.settle();
        let space = tree.space_amplification();
        assert!(space <= 1.10, "{space} for {keys} keys");
    }
}

#[test]
fn a_snapshot_keeps_what_it_sees_and_no_rewriting_goes_round_for_it() {
    let mut tree = Simulation::new(SMALL, 7);
    (0..5_000).for_each(|key| tree.write(key, Kind::Set));
    tree.take_snapshot();
    (0..5_000).for_each(|key| tree.write(key, Kind::Remove));
    // Comes to rest, though there is garbage.
    tree.settle();
    tree.compact(None, None);
    tree.check().unwrap();
    assert!(tree.version.tables().count() > 0, "the snapshot sees them");
    tree.release_snapshot();
    tree.settle();
    assert_eq!(tree.version.tables().count(), 0);
}
