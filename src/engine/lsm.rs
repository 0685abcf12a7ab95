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
mod compactor;
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
use crate::engine::catalog::Catalog;
use crate::engine::claim::{self, Claim};
use crate::engine::commit::Commit;
use crate::engine::event::Event;
use crate::engine::explain::Explanation;
use crate::engine::filename;
use crate::engine::health::Health;
use crate::engine::identity::Identity;
use crate::engine::lsm::compaction::jobs::Jobs;
use crate::engine::lsm::compaction::targets::Limits;
use crate::engine::lsm::compactor::{Compactor, LOOK_FOR_REST};
use crate::engine::lsm::counters::Counters;
use crate::engine::lsm::flush::Flusher;
use crate::engine::lsm::load::Loader;
use crate::engine::lsm::maker::Maker;
use crate::engine::lsm::memtable::Memtable;
use crate::engine::lsm::options::{LsmOptions, NAME};
use crate::engine::lsm::pressure::{Pressure, Relief};
use crate::engine::lsm::read::{Past, PinnedCursor, Reads, check_range};
use crate::engine::lsm::recover::{Purpose, Recovered, recover};
use crate::engine::lsm::snapshots::Snapshots;
use crate::engine::lsm::table::store::TableStore;
use crate::engine::lsm::version::edit::{LiveFile, WalMeta};
use crate::engine::lsm::version::{Bin, TableFile, Version};
use crate::engine::lsm::view::{View, Views};
use crate::engine::lsm::wal::{WalWriter, check_seqnos};
use crate::engine::lsm::writer::{Active, Writer};
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
use crate::vfs::dir::Dir;
use crate::worker::{Schedule, Worker};
use std::path::Path;
use std::sync::Arc;

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
    health: Arc<Health>,
    maker: Arc<Maker>,
    reads: Arc<Reads>,
    commit: Commit<Request>,
    active: Active,
    catalog: Arc<Catalog<LiveFile>>,
    flusher: Flusher,
    compactor: Compactor,
    loader: Loader,
    pressure: Arc<Pressure>,
    /// Set when a memtable waits for its flush, or the workers are needed otherwise.
    work_wanted: AtomicBool,
    counters: Arc<Counters>,
}

// ---- open ----

impl Lsm {
    /// Opens the store at `path`, or makes it, as `open.access` says.
    ///
    /// Reads the manifest and the logs; no table. Cuts a torn tail off and removes what no edit names.
    /// Costs the memory of every write that is not in a table yet.
    pub fn open(path: &Path, open: OpenOptions, options: LsmOptions) -> Result<Lsm> {
        options.validate()?;
        let order = options.order();
        let make = |dir: &Dir, identity: &Identity| create::create(dir, identity, &order);
        let Claim { dir, identity, lock } = Claim::take(path, &open, NAME, make)?;
        let store = Arc::new(Store::open(dir, &identity, &open, options)?);
        let workers = Workers::start(&store, &Background::of(&store, &store.health, &open, path))?;
        if open.access != Access::Read {
            workers.flusher.wake();
        }
        Ok(Lsm { workers: Some(workers), store, _lock: lock })
    }
}

impl Workers {
    /// Workers that flush and compact, and one that syncs where durability has an interval.
    fn start(store: &Arc<Store>, background: &Background<'_, Store>) -> Result<Workers> {
        let others = if background.has_threads() { store.options.compaction_jobs - 1 } else { 0 };
        // One of them looks now and then whether the store is at rest.
        let first =
            background.worker_every("compaction", LOOK_FOR_REST, |store| store.compactor.compact_behind())?;
        let more =
            (0..others).map(|_| background.worker("compaction", |store| store.compactor.compact_behind()));
        let compactors = Arc::new(std::iter::once(Ok(first)).chain(more).collect::<Result<Vec<_>>>()?);
        let flusher = background.worker_before("flush", Store::flush_behind, compactors.clone())?;
        let syncer = background.syncer(|store| _ = store.active.sync_behind())?;
        Ok(Workers { flusher, syncer, _compactors: compactors })
    }
}

