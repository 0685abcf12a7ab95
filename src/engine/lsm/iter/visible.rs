//! From entries to pairs: what a reader at one moment sees of them.
//!
//! Of all entries of a user key it sees the newest that is not younger than its moment; if that is a
//! tombstone, nothing.

use crate::engine::Cursor;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::iter::EntryCursor;
use crate::engine::lsm::key::{Kind, encode, seek_trailer, seqno, split, user_key};
use crate::engine::range::KeyRange;
use crate::error::Result;
use std::cmp::Ordering;
use std::ops::Bound;

/// After so many entries of one key in a row, a seek passes over the rest of them.
const SEEK_AFTER: u32 = 16;

/// The trailer behind all entries of a user key.
const BEHIND: u64 = 0;

/// The trailer before all of them.
const BEFORE: u64 = u64::MAX;

/// Where the cursor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Nowhere,
    /// The entries stand on the pair.
    On,
    /// The entries stand before all those of the pair's key: the pair is in `key` and `value`.
    Behind,
}

/// The pairs of a range that a reader at one moment sees, in the order of the store.
#[derive(Debug)]
pub struct Visible<E> {
    entries: E,
    order: Order,
    /// The reader's moment: a sequence number.
    at: u64,
    range: KeyRange,
    stand: Stand,
    /// Moving forward: the key whose other entries are passed over. Standing behind: the pair.
    key: Vec<u8>,
    value: Vec<u8>,
    target: Vec<u8>,
    /// Entries that were passed over.
    hidden: u64,
}

impl<E: EntryCursor> Visible<E> {
    /// What the moment `at` sees of `entries` in `range`.
    pub fn new(entries: E, order: Order, at: u64, range: KeyRange) -> Visible<E> {
        Visible {
            entries,
            order,
            at,
            range,
            stand: Stand::Nowhere,
            key: Vec::new(),
            value: Vec::new(),
            target: Vec::new(),
            hidden: 0,
        }
    }

    /// The entries below.
    pub fn entries(&self) -> &E {
        &self.entries
    }

    /// Entries that were passed over so far: removed, overwritten, or too young.
    pub fn hidden(&self) -> u64 {
        self.hidden
    }

    fn seek_entries(&mut self, key: &[u8], trailer: u64) -> Result<()> {
        self.stand = Stand::Nowhere;
        self.target.clear();
        encode(&mut self.target, key, trailer);
        self.entries.seek(&self.target)
    }

    fn is_before_end(&self, key: &[u8]) -> bool {
        match &self.range.end {
            Bound::Unbounded => true,
            Bound::Included(end) => self.order.compare(key, end) != Ordering::Greater,
            Bound::Excluded(end) => self.order.compare(key, end) == Ordering::Less,
        }
    }

    fn is_after_start(&self, key: &[u8]) -> bool {
        match &self.range.start {
            Bound::Unbounded => true,
            Bound::Included(start) => self.order.compare(key, start) != Ordering::Less,
            Bound::Excluded(start) => self.order.compare(key, start) == Ordering::Greater,
        }
    }

    /// Moves on to the first pair at or behind the entries' position, but none of the key `self.key` if
    /// `passing`.
    fn find_forward(&mut self, mut passing: bool) -> Result<()> {
        self.stand = Stand::Nowhere;
        let mut in_a_row = 0;
        while self.entries.valid() {
            let (key, trailer) = split(self.entries.key());
            let is_passed = passing && self.order.is_same(key, &self.key);
            // The end is looked for in entries that are too young as well: behind it may stand millions.
            if !is_passed && !self.is_before_end(key) {
                return Ok(());
            }
            if !is_passed && seqno(trailer) <= self.at {
                if Kind::of(trailer) == Some(Kind::Set) {
                    self.stand = Stand::On;
                    return Ok(());
                }
                self.key.clear();
                self.key.extend_from_slice(key);
                passing = true;
                in_a_row = 0;
            }
            self.hidden += 1;
            in_a_row += 1;
            if in_a_row < SEEK_AFTER {
                self.entries.next()?;
            } else {
                in_a_row = 0;
                self.pass(is_passed)?;
            }
        }
        Ok(())
    }

    /// Passes over many entries at once: the rest of a passed key, or those that are too young.
    #[cold]
    fn pass(&mut self, is_passed: bool) -> Result<()> {
        let (key, trailer) = split(self.entries.key());
        self.target.clear();
        if is_passed {
            encode(&mut self.target, key, BEHIND);
        } else if seqno(trailer) > self.at {
            encode(&mut self.target, key, seek_trailer(self.at));
        } else {
            return self.entries.next();
        }
        self.entries.seek(&self.target)
    }

