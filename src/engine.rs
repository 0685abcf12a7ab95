//! The contract: what every engine of this crate promises. Read this file first.
//!
//! Above it, everything (the command line, the tests, the benchmarks) speaks to `dyn KvsEngine` and
//! does not know which engine answers. Below it, Bitcask and the LSM tree keep the same promises in
//! different ways:
//!
//! 1. **Durability.** A write that returned `Ok` under [`Durability::Always`] survives a power cut.
//!    Under [`Durability::Os`] it survives the death of the process; after a power cut a *prefix* of
//!    what was written is there: never a later write without all the earlier ones.
//! 2. **Atomicity.** A [`WriteBatch`] is there as a whole or not at all: after any crash, in every
//!    snapshot, in every cursor and scan. (Two gets are two moments: a batch may come in between, but a
//!    get that sees it is not followed by one that does not.)
//! 3. **Isolation.** A [`Snapshot`] and a [`Cursor`] never change, whatever is written meanwhile. A
//!    get sees every write that was acknowledged before it began.
//! 4. **Honesty.** Damage is an error that names file and offset, never a wrong or missing answer.
//!    After a failed write or sync nothing more is acknowledged until the store is opened again.
//! 5. **One writer.** A directory is open for writing once, in one process, by one engine.
//!
//! ```
//! use kvs::engine::{KvsEngine, KvsRead, batch::WriteBatch, memory::Memory, range::KeyRange};
//!
//! let store = Memory::new();
//! store.set(b"tea", b"green")?;
//! let mut batch = WriteBatch::new();
//! batch.set(b"coffee", b"black");
//! batch.remove(b"tea");
//! store.write(batch, &Default::default())?;
//! assert_eq!(store.get(b"tea")?, None);
//! assert_eq!(store.scan(KeyRange::all())?.count(), 1);
//! # Ok::<(), kvs::error::Error>(())
//! ```
//!
//! [`Durability::Always`]: crate::engine::options::Durability::Always
//! [`Durability::Os`]: crate::engine::options::Durability::Os

pub mod background;
pub mod batch;
pub mod bitcask;
pub mod catalog;
pub mod claim;
pub mod commit;
pub mod event;
pub mod explain;
pub mod filename;
pub mod health;
pub mod identity;
pub mod kind;
pub mod load;
pub mod lsm;
pub mod manifest;
pub mod memory;
pub mod metered;
pub mod migrate;
pub mod options;
pub mod range;
pub mod request;
pub mod stats;
pub mod value;

use crate::engine::batch::WriteBatch;
use crate::engine::explain::Explanation;
use crate::engine::options::WriteOptions;
use crate::engine::range::{Direction, KeyRange};
use crate::engine::stats::Stats;
use crate::engine::value::Value;
use crate::error::Result;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// What can be read: an engine's present, or a snapshot's past.
pub trait KvsRead: Send + Sync {
    /// The value of `key`; `None` if there is none.
    ///
    /// Sees every write that was acknowledged before the call. Never waits for a writer's disk.
    fn get(&self, key: &[u8]) -> Result<Option<Value>>;

    /// A cursor over the keys in `range` as they are now; what is written later does not show. It
    /// begins before the first key: seek before use.
    fn cursor(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>>;

    /// The pairs in `range` as they are now, in the range's direction.
    fn scan(&self, range: KeyRange) -> Result<Scan<'_>> {
        let direction = range.direction;
        Ok(Scan { cursor: self.cursor(range)?, direction, state: ScanState::New })
    }
}

/// A store that can be written.
///
/// All methods take `&self`: engines are shared between threads, as `Arc<dyn KvsEngine>`.
pub trait KvsEngine: KvsRead {
    /// Applies the batch, all or nothing, and returns when it is as durable as `options` ask. A
    /// batch that breaks a limit (see [`batch`]) is refused before a byte is written.
    fn write(&self, batch: WriteBatch, options: &WriteOptions) -> Result<()>;

    /// Sets or removes (`None`) one key and returns what it held, as one step among all writers.
    /// Removing a key that is not there writes nothing.
    fn swap(&self, key: &[u8], value: Option<&[u8]>) -> Result<Option<Value>>;

    /// Removes one key; says whether it was there, as one step among all writers. For a removal
    /// that does not ask, use [`WriteBatch::remove`]; what the question costs is a difference
    /// between the engines.
    fn remove(&self, key: &[u8]) -> Result<bool>;

