//! LSM: a leveled log-structured merge tree.
//!
//! ```text
//!   set k v ──> commit queue ──> log ──> memtable ──> visible seqno
//!                                          │ full: sealed with its log
//!                                          v flush
//!   level 0     [........] [........]             newest first, ranges overlap
//!                       │ compaction
//!   level 1..6  [..][..][..][..][..][..]          one sorted run a level, each larger than the one above
//!
//!   get k ────> memtables ──> level 0, newest first ──> one table a level: filter, index, block
//!
//!   000007.wal                      one for each memtable
//!   000004.sst 000006.sst           tables: never change
//!   MANIFEST                        which of them are live, and on which level
//!   ENGINE                          whose directory this is
//! ```
//!
//! Writes are sequential, and sorting is put off: to the memtable, to the flush, to compactions. So keys
//! need no room in memory, and scans read what lies side by side. The price: each byte is written
//! several times, and a get may have to look into several places.
//!
//! From *The Log-Structured Merge-Tree* (O'Neil et al., 1996) by way of LevelDB (Ghemawat and Dean,
//! 2011), with RocksDB's dynamic level sizes.
//!
//! Where Bitcask's keydir remembers a place, the memtable remembers the value.

pub mod census;
pub mod checkpoint;
pub mod compaction;
pub mod comparator;
pub mod counters;
pub mod create;
pub mod flush;
pub mod iter;
pub mod key;
pub mod load;
pub mod maker;
pub mod memtable;
pub mod options;
pub mod pressure;
pub mod read;
pub mod recover;
pub mod snapshots;
pub mod table;
pub mod version;
pub mod view;
pub mod wal;
mod writer;

use crate::engine::background::Background;
use crate::engine::batch::WriteBatch;
use crate::engine::claim::{self, Claim};
use crate::engine::commit::Commit;
use crate::engine::event::{Event, Listener};
use crate::engine::explain::Explanation;
use crate::engine::filename;
use crate::engine::health::Health;
use crate::engine::identity::Identity;
use crate::engine::lsm::compaction::Compaction;
use crate::engine::lsm::compaction::jobs::{Aim, Jobs};
use crate::engine::lsm::compaction::picker::Part;
use crate::engine::lsm::compaction::run::Ran;
use crate::engine::lsm::compaction::span::Span;
use crate::engine::lsm::compaction::targets::Limits;
use crate::engine::lsm::counters::Counters;
use crate::engine::lsm::key::user_key;
use crate::engine::lsm::maker::{Made, Maker};
use crate::engine::lsm::memtable::Memtable;
use crate::engine::lsm::options::{LsmOptions, NAME};
use crate::engine::lsm::pressure::Pressure;
use crate::engine::lsm::read::{Past, PinnedCursor, Reads};
use crate::engine::lsm::recover::{Purpose, Recovered, recover};
use crate::engine::lsm::snapshots::Snapshots;
use crate::engine::lsm::table::store::TableStore;
use crate::engine::lsm::version::edit::{LiveFile, StoreMeta, TableMeta, WalMeta};
use crate::engine::lsm::version::{Bin, TableFile, Version};
use crate::engine::lsm::view::{SealedMemtable, View, Views};
use crate::engine::lsm::wal::{WalWriter, check_seqnos};
use crate::engine::lsm::writer::Writer;
use crate::engine::manifest::{Edit, Manifest};
use crate::engine::options::{Access, Durability, OpenOptions, WriteOptions};
use crate::engine::range::KeyRange;
use crate::engine::request::{Answer, Ask, Request, lead};
use crate::engine::stats::Stats;
use crate::engine::value::Value;
use crate::engine::{Cursor, KvsEngine, KvsRead, Pairs, Snapshot};
use crate::error::{Error, Result};
use crate::vfs::DirLock;
use crate::vfs::dir::Dir;
use crate::worker::{Schedule, Worker};
use parking_lot::Mutex;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// An open LSM tree. Dropping it ends its background work, closes the log in an orderly way and lets go
/// of the directory; nothing depends on that having happened.
#[derive(Debug)]
pub struct Lsm {
    // In the order in which they are let go: workers first, the lock last.
    workers: Option<Workers>,
    store: Arc<Store>,
    _lock: Box<dyn DirLock>,
}

