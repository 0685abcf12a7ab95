//! Loading pairs that come in order.

use crate::common::engines::Store;
use crate::common::words::Count;
use crate::common::words::{Pair, expect_many, fill, fill_many, get, key, pairs, some, text, value};
use kvs::engine::batch::{MAX_KEY_LEN, WriteBatch};
use kvs::engine::range::KeyRange;
use kvs::engine::{CursorPairs, KvsEngine, KvsRead, Pairs};
use kvs::error::{Error, Result};

on_every_engine!([
    a_load_into_an_empty_store_is_there,
    nothing_can_be_loaded,
    a_load_wins_over_what_was_there,
    a_load_brings_back_what_was_removed,
    a_later_write_wins_over_a_load,
    two_loads_that_overlap_are_both_there,
    a_snapshot_does_not_see_a_load,
    a_cursor_does_not_see_a_load,
    keys_that_do_not_ascend_are_refused,
    a_refused_load_leaves_a_prefix_or_nothing,
    limits_hold_for_a_load,
    an_error_of_the_source_comes_back,
    a_store_can_be_loaded_from_itself,
    a_cursor_is_loaded_from_its_first_pair,
    large_values_are_loaded,
]);

/// Pairs of a list; after the last an error, if there is one.
struct List<'a> {
    pairs: std::slice::Iter<'a, Pair>,
    error: Option<Error>,
}

impl Pairs for List<'_> {
    fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        match (self.pairs.next(), self.error.take()) {
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
            (Some((key, value)), error) => {
                self.error = error;
                Ok(Some((key, value)))
            }
        }
    }
}

fn load(store: &dyn KvsEngine, pairs: &[Pair]) -> Result<u64> {
    store.load_sorted(&mut List { pairs: pairs.iter(), error: None })
}

/// The pairs `a=1 b=2`, in this order.
fn list(words: &str) -> Vec<Pair> {
    let pair = |word: &str| word.split_once('=').map(|(k, v)| (k.into(), v.into())).unwrap();
    words.split_whitespace().map(pair).collect()
}

fn many(count: usize, len: usize, salt: u8) -> Vec<Pair> {
    (0..count).map(|i| (key(i), value(i, len, salt))).collect()
}

fn a_load_into_an_empty_store_is_there(store: &mut Store) {
    assert_eq!(load(&**store, &many(500, 100, 1)).unwrap(), 500);
    for _ in 0..2 {
        expect_many(&**store, 500, 100, 1);
        let stats = store.stats().unwrap();
        assert_eq!(stats.keys, 500);
        assert!(stats.seqno > 0);
        store.reopen();
    }
    fill(&**store, "key0007=new");
    assert_eq!(get(&**store, key(7)), some("new"));
}

fn nothing_can_be_loaded(store: &mut Store) {
    assert_eq!(load(&**store, &[]).unwrap(), 0);
    assert_eq!(text(&**store), "");
    assert_eq!(load(&**store, &list("=empty")).unwrap(), 1);
    store.reopen();
    assert_eq!(text(&**store), "=empty");
}

fn a_load_wins_over_what_was_there(store: &mut Store) {
    fill(&**store, "a=1 b=1 d=1");
    load(&**store, &list("b=2 c=2 d=2")).unwrap();
    for _ in 0..2 {
        assert_eq!(text(&**store), "a=1 b=2 c=2 d=2");
        assert_eq!(store.key_count(), 4);
        store.reopen();
    }
    store.compact().unwrap();
    assert_eq!(text(&**store), "a=1 b=2 c=2 d=2");
}

fn a_load_brings_back_what_was_removed(store: &mut Store) {
    fill(&**store, "a=1 b=1 c=1 -a -b -c");
    store.flush().unwrap();
    load(&**store, &list("a=2 c=2")).unwrap();
    for _ in 0..3 {
        assert_eq!(text(&**store), "a=2 c=2");
        store.compact().unwrap();
        store.reopen();
    }
}

fn a_later_write_wins_over_a_load(store: &mut Store) {
    load(&**store, &list("a=1 b=1 c=1 d=1")).unwrap();
    fill(&**store, "b=2 -c");
    assert!(!store.remove(b"c").unwrap());
    assert_eq!(store.swap(b"d", Some(b"3")).unwrap().unwrap(), "1");
    for _ in 0..3 {
        assert_eq!(text(&**store), "a=1 b=2 d=3");
        store.compact().unwrap();
        store.reopen();
    }
}

fn two_loads_that_overlap_are_both_there(store: &mut Store) {
    load(&**store, &list("a=1 c=1 e=1")).unwrap();
    load(&**store, &list("b=2 c=2 d=2")).unwrap();
    for _ in 0..2 {
        assert_eq!(text(&**store), "a=1 b=2 c=2 d=2 e=1");
        store.reopen();
    }
}

