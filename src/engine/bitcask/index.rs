//! What every read of a Bitcask needs: the keydir, the segments, and the past that is looked at.
//!
//! Writers and merges change it in small steps, each of which leaves it right for every reader.

use crate::engine::batch::{Op, WriteBatch};
use crate::engine::bitcask::history::{History, Moments, Seen, Was};
use crate::engine::bitcask::keydir::place::Place;
use crate::engine::bitcask::keydir::{Keydir, KeysGuard};
use crate::engine::bitcask::segment::Segment;
use crate::engine::bitcask::view::View;
use crate::engine::filename;
use crate::engine::request::Present;
use crate::engine::value::Value;
use crate::error::{Error, Result};
use crate::sync::ArcSwap;
use std::sync::Arc;

/// Where an op was put.
#[derive(Clone, Copy, Debug)]
pub struct Put {
    /// Its place in the order of all writes.
    pub seqno: u64,
    /// Its record.
    pub place: Place,
}

/// Keydir, view and history of one store; shared by the engine, its snapshots and its cursors.
#[derive(Debug)]
pub struct Index {
    /// Where each key's newest value is.
    pub keydir: Keydir,
    /// The segments.
    pub view: ArcSwap<View>,
    /// What snapshots see instead.
    pub history: History,
}

/// A look that found a place in no segment of the view.
#[derive(Default)]
struct Missed(Option<(Arc<View>, Place)>);

impl Missed {
    /// The place is in a segment that is newer than the view, so by now there is a newer view: segments come
    /// into the view before the keydir points into them. If there is none, the segment is gone: an error, not
    /// an endless search.
    #[cold]
    fn look_again(&mut self, view: &Arc<View>, place: Place) -> Result<()> {
        if self.0.as_ref().is_some_and(|(before, at)| Arc::ptr_eq(before, view) && *at == place) {
            let name = filename::segment(u64::from(place.segment));
            let reason = "the keydir points into this segment, and it is gone; open the store again";
            return Err(Error::corruption(name.as_ref(), u64::from(place.offset), reason));
        }
        self.0 = Some((view.clone(), place));
        Ok(())
    }
}

impl Index {
    /// What recovery found: the keys, the segments, and the newest write.
    pub fn new(keydir: Keydir, segments: Vec<Arc<Segment>>, last_seqno: u64) -> Index {
        let history = History::default();
        history.lock().visible = last_seqno;
        Index { keydir, view: ArcSwap::from_pointee(View::new(segments)), history }
    }

    /// The newest value of `key`.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        self.find(key, |segment, place| segment.read(place, key))
    }

    /// Calls `see` with the place of the newest value of `key`, and its segment.
    #[inline]
    pub fn find<T>(
        &self,
        key: &[u8],
        see: impl FnOnce(&Arc<Segment>, Place) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut missed = Missed::default();
        loop {
            // The view first, the keydir second: see [`View`].
            let view = self.view.load();
            let Some(place) = self.keydir.get(key) else { return Ok(None) };
            if let Some(segment) = view.find(place.segment) {
                return see(segment, place).map(Some);
            }
            missed.look_again(&view, place)?;
        }
    }

    /// The value of `key` at a moment that is held.
    pub fn get_at(&self, moment: u64, key: &[u8]) -> Result<Option<Value>> {
        self.find_at(moment, key, |segment, place| segment.read(place, key))
    }

    /// As [`Index::find`], at a moment that is held.
    pub fn find_at<T>(
        &self,
        moment: u64,
        key: &[u8],
        see: impl FnOnce(&Arc<Segment>, Place) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut missed = Missed::default();
        loop {
            let view = self.view.load();
            // The keydir first, the history second: see [`History`].
            let present = self.keydir.get(key);
            match (self.history.look(moment, key), present) {
                (Seen::Absent, _) | (Seen::Present, None) => return Ok(None),
                (Seen::At(was), _) => return see(&was.segment, was.place).map(Some),
                (Seen::Present, Some(place)) => {
                    if let Some(segment) = view.find(place.segment) {
                        return see(segment, place).map(Some);
                    }
                    missed.look_again(&view, place)?;
                }
            }
        }
    }

    /// Shows a batch whose records are at `puts`: in `active`, or in a segment of the view if the log was
    /// rotated within the group. Readers of its keys wait meanwhile, and see all of it or nothing.
    pub fn apply<'p>(
        &self,
        moments: &Moments,
        batch: &WriteBatch,
        puts: impl Iterator<Item = &'p Put>,
        active: &Segment,
    ) {
        let mut keys = self.keydir.lock_keys(batch.iter().map(|op| op.key()));
        for (op, put) in batch.iter().zip(puts) {
            if u64::from(put.place.segment) == active.number {
                self.apply_in(active, &mut keys, moments, &op, put);
                continue;
            }
            let view = self.view.load();
            let sealed = view.find(put.place.segment).expect("written segments are in the view");
            self.apply_in(sealed, &mut keys, moments, &op, put);
        }
    }

    #[inline]
    fn apply_in(
        &self,
        segment: &Segment,
        keys: &mut KeysGuard<'_>,
        moments: &Moments,
        op: &Op<'_>,
        put: &Put,
    ) {
        let place = put.place;
        self.history.note(moments, op.key(), put.seqno, || Some(self.was(keys.get(op.key())?)));
        let old = match op {
            Op::Set(key, _) => {
                segment.add_live(place.len);
                keys.set(key, place)
            }
            Op::Remove(key) => {
                segment.add_tombstone(place.len);
                keys.remove(key)
            }
        };
        match old {
            None => {}
            Some(old) if u64::from(old.segment) == segment.number => segment.sub_live(old.len),
            Some(old) => self.forget(old),
        }
    }

    /// The place of a key that is locked, with its segment: a merge that takes it out of the view moves the
    /// key first, and so has to wait.
    fn was(&self, place: Place) -> Was {
        let view = self.view.load();
        let segment = view.find(place.segment).expect("a segment that the keydir points into is in the view");
        Was { place, segment: segment.clone() }
    }

    /// The bytes at a place that was replaced are garbage.
    fn forget(&self, old: Place) {
        // If a merge has taken the segment out of the view meanwhile, nobody counts any more.
        if let Some(segment) = self.view.load().find(old.segment) {
            segment.sub_live(old.len);
        }
    }

    /// Segments come into the view.
    pub fn add_segments(&self, segments: &[Arc<Segment>]) {
        self.view.rcu(|view| view.with(segments.iter().cloned()));
    }

    /// Segments go out of the view; who has pinned one goes on reading.
    pub fn remove_segments(&self, numbers: &[u64]) {
        self.view.rcu(|view| view.without(numbers));
    }
}

impl Index {
    /// Whether the keydir is full, and a batch has a key that is not in it. Removals and new values are taken: they
    /// are what helps.
    pub fn has_no_room_for(&self, batch: &WriteBatch) -> bool {
        let is_new = |op: Op<'_>| matches!(op, Op::Set(key, _) if self.keydir.get(key).is_none());
        self.keydir.is_full() && batch.iter().any(is_new)
    }
}

impl Present for Index {
    fn value(&self, key: &[u8]) -> Result<Option<Value>> {
        self.get(key)
    }

    fn has(&self, key: &[u8]) -> Result<bool> {
        Ok(self.keydir.get(key).is_some())
    }
}