/// What goes on in the background. Let go of in this order.
#[derive(Debug)]
struct Workers {
    flusher: Worker,
    syncer: Option<Worker>,
    _compactors: Arc<Vec<Worker>>,
}

/// The engine itself: what workers and the front door share.
#[derive(Debug)]
struct Store {
    options: LsmOptions,
    durability: Durability,
    /// Whether somebody else works while a writer waits.
    schedule: Schedule,
    listener: Listener,
    health: Arc<Health>,
    dir: Dir,
    maker: Maker,
    reads: Arc<Reads>,
    commit: Commit<Request>,
    /// The log and memtable that are written, for the leader and for who rotates; `None` when open for
    /// reading only.
    writer: Mutex<Option<Writer>>,
    /// Held by the one flush at a time. Locked after `writer`, where both are.
    flushing: Mutex<()>,
    /// Locked after `flushing`.
    manifest: Mutex<Option<Manifest<LiveFile>>>,
    /// Which compactions run.
    jobs: Jobs,
    pressure: Pressure,
    next_number: AtomicU64,
    /// The number of the newest log.
    active_wal: AtomicU64,
    /// What was visible when the compactors looked last, and since when.
    rest: Mutex<Option<(u64, Instant)>>,
    work_wanted: AtomicBool,
    writeback_wanted: AtomicBool,
    counters: Counters,
}

// ---- open ----

impl Lsm {
    /// Opens the store at `path`, or makes it, as `open.access` says.
    ///
    /// Reads the manifest and the logs; no table. Cuts a torn tail off and removes what no edit names.
    /// Costs the memory of every write that is not in a table yet.
    pub fn open(path: &Path, open: OpenOptions, options: LsmOptions) -> Result<Lsm> {
        options.validate()?;
        let order = options.comparator.clone();
        let make = |dir: &Dir, identity: &Identity| create::create(dir, identity, &order);
        let Claim { dir, identity, lock } = Claim::take(path, &open, NAME, make)?;
        let store = Arc::new(Store::open(dir, &identity, &open, options)?);
        let workers = Workers::start(&store, &Background::of(&store, &store.health, &open));
        if open.access != Access::Read {
            workers.flusher.wake();
        }
        Ok(Lsm { workers: Some(workers), store, _lock: lock })
    }
}

impl Workers {
    /// Workers that flush and compact, and one that syncs where durability has an interval.
    fn start(store: &Arc<Store>, background: &Background<'_, Store>) -> Workers {
        let others = if background.has_threads() { store.options.compaction_jobs - 1 } else { 0 };
        // One of them looks now and then whether the store is at rest.
        let first = background.worker_every("compaction", LOOK_FOR_REST, Store::compact_behind);
        let more = (0..others).map(|_| background.worker("compaction", Store::compact_behind));
        let compactors = Arc::new(std::iter::once(first).chain(more).collect::<Vec<_>>());
        let flusher = background.worker_before("flush", Store::flush_behind, compactors.clone());
        let syncer = background.syncer(|store| _ = store.sync_behind());
        Workers { flusher, syncer, _compactors: compactors }
    }
}

