//! A hint, byte by byte.

use crate::codec::Reader;
use crate::engine::bitcask::hint::{ENTRY, FIXED, LOG_KIND};
use crate::error::Result;
use crate::inspect::bytes::Bytes;
use crate::inspect::edits::Rows;
use crate::inspect::header::{self, verdict};
use crate::inspect::hint::{Entry, HintFile};
use crate::inspect::state::State;
use crate::inspect::text::Text;
use crate::record::frame::{HEADER_LEN, Header};

impl HintFile<'_> {
    /// Every byte with its meaning.
    pub(in crate::inspect) fn explain(&self, text: &mut Text<'_>, bytes: &mut Bytes) -> Result<()> {
        text.columns()?;
        let (number, kind) = (self.number, LOG_KIND);
        let expected = self.look.store_id().map(|store_id| Header { store_id, number, kind });
        header::explain(text, bytes, expected)?;
        text.line("")?;
        let fixed = bytes.get(0, FIXED).to_vec();
        let rest = Reader::new(fixed.get(HEADER_LEN as usize..).unwrap_or_default());
        let mut rows = Rows { text, at: HEADER_LEN, rest };
        rows.u64("data_len", "bytes of its segment")?;
        rows.u32("data_checksum", |n| format!("{n:08x}"), "CRC-32C of its segment")?;
        rows.u64("tombstone_bytes", "of the tombstones listed here")?;
        explain_parts(rows.text, &fixed, &self.lens)?;
        let (end, _) =
            self.walk(bytes, |bytes, entry| explain_entry(text, bytes, entry, self.state(entry)))?;
        text.line("")?;
        if end < self.end {
            text.line(format_args!(
                "          DAMAGED: no entry begins at {end}; entries should end at {}",
                self.entries_end()
            ))?;
            text.data(bytes, end, self.end - end, "no entries")?;
        }
        let sum = bytes.get(self.end, 4).to_vec();
        let meaning = verdict(self.right, self.found, "of all before it");
        text.row(self.end, &sum, &format!("checksum = {:08x}", self.found), &meaning)
    }
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
