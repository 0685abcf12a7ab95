//! The merger: one merge at a time, from the plan to its installation.
//!
//! The steps of one are a list, and each has its crash: what the merge leaves out is replaced by
//! something durable; the new files are whole and durable; the edit that names them is durable; only
//! then do readers see them, and the old files go when their last reader lets go.

use crate::engine::bitcask::census::Counters;
use crate::engine::bitcask::compaction::choice::Choice;
use crate::engine::bitcask::compaction::picker::Aim;
use crate::engine::bitcask::compaction::{self, Job, Merged};
use crate::engine::bitcask::index::Index;
use crate::engine::bitcask::options::BitcaskOptions;
use crate::engine::bitcask::segment::{SegmentMeta, Shelf};
use crate::engine::bitcask::writer::Active;
use crate::engine::catalog::Catalog;
use crate::engine::event::Event;
use crate::engine::range::KeyRange;
use crate::error::Result;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, MutexGuard};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a merge needs of an open store.
#[derive(Debug)]
pub(super) struct Merger {
    pub(super) options: Arc<BitcaskOptions>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) index: Arc<Index>,
    pub(super) active: Arc<Active>,
    pub(super) catalog: Arc<Catalog<SegmentMeta>>,
    pub(super) counters: Arc<Counters>,
    pub(super) turn: Mutex<Turn>,
    /// Set when the store is being closed.
    pub(super) is_stopping: AtomicBool,
}

/// Held by the one merge at a time. Locked before the writer, where both are.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Segments in which a merge met damage. They are left alone, for `verify` and `repair`.
    damaged: BTreeSet<u64>,
}

impl Merger {
    /// Keeps merges out: while it is held, the sealed segments of the view stay live.
    pub(super) fn keep_out(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock()
    }

    /// Merges while there is something worth it. What goes wrong is told, and harms nothing: the
    /// inputs stay.
    pub(super) fn merge_behind(&self) {
        if let Err(error) = self.merge_all() {
            self.shelf.listener.tell(Event::BackgroundFailed { reason: error.to_string() });
        }
    }

    /// Merges while there is something worth it, and the store is sound and not being closed: who closes waits for
    /// one merge, and not for all that are left.
    pub(super) fn merge_all(&self) -> Result<()> {
        while self.shelf.health.check().is_ok()
            && !self.is_stopping.load(Ordering::Relaxed)
            && self.merge_once(Aim::Ratio, u64::MAX, &Choice::all())?.is_some()
        {}
        Ok(())
    }

    /// Reclaims everything that can be reclaimed among the keys of `range`, in segments that hold no
    /// write after `upto`.
    pub(super) fn compact(&self, range: &KeyRange, upto: u64) -> Result<()> {
        let mut choice = match range.is_all() {
            true => Choice::all(),
            false => Choice::of(&self.shelf, &self.index, range, upto, &mut self.turn.lock().damaged)?,
        };
        // What writers do meanwhile makes new garbage, in what was just written too; this call is about what
        // there was. So it looks at no segment twice, and ends.
        while let Some(outputs) = self.merge_once(Aim::All, upto, &choice)? {
            choice.leave(outputs);
        }
        Ok(())
    }

    /// Merges one run of chosen segments that hold no write after `upto`, and returns the numbers of
    /// the new ones; `None` if no run is worth it.
    fn merge_once(&self, aim: Aim, upto: u64, choice: &Choice) -> Result<Option<Vec<u64>>> {
        let mut turn = self.turn.lock();
        let is_left_alone = |number| turn.damaged.contains(&number) || !choice.has(number);
        let Some(job) = Job::plan(&self.index, &self.options, aim, upto, is_left_alone) else {
            return Ok(None);
        };
        let merged = compaction::run(&self.shelf, &self.index, &job, &|| self.catalog.take_number());
        let merged = merged.inspect_err(|error| {
            if error.is_corruption() {
                turn.damaged.extend(job.numbers());
            }
        })?;
        self.install(&job, &merged)?;
        Ok(Some(merged.numbers()))
    }

    /// Puts a merge's outputs in the place of its inputs.
    fn install(&self, job: &Job, merged: &Merged) -> Result<()> {
        let _watch = self.shelf.health.watch("installing a merge");
        // What replaced the records that were left out must be durable before they go.
        self.active.sync_behind()?;
        self.catalog.apply(merged.edit(job))?;
        merged.show(&self.shelf, &self.index, job);
        job.inputs.iter().for_each(|segment| segment.condemn());
        self.counters.merged(merged.read_bytes, merged.written_bytes);
        self.shelf.listener.tell(merged.event(job));
        Ok(())
    }
}
