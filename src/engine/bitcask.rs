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
pub mod hint;
pub mod hints;
pub mod history;
pub mod index;
pub mod keydir;
pub mod options;
pub mod recover;
pub mod segment;
pub mod view;
mod writer;

use crate::engine::batch::{WriteBatch, check_key};
use crate::engine::bitcask::compaction::{Aim, Job, Merged, Output};
use crate::engine::bitcask::cursor::{BitcaskCursor, Past, Pinned};
use crate::engine::bitcask::history::History;
use crate::engine::bitcask::index::Index;
use crate::engine::bitcask::options::BitcaskOptions;
use crate::engine::bitcask::recover::{Purpose, Recovered, recover};
use crate::engine::bitcask::segment::{Origin, Segment, SegmentMeta, SegmentState, Shelf};
use crate::engine::bitcask::view::View;
use crate::engine::bitcask::writer::Writer;
use crate::engine::claim::{self, Claim};
use crate::engine::commit::Commit;
use crate::engine::event::{Event, Listener};
use crate::engine::explain::{Explanation, Found, Step};
use crate::engine::filename;
use crate::engine::health::Health;
use crate::engine::identity::Identity;
use crate::engine::load;
use crate::engine::manifest::{Edit, Manifest};
use crate::engine::options::{Access, Durability, OpenOptions, WriteOptions};
use crate::engine::range::KeyRange;
use crate::engine::request::{Answer, Ask, Request};
use crate::engine::stats::{Counter, Stats};
use crate::engine::value::Value;
use crate::engine::{Cursor, KvsEngine, KvsRead, Pairs, Snapshot};
use crate::error::{Error, Result};
use crate::record::writer::LogWriter;
use crate::vfs::dir::Dir;
use crate::vfs::{Cause, DirLock};
use crate::worker::{Schedule, Worker};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
    options: BitcaskOptions,
    durability: Durability,
    listener: Listener,
    health: Arc<Health>,
    shelf: Arc<Shelf>,
    index: Arc<Index>,
    commit: Commit<Request>,
    /// The active segment, for the leader and for who rotates; `None` when open for reading only.
    writer: Mutex<Option<Writer>>,
    /// Locked after `writer`, where both are.
    manifest: Mutex<Option<Manifest<SegmentMeta>>>,
    /// Held by the one merge at a time. Locked before `writer`.
    merging: Mutex<Merging>,
    next_number: AtomicU64,
    /// Set when a merge may be worth it, or the worker is needed otherwise.
    merge_wanted: AtomicBool,
    /// Set when the system should begin to write the active segment.
    writeback_wanted: AtomicBool,
    merges: AtomicU64,
    merge_read_bytes: AtomicU64,
    merge_written_bytes: AtomicU64,
    rotations: AtomicU64,
}

#[derive(Debug, Default)]
struct Merging {
    /// Segments in which a merge met damage. They are left alone, for `verify` and `repair`.
    damaged: BTreeSet<u64>,
}

// ---- open ----

impl Bitcask {
    /// Opens the store at `path`, or makes it, as `open.access` says.
    ///
    /// Reads the manifest, and of each sealed segment its hint or the segment itself; cuts a torn tail
    /// off and removes what no manifest names. Costs memory for every key.
    pub fn open(path: &Path, open: OpenOptions, options: BitcaskOptions) -> Result<Bitcask> {
        options.validate()?;
        let make = |dir: &Dir| create::create(dir, NAME, open.store_id);
        let Claim { dir, identity, lock } = Claim::take(path, &open, NAME, make)?;
        let store = Arc::new(Store::open(dir, &identity, &open, options)?);
        let (merger, syncer) = store.start_workers(&open);
        if open.access != Access::Read {
            merger.wake();
        }
        Ok(Bitcask { merger, syncer, store, _lock: lock })
    }
}

