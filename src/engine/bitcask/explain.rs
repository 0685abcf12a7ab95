//! Explaining a read: which places it looks at, and what each costs.
//!
//! There are two: the keydir, in memory, and the record that it points to. A scan is the same for each
//! of its keys, in the order of the keys, so that it jumps between the segments.

use crate::engine::Cursor;
use crate::engine::bitcask::cursor::{BitcaskCursor, Past, Pinned};
use crate::engine::bitcask::index::Index;
use crate::engine::bitcask::keydir::place::Place;
use crate::engine::bitcask::segment::Segment;
use crate::engine::explain::{Explanation, Found, Step};
use crate::engine::filename;
use crate::engine::range::{Direction, KeyRange};
use crate::error::Result;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a get of `key` finds its answer.
pub(super) fn get(index: &Index, key: &[u8]) -> Result<Explanation> {
    // With the moment held in place no writer comes in between; a merge may, and the segment stays.
    let moments = index.history.lock();
    let visible_seqno = moments.visible;
    let at = index.find(key, |segment, place| Ok((segment.clone(), place)))?;
    drop(moments);
    let outcome = match &at {
        Some((segment, place)) => {
            let Place { offset, len, .. } = place;
            format!("{len} bytes at {offset} of {}", filename::segment(segment.number))
        }
        None => "not there".into(),
    };
    let mut steps = vec![of_keydir(outcome)];
    let mut found = None;
    if let Some((segment, place)) = at {
        let mut reads = Reads::default();
        found = Some(reads.read(&segment, place, key)?);
        steps.push(reads.step(segment.number, "set"));
    }
    let pairs = found.is_some().into();
    Ok(Explanation { visible_seqno, steps, found, pairs, ..Explanation::default() })
}

/// How a scan of `range` finds up to `limit` pairs: one step for each segment, oldest number first.
pub(super) fn scan(index: &Arc<Index>, range: KeyRange, limit: u64) -> Result<Explanation> {
    let past = Past::hold(index);
    let visible_seqno = past.moment();
    let direction = range.direction;
    let mut cursor = BitcaskCursor::new(Pinned::Owned(past), range);
    let mut reads: BTreeMap<u64, Reads> = BTreeMap::new();
    let (mut found, mut pairs) = (None, 0);
    while pairs < limit {
        match (pairs, direction) {
            (0, Direction::Forward) => cursor.seek_to_first()?,
            (0, Direction::Reverse) => cursor.seek_to_last()?,
            (_, Direction::Forward) => cursor.next()?,
            (_, Direction::Reverse) => cursor.prev()?,
        }
        if !cursor.valid() {
            break;
        }
        found = Some(cursor.find(|segment, place, key| {
            reads.entry(segment.number).or_default().read(segment, place, key)
        })?);
        pairs += 1;
    }
    let mut steps = vec![of_keydir(format!("{pairs} keys in order"))];
    for (number, reads) in reads {
        steps.push(reads.step(number, &format!("{} of the values", reads.records)));
    }
    Ok(Explanation { visible_seqno, steps, found, pairs, ..Explanation::default() })
}

fn of_keydir(outcome: String) -> Step {
    Step { place: "keydir".into(), outcome, ..Step::default() }
}

/// What was read of one segment.
#[derive(Default)]
struct Reads {
    records: u64,
    bytes: u64,
    mapped: u64,
}

impl Reads {
    fn read(&mut self, segment: &Arc<Segment>, place: Place, key: &[u8]) -> Result<Found> {
        let (seqno, value_bytes) = segment.entry(place, key, |seqno, value| (seqno, value.len() as u64))?;
        self.records += 1;
        self.bytes += u64::from(place.len);
        self.mapped += u64::from(segment.is_mapped(place));
        Ok(Found { place: filename::segment(segment.number), seqno: Some(seqno), value_bytes })
    }

    fn step(&self, number: u64, outcome: &str) -> Step {
        let how = match self.mapped {
            0 => "a read each".to_string(),
            mapped if mapped == self.records => "by the mapped file".to_string(),
            mapped => format!("{mapped} by the mapped file"),
        };
        let how = if self.records == 1 && self.mapped == 0 { "one read".to_string() } else { how };
        Step {
            place: filename::segment(number),
            outcome: format!("{outcome}, {how}"),
            blocks: self.records,
            bytes: self.bytes,
            ..Step::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::KvsEngine;
    use crate::engine::bitcask::Bitcask;
    use crate::engine::bitcask::options::BitcaskOptions;
    use crate::engine::explain::Explanation;
    use crate::engine::options::OpenOptions;
    use crate::engine::range::KeyRange;
    use crate::vfs::memory::image::Image;
    use crate::vfs::memory::{Record, SimDisk};
    use crate::worker::Schedule;
    use std::path::Path;
    use std::sync::Arc;

    fn lines(explained: &Explanation) -> Vec<String> {
        let line = |step: &super::Step| format!("{}: {}; {} bytes", step.place, step.outcome, step.bytes);
        explained.steps.iter().map(line).collect()
    }

    #[test]
    fn every_place_is_named_with_its_cost() {
        let disk = Arc::new(SimDisk::from_image(&Image::default(), Record::Off));
        let open = OpenOptions { disk, schedule: Schedule::Inline, ..OpenOptions::default() };
        let options = BitcaskOptions { mmap: false, ..BitcaskOptions::default() };
        let store = Bitcask::open(Path::new("/store"), open, options).unwrap();
        ["a", "b", "c"].iter().for_each(|key| store.set(key.as_bytes(), b"value").unwrap());
        store.flush().unwrap();
        store.set(b"b", b"new").unwrap();
        assert_eq!(lines(&store.explain_get(b"none").unwrap()), ["keydir: not there; 0 bytes"]);
        let expected =
            ["keydir: 15 bytes at 32 of 000001.seg; 0 bytes", "000001.seg: set, one read; 15 bytes"];
        assert_eq!(lines(&store.explain_get(b"a").unwrap()), expected);
        let expected = [
            "keydir: 3 keys in order; 0 bytes",
            "000001.seg: 2 of the values, a read each; 29 bytes",
            "000002.seg: 1 of the values, one read; 12 bytes",
        ];
        assert_eq!(lines(&store.explain_scan(KeyRange::all(), 9).unwrap()), expected);
    }
}
