//! Which files are live: an append-only log of edits, each of which adds and removes files as one
//! step. Both engines use it, each with its own description `F` of a file.
//!
//! ```text
//! MANIFEST := log header, then records of kind 1: bincode(Edit<F>)
//! Edit<F>  := next_number:u64 add:[(number:u64, F)] remove:[number:u64]
//! ```
//!
//! The log stores what changed, not the commands that changed it, so that recovery needs no policy. An
//! edit is synced before it is installed: what memory says is live is live on the disk too. The first
//! edit of a log adds everything that is live; when the edits outgrow what is live, the log is
//! replaced, atomically, by one with that first edit alone. Its header's number counts these
//! replacements.
//!
//! Recovery reads all edits. The last one may be torn: then it was never installed. That a *durable*
//! edit was cut off is noticed by what it named: a log that no edit names, which is younger than the newest that
//! one does, and which holds records, was made live by an edit that is gone ([`Files::lacks_edit_of`]).
//!
//! Idea and name are LevelDB's; there, a `CURRENT` file points to the newest of several manifests. One
//! file and an atomic rename do the same with one thing less to go wrong.

use crate::engine::filename::MANIFEST;
use crate::error::{Error, Result};
use crate::record::frame::{CLOSE, HEADER_LEN, Header, Part};
use crate::record::reader::{End, LogReader, checksum, holds_record};
use crate::record::writer::LogWriter;
use crate::vfs::Cause;
use crate::vfs::dir::{Dir, Replacement};
use bincode::Options;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;

/// The log kind of a manifest.
pub const LOG_KIND: u32 = 1;

/// The record kind of an edit.
pub const EDIT: u8 = 1;

/// A manifest is replaced when it is larger than this, and four times what a fresh one would be.
const REPLACE_AT_BYTES: u64 = 16 << 10;

/// One step: these files are live from now on, and these are not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit<F> {
    /// Numbers from here on have never been given to a file that is or was live.
    pub next_number: u64,
    /// Files that are live from now on, or are described anew.
    pub add: Vec<(u64, F)>,
    /// Files that are not live any more.
    pub remove: Vec<u64>,
}

impl<F> Default for Edit<F> {
    fn default() -> Edit<F> {
        Edit { next_number: 0, add: Vec::new(), remove: Vec::new() }
    }
}

/// Little-endian, fixed width; never reads beyond the slice, and wants all of it.
fn coding() -> impl Options {
    bincode::options().with_fixint_encoding().with_little_endian().reject_trailing_bytes()
}

impl<F: Serialize + DeserializeOwned> Edit<F> {
    /// The edit's bytes. [`Edit::decode`] reads them.
    pub fn encode(&self) -> Vec<u8> {
        coding().serialize(self).expect("writing plain data to memory can not fail")
    }

    /// Reads an edit from bytes whose checksum has been found right. No length in them is believed
    /// beyond their end.
    pub fn decode(bytes: &[u8]) -> Option<Edit<F>> {
        coding().with_limit(bytes.len() as u64).deserialize(bytes).ok()
    }
}

/// What a manifest says.
#[derive(Clone, Debug)]
pub struct Files<F> {
    /// The live files by number.
    pub live: BTreeMap<u64, F>,
    /// Numbers from here on have never been given to a live file.
    pub next_number: u64,
}

impl<F> Default for Files<F> {
    /// What a manifest says before its first edit.
    fn default() -> Files<F> {
        Files { live: BTreeMap::new(), next_number: 1 }
    }
}

impl<F: Clone> Files<F> {
    /// Takes an edit in; says in words why it can not be, if so.
    pub fn apply(&mut self, edit: &Edit<F>) -> std::result::Result<(), String> {
        for number in &edit.remove {
            if self.live.remove(number).is_none() {
                return Err(format!("an edit removes file {number}, which is not live"));
            }
        }
        for (number, file) in &edit.add {
            self.live.insert(*number, file.clone());
            self.next_number = self.next_number.max(number.saturating_add(1));
        }
        self.next_number = self.next_number.max(edit.next_number);
        Ok(())
    }

    /// Whether a log that is not live proves that an edit is missing: writers append to a log only when its edit is
    /// durable. `kinds` are those of its records, `newest` is the number of the newest live one. Older logs were live
    /// once, and nobody needs them; numbers of logs are taken in their order. Not so their edits: another file's may
    /// be applied in between, so that [`Files::next_number`] proves nothing, except where no log is live.
    pub fn lacks_edit_of(
        &self,
        dir: &Dir,
        name: &str,
        log: Header,
        kinds: &[u8],
        newest: Option<u64>,
    ) -> Result<bool> {
        match newest {
            Some(newest) if log.number <= newest => Ok(false),
            None if log.number < self.next_number => Ok(false),
            _ => holds_record(&dir.open(name, Cause::Recovery)?, log, kinds),
        }
    }

