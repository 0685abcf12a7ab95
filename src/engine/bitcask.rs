//! Bitcask: append-only segments on the disk, and in memory for every key the place of its value.
//!
//! ```text
//!   set k v ──> commit queue ──> active segment ──> keydir[k] = place
//!                                (one append)       (one lookup)
//!   get k ────> keydir[k] ──> place ──> one read of a segment
//!
//!   000001.seg  000004.seg  000005.seg        sealed: never change, each with a hint
//!   000006.seg                                active: grows until it is sealed
//!   MANIFEST                                  which of them are live
//!   ENGINE                                    whose directory this is
//! ```
//!
//! Writes are sequential, reads cost one lookup and at most one read of the disk, and opening reads
//! hints. The price: every key lives in memory, and scans read their values in random order.
//!
//! From *Bitcask: A Log-Structured Hash Table for Fast Key/Value Data* (Sheehy and Smith, 2010). Beyond
//! the paper: atomic batches, snapshots, ordered scans, group commit, a manifest, and merges by garbage
//! ratio that can prove a tombstone needless.
//!
//! Where the LSM tree's memtable remembers the value, Bitcask's keydir remembers a place.

pub mod census;
pub mod checkpoint;
pub mod compaction;
pub mod create;
pub mod cursor;
mod explain;
pub mod hint;
pub mod hints;
pub mod history;
pub mod index;
pub mod keydir;
mod merger;
pub mod options;
pub mod recover;
pub mod replay;
pub mod segment;
pub mod view;
mod writer;

use crate::engine::background::Background;
use crate::engine::batch::WriteBatch;
use crate::engine::bitcask::census::Counters;
use crate::engine::bitcask::cursor::{BitcaskCursor, Past, Pinned};
use crate::engine::bitcask::index::Index;
use crate::engine::bitcask::merger::Merger;
use crate::engine::bitcask::options::BitcaskOptions;
use crate::engine::bitcask::recover::{Purpose, recover, remove_leftovers};
use crate::engine::bitcask::segment::{SegmentMeta, SegmentState, Shelf};
use crate::engine::bitcask::writer::{Active, Writer};
use crate::engine::catalog::Catalog;
use crate::engine::claim::{self, Claim};
use crate::engine::commit::Commit;
use crate::engine::event::Event;
use crate::engine::explain::Explanation;
use crate::engine::health::Health;
use crate::engine::identity::Identity;
use crate::engine::load;
use crate::engine::manifest::{Edit, Manifest};
use crate::engine::options::{Access, Durability, OpenOptions, WriteOptions};
use crate::engine::range::KeyRange;
use crate::engine::request::{Answer, Ask, Request, lead};
use crate::engine::stats::Stats;
use crate::engine::value::Value;
use crate::engine::{Cursor, KvsEngine, KvsRead, Pairs, Snapshot};
use crate::error::{Error, Result};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::vfs::DirLock;
use crate::worker::Worker;
use std::path::Path;
use std::sync::Arc;

/// The name in the identity file.
pub const NAME: &str = "bitcask";

/// An open Bitcask. Dropping it ends its background work, closes the log in an orderly way and lets
/// go of the directory; nothing depends on that having happened.
#[derive(Debug)]
pub struct Bitcask {
    // In the order in which they are let go: workers first, the lock last.
    merger: Worker,
    syncer: Option<Worker>,
    store: Arc<Store>,
    _lock: Box<dyn DirLock>,
}

/// The engine itself: what workers and the front door share.
#[derive(Debug)]
struct Store {
    options: Arc<BitcaskOptions>,
    durability: Durability,
    health: Arc<Health>,
    shelf: Arc<Shelf>,
    index: Arc<Index>,
    commit: Commit<Request>,
    active: Arc<Active>,
    catalog: Arc<Catalog<SegmentMeta>>,
    merger: Merger,
    /// Set when a merge may be worth it, or the worker is needed otherwise.
    merge_wanted: AtomicBool,
    /// Set when the system should begin to write the active segment.
    writeback_wanted: AtomicBool,
    counters: Arc<Counters>,
}

// ---- open ----