    /// Moves back to the first pair before the entries' position. The entries of a key come oldest
    /// first now: the last one that is visible counts.
    fn find_reverse(&mut self) -> Result<()> {
        self.stand = Stand::Nowhere;
        // How many entries of `self.key` were seen, and whether the last visible one is a value.
        let (mut in_a_row, mut found) = (0, false);
        while self.entries.valid() {
            let (key, trailer) = split(self.entries.key());
            if in_a_row > 0 && !self.order.is_same(key, &self.key) {
                if found {
                    break;
                }
                in_a_row = 0;
            }
            if in_a_row == 0 {
                if !self.is_after_start(key) {
                    return Ok(());
                }
                self.key.clear();
                self.key.extend_from_slice(key);
            }
            in_a_row += 1;
            if in_a_row > SEEK_AFTER {
                found = self.find_newest()?;
                continue;
            }
            if seqno(trailer) <= self.at {
                self.hidden += u64::from(found);
                found = self.take_pair();
            }
            self.entries.prev()?;
        }
        if found {
            self.stand = Stand::Behind;
        }
        Ok(())
    }

    /// Goes straight to the newest visible entry of `self.key`, and then in front of all entries of that key. Says
    /// whether the entry is a value.
    #[cold]
    fn find_newest(&mut self) -> Result<bool> {
        self.target.clear();
        encode(&mut self.target, &self.key, seek_trailer(self.at));
        self.entries.seek(&self.target)?;
        let is_of_the_key =
            self.entries.valid() && self.order.is_same(user_key(self.entries.key()), &self.key);
        let found = is_of_the_key && self.take_pair();
        self.target.clear();
        encode(&mut self.target, &self.key, BEFORE);
        self.entries.seek(&self.target)?;
        match self.entries.valid() {
            true => self.entries.prev()?,
            false => self.entries.seek_to_last()?,
        }
        Ok(found)
    }

    /// Keeps what the entries stand on, if it is a value.
    fn take_pair(&mut self) -> bool {
        let (key, trailer) = split(self.entries.key());
        if Kind::of(trailer) != Some(Kind::Set) {
            return false;
        }
        self.key.clear();
        self.key.extend_from_slice(key);
        self.value.clear();
        self.value.extend_from_slice(self.entries.value());
        true
    }

    /// Moves back from the entries' position, which is behind where to look; from the last entry if
    /// that is behind all.
    fn step_back(&mut self) -> Result<()> {
        match self.entries.valid() {
            true => self.entries.prev()?,
            false => self.entries.seek_to_last()?,
        }
        self.find_reverse()
    }
}

impl<E: EntryCursor> Cursor for Visible<E> {
    fn seek_to_first(&mut self) -> Result<()> {
        match self.range.start.clone() {
            Bound::Unbounded => {
                self.stand = Stand::Nowhere;
                self.entries.seek_to_first()?;
            }
            Bound::Included(start) => self.seek_entries(&start, seek_trailer(self.at))?,
            Bound::Excluded(start) => self.seek_entries(&start, BEHIND)?,
        }
        self.find_forward(false)
    }

    fn seek_to_last(&mut self) -> Result<()> {
        match self.range.end.clone() {
            Bound::Unbounded => {
                self.stand = Stand::Nowhere;
                self.entries.seek_to_last()?;
                self.find_reverse()
            }
            Bound::Included(end) => {
                self.seek_entries(&end, BEHIND)?;
                self.step_back()
            }
            Bound::Excluded(end) => {
                self.seek_entries(&end, BEFORE)?;
                self.step_back()
            }
        }
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        if !self.is_after_start(key) {
            return self.seek_to_first();
        }
        self.seek_entries(key, seek_trailer(self.at))?;
        self.find_forward(false)
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        match self.stand {
            Stand::Nowhere => return Ok(()),
            Stand::On => {
                self.key.clear();
                self.key.extend_from_slice(user_key(self.entries.key()));
                self.stand = Stand::Nowhere;
                self.entries.next()?;
            }
            Stand::Behind => {
                let key = std::mem::take(&mut self.key);
                let sought = self.seek_entries(&key, BEHIND);
                self.key = key;
                sought?;
            }
        }
        self.find_forward(true)
    }

