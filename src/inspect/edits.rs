//! A manifest as text: its edits, file by file.

use crate::codec::Reader;
use crate::engine::bitcask::segment::{Origin, SegmentMeta, SegmentState};
use crate::engine::manifest::{EDIT, Edit};
use crate::error::Result;
use crate::inspect::bytes::Bytes;
use crate::inspect::log::{Note, Owner};
use crate::inspect::look::State;
use crate::inspect::scan::{Frame, Likely};
use crate::inspect::text::Text;
use crate::record::frame::Shape;

/// Whether bytes may be a manifest's record.
pub(super) fn is_likely(shape: &Shape, _: &[u8]) -> bool {
    // Its next number, and how many files it adds and removes.
    shape.kind == EDIT && shape.len - shape.payload >= 24
}

/// The longest edit that is read: millions of files.
const MAX_EDIT: usize = 256 << 20;

/// The edit in a record whose checksum is right; `None` if it holds none.
pub(super) fn edit(bytes: &mut Bytes, frame: &Frame) -> Option<Edit<SegmentMeta>> {
    if frame.shape.kind != EDIT || frame.payload_len() > MAX_EDIT {
        return None;
    }
    Edit::decode(bytes.get(frame.payload(), frame.payload_len()))
}

/// A manifest of a store.
#[derive(Debug)]
pub(super) struct ManifestOwner;

impl Owner for ManifestOwner {
    fn kind(&self, kind: u8) -> &'static str {
        if kind == EDIT { "edit" } else { "BAD" }
    }

    fn likely(&self) -> Likely {
        is_likely
    }

    fn note(&mut self, bytes: &mut Bytes, frame: &Frame) -> Note {
        match edit(bytes, frame) {
            Some(edit) => Note { seqno: None, state: State::Other, says: words(&edit) },
            None => Note::nonsense(),
        }
    }

    fn explain(&mut self, text: &mut Text<'_>, bytes: &mut Bytes, frame: &Frame) -> Result<()> {
        let Some(edit) = edit(bytes, frame) else {
            return text.data(bytes, frame.payload(), frame.payload_len() as u64, "payload: BAD");
        };
        let payload = bytes.get(frame.payload(), frame.payload_len()).to_vec();
        let mut rows = Rows { text, at: frame.payload(), rest: Reader::new(&payload) };
        rows.u64("next_number", "numbers below it were taken")?;
        rows.u64("add", "files that are live from now on")?;
        for (_, meta) in &edit.add {
            rows.file(meta)?;
        }
        rows.u64("remove", "files that are live no more")?;
        edit.remove.iter().try_for_each(|_| rows.u64("  number", "the file's number"))
    }
}

/// The rows of fixed-width numbers that stand one behind the other.
pub(super) struct Rows<'a, 'b> {
    pub(super) text: &'a mut Text<'b>,
    /// Where `rest` stands in the file.
    pub(super) at: u64,
    pub(super) rest: Reader<'a>,
}

impl Rows<'_, '_> {
    /// The next eight bytes, a number.
    pub(super) fn u64(&mut self, field: &str, meaning: &str) -> Result<()> {
        let row = self.rest.take(8).unwrap_or_default();
        let value = Reader::new(row).u64().unwrap_or_default();
        self.row(row, &format!("{field} = {value}"), meaning)
    }

    /// The next four bytes, a number that `show` says how to write.
    pub(super) fn u32(&mut self, field: &str, show: impl Fn(u32) -> String, meaning: &str) -> Result<()> {
        let row = self.rest.take(4).unwrap_or_default();
        let value = Reader::new(row).u32().unwrap_or_default();
        self.row(row, &format!("{field} = {}", show(value)), meaning)
    }

    fn row(&mut self, row: &[u8], field: &str, meaning: &str) -> Result<()> {
        let at = self.at;
        self.at += row.len() as u64;
        self.text.row(at, row, field, meaning)
    }

    fn file(&mut self, meta: &SegmentMeta) -> Result<()> {
        self.u64("  number", "the segment's number")?;
        let origin = match meta.origin {
            Origin::Log => "Log: writers appended it",
            Origin::Merge => "Merge: a merge wrote it",
        };
        self.u32("  origin", |n| n.to_string(), origin)?;
        self.u64("  first_seqno", "no record in it is older")?;
        match meta.state {
            SegmentState::Active { .. } => {
                self.u32("  state", |n| n.to_string(), "Active: it grows")?;
                self.u64("    durable", "bytes known to be durable")
            }
            SegmentState::Sealed(_) => {
                self.u32("  state", |n| n.to_string(), "Sealed: it does not change")?;
                self.u64("    len", "its bytes")?;
                self.u32("    checksum", |n| format!("{n:08x}"), "CRC-32C of all of them")?;
                self.u64("    last_seqno", "no record in it is newer")?;
                self.u64("    purged_upto", "replaced up to here: not in it")
            }
        }
    }
}

/// So many files are named in a line.
const NAMED: usize = 4;

/// An edit in a line: the files that it adds, with their bytes, and those that it removes.
fn words(edit: &Edit<SegmentMeta>) -> String {
    let add = edit.add.iter().map(|(number, meta)| added(*number, meta));
    let remove = edit.remove.iter().map(|number| format!("-{number}"));
    let mut words: Vec<String> = add.chain(remove).take(NAMED).collect();
    let more = (edit.add.len() + edit.remove.len()).saturating_sub(NAMED);
    if more > 0 {
        words.push(format!("{more} more"));
    }
    words.join(", ")
}

fn added(number: u64, meta: &SegmentMeta) -> String {
    match (&meta.state, meta.origin) {
        (SegmentState::Active { durable: 0 }, _) => format!("+{number} active"),
        (SegmentState::Active { durable }, _) => format!("+{number} active {durable}"),
        (SegmentState::Sealed(sealed), Origin::Log) => format!("+{number} sealed {}", sealed.len),
        (SegmentState::Sealed(sealed), Origin::Merge) => format!("+{number} merged {}", sealed.len),
    }
}
