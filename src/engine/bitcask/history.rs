//! What snapshots see that is not the present: for keys that were written since, where their values
//! were.
//!
//! The keydir knows only the newest place of a key. While nobody holds a snapshot, nothing else is
//! kept. While somebody does, a writer first notes here what the key was, and then changes the
//! keydir; so a snapshot costs nothing to take, and one note for each key that is written beside it.
//!
//! Invariants:
//!
//! 1. A note `(key, until, was)` says: before the write with sequence number `until`, and since the
//!    note before it or the oldest snapshot, the key was at `was`.
//! 2. A note stands before the keydir shows the write that made it necessary. So who looks into the
//!    keydir first, and here second, misses none.
//! 3. A noted place holds its segment, so that a merge can not take it away.

use crate::engine::bitcask::keydir::place::Place;
use crate::engine::bitcask::segment::Segment;
use crate::engine::range::{Direction, KeyRange};
use crate::sync::{Mutex, MutexGuard, RwLock};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a value was, with its segment kept.
#[derive(Clone, Debug)]
pub struct Was {
    /// The place.
    pub place: Place,
    /// The segment of that place.
    pub segment: Arc<Segment>,
}

/// What a snapshot must know beside the keydir.
#[derive(Clone, Debug)]
pub enum Seen {
    /// The key has not been written since: the keydir is right.
    Present,
    /// The key was not there.
    Absent,
    /// The value was here.
    At(Was),
}

/// The past that somebody still looks at.
#[derive(Debug, Default)]
pub struct History {
    moments: Mutex<Moments>,
    notes: RwLock<Notes>,
}

/// Which moments are looked at. Writers hold this while they change the keydir, so that a snapshot
/// stands between writes, never within one.
#[derive(Debug, Default)]
pub struct Moments {
    /// The sequence number of the newest write that the keydir shows.
    pub visible: u64,
    /// How many look at each moment.
    held: BTreeMap<u64, usize>,
}

#[derive(Debug, Default)]
struct Notes {
    by_key: BTreeMap<Vec<u8>, Vec<Note>>,
    count: usize,
    /// Notes are looked through when there are this many.
    prune_at: usize,
}

#[derive(Debug)]
struct Note {
    until: u64,
    was: Option<Was>,
}

/// The fewest notes that are worth looking through.
const PRUNE_AT: usize = 1024;

impl History {
    /// For a writer, while it changes the keydir.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, Moments> {
        self.moments.lock()
    }

    /// Begins to look at the present; [`History::release`] ends it.
    pub fn hold(&self) -> u64 {
        let mut moments = self.moments.lock();
        let now = moments.visible;
        *moments.held.entry(now).or_default() += 1;
        now
    }

    /// Ends a look at `moment`. Notes that nobody needs any more go: all of them with the last
    /// snapshot, else now and then.
    pub fn release(&self, moment: u64) {
        let mut moments = self.moments.lock();
        if let Some(count) = moments.held.get_mut(&moment) {
            *count -= 1;
            if *count == 0 {
                moments.held.remove(&moment);
            }
        }
        // The notes' segments may be the last of their kind: their files go without a lock held.
        let old = moments.held.is_empty().then(|| std::mem::take(&mut *self.notes.write()));
        drop(moments);
        drop(old);
    }

    /// How many looks are held.
    pub fn held(&self) -> u64 {
        self.moments.lock().held.values().map(|&count| count as u64).sum()
    }

    /// Notes what `key` was, before the write `until` changes the keydir; only if a moment is looked
    /// at that has no note yet.
    pub fn note(&self, moments: &Moments, key: &[u8], until: u64, was: impl FnOnce() -> Option<Was>) {
        let Some((&newest, _)) = moments.held.last_key_value() else { return };
        let mut notes = self.notes.write();
        let notes = &mut *notes;
        if let Some(of_key) = notes.by_key.get_mut(key) {
            if of_key.last().is_some_and(|note| note.until > newest) {
                return;
            }
            of_key.push(Note { until, was: was() });
        } else {
            notes.by_key.insert(key.to_vec(), vec![Note { until, was: was() }]);
        }
        notes.count += 1;
        if notes.count > notes.prune_at.max(PRUNE_AT) {
            notes.prune(&moments.held);
        }
    }

    /// What the snapshot of `moment` sees of `key`. Ask after the keydir, not before.
    pub fn look(&self, moment: u64, key: &[u8]) -> Seen {
        let notes = self.notes.read();
        notes.by_key.get(key).map_or(Seen::Present, |of_key| seen(of_key, moment))
    }

    /// What the snapshot of `moment` sees of the first keys in `range`, in its direction, but for those where the
    /// keydir is right. Looks at `limit` keys at most, for writers wait meanwhile; if there are more, also says which
    /// was the last.
    pub fn look_in(&self, moment: u64, range: &KeyRange, limit: usize) -> Looked {
        let notes = self.notes.read();
        let mut looked = Looked::default();
        let Some(bounds) = range.bounds().filter(|_| !notes.by_key.is_empty()) else { return looked };
        let mut in_range = notes.by_key.range::<[u8], _>(bounds);
        let mut next = || match range.direction {
            Direction::Forward => in_range.next(),
            Direction::Reverse => in_range.next_back(),
        };
        let mut last = None;
        for _ in 0..limit {
            let Some((key, of_key)) = next() else { return looked };
            match seen(of_key, moment) {
                Seen::Present => {}
                Seen::Absent => looked.differing.push((key.clone(), None)),
                Seen::At(was) => looked.differing.push((key.clone(), Some(was))),
            }
            last = Some(key);
        }
        looked.cut_at = last.filter(|_| next().is_some()).cloned();
        looked
    }
}

/// What a snapshot sees of some keys.
#[derive(Debug, Default)]
pub struct Looked {
    /// The keys for which the keydir is not right: where each was, if it was there.
    pub differing: Vec<(Vec<u8>, Option<Was>)>,
    /// The last key that was looked at; `None` if that was all of the range.
    pub cut_at: Option<Vec<u8>>,
}

/// The first write behind the moment tells what the key was before it.
fn seen(of_key: &[Note], moment: u64) -> Seen {
    let first = of_key.partition_point(|note| note.until <= moment);
    match of_key.get(first).map(|note| &note.was) {
        None => Seen::Present,
        Some(None) => Seen::Absent,
        Some(Some(was)) => Seen::At(was.clone()),
    }
}

impl Notes {
    /// Leaves the notes that some held moment needs: the first behind it, for each key.
    fn prune(&mut self, held: &BTreeMap<u64, usize>) {
        self.by_key.retain(|_, of_key| {
            let mut since = 0;
            of_key.retain(|note| {
                let needed = held.range(since..note.until).next().is_some();
                since = note.until;
                needed
            });
            !of_key.is_empty()
        });
        self.count = self.by_key.values().map(Vec::len).sum();
        self.prune_at = 2 * self.count;
    }
}