impl Store {
    fn open(dir: Dir, identity: &Identity, open: &OpenOptions, options: BitcaskOptions) -> Result<Store> {
        let listener = open.listener.clone();
        let health = Arc::new(Health::new(listener.clone()));
        let shelf = Arc::new(Shelf {
            dir,
            health: health.clone(),
            listener: listener.clone(),
            store_id: identity.store_id,
            mmap: options.mmap,
            max_open: options.max_open_segments,
            open: Mutex::default(),
        });
        let purpose = if open.access == Access::Read { Purpose::Read } else { Purpose::Write };
        let found = recover(&shelf, options.hints, purpose, options.segment_bytes)?;
        let next_number = found.manifest.files.next_number;
        let Recovered { keydir, sealed, active, manifest, last_seqno, leftovers } = found;
        let segments = sealed.into_iter().chain([active.segment.clone()]).collect();
        let index =
            Index { keydir, view: ArcSwap::from_pointee(View::new(segments)), history: History::default() };
        index.history.lock().visible = last_seqno;
        let (mut writer, mut kept) = (None, None);
        if purpose == Purpose::Write {
            kept = Some(Manifest::resume(&shelf.dir, manifest)?);
            writer = Some(Writer::resume(active, last_seqno + 1)?);
            for name in leftovers {
                // What can not be removed now is harmless, and tried again next time.
                let path = shelf.dir.join(&name);
                listener.tell(match shelf.dir.remove(&name) {
                    Ok(()) => Event::Removed { path },
                    Err(error) => Event::NotRemoved { path, reason: error.to_string() },
                });
            }
        }
        listener.tell(Event::Opened { keys: index.keydir.footprint().keys, seqno: last_seqno });
        Ok(Store {
            options,
            durability: open.durability,
            listener,
            health,
            shelf,
            index: Arc::new(index),
            commit: Commit::default(),
            writer: Mutex::new(writer),
            manifest: Mutex::new(kept),
            merging: Mutex::default(),
            next_number: AtomicU64::new(next_number),
            merge_wanted: AtomicBool::new(false),
            writeback_wanted: AtomicBool::new(false),
            merges: AtomicU64::new(0),
            merge_read_bytes: AtomicU64::new(0),
            merge_written_bytes: AtomicU64::new(0),
            rotations: AtomicU64::new(0),
        })
    }

    /// A worker that merges, and one that syncs where durability has an interval.
    fn start_workers(self: &Arc<Self>, open: &OpenOptions) -> (Worker, Option<Worker>) {
        let job = |work: fn(&Store)| {
            let store = Arc::downgrade(self);
            move || _ = store.upgrade().map(|store| work(&store))
        };
        let on_panic = |what: &'static str| {
            let store = Arc::downgrade(self);
            move |panic: String| {
                let Some(store) = store.upgrade() else { return };
                store.health.poison(Error::invalid(format!("the background {what} panicked: {panic}")));
            }
        };
        // A reader has nothing to merge or to sync, and needs no threads.
        let schedule = if open.access == Access::Read { Schedule::Manual } else { open.schedule };
        let merger = Worker::new("kvs-merge", schedule, None, job(Store::merge_behind), on_panic("merge"));
        let syncer = match (open.durability, schedule) {
            (Durability::Interval(every), Schedule::Threads) => {
                let job = job(|store| _ = store.sync_behind());
                Some(Worker::new("kvs-sync", schedule, Some(every), job, on_panic("sync")))
            }
            _ => None,
        };
        (merger, syncer)
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
        match self.submit_one(key, value, Ask::OldValue)? {
            Answer::Old(value) => Ok(Some(*value)),
            Answer::Nothing | Answer::Absent | Answer::Present => Ok(None),
        }
    }

    fn remove(&self, key: &[u8]) -> Result<bool> {
        Ok(self.submit_one(key, None, Ask::WasThere)? == Answer::Present)
    }

    fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::new(Arc::new(Past::hold(&self.store.index))))
    }

    fn sync(&self) -> Result<()> {
        self.submit(WriteBatch::new(), Durability::Always, Ask::Nothing).map(|_| ())
    }

    fn flush(&self) -> Result<()> {
        self.store.seal_active().map(|_| ())
    }

    fn compact_range(&self, _: &KeyRange) -> Result<()> {
        self.store.compact()
    }

    fn load_sorted(&self, pairs: &mut dyn Pairs) -> Result<u64> {
        load::in_batches(pairs, |batch| self.write(batch, &WriteOptions::default()))
    }

    fn checkpoint(&self, dest: &Path) -> Result<()> {
        if self.store.writer.lock().is_none() {
            return Err(Error::ReadOnly);
        }
        self.store.health.check()?;
        let dir = claim::prepare(&self.store.shelf.dir, dest)?;
        // No merge in between: the segments that were live stay.
        let _merging = self.store.merging.lock();
        let next_seqno = self.store.seal_active()?;
        let mut segments = self.store.index.view.load().by_age();
        segments.retain(|segment| segment.sealed().is_some_and(|sealed| sealed.last_seqno < next_seqno));
        let number = self.store.take_number()?;
        let identity = Identity { engine: NAME.into(), store_id: self.store.shelf.store_id };
        checkpoint::write(&self.store.shelf, &dir, &segments, number, next_seqno, &identity)
    }

    fn stats(&self) -> Result<Stats> {
        let store = &*self.store;
        let mut stats = census::take(&store.shelf, &store.index)?;
        let counter = |name, value: &AtomicU64| Counter { name, value: value.load(Ordering::Relaxed) };
        stats.engine = NAME;
        stats.counters = vec![
            counter("rotations", &store.rotations),
            counter("merges", &store.merges),
            counter("merge read bytes", &store.merge_read_bytes),
            counter("merge written bytes", &store.merge_written_bytes),
        ];
        Ok(stats)
    }

    fn explain_get(&self, key: &[u8]) -> Result<Explanation> {
        let visible_seqno = self.store.index.history.lock().visible;
        let place = "keydir".to_string();
        let value = self.get(key)?;
        let outcome = if value.is_some() { "set" } else { "not there" }.to_string();
        let steps = vec![Step { place: place.clone(), outcome, ..Step::default() }];
        let pairs = value.is_some().into();
        let found = value.map(|value| Found { place, seqno: None, value_bytes: value.len() as u64 });
        Ok(Explanation { engine: NAME, visible_seqno, steps, found, pairs })
    }

    fn explain_scan(&self, range: KeyRange, limit: u64) -> Result<Explanation> {
        let visible_seqno = self.store.index.history.lock().visible;
        let place = "keydir".to_string();
        let (mut found, mut pairs) = (None, 0);
        for pair in self.scan(range)?.take(usize::try_from(limit).unwrap_or(usize::MAX)) {
            let value_bytes = pair?.1.len() as u64;
            found = Some(Found { place: place.clone(), seqno: None, value_bytes });
            pairs += 1;
        }
        let steps = vec![Step { place, outcome: format!("{pairs} pairs"), ..Step::default() }];
        Ok(Explanation { engine: NAME, visible_seqno, steps, found, pairs })
    }
}

