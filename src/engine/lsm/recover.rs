//! Opening: from the files of a directory to a view. Every opening is a recovery.
//!
//! 1. The identity file says whose directory it is; the manifest says which tables and logs are live.
//! 2. Every live file must be there, with its length: a missing one is damage, not an empty store.
//! 3. Tables are not read: the manifest knows their keys. Each log becomes a memtable; all but the
//!    newest must be whole.
//! 4. What was read is made durable before anything is built on it (by [`WalWriter::resume`] and
//!    [`Manifest::resume`]).
//! 5. What no edit names is left over from a crash, and removed.
//!
//! A directory that is opened for reading is not changed: a torn tail is skipped in memory.
//!
//! [`WalWriter::resume`]: crate::engine::lsm::wal::WalWriter::resume
//! [`Manifest::resume`]: crate::engine::manifest::Manifest::resume

use crate::engine::batch::Op;
use crate::engine::event::{Event, Listener};
use crate::engine::filename::{self, FileName, MANIFEST};
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::{Kind, MAX_SEQNO, is_valid};
use crate::engine::lsm::memtable::Memtable;
use crate::engine::lsm::options::LEVELS;
use crate::engine::lsm::version::edit::{LiveFile, StoreMeta, TableMeta, WalMeta, WalState};
use crate::engine::lsm::view::SealedMemtable;
use crate::engine::lsm::wal::{self, FoundWal};
use crate::engine::manifest::{self, Files};
use crate::error::{Error, Result};
use crate::record::reader::{End, LogReader};
use crate::vfs::Cause;
use crate::vfs::dir::{Dir, File};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A store as it was found.
#[derive(Debug)]
pub struct Recovered {
    /// The order of the keys.
    pub order: Order,
    /// The live tables, by number.
    pub tables: Vec<(u64, TableMeta)>,
    /// What the sealed logs hold, the newest first.
    pub sealed: Vec<SealedMemtable>,
    /// What the newest log holds.
    pub active: Arc<Memtable>,
    /// The newest log.
    pub wal: FoundWal,
    /// The manifest as it was read.
    pub manifest: manifest::Read<LiveFile>,
    /// What the manifest says of the store.
    pub meta: StoreMeta,
    /// The highest sequence number that was found.
    pub last_seqno: u64,
    /// Names of files that nobody needs.
    pub leftovers: Vec<String>,
}

/// Whether the caller may append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To go on writing.
    Write,
    /// To look.
    Read,
}

/// Reads the store in `dir`, whose keys must be in the order that is `asked` for, if one is. Changes nothing on the
/// disk. Costs the memory of every write that is not in a table.
pub fn recover(
    dir: &Dir,
    store_id: u64,
    asked: Option<&Order>,
    purpose: Purpose,
    listener: &Listener,
) -> Result<Recovered> {
    let manifest = manifest::read::<LiveFile>(dir, store_id)?;
    let listing = Listing::read(dir, &manifest.files)?;
    let meta = listing.meta.clone();
    let order = &order_of(dir, &meta.comparator, asked)?;
    let leftovers = listing.check_files(store_id, &manifest.files)?;
    let mut last_seqno = meta.last_seqno;
    for (_, table) in &listing.tables {
        last_seqno = last_seqno.max(table.last_seqno);
    }
    let mut logs = Logs { dir, store_id, order, listener, last_seqno };
    let Some(((number, newest), older)) = listing.wals.split_last() else {
        return Err(listing.damaged("no live log"));
    };
    let mut sealed = Vec::new();
    for (number, meta) in older {
        sealed.insert(0, logs.load_sealed(*number, meta)?);
    }
    let (active, wal) = logs.load_newest(*number, newest, purpose)?;
    let last_seqno = logs.last_seqno.max(newest.first_seqno.saturating_sub(1));
    if last_seqno > MAX_SEQNO {
        return Err(listing.damaged(format!("sequence number {last_seqno}")));
    }
    let order = order.clone();
    Ok(Recovered {
        order,
        tables: listing.tables,
        sealed,
        active,
        wal,
        manifest,
        meta,
        last_seqno,
        leftovers,
    })
}

/// The order that is called `kept`.
fn order_of(dir: &Dir, kept: &str, asked: Option<&Order>) -> Result<Order> {
    let says = |reason: String| {
        Error::invalid(format!("{}: its keys are in the order '{kept}'{reason}", dir.path().display()))
    };
    match asked {
        Some(asked) if asked.name() == kept => Ok(asked.clone()),
        Some(asked) => Err(says(format!(", not '{}'; leave comparator out, or name this one", asked.name()))),
        None => kept.parse().map_err(|_| says(", which is its owner's: open it with that".into())),
    }
}

/// What the manifest lists, by sort.
struct Listing<'a> {
    dir: &'a Dir,
    meta: StoreMeta,
    tables: Vec<(u64, TableMeta)>,
    /// From the oldest to the newest.
    wals: Vec<(u64, WalMeta)>,
}

