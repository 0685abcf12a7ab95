//! Cursors: both ways, within bounds, over a past that does not change.

use crate::common::engines::Store;
use crate::common::words::{Pair, Random, at, every_range, fill, fill_many, key, pairs, text, value, write};
use kvs::engine::range::KeyRange;
use kvs::engine::{Cursor, KvsEngine};

on_every_engine!([
    a_new_cursor_stands_nowhere,
    an_empty_store_has_nowhere_to_stand,
    forward_over_all_keys,
    backward_over_all_keys,
    seek_finds_the_first_key_not_below,
    seeking_the_empty_key_finds_the_first,
    seek_stays_within_the_bounds,
    every_pair_of_bounds_lets_in_what_it_says,
    crossed_bounds_hold_nothing,
    a_range_of_one_key,
    a_prefix_may_end_in_the_last_byte,
    a_cursor_can_turn_round_anywhere,
    a_random_walk_is_where_a_sorted_list_is,
    past_either_end_it_stays_there,
    after_the_end_a_seek_works_again,
    removed_keys_are_passed_over,
    a_value_can_be_looked_at_twice_or_not_at_all,
    later_writes_do_not_show,
    a_batch_written_beside_it_does_not_show,
    compaction_under_way_does_not_show,
    a_value_that_is_overwritten_and_compacted_can_still_be_read,
    two_cursors_do_not_touch_each_other,
    a_direction_in_the_range_does_not_matter,
    big_values_pass_by_without_being_read,
    a_cursor_over_an_opened_store_is_the_same,
]);

fn all(store: &dyn KvsEngine) -> Box<dyn Cursor + '_> {
    store.cursor(KeyRange::all()).unwrap()
}

/// Where the cursor stands from its first key to the end.
fn forward(cursor: &mut dyn Cursor) -> String {
    let mut stands = Vec::new();
    cursor.seek_to_first().unwrap();
    while cursor.valid() {
        stands.push(at(cursor));
        cursor.next().unwrap();
    }
    stands.join(" ")
}

/// Where it stands from its last key to the beginning.
fn backward(cursor: &mut dyn Cursor) -> String {
    let mut stands = Vec::new();
    cursor.seek_to_last().unwrap();
    while cursor.valid() {
        stands.push(at(cursor));
        cursor.prev().unwrap();
    }
    stands.join(" ")
}

fn a_new_cursor_stands_nowhere(store: &dyn KvsEngine) {
    fill(store, "a=1");
    let mut cursor = all(store);
    assert!(!cursor.valid());
    cursor.next().unwrap();
    assert!(!cursor.valid());
    cursor.prev().unwrap();
    assert!(!cursor.valid());
}

fn an_empty_store_has_nowhere_to_stand(store: &dyn KvsEngine) {
    let mut cursor = all(store);
    cursor.seek_to_first().unwrap();
    assert!(!cursor.valid());
    cursor.seek_to_last().unwrap();
    assert!(!cursor.valid());
    cursor.seek(b"").unwrap();
    assert!(!cursor.valid());
}

fn forward_over_all_keys(store: &dyn KvsEngine) {
    fill(store, "c=3 a=1 b=2");
    assert_eq!(forward(&mut *all(store)), "a=1 b=2 c=3");
}

fn backward_over_all_keys(store: &dyn KvsEngine) {
    fill(store, "c=3 a=1 b=2");
    assert_eq!(backward(&mut *all(store)), "c=3 b=2 a=1");
}

fn seek_finds_the_first_key_not_below(store: &dyn KvsEngine) {
    fill(store, "b=2 d=4 f=6");
    let mut cursor = all(store);
    let sought = [("a", "b=2"), ("b", "b=2"), ("b\0", "d=4"), ("c", "d=4"), ("f", "f=6"), ("f\0", ".")];
    for (key, found) in sought {
        cursor.seek(key.as_bytes()).unwrap();
        assert_eq!(at(&mut *cursor), found, "seek {key:?}");
    }
}

fn seeking_the_empty_key_finds_the_first(store: &dyn KvsEngine) {
    fill(store, "a=1 b=2");
    let mut cursor = all(store);
    cursor.seek(b"").unwrap();
    assert_eq!(at(&mut *cursor), "a=1");
    store.set(b"", b"0").unwrap();
    let mut cursor = all(store);
    cursor.seek(b"").unwrap();
    assert_eq!(at(&mut *cursor), "=0");
}

