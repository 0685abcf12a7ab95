//! A manifest as text: its edits, file by file.

use crate::codec::Reader;
use crate::engine::bitcask::segment::{Origin, SegmentMeta, SegmentState};
use crate::engine::kind::EngineKind;
use crate::engine::lsm::key::{self, Kind, MAX_SEQNO};
use crate::engine::lsm::version::edit::{LiveFile, WalState};
use crate::engine::manifest::{EDIT, Edit};
use crate::error::Result;
use crate::inspect::bytes::Bytes;
use crate::inspect::log::{Note, Owner};
use crate::inspect::scan::{Frame, Likely};
use crate::inspect::state::State;
use crate::inspect::text::{Text, quoted};
use crate::record::frame::Shape;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Whether bytes may be a manifest's record.
pub(super) fn is_likely(shape: &Shape, _: &[u8]) -> bool {
    // Its next number, and how many files it adds and removes.
    shape.kind == EDIT && shape.len - shape.payload >= 24
}

/// The longest edit that is read: millions of files.
const MAX_EDIT: usize = 256 << 20;

/// The edit in a record whose checksum is right; `None` if it holds none.
pub(super) fn edit<F: Serialize + DeserializeOwned>(bytes: &mut Bytes, frame: &Frame) -> Option<Edit<F>> {
    if frame.shape.kind != EDIT || frame.payload_len() > MAX_EDIT {
        return None;
    }
    Edit::decode(bytes.get(frame.payload(), frame.payload_len()))
}

/// What an engine's manifest says of a file, as text.
trait Described: Serialize + DeserializeOwned {
    /// In a word or two, with the file's number.
    fn words(&self, number: u64) -> String;

    /// Its fields, one a row.
    fn rows(&self, rows: &mut Rows<'_, '_>) -> Result<()>;
}

/// A manifest of a store.
#[derive(Debug)]
pub(super) struct ManifestOwner {
    /// The engine whose it is. If that is not known, an edit is what it can be read as.
    pub(super) engine: Option<EngineKind>,
}

impl Owner for ManifestOwner {
    fn kind(&self, kind: u8) -> &'static str {
        if kind == EDIT { "edit" } else { "BAD" }
    }

    fn likely(&self) -> Likely {
        is_likely
    }

    fn note(&mut self, bytes: &mut Bytes, frame: &Frame) -> Note {
        let says = match self.read(bytes, frame) {
            Some(Either::Bitcask(edit)) => words(&edit),
            Some(Either::Lsm(edit)) => words(&edit),
            None => return Note::nonsense(),
        };
        Note { seqno: None, state: State::Other, says }
    }

    fn explain(&mut self, text: &mut Text<'_>, bytes: &mut Bytes, frame: &Frame) -> Result<()> {
        match self.read(bytes, frame) {
            Some(Either::Bitcask(edit)) => explain(text, bytes, frame, &edit),
            Some(Either::Lsm(edit)) => explain(text, bytes, frame, &edit),
            None => text.data(bytes, frame.payload(), frame.payload_len() as u64, "payload: BAD"),
        }
    }
}

/// An edit of either engine.
enum Either {
    Bitcask(Edit<SegmentMeta>),
    Lsm(Edit<LiveFile>),
}

impl ManifestOwner {
    fn read(&self, bytes: &mut Bytes, frame: &Frame) -> Option<Either> {
        let lsm = match self.engine {
            Some(EngineKind::Bitcask | EngineKind::Memory) => None,
            Some(EngineKind::Lsm) | None => edit(bytes, frame).map(Either::Lsm),
        };
        match self.engine {
            Some(EngineKind::Lsm) => lsm,
            _ => lsm.or_else(|| edit(bytes, frame).map(Either::Bitcask)),
        }
    }
}

