//! Which compactions run: no two of them touch the same tables.

use crate::engine::lsm::compaction::Compaction;
use crate::engine::lsm::compaction::busy::Busy;
use crate::engine::lsm::compaction::picker::{Part, Picker};
use crate::engine::lsm::compaction::span::Span;
use crate::engine::lsm::compaction::targets::Limits;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::version::Version;
use crate::error::Error;
use crate::sync::Mutex;
use std::sync::Arc;

/// What a compaction is for.
#[derive(Clone, Copy, Debug)]
pub enum Aim<'a> {
    /// The tree's shape.
    Shape,
    /// The tree's shape; and if that is right, space. For a store at rest; `settled` is the newest write
    /// that every reader and snapshot sees.
    Rest {
        /// A sequence number.
        settled: u64,
    },
    /// A part of the keys goes down to the last level that has data.
    Part(Part<'a>, u64),
}

/// The running compactions of a store.
#[derive(Debug)]
pub struct Jobs {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Tables in which a compaction met damage are avoided: left alone, for `verify` and `repair`.
    busy: Busy,
    /// The first damage that was met.
    damage: Option<Error>,
}

/// A compaction that may run. Its tables are claimed until it is let go.
#[derive(Debug)]
pub struct Job<'a> {
    jobs: &'a Jobs,
    id: u64,
    /// What is to be done.
    pub compaction: Compaction,
}

impl Jobs {
    /// Nothing runs.
    pub fn new(limits: Limits) -> Jobs {
        Jobs { limits, state: Mutex::default() }
    }

