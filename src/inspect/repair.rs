//! Repair: copies everything of a damaged store whose checksum is right into a new one. The original is
//! never touched.
//!
//! 1. Whose store it is: the identity file says it, or else the headers of its logs, each of which
//!    carries the store's id.
//! 2. Which segments: those that the manifest names, if all of it can be read and nothing proves that it
//!    lacks an edit. Else every segment that is there, for what is live is not known then. What the manifest does
//!    not name is read only where the output of a merge is damaged, or a live segment is missing, cut or overwritten:
//!    it may hold what that has lost. A file in the place of another is read as what its header says, and whether
//!    the other one was read anywhere is asked in the end.
//! 3. Each is read to its end, on behind damage, by trying every offset. A record that was written as a
//!    part of a batch counts only with all of its batch.
//! 4. Of each key the record with the highest sequence number wins, removals included, wherever it
//!    stands.
//! 5. The hint of a segment with holes knows what stood in them: removals are respected, and keys whose
//!    newest value is lost are named.
//! 6. What is left goes into a new store, through the engine's own door; it gets its name when all is there.
//!
//! Of an LSM tree (`tree`) the same is done in one pass over its tables and logs, in the order of their
//! keys: a sequence number says which entry of a key is the newest, whatever level it is in.
//!
//! What it can not know: where no hint helps, a damaged place may have held newer values, or removals, of keys whose older
//! values are whole. Those come back. The report says so.

mod hints;
pub mod report;
mod salvage;
mod sources;
mod tree;

use crate::engine::KvsEngine;
use crate::engine::batch::WriteBatch;
use crate::engine::bitcask::options::BitcaskOptions;
use crate::engine::bitcask::{self, Bitcask};
use crate::engine::filename;
use crate::engine::kind::EngineKind;
use crate::engine::migrate::unfinished::{build, check};
use crate::engine::options::{OpenOptions, WriteOptions};
use crate::error::{Error, Result};
use crate::inspect::access::may_read;
use crate::inspect::header;
use crate::inspect::repair::report::Report;
use crate::inspect::repair::salvage::Salvage;
use crate::inspect::repair::sources::Sources;
use crate::inspect::text::count;
use crate::vfs::dir::Dir;
use crate::vfs::{LockMode, Vfs};
use crate::worker::Schedule;
use std::path::Path;
use std::sync::Arc;

/// A batch of the new store is written when it has so many bytes.
const BATCH_BYTES: usize = 1 << 20;

/// Saves what is whole of the store at `source` into a new store at `dest`, which must be missing or
/// empty, or what a repair that was killed has left: until all is there, `dest` is no store. Needs memory for every
/// key, as opening does.
///
/// # Errors
/// [`Error::Corruption`] if there is damage and nothing that can be saved; [`Error::NoStore`] if there is
/// no store; [`Error::Locked`] while somebody writes to it; [`Error::Io`] if one of its files may not be read;
/// [`Error::InvalidArgument`] for a `dest` that is not empty, or inside of `source`.
pub fn repair(disk: Arc<dyn Vfs>, source: &Path, dest: &Path) -> Result<Report> {
    let dir = Dir::new(disk.clone(), source);
    if dir.list()?.is_none() {
        return Err(Error::NoStore { path: source.to_path_buf() });
    }
    let _lock = dir.lock(LockMode::Shared)?;
    let entries = dir.list()?.unwrap_or_default();
    may_read(&dir, &entries)?;
    let engine = match header::identity(&dir, &entries)? {
        Ok(identity) => identity.engine.parse()?,
        Err(_) if entries.iter().all(|entry| filename::parse(&entry.name).is_none()) => {
            return Err(Error::NoStore { path: source.to_path_buf() });
        }
        Err(_) => header::likely_engine(&dir, &entries),
    };
    check_dest(&disk, source, dest)?;
    match engine {
        EngineKind::Lsm => tree::repair(disk, dir, dest),
        EngineKind::Bitcask | EngineKind::Memory => repair_bitcask(disk, dir, dest),
    }
}

