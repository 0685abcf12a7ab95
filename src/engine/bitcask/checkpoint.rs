//! A checkpoint: a second store, equal to the first, at the price of a few links.
//!
//! The active segment is sealed, and then every live segment is one that does not change any more: the
//! second store can share it by a hard link. It gets a manifest of its own, an empty active segment of
//! its own, and last its identity file: the same store id, since checksums are salted with it.

use crate::engine::bitcask::create::begin_segment;
use crate::engine::bitcask::index::Index;
use crate::engine::bitcask::segment::{Segment, Shelf};
use crate::engine::claim::lock_empty;
use crate::engine::filename;
use crate::engine::identity::Identity;
use crate::engine::manifest::Manifest;
use crate::error::Result;
use crate::vfs::Cause;
use crate::vfs::dir::Dir;

/// Makes a store in `dir` of the sealed segments that hold only writes before `next_seqno`; the caller
/// keeps merges out. It gets the first store's `identity`, and an active segment of this number.
pub(super) fn write(
    shelf: &Shelf,
    dir: &Dir,
    index: &Index,
    number: u64,
    next_seqno: u64,
    identity: &Identity,
) -> Result<()> {
    let _lock = lock_empty(dir)?;
    let mut live = Vec::new();
    // None of them is active, and those that were begun since hold nothing that belongs here.
    let is_older = |segment: &Segment| segment.sealed().is_some_and(|sealed| sealed.last_seqno < next_seqno);
    for segment in index.view.load().by_age().iter().filter(|segment| is_older(segment)) {
        let name = filename::segment(segment.number);
        shelf.dir.link_or_copy(&name, segment.len(), dir)?;
        // There may be none, and it is never needed. Copied, since hints are written in place.
        let hint = filename::hint(segment.number);
        if let Ok(file) = shelf.dir.open(&hint, Cause::Checkpoint) {
            let _ = shelf.dir.copy(&hint, file.len(), dir, &hint);
        }
        live.push((segment.number, segment.meta()));
    }
    let (_, meta) = begin_segment(dir, shelf.store_id, number, next_seqno, Cause::Checkpoint)?;
    live.push((number, meta));
    // Making the manifest syncs the directory, and with it the names of all segments.
    Manifest::create(dir, shelf.store_id, live)?.close()?;
    identity.install(dir)
}