fn a_snapshot_does_not_see_a_load(store: &dyn KvsEngine) {
    fill(store, "a=1 c=1");
    let before = store.snapshot().unwrap();
    load(store, &list("a=2 b=2 c=2")).unwrap();
    let between = store.snapshot().unwrap();
    load(store, &list("b=3")).unwrap();
    store.compact().unwrap();
    assert_eq!(text(&before), "a=1 c=1");
    assert_eq!(text(&between), "a=2 b=2 c=2");
    assert_eq!(text(store), "a=2 b=3 c=2");
}

fn a_cursor_does_not_see_a_load(store: &dyn KvsEngine) {
    fill_many(store, 300, 20, 1);
    let mut scan = store.scan(KeyRange::all()).unwrap();
    assert_eq!(scan.next().unwrap().unwrap().0, key(0));
    let mut more = many(300, 20, 2);
    more.extend((300..400).map(|i| (key(i), value(i, 20, 2))));
    load(store, &more).unwrap();
    let rest: Vec<_> = scan.map(|pair| pair.unwrap()).collect();
    assert_eq!(rest.len(), 299);
    for (i, (k, v)) in rest.iter().enumerate() {
        assert_eq!((&k[..], &v[..]), (&key(i + 1)[..], &value(i + 1, 20, 1)[..]));
    }
}

fn keys_that_do_not_ascend_are_refused(store: &dyn KvsEngine) {
    for (words, named) in [("a=1 a=2", "\"a\""), ("b=1 a=2", "\"a\""), ("a=1 =2", "\"\""), ("=1 =2", "\"\"")]
    {
        let error = load(store, &list(words)).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{words}: {error}");
        assert!(error.to_string().contains(named), "{words}: {error}");
    }
    fill(store, "z=1");
    assert_eq!(get(store, "z"), some("1"), "a refused load is no failure of the store");
}

/// All or nothing in the LSM tree, a prefix in the others; never a later pair without an earlier one.
fn a_refused_load_leaves_a_prefix_or_nothing(store: &mut Store) {
    let mut wrong = many(9_000, 500, 1);
    wrong.push((key(0), b"again".to_vec()));
    load(&**store, &wrong).unwrap_err();
    for _ in 0..2 {
        let there = pairs(&**store, KeyRange::all());
        assert_eq!(there, wrong[..there.len()]);
        assert!(there.len() <= 9_000, "the pair that is refused is not there");
        if store.kind().name() == "lsm" {
            assert!(there.is_empty(), "{} pairs", there.len());
        }
        store.reopen();
    }
}

fn limits_hold_for_a_load(store: &dyn KvsEngine) {
    let longest = vec![b'x'; MAX_KEY_LEN];
    assert_eq!(load(store, &[(longest.clone(), b"1".to_vec())]).unwrap(), 1);
    let mut longer = longest.clone();
    longer.push(b'x');
    let error = load(store, &[(longer, b"1".to_vec())]).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    assert_eq!(store.key_count(), 1);
}

fn an_error_of_the_source_comes_back(store: &dyn KvsEngine) {
    let error = Some(Error::invalid("the source broke"));
    let found = store.load_sorted(&mut List { pairs: list("a=1 b=2").iter(), error }).unwrap_err();
    assert_eq!(found.to_string(), "the source broke");
    fill(store, "z=1");
    assert_eq!(get(store, "z"), some("1"));
}

fn a_store_can_be_loaded_from_itself(store: &mut Store) {
    fill_many(&**store, 200, 50, 1);
    let mut all = CursorPairs::new(store.cursor(KeyRange::all()).unwrap());
    assert_eq!(store.load_sorted(&mut all).unwrap(), 200);
    drop(all);
    for _ in 0..2 {
        expect_many(&**store, 200, 50, 1);
        store.reopen();
    }
}

fn a_cursor_is_loaded_from_its_first_pair(store: &dyn KvsEngine) {
    use kvs::engine::memory::Memory;
    let from = Memory::new();
    fill(&from, "a=1 b=2 c=3 d=4");
    let mut cursor = from.cursor(KeyRange::of("b"..)).unwrap();
    kvs::engine::Cursor::seek(&mut cursor, b"d").unwrap();
    assert_eq!(store.load_sorted(&mut CursorPairs::new(cursor)).unwrap(), 3);
    assert_eq!(text(store), "b=2 c=3 d=4");
}

/// Beyond the size of a batch that a load is cut into, of a block, and of a tiny segment.
fn large_values_are_loaded(store: &mut Store) {
    let large: Vec<Pair> = (0..5).map(|i| (key(i), value(i, 700_000, 1))).collect();
    let mut batch = WriteBatch::new();
    batch.set(&key(2), b"small");
    store.write(batch, &Default::default()).unwrap();
    load(&**store, &large).unwrap();
    for _ in 0..2 {
        assert_eq!(pairs(&**store, KeyRange::all()), large);
        store.reopen();
    }
}