impl Bitcask {
    /// Opens the store at `path`, or makes it, as `open.access` says.
    ///
    /// Reads the manifest, and of each sealed segment its hint or the segment itself; cuts a torn tail
    /// off and removes what no manifest names. Costs memory for every key.
    pub fn open(path: &Path, open: OpenOptions, options: BitcaskOptions) -> Result<Bitcask> {
        options.validate()?;
        let Claim { dir, identity, lock } = Claim::take(path, &open, NAME, create::create)?;
        let health = Arc::new(Health::new(open.listener.clone()));
        let shelf = Shelf::new(dir, identity.store_id, &options, health, open.listener.clone());
        let store = Arc::new(Store::open(Arc::new(shelf), &open, Arc::new(options))?);
        let background = Background::of(&store, &store.health, &open, path);
        let merger = background.worker("merge", Store::merge_behind)?;
        let syncer = background.syncer(|store| _ = store.active.sync_behind())?;
        if open.access != Access::Read {
            merger.wake();
        }
        Ok(Bitcask { merger, syncer, store, _lock: lock })
    }
}

impl Store {
    fn open(shelf: Arc<Shelf>, open: &OpenOptions, options: Arc<BitcaskOptions>) -> Result<Store> {
        let purpose = if open.access == Access::Read { Purpose::Read } else { Purpose::Write };
        let found = recover(&shelf, options.hints, purpose, options.segment_bytes)?;
        let (next_number, last_seqno) = (found.manifest.files.next_number, found.last_seqno);
        let segments = found.sealed.into_iter().chain([found.active.segment.clone()]).collect();
        let index = Arc::new(Index::new(found.keydir, segments, last_seqno));
        let (mut writer, mut manifest) = (None, None);
        if purpose == Purpose::Write {
            manifest = Some(Manifest::resume(&shelf.dir, found.manifest)?);
            writer = Some(Writer::resume(found.active, last_seqno + 1)?);
            remove_leftovers(&shelf, &found.leftovers);
        }
        open.listener.tell(Event::Opened { keys: index.keydir.footprint().keys, seqno: last_seqno });
        let health = shelf.health.clone();
        let active = Arc::new(Active::new(writer, health.clone()));
        // A place has 32 bits for the number of its segment.
        let numbers = next_number..=u64::from(u32::MAX);
        let catalog = Arc::new(Catalog::new(manifest, numbers, health.clone()));
        let counters = Arc::<Counters>::default();
        let merger = Merger {
            options: options.clone(),
            shelf: shelf.clone(),
            index: index.clone(),
            active: active.clone(),
            catalog: catalog.clone(),
            counters: counters.clone(),
            turn: Default::default(),
            is_stopping: AtomicBool::new(false),
        };
        Ok(Store {
            options,
            durability: open.durability,
            health,
            shelf,
            index,
            commit: Commit::new(|request| request.batch.byte_len()),
            active,
            catalog,
            merger,
            merge_wanted: AtomicBool::new(false),
            writeback_wanted: AtomicBool::new(false),
            counters,
        })
    }
}

// ---- KvsRead ----

impl KvsRead for Bitcask {
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        self.store.index.get(key)
    }

    fn cursor(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(BitcaskCursor::new(Pinned::Owned(Past::hold(&self.store.index)), range)))
    }
}

// ---- KvsEngine ----

impl KvsEngine for Bitcask {
    fn write(&self, batch: WriteBatch, options: &WriteOptions) -> Result<()> {
        batch.validate()?;
        let durability = options.durability.unwrap_or(self.store.durability);
        self.submit(batch, durability, Ask::Nothing).map(|_| ())
    }

    fn swap(&self, key: &[u8], value: Option<&[u8]>) -> Result<Option<Value>> {
        let batch = WriteBatch::of_one(key, value)?;
        self.submit(batch, self.store.durability, Ask::OldValue).map(Answer::old_value)
    }

    fn remove(&self, key: &[u8]) -> Result<bool> {
        let batch = WriteBatch::of_one(key, None)?;
        Ok(self.submit(batch, self.store.durability, Ask::WasThere)? == Answer::Present)
    }

    fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::new(Arc::new(Past::hold(&self.store.index))))
    }

    fn sync(&self) -> Result<()> {
        self.submit(WriteBatch::new(), Durability::Always, Ask::Nothing).map(|_| ())
    }

    fn flush(&self) -> Result<()> {
        self.store.seal_active()?;
        self.wake_merger();
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.store.active.check_writable()?;
        self.store.merger.merge_all()
    }

    fn compact_range(&self, range: &KeyRange) -> Result<()> {
        self.store.compact(range)
    }

    fn load_sorted(&self, pairs: &mut dyn Pairs) -> Result<u64> {
        load::in_batches(pairs, |batch| self.write(batch, &WriteOptions::default()))
    }

    fn checkpoint(&self, dest: &Path) -> Result<()> {
        self.store.checkpoint(dest)
    }

    fn stats(&self) -> Result<Stats> {
        let stats = census::take(&self.store.shelf, &self.store.index, &self.store.counters)?;
        Ok(Stats { engine: NAME, ..stats })
    }

    fn explain_get(&self, key: &[u8]) -> Result<Explanation> {
        Ok(Explanation { engine: NAME, ..explain::get(&self.store.index, key)? })
    }

    fn explain_scan(&self, range: KeyRange, limit: u64) -> Result<Explanation> {
        Ok(Explanation { engine: NAME, ..explain::scan(&self.store.index, range, limit)? })
    }
}

impl Bitcask {
    #[inline]
    fn submit(&self, batch: WriteBatch, durability: Durability, ask: Ask) -> Result<Answer> {
        let behind = self.syncer.as_ref().and(self.store.durability.interval());
        let is_durable = durability.is_at_once(behind);
        let store = &*self.store;
        let request = store.commit.submit(Request::new(batch, is_durable, ask), |group| store.apply(group));
        self.wake_merger();
        request.into_outcome(&store.health)
    }

    /// Wakes the worker if a write has left something for it.
    #[inline]
    fn wake_merger(&self) {
        let wanted = &self.store.merge_wanted;
        if wanted.load(Ordering::Relaxed) && wanted.swap(false, Ordering::Relaxed) {
            self.merger.wake();
        }
    }
}

// ---- apply ----

impl Store {
    /// Commits a group, as its leader: one append and at most one sync for all, then the keydir.
    fn apply(&self, group: &mut [Request]) {
        let mut writer = self.active.lock();
        lead(group, writer.as_mut(), &self.health, |writer, group| {
            let result = self.append(writer, group);
            self.health.guard(result)
        });
    }

    fn append(&self, writer: &mut Writer, group: &mut [Request]) -> Result<()> {
        writer.begin_group();
        for i in 0..group.len() {
            let (before, rest) = group.split_at_mut(i);
            let request = &mut rest[0];
            request.answer(before, &*self.index);
            if request.is_written && self.index.has_no_room_for(&request.batch) {
                request.refuse(Error::invalid(
                    "the store has as many keys as its keydir can hold; remove some and open it again",
                ));
            }
            if request.is_written && writer.is_full_for(&request.batch, self.options.segment_bytes) {
                self.rotate(writer)?;
            }
            if request.is_written {
                writer.push(&request.batch);
            }
        }
        writer.log.flush()?;
        if group.iter().any(|request| request.is_durable) {
            writer.sync(self.options.segment_bytes)?;
        } else if writer.is_far_ahead() {
            // The worker asks the system to begin writing: that takes milliseconds, and a lock here.
            self.writeback_wanted.store(true, Ordering::Relaxed);
            self.merge_wanted.store(true, Ordering::Relaxed);
        }
        self.install(writer, group);
        Ok(())
    }

    /// Shows a group that is in the log to readers. A snapshot stands before or behind all of it.
    fn install(&self, writer: &mut Writer, group: &[Request]) {
        let mut moments = self.index.history.lock();
        let mut places = writer.places().iter();
        for request in group.iter().filter(|request| request.is_written) {
            let puts = places.by_ref().take(request.batch.len());
            self.index.apply(&moments, &request.batch, puts, &writer.segment);
        }
        moments.visible = writer.last_seqno();
    }

