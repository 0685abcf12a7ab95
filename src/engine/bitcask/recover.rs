//! Opening: from the files of a directory to a keydir. Every opening is a recovery.
//!
//! 1. The identity file says whose directory it is; the manifest says which segments are live.
//! 2. Every live segment must be there with its length: a missing one is damage, not an empty store.
//! 3. From the oldest segment to the newest, the keydir is filled: from the hint if there is a sound
//!    one, else from the log itself. Only the active segment's tail may be torn.
//! 4. What was read is made durable before anything is built on it: a killed process may have left it
//!    with the system only.
//! 5. What no manifest names is left over from a crash, and removed.
//!
//! A directory that is opened for reading is not changed: a torn tail is skipped in memory.

use crate::engine::batch::Op;
use crate::engine::bitcask::hint::Hint;
use crate::engine::bitcask::keydir::place::Place;
use crate::engine::bitcask::keydir::{Keydir, SHARDS};
use crate::engine::bitcask::segment::{
    DELETE, Entry, Origin, SET, Segment, SegmentMeta, SegmentState, Shelf,
};
use crate::engine::event::{Event, Listener};
use crate::engine::filename::{self, FileName, MANIFEST};
use crate::engine::manifest::{self, Files};
use crate::error::{Error, Result};
use crate::record::frame::Header;
use crate::record::reader::{End, LogReader};
use crate::vfs::Cause;
use crate::vfs::dir::{Dir, File};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A store as it was found.
#[derive(Debug)]
pub struct Recovered {
    /// The keys.
    pub keydir: Keydir,
    /// The live segments but the active one, sealed all.
    pub sealed: Vec<Arc<Segment>>,
    /// The active one.
    pub active: FoundActive,
    /// The manifest as it was read.
    pub manifest: manifest::Read<SegmentMeta>,
    /// The highest sequence number that was found.
    pub last_seqno: u64,
    /// Names of files that nobody needs.
    pub leftovers: Vec<String>,
}

/// The active segment as it was found.
#[derive(Debug)]
pub struct FoundActive {
    /// The segment; its file is open for appending, or for reading.
    pub segment: Arc<Segment>,
    /// Its file.
    pub file: File,
    /// Where its last whole group ends.
    pub end: u64,
    /// What stands behind that.
    pub how: End,
    /// Whether it was closed in an orderly way, and so is known to be durable as a whole.
    pub closed: bool,
    /// How much of it is known to be durable.
    pub synced: u64,
}

/// No store gets so far: at a billion writes a second it would take 290 years.
const MAX_SEQNO: u64 = u64::MAX >> 1;

/// Whether the caller may append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To go on writing.
    Write,
    /// To look.
    Read,
}

/// Reads the store in the shelf's directory. Changes nothing on the disk.
pub fn recover(shelf: &Arc<Shelf>, hints: bool, purpose: Purpose, segment_bytes: u64) -> Result<Recovered> {
    let dir = &shelf.dir;
    let manifest = manifest::read::<SegmentMeta>(dir, shelf.store_id)?;
    let leftovers = check_files(shelf, &manifest.files)?;
    let keydir = Keydir::new(shelf.store_id);
    let mut segments = Vec::new();
    // With this, every live number is below it.
    let next_number = manifest.files.next_number;
    if next_number > u64::from(u32::MAX) + 1 {
        return Err(Error::corruption(&dir.join(MANIFEST), 0, format!("segment number {next_number}")));
    }
    for (&number, meta) in &manifest.files.live {
        segments.push((meta, number));
    }
    segments.sort_by_key(|(meta, number)| (meta.first_seqno, *number));
    let Some(((active_meta, active_number), sealed)) = segments.split_last() else {
        return Err(Error::corruption(&dir.join(MANIFEST), 0, "no live segment"));
    };
    let SegmentState::Active { durable } = active_meta.state else {
        return Err(Error::corruption(&dir.join(MANIFEST), 0, "the newest segment is sealed"));
    };
    let mut loader = Loader { shelf, keydir: &keydir, found: BTreeMap::new(), last_seqno: 0 };
    let sealed = loader.load_sealed(sealed, hints)?;
    let active = loader.load_active(active_meta, *active_number, durable, purpose, segment_bytes)?;
    let last_seqno = loader.last_seqno.max(active_meta.first_seqno.saturating_sub(1));
    if last_seqno > MAX_SEQNO {
        return Err(Error::corruption(&dir.join(MANIFEST), 0, format!("sequence number {last_seqno}")));
    }
    Ok(Recovered { keydir, sealed, active, manifest, last_seqno, leftovers })
}