impl Store {
    fn open(dir: Dir, identity: &Identity, open: &OpenOptions, options: LsmOptions) -> Result<Store> {
        let (listener, order, store_id) =
            (open.listener.clone(), options.comparator.clone(), identity.store_id);
        let health = Arc::new(Health::new(listener.clone()));
        let bin = Arc::new(Bin { dir: dir.clone(), health: health.clone(), listener: listener.clone() });
        let purpose = if open.access == Access::Read { Purpose::Read } else { Purpose::Write };
        let found = recover(&dir, store_id, &order, purpose, &listener)?;
        let Recovered { tables, sealed, active, wal, manifest, last_seqno, leftovers, .. } = found;
        let file = |(number, meta)| Arc::new(TableFile::new(number, meta, bin.clone()));
        let version = Version::of(tables.into_iter().map(file), &order);
        if let Some((one, other)) = version.crossing(&order) {
            let reason = format!("tables {one} and {other} of one level share keys");
            return Err(Error::corruption(&dir.join(filename::MANIFEST), 0, reason));
        }
        let next_number = manifest.files.next_number;
        let active_wal = wal.number;
        let (mut kept, mut writer) = (None, None);
        if purpose == Purpose::Write {
            kept = Some(Manifest::resume(&dir, manifest)?);
            let wal = WalWriter::resume(wal, store_id)?;
            writer = Some(Writer { wal, memtable: active.clone(), next_seqno: last_seqno + 1 });
            leftovers.iter().for_each(|name| bin.remove(name));
        }
        let view = View { active, sealed, version: Arc::new(version) };
        listener.tell(Event::Opened { keys: census::estimate_keys(&view), seqno: last_seqno });
        let reads = Reads {
            views: Views::new(view, order.clone()),
            snapshots: Snapshots::new(last_seqno),
            tables: Arc::new(TableStore::new(dir.clone(), store_id, &options)),
        };
        Ok(Store {
            durability: open.durability,
            schedule: if open.access == Access::Read { Schedule::Manual } else { open.schedule },
            listener,
            health,
            maker: Maker::new(store_id, options.clone(), reads.tables.clone(), bin),
            dir,
            reads: Arc::new(reads),
            commit: Commit::default(),
            writer: Mutex::new(writer),
            flushing: Mutex::default(),
            manifest: Mutex::new(kept),
            jobs: Jobs::new(Limits::from(&options)),
            pressure: Pressure::default(),
            next_number: AtomicU64::new(next_number),
            active_wal: AtomicU64::new(active_wal),
            rest: Mutex::default(),
            work_wanted: AtomicBool::new(false),
            writeback_wanted: AtomicBool::new(false),
            counters: Counters::default(),
            options,
        })
    }
}

// ---- KvsRead ----

impl KvsRead for Lsm {
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        self.store.reads.get(key)
    }

    fn cursor(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(PinnedCursor::present(&self.store.reads, range)?))
    }
}

// ---- KvsEngine ----

impl KvsEngine for Lsm {
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
        Ok(Snapshot::new(Arc::new(Past::hold(&self.store.reads))))
    }

    fn sync(&self) -> Result<()> {
        self.submit(WriteBatch::new(), Durability::Always, Ask::Nothing).map(|_| ())
    }

    fn flush(&self) -> Result<()> {
        self.store.flush()
    }

    fn compact_range(&self, range: &KeyRange) -> Result<()> {
        self.store.flush()?;
        self.store.compact_range(range)
    }

    fn load_sorted(&self, pairs: &mut dyn Pairs) -> Result<u64> {
        self.store.load_sorted(pairs)
    }

    fn checkpoint(&self, dest: &Path) -> Result<()> {
        let store = &*self.store;
        if store.writer.lock().is_none() {
            return Err(Error::ReadOnly);
        }
        store.health.check()?;
        let to = claim::empty_dir(&store.dir, dest)?;
        store.flush()?;
        // The version holds its tables until the checkpoint has them.
        let version = store.reads.views.load().version.clone();
        let identity = Identity { engine: NAME.into(), store_id: store.maker.store_id };
        let (number, order) = (store.take_number()?, store.reads.views.order());
        checkpoint::write(&store.dir, &to, &version, order.name(), number, &identity)
    }

    fn stats(&self) -> Result<Stats> {
        let store = &*self.store;
        let active = store.active_wal.load(Ordering::Relaxed);
        let mut stats = census::take(&store.dir, &store.reads, Some(active), &store.health)?;
        stats.counters = store.counters.list(&store.pressure, &store.reads.tables);
        Ok(stats)
    }

    fn explain_get(&self, key: &[u8]) -> Result<Explanation> {
        self.store.reads.explain_get(key)
    }

    fn explain_scan(&self, range: KeyRange, limit: u64) -> Result<Explanation> {
        self.store.reads.explain_scan(range, limit)
    }
}