impl Bitcask {
    fn submit_one(&self, key: &[u8], value: Option<&[u8]>, ask: Ask) -> Result<Answer> {
        check_key(key)?;
        let mut batch = WriteBatch::with_capacity(key.len() + value.map_or(0, <[u8]>::len) + 16);
        match value {
            Some(value) => batch.set(key, value),
            None => batch.remove(key),
        }
        batch.validate()?;
        self.submit(batch, self.store.durability, ask)
    }

    #[inline]
    fn submit(&self, batch: WriteBatch, durability: Durability, ask: Ask) -> Result<Answer> {
        // Without a thread to sync behind it, an interval has to be no time at all.
        let is_durable = match durability {
            Durability::Always => true,
            Durability::Interval(_) => self.syncer.is_none(),
            Durability::Os => false,
        };
        let store = &*self.store;
        let request = store.commit.submit(Request::new(batch, is_durable, ask), |group| store.apply(group));
        if store.merge_wanted.load(Ordering::Relaxed) && store.merge_wanted.swap(false, Ordering::Relaxed) {
            self.merger.wake();
        }
        let died = || Err(Error::invalid("the thread that was to commit this write panicked"));
        request.outcome.unwrap_or_else(|| died().map_err(|e| store.health.poison(e)))
    }
}

// ---- apply ----

impl Store {
    /// Commits a group, as its leader: one append and at most one sync for all, then the keydir.
    fn apply(&self, group: &mut [Request]) {
        let mut writer = self.writer.lock();
        let _watch = self.health.watch("a commit");
        let result = match &mut *writer {
            // A reader has acknowledged nothing: all of that is durable.
            None if group.iter().all(|request| request.batch.is_empty()) => {
                group.iter_mut().for_each(|request| request.outcome = Some(Ok(Answer::Nothing)));
                Ok(())
            }
            None => Err(Error::ReadOnly),
            Some(writer) => self.health.check().and_then(|()| {
                let result = self.append(writer, group);
                self.health.guard(result)
            }),
        };
        if let Err(error) = result {
            group.iter_mut().for_each(|request| request.outcome = Some(Err(error.clone())));
        }
    }

