//! A hint: a sealed segment without its values, so that opening need not read them.
//!
//! ```text
//! hint   := log header (kind 4), data_len:u64 data_checksum:u32 tombstone_bytes:u64
//!           part_bytes:[u32; 16] entry* checksum:u32
//! entry  := offset:u32 len:u32 key_len:u16 key          the highest bit of len: a tombstone
//! ```
//!
//! - It is bound to its segment by that one's length and checksum, and by store id and number in the
//!   header. `checksum` is the CRC-32C of all before it.
//! - Entries are sorted by the keydir's shards, of which each has a part: loading fills one shard after
//!   the other, each while it is in the processor's cache.
//! - Entries of one part stand in the order of their records: where a key has several, the last counts.
//! - A hint that is written at close leaves out records that were replaced, and tombstones of keys that
//!   are there again: everything that replaced them is durable by then. One that a merge writes has an
//!   entry for each record that the merge has copied.
//!
//! A hint is never needed and never trusted: it is not even synced. One that is missing, cut, damaged,
//! stale or of another file is passed over, and the segment is read instead.

use crate::codec::Reader;
use crate::engine::bitcask::keydir::SHARDS;
use crate::engine::bitcask::keydir::place::Place;
use crate::engine::bitcask::segment::{Sealed, Shelf};
use crate::engine::event::Event;
use crate::engine::filename;
use crate::error::Result;
use crate::record::frame::{HEADER_LEN, Header};
use crate::vfs::Cause;
use crate::vfs::dir::{Dir, File};

/// The log kind of a hint.
pub const LOG_KIND: u32 = 4;

/// Bytes before the entries.
pub const FIXED: usize = HEADER_LEN as usize + 8 + 4 + 8 + 4 * SHARDS;

/// Bytes of an entry before its key.
pub const ENTRY: usize = 10;

/// The bit of an entry's length that says that it is a tombstone.
pub const TOMBSTONE: u32 = 1 << 31;

/// One entry: what a record did, without the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HintEntry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The offset of its record in the segment.
    pub offset: u32,
    /// The record's bytes.
    pub len: u32,
    /// Whether the record is a tombstone.
    pub is_tombstone: bool,
}

impl HintEntry<'_> {
    /// Where its record is, in the segment with this number.
    #[inline]
    pub fn place(&self, segment: u64) -> Place {
        // Numbers are checked when a segment is made or found.
        Place { segment: segment as u32, offset: self.offset, len: self.len }
    }
}

/// Collects a hint's entries.
#[derive(Debug)]
pub struct HintBuilder {
    parts: Vec<Vec<u8>>,
    tombstone_bytes: u64,
}

impl Default for HintBuilder {
    fn default() -> HintBuilder {
        HintBuilder { parts: vec![Vec::new(); SHARDS], tombstone_bytes: 0 }
    }
}

impl HintBuilder {
    /// Adds an entry to the part of its shard.
    pub fn add(&mut self, shard: usize, entry: HintEntry<'_>) {
        let part = &mut self.parts[shard];
        part.extend_from_slice(&entry.offset.to_le_bytes());
        let flag = if entry.is_tombstone { TOMBSTONE } else { 0 };
        part.extend_from_slice(&(entry.len | flag).to_le_bytes());
        part.extend_from_slice(&(entry.key.len() as u16).to_le_bytes());
        part.extend_from_slice(entry.key);
        if entry.is_tombstone {
            self.tombstone_bytes += u64::from(entry.len);
        }
    }

    /// Bytes of tombstones among the entries.
    pub fn tombstone_bytes(&self) -> u64 {
        self.tombstone_bytes
    }

    /// The entries of one shard.
    pub fn part(&self, shard: usize) -> Entries<'_> {
        Entries { reader: Reader::new(&self.parts[shard]) }
    }

    /// Writes the hint of segment `number`. One that can not be written is told, and harms nothing: the next
    /// opening reads the segment itself.
    pub fn write_if_possible(&self, shelf: &Shelf, number: u64, sealed: &Sealed) {
        let write = || self.write(&shelf.dir, shelf.store_id, number, sealed);
        if let Err(error) = shelf.with_descriptor(write) {
            let name = filename::hint(number);
            // What there is of it takes room, and no more: half a hint is no hint.
            let _ = shelf.dir.remove(&name);
            shelf.listener.tell(Event::BackgroundFailed { reason: format!("{name}: {error}") });
        }
    }

    /// Writes the hint of segment `number`. Not synced: see above.
    pub fn write(&self, dir: &Dir, store_id: u64, number: u64, sealed: &Sealed) -> Result<()> {
        let entries: usize = self.parts.iter().map(Vec::len).sum();
        let mut out = Vec::with_capacity(FIXED + entries + 4);
        out.extend_from_slice(&Header { store_id, number, kind: LOG_KIND }.encode());
        out.extend_from_slice(&sealed.len.to_le_bytes());
        out.extend_from_slice(&sealed.checksum.to_le_bytes());
        out.extend_from_slice(&self.tombstone_bytes.to_le_bytes());
        for part in &self.parts {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
        }
        for part in &self.parts {
            out.extend_from_slice(part);
        }
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        // Under its own name at once: half a hint is no hint.
        dir.create(&filename::hint(number), Cause::Hint)?.append(&out)
    }
}

