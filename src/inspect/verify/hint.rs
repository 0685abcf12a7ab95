//! Verify a hint: that it says what its segment says.

use crate::engine::bitcask::hint::{ENTRY, FIXED, Hint};
use crate::engine::bitcask::keydir::{Keydir, SHARDS};
use crate::engine::bitcask::segment::{SegmentMeta, SegmentState};
use crate::engine::filename;
use crate::inspect::bytes::Bytes;
use crate::inspect::entry;
use crate::inspect::scan::{Piece, Scan};
use crate::inspect::text::quoted;
use crate::inspect::verify::Verifier;
use crate::record::frame::Header;
use std::collections::HashMap;

/// What a device writes at once.
const SECTOR: u64 = 512;

impl Verifier {
    /// Checks the hint of a segment, if it has one. `by_logs` is what the segments say.
    pub(super) fn hint(&mut self, number: u64, meta: &SegmentMeta, by_logs: &Keydir) {
        let name = filename::hint(number);
        if !self.has(&name) {
            return;
        }
        let SegmentState::Sealed(sealed) = &meta.state else {
            return self.note(format!("{name}: beside a segment that still grows; it is not read"));
        };
        let Some(mut bytes) = self.open(&name) else { return };
        match Hint::load(&self.dir, self.store_id, number, sealed, false) {
            Ok(hint) => {
                let header = meta.header(self.store_id, number);
                let entries = self.entries(&name, number, header, &hint, by_logs);
                self.check("hint entries", &name, entries, bytes.len());
            }
            // Hints are not synced: a crash may leave a part of one.
            Err(reason) if is_unfinished(&mut bytes) => {
                self.note(format!("{name}: unfinished ({reason}); the segment is read instead"));
            }
            Err(reason) => self.damage(&name, 0, format!("{reason}; the segment is read instead")),
        }
    }

    /// Compares the entries with the segment's records; says how many there are.
    fn entries(&mut self, name: &str, number: u64, header: Header, hint: &Hint, by_logs: &Keydir) -> u64 {
        let mut listed: HashMap<u32, (u32, usize, bool)> = HashMap::new();
        let mut count = 0;
        for shard in 0..SHARDS {
            for entry in hint.part(shard) {
                count += 1;
                if listed.insert(entry.offset, (entry.len, shard, entry.is_tombstone)).is_some() {
                    self.damage(name, 0, format!("two entries for the record at {}", entry.offset));
                }
                if by_logs.shard_of(entry.key) != shard {
                    let key = quoted(entry.key, 40);
                    self.damage(name, 0, format!("the entry of {key} is in the part of another shard"));
                }
            }
        }
        let Ok(bytes) = Bytes::open(&self.dir, &filename::segment(number)) else { return count };
        let mut scan = Scan::new(bytes, header, entry::is_likely, u64::MAX);
        while let Some(piece) = scan.next_piece() {
            let frame = match piece {
                Piece::Record(frame) => frame,
                // What the segment has lost is not the hint's fault.
                Piece::Gap(gap) => {
                    listed.retain(|&offset, _| !(gap.offset..gap.end).contains(&u64::from(offset)));
                    continue;
                }
            };
            let Some(head) = entry::head(scan.bytes(), &frame) else { continue };
            let is_tombstone = head.value.is_none();
            let key = quoted(head.key, 40);
            let place = by_logs.get(head.key);
            let is_live = place.is_some_and(|p| {
                (u64::from(p.segment), u64::from(p.offset)) == (number, frame.offset) && !is_tombstone
            });
            match listed.remove(&(frame.offset as u32)) {
                Some((len, shard, flag)) => {
                    let said = (len as usize, shard, flag);
                    if said != (frame.shape.len, by_logs.shard_of(head.key), is_tombstone) {
                        let reason =
                            format!("the entry of {key} is not what the record at {} says", frame.offset);
                        self.damage(name, 0, reason);
                    }
                }
                None if is_live && self.logs_are_whole => {
                    self.damage(name, 0, format!("no entry for {key}, whose record is at {}", frame.offset));
                }
                None => {}
            }
        }
        let mut strangers: Vec<_> = listed.into_keys().collect();
        strangers.sort_unstable();
        for offset in strangers {
            self.damage(name, 0, format!("an entry for offset {offset}, where no record stands"));
        }
        count
    }
}

/// Whether a hint is what a crash may leave of one that was being written: cut, or with a sector that
/// never reached the device. A flipped bit looks like neither.
fn is_unfinished(bytes: &mut Bytes) -> bool {
    let len = bytes.len();
    // A last sector of less than four bytes may be zeros by chance: they are a part of the checksum.
    let mut sectors = (0..len).step_by(SECTOR as usize).filter(|at| len - at >= 4);
    is_cut(bytes) || sectors.any(|at| bytes.is_zero(at, (at + SECTOR).min(len)))
}

/// Whether it is shorter than its table of parts says, and it is the table that is right.
fn is_cut(bytes: &mut Bytes) -> bool {
    let table = bytes.get((FIXED - 4 * SHARDS) as u64, 4 * SHARDS);
    let lens: Vec<_> = table.as_chunks::<4>().0.iter().map(|len| u32::from_le_bytes(*len)).collect();
    let parts: u64 = lens.iter().copied().map(u64::from).sum();
    let (mut at, end) = (FIXED as u64, bytes.len().saturating_sub(4));
    while at < end {
        let key_len = bytes.get(at + 8, 2).first_chunk().map_or(0, |len| u16::from_le_bytes(*len));
        at += ENTRY as u64 + u64::from(key_len);
    }
    let missing = (FIXED as u64 + parts + 4).saturating_sub(bytes.len());
    // What ends inside of an entry is cut. Four bytes behind the end of one may stand the checksum, or what a cut
    // has left of the next entry.
    missing > 0 && (at != end || !is_table_wrong(bytes, &lens, missing))
}

/// Whether the checksum is right if one of the parts is as much shorter as bytes are missing.
fn is_table_wrong(bytes: &mut Bytes, lens: &[u32], missing: u64) -> bool {
    let head = bytes.get(0, FIXED).to_vec();
    let end = bytes.len().saturating_sub(4);
    let found = bytes.get(end, 4).first_chunk().map_or(0, |sum| u32::from_le_bytes(*sum));
    lens.iter().enumerate().any(|(shard, &len)| {
        let Some(right) = u64::from(len).checked_sub(missing) else { return false };
        let (mut head, at) = (head.clone(), FIXED - 4 * (SHARDS - shard));
        head[at..at + 4].copy_from_slice(&(right as u32).to_le_bytes());
        bytes.checksum(crc32c::crc32c(&head), FIXED as u64, end) == found
    })
}
