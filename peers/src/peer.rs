//! What a store does to be measured beside kvs, and the meter that stands before each of them.

use crate::disk::allocated_bytes;
use kvs::WriteBatch;
use kvs::bench::error::Result;
use kvs::bench::measure::{Spent, written_bytes};
use kvs::bench::subject::Subject;
use kvs::engine::batch::Op;
use kvs::engine::metered::Usage;
use kvs::engine::range::Direction;
use kvs::engine::stats::{Counter, Stats};
use kvs::vfs::counting::Ledger;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What every store gets, as far as it has such a thing.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Memtable or write buffer, in bytes.
    pub buffer_bytes: u64,
    /// Block or page cache, in bytes.
    pub cache_bytes: u64,
    /// Bits of a Bloom filter for each key.
    pub filter_bits: u32,
}

/// A store, as it is called. Shared between threads; closed when it is dropped.
///
/// The calls mean what those of [`Subject`] do; what a peer does not have to know is counted in
/// [`Counted`].
pub trait Peer: Send + Sync {
    /// Applies a batch as a whole; durably before it returns, if asked. A batch of one is written as the
    /// store writes single keys.
    fn write(&self, batch: WriteBatch, is_durable: bool) -> Result<()>;

    /// Shows the value of `key` to `see`, if there is one; says whether there is.
    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Shows up to `limit` pairs, from the first at `from` or behind it; in reverse, from the last below
    /// `from`. Returns how many.
    fn scan(
        &self,
        from: Option<&[u8]>,
        direction: Direction,
        limit: u64,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64>;

    /// Returns when nothing is left to do in the background, and what was in memory is in files, as far
    /// as the store can be told so.
    fn settle(&self) -> Result<()>;

    /// Reclaims all that can be reclaimed; does nothing where the store has no call for it.
    fn compact(&self) -> Result<()>;
}

/// The one step of a batch of one.
pub fn single(batch: &WriteBatch) -> Option<Op<'_>> {
    if batch.len() == 1 { batch.iter().next() } else { None }
}

/// Returns when the process has been idle for a fifth of a second: for stores that cannot be asked.
pub fn wait_until_idle() {
    const LOOK: Duration = Duration::from_millis(50);
    const IDLE_CPU_SECONDS: f64 = 0.0025;
    let (began, mut calm) = (Instant::now(), 0);
    while calm < 4 && began.elapsed() < Duration::from_secs(300) {
        let spent = Spent::now();
        std::thread::sleep(LOOK);
        calm = if spent.cpu_seconds() < IDLE_CPU_SECONDS { calm + 1 } else { 0 };
    }
}

/// The counter of bytes that the process wrote since the store was opened.
pub const WRITTEN: &str = "process_written_bytes";

/// Lanes of the meter. A thread counts in one of its own as long as there are no more threads than lanes:
/// threads that add to one number would wait for each other longer than a get takes.
const LANES: usize = 64;

/// A peer behind a meter: the same one for each, kvs's own engines included.
pub struct Counted {
    name: &'static str,
    peer: Box<dyn Peer>,
    dir: PathBuf,
    /// What the process had written when the store was opened.
    written: Option<u64>,
    lanes: Vec<Lane>,
}

/// Writes down the counted things once: the atomics, and the names that they have in [`Usage`].
macro_rules! lanes {
    ($($name:ident),*) => {
        /// What some threads asked for, in cache lines of its own.
        #[derive(Default)]
        #[repr(align(128))]
        struct Lane { $($name: AtomicU64,)* }

        fn total(lanes: &[Lane]) -> Usage {
            let mut usage = Usage::default();
            for lane in lanes {
                $(usage.$name += lane.$name.load(Ordering::Relaxed);)*
            }
            usage
        }
    };
}

lanes!(
    gets,
    hits,
    batches,
    sets,
    removes,
    cursors,
    steps,
    settles,
    compactions,
    key_bytes_read,
    value_bytes_read,
    key_bytes_written,
    value_bytes_written
);

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// The lane of this thread.
fn lane_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static LANE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % LANES;
    }
    LANE.with(|lane| *lane)
}

impl Counted {
    /// Counts what is asked of a store that was just opened in `dir`. `written`: what the process had
    /// written before.
    pub fn new(name: &'static str, peer: Box<dyn Peer>, dir: &Path, written: Option<u64>) -> Counted {
        let lanes = (0..LANES).map(|_| Lane::default()).collect();
        Counted { name, peer, dir: dir.to_path_buf(), written, lanes }
    }

    fn lane(&self) -> &Lane {
        &self.lanes[lane_number()]
    }
}

impl Subject for Counted {
    fn write(&self, batch: WriteBatch, is_durable: bool) -> Result<()> {
        let [mut sets, mut removes, mut keys, mut values] = [0; 4];
        for op in batch.iter() {
            keys += op.key().len() as u64;
            match op {
                Op::Set(_, value) => (sets, values) = (sets + 1, values + value.len() as u64),
                Op::Remove(_) => removes += 1,
            }
        }
        self.peer.write(batch, is_durable)?;
        let lane = self.lane();
        add(&lane.batches, 1);
        add(&lane.sets, sets);
        add(&lane.removes, removes);
        add(&lane.key_bytes_written, keys);
        add(&lane.value_bytes_written, values);
        Ok(())
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let mut bytes = 0;
        let found = self.peer.get(key, &mut |value| {
            bytes = value.len();
            see(value);
        })?;
        let lane = self.lane();
        add(&lane.gets, 1);
        if found {
            add(&lane.hits, 1);
            add(&lane.key_bytes_read, key.len() as u64);
            add(&lane.value_bytes_read, bytes as u64);
        }
        Ok(found)
    }

    fn scan(
        &self,
        from: Option<&[u8]>,
        direction: Direction,
        limit: u64,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64> {
        let (mut keys, mut values) = (0, 0);
        let count = self.peer.scan(from, direction, limit, &mut |key, value| {
            keys += key.len() as u64;
            values += value.len() as u64;
            see(key, value);
        })?;
        let lane = self.lane();
        add(&lane.cursors, 1);
        add(&lane.steps, count);
        add(&lane.key_bytes_read, keys);
        add(&lane.value_bytes_read, values);
        Ok(count)
    }

    fn settle(&self) -> Result<()> {
        add(&self.lane().settles, 1);
        self.peer.settle()
    }

    fn compact(&self) -> Result<()> {
        add(&self.lane().compactions, 1);
        self.peer.compact()
    }

    fn usage(&self) -> Option<Usage> {
        let mut usage = total(&self.lanes);
        usage.misses = usage.gets - usage.hits;
        Some(usage)
    }

    /// Nobody stands between a peer and its files.
    fn ledger(&self) -> Option<Ledger> {
        None
    }

    /// The space that the files take, and what the process wrote; nothing of what the store might tell of
    /// itself, which means something else in each.
    fn stats(&self) -> Result<Stats> {
        let written = written_bytes().zip(self.written).map(|(now, before)| now - before);
        let counters = written.map(|value| Counter { name: WRITTEN, value }).into_iter().collect();
        let disk_bytes = allocated_bytes(&self.dir);
        Ok(Stats { engine: self.name, disk_bytes, counters, ..Stats::default() })
    }

    fn close(self) -> Option<Ledger> {
        drop(self.peer);
        None
    }
}
