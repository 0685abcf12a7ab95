//! Small words to speak to a store with, so that a test reads as what it means.

use kvs::dice::Dice;
use kvs::engine::batch::WriteBatch;
use kvs::engine::range::KeyRange;
use kvs::engine::{Cursor, KvsEngine, KvsRead};
use std::ops::Bound;

pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// The value of `key`.
pub(crate) fn get(read: &(impl KvsRead + ?Sized), key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    read.get(key.as_ref()).expect("a get works").map(|value| value.to_vec())
}

/// A value that is there, to compare with a [`get`].
pub(crate) fn some(value: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    Some(value.as_ref().to_vec())
}

/// What a scan of `range` yields.
pub(crate) fn pairs(read: &(impl KvsRead + ?Sized), range: KeyRange) -> Vec<Pair> {
    let scan = read.scan(range).expect("a scan begins");
    scan.map(|pair| pair.expect("a scan goes on")).map(|(k, v)| (k.to_vec(), v.to_vec())).collect()
}

/// Everything in the store as one line: `a=1 b=2`. Each pair is asked for by a get too.
pub(crate) fn text(read: &(impl KvsRead + ?Sized)) -> String {
    let all = pairs(read, KeyRange::all());
    for (key, value) in &all {
        assert_eq!(get(read, key).as_ref(), Some(value), "a get of {} says what a scan says", ascii(key));
    }
    line(&all)
}

/// A part of the store as one line, in the range's direction.
pub(crate) fn text_in(read: &(impl KvsRead + ?Sized), range: KeyRange) -> String {
    line(&pairs(read, range))
}

fn line(pairs: &[Pair]) -> String {
    let words: Vec<_> = pairs.iter().map(|(k, v)| format!("{}={}", ascii(k), ascii(v))).collect();
    words.join(" ")
}

/// Bytes for people.
pub(crate) fn ascii(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Writes `a=1 b=2`, each as a set of its own, and `-c` as a blind removal.
pub(crate) fn fill(store: &dyn KvsEngine, words: &str) {
    for word in words.split_whitespace() {
        write(store, word);
    }
}

/// Writes `a=1 -b` as one batch.
pub(crate) fn write(store: &dyn KvsEngine, words: &str) {
    store.write(batch(words), &Default::default()).expect("a write works");
}

/// The batch `a=1 -b`.
pub(crate) fn batch(words: &str) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for word in words.split_whitespace() {
        match (word.strip_prefix('-'), word.split_once('=')) {
            (Some(key), _) => batch.remove(key.as_bytes()),
            (None, Some((key, value))) => batch.set(key.as_bytes(), value.as_bytes()),
            (None, None) => panic!("{word}: key=value or -key"),
        }
    }
    batch
}

/// `count` keys, `key0000` and so on, each with a value of `value_len` bytes that `salt` and the
/// key decide.
pub(crate) fn fill_many(store: &dyn KvsEngine, count: usize, value_len: usize, salt: u8) {
    for i in 0..count {
        store.set(&key(i), &value(i, value_len, salt)).expect("a set works");
    }
}

/// Checks what [`fill_many`] wrote.
pub(crate) fn expect_many(read: &(impl KvsRead + ?Sized), count: usize, value_len: usize, salt: u8) {
    let found = pairs(read, KeyRange::all());
    assert_eq!(found.len(), count);
    for (i, (k, v)) in found.iter().enumerate() {
        assert_eq!((k, v), (&key(i), &value(i, value_len, salt)), "{}", ascii(k));
        assert_eq!(get(read, k).as_ref(), Some(v), "{}", ascii(k));
    }
}

/// The key with this number; keys are in the order of their numbers.
pub(crate) fn key(i: usize) -> Vec<u8> {
    format!("key{i:04}").into_bytes()
}

/// A value that no other number or salt has.
pub(crate) fn value(i: usize, len: usize, salt: u8) -> Vec<u8> {
    let mut random = Random::new((i as u64) << 8 | u64::from(salt));
    let mut bytes = vec![salt; len];
    for byte in bytes.iter_mut().take(16) {
        *byte = random.below(256) as u8;
    }
    bytes
}

/// What the cursor stands on, as `a=1`; `.` if on nothing.
pub(crate) fn at(cursor: &mut dyn Cursor) -> String {
    if !cursor.valid() {
        return ".".to_string();
    }
    let key = ascii(cursor.key());
    let value = ascii(cursor.value().expect("a value can be read"));
    format!("{key}={value}")
}

/// Every range that the `keys` can bound, in every way: open, included, excluded, crossed.
pub(crate) fn every_range(keys: &[&[u8]]) -> Vec<KeyRange> {
    let mut bounds = vec![Bound::Unbounded];
    for key in keys {
        bounds.extend([Bound::Included(key.to_vec()), Bound::Excluded(key.to_vec())]);
    }
    let all = KeyRange::all;
    let with = |start: &Bound<Vec<u8>>| {
        let start = start.clone();
        bounds.iter().map(move |end| KeyRange { start: start.clone(), end: end.clone(), ..all() })
    };
    bounds.iter().flat_map(with).collect()
}

/// Numbers that look random and are the same in each run.
pub(crate) struct Random(Dice);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(Dice::new(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.next_number()
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// How many keys are there.
pub(crate) trait Count {
    /// By looking; and an engine that says that it knows must say the same.
    fn key_count(&self) -> u64;
}

impl Count for dyn KvsEngine + '_ {
    fn key_count(&self) -> u64 {
        let stats = self.stats().expect("stats");
        let keys = self.scan(KeyRange::all()).expect("a scan").count() as u64;
        assert!(stats.is_estimate || stats.keys == keys, "{} keys, not {keys}", stats.keys);
        keys
    }
}