impl Lsm {
    /// Flushes, and does all that the background would do if nothing were written from now on: the levels
    /// come to their sizes, and space to what it may be. In the caller's thread.
    pub fn settle(&self) -> Result<()> {
        let store = &*self.store;
        store.flush()?;
        store.compact_all(|| Aim::Rest { settled: store.reads.snapshots.settled() })
    }
}

impl Lsm {
    #[inline]
    fn submit(&self, batch: WriteBatch, durability: Durability, ask: Ask) -> Result<Answer> {
        let workers = self.workers.as_ref().expect("they are let go when the engine is dropped");
        // Without a thread to sync behind it, an interval has to be no time at all.
        let is_durable = match durability {
            Durability::Always => true,
            Durability::Interval(_) => workers.syncer.is_none(),
            Durability::Os => false,
        };
        let store = &*self.store;
        let request = store.commit.submit(Request::new(batch, is_durable, ask), |group| store.apply(group));
        if store.work_wanted.load(Ordering::Relaxed) && store.work_wanted.swap(false, Ordering::Relaxed) {
            workers.flusher.wake();
        }
        request.into_outcome(&store.health)
    }
}

// ---- apply ----

impl Store {
    /// Commits a group, as its leader: one append and at most one sync for all, then the memtable.
    fn apply(&self, group: &mut [Request]) {
        let mut writer = self.writer.lock();
        lead(group, writer.as_mut(), &self.health, |writer, group| {
            // No room is no failure of the log: the group is refused, and the next may find some.
            self.make_room(writer)?;
            let result = self.append(writer, group);
            self.health.guard(result)
        });
    }

    fn append(&self, writer: &mut Writer, group: &mut [Request]) -> Result<()> {
        for i in 0..group.len() {
            let (before, rest) = group.split_at_mut(i);
            let request = &mut rest[0];
            request.answer(before, &*self.reads);
            if let Err(error) = check_seqnos(writer.last_seqno(), request.batch.len() as u64)
                && request.is_written
            {
                request.refuse(error);
            }
            if request.is_written && !request.batch.is_empty() {
                writer.push(&request.batch);
            }
        }
        writer.wal.flush()?;
        if group.iter().any(|request| request.is_durable) {
            writer.wal.sync()?;
        } else if writer.wal.is_far_ahead() {
            // The worker asks the system to begin writing: that takes milliseconds, and a lock here.
            self.writeback_wanted.store(true, Ordering::Relaxed);
            self.work_wanted.store(true, Ordering::Relaxed);
        }
        writer.insert(group);
        // A snapshot stands before or behind all of the group.
        self.reads.snapshots.publish(writer.last_seqno());
        Ok(())
    }

    /// Makes room in the memtable: seals a full one, waits where the background can not follow.
    fn make_room(&self, writer: &mut Writer) -> Result<()> {
        let can_wait = self.schedule == Schedule::Threads;
        if can_wait && self.reads.views.load().level0() >= self.options.level0_slowdown {
            self.pressure.delay();
        }
        if writer.memtable.bytes() < self.options.memtable_bytes {
            return Ok(());
        }
        let is_full = || {
            let view = self.reads.views.load();
            view.sealed.len() >= self.options.sealed_memtables || view.level0() >= self.options.level0_stop
        };
        if can_wait && is_full() {
            let reason = "memtables wait to be flushed, or level 0 to be compacted";
            let waited = self.pressure.wait(&self.health, &self.listener, reason, is_full);
            // Who is in trouble tries again, whether or not this writer does.
            self.work_wanted.store(waited.is_err(), Ordering::Relaxed);
            waited?;
        }
        let result = self.rotate(writer);
        self.health.guard(result)
    }

