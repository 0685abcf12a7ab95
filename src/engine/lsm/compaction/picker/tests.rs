//! Small trees, drawn as rows, and what is picked of them.

use crate::engine::lsm::compaction::busy::Busy;
use crate::engine::lsm::compaction::picker::{Part, Picker, has_many_tombstones, weight};
use crate::engine::lsm::compaction::span::Span;
use crate::engine::lsm::compaction::targets::{Limits, targets};
use crate::engine::lsm::compaction::{Compaction, Reason};
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::{Kind, internal, trailer};
use crate::engine::lsm::version::edit::TableMeta;
use crate::engine::lsm::version::{TableFile, Version};
use std::sync::Arc;

pub(in crate::engine::lsm::compaction) const LIMITS: Limits =
    Limits { level0_tables: 2, level0_part: 64, level_bytes: 1000, level_factor: 10, table_bytes: 100 };

/// Level, number, keys, bytes, tombstones of ten entries.
pub(in crate::engine::lsm::compaction) type Drawn<'a> = (u8, u64, &'a str, u64, u64);

/// A tree from a picture. Sequence numbers are the table's number.
pub(in crate::engine::lsm::compaction) fn version(tables: &[Drawn<'_>]) -> Version {
    let table = |&(level, number, keys, len, tombstones): &Drawn<'_>| {
        let (first, last) = keys.split_once('-').unwrap();
        let meta = TableMeta {
            level,
            len,
            contents: 0,
            smallest: internal(first.as_bytes(), trailer(number, Kind::Set)),
            largest: internal(last.as_bytes(), trailer(number, Kind::Set)),
            first_seqno: number,
            last_seqno: number,
            entries: 10,
            tombstones,
            older: 0,
            raw_bytes: len,
        };
        Arc::new(TableFile::without_file(number, meta))
    };
    Version::of(tables.iter().map(table), &Order::Bytewise)
}

