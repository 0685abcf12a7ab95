//! The compactor: compactions of a store, from the pick to the installation.
//!
//! Several may run at once, each in a thread of its own: none touches the tables of another, which is
//! what [`Jobs`] is for. The steps of one are a list, and each has its crash: the new tables are whole
//! and durable; the edit that names them, and no longer the old, is durable; only then do readers see
//! them, and the old files go when their last reader lets go.

use crate::engine::catalog::Catalog;
use crate::engine::event::Event;
use crate::engine::lsm::compaction::jobs::{Aim, Jobs};
use crate::engine::lsm::compaction::picker::Part;
use crate::engine::lsm::compaction::run::Ran;
use crate::engine::lsm::compaction::{self, Compaction};
use crate::engine::lsm::counters::Counters;
use crate::engine::lsm::maker::Maker;
use crate::engine::lsm::pressure::{Pressure, Relief};
use crate::engine::lsm::read::Reads;
use crate::engine::lsm::version::TableFile;
use crate::engine::lsm::version::edit::LiveFile;
use crate::engine::manifest::Edit;
use crate::engine::range::KeyRange;
use crate::error::{Error, Result};
use crate::sync::Mutex;
use crate::sync::atomic::Ordering;
use crate::sync::time::Instant;
use crate::worker::Schedule;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// How often a store is asked whether it is at rest, and how long nothing was written then.
pub(super) const LOOK_FOR_REST: Duration = Duration::from_millis(500);

/// What a compaction needs of an open store.
#[derive(Debug)]
pub(super) struct Compactor {
    pub(super) maker: Arc<Maker>,
    pub(super) reads: Arc<Reads>,
    pub(super) catalog: Arc<Catalog<LiveFile>>,
    /// Which compactions run.
    pub(super) jobs: Arc<Jobs>,
    pub(super) pressure: Arc<Pressure>,
    pub(super) counters: Arc<Counters>,
    pub(super) schedule: Schedule,
    /// What was visible when the background looked last, and since when.
    pub(super) rest: Mutex<Option<(u64, Instant)>>,
}

impl Compactor {
    /// Compacts while anything is worth it. What goes wrong is told, to who waits too, and harms
    /// nothing: the inputs stay.
    pub(super) fn compact_behind(&self) {
        let aim = self.background_aim();
        while self.maker.health().check().is_ok() && !self.maker.is_stopping() {
            match self.compact_once(aim) {
                Ok(true) => {}
                Ok(false) => {
                    let damage = self.jobs.damage().filter(|_| !self.jobs.is_busy());
                    damage.inspect(|damage| self.tell_stopped(damage));
                    return;
                }
                Err(error) => {
                    self.tell_stopped(&error);
                    self.maker.tell(Event::BackgroundFailed { reason: format!("a compaction: {error}") });
                    return;
                }
            }
        }
    }

    /// Who waits for what can not be compacted is not left waiting. Nobody waits while level 0 has room, and who comes
    /// later may find something that can be.
    fn tell_stopped(&self, error: &Error) {
        if self.reads.views.load().level0() >= self.maker.options.level0_stop {
            self.pressure.trouble(Relief::Compaction, error);
        }
    }