    fn prev(&mut self) -> Result<()> {
        match self.stand {
            Stand::Nowhere => Ok(()),
            Stand::On => {
                self.target.clear();
                encode(&mut self.target, user_key(self.entries.key()), BEFORE);
                self.stand = Stand::Nowhere;
                self.entries.seek(&self.target)?;
                self.step_back()
            }
            Stand::Behind => self.find_reverse(),
        }
    }

    #[inline]
    fn valid(&self) -> bool {
        self.stand != Stand::Nowhere
    }

    #[inline]
    fn key(&self) -> &[u8] {
        match self.stand {
            Stand::Behind => &self.key,
            _ => user_key(self.entries.key()),
        }
    }

    #[inline]
    fn value(&mut self) -> Result<&[u8]> {
        Ok(match self.stand {
            Stand::Behind => &self.value,
            _ => self.entries.value(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{SEEK_AFTER, Visible};
    use crate::engine::Cursor;
    use crate::engine::lsm::comparator::Order;
    use crate::engine::lsm::iter::EntryCursor;
    use crate::engine::lsm::iter::merge::Merge;
    use crate::engine::lsm::iter::merge::tests::{Dice, Listed, spread};
    use crate::engine::lsm::key::{Kind, internal, seqno, split, trailer};
    use crate::engine::range::KeyRange;
    use crate::error::Result;
    use std::ops::Bound;

    /// What a reader at `at` sees, by looking at everything.
    fn model(all: &Listed, at: u64, range: &KeyRange, order: &Order) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut last: Option<&[u8]> = None;
        for (key, value) in &all.entries {
            let (user, trailer) = split(key);
            if seqno(trailer) > at || last == Some(user) {
                continue;
            }
            last = Some(user);
            let after = match &range.start {
                Bound::Included(start) => order.compare(user, start).is_ge(),
                Bound::Excluded(start) => order.compare(user, start).is_gt(),
                Bound::Unbounded => true,
            };
            let before = match &range.end {
                Bound::Included(end) => order.compare(user, end).is_le(),
                Bound::Excluded(end) => order.compare(user, end).is_lt(),
                Bound::Unbounded => true,
            };
            if after && before && Kind::of(trailer) == Some(Kind::Set) {
                pairs.push((user.to_vec(), value.clone()));
            }
        }
        pairs
    }

    fn bound(dice: &mut Dice) -> Bound<Vec<u8>> {
        let key = vec![b'a' + dice.below(4) as u8; dice.below(4) as usize];
        match dice.below(3) {
            0 => Bound::Included(key),
            1 => Bound::Excluded(key),
            _ => Bound::Unbounded,
        }
    }

    #[test]
    fn a_reader_sees_the_newest_that_is_not_too_young() {
        for seed in 0..3000 {
            let mut dice = Dice(seed);
            let order = if seed % 3 == 0 { Order::Reverse } else { Order::Bytewise };
            let (sources, all) = spread(&mut dice, &order);
            let at = dice.below(70);
            let range = KeyRange { start: bound(&mut dice), end: bound(&mut dice), ..KeyRange::all() };
            let pairs = model(&all, at, &range, &order);
            let mut cursor =
                Visible::new(Merge::new(order.clone(), sources), order.clone(), at, range.clone());
            let mut stand: Option<usize> = None;
            for step in 0..60 {
                match dice.below(9) {
                    0 => {
                        cursor.seek_to_first().unwrap();
                        stand = (!pairs.is_empty()).then_some(0);
                    }
                    1 => {
                        cursor.seek_to_last().unwrap();
                        stand = pairs.len().checked_sub(1);
                    }
                    2 => {
                        let key = vec![b'a' + dice.below(4) as u8; dice.below(4) as usize];
                        cursor.seek(&key).unwrap();
                        stand = pairs.iter().position(|(pair, _)| order.compare(pair, &key).is_ge());
                    }
                    n if n % 2 == 0 => {
                        cursor.next().unwrap();
                        stand = stand.map(|at| at + 1).filter(|at| *at < pairs.len());
                    }
                    _ => {
                        cursor.prev().unwrap();
                        stand = stand.and_then(|at| at.checked_sub(1));
                    }
                }
                assert_eq!(cursor.valid(), stand.is_some(), "seed {seed}, step {step}");
                if let Some(at) = stand {
                    assert_eq!((cursor.key(), cursor.valid()), (&pairs[at].0[..], true), "seed {seed}");
                    assert_eq!(cursor.value().unwrap(), pairs[at].1, "seed {seed}, step {step}");
                }
            }
        }
    }

    /// Counts the steps that are made.
    #[derive(Default)]
    struct Steps {
        inner: Listed,
        next: u32,
        prev: u32,
        seek: u32,
    }

    impl EntryCursor for Steps {
        fn seek_to_first(&mut self) -> Result<()> {
            self.inner.seek_to_first()
        }

        fn seek_to_last(&mut self) -> Result<()> {
            self.inner.seek_to_last()
        }

        fn seek(&mut self, target: &[u8]) -> Result<()> {
            self.seek += 1;
            self.inner.seek(target)
        }

        fn next(&mut self) -> Result<()> {
            self.next += 1;
            self.inner.next()
        }

        fn prev(&mut self) -> Result<()> {
            self.prev += 1;
            self.inner.prev()
        }

        fn valid(&self) -> bool {
            self.inner.valid()
        }

        fn key(&self) -> &[u8] {
            self.inner.key()
        }

        fn value(&self) -> &[u8] {
            self.inner.value()
        }
    }

    /// A key with a hundred versions, and one behind it.
    fn many_versions(at: u64) -> Visible<Steps> {
        let entry = |key: &[u8], seqno| (internal(key, trailer(seqno, Kind::Set)), b"value".to_vec());
        let mut entries: Vec<_> = (101..=200).rev().map(|seqno| entry(b"a", seqno)).collect();
        entries.push(entry(b"b", 1));
        let inner = Listed { entries, ..Listed::default() };
        Visible::new(Steps { inner, ..Steps::default() }, Order::Bytewise, at, KeyRange::all())
    }

    #[test]
    fn many_entries_of_a_key_are_passed_at_once() {
        let mut cursor = many_versions(500);
        cursor.seek_to_first().unwrap();
        cursor.next().unwrap();
        assert_eq!(cursor.key(), b"b");
        let Steps { next, seek, .. } = *cursor.entries();
        assert_eq!((next, seek, cursor.hidden()), (SEEK_AFTER, 1, u64::from(SEEK_AFTER)), "the older ones");
        let mut cursor = many_versions(100);
        cursor.seek_to_first().unwrap();
        assert_eq!(cursor.key(), b"b");
        let Steps { next, seek, .. } = *cursor.entries();
        assert_eq!((next, seek), (SEEK_AFTER - 1, 1), "those that are too young");
    }

    #[test]
    fn going_back_counts_the_versions_that_are_not_shown() {
        let mut cursor = many_versions(110);
        cursor.seek_to_last().unwrap();
        cursor.prev().unwrap();
        assert_eq!((cursor.key(), cursor.hidden()), (&b"a"[..], 9), "101 to 109");
    }

    // Going back visited every version of a key, and copied the value of each: a key that was set and looked at from
    // behind, over and over, cost the square of that.
    #[test]
    fn many_versions_of_a_key_are_passed_at_once_going_back() {
        for (at, shown) in [(500, Some(b'a')), (120, Some(b'a')), (100, None)] {
            let mut cursor = many_versions(at);
            cursor.seek_to_last().unwrap();
            assert_eq!(cursor.key(), b"b");
            cursor.prev().unwrap();
            let Steps { prev, seek, .. } = *cursor.entries();
            assert!(prev <= SEEK_AFTER + 2 && seek == 2, "{prev} steps, {seek} seeks");
            assert_eq!(cursor.valid().then(|| cursor.key()[0]), shown);
            cursor.prev().unwrap();
            assert!(!cursor.valid());
        }
    }

    // A short range of an old moment: all that was written since stands behind its end, and was walked through.
    #[test]
    fn a_range_ends_where_it_ends_for_those_who_look_back_too() {
        let entry = |key: &[u8], seqno| (internal(key, trailer(seqno, Kind::Set)), b"value".to_vec());
        let young = (0..1000u32).map(|i| entry(&[&b"b"[..], &i.to_be_bytes()].concat(), 500));
        let entries = std::iter::once(entry(b"a", 1)).chain(young).collect();
        let inner = Listed { entries, ..Listed::default() };
        let range = KeyRange::of(b"a".to_vec()..b"b".to_vec());
        let mut cursor = Visible::new(Steps { inner, ..Steps::default() }, Order::Bytewise, 100, range);
        cursor.seek_to_first().unwrap();
        assert_eq!(cursor.key(), b"a");
        cursor.next().unwrap();
        assert!(!cursor.valid());
        assert_eq!((cursor.entries().next, cursor.hidden()), (1, 0));
    }
}
