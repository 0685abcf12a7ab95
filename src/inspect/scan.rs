//! A walk over all of a log, damage included: every byte is in a record or in a gap.
//!
//! [`LogReader`](crate::record::reader::LogReader) stops at the first byte that is no record, as an
//! engine must. This goes on behind it, for those who look and those who save.

use crate::inspect::bytes::Bytes;
use crate::record::frame::{self, Bad, CLOSE, Header, MAX_OVERHEAD, Part, Shape};
use crate::record::reader::SHORT;
use crate::record::sums::Sums;

/// A record whose checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where it begins.
    pub(super) offset: u64,
    /// Its parts.
    pub(super) shape: Shape,
    /// Its checksum.
    pub(super) sum: u32,
}

impl Frame {
    /// Where the next record begins.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.shape.len as u64
    }

    /// Where its payload begins, in the file.
    pub(super) fn payload(&self) -> u64 {
        self.offset + self.shape.payload as u64
    }

    /// Bytes of its payload.
    pub(super) fn payload_len(&self) -> usize {
        self.shape.len - self.shape.payload
    }

    /// How much of the file it proves to have been durable: no more than what stood before it.
    pub(super) fn claim(&self) -> u64 {
        self.shape.synced.filter(|&claim| claim <= self.offset).unwrap_or(0)
    }

    /// Whether it is what a clean close leaves.
    pub(super) fn is_close(&self) -> bool {
        self.shape.kind == CLOSE
    }
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// Where they begin.
    pub(super) offset: u64,
    /// Where the next record begins, or the log ends.
    pub(super) end: u64,
    /// Why no record begins here.
    pub(super) why: Bad,
    /// What it says of itself, if it has the form of a record and only its checksum is wrong.
    pub(super) like: Option<Like>,
    /// Whether they are zeros only.
    pub(super) is_zero: bool,
    /// Whether a record follows.
    pub(super) is_followed: bool,
}

/// What has the form of a record, and a wrong checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Like {
    /// Its parts, none of which can be trusted.
    pub(super) frame: Frame,
    /// The checksum that it should have.
    pub(super) right: u32,
}

/// Why bytes are no record, and what they look like.
type Misfit = (Bad, Option<Like>);

/// A part of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A record.
    Record(Frame),
    /// Bytes that are no record.
    Gap(Gap),
}

/// Whether a record of this shape may be one of the log's, by the beginning of its payload: what the log's
/// owner knows, so that the search behind damage need not compute every checksum.
pub(super) type Likely = fn(&Shape, &[u8]) -> bool;

/// Walks over a log from one offset to another.
#[derive(Debug)]
pub(super) struct Scan {
    bytes: Bytes,
    salt: u32,
    /// What the search behind damage takes a second look at.
    likely: Likely,
    at: u64,
    end: u64,
    /// The record that ended the gap before.
    found: Option<Frame>,
    /// Whether there was damage: lengths are not believed any more.
    is_damaged: bool,
    /// Made behind damage, for the first long record.
    sums: Option<Sums<Bytes>>,
}

impl Scan {
    /// Walks the log with this header from behind it to `end`.
    pub(super) fn new(bytes: Bytes, header: Header, likely: Likely, end: u64) -> Scan {
        let end = end.min(bytes.len());
        let (salt, at) = (header.salt(), frame::HEADER_LEN.min(end));
        Scan { bytes, salt, likely, at, end, found: None, is_damaged: false, sums: None }
    }

    /// The file.
    pub(super) fn bytes(&mut self) -> &mut Bytes {
        &mut self.bytes
    }

    /// The next piece; `None` at the end.
    pub(super) fn next_piece(&mut self) -> Option<Piece> {
        if let Some(frame) = self.found.take() {
            self.at = frame.end();
            return Some(Piece::Record(frame));
        }
        if self.at >= self.end {
            return None;
        }
        Some(match self.check(self.at) {
            Ok(frame) => {
                self.at = frame.end();
                Piece::Record(frame)
            }
            Err(misfit) => Piece::Gap(self.skip(misfit)),
        })
    }

    /// Goes to the next offset at which a record stands, trying each: no length before it is believed.
    fn skip(&mut self, (why, like): Misfit) -> Gap {
        let offset = self.at;
        self.is_damaged = true;
        self.at += 1;
        while self.at < self.end {
            self.found = self.search(self.at);
            if self.found.is_some() {
                break;
            }
            self.at += 1;
        }
        let is_zero = self.bytes.is_zero(offset, self.at);
        Gap { offset, end: self.at, why, like, is_zero, is_followed: self.found.is_some() }
    }

    fn search(&mut self, at: u64) -> Option<Frame> {
        // As much as a short record has, so that the window moves forward only.
        let bytes = self.bytes.get(at, SHORT + MAX_OVERHEAD);
        let shape = Shape::read(bytes, self.end - at).ok()?;
        let is_likely = match shape.kind {
            CLOSE => shape.len == shape.payload,
            _ => (self.likely)(&shape, bytes.get(shape.payload..)?),
        };
        if is_likely { self.check(at).ok() } else { None }
    }