    fn append(&self, writer: &mut Writer, group: &mut [Request]) -> Result<()> {
        writer.begin_group();
        for i in 0..group.len() {
            let (before, rest) = group.split_at_mut(i);
            let request = &mut rest[0];
            request.answer(before, &*self.index);
            if request.is_written && self.index.keydir.is_full() {
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
            writer.sync()?;
        } else {
            // The worker asks the system to begin writing: that takes milliseconds, and a lock here.
            if writer.is_far_ahead() {
                self.writeback_wanted.store(true, Ordering::Relaxed);
                self.merge_wanted.store(true, Ordering::Relaxed);
            }
        }
        self.install(writer, group);
        Ok(())
    }

    /// Shows a group that is in the log to readers. A snapshot stands before or behind all of it.
    fn install(&self, writer: &mut Writer, group: &[Request]) {
        let mut moments = self.index.history.lock();
        let mut places = writer.places().iter();
        for request in group.iter().filter(|request| request.is_written) {
            for (op, put) in request.batch.iter().zip(places.by_ref()) {
                let active = &writer.segment;
                if u64::from(put.place.segment) == active.number {
                    self.index.apply(&moments, &op, put.seqno, put.place, active);
                } else {
                    // The log was rotated within the group.
                    let view = self.index.view.load();
                    let sealed = view.find(put.place.segment).expect("written segments are in the view");
                    self.index.apply(&moments, &op, put.seqno, put.place, sealed);
                }
            }
        }
        moments.visible = writer.last_seqno();
    }

    /// Makes durable what the operating system has, without keeping writers out.
    fn sync_behind(&self) -> Result<()> {
        self.health.check()?;
        let (file, len, number) = match &*self.writer.lock() {
            Some(writer) if writer.log.synced() < writer.log.written() => {
                (writer.log.file().clone(), writer.log.written(), writer.segment.number)
            }
            _ => return Ok(()),
        };
        self.health.guard(file.sync())?;
        if let Some(writer) = &mut *self.writer.lock()
            && writer.segment.number == number
        {
            writer.log.note_synced(len);
        }
        Ok(())
    }

    // ---- rotate ----

    /// Seals the active segment and begins another. The old one is durable as a whole before the
    /// first record goes to the new one: so only the newest segment can have a torn tail.
    fn rotate(&self, writer: &mut Writer) -> Result<()> {
        let sealed = writer.seal()?;
        let number = self.take_number()?;
        let state = SegmentState::Active { durable: 0 };
        let meta = SegmentMeta { origin: Origin::Log, first_seqno: sealed.last_seqno + 1, state };
        let header = meta.header(self.shelf.store_id, number);
        let name = filename::segment(number);
        let log =
            self.shelf.with_descriptor(|| LogWriter::create(&self.shelf.dir, &name, header, Cause::Log))?;
        log.file().sync()?;
        self.shelf.dir.sync()?;
        let old = &writer.segment;
        let old_meta = SegmentMeta { state: SegmentState::Sealed(sealed), ..old.meta() };
        let edit = Edit { add: vec![(old.number, old_meta), (number, meta.clone())], ..Edit::default() };
        self.apply_edit(edit)?;
        let capacity = self.options.segment_bytes;
        let segment = Segment::active(self.shelf.clone(), number, &meta, log.file().clone(), capacity);
        let segment = Arc::new(segment);
        old.seal(sealed);
        self.index.add_segments(std::slice::from_ref(&segment));
        self.listener.tell(Event::Rotated { sealed: old.number, active: number });
        writer.begin_segment(log, segment);
        self.rotations.fetch_add(1, Ordering::Relaxed);
        self.merge_wanted.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Seals the active segment unless it is empty; returns the sequence number that comes next.
    fn seal_active(&self) -> Result<u64> {
        self.health.check()?;
        let mut writer = self.writer.lock();
        let writer = writer.as_mut().ok_or(Error::ReadOnly)?;
        let _watch = self.health.watch("a rotation");
        if !writer.log.is_empty() {
            let result = self.rotate(writer);
            self.health.guard(result)?;
        }
        Ok(writer.last_seqno() + 1)
    }

    fn take_number(&self) -> Result<u64> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        match u32::try_from(number) {
            Ok(_) => Ok(number),
            Err(_) => Err(Error::invalid("all four billion segment numbers are used up; export and import")),
        }
    }

    fn apply_edit(&self, edit: Edit<SegmentMeta>) -> Result<()> {
        match &mut *self.manifest.lock() {
            Some(manifest) => self.health.guard(manifest.apply(edit)),
            None => Err(Error::ReadOnly),
        }
    }

    // ---- compact ----

    /// The background's job: merges while there is something worth it. What goes wrong is told, and
    /// harms nothing: the inputs stay.
    fn merge_behind(&self) {
        if self.writeback_wanted.swap(false, Ordering::Relaxed) {
            let file = self.writer.lock().as_ref().map(|writer| writer.log.file().clone());
            file.inspect(|file| file.start_writeback());
        }
        while self.health.check().is_ok() {
            match self.merge_once(Aim::Ratio, u64::MAX) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    self.listener.tell(Event::BackgroundFailed { reason: error.to_string() });
                    return;
                }
            }
        }
    }

    /// The user's: everything that can be reclaimed.
    fn compact(&self) -> Result<()> {
        let upto = self.seal_active()? - 1;
        // What writers do meanwhile makes new garbage, in old segments too; this call is about what
        // there was.
        let mut jobs_left = 2 * self.index.view.load().segments().len() + 4;
        while jobs_left > 0 && self.merge_once(Aim::All, upto)? {
            jobs_left -= 1;
        }
        Ok(())
    }

    /// Merges one run of segments that hold no write after `upto`; false if none is worth it.
    fn merge_once(&self, aim: Aim, upto: u64) -> Result<bool> {
        let mut merging = self.merging.lock();
        let Some(job) = Job::plan(&self.index, &self.options, aim, upto, &merging.damaged) else {
            return Ok(false);
        };
        let next_number = || self.next_number.fetch_add(1, Ordering::Relaxed);
        let merged = compaction::run(&self.shelf, &self.index, &job, &next_number);
        let merged = merged.inspect_err(|error| {
            if error.is_corruption() {
                merging.damaged.extend(job.numbers());
            }
        })?;
        self.install_merge(&job, merged)?;
        Ok(true)
    }

    /// Puts a merge's outputs in the place of its inputs.
    fn install_merge(&self, job: &Job, merged: Merged) -> Result<()> {
        let _watch = self.health.watch("installing a merge");
        // What replaced the records that were left out must be durable before they go.
        self.sync_behind()?;
        let removed = job.numbers();
        let add = merged.outputs.iter().map(|output| (output.number, output.meta.clone())).collect();
        self.apply_edit(Edit { add, remove: removed.clone(), ..Edit::default() })?;
        let segment =
            |output: &Output| Arc::new(Segment::new(self.shelf.clone(), output.number, &output.meta));
        let made: Vec<_> = merged.outputs.iter().map(segment).collect();
        self.index.add_segments(&made);
        for (segment, output) in made.iter().zip(&merged.outputs) {
            output.relocate(&self.index.keydir, &job.inputs, segment);
        }
        self.index.remove_segments(&removed);
        job.inputs.iter().for_each(|segment| segment.condemn());
        self.merges.fetch_add(1, Ordering::Relaxed);
        self.merge_read_bytes.fetch_add(merged.read_bytes, Ordering::Relaxed);
        self.merge_written_bytes.fetch_add(merged.written_bytes, Ordering::Relaxed);
        self.listener.tell(Event::Compacted {
            inputs: removed,
            outputs: merged.outputs.iter().map(|output| output.number).collect(),
            read_bytes: merged.read_bytes,
            written_bytes: merged.written_bytes,
        });
        Ok(())
    }

    // ---- close ----

    /// Ends in an orderly way: the active segment is made durable and vouched for, and sealed segments
    /// get the hints that they lack.
    fn close(&self) -> Result<()> {
        self.health.check()?;
        let mut writer = self.writer.lock();
        let Some(mut writer) = writer.take() else { return Ok(()) };
        if writer.was_written() && writer.log.end() >= self.options.segment_bytes / 4 {
            // The next opening would read all of it: with a hint it need not.
            self.rotate(&mut writer)?;
        }
        if writer.was_written() {
            let durable = writer.log.close()?;
            let state = SegmentState::Active { durable };
            let meta = SegmentMeta { state, ..writer.segment.meta() };
            self.apply_edit(Edit { add: vec![(writer.segment.number, meta)], ..Edit::default() })?;
        }
        if self.options.hints {
            hints::write_missing(&self.shelf, &self.index)?;
        }
        match &mut *self.manifest.lock() {
            Some(manifest) => manifest.close(),
            None => Ok(()),
        }
    }
}

impl Drop for Bitcask {
    fn drop(&mut self) {
        self.merger.stop();
        if let Some(syncer) = &mut self.syncer {
            syncer.stop();
        }
        if let Err(error) = self.store.close() {
            // Nothing that was acknowledged depends on it: the next opening recovers.
            self.store.listener.tell(Event::BackgroundFailed { reason: format!("closing: {error}") });
        }
    }
}