impl<'a> Listing<'a> {
    fn read(dir: &'a Dir, files: &Files<LiveFile>) -> Result<Listing<'a>> {
        let damaged = |reason: String| Error::corruption(&dir.join(MANIFEST), 0, reason);
        let mut meta = None;
        let (mut tables, mut wals) = (Vec::new(), Vec::new());
        for (&number, file) in &files.live {
            match file {
                LiveFile::Store(store) if number == 0 => meta = Some(store.clone()),
                LiveFile::Wal(wal) if number > 0 => wals.push((number, wal.clone())),
                LiveFile::Table(table) if number > 0 && is_sound(table) => {
                    tables.push((number, table.clone()))
                }
                _ => return Err(damaged(format!("what it says of file {number} can not be"))),
            }
        }
        let meta = meta.ok_or_else(|| damaged("nothing about the store itself".into()))?;
        Ok(Listing { dir, meta, tables, wals })
    }

    fn damaged(&self, reason: impl Into<String>) -> Error {
        Error::corruption(&self.dir.join(MANIFEST), 0, reason)
    }

    /// Whether every live file is there; and which files are left over.
    fn check_files(&self, store_id: u64, files: &Files<LiveFile>) -> Result<Vec<String>> {
        let present = self.dir.files()?;
        let lens: BTreeMap<&str, u64> = present.iter().map(|entry| (&entry.name[..], entry.len)).collect();
        for (number, table) in &self.tables {
            self.check_file(&lens, &filename::table(*number), Some(table.len))?;
        }
        for (number, wal) in &self.wals {
            let len = match wal.state {
                WalState::Sealed { len, .. } => Some(len),
                WalState::Active { .. } => None,
            };
            self.check_file(&lens, &filename::wal(*number), len)?;
        }
        let mut leftovers = Vec::new();
        for entry in &present {
            match filename::parse(&entry.name) {
                Some(FileName::Table(number)) if !is_live(&self.tables, number) => {
                    leftovers.push(entry.name.clone());
                }
                Some(FileName::Wal(number)) if !is_live(&self.wals, number) => {
                    self.check_leftover(store_id, files, number)?;
                    leftovers.push(entry.name.clone());
                }
                Some(FileName::Temporary) => leftovers.push(entry.name.clone()),
                _ => {}
            }
        }
        Ok(leftovers)
    }

    fn check_file(&self, lens: &BTreeMap<&str, u64>, name: &str, wanted: Option<u64>) -> Result<()> {
        let path = self.dir.join(name);
        match (lens.get(name), wanted) {
            (None, _) => Err(Error::corruption(&path, 0, "the manifest names this file, but it is missing")),
            (Some(&len), Some(wanted)) if len != wanted => {
                Err(Error::corruption(&path, len.min(wanted), format!("{len} bytes, not {wanted}")))
            }
            _ => Ok(()),
        }
    }

    /// A log that no edit names may be removed, unless it proves that an edit is missing.
    fn check_leftover(&self, store_id: u64, files: &Files<LiveFile>, number: u64) -> Result<()> {
        match lacks_edit_of(self.dir, store_id, files, number)? {
            false => Ok(()),
            true => {
                Err(self
                    .damaged(format!("an edit is missing: log {number} holds records, but nothing names it")))
            }
        }
    }
}

/// Whether a log that no edit names proves that an edit is missing.
pub fn lacks_edit_of(dir: &Dir, store_id: u64, files: &Files<LiveFile>, number: u64) -> Result<bool> {
    let is_log = |file: &LiveFile| matches!(file, LiveFile::Wal(_));
    let newest = files.live.iter().filter(|(_, file)| is_log(file)).map(|(number, _)| *number).max();
    files.lacks_edit_of(dir, &filename::wal(number), wal::header(store_id, number), &[wal::BATCH], newest)
}

/// Whether a number is among those of files, which ascend.
fn is_live<T>(files: &[(u64, T)], number: u64) -> bool {
    files.binary_search_by_key(&number, |(number, _)| *number).is_ok()
}

/// Whether what an edit says of a table can be. Counts are far from where their sums would overflow.
fn is_sound(table: &TableMeta) -> bool {
    usize::from(table.level) < LEVELS
        && is_valid(&table.smallest)
        && is_valid(&table.largest)
        && table.first_seqno <= table.last_seqno
        && table.last_seqno <= MAX_SEQNO
        && table.tombstones <= table.entries
        && table.entries.max(table.raw_bytes) <= MAX_SEQNO
}

struct Logs<'a> {
    dir: &'a Dir,
    store_id: u64,
    order: &'a Order,
    listener: &'a Listener,
    last_seqno: u64,
}