fn explain<F: Described>(
    text: &mut Text<'_>,
    bytes: &mut Bytes,
    frame: &Frame,
    edit: &Edit<F>,
) -> Result<()> {
    let payload = bytes.get(frame.payload(), frame.payload_len()).to_vec();
    let mut rows = Rows { text, at: frame.payload(), rest: Reader::new(&payload) };
    rows.u64("next_number", "numbers below it were taken")?;
    rows.u64("add", "files that are live from now on")?;
    edit.add.iter().try_for_each(|(_, meta)| meta.rows(&mut rows))?;
    rows.u64("remove", "files that are live no more")?;
    edit.remove.iter().try_for_each(|_| rows.u64("  number", "the file's number"))
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

    /// The next eight bytes, in hex.
    pub(super) fn hex(&mut self, field: &str, meaning: &str) -> Result<()> {
        let row = self.rest.take(8).unwrap_or_default();
        let value = Reader::new(row).u64().unwrap_or_default();
        self.row(row, &format!("{field} = {value:016x}"), meaning)
    }

    fn row(&mut self, row: &[u8], field: &str, meaning: &str) -> Result<()> {
        let at = self.at;
        self.at += row.len() as u64;
        self.text.row(at, row, field, meaning)
    }

    /// The next byte, a number.
    pub(super) fn u8(&mut self, field: &str, meaning: &str) -> Result<()> {
        let row = self.rest.take(1).unwrap_or_default();
        let value = row.first().copied().unwrap_or_default();
        self.row(row, &format!("{field} = {value}"), meaning)
    }

    /// The next bytes, behind their length: any bytes, of which `show` says what they mean.
    pub(super) fn bytes(&mut self, field: &str, meaning: &str, show: impl Fn(&[u8]) -> String) -> Result<()> {
        let len = self.rest.rest().first_chunk().map_or(0, |len| u64::from_le_bytes(*len));
        self.u64(&format!("{field}_len"), meaning)?;
        let bytes = self.rest.take(len as usize).unwrap_or_default();
        let at = self.at;
        let (shown, rest) = bytes.split_at(bytes.len().min(SHOWN));
        self.row(shown, field, &show(bytes))?;
        self.at = at + bytes.len() as u64;
        match rest.len() {
            0 => Ok(()),
            more => self.text.line(format_args!("{:>8}  .. {more} more bytes", at + SHOWN as u64)),
        }
    }
}

impl Described for SegmentMeta {
    fn words(&self, number: u64) -> String {
        match (&self.state, self.origin) {
            (SegmentState::Active { durable: 0 }, _) => format!("+{number} active"),
            (SegmentState::Active { durable }, _) => format!("+{number} active {durable}"),
            (SegmentState::Sealed(sealed), Origin::Log) => format!("+{number} sealed {}", sealed.len),
            (SegmentState::Sealed(sealed), Origin::Merge) => format!("+{number} merged {}", sealed.len),
        }
    }

    fn rows(&self, rows: &mut Rows<'_, '_>) -> Result<()> {
        rows.u64("  number", "the segment's number")?;
        let origin = match self.origin {
            Origin::Log => "Log: writers appended it",
            Origin::Merge => "Merge: a merge wrote it",
        };
        rows.u32("  origin", |n| n.to_string(), origin)?;
        rows.u64("  first_seqno", "no record in it is older")?;
        match self.state {
            SegmentState::Active { .. } => {
                rows.u32("  state", |n| n.to_string(), "Active: it grows")?;
                rows.u64("    durable", "bytes known to be durable")
            }
            SegmentState::Sealed(_) => {
                rows.u32("  state", |n| n.to_string(), "Sealed: it does not change")?;
                rows.u64("    len", "its bytes")?;
                rows.u32("    checksum", |n| format!("{n:08x}"), "CRC-32C of all of them")?;
                rows.u64("    last_seqno", "no record in it is newer")?;
                rows.u64("    purged_upto", "replaced up to here: not in it")
            }
        }
    }
}