fn seek_stays_within_the_bounds(store: &dyn KvsEngine) {
    fill(store, "a=1 b=2 c=3 d=4 e=5");
    let mut cursor = store.cursor(KeyRange::of("b".."d")).unwrap();
    for (key, found) in [("a", "b=2"), ("b", "b=2"), ("c", "c=3"), ("c\0", "."), ("d", "."), ("z", ".")] {
        cursor.seek(key.as_bytes()).unwrap();
        assert_eq!(at(&mut *cursor), found, "seek {key:?}");
    }
}

fn every_pair_of_bounds_lets_in_what_it_says(store: &dyn KvsEngine) {
    store.set(b"", b"empty").unwrap();
    fill(store, "a=1 ab=2 b=3 c=4");
    let everything = pairs(store, KeyRange::all());
    for range in every_range(&[b"", b"a", b"aa", b"b", b"c", b"d"]) {
        let inside: Vec<&Pair> = everything.iter().filter(|(key, _)| range.contains(key)).collect();
        let words: Vec<_> = inside
            .iter()
            .map(|(key, value)| format!("{}={}", key.escape_ascii(), value.escape_ascii()))
            .collect();
        let mut cursor = store.cursor(range.clone()).unwrap();
        assert_eq!(forward(&mut *cursor), words.join(" "), "{range:?}");
        let reversed: Vec<_> = words.into_iter().rev().collect();
        assert_eq!(backward(&mut *cursor), reversed.join(" "), "{range:?}");
    }
}

fn crossed_bounds_hold_nothing(store: &dyn KvsEngine) {
    fill(store, "a=1 b=2 c=3");
    for range in [KeyRange::of("c".."a"), KeyRange::of("c"..="a"), KeyRange::of("b".."b")] {
        let mut cursor = store.cursor(range).unwrap();
        assert_eq!((forward(&mut *cursor), backward(&mut *cursor)), (String::new(), String::new()));
        cursor.seek(b"b").unwrap();
        assert!(!cursor.valid());
    }
}

fn a_range_of_one_key(store: &dyn KvsEngine) {
    fill(store, "a=1 b=2 c=3");
    let mut cursor = store.cursor(KeyRange::of("b"..="b")).unwrap();
    assert_eq!(forward(&mut *cursor), "b=2");
    assert_eq!(backward(&mut *cursor), "b=2");
}

fn a_prefix_may_end_in_the_last_byte(store: &dyn KvsEngine) {
    let keys: [&[u8]; 8] = [b"a", b"a\xff", b"a\xff\xff", b"a\xffz", b"b", b"\xfe", b"\xff", b"\xff\xff\x01"];
    for key in keys {
        store.set(key, b"").unwrap();
    }
    let count = |prefix: &[u8]| store.scan(KeyRange::prefix(prefix)).unwrap().count();
    assert_eq!((count(b"a"), count(b"a\xff"), count(b"a\xff\xff")), (4, 3, 1));
    assert_eq!((count(b"\xff"), count(b"\xff\xff"), count(b"\xff\xff\xff"), count(b"")), (2, 1, 0, 8));
    let mut cursor = store.cursor(KeyRange::prefix(b"\xff")).unwrap();
    assert_eq!(backward(&mut *cursor), "\\xff\\xff\\x01= \\xff=");
}

fn a_cursor_can_turn_round_anywhere(store: &dyn KvsEngine) {
    fill_many(store, 12, 3, 1);
    let mut cursor = all(store);
    for i in 0..12 {
        cursor.seek(&key(i)).unwrap();
        let here = at(&mut *cursor);
        cursor.next().unwrap();
        assert_eq!(cursor.valid(), i < 11);
        if cursor.valid() {
            cursor.prev().unwrap();
            assert_eq!(at(&mut *cursor), here, "forth and back at {i}");
        } else {
            cursor.seek_to_last().unwrap();
        }
        cursor.prev().unwrap();
        assert_eq!(cursor.valid(), i > 0);
        if cursor.valid() {
            cursor.next().unwrap();
            assert_eq!(at(&mut *cursor), here, "back and forth at {i}");
        }
    }
}

