//! Which segments hold garbage of certain keys.
//!
//! Segments are ordered by time, and nothing says which keys are in one. So a compaction of a range
//! has to look: it reads each sealed segment that holds any garbage at all, and chooses those in which
//! a dead value or a tombstone has a key in the range.

use crate::engine::batch::Op;
use crate::engine::bitcask::index::Index;
use crate::engine::bitcask::replay::replay;
use crate::engine::bitcask::segment::{Segment, Shelf};
use crate::engine::range::KeyRange;
use crate::error::Result;
use crate::record::frame::HEADER_LEN;
use crate::vfs::Cause;
use std::collections::BTreeSet;

/// The segments that a compaction may touch.
#[derive(Debug, Default)]
pub struct Choice {
    /// `None`: all of them.
    among: Option<BTreeSet<u64>>,
    /// But for these.
    left: BTreeSet<u64>,
}

impl Choice {
    /// All segments.
    pub fn all() -> Choice {
        Choice::default()
    }

    /// The segments that hold garbage of keys in `range`, of those that hold no write after `upto` and
    /// are not in `damaged`, where a segment is put in which this meets damage.
    pub fn of(
        shelf: &Shelf,
        index: &Index,
        range: &KeyRange,
        upto: u64,
        damaged: &mut BTreeSet<u64>,
    ) -> Result<Choice> {
        let mut chosen = BTreeSet::new();
        let is_old = |segment: &Segment| segment.sealed().is_some_and(|sealed| sealed.last_seqno <= upto);
        for segment in index.view.load().by_age().iter().filter(|segment| is_old(segment)) {
            let is_clean = segment.live_bytes() >= segment.len() - HEADER_LEN;
            if is_clean || damaged.contains(&segment.number) {
                continue;
            }
            let has_garbage = has_garbage(shelf, index, range, segment).inspect_err(|error| {
                if error.is_corruption() {
                    damaged.insert(segment.number);
                }
            })?;
            if has_garbage {
                chosen.insert(segment.number);
            }
        }
        Ok(Choice { among: Some(chosen), ..Choice::default() })
    }

    /// Whether the segment of this number is chosen.
    pub fn has(&self, number: u64) -> bool {
        self.among.as_ref().is_none_or(|among| among.contains(&number)) && !self.left.contains(&number)
    }

    /// Leaves these alone: what was just written.
    pub fn leave(&mut self, written: Vec<u64>) {
        self.left.extend(written);
    }
}

fn has_garbage(shelf: &Shelf, index: &Index, range: &KeyRange, segment: &Segment) -> Result<bool> {
    let mut found = false;
    replay(shelf, segment, Cause::Merge, |entry, place| {
        found |= match entry.op {
            Op::Set(key, _) => range.contains(key) && index.keydir.get(key) != Some(place),
            Op::Remove(key) => range.contains(key),
        };
        Ok(())
    })?;
    Ok(found)
}