    /// The one edit that says all of it.
    fn snapshot(&self) -> Edit<F> {
        let add = self.live.iter().map(|(number, file)| (*number, file.clone())).collect();
        Edit { next_number: self.next_number, add, remove: Vec::new() }
    }
}

/// How a manifest was read.
#[derive(Debug)]
pub struct Read<F> {
    /// What it says.
    pub files: Files<F>,
    /// Where its last whole edit ends.
    pub end: u64,
    /// How it ends.
    pub how: End,
    /// Whether it was closed in an orderly way.
    closed: bool,
    /// How much of it is known to be durable.
    synced: u64,
    header: Header,
}

/// Reads the directory's manifest, changing nothing. A missing one is damage: without it nobody can say
/// which files are live.
pub fn read<F: Serialize + DeserializeOwned + Clone>(dir: &Dir, store_id: u64) -> Result<Read<F>> {
    let file = dir.open(MANIFEST, Cause::Recovery).map_err(|error| missing(dir, error))?;
    let mut head = [0; HEADER_LEN as usize];
    file.read_exact_at(&mut head, 0)?;
    // The number counts replacements: only the file itself knows it.
    let number = Header::decode(&head).map_or(0, |header| header.number);
    let header = Header { store_id, number, kind: LOG_KIND };
    let mut reader = LogReader::open(&file, file.len(), header)?;
    let mut files = Files::default();
    let mut is_begun = false;
    while let Some((offset, record)) = reader.next_record()? {
        let edit = (record.kind == EDIT).then(|| Edit::decode(record.payload)).flatten();
        let edit = edit.ok_or_else(|| file.corruption(offset, "a valid record that is no edit"))?;
        files.apply(&edit).map_err(|reason| file.corruption(offset, reason))?;
        is_begun = true;
    }
    let how = reader.end(0)?;
    if !is_begun {
        // A manifest comes into being whole, by an atomic replace.
        return Err(file.corruption(HEADER_LEN, "the manifest's first edit is missing"));
    }
    Ok(Read {
        files,
        end: reader.position(),
        how,
        closed: reader.is_closed(),
        synced: reader.synced(),
        header,
    })
}

fn missing(dir: &Dir, error: Error) -> Error {
    match &error {
        Error::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
            Error::corruption(&dir.join(MANIFEST), 0, "the manifest is missing")
        }
        _ => error,
    }
}

/// The manifest of an open store.
#[derive(Debug)]
pub struct Manifest<F> {
    dir: Dir,
    header: Header,
    log: LogWriter,
    files: Files<F>,
    /// Bytes of a fresh manifest, when this one was begun.
    fresh_bytes: u64,
}

impl<F: Serialize + DeserializeOwned + Clone> Manifest<F> {
    /// Makes the manifest of a new store, with these files live. Durable when it returns.
    pub fn create(dir: &Dir, store_id: u64, live: Vec<(u64, F)>) -> Result<Manifest<F>> {
        let mut files = Files::default();
        let edit = Edit { add: live, ..Edit::default() };
        files.apply(&edit).map_err(Error::InvalidArgument)?;
        let new = dir.begin_replacement(MANIFEST, Cause::Manifest)?;
        Manifest::put(dir, new, Header { store_id, number: 1, kind: LOG_KIND }, files)
    }

    /// Goes on with a manifest that was read. A torn edit is cut off; then everything that was read
    /// is made durable, before anything is done that builds on it: a process that was killed may have
    /// left its last edit, or the name of a new manifest, with the system only, and one whose sync failed may
    /// have left an edit that no sync takes along unless it is written again.
    pub fn resume(dir: &Dir, read: Read<F>) -> Result<Manifest<F>> {
        let Read { files, end, how, closed, mut synced, header } = read;
        let file = dir.append(MANIFEST, Cause::Manifest)?;
        if how != End::Clean {
            file.truncate(end)?;
        }
        file.write_again(synced)?;
        // Edits that a `Close` stands behind were synced, each in its turn.
        if how != End::Clean || !closed {
            file.sync()?;
            synced = end;
        }
        dir.sync()?;
        let sum = checksum(&file, end)?;
        let mut log = LogWriter::resume(file, header, sum);
        // So the next edit vouches for those that were found.
        log.note_synced(synced);
        let fresh_bytes = HEADER_LEN + files.snapshot().encode().len() as u64;
        Ok(Manifest { dir: dir.clone(), header, log, files, fresh_bytes })
    }

