//! Reading in order, at one moment.
//!
//! The keys of a range come from the keydir, a page at a time; where the history knows better, it
//! wins. Each value is then a read at some place of some segment: this is what Bitcask pays for its
//! cheap writes, and what the LSM tree does not.

use crate::engine::bitcask::history::{Looked, Was};
use crate::engine::bitcask::index::Index;
use crate::engine::bitcask::keydir::page::Page;
use crate::engine::bitcask::keydir::place::Place;
use crate::engine::bitcask::segment::Segment;
use crate::engine::range::{Direction, KeyRange};
use crate::engine::value::Value;
use crate::engine::{Cursor, KvsRead};
use crate::error::Result;
use std::ops::Bound;
use std::sync::Arc;

/// Keys of a cursor's first page; later ones are larger, up to [`LARGEST_PAGE`].
const FIRST_PAGE: usize = 64;

/// The most keys that are copied while the keydir's locks are held.
const LARGEST_PAGE: usize = 1024;

/// How many values ahead are brought towards the cache.
const AHEAD: usize = 16;

/// A moment of the store, held.
#[derive(Debug)]
pub struct Past {
    index: Arc<Index>,
    moment: u64,
}

impl Past {
    /// The present, from now on.
    pub fn hold(index: &Arc<Index>) -> Past {
        Past { index: index.clone(), moment: index.history.hold() }
    }

    /// The sequence number of the newest write that is seen.
    pub fn moment(&self) -> u64 {
        self.moment
    }
}

impl Drop for Past {
    fn drop(&mut self) {
        self.index.history.release(self.moment);
    }
}

impl KvsRead for Past {
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        self.index.get_at(self.moment, key)
    }

    fn cursor(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(BitcaskCursor::new(Pinned::Borrowed(self), range)))
    }
}

/// A cursor of a snapshot borrows its moment; one of the engine holds its own.
#[derive(Debug)]
pub enum Pinned<'a> {
    /// The snapshot's.
    Borrowed(&'a Past),
    /// Its own.
    Owned(Past),
}

impl Pinned<'_> {
    fn past(&self) -> &Past {
        match self {
            Pinned::Borrowed(past) => past,
            Pinned::Owned(past) => past,
        }
    }
}

/// Walks over a range, page by page.
#[derive(Debug)]
pub struct BitcaskCursor<'a> {
    pinned: Pinned<'a>,
    range: KeyRange,
    row: Row,
    /// Where in the row it stands; behind its end when it is not valid.
    at: usize,
    page_len: usize,
    value: Option<Value>,
}

/// The pairs of a page as they were at the moment, in the direction of the page.
#[derive(Debug, Default)]
struct Row {
    keys: Vec<u8>,
    items: Vec<Item>,
    direction: Direction,
    /// The last key that the row covers; `None` if it covers the range to its end.
    covers_to: Option<Vec<u8>>,
    /// Items before this one were touched.
    touched: usize,
}

#[derive(Debug)]
struct Item {
    key_end: u32,
    place: Place,
    /// The segment, where the history keeps it; else the view has it.
    was: Option<Was>,
}

impl Row {
    fn key(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.items[before].key_end);
        &self.keys[start as usize..self.items[index].key_end as usize]
    }

    fn push(&mut self, key: &[u8], place: Place, was: Option<Was>) {
        self.keys.extend_from_slice(key);
        self.items.push(Item { key_end: self.keys.len() as u32, place, was });
    }

    /// Merges a page of the keydir with what the history says of the same keys, as far as that was looked at.
    fn merge(page: &Page, looked: Looked, direction: Direction) -> Row {
        let mut row = Row { direction, ..Row::default() };
        let is_before = |a: &[u8], b: &[u8]| if direction == Direction::Forward { a < b } else { a > b };
        let mut notes = looked.differing.into_iter().peekable();
        for index in 0..page.len() {
            let key = page.key(index);
            if looked.cut_at.as_ref().is_some_and(|last| is_before(last, key)) {
                break;
            }
            while let Some((noted, was)) = notes.next_if(|(noted, _)| is_before(noted, key)) {
                row.push_noted(&noted, was);
            }
            match notes.next_if(|(noted, _)| noted == key) {
                Some((_, was)) => row.push_noted(key, was),
                None => row.push(key, page.place(index), None),
            }
        }
        for (noted, was) in notes {
            row.push_noted(&noted, was);
        }
        row
    }

    fn push_noted(&mut self, key: &[u8], was: Option<Was>) {
        if let Some(was) = was {
            self.push(key, was.place, Some(was));
        }
    }
}