/// Whether every live file is there; and which files are left over.
fn check_files(shelf: &Shelf, files: &Files<SegmentMeta>) -> Result<Vec<String>> {
    let dir = &shelf.dir;
    let present = dir.files()?;
    let lens: BTreeMap<&str, u64> = present.iter().map(|entry| (&entry.name[..], entry.len)).collect();
    for (&number, meta) in &files.live {
        let name = filename::segment(number);
        let path = dir.join(&name);
        match (lens.get(&name[..]), &meta.state) {
            (None, _) => {
                return Err(Error::corruption(&path, 0, "the manifest names this file, but it is missing"));
            }
            (Some(&len), SegmentState::Sealed(sealed)) if len != sealed.len => {
                let wanted = sealed.len;
                return Err(Error::corruption(&path, len.min(wanted), format!("{len} bytes, not {wanted}")));
            }
            _ => {}
        }
    }
    let mut leftovers = Vec::new();
    for entry in &present {
        match filename::parse(&entry.name) {
            Some(FileName::Segment(number)) if !files.live.contains_key(&number) => {
                check_leftover(shelf, files, number)?;
                leftovers.push(entry.name.clone());
            }
            Some(FileName::Hint(number)) if !files.live.contains_key(&number) => {
                leftovers.push(entry.name.clone());
            }
            Some(FileName::Temporary) => leftovers.push(entry.name.clone()),
            _ => {}
        }
    }
    Ok(leftovers)
}

/// A segment that no edit names may be removed, unless it proves that an edit is missing.
fn check_leftover(shelf: &Shelf, files: &Files<SegmentMeta>, number: u64) -> Result<()> {
    match lacks_edit_of(&shelf.dir, shelf.store_id, files, number)? {
        false => Ok(()),
        true => Err(Error::corruption(
            &shelf.dir.join(MANIFEST),
            0,
            format!("an edit is missing: segment {number} holds records, but nothing names it"),
        )),
    }
}

/// Whether a segment that no edit names proves that an edit is missing. What a merge wrote proves nothing, nor does
/// a segment that was just begun.
pub fn lacks_edit_of(dir: &Dir, store_id: u64, files: &Files<SegmentMeta>, number: u64) -> Result<bool> {
    let is_active = |meta: &SegmentMeta| matches!(meta.state, SegmentState::Active { .. });
    let active = files.live.iter().filter(|(_, meta)| is_active(meta)).map(|(number, _)| *number).max();
    let header = Header { store_id, number, kind: Origin::Log.log_kind() };
    files.lacks_edit_of(dir, &filename::segment(number), header, &[SET, DELETE], active)
}

/// Removes what is left over from a crash. What can not be removed now is harmless, and tried again
/// next time.
pub fn remove_leftovers(shelf: &Shelf, leftovers: &[String]) {
    for name in leftovers {
        let path = shelf.dir.join(name);
        shelf.listener.tell(match shelf.dir.remove(name) {
            Ok(()) => Event::Removed { path },
            Err(error) => Event::NotRemoved { path, reason: error.to_string() },
        });
    }
}

/// Hints that are loaded together: the more, the fewer walks through the keydir; each takes a descriptor.
const HINTS_AT_ONCE: usize = 32;

struct Loader<'a> {
    shelf: &'a Arc<Shelf>,
    keydir: &'a Keydir,
    found: BTreeMap<u32, Arc<Segment>>,
    last_seqno: u64,
}