    /// The record at `at`, if its checksum is right.
    fn check(&mut self, at: u64) -> Result<Frame, Misfit> {
        let head = self.bytes.get(at, MAX_OVERHEAD);
        let shape = Shape::read(head, self.end - at).map_err(|why| (why, None))?;
        let sum = head.first_chunk().map_or(0, |sum| u32::from_le_bytes(*sum));
        let frame = Frame { offset: at, shape, sum };
        let seed = frame::seed(self.salt, at);
        if shape.len > SHORT && self.is_damaged && self.sums.is_none() {
            let Ok(sums) =
                Sums::build([self.bytes.elsewhere(), self.bytes.elsewhere()], at, self.bytes.len());
            self.sums = Some(sums);
        }
        let Ok(actual) = match &mut self.sums {
            Some(sums) if shape.len > SHORT => sums.checksum(seed, at + 4, frame.end()),
            _ => Ok(self.bytes.checksum(seed, at + 4, frame.end())),
        };
        if actual == sum { Ok(frame) } else { Err((Bad::Checksum, Some(Like { frame, right: actual }))) }
    }
}

/// Which records of a log belong together.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Where the group that is open began.
    open: Option<u64>,
}

/// What a record does to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// It ends a group, which has happened by that.
    Completes,
    /// It belongs to a group that goes on.
    Continues,
    /// It has no group: what should stand before it is missing.
    Stray,
}

impl Groups {
    /// Takes the next record. Also says where a group began that this record cuts short, if it does.
    pub(super) fn take(&mut self, frame: &Frame) -> (Option<u64>, Member) {
        match (frame.shape.part, self.open) {
            (Part::Full, _) => (self.open.take(), Member::Completes),
            (Part::First, _) => (self.open.replace(frame.offset), Member::Continues),
            (Part::Middle, Some(_)) => (None, Member::Continues),
            (Part::Last, Some(_)) => {
                self.open = None;
                (None, Member::Completes)
            }
            (Part::Middle | Part::Last, None) => (None, Member::Stray),
        }
    }

    /// Takes a gap, or the end. Says where a group began that is cut short by it.
    pub(super) fn cut(&mut self) -> Option<u64> {
        self.open.take()
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, Scan};
    use crate::inspect::bytes::Bytes;
    use crate::record::frame::{Header, Part, encode};
    use crate::vfs::dir::Dir;
    use crate::vfs::memory::SimDisk;
    use crate::vfs::{Cause, Vfs};
    use std::path::Path;
    use std::sync::Arc;

    const HEADER: Header = Header { store_id: 7, number: 1, kind: 2 };

    /// A log with a record of each of these payload lengths, and where each begins.
    fn log(lens: &[usize]) -> (Vec<u8>, Vec<u64>) {
        let (mut out, mut starts) = (HEADER.encode().to_vec(), Vec::new());
        for (i, &len) in lens.iter().enumerate() {
            let at = out.len() as u64;
            starts.push(at);
            encode(&mut out, HEADER.salt(), at, (1, Part::Full), None, &[&vec![i as u8 * 37; len]]);
        }
        (out, starts)
    }

    fn scan(content: &[u8]) -> Vec<Piece> {
        let disk = SimDisk::new();
        disk.create(Path::new("/f"), Cause::Log).unwrap().append(content).unwrap();
        let bytes = Bytes::open(&Dir::new(Arc::new(disk), Path::new("/")), "f").unwrap();
        let mut scan = Scan::new(bytes, HEADER, |shape, _| shape.kind <= 2, u64::MAX);
        std::iter::from_fn(|| scan.next_piece()).collect()
    }

    #[test]
    fn a_flip_costs_its_own_record_only() {
        let (content, starts) = log(&[10, 9000, 0, 300, 70_000, 5]);
        for (index, &start) in starts.iter().enumerate() {
            for at in [start, start + 4, start + 5] {
                let mut content = content.clone();
                content[at as usize] ^= 0x40;
                let pieces = scan(&content);
                let gaps: Vec<_> = pieces
                    .iter()
                    .filter_map(|p| if let Piece::Gap(gap) = p { Some(gap) } else { None })
                    .collect();
                assert_eq!(gaps.len(), 1, "record {index}, byte {at}");
                assert_eq!(gaps[0].offset, start);
                assert_eq!(gaps[0].end, starts.get(index + 1).copied().unwrap_or(content.len() as u64));
                assert_eq!(pieces.len(), starts.len());
            }
        }
    }

    #[test]
    fn a_log_inside_of_a_value_is_a_value() {
        let (inner, _) = log(&[10, 20]);
        let mut content = HEADER.encode().to_vec();
        encode(&mut content, HEADER.salt(), 32, (1, Part::Full), None, &[&inner]);
        content[32] ^= 1;
        let pieces = scan(&content);
        assert!(matches!(pieces[..], [Piece::Gap(gap)] if !gap.is_followed), "{pieces:?}");
    }

    #[test]
    fn any_bytes_are_walked_to_their_end() {
        let mut seed = 1u64;
        for len in [0, 1, 31, 32, 33, 500, 30_000] {
            let mut content = HEADER.encode().to_vec();
            content.extend((0..len).map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 56) as u8
            }));
            let pieces = scan(&content);
            assert_eq!(pieces.len(), usize::from(len > 0), "{len}");
        }
    }
}
