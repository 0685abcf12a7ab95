//! A hint as text.

mod explain;

use crate::codec::Reader;
use crate::engine::bitcask::hint::{ENTRY, FIXED, TOMBSTONE};
use crate::engine::bitcask::keydir::SHARDS;
use crate::error::Result;
use crate::inspect::bytes::Bytes;
use crate::inspect::header::{self, verdict};
use crate::inspect::layout::{Bar, boxes};
use crate::inspect::look::Look;
use crate::inspect::state::State;
use crate::inspect::tally::Sort;
use crate::inspect::text::{Text, count, quoted};
use crate::record::frame::{HEADER_LEN, Header};

/// Bytes of the binding to a segment, behind the header.
const BINDING: u64 = 20;

/// Characters of a key that are shown in a line.
const KEY: usize = 48;

/// A hint, taken apart as far as it can be: entries are walked, not kept.
pub(super) struct HintFile<'a> {
    look: &'a Look,
    /// The number in its name.
    number: u64,
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

impl<'a> HintFile<'a> {
    /// `None` if the hint is cut before its entries.
    pub(super) fn read(bytes: &mut Bytes, look: &'a Look, number: u64) -> Option<HintFile<'a>> {
        let header = header::read(bytes);
        let end = bytes.len().checked_sub(4).filter(|&end| end >= FIXED as u64)?;
        let right = bytes.checksum(0, 0, end);
        let found = Reader::new(bytes.get(end, 4)).u32()?;
        let mut reader = Reader::new(bytes.get(0, FIXED).get(HEADER_LEN as usize..)?);
        let (data_len, data_checksum, tombstone_bytes) = (reader.u64()?, reader.u32()?, reader.u64()?);
        let lens = (0..SHARDS).map(|_| reader.u32()).collect::<Option<Vec<_>>>()?;
        Some(HintFile {
            look,
            number,
            header,
            data_len,
            data_checksum,
            tombstone_bytes,
            lens,
            end,
            found,
            right,
        })
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

    pub(super) fn summary(&self, text: &mut Text<'_>, bytes: &mut Bytes) -> Result<()> {
        let (end, seen) = self.walk(bytes, |_, _| Ok(()))?;
        let (data_len, sum) = (self.data_len, self.data_checksum);
        text.line(format_args!(
            "  hint of   segment {}, when that had {data_len} bytes, CRC-32C {sum:08x}",
            self.number
        ))?;
        text.line(format_args!("  entries   {seen}, tombstones of {} bytes", self.tombstone_bytes))?;
        text.line(format_args!(
            "  checksum  {:08x}: {}",
            self.found,
            verdict(self.right, self.found, "of all")
        ))?;
        match end == self.end && self.header.is_some() {
            true => text.line("  ends      cleanly"),
            false => {
                text.line(format_args!("  DAMAGED   entries make sense up to {end}, not to {}", self.end))
            }
        }
    }

    pub(super) fn props(&self, text: &mut Text<'_>, bytes: &mut Bytes) -> Result<()> {
        let (end, seen) = self.walk(bytes, |_, _| Ok(()))?;
        let sound = self.header.is_some() && self.found == self.right && end == self.end;
        let Header { store_id, number, kind } =
            self.header.unwrap_or(Header { store_id: 0, number: 0, kind: 0 });
        text.line(format_args!("sound={sound}\nstore_id={store_id:016x}\nnumber={number}\nlog_kind={kind}"))?;
        text.line(format_args!("bytes={}\nentries={seen}\nentry_bytes={}", bytes.len(), end - FIXED as u64))?;
        text.line(format_args!("data_len={}\ndata_checksum={:08x}", self.data_len, self.data_checksum))?;
        text.line(format_args!("tombstone_bytes={}\nchecksum={:08x}", self.tombstone_bytes, self.found))
    }

    /// What an entry's record is to the store.
    fn state(&self, entry: &Entry<'_>) -> State {
        self.look.state(self.number, entry.offset.into(), entry.key, entry.is_tombstone)
    }

    pub(super) fn layout(&self, text: &mut Text<'_>, bytes: &mut Bytes) -> Result<()> {
        let mut bar = Bar::new(bytes.len());
        bar.add(0, FIXED as u64, Sort::Fixed);
        let (end, seen) = self.walk(bytes, |_, entry| {
            let next = entry.at + (ENTRY + entry.key.len()) as u64;
            bar.add(entry.at, next, Sort::Record(self.state(entry)));
            Ok(())
        })?;
        bar.add(end, self.end, Sort::Damaged);
        bar.add(self.end, bytes.len(), Sort::Fixed);
        bar.draw(text)?;
        let binding = HEADER_LEN + BINDING;
        let mut regions = vec![
            (0, HEADER_LEN, "header".to_string()),
            (HEADER_LEN, binding, "binding: the segment's length and checksum, tombstone bytes".into()),
            (binding, FIXED as u64, format!("parts: bytes of the entries of each of {SHARDS} shards")),
        ];
        let used = self.lens.iter().filter(|&&len| len > 0).count();
        regions.push((FIXED as u64, end, format!("{seen} entries, in {}", count(used as u64, "part"))));
        if end < self.end {
            regions.push((end, self.end, "DAMAGED: no entries".into()));
        }
        regions.push((self.end, bytes.len(), "checksum".into()));
        boxes(text, &regions)
    }

    pub(super) fn entries(&self, text: &mut Text<'_>, bytes: &mut Bytes) -> Result<()> {
        text.line("      at  shard    record       len  kind    state  key")?;
        let (end, _) = self.walk(bytes, |_, entry| {
            let kind = if entry.is_tombstone { "delete" } else { "set" };
            let state = self.state(entry);
            let Entry { at, shard, offset, len, key, .. } = entry;
            text.line(format_args!(
                "{at:>8}  {shard:>5} {offset:>9} {len:>9}  {kind:6}  {state:5}  {}",
                quoted(key, KEY)
            ))
        })?;
        match end < self.end {
            true => {
                text.line(format_args!("{end:>8}  DAMAGED: {} bytes that are no entries", self.end - end))
            }
            false => Ok(()),
        }
    }
}

/// Shows one that is cut before its entries.
pub(super) fn cut(text: &mut Text<'_>, bytes: &mut Bytes) -> Result<()> {
    let len = bytes.len();
    text.line(format_args!("DAMAGED: the hint is cut: {len} bytes, at least {} are needed", FIXED + 4))?;
    text.data(bytes, 0, len, "cut")
}