    /// Makes durable what the operating system has, without keeping writers out.
    fn sync_behind(&self) -> Result<()> {
        self.health.check()?;
        let found = self.writer.lock().as_ref().and_then(|w| Some((w.wal.unsynced()?, w.wal.number())));
        let Some(((file, len), number)) = found else { return Ok(()) };
        self.health.guard(file.sync())?;
        if let Some(writer) = &mut *self.writer.lock()
            && writer.wal.number() == number
        {
            writer.wal.note_synced(len);
        }
        Ok(())
    }

    // ---- rotate ----

    /// Seals the memtable and its log, and begins others. The old log is durable as a whole before the
    /// first record goes to the new one: so only the newest log can have a torn tail.
    fn rotate(&self, writer: &mut Writer) -> Result<()> {
        let last_seqno = writer.last_seqno();
        let (old, sealed) = (writer.wal.number(), writer.wal.seal(last_seqno)?);
        let number = self.take_number()?;
        let create = || WalWriter::create(&self.dir, self.maker.store_id, number, last_seqno + 1);
        let wal = self.maker.tables.with_descriptor(create)?;
        let log = |number, meta: WalMeta| (number, LiveFile::Wal(meta));
        self.apply_edit(Edit { add: vec![log(old, sealed), log(number, wal.meta())], ..Edit::default() })?;
        let memtable =
            Arc::new(Memtable::new(self.reads.views.order().clone(), self.options.memtable_bytes as usize));
        self.reads.views.change(|view| {
            let full = SealedMemtable { memtable: view.active.clone(), wal: old };
            let sealed = std::iter::once(full).chain(view.sealed.iter().cloned()).collect();
            View { active: memtable.clone(), sealed, version: view.version.clone() }
        });
        self.listener.tell(Event::Rotated { sealed: old, active: number });
        (writer.wal, writer.memtable) = (wal, memtable);
        self.active_wal.store(number, Ordering::Relaxed);
        self.counters.rotations.fetch_add(1, Ordering::Relaxed);
        self.work_wanted.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn take_number(&self) -> Result<u64> {
        Ok(self.next_number.fetch_add(1, Ordering::Relaxed))
    }

    fn apply_edit(&self, edit: Edit<LiveFile>) -> Result<()> {
        match &mut *self.manifest.lock() {
            Some(manifest) => self.health.guard(manifest.apply(edit)),
            None => Err(Error::ReadOnly),
        }
    }

    // ---- flush ----

    /// The background's job: memtables become tables, the oldest first. What goes wrong is told, to who
    /// waits too, and harms nothing: the log stays.
    fn flush_behind(&self) {
        if self.writeback_wanted.swap(false, Ordering::Relaxed) {
            let file = self.writer.lock().as_ref().map(|writer| writer.wal.file().clone());
            file.inspect(|file| file.start_writeback());
        }
        if self.health.check().is_ok()
            && let Err(error) = self.flush_sealed()
        {
            self.pressure.trouble(&error);
            self.listener.tell(Event::BackgroundFailed { reason: format!("a flush: {error}") });
        }
    }

    /// The user's: everything that is in memory now.
    fn flush(&self) -> Result<()> {
        self.health.check()?;
        {
            let mut writer = self.writer.lock();
            let writer = writer.as_mut().ok_or(Error::ReadOnly)?;
            let _watch = self.health.watch("a rotation");
            if !writer.memtable.is_empty() {
                let result = self.rotate(writer);
                self.health.guard(result)?;
            }
        }
        self.flush_sealed()
    }

    /// Flushes all sealed memtables.
    fn flush_sealed(&self) -> Result<()> {
        let _flushing = self.flushing.lock();
        loop {
            let Some(oldest) = self.reads.views.load().sealed.last().cloned() else { return Ok(()) };
            self.health.check()?;
            self.flush_one(&oldest)?;
        }
    }

    fn flush_one(&self, sealed: &SealedMemtable) -> Result<()> {
        let number = self.take_number()?;
        let mut made = flush::run(&self.maker, &sealed.memtable, self.reads.snapshots.moments(), number)?;
        let _watch = self.health.watch("installing a flush");
        // From here on the edit may be on the disk: the files stay, whatever comes.
        made.keep();
        let store = self.store_meta(sealed.memtable.last_seqno());
        let add = made.edits().chain([(0, store)]).collect();
        self.apply_edit(Edit { add, remove: vec![sealed.wal], ..Edit::default() })?;
        let tables = self.files(&made.tables);
        self.reads.views.change(|view| View {
            active: view.active.clone(),
            sealed: view.sealed.iter().filter(|other| other.wal != sealed.wal).cloned().collect(),
            version: Arc::new(view.version.with(&[], &tables, self.reads.views.order())),
        });
        self.maker.bin.remove(&filename::wal(sealed.wal));
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        self.counters.flushed_bytes.fetch_add(made.bytes(), Ordering::Relaxed);
        self.listener.tell(Event::Flushed { table: number, wal: sealed.wal, bytes: made.bytes() });
        self.pressure.relieve();
        Ok(())
    }

    fn store_meta(&self, last_seqno: u64) -> LiveFile {
        LiveFile::Store(StoreMeta { comparator: self.reads.views.order().name().to_string(), last_seqno })
    }

    fn files(&self, tables: &[(u64, TableMeta)]) -> Vec<Arc<TableFile>> {
        let file =
            |(number, meta): &(u64, TableMeta)| TableFile::new(*number, meta.clone(), self.maker.bin.clone());
        tables.iter().map(|table| Arc::new(file(table))).collect()
    }

    // ---- compact ----

    /// The background's job: compacts while anything is worth it.
    fn compact_behind(&self) {
        let aim = self.background_aim();
        while self.health.check().is_ok() && !self.maker.is_stopping() {
            match self.compact_once(aim) {
                Ok(true) => {}
                Ok(false) => {
                    // Who waits for what can not be compacted is not left waiting.
                    self.jobs.damage().inspect(|damage| self.pressure.trouble(damage));
                    return;
                }
                Err(error) => {
                    self.pressure.trouble(&error);
                    self.listener.tell(Event::BackgroundFailed { reason: format!("a compaction: {error}") });
                    return;
                }
            }
        }
    }

    /// A store to which nothing was written for a while is at rest, and may be made smaller.
    fn background_aim(&self) -> Aim<'static> {
        let visible = self.reads.snapshots.visible();
        let mut rest = self.rest.lock();
        match *rest {
            Some((seen, since)) if seen == visible => match since.elapsed() >= LOOK_FOR_REST {
                true if self.schedule == Schedule::Threads => {
                    Aim::Rest { settled: self.reads.snapshots.settled() }
                }
                // Stepped runs know no time.
                _ => Aim::Shape,
            },
            _ => {
                *rest = Some((visible, Instant::now()));
                Aim::Shape
            }
        }
    }

