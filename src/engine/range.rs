//! A range of keys, and the direction in which it is walked.

use std::ops::{Bound, RangeBounds};

/// The ends of a range, low and high, borrowed.
pub type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key to the largest.
    #[default]
    Forward,
    /// From the largest key to the smallest.
    Reverse,
}

/// Keys between two bounds, in the order of the store: that of bytes, but for an LSM tree with another comparator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// Where it begins: the low end, in either direction.
    pub start: Bound<Vec<u8>>,
    /// Where it ends.
    pub end: Bound<Vec<u8>>,
    /// Which way a scan of it goes. Cursors go both ways and do not look at it.
    pub direction: Direction,
}

impl KeyRange {
    /// All keys.
    pub fn all() -> KeyRange {
        KeyRange { start: Bound::Unbounded, end: Bound::Unbounded, direction: Direction::Forward }
    }

    /// Whether every key is in it, and not for the keys that there are: both ends are open.
    pub fn is_all(&self) -> bool {
        matches!((&self.start, &self.end), (Bound::Unbounded, Bound::Unbounded))
    }

    /// Keys in a Rust range: `KeyRange::of("a".."m")`, `of(start..)`, `of(..=end)`.
    pub fn of<K: AsRef<[u8]>>(range: impl RangeBounds<K>) -> KeyRange {
        let owned = |bound: Bound<&K>| bound.map(|key| key.as_ref().to_vec());
        KeyRange {
            start: owned(range.start_bound()),
            end: owned(range.end_bound()),
            direction: Direction::Forward,
        }
    }

    /// Keys that begin with `prefix`: from it up to the next string that does not, in the order of bytes. For a
    /// store in another order it is no range: most are refused there, and one of `0xff` alone has no end.
    pub fn prefix(prefix: impl AsRef<[u8]>) -> KeyRange {
        let prefix = prefix.as_ref();
        let end = match prefix.iter().rposition(|&byte| byte != 0xff) {
            None => Bound::Unbounded,
            Some(last) => {
                let mut end = prefix[..=last].to_vec();
                end[last] += 1;
                Bound::Excluded(end)
            }
        };
        KeyRange { start: Bound::Included(prefix.to_vec()), end, direction: Direction::Forward }
    }

    /// The same keys, walked from the largest to the smallest.
    pub fn reverse(mut self) -> KeyRange {
        self.direction = Direction::Reverse;
        self
    }

    /// The keys that are in both ranges, in this one's direction.
    pub fn intersect(self, other: KeyRange) -> KeyRange {
        let start = if above(&self.start, &other.start) { self.start } else { other.start };
        let end = if below(&self.end, &other.end) { self.end } else { other.end };
        KeyRange { start, end, direction: self.direction }
    }

    /// Both ends, for a sorted map of the standard library; `None` if they are crossed, so that no key
    /// is in it: such a map panics when it is asked for that.
    pub fn bounds(&self) -> Option<Bounds<'_>> {
        let (start, end) = (self.start.as_ref().map(Vec::as_slice), self.end.as_ref().map(Vec::as_slice));
        let is_crossed = match (start, end) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(start), Bound::Included(end)) => start > end,
            (
                Bound::Included(start) | Bound::Excluded(start),
                Bound::Included(end) | Bound::Excluded(end),
            ) => start >= end,
        };
        (!is_crossed).then_some((start, end))
    }

    /// Whether `key` is in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.is_after_start(key) && self.is_before_end(key)
    }

    /// Whether `key` is not below the range.
    pub fn is_after_start(&self, key: &[u8]) -> bool {
        match &self.start {
            Bound::Included(start) => key >= &start[..],
            Bound::Excluded(start) => key > &start[..],
            Bound::Unbounded => true,
        }
    }

    /// Whether `key` is not above the range.
    pub fn is_before_end(&self, key: &[u8]) -> bool {
        match &self.end {
            Bound::Included(end) => key <= &end[..],
            Bound::Excluded(end) => key < &end[..],
            Bound::Unbounded => true,
        }
    }
}

/// Whether the start `a` lets in no key that `b` keeps out.
fn above(a: &Bound<Vec<u8>>, b: &Bound<Vec<u8>>) -> bool {
    match (a, b) {
        (_, Bound::Unbounded) => true,
        (Bound::Unbounded, _) => false,
        (Bound::Included(a), Bound::Excluded(b)) => a > b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => a >= b,
    }
}

/// Whether the end `a` lets in no key that `b` keeps out.
fn below(a: &Bound<Vec<u8>>, b: &Bound<Vec<u8>>) -> bool {
    match (a, b) {
        (_, Bound::Unbounded) => true,
        (Bound::Unbounded, _) => false,
        (Bound::Included(a), Bound::Excluded(b)) => a < b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => a <= b,
    }
}

#[cfg(test)]
mod tests {
    use super::KeyRange;

    #[test]
    fn prefixes_end_where_the_next_string_begins() {
        let range = KeyRange::prefix(b"a\xff");
        assert!(range.contains(b"a\xff") && range.contains(b"a\xff\xff\xff"));
        assert!(!range.contains(b"b") && !range.contains(b"a\xfe"));
        assert!(KeyRange::prefix(b"\xff\xff").contains(b"\xff\xff\xff"));
        assert!(KeyRange::prefix(b"").contains(b""));
    }

    #[test]
    fn an_intersection_holds_what_both_hold() {
        let keys: [&[u8]; 6] = [b"", b"a", b"b", b"c", b"d", b"e"];
        let ranges = [
            KeyRange::all(),
            KeyRange::of("a".."d"),
            KeyRange::of("b"..="d"),
            KeyRange::of("c"..),
            KeyRange::of(.."c"),
            KeyRange::prefix("c"),
            KeyRange::of::<&str>((std::ops::Bound::Excluded("a"), std::ops::Bound::Unbounded)),
        ];
        for a in &ranges {
            for b in &ranges {
                let both = a.clone().intersect(b.clone());
                for key in keys {
                    assert_eq!(both.contains(key), a.contains(key) && b.contains(key), "{a:?} {b:?}");
                }
            }
        }
    }
}