fn repair_bitcask(disk: Arc<dyn Vfs>, dir: Dir, dest: &Path) -> Result<Report> {
    let source = dir.path().to_path_buf();
    let source = &*source;
    let mut sources = Sources::find(&dir)?;
    let mut salvage = Salvage::new(dir, &sources.live);
    sources.live.iter().for_each(|segment| salvage.read(segment));
    let (strays, leftovers): (Vec<_>, Vec<_>) =
        sources.leftovers.iter().partition(|segment| salvage.is_stray(segment));
    strays.into_iter().for_each(|segment| salvage.read(segment));
    if salvage.wants_more() && !leftovers.is_empty() {
        // What a merge has replaced may still hold what its output has lost; and where a file is gone that was live,
        // the manifest itself may be an old one.
        let segments = count(leftovers.len() as u64, "segment");
        sources.notes.push(format!(
            "{segments} that the manifest does not name were read as well, because of the losses: keys that \
             were removed before a merge may be there again"
        ));
        leftovers.into_iter().for_each(|segment| salvage.read(segment));
    }
    salvage.miss();
    if salvage.saved.records == 0 && !(salvage.lost.is_empty() && sources.is_known) {
        return Err(Error::corruption(source, 0, nothing(&salvage)));
    }
    sources.live.iter().for_each(|segment| salvage.ask_hint(segment));
    build(&disk, dest, |disk| write(&create(disk, dest)?, &mut salvage))?;
    Ok(report(source, dest, sources, salvage))
}

fn nothing(salvage: &Salvage) -> String {
    let first =
        salvage.lost.first().map(|lost| format!(": {} at {}: {}", lost.path, lost.offset, lost.reason));
    format!("nothing can be saved: no record with a right checksum{}", first.unwrap_or_default())
}

/// Whether `dest` can become a store without touching the source.
fn check_dest(disk: &Arc<dyn Vfs>, source: &Path, dest: &Path) -> Result<()> {
    let real = |path| disk.real_path(path).map_err(|error| Error::io("find", path, error));
    if real(dest)?.starts_with(real(source)?) {
        let path = dest.display();
        return Err(Error::invalid(format!("{path}: inside of the damaged store; name another directory")));
    }
    check(disk, dest)
}

fn create(disk: Arc<dyn Vfs>, dest: &Path) -> Result<Bitcask> {
    let open = OpenOptions { disk, schedule: Schedule::Manual, ..OpenOptions::default() };
    Bitcask::open(dest, open, BitcaskOptions::default())
}

/// Writes the newest value of each key, in the order in which they stand in the source.
fn write(store: &Bitcask, salvage: &mut Salvage) -> Result<()> {
    let mut batch = WriteBatch::new();
    for (key, place) in salvage.survivors() {
        let Some(value) = salvage.value(&key, place) else { continue };
        salvage.saved.keys += 1;
        salvage.saved.bytes += (key.len() + value.len()) as u64;
        if !batch.is_empty() && batch.byte_len() + value.len() > BATCH_BYTES {
            store.write(std::mem::take(&mut batch), &WriteOptions::default())?;
        }
        batch.set(&key, &value);
    }
    store.write(batch, &WriteOptions::default())?;
    store.sync()
}

fn report(source: &Path, dest: &Path, sources: Sources, salvage: Salvage) -> Report {
    let mut notes = sources.notes;
    notes.extend(salvage.notes);
    if salvage.unnamed > 0 {
        notes.push(format!("{} lost a value beside those named", count(salvage.unnamed, "more key")));
    }
    if !salvage.lost.is_empty() {
        notes.push(
            "what was lost may have been newer values or removals: of their keys the older values, if any, \
             are there instead"
                .into(),
        );
    }
    Report {
        source: source.display().to_string(),
        dest: dest.display().to_string(),
        engine: bitcask::NAME.into(),
        saved: salvage.saved,
        lost: salvage.lost,
        is_sure: sources.is_known,
        keys: salvage.keys,
        notes,
    }
}
