//! The hints that a clean close writes: for sealed segments that have none.
//!
//! A merge writes the hints of its outputs at once. Segments that writers filled get theirs at close,
//! when everything is durable; so a byte that is overwritten soon is not written a second time.

use crate::engine::batch::Op;
use crate::engine::bitcask::hint::{HintBuilder, HintEntry};
use crate::engine::bitcask::index::Index;
use crate::engine::bitcask::keydir::Keydir;
use crate::engine::bitcask::keydir::place::Place;
use crate::engine::bitcask::replay::replay;
use crate::engine::bitcask::segment::{Segment, Shelf};
use crate::engine::event::Event;
use crate::engine::filename;
use crate::error::Result;
use crate::vfs::Cause;

/// Writes the hints that are missing or were of no use. Everything that was written must be durable.
/// Reads each such segment once.
pub fn write_missing(shelf: &Shelf, index: &Index) -> Result<()> {
    let entries = shelf.dir.list()?.unwrap_or_default();
    for segment in index.view.load().segments() {
        let name = filename::hint(segment.number);
        let is_missing = !entries.iter().any(|entry| entry.name == name) || segment.is_hint_refused();
        let Some(sealed) = segment.sealed().filter(|_| is_missing) else { continue };
        match collect(shelf, &index.keydir, segment) {
            Ok(hint) => hint.write_if_possible(shelf, segment.number, sealed),
            // The next opening reads the segment itself, and finds the damage if there is any.
            Err(error) => {
                shelf.listener.tell(Event::BackgroundFailed { reason: format!("{name}: {error}") });
            }
        }
    }
    Ok(())
}

/// The hint of a segment: what the keydir still points to, and tombstones of keys that are not there.
fn collect(shelf: &Shelf, keydir: &Keydir, segment: &Segment) -> Result<HintBuilder> {
    let mut hint = HintBuilder::default();
    replay(shelf, segment, Cause::Hint, |entry, place| {
        let key = entry.op.key();
        let is_tombstone = matches!(entry.op, Op::Remove(_));
        let is_needed = match keydir.get(key) {
            Some(current) => current == place,
            None => is_tombstone,
        };
        if is_needed {
            let Place { offset, len, .. } = place;
            hint.add(keydir.shard_of(key), HintEntry { key, offset, len, is_tombstone });
        }
        Ok(())
    })?;
    Ok(hint)
}
