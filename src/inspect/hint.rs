//! A hint as text.

use crate::codec::Reader;
use crate::engine::bitcask::hint::{ENTRY, FIXED, TOMBSTONE};
use crate::engine::bitcask::keydir::SHARDS;
use crate::error::Result;
use crate::inspect::View;
use crate::inspect::bytes::Bytes;
use crate::inspect::edits::Rows;
use crate::inspect::header::{self, verdict};
use crate::inspect::layout::{Bar, boxes};
use crate::inspect::look::{Look, State};
use crate::inspect::tally::Sort;
use crate::inspect::text::{Text, count, quoted};
use crate::record::frame::{HEADER_LEN, Header};

/// Bytes of the binding to a segment, behind the header.
const BINDING: u64 = 20;

/// Characters of a key that are shown in a line.
const KEY: usize = 48;

/// A hint, taken apart as far as it can be: entries are walked, not kept.
struct Parts {
    header: Option<Header>,
    data_len: u64,
    data_checksum: u32,
    tombstone_bytes: u64,
    /// Bytes of each shard's part.
    lens: Vec<u32>,
    /// Where the checksum should stand.
    end: u64,
    found: u32,
    right: u32,
}

/// One entry of a hint.
struct Entry<'a> {
    at: u64,
    shard: usize,
    offset: u32,
    len: u32,
    is_tombstone: bool,
    key: &'a [u8],
}

impl Parts {
    /// `None` if the hint is cut before its entries.
    fn read(bytes: &mut Bytes) -> Option<Parts> {
        let header = header::read(bytes);
        let end = bytes.len().checked_sub(4)?;
        let right = bytes.checksum(0, 0, end);
        let found = Reader::new(bytes.get(end, 4)).u32()?;
        let mut reader = Reader::new(bytes.get(0, FIXED).get(HEADER_LEN as usize..)?);
        let (data_len, data_checksum, tombstone_bytes) = (reader.u64()?, reader.u32()?, reader.u64()?);
        let lens = (0..SHARDS).map(|_| reader.u32()).collect::<Option<Vec<_>>>()?;
        Some(Parts { header, data_len, data_checksum, tombstone_bytes, lens, end, found, right })
    }

    /// Where the entries should end.
    fn entries_end(&self) -> u64 {
        FIXED as u64 + self.lens.iter().map(|&len| u64::from(len)).sum::<u64>()
    }