    /// A store to which nothing was written for a while is at rest, and may be made smaller.
    fn background_aim(&self) -> Aim<'static> {
        let visible = self.reads.snapshots.visible();
        let mut rest = self.rest.lock();
        match *rest {
            Some((seen, since)) if seen == visible => match since.elapsed() >= LOOK_FOR_REST {
                true if self.schedule == Schedule::Threads => self.aim_at_rest(),
                // Stepped runs know no time.
                _ => Aim::Shape,
            },
            _ => {
                *rest = Some((visible, Instant::now()));
                Aim::Shape
            }
        }
    }

    fn aim_at_rest(&self) -> Aim<'static> {
        Aim::Rest { settled: self.reads.snapshots.settled() }
    }

    /// Does what the background would do if nothing were written from now on.
    pub(super) fn settle(&self) -> Result<()> {
        self.compact_all(|| self.aim_at_rest())
    }

    /// Brings every table that may hold a key of the range down to the last level.
    pub(super) fn compact(&self, range: &KeyRange) -> Result<()> {
        let end_of = |bound: &Bound<Vec<u8>>| match bound {
            Bound::Included(key) | Bound::Excluded(key) => Some(key.clone()),
            Bound::Unbounded => None,
        };
        let (start, end) = (end_of(&range.start), end_of(&range.end));
        let upto = self.reads.snapshots.visible();
        let part = Part { start: start.as_deref(), end: end.as_deref(), upto };
        self.compact_all(|| Aim::Part(part, self.reads.snapshots.settled()))
    }

    /// Compacts in the caller's thread until nothing is left to do for an aim. Compactions that have nothing to do
    /// with it may follow each other for ever: of those it waits only for the ones that run when all is done, since
    /// one of them may be what was wanted.
    fn compact_all<'a>(&self, aim: impl Fn() -> Aim<'a>) -> Result<()> {
        let (order, version) = (self.reads.views.order(), || self.reads.views.load().version.clone());
        loop {
            self.maker.health().check()?;
            // Who waits was told before that nothing goes on, until this was tried.
            if self.compact_once(aim()).inspect_err(|error| self.tell_stopped(error))? {
                continue;
            }
            if self.jobs.is_left(order, aim(), version) {
                // What runs is in the way.
                self.pressure.wait_for_step();
                continue;
            }
            let begun = self.jobs.begun();
            while self.jobs.is_running_before(begun) {
                self.pressure.wait_for_step();
            }
            if !self.jobs.is_left(order, aim(), version) {
                return self.jobs.damage_in_the_way(order, aim(), version).map_or(Ok(()), Err);
            }
        }
    }

    /// Picks one compaction, runs and installs it; false if none is worth it.
    fn compact_once(&self, aim: Aim<'_>) -> Result<bool> {
        let order = self.reads.views.order();
        let Some(job) = self.jobs.pick(order, aim, || self.reads.views.load().version.clone()) else {
            return Ok(false);
        };
        // What kept the last one from going on is no news of this one.
        self.pressure.relieve(Relief::Compaction);
        let result = match job.compaction.is_move {
            true => self.install_move(&job.compaction),
            false => self.run(&job.compaction).and_then(|ran| self.install(&job.compaction, ran)),
        };
        drop(job);
        result?;
        self.pressure.relieve(Relief::Compaction);
        Ok(true)
    }

    fn run(&self, compaction: &Compaction) -> Result<Ran<'_>> {
        let (order, limits) = (self.reads.views.order(), self.jobs.limits());
        let next_number = || self.catalog.take_number();
        let moments = self.reads.snapshots.moments();
        compaction::run::run(&self.maker, order, limits, compaction, moments, &next_number)
            .inspect_err(|error| self.note_damage(compaction, error))
    }

    fn note_damage(&self, compaction: &Compaction, error: &Error) {
        if error.is_corruption() {
            self.jobs.avoid(compaction, error);
        }
    }

    /// Puts a compaction's outputs in the place of its inputs.
    fn install(&self, compaction: &Compaction, mut ran: Ran<'_>) -> Result<()> {
        let removed: Vec<u64> = compaction.tables().map(|table| table.number).collect();
        let made = self.maker.files(&ran.made.tables);
        self.check_apart(&removed, &made)?;
        let _watch = self.maker.health().watch("installing a compaction");
        // From here on the edit may be on the disk: the files stay, whatever comes.
        ran.made.keep();
        let (add, remove) = (ran.made.edits().collect(), removed.clone());
        self.catalog.apply(Edit { add, remove, ..Edit::default() })?;
        self.reads.views.change_tables(&removed, &made);
        compaction.tables().for_each(|table| table.condemn());
        self.counters.compacted(ran.read_bytes, ran.made.bytes(), ran.dropped);
        self.maker.tell(Event::Compacted {
            inputs: removed,
            outputs: ran.made.tables.iter().map(|(number, _)| *number).collect(),
            read_bytes: ran.read_bytes,
            written_bytes: ran.made.bytes(),
        });
        Ok(())
    }

    /// Two tables of a level below level 0 that share keys make a store that answers wrongly, and can not be opened.
    /// No compaction is picked that would make them; should one be for all that, it ends here, and its inputs stay.
    fn check_apart(&self, removed: &[u64], added: &[Arc<TableFile>]) -> Result<()> {
        let order = self.reads.views.order();
        match self.reads.views.load().version.with(removed, added, order).crossing(order) {
            None => Ok(()),
            Some((one, other)) => Err(Error::invalid(format!(
                "a compaction would leave tables {one} and {other} of one level with keys in common"
            ))),
        }
    }

    /// Moves tables to another level: nothing is read or written but the edit.
    fn install_move(&self, compaction: &Compaction) -> Result<()> {
        let moved = compaction.inputs.iter().map(|table| Arc::new(table.moved(compaction.output_level)));
        let moved: Vec<_> = moved.collect();
        let numbers: Vec<u64> = moved.iter().map(|table| table.number).collect();
        self.check_apart(&numbers, &moved)?;
        let _watch = self.maker.health().watch("moving a table");
        let add = moved.iter().map(|table| (table.number, LiveFile::Table(table.meta.clone()))).collect();
        self.catalog.apply(Edit { add, ..Edit::default() })?;
        self.reads.views.change_tables(&numbers, &moved);
        self.counters.moves.fetch_add(numbers.len() as u64, Ordering::Relaxed);
        self.maker.tell(Event::Moved { tables: numbers, level: compaction.output_level });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::event::Listener;
    use crate::engine::lsm::Lsm;
    use crate::engine::lsm::compaction::jobs::Aim;
    use crate::engine::lsm::compaction::picker::Part;
    use crate::engine::lsm::compaction::{Compaction, Reason};
    use crate::engine::lsm::options::LsmOptions;
    use crate::engine::lsm::pressure::Relief;
    use crate::engine::options::OpenOptions;
    use crate::engine::range::KeyRange;
    use crate::engine::{KvsEngine, KvsRead, filename};
    use crate::error::Result;
    use crate::vfs::memory::{Record, SimDisk};
    use crate::worker::Schedule;
    use std::cell::Cell;
    use std::path::Path;
    use std::sync::{Arc, mpsc};
    use std::thread;
    use std::time::Duration;

    fn open(disk: &SimDisk, options: LsmOptions) -> Lsm {
        let disk = Arc::new(disk.clone());
        let open = OpenOptions { disk, schedule: Schedule::Manual, ..OpenOptions::default() };
        Lsm::open(Path::new("/db"), open, options).unwrap()
    }

    /// A table of these keys.
    fn write(lsm: &Lsm, keys: &[&str], value: &str) {
        keys.iter().for_each(|key| lsm.set(key.as_bytes(), value.as_bytes()).unwrap());
        lsm.flush().unwrap();
    }

    /// A compaction that leaves out a table below that its outputs meet: what a wrong pick did once.
    #[test]
    fn tables_with_keys_in_common_are_never_put_into_a_level() {
        let disk = SimDisk::new();
        let lsm = open(&disk, LsmOptions::default());
        write(&lsm, &["a", "c"], "old");
        lsm.compact().unwrap();
        write(&lsm, &["b"], "new");
        let version = lsm.store.reads.views.load().version.clone();
        let mut wrong = Compaction {
            level: 0,
            output_level: version.last_level().unwrap() as u8,
            inputs: version.levels[0].clone(),
            below: Vec::new(),
            deeper: Vec::new(),
            reason: Reason::Range,
            is_move: false,
        };
        let compactor = &lsm.store.compactor;
        let refused = |result: Result<()>| {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("keys in common"), "{error}");
        };
        refused(compactor.run(&wrong).and_then(|ran| compactor.install(&wrong, ran)));
        wrong.is_move = true;
        refused(compactor.install_move(&wrong));
        drop((version, wrong));
        drop(lsm);
        let lsm = open(&disk, LsmOptions::default());
        let value =
            |key: &str| String::from_utf8(lsm.get(key.as_bytes()).unwrap().unwrap().to_vec()).unwrap();
        assert_eq!(["a", "b", "c"].map(value), ["old", "new", "old"]);
    }

    // A damaged table that nobody was waiting for stayed the news for whoever came to wait later, for what could be
    // compacted: 309 of 1,500 sets of sound keys were refused with the damage, in a store with room.
    #[test]
    fn damage_is_told_to_writers_when_it_is_what_stops_them() {
        let options =
            || LsmOptions { level0_tables: 1, level0_slowdown: 3, level0_stop: 3, ..LsmOptions::default() };
        let disk = SimDisk::new();
        let lsm = open(&disk, options());
        write(&lsm, &["a", "c"], "old");
        lsm.compact().unwrap();
        let table = lsm.store.reads.views.load().version.tables().next().unwrap().number;
        drop(lsm);
        let mut image = disk.image();
        image.flip_bit(Path::new("/db").join(filename::table(table)), 3);
        let lsm = open(&SimDisk::from_image(&image, Record::Off), options());
        let store = &lsm.store;
        let wait = || {
            let looks = Cell::new(0);
            let wanted = || {
                looks.set(looks.get() + 1);
                (looks.get() < 3).then_some(Relief::Compaction)
            };
            store.pressure.wait(&store.health, &Listener::default(), "", wanted)
        };
        for n in 1..=3 {
            write(&lsm, &["b"], "new");
            store.compactor.compact_behind();
            assert!(store.compactor.jobs.damage().is_some(), "it was met");
            assert_eq!(wait().is_err(), n == 3, "{n} tables in level 0");
        }
        assert!(wait().unwrap_err().is_corruption());
    }

    // It asked again until no compaction ran at all: beside others that follow each other, for ever.
    #[test]
    fn who_compacts_a_range_waits_for_no_compactions_of_other_keys() {
        let lsm = open(&SimDisk::new(), LsmOptions::default());
        write(&lsm, &["a", "c"], "");
        lsm.compact().unwrap();
        write(&lsm, &["x"], "");
        write(&lsm, &["y"], "");
        let compactor = &lsm.store.compactor;
        let other = |key: &'static str| {
            let part = Part { start: Some(key.as_bytes()), end: Some(key.as_bytes()), upto: u64::MAX };
            let version = || compactor.reads.views.load().version.clone();
            compactor.jobs.pick(compactor.reads.views.order(), Aim::Part(part, 0), version).unwrap()
        };
        let (done, outcome) = mpsc::channel();
        thread::scope(|scope| {
            let mut running = other("x");
            scope.spawn(|| done.send(lsm.compact_range(&KeyRange::of("a".."d"))).unwrap());
            let mut returned = None;
            // One runs at every moment.
            for n in 0..2_000 {
                running = other(["y", "x"][n % 2]);
                returned = outcome.recv_timeout(Duration::from_millis(10)).ok();
                if returned.is_some() {
                    break;
                }
            }
            drop(running);
            returned.expect("it waits for what has nothing to do with it").unwrap();
        });
    }
}
