//! Any log as text: its frames are the same everywhere, its payloads are explained by their owner.

use crate::codec::varint_len;
use crate::error::Result;
use crate::inspect::bytes::Bytes;
use crate::inspect::header::verdict;
use crate::inspect::scan::{Frame, Gap, Groups, Like, Likely, Member, Piece, Scan};
use crate::inspect::state::State;
use crate::inspect::text::{Text, count};
use crate::record::frame::{HEADER_LEN, Shape};

/// What the owner of a log knows about its records.
pub(super) trait Owner {
    /// The word for a record kind.
    fn kind(&self, kind: u8) -> &'static str;

    /// What the search behind damage takes for one of its records.
    fn likely(&self) -> Likely;

    /// What a record says, in short.
    fn note(&mut self, bytes: &mut Bytes, frame: &Frame) -> Note;

    /// Tells `each` of the writes in a record, if it can have several. Nothing, where a record is a write.
    fn writes(
        &mut self,
        _bytes: &mut Bytes,
        _frame: &Frame,
        _each: &mut dyn FnMut(&Write) -> Result<()>,
    ) -> Result<()> {
        Ok(())
    }

    /// The payload's fields, one a row.
    fn explain(&mut self, text: &mut Text<'_>, bytes: &mut Bytes, frame: &Frame) -> Result<()>;

    /// How long the file is known to have to be, and to be whole.
    fn sealed_len(&self) -> Option<u64> {
        None
    }
}

/// One write of several in a record.
#[derive(Clone, Debug)]
pub(super) struct Write {
    /// Where in the file it begins.
    pub(super) from: u64,
    /// Where it ends.
    pub(super) end: u64,
    /// Its sequence number.
    pub(super) seqno: u64,
    /// What it is to the store.
    pub(super) state: State,
    /// The word for what it does.
    pub(super) kind: &'static str,
    /// What it does.
    pub(super) says: String,
}

/// What a record says, in short.
#[derive(Clone, Debug)]
pub(super) struct Note {
    /// Its sequence number, if it has one.
    pub(super) seqno: Option<u64>,
    /// What it is to the store.
    pub(super) state: State,
    /// What it does.
    pub(super) says: String,
}

impl Note {
    /// Of a record whose checksum is right, but whose payload makes no sense.
    pub(super) fn nonsense() -> Note {
        Note { seqno: None, state: State::Unknown, says: "BAD: a valid record of no known form".into() }
    }
}

/// The word for a record's kind.
pub(super) fn kind_word(owner: &dyn Owner, frame: &Frame) -> &'static str {
    if frame.is_close() { "close" } else { owner.kind(frame.shape.kind) }
}

/// What the owner says of a record; a `Close` says the same everywhere.
pub(super) fn note(owner: &mut dyn Owner, bytes: &mut Bytes, frame: &Frame) -> Note {
    match frame.is_close() {
        true => Note { seqno: None, state: State::Other, says: "all before it is durable".into() },
        false => owner.note(bytes, frame),
    }
}

/// Every byte behind the header, with its meaning.
pub(super) fn explain(text: &mut Text<'_>, scan: &mut Scan, owner: &mut dyn Owner) -> Result<()> {
    let (mut groups, mut index, mut end) = (Groups::default(), 0, HEADER_LEN);
    while let Some(piece) = scan.next_piece() {
        text.line("")?;
        match piece {
            Piece::Record(frame) => {
                index += 1;
                end = frame.end();
                let (cut, member) = groups.take(&frame);
                explain_cut(text, cut)?;
                explain_record(text, scan.bytes(), owner, &frame, index)?;
                if member == Member::Stray {
                    text.line("          BAD: the beginning of its group is missing")?;
                }
            }
            Piece::Gap(gap) => {
                end = gap.end;
                explain_cut(text, groups.cut())?;
                explain_gap(text, scan.bytes(), owner, &gap)?;
            }
        }
    }
    explain_cut(text, groups.cut())?;
    text.line("")?;
    text.line(format_args!("{end:>8}  the end"))?;
    match owner.sealed_len() {
        Some(len) if len != end => text.line(format_args!("          BAD: it should end at {len}")),
        _ => Ok(()),
    }
}

fn explain_cut(text: &mut Text<'_>, cut: Option<u64>) -> Result<()> {
    let Some(began) = cut else { return Ok(()) };
    text.line(format_args!("          the group that began at {began} has no Last: it never happened"))
}