    /// Sets one key: a batch of one.
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut batch = WriteBatch::with_capacity(key.len() + value.len() + 16);
        batch.set(key, value);
        self.write(batch, &WriteOptions::default())
    }

    /// The store as it is now, for as long as it is held. Copies no data; may outlive the engine.
    fn snapshot(&self) -> Result<Snapshot>;

    /// Returns when everything that was acknowledged is durable.
    fn sync(&self) -> Result<()>;

    /// Moves what is only in a log or in memory into data files that do not change any more, durably.
    /// Everything that was acknowledged before the call is durable when it returns. Nothing depends on
    /// it: it makes the next opening shorter, and a level picture show all there is.
    ///
    /// LSM: writes the memtable as a table. Bitcask: the log is the data, so it seals the active segment
    /// unless that is empty. Memory: does nothing. Costs at most one write of what is in memory; readers
    /// go on, writers may wait for the change of logs.
    fn flush(&self) -> Result<()>;

    /// Reclaims what can be reclaimed among the keys of `range`, in the caller's thread. Reads and
    /// writes go on. No answer of any read changes.
    ///
    /// LSM: rewrites the tables that overlap the range, level by level. Bitcask: its files are ordered
    /// by time, not by key, so it reads the sealed ones that hold garbage, and rewrites those in which
    /// a dead record has a key in the range. Either may reclaim beside the range as well.
    fn compact_range(&self, range: &KeyRange) -> Result<()>;

    /// Reclaims what can be reclaimed anywhere.
    fn compact(&self) -> Result<()> {
        self.compact_range(&KeyRange::all())
    }

    /// Does what the background would do if nothing were written from now on, in the caller's thread, and
    /// returns when nothing of it is left: what is in memory is in files, and what is worth reclaiming is
    /// reclaimed. Benchmarks settle before they look at bytes.
    ///
    /// LSM: flushes, and compacts until the levels have their sizes, and for space as at rest. Bitcask:
    /// merges while a segment has the garbage that makes a merge worth it. Memory: does nothing.
    fn settle(&self) -> Result<()>;

    /// Writes pairs whose keys come in strictly ascending order, as cheaply as the engine can, and
    /// returns how many. A key that is there already gets the new value.
    ///
    /// A key that is not above the one before it is [`Error::InvalidArgument`], which names it; so is
    /// one that breaks a limit (see [`batch`]). What is there after an error:
    ///
    /// - LSM: nothing of it. The pairs go straight into tables, without log or memtable, and become
    ///   visible and durable all at once. Writers may wait meanwhile.
    /// - Bitcask, Memory: the pairs before it, up to a multiple of about 1 MiB. They go in as batches,
    ///   each as durable as the store's other writes, and become visible batch by batch.
    ///
    /// Readers go on. `pairs` may read from this very store, but must not write to it.
    ///
    /// [`Error::InvalidArgument`]: crate::error::Error::InvalidArgument
    fn load_sorted(&self, pairs: &mut dyn Pairs) -> Result<u64>;

    /// Writes a store equal to this one, as it is at some moment during the call, into the directory
    /// `dest`, which must be missing or empty. Files that do not change any more are shared by hard
    /// links where the disk has them. Reads and writes go on.
    fn checkpoint(&self, dest: &Path) -> Result<()>;

    /// What the store holds and what it costs. Cheap: reads no files.
    fn stats(&self) -> Result<Stats>;

    /// How a get of `key` finds its answer: the places it looks at and what each costs. Does what a get
    /// does, and more slowly; the answer is that of a get at the same moment.
    fn explain_get(&self, key: &[u8]) -> Result<Explanation>;

    /// How a scan of `range` finds its pairs, up to `limit` of them. Reads them all, values included:
    /// costs what the scan costs.
    fn explain_scan(&self, range: KeyRange, limit: u64) -> Result<Explanation>;
}

/// Pairs that come one after the other, borrowed from whoever has them: nothing is allocated for each.
pub trait Pairs {
    /// The next pair, key and value; `None` behind the last.
    fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>>;
}

/// The pairs of a cursor, from its first to its last. Copies keys, but no values.
#[derive(Debug)]
pub struct CursorPairs<C> {
    cursor: C,
    /// The key of the pair that was handed out: a cursor shows key and value one at a time.
    key: Vec<u8>,
    has_begun: bool,
}

