//! Making an empty store, and beginning a segment.

use crate::engine::bitcask::segment::{Origin, Segment, SegmentMeta, SegmentState, Shelf};
use crate::engine::claim::FIRST_LOG;
use crate::engine::filename;
use crate::engine::identity::Identity;
use crate::engine::manifest::Manifest;
use crate::error::Result;
use crate::record::writer::LogWriter;
use crate::vfs::Cause;
use crate::vfs::dir::Dir;
use std::sync::Arc;

/// Makes the files of an empty store but for its identity: a segment, and a manifest that names it.
pub fn create(dir: &Dir, identity: &Identity) -> Result<()> {
    let (_, meta) = begin_segment(dir, identity.store_id, FIRST_LOG, 1, Cause::Log)?;
    // Making the manifest syncs the directory, and with it the segment's name.
    Manifest::create(dir, identity.store_id, vec![(FIRST_LOG, meta)])?;
    Ok(())
}

/// Makes an empty segment for writers. Its header is durable, but its name is not yet.
pub fn begin_segment(
    dir: &Dir,
    store_id: u64,
    number: u64,
    first_seqno: u64,
    cause: Cause,
) -> Result<(LogWriter, SegmentMeta)> {
    let state = SegmentState::Active { durable: 0 };
    let meta = SegmentMeta { origin: Origin::Log, first_seqno, state };
    let log = LogWriter::create(dir, &filename::segment(number), meta.header(store_id, number), cause)?;
    log.file().sync()?;
    Ok((log, meta))
}

/// Makes an empty segment that is about to become the active one, durably; no edit names it yet.
pub(super) fn begin_active(
    shelf: &Arc<Shelf>,
    number: u64,
    first_seqno: u64,
    capacity: u64,
) -> Result<(LogWriter, Arc<Segment>)> {
    let begin = || begin_segment(&shelf.dir, shelf.store_id, number, first_seqno, Cause::Log);
    let (log, meta) = shelf.with_descriptor(begin)?;
    shelf.with_descriptor(|| shelf.dir.sync())?;
    let segment = Segment::active(shelf.clone(), number, &meta, log.file().clone(), capacity);
    Ok((log, Arc::new(segment)))
}