impl<'a> BitcaskCursor<'a> {
    /// A cursor over `range`, standing nowhere.
    pub fn new(pinned: Pinned<'a>, range: KeyRange) -> BitcaskCursor<'a> {
        BitcaskCursor { pinned, range, row: Row::default(), at: 0, page_len: FIRST_PAGE, value: None }
    }

    /// Loads the first pairs of `part`, in its direction, and stands on the first.
    fn load(&mut self, mut part: KeyRange) {
        self.value = None;
        self.at = 0;
        loop {
            let past = self.pinned.past();
            // The keydir first, the history second: see [`crate::engine::bitcask::history`].
            let page = past.index.keydir.page(&part, self.page_len);
            let last = (!page.is_last && !page.is_empty()).then(|| page.key(page.len() - 1).to_vec());
            let covered = covered(part.clone(), last.clone());
            let looked = past.index.history.look_in(past.moment, &covered, self.page_len);
            let covers_to = looked.cut_at.clone().or(last);
            self.row = Row::merge(&page, looked, part.direction);
            self.row.covers_to = covers_to;
            self.page_len = (2 * self.page_len).min(LARGEST_PAGE);
            // All keys of the page may be younger than the moment: then the next page.
            match (&self.row.covers_to, self.row.items.is_empty()) {
                (Some(last), true) => part = behind(part, last.clone()),
                _ => return,
            }
        }
    }

    /// Moves one pair on in `direction`.
    fn step(&mut self, direction: Direction) {
        if !self.valid() {
            return;
        }
        self.value = None;
        if self.row.direction != direction {
            if self.at > 0 {
                self.at -= 1;
                return;
            }
            let key = self.row.key(0).to_vec();
            self.page_len = FIRST_PAGE;
            self.load(behind(KeyRange { direction, ..self.range.clone() }, key));
        } else if self.at + 1 < self.row.items.len() {
            self.at += 1;
        } else if let Some(last) = self.row.covers_to.take() {
            self.load(behind(KeyRange { direction, ..self.range.clone() }, last));
        } else {
            self.at = self.row.items.len();
        }
    }

    fn read(&mut self) -> Result<Value> {
        self.touch_ahead();
        self.find(|segment, place, key| segment.read(place, key))
    }

    /// Calls `see` with the place of the value that it stands on, its segment and its key. Panics if
    /// the cursor is not valid.
    pub fn find<T>(&self, see: impl FnOnce(&Arc<Segment>, Place, &[u8]) -> Result<T>) -> Result<T> {
        let (item, key) = (&self.row.items[self.at], self.row.key(self.at));
        let past = self.pinned.past();
        if let Some(was) = &item.was {
            return see(&was.segment, was.place, key);
        }
        if let Some(segment) = past.index.view.load().find(item.place.segment) {
            return see(segment, item.place, key);
        }
        // A merge has moved it since the page was made.
        let moved = past.index.find_at(past.moment, key, |segment, place| see(segment, place, key))?;
        Ok(moved.expect("a key that was there at this moment is there at this moment"))
    }

    /// The next values lie at places that have nothing to do with each other. Asking for all of them
    /// at once lets the processor wait for many cache misses together.
    fn touch_ahead(&mut self) {
        if self.at < self.row.touched {
            return;
        }
        let view = self.pinned.past().index.view.load();
        let end = (self.at + AHEAD).min(self.row.items.len());
        let mut sum = 0u8;
        for item in &self.row.items[self.at..end] {
            if let Some(segment) = view.find(item.place.segment) {
                sum ^= segment.touch(item.place);
            }
        }
        std::hint::black_box(sum);
        self.row.touched = end;
    }
}

/// `part` up to and with `last`, in its direction.
fn covered(part: KeyRange, last: Option<Vec<u8>>) -> KeyRange {
    match (last, part.direction) {
        (None, _) => part,
        (Some(last), Direction::Forward) => KeyRange { end: Bound::Included(last), ..part },
        (Some(last), Direction::Reverse) => KeyRange { start: Bound::Included(last), ..part },
    }
}

/// What of `part` comes behind `key`, in its direction.
fn behind(part: KeyRange, key: Vec<u8>) -> KeyRange {
    match part.direction {
        Direction::Forward => KeyRange { start: Bound::Excluded(key), ..part },
        Direction::Reverse => KeyRange { end: Bound::Excluded(key), ..part },
    }
}

impl Cursor for BitcaskCursor<'_> {
    fn seek_to_first(&mut self) -> Result<()> {
        self.page_len = FIRST_PAGE;
        self.load(KeyRange { direction: Direction::Forward, ..self.range.clone() });
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.page_len = FIRST_PAGE;
        self.load(KeyRange { direction: Direction::Reverse, ..self.range.clone() });
        Ok(())
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.page_len = FIRST_PAGE;
        let part = KeyRange { direction: Direction::Forward, ..self.range.clone() };
        self.load(KeyRange::of::<&[u8]>(key..).intersect(part));
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        self.step(Direction::Forward);
        Ok(())
    }

    fn prev(&mut self) -> Result<()> {
        self.step(Direction::Reverse);
        Ok(())
    }

    fn valid(&self) -> bool {
        self.at < self.row.items.len()
    }

    fn key(&self) -> &[u8] {
        assert!(self.valid(), "the caller checks that the cursor is valid");
        self.row.key(self.at)
    }

    fn value(&mut self) -> Result<&[u8]> {
        assert!(self.valid(), "the caller checks that the cursor is valid");
        if self.value.is_none() {
            self.value = Some(self.read()?);
        }
        Ok(self.value.as_deref().unwrap_or_default())
    }
}