impl Store {
    fn open(dir: Dir, identity: &Identity, open: &OpenOptions, options: LsmOptions) -> Result<Store> {
        let (listener, store_id) = (open.listener.clone(), identity.store_id);
        let health = Arc::new(Health::new(listener.clone()));
        let bin = Arc::new(Bin { dir: dir.clone(), health: health.clone(), listener: listener.clone() });
        let purpose = if open.access == Access::Read { Purpose::Read } else { Purpose::Write };
        let found = recover(&dir, store_id, options.comparator.as_ref(), purpose, &listener)?;
        let Recovered { order, tables, sealed, active, wal, manifest, last_seqno, leftovers, .. } = found;
        let options = LsmOptions { comparator: Some(order.clone()), ..options };
        let file = |(number, meta)| Arc::new(TableFile::new(number, meta, bin.clone()));
        let version = Version::of(tables.into_iter().map(file), &order);
        if let Some((one, other)) = version.crossing(&order) {
            let reason = format!("tables {one} and {other} of one level share keys");
            return Err(Error::corruption(&dir.join(filename::MANIFEST), 0, reason));
        }
        let next_number = manifest.files.next_number;
        let newest_wal = wal.number;
        let (mut writer, mut kept) = (None, None);
        if purpose == Purpose::Write {
            kept = Some(Manifest::resume(&dir, manifest)?);
            let wal = WalWriter::resume(wal, store_id)?;
            writer = Some(Writer { wal, memtable: active.clone(), next_seqno: last_seqno + 1 });
            leftovers.iter().for_each(|name| bin.remove(name));
        }
        let view = View { active, sealed, version: Arc::new(version) };
        listener.tell(Event::Opened { keys: census::estimate_keys(&view), seqno: last_seqno });
        let tables = Arc::new(TableStore::new(dir, store_id, &options));
        let maker = Arc::new(Maker::new(store_id, options.clone(), tables.clone(), bin));
        let (views, snapshots) = (Views::new(view, order), Snapshots::new(last_seqno));
        let reads = Arc::new(Reads { views, snapshots, tables });
        let catalog = Arc::new(Catalog::new(kept, next_number..=u64::MAX, health.clone()));
        let (pressure, counters) = (Arc::<Pressure>::default(), Arc::<Counters>::default());
        let schedule = if open.access == Access::Read { Schedule::Manual } else { open.schedule };
        let flusher = Flusher {
            maker: maker.clone(),
            reads: reads.clone(),
            catalog: catalog.clone(),
            pressure: pressure.clone(),
            counters: counters.clone(),
            turn: Default::default(),
        };
        let jobs = Arc::new(Jobs::new(Limits::from(&options)));
        let compactor = Compactor {
            maker: maker.clone(),
            reads: reads.clone(),
            catalog: catalog.clone(),
            jobs: jobs.clone(),
            pressure: pressure.clone(),
            counters: counters.clone(),
            schedule,
            rest: Default::default(),
        };
        let loader = Loader { maker: maker.clone(), reads: reads.clone(), catalog: catalog.clone(), jobs };
        Ok(Store {
            options,
            durability: open.durability,
            schedule,
            active: Active::new(writer, newest_wal, health.clone()),
            health,
            maker,
            reads,
            commit: Commit::new(|request| request.batch.byte_len()),
            catalog,
            flusher,
            compactor,
            loader,
            pressure,
            work_wanted: AtomicBool::new(false),
            counters,
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
        self.store.flush()?;
        self.wake();
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.store.flush()?;
        self.store.compactor.settle()
    }

    fn compact_range(&self, range: &KeyRange) -> Result<()> {
        self.store.compact(range)?;
        self.wake();
        Ok(())
    }

    fn load_sorted(&self, pairs: &mut dyn Pairs) -> Result<u64> {
        let count = self.store.load(pairs)?;
        self.wake();
        Ok(count)
    }

    fn checkpoint(&self, dest: &Path) -> Result<()> {
        self.store.checkpoint(dest)
    }

    fn stats(&self) -> Result<Stats> {
        let store = &*self.store;
        let (dir, active) = (&store.maker.bin.dir, Some(store.active.wal()));
        let mut stats = census::take(dir, &store.reads, active, &store.health)?;
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
    #[inline]
    fn submit(&self, batch: WriteBatch, durability: Durability, ask: Ask) -> Result<Answer> {
        let behind = self.workers().syncer.as_ref().and(self.store.durability.interval());
        let is_durable = durability.is_at_once(behind);
        let store = &*self.store;
        let request = store.commit.submit(Request::new(batch, is_durable, ask), |group| store.apply(group));
        self.wake();
        request.into_outcome(&store.health)
    }

    /// Wakes the workers if something was left for them: the flusher, and the compactors after it.
    #[inline]
    fn wake(&self) {
        let wanted = &self.store.work_wanted;
        if wanted.load(Ordering::Relaxed) && wanted.swap(false, Ordering::Relaxed) {
            self.workers().flusher.wake();
        }
    }

    fn workers(&self) -> &Workers {
        self.workers.as_ref().expect("they are let go when the engine is dropped")
    }
}

// ---- apply ----

impl Store {
    /// Commits a group, as its leader: one append and at most one sync for all, then the memtable.
    fn apply(&self, group: &mut [Request]) {
        let mut writer = self.active.lock();
        lead(group, writer.as_mut(), &self.health, |writer, group| {
            self.make_room_for(writer, group)?;
            let result = self.append(writer, group);
            self.health.guard(result)
        });
    }

    fn append(&self, writer: &mut Writer, group: &mut [Request]) -> Result<()> {
        for i in 0..group.len() {
            let (before, rest) = group.split_at_mut(i);
            let request = &mut rest[0];
            if request.outcome.is_some() {
                continue;
            }
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
        if group.iter().any(|request| request.is_durable && matches!(request.outcome, Some(Ok(_)))) {
            writer.wal.sync(self.options.memtable_bytes)?;
        } else if writer.wal.is_far_ahead() {
            // The worker asks the system to begin writing: that takes milliseconds, and a lock here.
            self.active.want_writeback(&writer.wal);
            self.work_wanted.store(true, Ordering::Relaxed);
        }
        writer.insert(group);
        // A snapshot stands before or behind all of the group.
        self.reads.snapshots.publish(writer.last_seqno());
        Ok(())
    }

    /// Makes room for what a group writes. No room is no failure of the log: who writes is refused, and the next
    /// group may find some. Who only syncs needs none, and what is there can be made durable whatever keeps it
    /// from going to tables.
    fn make_room_for(&self, writer: &mut Writer, group: &mut [Request]) -> Result<()> {
        let writes = |request: &Request| !request.batch.is_empty();
        if !group.iter().any(writes) {
            return Ok(());
        }
        let Err(error) = self.make_room(writer) else { return Ok(()) };
        if self.health.check().is_err() {
            return Err(error);
        }
        group.iter_mut().filter(|request| writes(request)).for_each(|request| request.refuse(error.clone()));
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
        let wanted = || {
            let view = self.reads.views.load();
            if view.sealed.len() >= self.options.sealed_memtables {
                return Some(Relief::Flush);
            }
            (view.level0() >= self.options.level0_stop).then_some(Relief::Compaction)
        };
        if can_wait && wanted().is_some() {
            self.sync_before_a_wait(writer)?;
            let reason = "memtables wait to be flushed, or level 0 to be compacted";
            let waited = self.pressure.wait(&self.health, &self.maker.bin.listener, reason, wanted);
            // Who is in trouble tries again, whether or not this writer does.
            self.work_wanted.store(waited.is_err(), Ordering::Relaxed);
            waited?;
        }
        self.health.guard(self.rotate(writer))
    }

    /// Who syncs behind writers needs the writer: one who waits with it in his hands syncs first, for an
    /// interval may pass meanwhile.
    fn sync_before_a_wait(&self, writer: &mut Writer) -> Result<()> {
        match self.durability.interval() {
            Some(_) => self.health.guard(writer.wal.sync(self.options.memtable_bytes)),
            None => Ok(()),
        }
    }

    // ---- rotate ----

    /// Seals the memtable and its log, and begins others. The old log is durable as a whole before the
    /// first record goes to the new one: so only the newest log can have a torn tail.
    fn rotate(&self, writer: &mut Writer) -> Result<()> {
        let last_seqno = writer.last_seqno();
        let (old, sealed) = (writer.wal.number(), writer.wal.seal(last_seqno)?);
        let number = self.catalog.take_number()?;
        let create = || WalWriter::create(&self.maker.bin.dir, self.maker.store_id, number, last_seqno + 1);
        let wal = self.maker.tables.with_descriptor(create)?;
        let log = |number, meta: WalMeta| (number, LiveFile::Wal(meta));
        let add = vec![log(old, sealed), log(number, wal.meta())];
        self.catalog.apply(Edit { add, ..Edit::default() })?;
        let order = self.reads.views.order().clone();
        let memtable = Arc::new(Memtable::new(order, self.options.memtable_bytes as usize));
        self.reads.views.rotate(old, memtable.clone());
        self.maker.tell(Event::Rotated { sealed: old, active: number });
        (writer.wal, writer.memtable) = (wal, memtable);
        self.active.note_wal(number);
        self.counters.rotations.fetch_add(1, Ordering::Relaxed);
        self.work_wanted.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Rotates unless the memtable is empty.
    fn seal(&self, writer: &mut Writer) -> Result<()> {
        match writer.memtable.is_empty() {
            true => Ok(()),
            false => self.health.guard(self.rotate(writer)),
        }
    }

    /// Seals the memtable unless it is empty.
    fn seal_active(&self) -> Result<()> {
        let mut writer = self.active.lock();
        // With the lock: who held the writer may have failed, and what he was refused would be sealed.
        self.health.check()?;
        let writer = writer.as_mut().ok_or(Error::ReadOnly)?;
        let _watch = self.health.watch("a rotation");
        self.seal(writer)
    }

    // ---- flush ----

    /// The background's job.
    fn flush_behind(&self) {
        self.active.start_writeback();
        self.flusher.flush_behind();
    }

    /// The user's: everything that is in memory now.
    fn flush(&self) -> Result<()> {
        self.seal_active()?;
        self.flusher.flush_sealed()
    }

    // ---- compact ----

    /// The user's. What is in memory goes to tables first.
    fn compact(&self, range: &KeyRange) -> Result<()> {
        check_range(range, self.reads.views.order())?;
        self.flush()?;
        self.compactor.compact(range)
    }

    // ---- load ----

    /// Writes sorted pairs straight into tables. Writers wait: what they write comes behind.
    fn load(&self, pairs: &mut dyn Pairs) -> Result<u64> {
        let mut writer = self.active.lock();
        self.health.check()?;
        let writer = writer.as_mut().ok_or(Error::ReadOnly)?;
        check_seqnos(writer.last_seqno(), 1)?;
        self.sync_before_a_wait(writer)?;
        let (made, count) = self.loader.write(pairs, writer.next_seqno)?;
        if count == 0 {
            return Ok(0);
        }
        // What was written before is older, and must not stand above: it goes to tables first.
        let watch = self.health.watch("a rotation");
        self.seal(writer)?;
        drop(watch);
        self.flusher.flush_sealed()?;
        self.loader.install(writer, made)?;
        self.work_wanted.store(true, Ordering::Relaxed);
        Ok(count)
    }

    // ---- checkpoint ----

    fn checkpoint(&self, dest: &Path) -> Result<()> {
        self.active.check_writable()?;
        let dir = &self.maker.bin.dir;
        let to = claim::empty_dir(dir, dest)?;
        self.flush()?;
        // The version holds its tables until the checkpoint has them.
        let version = self.reads.views.load().version.clone();
        let number = self.catalog.take_number()?;
        let identity = Identity { engine: NAME.into(), store_id: self.maker.store_id };
        checkpoint::write(dir, &to, &version, self.reads.views.order().name(), number, &identity)
    }

    // ---- close ----

    /// Ends in an orderly way: what is long in memory becomes a table, so that the next opening need not
    /// read it; the log is made durable and vouched for.
    fn close(&self) -> Result<()> {
        self.health.check()?;
        let is_long = |writer: &Writer| writer.wal.bytes() >= FLUSH_AT_CLOSE;
        let mut writer = self.active.lock();
        let Some(mut writer) = writer.take() else { return Ok(()) };
        if is_long(&writer) {
            self.seal(&mut writer)?;
        }
        let flushed = self.flusher.flush_sealed();
        // A table that can not be written keeps nothing from being durable: its log is. The log that grows is only
        // if it is synced now, for who did that behind writers has ended.
        self.health.check()?;
        if writer.wal.was_written() {
            let meta = writer.wal.close()?;
            let add = vec![(writer.wal.number(), LiveFile::Wal(meta))];
            self.catalog.apply(Edit { add, ..Edit::default() })?;
        }
        flushed?;
        self.catalog.close()
    }
}

/// A log with this many bytes is flushed when the store is closed: the next opening would read all of
/// it. A shorter one is read again, so that a thousand short lives do not leave a thousand tables.
const FLUSH_AT_CLOSE: u64 = 1 << 20;

impl Drop for Lsm {
    fn drop(&mut self) {
        self.store.maker.stopping.store(true, Ordering::Relaxed);
        drop(self.workers.take());
        if let Err(error) = self.store.close() {
            // Nothing that was acknowledged depends on it: the next opening recovers.
            self.store.maker.tell(Event::BackgroundFailed { reason: format!("closing: {error}") });
        }
        self.store.health.close();
    }
}

#[cfg(test)]
mod tests {
    use super::{Lsm, LsmOptions};
    use crate::engine::batch::WriteBatch;
    use crate::engine::lsm::comparator::Order;
    use crate::engine::options::OpenOptions;
    use crate::engine::range::KeyRange;
    use crate::engine::request::{Ask, Request};
    use crate::engine::{KvsEngine, KvsRead};
    use crate::error::Error;
    use crate::vfs::fault::{At, Call, Errno, Fault, FaultDisk, Lasting};
    use crate::vfs::memory::SimDisk;
    use std::path::Path;
    use std::sync::Arc;

    /// A prefix is no range in another order: a scan said so, and a compaction of it did nothing and called it done.
    #[test]
    fn crossed_ends_in_another_order_are_refused_by_a_compaction_too() {
        let open = OpenOptions { disk: Arc::new(SimDisk::new()), ..OpenOptions::default() };
        let options = LsmOptions { comparator: Some(Order::Reverse), ..LsmOptions::tiny() };
        let lsm = Lsm::open(Path::new("/store"), open, options).unwrap();
        lsm.set(b"user:1", b"x").unwrap();
        let prefix = KeyRange::prefix("user:");
        assert!(matches!(lsm.scan(prefix.clone()).err(), Some(Error::InvalidArgument(_))));
        assert!(matches!(lsm.compact_range(&prefix), Err(Error::InvalidArgument(_))));
        lsm.compact_range(&KeyRange::of("user;".."user:")).unwrap();
        lsm.compact_range(&KeyRange::all()).unwrap();
    }

    /// Whoever synced beside a writer for whom there was no room was refused with him.
    #[test]
    fn who_syncs_beside_a_writer_without_room_is_not_refused() {
        let disk = Arc::new(FaultDisk::new(Arc::new(SimDisk::new())));
        disk.rule(At::first(Call::Create, ".sst"), Fault::Fail(Errno::NoSpace), Lasting::Sticky);
        let open = OpenOptions { disk, ..OpenOptions::default() };
        let lsm = Lsm::open(Path::new("/store"), open, LsmOptions::tiny()).unwrap();
        assert!((0..1000u32).any(|n| lsm.set(&n.to_le_bytes(), &[7; 100]).is_err()), "it is full");
        let mut write = WriteBatch::new();
        write.set(b"key", b"value");
        let mut group = [
            Request::new(WriteBatch::new(), true, Ask::Nothing),
            Request::new(write, true, Ask::Nothing),
            Request::new(WriteBatch::new(), true, Ask::Nothing),
        ];
        lsm.store.apply(&mut group);
        let [before, written, behind] = group.map(|request| request.outcome.unwrap());
        assert!(before.is_ok() && behind.is_ok(), "{before:?} {behind:?}");
        assert!(matches!(written, Err(Error::NoSpace { .. })), "{written:?}");
        assert_eq!(lsm.get(b"key").unwrap(), None);
    }
}
