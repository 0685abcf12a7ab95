//! Making an empty store, and when that must not be done.

use crate::engine::bitcask::segment::{Origin, SegmentMeta, SegmentState};
use crate::engine::filename::{self, FileName, MANIFEST};
use crate::engine::identity::Identity;
use crate::engine::manifest::{self, Manifest};
use crate::error::{Error, Result};
use crate::record::frame::{HEADER_LEN, Header};
use crate::record::writer::LogWriter;
use crate::vfs::Cause;
use crate::vfs::dir::Dir;

/// Makes an empty store. The identity file comes last: until it is there, the next attempt begins
/// again.
pub fn create(dir: &Dir, engine: &str, store_id: Option<u64>) -> Result<Identity> {
    may_create(dir)?;
    let identity = Identity::new(engine, store_id);
    let state = SegmentState::Active { durable: 0 };
    let meta = SegmentMeta { origin: Origin::Log, first_seqno: 1, state };
    let header = meta.header(identity.store_id, FIRST_SEGMENT);
    let log = LogWriter::create(dir, &filename::segment(FIRST_SEGMENT), header, Cause::Log)?;
    log.file().sync()?;
    // Making the manifest syncs the directory, and with it the segment's name.
    Manifest::create(dir, identity.store_id, vec![(FIRST_SEGMENT, meta)])?;
    identity.install(dir)?;
    Ok(identity)
}

/// Whether a directory without an identity file may become a store: nothing in it is ours that could
/// hold data. A half-made store is; somebody's store whose identity file was lost is not.
pub fn may_create(dir: &Dir) -> Result<()> {
    for entry in dir.list()?.unwrap_or_default() {
        let data = match filename::parse(&entry.name) {
            // A half-made store has one segment with at most its header in it.
            Some(FileName::Segment(number)) => number != FIRST_SEGMENT || entry.len > HEADER_LEN,
            Some(FileName::Wal(_) | FileName::Table(_) | FileName::Hint(_)) => true,
            // Written by our creation, or by another program; ours begins with our header.
            Some(FileName::Manifest) => !is_our_manifest(dir, entry.len)?,
            _ => false,
        };
        if data {
            let reason = "it looks like a store's file, but the directory has no identity file (ENGINE); \
                          use an empty directory, or kvs repair";
            return Err(Error::corruption(&dir.join(&entry.name), 0, reason));
        }
    }
    Ok(())
}

/// The number of a new store's first segment.
pub const FIRST_SEGMENT: u64 = 1;

fn is_our_manifest(dir: &Dir, len: u64) -> Result<bool> {
    let file = dir.open(MANIFEST, Cause::Recovery)?;
    let mut head = vec![0; len.min(HEADER_LEN) as usize];
    file.read_exact_at(&mut head, 0)?;
    Ok(Header::decode(&head).is_some_and(|header| header.kind == manifest::LOG_KIND && header.number == 1))
}