impl Logs<'_> {
    /// Reads a whole log that must be sound.
    fn load_sealed(&mut self, number: u64, meta: &WalMeta) -> Result<SealedMemtable> {
        let WalState::Sealed { len, last_seqno, .. } = meta.state else {
            let reason = format!("log {number} still grows, but is not the newest");
            return Err(Error::corruption(&self.dir.join(MANIFEST), 0, reason));
        };
        let file = self.dir.open(&filename::wal(number), Cause::Recovery)?;
        let mut reader = LogReader::open(&file, len, wal::header(self.store_id, number))?;
        let (memtable, found) = self.replay(&mut reader, &file, meta)?;
        if let Some(damage) = reader.damage() {
            return Err(damage);
        }
        if found != last_seqno {
            return Err(
                file.corruption(reader.position(), format!("ends with write {found}, not {last_seqno}"))
            );
        }
        Ok(SealedMemtable { memtable, wal: number })
    }

    fn load_newest(
        &mut self,
        number: u64,
        meta: &WalMeta,
        purpose: Purpose,
    ) -> Result<(Arc<Memtable>, FoundWal)> {
        let WalState::Active { durable } = meta.state else {
            return Err(Error::corruption(&self.dir.join(MANIFEST), 0, "the newest log is sealed"));
        };
        let name = filename::wal(number);
        let file = match purpose {
            Purpose::Write => self.dir.append(&name, Cause::Wal)?,
            Purpose::Read => self.dir.open(&name, Cause::Wal)?,
        };
        let mut reader = LogReader::open(&file, file.len(), wal::header(self.store_id, number))?;
        let (memtable, _) = self.replay(&mut reader, &file, meta)?;
        let how = reader.end(durable)?;
        let (end, closed, synced) = (reader.position(), reader.is_closed(), reader.synced().max(durable));
        if how == End::Torn {
            let path = file.path().to_path_buf();
            let dropped_bytes = file.len() - end;
            self.listener.tell(Event::TornTail { path, offset: end, dropped_bytes });
        }
        drop(reader);
        let first_seqno = meta.first_seqno;
        Ok((memtable, FoundWal { number, first_seqno, file, end, how, closed, synced }))
    }

    /// Puts every write of a log into a memtable of its own.
    fn replay(
        &mut self,
        reader: &mut LogReader<'_>,
        file: &File,
        meta: &WalMeta,
    ) -> Result<(Arc<Memtable>, u64)> {
        if meta.first_seqno == 0 || meta.first_seqno > MAX_SEQNO {
            return Err(Error::corruption(&self.dir.join(MANIFEST), 0, "a log that begins with no write"));
        }
        let memtable = Memtable::new(self.order.clone(), file.len() as usize);
        let mut writer = memtable.writer();
        let last = wal::replay(reader, file, meta.first_seqno, |seqno, op| match op {
            Op::Set(key, value) => writer.insert(key, seqno, Kind::Set, value),
            Op::Remove(key) => writer.insert(key, seqno, Kind::Remove, &[]),
        })?;
        drop(writer);
        self.last_seqno = self.last_seqno.max(last);
        Ok((Arc::new(memtable), last))
    }
}

#[cfg(test)]
mod tests {
    use super::is_sound;
    use crate::engine::lsm::key::{Kind, MAX_SEQNO, internal, trailer};
    use crate::engine::lsm::options::LEVELS;
    use crate::engine::lsm::version::edit::TableMeta;

    #[test]
    fn what_can_not_be_is_told_of_a_table() {
        let sound = TableMeta {
            level: LEVELS as u8 - 1,
            len: 1,
            contents: 0,
            smallest: internal(b"a", trailer(1, Kind::Set)),
            largest: internal(b"b", trailer(1, Kind::Set)),
            first_seqno: MAX_SEQNO,
            last_seqno: MAX_SEQNO,
            entries: MAX_SEQNO,
            tombstones: MAX_SEQNO,
            older: 0,
            raw_bytes: MAX_SEQNO,
        };
        assert!(is_sound(&sound), "at every limit");
        let sound = TableMeta { first_seqno: 5, last_seqno: 9, entries: 7, tombstones: 3, ..sound };
        assert!(is_sound(&sound));
        let wrong = [
            ("a level below the last", TableMeta { level: LEVELS as u8, ..sound.clone() }),
            ("no key", TableMeta { smallest: b"short".to_vec(), ..sound.clone() }),
            ("no key either", TableMeta { largest: b"short".to_vec(), ..sound.clone() }),
            ("an end before the beginning", TableMeta { first_seqno: 10, ..sound.clone() }),
            ("a write that can not be", TableMeta { last_seqno: MAX_SEQNO + 1, ..sound.clone() }),
            ("more tombstones than entries", TableMeta { tombstones: 8, ..sound.clone() }),
            ("too many entries", TableMeta { entries: MAX_SEQNO + 1, ..sound.clone() }),
            ("too many bytes", TableMeta { raw_bytes: MAX_SEQNO + 1, ..sound.clone() }),
        ];
        for (what, table) in wrong {
            assert!(!is_sound(&table), "{what}");
        }
    }
}