impl<C: Cursor> CursorPairs<C> {
    /// All pairs of the cursor, wherever it stands.
    pub fn new(cursor: C) -> CursorPairs<C> {
        CursorPairs { cursor, key: Vec::new(), has_begun: false }
    }
}

impl<C: Cursor> Pairs for CursorPairs<C> {
    fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        match std::mem::replace(&mut self.has_begun, true) {
            false => self.cursor.seek_to_first()?,
            true => self.cursor.next()?,
        }
        if !self.cursor.valid() {
            return Ok(None);
        }
        self.key.clear();
        self.key.extend_from_slice(self.cursor.key());
        Ok(Some((&self.key, self.cursor.value()?)))
    }
}

/// Moves over the pairs of a range in the order of their keys, both ways, without copying more than
/// it shows. What it sees does not change.
///
/// A new cursor stands nowhere: seek first. Moving past either end makes it invalid; `next` and
/// `prev` leave an invalid cursor as it is.
pub trait Cursor {
    /// Moves to the first key of the range.
    fn seek_to_first(&mut self) -> Result<()>;

    /// Moves to the last key of the range.
    fn seek_to_last(&mut self) -> Result<()>;

    /// Moves to the first key of the range that is not below `key`.
    fn seek(&mut self, key: &[u8]) -> Result<()>;

    /// Moves to the next key.
    fn next(&mut self) -> Result<()>;

    /// Moves to the key before.
    fn prev(&mut self) -> Result<()>;

    /// Whether the cursor stands on a pair.
    fn valid(&self) -> bool;

    /// The key. Panics if the cursor is not valid: a bug of the caller.
    fn key(&self) -> &[u8];

    /// The value; in Bitcask this is where the disk is read. Panics if the cursor is not valid.
    fn value(&mut self) -> Result<&[u8]>;
}

impl<C: Cursor + ?Sized> Cursor for Box<C> {
    fn seek_to_first(&mut self) -> Result<()> {
        (**self).seek_to_first()
    }

    fn seek_to_last(&mut self) -> Result<()> {
        (**self).seek_to_last()
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        (**self).seek(key)
    }

    fn next(&mut self) -> Result<()> {
        (**self).next()
    }

    fn prev(&mut self) -> Result<()> {
        (**self).prev()
    }

    fn valid(&self) -> bool {
        (**self).valid()
    }

    fn key(&self) -> &[u8] {
        (**self).key()
    }

    fn value(&mut self) -> Result<&[u8]> {
        (**self).value()
    }
}

/// The pairs of a range as an iterator; each item owns its bytes. After an error it ends.
pub struct Scan<'a> {
    cursor: Box<dyn Cursor + 'a>,
    direction: Direction,
    state: ScanState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ScanState {
    New,
    Under,
    Done,
}

impl Scan<'_> {
    /// Moves on; `None` at the end.
    fn step(&mut self) -> Result<Option<(Value, Value)>> {
        match (self.state, self.direction) {
            (ScanState::New, Direction::Forward) => self.cursor.seek_to_first()?,
            (ScanState::New, Direction::Reverse) => self.cursor.seek_to_last()?,
            (_, Direction::Forward) => self.cursor.next()?,
            (_, Direction::Reverse) => self.cursor.prev()?,
        }
        self.state = ScanState::Under;
        if !self.cursor.valid() {
            return Ok(None);
        }
        let key = Value::from(self.cursor.key());
        Ok(Some((key, Value::from(self.cursor.value()?))))
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<(Value, Value)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == ScanState::Done {
            return None;
        }
        let item = self.step().transpose();
        if !matches!(item, Some(Ok(_))) {
            self.state = ScanState::Done;
        }
        item
    }
}

impl fmt::Debug for Scan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("direction", &self.direction).finish_non_exhaustive()
    }
}

/// A store as it was when the snapshot was taken. Clones are the same moment.
#[derive(Clone)]
pub struct Snapshot(Arc<dyn KvsRead>);

impl Snapshot {
    /// Wraps what an engine keeps of its past.
    pub fn new(past: Arc<dyn KvsRead>) -> Snapshot {
        Snapshot(past)
    }
}

impl KvsRead for Snapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        self.0.get(key)
    }

    fn cursor(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>> {
        self.0.cursor(range)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshot")
    }
}