/// Where a cursor should stand: an index into a sorted list.
fn step(list: &[Pair], place: Option<usize>, choice: usize, sought: &[u8]) -> Option<usize> {
    let inside = |i: usize| (i < list.len()).then_some(i);
    match choice {
        0 => inside(0),
        1 => list.len().checked_sub(1),
        2 => inside(list.partition_point(|(key, _)| &key[..] < sought)),
        3..=6 => place.and_then(|i| inside(i + 1)),
        _ => place.and_then(|i| i.checked_sub(1)),
    }
}

fn a_random_walk_is_where_a_sorted_list_is(store: &dyn KvsEngine) {
    let mut random = Random::new(3);
    for i in 0..400 {
        let key = key(random.below(200));
        match random.below(3) {
            0 => _ = store.remove(&key).unwrap(),
            _ => store.set(&key, &value(i, 20, 1)).unwrap(),
        }
    }
    for range in [KeyRange::all(), KeyRange::of("key0050".."key0100"), KeyRange::of(.."key0033")] {
        let list = pairs(store, range.clone());
        let mut cursor = store.cursor(range).unwrap();
        let mut place = None;
        for _ in 0..2000 {
            let (choice, sought) = (random.below(11), key(random.below(200)));
            match choice {
                0 => cursor.seek_to_first().unwrap(),
                1 => cursor.seek_to_last().unwrap(),
                2 => cursor.seek(&sought).unwrap(),
                3..=6 => cursor.next().unwrap(),
                _ => cursor.prev().unwrap(),
            }
            // Never below the range: the list has no keys there.
            place = step(&list, place, choice, &sought);
            assert_eq!(cursor.valid(), place.is_some());
            if let Some(i) = place {
                assert_eq!(cursor.key(), list[i].0);
                assert_eq!(cursor.value().unwrap(), list[i].1);
            }
        }
    }
}

fn past_either_end_it_stays_there(store: &dyn KvsEngine) {
    fill(store, "a=1 b=2");
    let mut cursor = all(store);
    cursor.seek_to_last().unwrap();
    for _ in 0..3 {
        cursor.next().unwrap();
        assert!(!cursor.valid());
    }
    cursor.prev().unwrap();
    assert!(!cursor.valid(), "an invalid cursor is left as it is");
    cursor.seek_to_first().unwrap();
    for _ in 0..3 {
        cursor.prev().unwrap();
        assert!(!cursor.valid());
    }
    cursor.next().unwrap();
    assert!(!cursor.valid());
}

fn after_the_end_a_seek_works_again(store: &dyn KvsEngine) {
    fill(store, "a=1 b=2");
    let mut cursor = all(store);
    cursor.seek(b"z").unwrap();
    assert_eq!(at(&mut *cursor), ".");
    cursor.seek(b"b").unwrap();
    assert_eq!(at(&mut *cursor), "b=2");
    cursor.next().unwrap();
    cursor.seek_to_first().unwrap();
    assert_eq!(at(&mut *cursor), "a=1");
}

fn removed_keys_are_passed_over(store: &mut Store) {
    fill_many(&**store, 100, 10, 1);
    for i in (0..100).filter(|i| i % 10 != 5) {
        store.remove(&key(i)).unwrap();
    }
    for _ in 0..2 {
        let mut cursor = all(&**store);
        cursor.seek(b"key0006").unwrap();
        assert_eq!(cursor.key(), key(15));
        cursor.prev().unwrap();
        assert_eq!(cursor.key(), key(5));
        cursor.prev().unwrap();
        assert!(!cursor.valid());
        assert_eq!(forward(&mut *cursor).split(' ').count(), 10);
        drop(cursor);
        store.reopen();
    }
}

fn a_value_can_be_looked_at_twice_or_not_at_all(store: &dyn KvsEngine) {
    fill_many(store, 10, 300, 1);
    let mut cursor = all(store);
    cursor.seek_to_first().unwrap();
    for i in 0..10 {
        assert_eq!(cursor.key(), key(i));
        if i % 2 == 0 {
            assert_eq!(cursor.value().unwrap(), value(i, 300, 1));
            assert_eq!(cursor.value().unwrap(), value(i, 300, 1));
            assert_eq!(cursor.key(), key(i), "reading the value does not move it");
        }
        cursor.next().unwrap();
    }
    assert!(!cursor.valid());
}