    /// The user's: every table that may hold a key of the range goes down to the last level.
    fn compact_range(&self, range: &KeyRange) -> Result<()> {
        let end_of = |bound: &Bound<Vec<u8>>| match bound {
            Bound::Included(key) | Bound::Excluded(key) => Some(key.clone()),
            Bound::Unbounded => None,
        };
        let (start, end) = (end_of(&range.start), end_of(&range.end));
        let upto = self.reads.snapshots.visible();
        let part = Part { start: start.as_deref(), end: end.as_deref(), upto };
        self.compact_all(|| Aim::Part(part, self.reads.snapshots.settled()))
    }

    /// Compacts in the caller's thread until nothing is left to do for an aim.
    fn compact_all<'a>(&self, aim: impl Fn() -> Aim<'a>) -> Result<()> {
        loop {
            self.health.check()?;
            // What runs already may be in the way, or may be what is wanted.
            let was_busy = self.jobs.is_busy();
            if self.compact_once(aim())? {
                continue;
            }
            if !was_busy {
                return Ok(());
            }
            self.pressure.wait_for_step();
        }
    }

    /// Picks one compaction, runs and installs it; false if none is worth it.
    fn compact_once(&self, aim: Aim<'_>) -> Result<bool> {
        let order = self.reads.views.order();
        let Some(job) = self.jobs.pick(order, aim, || self.reads.views.load().version.clone()) else {
            return Ok(false);
        };
        let compaction = &job.compaction;
        let result = if compaction.is_move {
            self.install_move(compaction)
        } else {
            let next_number = || self.take_number();
            let moments = self.reads.snapshots.moments();
            compaction::run::run(&self.maker, order, self.jobs.limits(), compaction, moments, &next_number)
                .inspect_err(|error| self.note_damage(compaction, error))
                .and_then(|ran| self.install(compaction, ran))
        };
        drop(job);
        result?;
        self.pressure.relieve();
        Ok(true)
    }

    fn note_damage(&self, compaction: &Compaction, error: &Error) {
        if error.is_corruption() {
            self.jobs.avoid(compaction, error);
        }
    }

    /// Puts a compaction's outputs in the place of its inputs.
    fn install(&self, compaction: &Compaction, mut ran: Ran<'_>) -> Result<()> {
        let _watch = self.health.watch("installing a compaction");
        ran.made.keep();
        let removed: Vec<u64> = compaction.tables().map(|table| table.number).collect();
        self.apply_edit(Edit {
            add: ran.made.edits().collect(),
            remove: removed.clone(),
            ..Edit::default()
        })?;
        self.change_version(&removed, &self.files(&ran.made.tables));
        compaction.tables().for_each(|table| table.condemn());
        self.counters.compacted(ran.read_bytes, ran.made.bytes(), ran.dropped);
        self.listener.tell(Event::Compacted {
            inputs: removed,
            outputs: ran.made.tables.iter().map(|(number, _)| *number).collect(),
            read_bytes: ran.read_bytes,
            written_bytes: ran.made.bytes(),
        });
        Ok(())
    }

    /// Moves tables to another level: nothing is read or written but the edit.
    fn install_move(&self, compaction: &Compaction) -> Result<()> {
        let _watch = self.health.watch("moving a table");
        let moved = compaction.inputs.iter().map(|table| Arc::new(table.moved(compaction.output_level)));
        let moved: Vec<_> = moved.collect();
        let add = moved.iter().map(|table| (table.number, LiveFile::Table(table.meta.clone()))).collect();
        self.apply_edit(Edit { add, ..Edit::default() })?;
        let numbers: Vec<u64> = moved.iter().map(|table| table.number).collect();
        self.change_version(&numbers, &moved);
        self.counters.moves.fetch_add(numbers.len() as u64, Ordering::Relaxed);
        self.listener.tell(Event::Moved { tables: numbers, level: compaction.output_level });
        Ok(())
    }

    fn change_version(&self, removed: &[u64], added: &[Arc<TableFile>]) {
        let order = self.reads.views.order();
        self.reads.views.change(|view| View {
            version: Arc::new(view.version.with(removed, added, order)),
            ..view.clone()
        });
    }

    // ---- load ----

    /// Writes sorted pairs straight into tables. Writers wait: what they write comes behind.
    fn load_sorted(&self, pairs: &mut dyn Pairs) -> Result<u64> {
        self.health.check()?;
        let mut writer = self.writer.lock();
        let writer = writer.as_mut().ok_or(Error::ReadOnly)?;
        check_seqnos(writer.last_seqno(), 1)?;
        let (seqno, order) = (writer.next_seqno, self.reads.views.order());
        let next_number = || self.take_number();
        let (made, count) = load::write(&self.maker, order, pairs, seqno, &next_number)?;
        if count == 0 {
            return Ok(0);
        }
        // What was written before is older, and must not stand above: it goes to tables first.
        if !writer.memtable.is_empty() {
            let result = self.rotate(writer);
            self.health.guard(result)?;
        }
        self.flush_sealed()?;
        self.install_loaded(writer, made)?;
        self.work_wanted.store(true, Ordering::Relaxed);
        Ok(count)
    }

    fn install_loaded(&self, writer: &mut Writer, mut made: Made<'_>) -> Result<()> {
        let _watch = self.health.watch("installing a load");
        let (seqno, order) = (writer.next_seqno, self.reads.views.order());
        let tables = std::mem::take(&mut made.tables);
        let (first, last) = (&tables[0].1, &tables[tables.len() - 1].1);
        let (smallest, largest) = (user_key(&first.smallest).to_vec(), user_key(&last.largest).to_vec());
        let span = Span { smallest: &smallest, largest: &largest };
        let lowest = || load::level_for(&self.reads.views.load().version, &smallest, &largest, order);
        made.keep();
        self.jobs.install_loaded(order, &span, lowest, |level| {
            let placed = tables.iter().map(|(number, meta)| (*number, TableMeta { level, ..meta.clone() }));
            let placed: Vec<_> = placed.collect();
            let file = |(number, meta): &(u64, TableMeta)| (*number, LiveFile::Table(meta.clone()));
            let add = placed.iter().map(file).chain([(0, self.store_meta(seqno))]).collect();
            self.apply_edit(Edit { add, ..Edit::default() })?;
            self.change_version(&[], &self.files(&placed));
            let (numbers, bytes) =
                (placed.iter().map(|(n, _)| *n).collect(), placed.iter().map(|(_, m)| m.len).sum());
            self.listener.tell(Event::LoadedSorted { tables: numbers, level, bytes });
            Ok(())
        })?;
        writer.next_seqno = seqno + 1;
        self.reads.snapshots.publish(seqno);
        Ok(())
    }

    // ---- close ----

    /// Ends in an orderly way: what is long in memory becomes a table, so that the next opening need not
    /// read it; the log is made durable and vouched for.
    fn close(&self) -> Result<()> {
        self.health.check()?;
        let is_long = |writer: &Writer| writer.wal.bytes() >= FLUSH_AT_CLOSE;
        let mut writer = self.writer.lock();
        let Some(mut writer) = writer.take() else { return Ok(()) };
        if is_long(&writer) && !writer.memtable.is_empty() {
            let result = self.rotate(&mut writer);
            self.health.guard(result)?;
        }
        self.flush_sealed()?;
        if writer.wal.was_written() {
            let meta = writer.wal.close()?;
            let add = vec![(writer.wal.number(), LiveFile::Wal(meta))];
            self.apply_edit(Edit { add, ..Edit::default() })?;
        }
        match &mut *self.manifest.lock() {
            Some(manifest) => manifest.close(),
            None => Ok(()),
        }
    }
}

/// How often a store is asked whether it is at rest, and how long nothing was written then.
const LOOK_FOR_REST: Duration = Duration::from_millis(500);

/// A log with this many bytes is flushed when the store is closed: the next opening would read all of
/// it. A shorter one is read again, so that a thousand short lives do not leave a thousand tables.
const FLUSH_AT_CLOSE: u64 = 1 << 20;

impl Drop for Lsm {
    fn drop(&mut self) {
        self.store.maker.stopping.store(true, Ordering::Relaxed);
        drop(self.workers.take());
        if let Err(error) = self.store.close() {
            // Nothing that was acknowledged depends on it: the next opening recovers.
            self.store.listener.tell(Event::BackgroundFailed { reason: format!("closing: {error}") });
        }
    }
}