    /// Writes a manifest with one edit and puts it in place.
    fn put(dir: &Dir, new: Replacement, header: Header, files: Files<F>) -> Result<Manifest<F>> {
        let mut bytes = header.encode().to_vec();
        let payload = files.snapshot().encode();
        let record = (EDIT, Part::Full);
        crate::record::frame::encode(&mut bytes, header.salt(), HEADER_LEN, record, None, &[&payload]);
        new.finish(&bytes)?;
        let file = dir.append(MANIFEST, Cause::Manifest)?;
        let fresh_bytes = bytes.len() as u64;
        let mut log = LogWriter::resume(file, header, crc32c::crc32c(&bytes));
        log.note_synced(fresh_bytes);
        Ok(Manifest { dir: dir.clone(), header, log, files, fresh_bytes })
    }

    /// Applies an edit: durable when this returns. After an error the store must not go on: whether
    /// the edit is in the file is unknown.
    pub fn apply(&mut self, mut edit: Edit<F>) -> Result<()> {
        self.files.apply(&edit).map_err(Error::InvalidArgument)?;
        edit.next_number = self.files.next_number;
        // Where no file can be made, for want of a descriptor or of room, the old one is good enough.
        if self.log.end() > REPLACE_AT_BYTES.max(4 * self.fresh_bytes)
            && let Ok(new) = self.dir.begin_replacement(MANIFEST, Cause::Manifest)
        {
            let header = Header { number: self.header.number + 1, ..self.header };
            *self = Manifest::put(&self.dir, new, header, self.files.clone())?;
            return Ok(());
        }
        self.log.push(EDIT, Part::Full, &[&edit.encode()]);
        self.log.flush()?;
        self.log.sync()
    }

    /// Ends the log in an orderly way, so that damage to its last edit can be told from a torn one.
    pub fn close(&mut self) -> Result<()> {
        self.log.push(CLOSE, Part::Full, &[]);
        self.log.flush()?;
        self.log.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::{Edit, Manifest, REPLACE_AT_BYTES, read};
    use crate::error::Error;
    use crate::record::frame::{Header, Part};
    use crate::record::writer::LogWriter;
    use crate::vfs::Cause;
    use crate::vfs::dir::Dir;
    use crate::vfs::fault::{Errno, FaultDisk};
    use crate::vfs::memory::SimDisk;
    use std::sync::Arc;

    /// Who is told that it is missing may give the store up for lost.
    #[test]
    fn a_manifest_that_can_not_be_opened_is_not_called_missing() {
        let disk = FaultDisk::new(Arc::new(SimDisk::new()));
        let dir = Dir::new(Arc::new(disk.clone()), "/".as_ref());
        assert!(read::<u64>(&dir, 7).unwrap_err().is_corruption());
        Manifest::create(&dir, 7, vec![(1, 0_u64)]).unwrap();
        disk.fail_at(disk.operations(), Errno::Denied);
        let error = read::<u64>(&dir, 7).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }

    /// A manifest that is replaced gets the next number: its checksums are salted with that, so that edits of
    /// the one before, left in the same blocks, are never taken for its own. With the old number kept, all
    /// other tests passed.
    #[test]
    fn each_manifest_has_a_number_of_its_own() {
        let dir = Dir::new(Arc::new(SimDisk::new()), "/".as_ref());
        let mut manifest = Manifest::create(&dir, 7, vec![(1, 0_u64)]).unwrap();
        let mut numbers = vec![manifest.header.number];
        for n in 0.. {
            let before = manifest.log.end();
            let edit =
                Edit { add: vec![(2, n)], remove: if n == 0 { vec![] } else { vec![2] }, ..Edit::default() };
            manifest.apply(edit).unwrap();
            if manifest.log.end() < before {
                assert!(before > REPLACE_AT_BYTES, "only a long one is replaced: {before} bytes");
                numbers.push(manifest.header.number);
                let found = read::<u64>(&dir, 7).unwrap();
                assert_eq!((found.header.number, found.files.live[&2]), (manifest.header.number, n));
            }
            if numbers.len() == 4 {
                break;
            }
        }
        assert_eq!(numbers, [1, 2, 3, 4]);
    }

    /// With a log alive the older ones were live once; with none, those whose numbers an edit has taken.
    #[test]
    fn a_log_with_records_that_no_edit_can_have_named_lacks_one() {
        let dir = Dir::new(Arc::new(SimDisk::new()), "/".as_ref());
        Manifest::create(&dir, 7, vec![(4, 0_u64)]).unwrap();
        let files = read::<u64>(&dir, 7).unwrap().files;
        assert_eq!(files.next_number, 5);
        for number in 3..8 {
            let (name, header) = (number.to_string(), Header { store_id: 7, number, kind: 9 });
            let mut log = LogWriter::create(&dir, &name, header, Cause::Log).unwrap();
            let lacks = |newest| files.lacks_edit_of(&dir, &name, header, &[1], newest).unwrap();
            assert!(!lacks(None) && !lacks(Some(5)), "nothing in it");
            log.push(1, Part::Full, &[b"x"]);
            log.flush().unwrap();
            assert_eq!((lacks(None), lacks(Some(5))), (number >= 5, number > 5), "{number}");
        }
    }
}
