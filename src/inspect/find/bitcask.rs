//! Find in Bitcask: all segments, and what hints say of the same records.

use crate::engine::bitcask::hint::Hint;
use crate::engine::bitcask::keydir::SHARDS;
use crate::engine::bitcask::segment::{Origin, SegmentMeta, SegmentState};
use crate::engine::filename::{self, FileName};
use crate::inspect::bytes::Bytes;
use crate::inspect::entry;
use crate::inspect::find::report::{Found, PREVIEW, Version};
use crate::inspect::header;
use crate::inspect::look::Look;
use crate::inspect::scan::{Groups, Member, Piece, Scan};
use crate::inspect::state::State;
use crate::record::frame::Header;
use std::cmp::Reverse;

pub(super) fn find(look: &Look, store_id: u64, key: &[u8], found: &mut Found) {
    for entry in &look.entries {
        if let Some(FileName::Segment(number)) = filename::parse(&entry.name) {
            segment(look, store_id, number, key, found);
        }
    }
    found.versions.sort_by_key(|version| Reverse(version.seqno));
    // What a get finds first is the newest removal: the others are hidden by it.
    let removals = found.versions.iter_mut().filter(|version| version.state == "tombstone");
    removals.skip(1).for_each(|version| version.state = "dead");
    for entry in &look.entries {
        if let Some(FileName::Hint(number)) = filename::parse(&entry.name) {
            hint(look, store_id, number, key, found);
        }
    }
}

fn segment(look: &Look, store_id: u64, number: u64, key: &[u8], found: &mut Found) {
    let name = filename::segment(number);
    let mut bytes = match Bytes::open(&look.dir, &name) {
        Ok(bytes) => bytes,
        Err(error) => return found.miss(error.to_string()),
    };
    let candidates = [Origin::Log, Origin::Merge].map(|o| Header { store_id, number, kind: o.log_kind() });
    let known = header::read(&mut bytes).or(look.header(number));
    let header = known.or_else(|| header::prove(&bytes, &candidates, entry::is_likely, u64::MAX));
    let Some(header) = header else {
        return found.miss(format!("{name}: no header, and no record with a right checksum"));
    };
    let durable = look.meta(number).map_or(0, SegmentMeta::durable);
    let mut scan = Scan::new(bytes, header, entry::is_likely, u64::MAX);
    let mut groups = Groups::default();
    // Records of a group count when it has its Last.
    let mut pending = Vec::new();
    while let Some(piece) = scan.next_piece() {
        let frame = match piece {
            Piece::Record(frame) => frame,
            Piece::Gap(gap) => {
                groups.cut();
                pending.clear();
                found.gap(&name, &gap, durable);
                continue;
            }
        };
        let (cut, member) = groups.take(&frame);
        if cut.is_some() || member == Member::Stray {
            pending.clear();
        }
        if let Some(head) = entry::head(scan.bytes(), &frame).filter(|head| head.key == key) {
            let state = look.state(number, frame.offset, key, head.value.is_none());
            let kind = if head.value.is_some() { "set" } else { "remove" };
            let preview = head.value.unwrap_or_default();
            let preview = preview[..preview.len().min(PREVIEW)].to_vec();
            let (seqno, value_bytes) = (Some(head.seqno), head.value_len);
            pending.push(Version {
                seqno,
                value_bytes,
                preview,
                ..Version::new(&name, frame.offset, kind, state)
            });
        }
        match member {
            Member::Completes => found.versions.append(&mut pending),
            Member::Continues => {}
            Member::Stray => pending.clear(),
        }
    }
}

/// A hint's entries stand behind what they speak of.
fn hint(look: &Look, store_id: u64, number: u64, key: &[u8], found: &mut Found) {
    let name = filename::hint(number);
    let Some(SegmentState::Sealed(sealed)) = look.meta(number).map(|meta| meta.state.clone()) else {
        return found.notes.push(format!("{name}: no live segment is known that it is the hint of"));
    };
    let hint = match Hint::load(&look.dir, store_id, number, &sealed, false) {
        Ok(hint) => hint,
        Err(reason) => return found.notes.push(format!("{name}: {reason}")),
    };
    let segment = filename::segment(number);
    for entry in (0..SHARDS).flat_map(|shard| hint.part(shard)).filter(|entry| entry.key == key) {
        let offset = u64::from(entry.offset);
        let is_it = |version: &&Version| version.file == segment && version.offset == offset;
        let version = match found.versions.iter().find(is_it).cloned() {
            Some(record) => Version { file: name.clone(), kind: "hint", preview: Vec::new(), ..record },
            None => Version::new(&name, offset, "hint", State::Unknown),
        };
        found.versions.push(version);
    }
}