    // ---- rotate ----

    /// Seals the active segment and begins another. The old one is durable as a whole before the
    /// first record goes to the new one: so only the newest segment can have a torn tail.
    fn rotate(&self, writer: &mut Writer) -> Result<()> {
        let sealed = writer.seal()?;
        let number = self.catalog.take_number()?;
        let capacity = self.options.segment_bytes;
        let (log, segment) = create::begin_active(&self.shelf, number, sealed.last_seqno + 1, capacity)?;
        let old = &writer.segment;
        let old_meta = SegmentMeta { state: SegmentState::Sealed(sealed), ..old.meta() };
        let add = vec![(old.number, old_meta), (number, segment.meta())];
        self.catalog.apply(Edit { add, ..Edit::default() })?;
        old.seal(sealed);
        self.index.add_segments(std::slice::from_ref(&segment));
        self.shelf.listener.tell(Event::Rotated { sealed: old.number, active: number });
        writer.begin_segment(log, segment);
        self.counters.rotations.fetch_add(1, Ordering::Relaxed);
        self.merge_wanted.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Seals the active segment unless it is empty; returns the sequence number that comes next.
    fn seal_active(&self) -> Result<u64> {
        let mut writer = self.active.lock();
        // With the lock: who held the writer may have failed, and what he was refused would be sealed.
        self.health.check()?;
        let writer = writer.as_mut().ok_or(Error::ReadOnly)?;
        let _watch = self.health.watch("a rotation");
        if !writer.log.is_empty() {
            let result = self.rotate(writer);
            self.health.guard(result)?;
        }
        Ok(writer.last_seqno() + 1)
    }

    // ---- compact ----

    /// The background's job.
    fn merge_behind(&self) {
        if self.writeback_wanted.swap(false, Ordering::Relaxed) {
            self.active.start_writeback();
        }
        self.merger.merge_behind();
    }

    /// The user's. What it may touch ends with the segment that is active now.
    fn compact(&self, range: &KeyRange) -> Result<()> {
        let upto = self.seal_active()? - 1;
        self.merger.compact(range, upto)
    }

    // ---- checkpoint ----

    fn checkpoint(&self, dest: &Path) -> Result<()> {
        self.active.check_writable()?;
        let dir = claim::empty_dir(&self.shelf.dir, dest)?;
        // No merge in between: the segments that were live stay.
        let _no_merge = self.merger.keep_out();
        let next_seqno = self.seal_active()?;
        let number = self.catalog.take_number()?;
        let identity = Identity { engine: NAME.into(), store_id: self.shelf.store_id };
        checkpoint::write(&self.shelf, &dir, &self.index, number, next_seqno, &identity)
    }

    // ---- close ----

    /// Ends in an orderly way: the active segment is made durable and vouched for, and sealed segments
    /// get the hints that they lack.
    fn close(&self) -> Result<()> {
        self.health.check()?;
        let mut writer = self.active.lock();
        let Some(mut writer) = writer.take() else { return Ok(()) };
        if writer.was_written() && writer.log.end() >= self.options.segment_bytes / 4 {
            // The next opening would read all of it: with a hint it need not.
            self.rotate(&mut writer)?;
        }
        if let Some(vouched) = writer.close()? {
            self.catalog.apply(Edit { add: vec![(writer.segment.number, vouched)], ..Edit::default() })?;
        }
        if self.options.hints {
            hints::write_missing(&self.shelf, &self.index)?;
        }
        self.catalog.close()
    }
}

impl Drop for Bitcask {
    fn drop(&mut self) {
        self.store.merger.is_stopping.store(true, Ordering::Relaxed);
        self.merger.stop();
        if let Some(syncer) = &mut self.syncer {
            syncer.stop();
        }
        if let Err(error) = self.store.close() {
            // Nothing that was acknowledged depends on it: the next opening recovers.
            self.store.shelf.listener.tell(Event::BackgroundFailed { reason: format!("closing: {error}") });
        }
        self.store.health.close();
    }
}
