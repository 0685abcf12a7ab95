//! Ranges of keys: what is in them, by themselves and together.

use super::input::Input;
use kvs::engine::range::{Direction, KeyRange};
use std::collections::BTreeSet;
use std::ops::Bound;

/// `range range key*`. Ends that cross hold nothing; a prefix holds what begins with it; an intersection holds
/// what both hold; a sorted set finds what `contains` says.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (a, b) = (range(&mut input), range(&mut input));
    let prefix = input.bytes();
    let mut keys = BTreeSet::from([Vec::new(), prefix.to_vec(), [prefix, &[0xff]].concat()]);
    for end in [&a.start, &a.end, &b.start, &b.end] {
        if let Bound::Included(key) | Bound::Excluded(key) = end {
            keys.extend([key.clone(), [key, &[0][..]].concat()]);
        }
    }
    while !input.is_empty() {
        keys.insert(input.bytes().to_vec());
    }
    let both = a.clone().intersect(b.clone());
    let begins = KeyRange::prefix(prefix);
    for key in &keys {
        assert_eq!(both.contains(key), a.contains(key) && b.contains(key), "{key:?} in {a:?} and {b:?}");
        assert_eq!(begins.contains(key), key.starts_with(prefix), "{key:?} with {prefix:?}");
        assert_eq!(a.contains(key), a.is_after_start(key) && a.is_before_end(key));
    }
    for range in [&a, &both, &begins] {
        let held = keys.iter().filter(|key| range.contains(key)).count();
        let found = range.bounds().map_or(0, |bounds| keys.range::<[u8], _>(bounds).count());
        assert_eq!(found, held, "{range:?}");
    }
}

/// A range: `ends:u8`, and the keys that they need.
pub(crate) fn range(input: &mut Input<'_>) -> KeyRange {
    let ends = input.byte();
    let mut end = |kind: u8| match kind % 3 {
        0 => Bound::Unbounded,
        1 => Bound::Included(input.bytes().to_vec()),
        _ => Bound::Excluded(input.bytes().to_vec()),
    };
    let direction = if ends >> 7 == 1 { Direction::Reverse } else { Direction::Forward };
    KeyRange { start: end(ends & 3), end: end(ends >> 2 & 3), direction }
}

/// Ranges of all kinds.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let ranges = [&b"\x00"[..], b"\x05\x01b\x01d", b"\x0a\x01b\x01d", b"\x06\x01c\x01b", b"\x81\x02\xff\xff"];
    let mut seeds = Vec::new();
    for a in ranges {
        for b in ranges {
            seeds.push([a, b, b"\x01\xff", b"\x01a\x01b\x02bb\x01c\x01d\x01e"].concat());
        }
    }
    seeds
}
