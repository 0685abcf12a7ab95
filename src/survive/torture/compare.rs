//! Whether an answer is the one that the model gives, and how the two are told.

use crate::engine::KvsRead;
use crate::engine::range::KeyRange;
use crate::error::{Error, Result};
use crate::survive::script::bytes::show;
use crate::survive::script::session::Pair;
use crate::survive::torture::model::{Entry, Map};
use std::sync::Arc;

/// What the model says, and what the store said.
pub(super) type Wrong = (String, String);

/// The two, from words.
pub(super) fn wrong(expected: impl Into<String>, said: impl Into<String>) -> Wrong {
    (expected.into(), said.into())
}

/// An error that nothing explains.
pub(super) fn unexpected(error: &Error) -> Wrong {
    wrong("no error, for the disk has not failed", format!("error: {error}"))
}

/// All that is there.
pub(super) fn contents(read: &(impl KvsRead + ?Sized)) -> Result<Map> {
    let mut map = Map::new();
    for pair in read.scan(KeyRange::all())? {
        let (key, value) = pair?;
        map.insert(key.into_vec(), Arc::from(&value[..]));
    }
    Ok(map)
}

/// Whether a key holds this.
pub(super) fn same(expected: Option<&Arc<[u8]>>, said: Option<&[u8]>) -> std::result::Result<(), Wrong> {
    if expected.map(|value| &value[..]) == said {
        return Ok(());
    }
    let told = |value: Option<&[u8]>| value.map_or("not there".into(), show);
    Err(wrong(told(expected.map(|value| &value[..])), told(said)))
}

/// Whether a scan found these.
pub(super) fn all_same<'m>(
    mut expected: impl Iterator<Item = Entry<'m>>,
    said: &[Pair],
) -> std::result::Result<(), Wrong> {
    for pair in said {
        let entry = expected.next();
        if !is_same(Some(pair), entry) {
            return Err(wrong(told(entry), told_pair(Some(pair))));
        }
    }
    match expected.next() {
        None => Ok(()),
        Some(entry) => Err(wrong(told(Some(entry)), "the end")),
    }
}

/// Whether a pair is this one.
pub(super) fn is_same(pair: Option<&Pair>, entry: Option<Entry<'_>>) -> bool {
    match (pair, entry) {
        (None, None) => true,
        (Some((key, value)), Some((other, expected))) => key[..] == other[..] && value[..] == expected[..],
        _ => false,
    }
}

/// An entry in words.
pub(super) fn told(entry: Option<Entry<'_>>) -> String {
    entry.map_or("nowhere".into(), |(key, value)| format!("{} = {}", show(key), show(value)))
}

/// A pair in words.
pub(super) fn told_pair(pair: Option<&Pair>) -> String {
    pair.map_or("nowhere".into(), |(key, value)| format!("{} = {}", show(key), show(value)))
}

/// Everything in words.
pub(super) fn told_map(map: &Map) -> String {
    let pairs: Vec<_> = map.iter().map(|entry| told(Some(entry))).collect();
    if pairs.is_empty() { "nothing".into() } else { pairs.join(", ") }
}