fn explain_record(
    text: &mut Text<'_>,
    bytes: &mut Bytes,
    owner: &mut dyn Owner,
    frame: &Frame,
    index: u64,
) -> Result<()> {
    let word = kind_word(owner, frame);
    let Note { state, says, .. } = note(owner, bytes, frame);
    let len = frame.shape.len;
    let state = if state == State::Other { String::new() } else { format!(", {state}") };
    text.line(format_args!("          record {index}, {len} bytes{state}: {word}: {says}"))?;
    explain_frame(text, bytes, word, frame, frame.sum)?;
    if frame.is_close() { Ok(()) } else { owner.explain(text, bytes, frame) }
}

/// What stands before the payload. `right` is the checksum that it should have.
fn explain_frame(
    text: &mut Text<'_>,
    bytes: &mut Bytes,
    word: &str,
    frame: &Frame,
    right: u32,
) -> Result<()> {
    let head = bytes.get(frame.offset, frame.shape.payload).to_vec();
    let mut at = 0;
    let mut row = |text: &mut Text<'_>, len: usize, field: String, meaning: &str| {
        let from = at;
        at += len;
        text.row(frame.offset + from as u64, &head[from..at], &field, meaning)
    };
    let meaning = verdict(right, frame.sum, "of place and record");
    row(text, 4, format!("checksum = {:08x}", frame.sum), &meaning)?;
    row(text, 1, format!("head = {:08b}", head[4]), &head_meaning(word, frame))?;
    let len = frame.payload_len() as u64;
    row(text, varint_len(len), format!("len = {len}"), "bytes of the payload")?;
    match frame.shape.synced {
        Some(synced) => {
            row(text, varint_len(synced), format!("synced = {synced}"), "so many bytes were durable")
        }
        None => Ok(()),
    }
}

fn head_meaning(word: &str, frame: &Frame) -> String {
    let synced = if frame.shape.synced.is_some() { ", +synced" } else { "" };
    format!("kind {} ({word}), {:?}{synced}", frame.shape.kind, frame.shape.part)
}

/// What a gap is, in words.
pub(super) fn gap_words(gap: &Gap, sealed_len: Option<u64>) -> String {
    let len = count(gap.end - gap.offset, "byte");
    let why = gap.why;
    if gap.is_followed {
        return format!("DAMAGED: {len}: {why}; the next record stands at {}", gap.end);
    }
    match (sealed_len.is_some(), gap.is_zero) {
        (true, _) => format!("DAMAGED: {len}: {why}; no record follows"),
        (false, true) => format!("zeros: {len}, written ahead and not used"),
        (false, false) => format!("TORN or damaged: {len}: {why}; no record follows"),
    }
}

fn explain_gap(text: &mut Text<'_>, bytes: &mut Bytes, owner: &dyn Owner, gap: &Gap) -> Result<()> {
    text.line(format_args!("          {}", gap_words(gap, owner.sealed_len())))?;
    match gap.like.filter(|like| like.frame.end() <= gap.end) {
        Some(Like { frame, right }) => {
            explain_frame(text, bytes, kind_word(owner, &frame), &frame, right)?;
            text.data(bytes, frame.payload(), frame.payload_len() as u64, "payload, not to be trusted")?;
            let rest = gap.end - frame.end();
            if rest == 0 { Ok(()) } else { text.data(bytes, frame.end(), rest, "no record") }
        }
        None => text.data(
            bytes,
            gap.offset,
            gap.end - gap.offset,
            if gap.is_zero { "zeros" } else { "no record" },
        ),
    }
}

/// One line a record.
pub(super) fn entries(text: &mut Text<'_>, scan: &mut Scan, owner: &mut dyn Owner) -> Result<()> {
    text.line("  offset       len  part    kind    synced      seqno  sum  state  what it says")?;
    while let Some(piece) = scan.next_piece() {
        match piece {
            Piece::Record(frame) => {
                let Note { seqno, state, says } = note(owner, scan.bytes(), &frame);
                let Shape { part, len, synced, .. } = frame.shape;
                let [synced, seqno] = [synced, seqno].map(|n| n.map_or("-".into(), |n| n.to_string()));
                text.line(format_args!(
                    "{:>8} {len:>9}  {:6}  {:6} {synced:>7} {seqno:>10}  ok   {state:5}  {says}",
                    frame.offset,
                    format!("{part:?}"),
                    kind_word(owner, &frame),
                ))?;
                owner.writes(scan.bytes(), &frame, &mut |write| {
                    let Write { from, end, seqno, state, kind, says } = write;
                    let len = end - from;
                    text.line(format_args!(
                        "{from:>8} {len:>9}  {:6}  {kind:6} {:>7} {seqno:>10}       {state:5}  {says}",
                        "", ""
                    ))
                })?;
            }
            Piece::Gap(gap) => {
                let words = gap_words(&gap, owner.sealed_len());
                text.line(format_args!("{:>8} {:>9}  {words}", gap.offset, gap.end - gap.offset))?;
            }
        }
    }
    Ok(())
}