/// A hint that was read and found sound.
#[derive(Debug)]
pub struct Hint {
    file: File,
    /// The bytes, where the file is not mapped.
    copy: Vec<u8>,
    len: usize,
    /// Where each shard's part begins; and where the last one ends.
    starts: Vec<usize>,
    /// Bytes of tombstones in the segment.
    pub tombstone_bytes: u64,
}

impl Hint {
    /// Reads the hint of segment `number`, and says in words why it can not be used, if so. Through a map,
    /// if `is_mapped` and the disk can; or else into memory.
    pub fn load(
        dir: &Dir,
        store_id: u64,
        number: u64,
        sealed: &Sealed,
        is_mapped: bool,
    ) -> std::result::Result<Hint, String> {
        let file = dir.open(&filename::hint(number), Cause::Recovery).map_err(|e| e.to_string())?;
        let len = usize::try_from(file.len()).map_err(|_| "too long".to_string())?;
        if len < FIXED + 4 {
            return Err("cut".into());
        }
        if is_mapped {
            file.map(file.len());
        }
        let mut copy = Vec::new();
        if file.mapped(0, len).is_none() {
            copy.try_reserve_exact(len).map_err(|e| e.to_string())?;
            copy.resize(len, 0);
            file.read_exact_at(&mut copy, 0).map_err(|e| e.to_string())?;
        }
        let mut hint = Hint { file, copy, len, starts: Vec::new(), tombstone_bytes: 0 };
        hint.check(Header { store_id, number, kind: LOG_KIND }, sealed)?;
        Ok(hint)
    }

    fn bytes(&self) -> &[u8] {
        match self.copy.is_empty() {
            false => &self.copy,
            true => self.file.mapped(0, self.len).unwrap_or_default(),
        }
    }

    fn check(&mut self, header: Header, sealed: &Sealed) -> std::result::Result<(), String> {
        let bytes = self.bytes();
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or("cut")?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
            return Err("checksum mismatch".into());
        }
        if Header::decode(body) != Some(header) {
            return Err("the header is that of another file".into());
        }
        let mut reader = Reader::new(&body[HEADER_LEN as usize..]);
        if reader.u64() != Some(sealed.len) || reader.u32() != Some(sealed.checksum) {
            return Err("it belongs to other content of its segment".into());
        }
        let tombstone_bytes = reader.u64().ok_or("cut")?;
        let mut starts = vec![FIXED];
        for _ in 0..SHARDS {
            let part = reader.u32().ok_or("cut")? as usize;
            starts.push(starts.last().copied().unwrap_or(FIXED).checked_add(part).ok_or("too long")?);
        }
        if starts.last() != Some(&body.len()) {
            return Err("its parts do not add up".into());
        }
        // Every entry lies in its segment: what is loaded needs no further look.
        let mut tombstones = 0;
        for shard in 0..SHARDS {
            let mut entries = Entries { reader: Reader::new(&bytes[starts[shard]..starts[shard + 1]]) };
            for entry in entries.by_ref() {
                tombstones += if entry.is_tombstone { u64::from(entry.len) } else { 0 };
                let end = u64::from(entry.offset) + u64::from(entry.len);
                if entry.len == 0 || u64::from(entry.offset) < HEADER_LEN || end > sealed.len {
                    return Err("an entry lies outside of its segment".into());
                }
            }
            if !entries.reader.rest().is_empty() {
                return Err("an entry is cut".into());
            }
        }
        if tombstones != tombstone_bytes {
            return Err("its tombstones do not add up".into());
        }
        self.starts = starts;
        self.tombstone_bytes = tombstone_bytes;
        Ok(())
    }

    /// The entries of one shard.
    pub fn part(&self, shard: usize) -> Entries<'_> {
        Entries { reader: Reader::new(&self.bytes()[self.starts[shard]..self.starts[shard + 1]]) }
    }
}

/// The entries of a part.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = HintEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<HintEntry<'a>> {
        let mut ahead = self.reader;
        let head: &[u8; ENTRY] = ahead.take(ENTRY)?.first_chunk()?;
        let offset = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let len = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let key = ahead.take(usize::from(u16::from_le_bytes([head[8], head[9]])))?;
        self.reader = ahead;
        Some(HintEntry { key, offset, len: len & !TOMBSTONE, is_tombstone: len & TOMBSTONE != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::{Hint, HintBuilder, HintEntry};
    use crate::engine::bitcask::segment::Sealed;
    use crate::vfs::dir::Dir;
    use crate::vfs::os::OsDisk;
    use std::sync::Arc;

    /// Hints were mapped whatever the options said: without maps, a file that another program cuts is an
    /// error and not the end of the process, and one cut while a store opened was the end of it.
    #[test]
    fn a_hint_is_mapped_only_where_maps_are_wanted() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::new(Arc::new(OsDisk), temp.path());
        let sealed = Sealed { len: 4096, checksum: 1, last_seqno: 9, purged_upto: 0 };
        let mut builder = HintBuilder::default();
        let entry = HintEntry { key: b"key", offset: 64, len: 32, is_tombstone: false };
        builder.add(3, entry);
        builder.write(&dir, 7, 1, &sealed).unwrap();
        for is_mapped in [false, true] {
            let hint = Hint::load(&dir, 7, 1, &sealed, is_mapped).unwrap();
            assert_eq!(hint.copy.is_empty(), is_mapped);
            assert!(hint.part(3).eq([entry]));
        }
    }
}
