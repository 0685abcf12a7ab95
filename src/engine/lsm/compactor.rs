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
                    // Who waits for what can not be compacted is not left waiting.
                    let damage = self.jobs.damage().filter(|_| !self.jobs.is_busy());
                    damage.inspect(|damage| self.pressure.trouble(Relief::Compaction, damage));
                    return;
                }
                Err(error) => {
                    self.pressure.trouble(Relief::Compaction, &error);
                    self.maker.tell(Event::BackgroundFailed { reason: format!("a compaction: {error}") });
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

    /// Compacts in the caller's thread until nothing is left to do for an aim.
    fn compact_all<'a>(&self, aim: impl Fn() -> Aim<'a>) -> Result<()> {
        loop {
            self.maker.health().check()?;
            // What runs already may be in the way, or may be what is wanted.
            let was_busy = self.jobs.is_busy();
            if self.compact_once(aim())? {
                continue;
            }
            if !was_busy {
                let version = || self.reads.views.load().version.clone();
                return self
                    .jobs
                    .damage_in_the_way(self.reads.views.order(), aim(), version)
                    .map_or(Ok(()), Err);
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
        let _watch = self.maker.health().watch("installing a compaction");
        // From here on the edit may be on the disk: the files stay, whatever comes.
        ran.made.keep();
        let removed: Vec<u64> = compaction.tables().map(|table| table.number).collect();
        let (add, remove) = (ran.made.edits().collect(), removed.clone());
        self.catalog.apply(Edit { add, remove, ..Edit::default() })?;
        self.reads.views.change_tables(&removed, &self.maker.files(&ran.made.tables));
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

    /// Moves tables to another level: nothing is read or written but the edit.
    fn install_move(&self, compaction: &Compaction) -> Result<()> {
        let _watch = self.maker.health().watch("moving a table");
        let moved = compaction.inputs.iter().map(|table| Arc::new(table.moved(compaction.output_level)));
        let moved: Vec<_> = moved.collect();
        let add = moved.iter().map(|table| (table.number, LiveFile::Table(table.meta.clone()))).collect();
        self.catalog.apply(Edit { add, ..Edit::default() })?;
        let numbers: Vec<u64> = moved.iter().map(|table| table.number).collect();
        self.reads.views.change_tables(&numbers, &moved);
        self.counters.moves.fetch_add(numbers.len() as u64, Ordering::Relaxed);
        self.maker.tell(Event::Moved { tables: numbers, level: compaction.output_level });
        Ok(())
    }
}