    /// Tells `each` of the entries, one after the other; returns where they end to make sense, and how
    /// many there were.
    fn walk(
        &self,
        bytes: &mut Bytes,
        mut each: impl FnMut(&mut Bytes, &Entry<'_>) -> Result<()>,
    ) -> Result<(u64, u64)> {
        let (mut at, mut seen, mut part_end) = (FIXED as u64, 0, FIXED as u64);
        for (shard, &len) in self.lens.iter().enumerate() {
            part_end += u64::from(len);
            while at < part_end.min(self.end) {
                let mut head = Reader::new(bytes.get(at, ENTRY));
                let (Some(offset), Some(len)) = (head.u32(), head.u32()) else { return Ok((at, seen)) };
                let key_len =
                    head.take(2).and_then(|len| len.first_chunk()).map_or(0, |l| u16::from_le_bytes(*l));
                let next = at + (ENTRY + usize::from(key_len)) as u64;
                if next > part_end.min(self.end) {
                    return Ok((at, seen));
                }
                let key = bytes.get(at + ENTRY as u64, key_len.into()).to_vec();
                let is_tombstone = len & TOMBSTONE != 0;
                let entry = Entry { at, shard, offset, len: len & !TOMBSTONE, is_tombstone, key: &key };
                each(bytes, &entry)?;
                seen += 1;
                at = next;
            }
        }
        Ok((at, seen))
    }
}

/// Shows the hint of segment `number`.
pub(super) fn show(
    text: &mut Text<'_>,
    bytes: &mut Bytes,
    look: &Look,
    number: u64,
    view: View,
) -> Result<()> {
    let len = bytes.len();
    let Some(parts) = Parts::read(bytes) else {
        text.line(format_args!("DAMAGED: the hint is cut: {len} bytes, at least {} are needed", FIXED + 4))?;
        return text.data(bytes, 0, len, "cut");
    };
    match view {
        View::Summary => summary(text, bytes, &parts, number),
        View::Props => props(text, bytes, &parts),
        View::Layout => layout(text, bytes, look, number, &parts),
        View::Entries => entries(text, bytes, look, number, &parts),
        View::Explain => explain(text, bytes, look, number, &parts),
    }
}

fn summary(text: &mut Text<'_>, bytes: &mut Bytes, parts: &Parts, number: u64) -> Result<()> {
    let (end, seen) = parts.walk(bytes, |_, _| Ok(()))?;
    let (data_len, sum) = (parts.data_len, parts.data_checksum);
    text.line(format_args!(
        "  hint of   segment {number}, when that had {data_len} bytes, CRC-32C {sum:08x}"
    ))?;
    text.line(format_args!("  entries   {seen}, tombstones of {} bytes", parts.tombstone_bytes))?;
    text.line(format_args!(
        "  checksum  {:08x}: {}",
        parts.found,
        verdict(parts.right, parts.found, "of all")
    ))?;
    match end == parts.end && parts.header.is_some() {
        true => text.line("  ends      cleanly"),
        false => text.line(format_args!("  DAMAGED   entries make sense up to {end}, not to {}", parts.end)),
    }
}

fn props(text: &mut Text<'_>, bytes: &mut Bytes, parts: &Parts) -> Result<()> {
    let (end, seen) = parts.walk(bytes, |_, _| Ok(()))?;
    let sound = parts.header.is_some() && parts.found == parts.right && end == parts.end;
    let Header { store_id, number, kind } =
        parts.header.unwrap_or(Header { store_id: 0, number: 0, kind: 0 });
    text.line(format_args!("sound={sound}\nstore_id={store_id:016x}\nnumber={number}\nlog_kind={kind}"))?;
    text.line(format_args!("bytes={}\nentries={seen}\nentry_bytes={}", bytes.len(), end - FIXED as u64))?;
    text.line(format_args!("data_len={}\ndata_checksum={:08x}", parts.data_len, parts.data_checksum))?;
    text.line(format_args!("tombstone_bytes={}\nchecksum={:08x}", parts.tombstone_bytes, parts.found))
}

/// What an entry's record is to the store.
fn state(look: &Look, number: u64, entry: &Entry<'_>) -> State {
    look.state(number, entry.offset.into(), entry.key, entry.is_tombstone)
}

fn layout(text: &mut Text<'_>, bytes: &mut Bytes, look: &Look, number: u64, parts: &Parts) -> Result<()> {
    let mut bar = Bar::new(bytes.len());
    bar.add(0, FIXED as u64, Sort::Fixed);
    let (end, seen) = parts.walk(bytes, |_, entry| {
        let next = entry.at + (ENTRY + entry.key.len()) as u64;
        bar.add(entry.at, next, Sort::Record(state(look, number, entry)));
        Ok(())
    })?;
    bar.add(end, parts.end, Sort::Damaged);
    bar.add(parts.end, bytes.len(), Sort::Fixed);
    bar.draw(text)?;
    let binding = HEADER_LEN + BINDING;
    let mut regions = vec![
        (0, HEADER_LEN, "header".to_string()),
        (HEADER_LEN, binding, "binding: the segment's length and checksum, tombstone bytes".into()),
        (binding, FIXED as u64, format!("parts: bytes of the entries of each of {SHARDS} shards")),
    ];
    let used = parts.lens.iter().filter(|&&len| len > 0).count();
    regions.push((FIXED as u64, end, format!("{seen} entries, in {}", count(used as u64, "part"))));
    if end < parts.end {
        regions.push((end, parts.end, "DAMAGED: no entries".into()));
    }
    regions.push((parts.end, bytes.len(), "checksum".into()));
    boxes(text, &regions)
}

fn entries(text: &mut Text<'_>, bytes: &mut Bytes, look: &Look, number: u64, parts: &Parts) -> Result<()> {
    text.line("      at  shard    record       len  kind    state  key")?;
    let (end, _) = parts.walk(bytes, |_, entry| {
        let kind = if entry.is_tombstone { "delete" } else { "set" };
        let state = state(look, number, entry);
        let Entry { at, shard, offset, len, key, .. } = entry;
        text.line(format_args!(
            "{at:>8}  {shard:>5} {offset:>9} {len:>9}  {kind:6}  {state:5}  {}",
            quoted(key, KEY)
        ))
    })?;
    match end < parts.end {
        true => text.line(format_args!("{end:>8}  DAMAGED: {} bytes that are no entries", parts.end - end)),
        false => Ok(()),
    }
}

fn explain(text: &mut Text<'_>, bytes: &mut Bytes, look: &Look, number: u64, parts: &Parts) -> Result<()> {
    text.columns()?;
    let kind = crate::engine::bitcask::hint::LOG_KIND;
    header::explain(text, bytes, look.store_id().map(|store_id| Header { store_id, number, kind }))?;
    text.line("")?;
    let fixed = bytes.get(0, FIXED).to_vec();
    let rest = Reader::new(fixed.get(HEADER_LEN as usize..).unwrap_or_default());
    let mut rows = Rows { text, at: HEADER_LEN, rest };
    rows.u64("data_len", "bytes of its segment")?;
    rows.u32("data_checksum", |n| format!("{n:08x}"), "CRC-32C of its segment")?;
    rows.u64("tombstone_bytes", "of the tombstones listed here")?;
    explain_parts(rows.text, &fixed, &parts.lens)?;
    let (end, _) =
        parts.walk(bytes, |bytes, entry| explain_entry(text, bytes, entry, state(look, number, entry)))?;
    text.line("")?;
    if end < parts.end {
        text.line(format_args!(
            "          DAMAGED: no entry begins at {end}; entries should end at {}",
            parts.entries_end()
        ))?;
        text.data(bytes, end, parts.end - end, "no entries")?;
    }
    let sum = bytes.get(parts.end, 4).to_vec();
    let meaning = verdict(parts.right, parts.found, "of all before it");
    text.row(parts.end, &sum, &format!("checksum = {:08x}", parts.found), &meaning)
}

/// The table of parts; empty ones in a row are one line.
fn explain_parts(text: &mut Text<'_>, fixed: &[u8], lens: &[u32]) -> Result<()> {
    let mut shard = 0;
    while shard < lens.len() {
        let at = FIXED - 4 * (lens.len() - shard);
        let empty = lens[shard..].iter().take_while(|&&len| len == 0).count();
        match empty {
            0 | 1 => {
                let field = format!("part_bytes[{shard}] = {}", lens[shard]);
                text.row(at as u64, &fixed[at..at + 4], &field, "bytes of this shard's entries")?;
            }
            _ => {
                let last = shard + empty - 1;
                let field = format!("part_bytes[{shard}..={last}] = 0");
                text.row(at as u64, &fixed[at..at + 4], &field, "")?;
                let more = 4 * (empty - 1);
                text.line(format_args!("{:>8}  .. {more} more bytes, all zeros", at + 4))?;
            }
        }
        shard += empty.max(1);
    }
    Ok(())
}

fn explain_entry(text: &mut Text<'_>, bytes: &mut Bytes, entry: &Entry<'_>, state: State) -> Result<()> {
    let Entry { at, shard, offset, len, is_tombstone, key } = entry;
    text.line(format_args!("\n          entry of shard {shard}: {state}"))?;
    let head = bytes.get(*at, ENTRY).to_vec();
    text.row(*at, &head[..4], &format!("offset = {offset}"), "of its record, in the segment")?;
    let meaning = if *is_tombstone { "bytes of the record: a tombstone" } else { "bytes of the record" };
    text.row(at + 4, &head[4..8], &format!("len = {len}"), meaning)?;
    text.row(at + 8, &head[8..], &format!("key_len = {}", key.len()), "bytes of the key")?;
    text.data(bytes, at + ENTRY as u64, key.len() as u64, &format!("key, {} bytes", key.len()))
}