impl Described for LiveFile {
    fn words(&self, number: u64) -> String {
        match self {
            LiveFile::Store(store) => format!("store at {}", store.last_seqno),
            LiveFile::Wal(wal) => match wal.state {
                WalState::Active { durable: 0 } => format!("+{number} log"),
                WalState::Active { durable } => format!("+{number} log {durable}"),
                WalState::Sealed { len, .. } => format!("+{number} sealed log {len}"),
            },
            LiveFile::Table(table) => format!("+{number} level {} {}", table.level, table.len),
        }
    }

    fn rows(&self, rows: &mut Rows<'_, '_>) -> Result<()> {
        match self {
            LiveFile::Store(_) => {
                rows.u64("  number", "0: the store itself, no file")?;
                rows.u32("  sort", |n| n.to_string(), "Store")?;
                rows.bytes("  comparator", "the order of its keys", |name| quoted(name, 40))?;
                rows.u64("  last_seqno", "no write in a table is newer")
            }
            LiveFile::Wal(wal) => {
                rows.u64("  number", "the log's number")?;
                rows.u32("  sort", |n| n.to_string(), "Wal: a write-ahead log")?;
                rows.u64("  first_seqno", "no write in it is older")?;
                match wal.state {
                    WalState::Active { .. } => {
                        rows.u32("  state", |n| n.to_string(), "Active: it grows")?;
                        rows.u64("    durable", "bytes known to be durable")
                    }
                    WalState::Sealed { .. } => {
                        rows.u32("  state", |n| n.to_string(), "Sealed: it does not change")?;
                        rows.u64("    len", "its bytes")?;
                        rows.u32("    checksum", |n| format!("{n:08x}"), "CRC-32C of all of them")?;
                        rows.u64("    last_seqno", "no write in it is newer")
                    }
                }
            }
            LiveFile::Table(_) => {
                rows.u64("  number", "the table's number")?;
                rows.u32("  sort", |n| n.to_string(), "Table: a sorted table")?;
                rows.u8("  level", "where it stands")?;
                rows.u64("  len", "its bytes")?;
                rows.hex("  contents", "the same as in its footer")?;
                rows.bytes("  smallest", "its first internal key", internal_key)?;
                rows.bytes("  largest", "its last internal key", internal_key)?;
                rows.u64("  first_seqno", "no write in it is older")?;
                rows.u64("  last_seqno", "no write in it is newer")?;
                rows.u64("  entries", "tombstones included")?;
                rows.u64("  tombstones", "of these")?;
                rows.u64("  older", "behind a newer entry of their key")?;
                rows.u64("  raw_bytes", "of keys and values, as set")
            }
        }
    }
}

/// An internal key in words.
pub(super) fn internal_key(bytes: &[u8]) -> String {
    let (user_key, trailer) = key::split(bytes);
    let seqno = key::seqno(trailer);
    match Kind::of(trailer).filter(|_| key::is_valid(bytes)) {
        // What an index holds: no entry has this number.
        Some(_) if seqno == MAX_SEQNO => format!("{}, before its entries", quoted(user_key, 24)),
        Some(Kind::Set) => format!("{} set {seqno}", quoted(user_key, 24)),
        Some(Kind::Remove) => format!("{} remove {seqno}", quoted(user_key, 24)),
        None => "BAD: no internal key".into(),
    }
}

/// So many files are named in a line.
const NAMED: usize = 4;

/// Bytes of a key that are shown.
const SHOWN: usize = 64;

/// An edit in a line: the files that it adds, with their bytes, and those that it removes.
fn words<F: Described>(edit: &Edit<F>) -> String {
    let add = edit.add.iter().map(|(number, meta)| meta.words(*number));
    let remove = edit.remove.iter().map(|number| format!("-{number}"));
    let mut words: Vec<String> = add.chain(remove).take(NAMED).collect();
    let more = (edit.add.len() + edit.remove.len()).saturating_sub(NAMED);
    if more > 0 {
        words.push(format!("{more} more"));
    }
    words.join(", ")
}
