//! What every read of a Bitcask needs: the keydir, the segments, and the past that is looked at.
//!
//! Writers and merges change it in small steps, each of which leaves it right for every reader.

use crate::engine::batch::Op;
use crate::engine::bitcask::history::{History, Moments, Seen, Was};
use crate::engine::bitcask::keydir::{Keydir, Place};
use crate::engine::bitcask::segment::Segment;
use crate::engine::bitcask::view::View;
use crate::engine::request::Present;
use crate::engine::value::Value;
use crate::error::Result;
use crate::sync::ArcSwap;
use std::sync::Arc;

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
        self.find(key, |segment, place| segment.read(place, key)).transpose()
    }

    /// Calls `see` with the place of the newest value of `key`, and its segment.
    #[inline]
    pub fn find<T>(&self, key: &[u8], see: impl FnOnce(&Arc<Segment>, Place) -> T) -> Option<T> {
        loop {
            // The view first, the keydir second: see [`View`].
            let view = self.view.load();
            let place = self.keydir.get(key)?;
            if let Some(segment) = view.find(place.segment) {
                return Some(see(segment, place));
            }
            // The place is in a segment that is newer than the view, so by now there is a newer view:
            // segments come into the view before the keydir points into them.
        }
    }

    /// The value of `key` at a moment that is held.
    pub fn get_at(&self, moment: u64, key: &[u8]) -> Result<Option<Value>> {
        self.find_at(moment, key, |segment, place| segment.read(place, key)).transpose()
    }

    /// As [`Index::find`], at a moment that is held.
    pub fn find_at<T>(
        &self,
        moment: u64,
        key: &[u8],
        see: impl FnOnce(&Arc<Segment>, Place) -> T,
    ) -> Option<T> {
        loop {
            let view = self.view.load();
            // The keydir first, the history second: see [`History`].
            let present = self.keydir.get(key);
            match (self.history.look(moment, key), present) {
                (Seen::Absent, _) | (Seen::Present, None) => return None,
                (Seen::At(was), _) => return Some(see(&was.segment, was.place)),
                (Seen::Present, Some(place)) => {
                    if let Some(segment) = view.find(place.segment) {
                        return Some(see(segment, place));
                    }
                }
            }
        }
    }

    /// Shows the write `seqno`, whose record is at `place`: in `active`, or in a segment of the view if
    /// the log was rotated within the group.
    #[inline]
    pub fn apply(&self, moments: &Moments, op: &Op<'_>, seqno: u64, place: Place, active: &Segment) {
        if u64::from(place.segment) == active.number {
            return self.apply_in(active, moments, op, seqno, place);
        }
        let view = self.view.load();
        let sealed = view.find(place.segment).expect("written segments are in the view");
        self.apply_in(sealed, moments, op, seqno, place);
    }

    #[inline]
    fn apply_in(&self, segment: &Segment, moments: &Moments, op: &Op<'_>, seqno: u64, place: Place) {
        self.note(moments, op.key(), seqno);
        let old = match op {
            Op::Set(key, _) => {
                segment.add_live(place.len);
                self.keydir.set(key, place)
            }
            Op::Remove(key) => {
                segment.add_tombstone(place.len);
                self.keydir.remove(key)
            }
        };
        match old {
            None => {}
            Some(old) if u64::from(old.segment) == segment.number => segment.sub_live(old.len),
            Some(old) => self.forget(old),
        }
    }

    /// Keeps for snapshots what the key was. Before the keydir changes: see [`History`].
    #[inline]
    fn note(&self, moments: &Moments, key: &[u8], seqno: u64) {
        self.history.note(moments, key, seqno, || {
            loop {
                let place = self.keydir.get(key)?;
                // As in `get`: what is not in this view is in a newer one.
                if let Some(segment) = self.view.load().find(place.segment) {
                    return Some(Was { place, segment: segment.clone() });
                }
            }
        });
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

impl Present for Index {
    fn value(&self, key: &[u8]) -> Result<Option<Value>> {
        self.get(key)
    }

    fn has(&self, key: &[u8]) -> Result<bool> {
        Ok(self.keydir.get(key).is_some())
    }
}