pub(in crate::engine::lsm::compaction) fn with<T>(
    version: &Version,
    busy: &Busy,
    ask: impl FnOnce(Picker<'_>) -> T,
) -> T {
    ask(Picker { version, limits: &LIMITS, order: &Order::Bytewise, busy })
}

fn pick(version: &Version, busy: &Busy) -> Option<Compaction> {
    with(version, busy, |picker| picker.pick())
}

/// The numbers of the inputs and of those below, sorted.
fn numbers(compaction: &Compaction) -> (Vec<u64>, Vec<u64>) {
    let sorted = |tables: &[Arc<TableFile>]| {
        let mut numbers: Vec<_> = tables.iter().map(|table| table.number).collect();
        numbers.sort_unstable();
        numbers
    };
    (sorted(&compaction.inputs), sorted(&compaction.below))
}

fn claimed(compactions: &[&Compaction]) -> Busy {
    let mut busy = Busy::default();
    for compaction in compactions {
        busy.claim(compaction, &Order::Bytewise);
    }
    busy
}

// All tables of level 0 were opened at once, however many: with a thousand and more, from a program that flushes
// often, no compaction found descriptors enough, and none ever ran again.
#[test]
fn the_oldest_of_many_tables_of_level_0_go_down_first() {
    let drawn: Vec<Drawn<'_>> = (1..=1000).map(|number| (0, number, "a-z", 10, 0)).collect();
    let compaction = pick(&version(&drawn), &Busy::default()).unwrap();
    assert_eq!(numbers(&compaction), ((1..=64).collect(), Vec::new()));
    // Only two of them share keys: none is kept from going by the others.
    let apart = [(0, 1, "a-b", 10, 0), (0, 2, "c-d", 10, 0), (0, 3, "a-b", 10, 0)];
    assert_eq!(numbers(&pick(&version(&apart), &Busy::default()).unwrap()).0, [1, 3]);
}

// More of level 0 was taken along "for free" when it needed as many tables of the level below as before. Since level 0
// goes down in parts, more of it need not hold what there was: two other tables below are as many as two. The merge
// then left out a table that shares keys with its outputs. Keys were not found, removed ones came back, and the next
// opening refused the store: "tables 135 and 4 of one level share keys". It took more than 64 tables in level 0.
#[test]
fn as_many_tables_below_are_not_the_same_tables() {
    let mut drawn: Vec<Drawn<'_>> = vec![(6, 1, "a-b", 10, 0), (6, 2, "e-g", 10, 0), (6, 3, "i-k", 10, 0)];
    drawn.extend((4..=67).map(|number| (0, number, "g-j", 10, 0)));
    drawn.push((0, 68, "a-f", 10, 0));
    let version = version(&drawn);
    let part = Part { start: Some(b"a"), end: Some(b"b"), upto: u64::MAX };
    let compaction = with(&version, &Busy::default(), |picker| picker.pick_range(&part, u64::MAX)).unwrap();
    assert_eq!(numbers(&compaction), (vec![68], vec![1, 2]));
    // And one that has the whole of it when it begins, as the background does: the seed is the oldest.
    drawn.push((0, 0, "a-f", 10, 0));
    let version = self::version(&drawn);
    let compaction = pick(&version, &Busy::default()).unwrap();
    let (inputs, below) = numbers(&compaction);
    let span = Span::of_all(compaction.inputs.iter(), &Order::Bytewise).unwrap();
    let needed = version.overlapping(6, span.smallest, span.largest, &Order::Bytewise);
    assert!(needed.iter().all(|table| below.contains(&table.number)), "{inputs:?} without {below:?}");
}

#[test]
fn sizes_are_reckoned_from_the_bottom() {
    let at = |tables: &[Drawn<'_>]| targets(&version(tables), &LIMITS, &Busy::default());
    assert_eq!(at(&[]).base_level, 6);
    assert_eq!(at(&[(6, 1, "a-b", 1000, 0)]).base_level, 6);
    let two = at(&[(6, 1, "a-b", 20_000, 0)]);
    assert_eq!((two.base_level, two.bytes[4], two.bytes[5]), (4, 1000, 2000));
    assert_eq!(at(&[(6, 1, "a-b", 10_000_000_000, 0)]).base_level, 1, "there is none above");
    let scores = at(&[(6, 1, "a-b", 20_000, 0), (5, 2, "a-b", 3000, 0)]).scores;
    assert_eq!((scores[5], scores[6]), (1.5, 0.0));
    // The store shrank: level 4 is emptied, but level 0 must not pass it meanwhile.
    let shrunk = at(&[(6, 1, "a-b", 900, 0), (4, 2, "a-b", 10, 0)]);
    assert_eq!((shrunk.base_level, shrunk.bytes[4]), (4, 0));
    assert_eq!(shrunk.scores[4], 1.01);
    // It does not come and go: level 5 stays while the bottom is more than half of what it was.
    let fewer = |bottom| at(&[(6, 1, "a-b", bottom, 0), (5, 2, "a-b", 10, 0)]).bytes[5];
    assert_eq!((fewer(501), fewer(500)), (1000, 0));
}

#[test]
fn level_0_takes_along_all_older_tables_that_overlap() {
    // 1 and 3 overlap by way of 2; 4 has nothing to do with them.
    let version = version(&[
        (0, 4, "x-z", 10, 0),
        (0, 3, "e-g", 10, 0),
        (0, 2, "b-e", 10, 0),
        (0, 1, "a-b", 10, 0),
        (6, 9, "f-h", 10, 0),
    ]);
    let first = pick(&version, &Busy::default()).unwrap();
    assert_eq!(numbers(&first), (vec![1, 2, 3], vec![9]));
    assert_eq!((first.output_level, first.reason, first.is_move), (6, Reason::Level0, false));
    // Beside it the other may run; and is moved, once level 0 is over its limit without the first.
    let mut more = version.clone();
    more.levels[0].insert(0, level0(5, "v-w"));
    let second = pick(&more, &claimed(&[&first])).unwrap();
    assert_eq!((numbers(&second), second.is_move), ((vec![4], vec![]), true));
    // A newer one that overlaps must wait for the older.
    let mut more = version.clone();
    more.levels[0].retain(|table| table.number != 4);
    more.levels[0].insert(0, level0(5, "c-c"));
    more.levels[0].insert(0, level0(6, "d-d"));
    assert!(pick(&more, &claimed(&[&first])).is_none());
}

fn level0(number: u64, keys: &str) -> Arc<TableFile> {
    version(&[(0, number, keys, 10, 0)]).levels[0][0].clone()
}

#[test]
fn a_backlog_of_level_0_goes_before_a_fuller_level() {
    let base = [(5, 10, "a-c", 5000, 0), (6, 11, "a-c", 10_000, 0)];
    let few = [(0, 3, "a-b", 1, 0), (0, 2, "a-b", 1, 0)];
    let many = [(0, 3, "a-b", 1, 0), (0, 2, "a-b", 1, 0), (0, 1, "a-b", 1, 0), (0, 4, "a-b", 1, 0)];
    assert_eq!(pick(&version(&[&base[..], &few].concat()), &Busy::default()).unwrap().level, 5);
    assert_eq!(pick(&version(&[&base[..], &many].concat()), &Busy::default()).unwrap().level, 0);
}

/// Twice what it should hold, to the table.
#[test]
fn a_backlog_is_twice_as_many_tables_as_there_should_be() {
    let limits = Limits { level0_tables: 3, ..LIMITS };
    let level_of = |count: u64| {
        let mut tables = vec![(5, 10, "a-c", 9000, 0), (6, 11, "a-c", 10_000, 0)];
        tables.extend((1..=count).map(|number| (0, number, "a-b", 1, 0)));
        let (version, busy) = (version(&tables), Busy::default());
        Picker { version: &version, limits: &limits, order: &Order::Bytewise, busy: &busy }
            .pick()
            .unwrap()
            .level
    };
    assert_eq!([3, 5, 6].map(level_of), [5, 5, 0]);
}

#[test]
fn a_small_table_over_little_is_cheaper_than_a_large_one_over_more() {
    let tables = [
        (5, 1, "a-c", 1600, 0),
        (5, 2, "d-f", 10, 0),
        (6, 3, "a-c", 3200, 0),
        (6, 4, "d-f", 10, 0),
        (6, 5, "x-z", 9000, 0),
    ];
    assert_eq!(numbers(&pick(&version(&tables), &Busy::default()).unwrap()), (vec![2], vec![4]));
}

/// A part of the keys goes down in steps of 25 tables' worth, those below counted.
#[test]
fn a_step_of_a_range_has_a_size() {
    let names = ["a-a", "b-b", "c-c", "d-d", "e-e", "f-f", "g-g", "h-h"];
    let upper = names.iter().zip(1..).map(|(keys, number)| (5, number, *keys, 100, 0));
    let lower = names.iter().zip(11..).map(|(keys, number)| (6, number, *keys, 400, 0));
    let version = version(&upper.chain(lower).collect::<Vec<_>>());
    let part = Part { start: None, end: None, upto: 99 };
    let step = |busy: &Busy| with(&version, busy, |picker| picker.pick_range(&part, 99)).unwrap();
    let first = step(&Busy::default());
    assert_eq!(numbers(&first), (vec![1, 2, 3, 4, 5], vec![11, 12, 13, 14, 15]));
    // A job below the third is in the way of so many together, and not of the first.
    let below = with(&version, &Busy::default(), |picker| {
        picker.plan(6, 6, Span::of(&version.levels[6][2]), Reason::Tombstones)
    });
    let alone = step(&claimed(&[&below.unwrap()]));
    assert_eq!((alone.output_level, numbers(&alone)), (6, (vec![1], vec![11])));
}

#[test]
fn tables_that_do_not_overlap_are_moved_together() {
    let version = version(&[(5, 1, "a-b", 100, 0), (5, 2, "c-d", 100, 0), (6, 3, "x-z", 900, 0)]);
    let part = Part { start: None, end: Some(b"d"), upto: 99 };
    let step = with(&version, &Busy::default(), |picker| picker.pick_range(&part, 99)).unwrap();
    assert_eq!((step.is_move, numbers(&step)), (true, (vec![1, 2], vec![])));
}

/// One tombstone of a hundred entries is not many; but who asks for its keys wants it gone, and a table
/// that is moved keeps it.
#[test]
fn a_table_is_not_moved_to_where_it_is() {
    let few = |tombstones| {
        let meta = &version(&[(6, 1, "a-b", 100, tombstones)]).levels[6][0].meta;
        TableMeta { entries: 100, ..meta.clone() }
    };
    let is_many = |tombstones| has_many_tombstones(&few(tombstones));
    assert_eq!([0, 1, 9, 10].map(is_many), [false, false, false, true]);
    assert!(!has_many_tombstones(&TableMeta { entries: 0, ..few(0) }), "a table of nothing has none");
    let table = Arc::new(TableFile::without_file(1, few(1)));
    let version = Version::of([table], &Order::Bytewise);
    let part = Part { start: None, end: None, upto: 99 };
    let step = with(&version, &Busy::default(), |picker| picker.pick_range(&part, 99)).unwrap();
    assert_eq!((step.reason, step.is_move), (Reason::Tombstones, false));
}

#[test]
fn the_cheapest_table_goes_first_and_the_next_if_it_is_taken() {
    let version = version(&[
        (5, 1, "a-c", 400, 0),
        (5, 2, "d-f", 500, 0),
        (5, 3, "g-i", 500, 3),
        (5, 4, "j-l", 500, 0),
        (6, 5, "a-c", 3000, 0),
        (6, 6, "d-f", 2000, 0),
        (6, 7, "g-i", 2000, 0),
        (6, 8, "j-l", 2000, 0),
    ]);
    // 3 has tombstones; 2 and 4 are as cheap as each other; 1 is the dearest.
    let first = pick(&version, &Busy::default()).unwrap();
    assert_eq!(numbers(&first), (vec![3], vec![7]));
    let second = pick(&version, &claimed(&[&first])).unwrap();
    assert_eq!(numbers(&second), (vec![2], vec![6]));
    assert!(pick(&version, &claimed(&[&first, &second])).is_none(), "two tables are enough");
}

#[test]
fn a_table_weighs_up_to_three_times_its_bytes() {
    let of = |tombstones| weight(&version(&[(5, 1, "a-b", 100, tombstones)]).levels[5][0].meta);
    assert_eq!([0, 5, 10, 11].map(of), [100, 200, 300, 300], "of ten entries");
}

#[test]
fn tables_that_share_a_user_key_go_together() {
    // Not to be made by us: both have versions of "c" and of "e".
    let version = version(&[
        (5, 3, "a-c", 600, 0),
        (5, 2, "c-e", 600, 0),
        (5, 1, "e-g", 600, 0),
        (6, 9, "g-g", 9000, 0),
    ]);
    let picked = pick(&version, &Busy::default()).unwrap();
    assert_eq!(numbers(&picked), (vec![1, 2, 3], vec![9]));
}

#[test]
fn more_tables_go_along_if_they_are_free() {
    let level5 = [(5, 1, "a-b", 700, 0), (5, 2, "c-d", 700, 0)];
    let picked = |below: &[Drawn<'_>]| {
        let picked = pick(&version(&[&level5[..], below].concat()), &Busy::default()).unwrap();
        numbers(&picked)
    };
    assert_eq!(picked(&[(6, 9, "a-d", 1000, 0)]), (vec![1, 2], vec![9]));
    // 2500 bytes are the most; and the level below must not give more.
    assert_eq!(picked(&[(6, 9, "a-d", 1101, 0)]), (vec![1], vec![9]));
    assert_eq!(picked(&[(6, 8, "a-c", 500, 0), (6, 9, "d-d", 600, 0)]), (vec![1], vec![8]));
}

#[test]
fn a_table_is_moved_where_nothing_is_below() {
    let moved = |tables: &[Drawn<'_>]| pick(&version(tables), &Busy::default()).unwrap().is_move;
    let wide = (4, 1, "c-f", 1100, 2);
    assert!(moved(&[wide, (6, 3, "e-e", 900, 9), (6, 2, "a-b", 19_000, 0)]));
    assert!(!moved(&[wide, (5, 4, "d-d", 1, 0), (6, 2, "a-b", 19_000, 0)]), "merged with 4");
    assert!(!moved(&[wide, (6, 3, "e-e", 1001, 0), (6, 2, "a-b", 19_000, 0)]), "too much below that");
    assert!(!moved(&[wide, (6, 2, "a-b", 19_000, 0)]), "its tombstones can go");
    assert!(moved(&[(4, 1, "c-f", 1100, 0), (6, 2, "a-b", 19_000, 0)]));
}

#[test]
fn a_job_never_passes_another() {
    // Level 0 goes to 4, where nothing is yet. The store shrinks: newer tables would go to 6.
    let before = version(&[(0, 2, "a-m", 10, 0), (0, 1, "a-m", 10, 0), (6, 9, "a-b", 20_000, 0)]);
    let first = pick(&before, &Busy::default()).unwrap();
    assert_eq!(first.output_level, 4);
    let busy = claimed(&[&first]);
    let after = version(&[(0, 4, "n-p", 10, 0), (0, 3, "n-p", 10, 0), (6, 9, "a-b", 20, 0)]);
    assert_eq!(pick(&after, &busy).unwrap().output_level, 6, "other keys may");
    let after = version(&[(0, 4, "m-p", 10, 0), (0, 3, "m-p", 10, 0), (6, 9, "a-b", 20, 0)]);
    assert!(pick(&after, &busy).is_none());
    let mut busy = busy;
    busy.release(0);
    assert!(pick(&after, &busy).is_some() && busy.jobs() == 0);
}

#[test]
fn a_range_goes_down_step_by_step() {
    let range = |tables: &[Drawn<'_>], upto, settled| {
        let part = Part { start: Some(b"d"), end: Some(b"f"), upto };
        with(&version(tables), &Busy::default(), |picker| picker.pick_range(&part, settled))
    };
    let (level0, level5) = ((0, 8, "a-e", 10, 0), (5, 7, "e-e", 10, 0));
    let (beside, bottom) = ((5, 6, "g-h", 10, 1), (6, 5, "d-d", 10, 1));
    let step = range(&[level0, level5, beside, bottom], 9, 9).unwrap();
    assert_eq!((step.level, step.output_level, numbers(&step)), (0, 5, (vec![8], vec![7])));
    let step = range(&[level5, beside, bottom], 9, 9).unwrap();
    assert_eq!((step.level, step.is_move, numbers(&step)), (5, true, (vec![7], vec![])));
    let step = range(&[beside, bottom], 9, 9).unwrap();
    assert_eq!((step.reason, step.level, step.output_level), (Reason::Tombstones, 6, 6));
    assert!(range(&[beside, bottom], 9, 4).is_none(), "a snapshot may need them");
    assert!(range(&[level0, beside], 7, 9).is_none(), "written since");
}

#[test]
fn space_is_looked_for_only_where_it_can_be() {
    let idle = |tables: &[Drawn<'_>], settled| {
        with(&version(tables), &Busy::default(), |picker| {
            assert!(picker.pick().is_none());
            picker.pick_idle(settled)
        })
    };
    let bottom = (6, 1, "a-m", 900, 0);
    assert!(idle(&[(0, 2, "n-z", 200, 0), bottom], 9).is_none(), "hides nothing");
    assert!(idle(&[(0, 2, "a-z", 80, 0), bottom], 9).is_none(), "at most 80 of 980");
    let step = idle(&[(0, 2, "a-z", 100, 0), bottom], 9).unwrap();
    assert_eq!((step.reason, numbers(&step)), (Reason::Space, (vec![2], vec![1])));
    assert!(idle(&[(0, 2, "a-z", 100, 0), bottom], 1).is_none(), "a snapshot may need it");
    let step = idle(&[(0, 2, "a-z", 30, 10), bottom], 9).unwrap();
    assert_eq!(step.level, 0, "ten tombstones hide as much as ten entries");
    let step = idle(&[(6, 2, "n-z", 10, 1), bottom], 9).unwrap();
    assert_eq!((step.reason, numbers(&step)), (Reason::Tombstones, (vec![2], vec![])));
}

#[test]
fn a_table_that_is_rewritten_where_it_is_is_held_and_not_lowered() {
    let version = version(&[(5, 1, "a-b", 1100, 0), (6, 2, "a-b", 10_000, 0), (6, 3, "x-z", 10, 0)]);
    let busy = claimed(&[&pick(&version, &Busy::default()).unwrap()]);
    let ask = |of: fn(&Busy, &TableFile) -> bool| {
        version.tables().map(|table| of(&busy, table)).collect::<Vec<_>>()
    };
    assert_eq!((ask(Busy::holds), ask(Busy::lowers)), (vec![true, true, false], vec![true, false, false]));
}