fn later_writes_do_not_show(store: &dyn KvsEngine) {
    fill(store, "b=1 d=1 f=1 h=1");
    let mut cursor = all(store);
    cursor.seek_to_first().unwrap();
    fill(store, "a=2 b=2 c=2 -d e=2 f=2 -h i=2");
    assert_eq!(at(&mut *cursor), "b=1");
    assert_eq!(forward(&mut *cursor), "b=1 d=1 f=1 h=1");
    assert_eq!(backward(&mut *cursor), "h=1 f=1 d=1 b=1");
    cursor.seek(b"c").unwrap();
    assert_eq!(at(&mut *cursor), "d=1");
    assert_eq!(forward(&mut *all(store)), "a=2 b=2 c=2 e=2 f=2 i=2");
}

fn a_batch_written_beside_it_does_not_show(store: &dyn KvsEngine) {
    write(store, "a=1 b=1 c=1");
    let mut cursor = all(store);
    cursor.seek(b"b").unwrap();
    write(store, "a=2 b=2 c=2 -a");
    assert_eq!(at(&mut *cursor), "b=1");
    cursor.next().unwrap();
    assert_eq!(at(&mut *cursor), "c=1");
    cursor.seek_to_first().unwrap();
    assert_eq!(at(&mut *cursor), "a=1");
}

fn compaction_under_way_does_not_show(store: &dyn KvsEngine) {
    fill_many(store, 200, 50, 1);
    fill_many(store, 200, 50, 2);
    let mut cursor = all(store);
    cursor.seek_to_first().unwrap();
    for i in 0..200 {
        assert_eq!(cursor.key(), key(i));
        assert_eq!(cursor.value().unwrap(), value(i, 50, 2), "{i}");
        if i % 40 == 0 {
            fill_many(store, 200, 50, 3);
            store.compact().unwrap();
        }
        cursor.next().unwrap();
    }
    assert!(!cursor.valid());
}

fn a_value_that_is_overwritten_and_compacted_can_still_be_read(store: &dyn KvsEngine) {
    fill_many(store, 50, 500, 1);
    let mut cursor = all(store);
    cursor.seek(&key(25)).unwrap();
    fill_many(store, 50, 500, 2);
    for i in 0..50 {
        store.remove(&key(i)).unwrap();
    }
    store.compact().unwrap();
    assert_eq!(cursor.value().unwrap(), value(25, 500, 1));
    assert_eq!(text(store), "");
}

fn two_cursors_do_not_touch_each_other(store: &dyn KvsEngine) {
    fill(store, "a=1 b=2 c=3");
    let (mut one, mut other) = (all(store), all(store));
    one.seek_to_first().unwrap();
    other.seek_to_last().unwrap();
    one.next().unwrap();
    assert_eq!((at(&mut *one), at(&mut *other)), ("b=2".into(), "c=3".into()));
    drop(one);
    other.prev().unwrap();
    assert_eq!(at(&mut *other), "b=2");
}

fn a_direction_in_the_range_does_not_matter(store: &dyn KvsEngine) {
    fill(store, "a=1 b=2");
    let mut cursor = store.cursor(KeyRange::all().reverse()).unwrap();
    assert_eq!(forward(&mut *cursor), "a=1 b=2");
    cursor.seek(b"").unwrap();
    assert_eq!(at(&mut *cursor), "a=1");
}

fn big_values_pass_by_without_being_read(store: &dyn KvsEngine) {
    for i in 0..20 {
        store.set(&key(i), &value(i, 100_000, 1)).unwrap();
    }
    let mut cursor = all(store);
    cursor.seek_to_first().unwrap();
    for i in 0..19 {
        assert_eq!(cursor.key(), key(i));
        cursor.next().unwrap();
    }
    assert!(cursor.value().unwrap() == value(19, 100_000, 1));
}

fn a_cursor_over_an_opened_store_is_the_same(store: &mut Store) {
    fill(&**store, "d=4 b=2 a=1 -b c=3 c=9");
    store.reopen();
    let mut cursor = all(&**store);
    assert_eq!(forward(&mut *cursor), "a=1 c=9 d=4");
    assert_eq!(backward(&mut *cursor), "d=4 c=9 a=1");
}