impl Loader<'_> {
    /// Fills the keydir from the sealed segments, oldest first.
    fn load_sealed(&mut self, sealed: &[(&SegmentMeta, u64)], hints: bool) -> Result<Vec<Arc<Segment>>> {
        let (mut from_hints, mut from_logs) = (0, 0);
        let mut segments = Vec::new();
        let mut row = Vec::new();
        for (meta, number) in sealed {
            let SegmentState::Sealed(facts) = &meta.state else {
                let path = self.shelf.dir.join(MANIFEST);
                return Err(Error::corruption(
                    &path,
                    0,
                    format!("segment {number} is active, but not the newest"),
                ));
            };
            if facts.last_seqno.saturating_add(1) < meta.first_seqno || meta.first_seqno <= self.last_seqno {
                let path = self.shelf.dir.join(MANIFEST);
                return Err(Error::corruption(&path, 0, format!("segment {number} overlaps an older one")));
            }
            self.last_seqno = facts.last_seqno;
            let segment = Arc::new(Segment::new(self.shelf.clone(), *number, meta));
            self.found.insert(*number as u32, segment.clone());
            segments.push(segment.clone());
            let hint = match hints {
                true => {
                    let Shelf { dir, store_id, mmap, .. } = &**self.shelf;
                    Hint::load(dir, *store_id, *number, facts, *mmap)
                }
                false => Err("hints are off".into()),
            };
            match hint {
                Ok(hint) => {
                    from_hints += 1;
                    row.push((segment, hint));
                    // Each keeps its file open.
                    if row.len() >= HINTS_AT_ONCE {
                        self.load_hints(&std::mem::take(&mut row));
                    }
                }
                Err(reason) => {
                    from_logs += 1;
                    segment.refuse_hint();
                    let path = self.shelf.dir.join(&filename::hint(*number));
                    self.shelf.listener.tell(Event::HintRefused { path, reason });
                    self.load_hints(&std::mem::take(&mut row));
                    self.load_log(&segment, facts.len)?;
                }
            }
        }
        self.load_hints(&row);
        self.shelf.listener.tell(Event::Loaded { from_hints, from_logs });
        Ok(segments)
    }

    /// Loads several hints, shard by shard: all that belongs to one shard while it is in the cache.
    fn load_hints(&self, row: &[(Arc<Segment>, Hint)]) {
        if row.is_empty() {
            return;
        }
        for (segment, hint) in row {
            segment.add_tombstone(u32::try_from(hint.tombstone_bytes).unwrap_or(u32::MAX));
        }
        for shard in 0..SHARDS {
            let mut keys = self.keydir.lock_shard(shard);
            keys.reserve(
                row.iter().map(|(_, hint)| hint.part(shard).filter(|e| !e.is_tombstone).count()).sum(),
            );
            for (segment, hint) in row {
                for entry in hint.part(shard) {
                    let old = match entry.is_tombstone {
                        true => keys.remove(entry.key),
                        false => {
                            segment.add_live(entry.len);
                            keys.set(entry.key, entry.place(segment.number))
                        }
                    };
                    self.forget(old);
                }
            }
        }
    }

    /// Reads a whole segment that must be sound.
    fn load_log(&mut self, segment: &Arc<Segment>, len: u64) -> Result<()> {
        let file = self.shelf.dir.open(&filename::segment(segment.number), Cause::Recovery)?;
        if self.shelf.mmap {
            file.map(len);
        }
        let mut reader = LogReader::open(&file, len, segment.header())?;
        self.apply(&mut reader, segment, &file)?;
        reader.damage().map_or(Ok(()), Err)
    }

    /// Applies every record of a log to the keydir.
    fn apply(&mut self, reader: &mut LogReader<'_>, segment: &Arc<Segment>, file: &File) -> Result<()> {
        while let Some((offset, record)) = reader.next_record()? {
            let entry = Entry::decode(&record)
                .ok_or_else(|| file.corruption(offset, "a valid record that is neither set nor delete"))?;
            if entry.seqno < segment.first_seqno {
                return Err(file.corruption(offset, "a record older than its segment"));
            }
            self.last_seqno = self.last_seqno.max(entry.seqno);
            let place =
                Place { segment: segment.number as u32, offset: offset as u32, len: record.len as u32 };
            let old = match entry.op {
                Op::Set(key, _) => {
                    segment.add_live(place.len);
                    self.keydir.set(key, place)
                }
                Op::Remove(key) => {
                    segment.add_tombstone(place.len);
                    self.keydir.remove(key)
                }
            };
            self.forget(old);
        }
        Ok(())
    }

    /// The bytes at a place that was replaced are garbage.
    fn forget(&self, old: Option<Place>) {
        if let Some(old) = old
            && let Some(segment) = self.found.get(&old.segment)
        {
            segment.sub_live(old.len);
        }
    }

    fn load_active(
        &mut self,
        meta: &SegmentMeta,
        number: u64,
        durable: u64,
        purpose: Purpose,
        segment_bytes: u64,
    ) -> Result<FoundActive> {
        let name = filename::segment(number);
        let file = match purpose {
            Purpose::Write => self.shelf.dir.append(&name, Cause::Log)?,
            Purpose::Read => self.shelf.dir.open(&name, Cause::Log)?,
        };
        let capacity = file.len().max(segment_bytes);
        let segment = Segment::active(self.shelf.clone(), number, meta, file.clone(), capacity);
        let segment = Arc::new(segment);
        self.found.insert(number as u32, segment.clone());
        let mut reader = LogReader::open(&file, file.len(), segment.header())?;
        self.apply(&mut reader, &segment, &file)?;
        let how = reader.end(durable)?;
        let (end, closed, synced) = (reader.position(), reader.is_closed(), reader.synced().max(durable));
        if how == End::Torn {
            tell_torn(&self.shelf.listener, &file, end);
        }
        Ok(FoundActive { segment, file, end, how, closed, synced })
    }
}

fn tell_torn(listener: &Listener, file: &File, end: u64) {
    let path = file.path().to_path_buf();
    listener.tell(Event::TornTail { path, offset: end, dropped_bytes: file.len() - end });
}
