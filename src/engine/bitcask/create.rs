//! Making an empty store.

use crate::engine::bitcask::segment::{Origin, SegmentMeta, SegmentState};
use crate::engine::claim::FIRST_LOG;
use crate::engine::filename;
use crate::engine::identity::Identity;
use crate::engine::manifest::Manifest;
use crate::error::Result;
use crate::record::writer::LogWriter;
use crate::vfs::Cause;
use crate::vfs::dir::Dir;

/// Makes an empty store. The identity file comes last: until it is there, the next attempt begins
/// again.
pub fn create(dir: &Dir, engine: &str, store_id: Option<u64>) -> Result<Identity> {
    let identity = Identity::new(engine, store_id);
    let state = SegmentState::Active { durable: 0 };
    let meta = SegmentMeta { origin: Origin::Log, first_seqno: 1, state };
    let header = meta.header(identity.store_id, FIRST_LOG);
    let log = LogWriter::create(dir, &filename::segment(FIRST_LOG), header, Cause::Log)?;
    log.file().sync()?;
    // Making the manifest syncs the directory, and with it the segment's name.
    Manifest::create(dir, identity.store_id, vec![(FIRST_LOG, meta)])?;
    identity.install(dir)?;
    Ok(identity)
}