    /// The options that decide.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Chooses what to do next, if anything is worth it, and claims it. `version` is asked for under the
    /// lock that ends a claim, so that it knows what was installed by all that have ended.
    pub fn pick(
        &self,
        order: &Order,
        aim: Aim<'_>,
        version: impl FnOnce() -> Arc<Version>,
    ) -> Option<Job<'_>> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let compaction = self.choose(&version(), order, aim, &state.busy)?;
        let id = state.busy.claim(&compaction, order);
        Some(Job { jobs: self, id, compaction })
    }

    /// The damage, if that is why there is nothing to pick.
    pub fn damage_in_the_way(
        &self,
        order: &Order,
        aim: Aim<'_>,
        version: impl FnOnce() -> Arc<Version>,
    ) -> Option<Error> {
        let state = self.state.lock();
        let damage = state.damage.clone()?;
        self.choose(&version(), order, aim, &state.busy.without_avoided()).map(|_| damage)
    }

    fn choose(&self, version: &Version, order: &Order, aim: Aim<'_>, busy: &Busy) -> Option<Compaction> {
        let picker = Picker { version, limits: &self.limits, order, busy };
        match aim {
            Aim::Shape => picker.pick(),
            Aim::Rest { settled } => picker.pick().or_else(|| picker.pick_idle(settled)),
            Aim::Part(part, settled) => picker.pick_range(&part, settled),
        }
    }

    /// Runs `install`, which puts new tables with keys in `span` into a level: the lowest from `level` up
    /// that no running compaction is about to write across. None begins meanwhile.
    pub fn install_loaded<T>(
        &self,
        order: &Order,
        span: &Span<'_>,
        level: impl FnOnce() -> u8,
        install: impl FnOnce(u8) -> T,
    ) -> T {
        let state = self.state.lock();
        let mut level = level();
        while level > 0 && !state.busy.lets_pass(0, level, span, order) {
            level -= 1;
        }
        install(level)
    }

    /// Whether there is something to do for an aim: now, or when what is in the way has ended. Damage is no reason to
    /// wait.
    pub fn is_left(&self, order: &Order, aim: Aim<'_>, version: impl FnOnce() -> Arc<Version>) -> bool {
        let state = self.state.lock();
        self.choose(&version(), order, aim, &state.busy.without_jobs()).is_some()
    }

    /// How many compactions have begun so far.
    pub fn begun(&self) -> u64 {
        self.state.lock().busy.begun()
    }

    /// Whether one of the first so many still runs.
    pub fn is_running_before(&self, begun: u64) -> bool {
        self.state.lock().busy.is_running_before(begun)
    }

    /// Whether any compaction runs.
    pub fn is_busy(&self) -> bool {
        self.state.lock().busy.jobs() > 0
    }

    /// Takes note that a compaction met damage: its tables are left alone from now on.
    pub fn avoid(&self, compaction: &Compaction, damage: &Error) {
        let mut state = self.state.lock();
        state.busy.avoid(compaction.tables().map(|table| table.number));
        state.damage.get_or_insert_with(|| damage.clone());
    }

    /// The damage that compactions steer clear of.
    pub fn damage(&self) -> Option<Error> {
        self.state.lock().damage.clone()
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        // The tables first: with the last who holds one that is condemned goes its file, and who waits for
        // the end of a compaction waits for that too.
        let Compaction { inputs, below, deeper, .. } = &mut self.compaction;
        inputs.clear();
        below.clear();
        deeper.clear();
        let mut state = self.jobs.state.lock();
        state.busy.release(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::{Aim, Jobs};
    use crate::engine::event::{Event, Listener};
    use crate::engine::lsm::compaction::picker::tests::{Drawn, LIMITS, version};
    use crate::engine::lsm::compaction::span::Span;
    use crate::engine::lsm::comparator::Order;
    use crate::engine::lsm::key::{Kind, internal, trailer};
    use crate::engine::lsm::version::edit::TableMeta;
    use crate::engine::lsm::version::{Bin, TableFile, Version};
    use crate::error::Error;
    use crate::vfs::dir::Dir;
    use crate::vfs::memory::SimDisk;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    /// A compaction in the background let go of its claims before it let go of its tables. So `settle` and
    /// `compact`, which wait for it, returned while its inputs were still being removed: a store of three
    /// times its size, in one of nine runs of a benchmark.
    #[test]
    fn a_compaction_runs_until_the_files_of_its_inputs_are_gone() {
        let (jobs, removals) = (Arc::new(Jobs::new(LIMITS)), Arc::new(AtomicUsize::new(0)));
        let hear = {
            let (jobs, removals) = (jobs.clone(), removals.clone());
            move |event: &Event| {
                assert!(matches!(event, Event::Removed { .. } | Event::NotRemoved { .. }), "{event}");
                assert!(jobs.is_busy(), "{event}");
                removals.fetch_add(1, SeqCst);
            }
        };
        let bin = Arc::new(Bin {
            dir: Dir::new(Arc::new(SimDisk::new()), Path::new("/db")),
            health: Arc::default(),
            listener: Listener::new(hear),
        });
        let table = |number| {
            let key = internal(b"k", trailer(number, Kind::Set));
            let meta = TableMeta {
                level: 0,
                len: 100,
                contents: 0,
                smallest: key.clone(),
                largest: key,
                first_seqno: number,
                last_seqno: number,
                entries: 1,
                tombstones: 0,
                older: 0,
                raw_bytes: 100,
            };
            Arc::new(TableFile::new(number, meta, bin.clone()))
        };
        let version = Arc::new(Version::of([1, 2].map(table), &Order::Bytewise));
        let job = jobs.pick(&Order::Bytewise, Aim::Shape, || version).unwrap();
        assert_eq!(job.compaction.tables().count(), 2);
        job.compaction.tables().for_each(|table| table.condemn());
        drop(job);
        assert_eq!(removals.load(SeqCst), 2);
        assert!(!jobs.is_busy());
    }

    /// Level 4 and level 5 are both too full: of each, a table may go down.
    const FULL: &[Drawn<'_>] =
        &[(4, 1, "a-f", 1500, 0), (4, 2, "x-z", 10, 0), (5, 3, "g-m", 9000, 0), (6, 4, "g-m", 20_000, 0)];

    #[test]
    fn what_is_loaded_stands_above_what_running_jobs_write() {
        let (jobs, version) = (Jobs::new(LIMITS), Arc::new(version(FULL)));
        let land = |level, smallest: &str, largest: &str| {
            let span = Span { smallest: smallest.as_bytes(), largest: largest.as_bytes() };
            jobs.install_loaded(&Order::Bytewise, &span, || level, |level| level)
        };
        assert_eq!(land(6, "a", "z"), 6, "nothing runs");
        let pick = || jobs.pick(&Order::Bytewise, Aim::Shape, || version.clone()).unwrap();
        let running = [pick(), pick()];
        let mut written: Vec<_> = running.iter().map(|job| job.compaction.output_level).collect();
        written.sort();
        assert_eq!(written, [5, 6]);
        assert_eq!(
            [land(6, "h", "i"), land(6, "b", "c"), land(5, "b", "c"), land(6, "n", "w")],
            [5, 4, 4, 6]
        );
        assert_eq!([land(0, "a", "z"), land(3, "a", "z")], [0, 3]);
        drop(running);
        assert_eq!((land(6, "a", "z"), jobs.is_busy()), (6, false));
    }

    #[test]
    fn tables_with_damage_are_left_alone() {
        let (jobs, version) = (Jobs::new(LIMITS), Arc::new(version(&FULL[2..])));
        let pick = || jobs.pick(&Order::Bytewise, Aim::Shape, || version.clone());
        let job = pick().unwrap();
        assert!(jobs.damage().is_none() && jobs.is_busy());
        for reason in ["first", "second"] {
            jobs.avoid(&job.compaction, &Error::corruption(Path::new("/db/000003.sst"), 7, reason));
        }
        drop(job);
        assert!(!jobs.is_busy() && pick().is_none());
        assert!(jobs.damage().unwrap().to_string().contains("first"));
        let in_the_way = || jobs.damage_in_the_way(&Order::Bytewise, Aim::Shape, || version.clone());
        assert!(in_the_way().unwrap().to_string().contains("first"));
    }

    // The first choice touched damage, and then nothing at all was chosen: what is sound was not compacted either.
    #[test]
    fn what_is_sound_is_compacted_beside_damage() {
        let (jobs, version) = (Jobs::new(LIMITS), Arc::new(version(FULL)));
        let pick = || jobs.pick(&Order::Bytewise, Aim::Shape, || version.clone());
        let first = pick().unwrap();
        jobs.avoid(&first.compaction, &Error::corruption(Path::new("/db/000003.sst"), 7, "damage"));
        let touched: Vec<_> = first.compaction.tables().map(|table| table.number).collect();
        drop(first);
        let second = pick().unwrap();
        assert!(second.compaction.tables().all(|table| !touched.contains(&table.number)), "{second:?}");
    }
}
