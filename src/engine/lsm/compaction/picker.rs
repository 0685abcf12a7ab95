//! Which compaction is next. Pure: the same version, limits and claims give the same answer.
//!
//! Level 0 goes first when it holds twice the tables it should; else the level that is the fullest for
//! its size. If running compactions are in the way there, the next is tried.
//!
//! In level 0 the oldest table that is free is taken, with all that it overlaps, directly or by way of
//! others: the more of level 0 goes at a time, the less often the base level is rewritten. In a level
//! below, the table is taken for which the fewest bytes below must be rewritten for each byte of its
//! own (RocksDB's `kMinOverlappingRatio`); tombstones make a table count as up to three times its size,
//! for what they hide goes with them.

#[cfg(test)]
pub(super) mod tests;

use crate::engine::lsm::compaction::busy::Busy;
use crate::engine::lsm::compaction::output::MAX_OVERLAP;
use crate::engine::lsm::compaction::span::Span;
use crate::engine::lsm::compaction::targets::{BOTTOM, Limits, targets};
use crate::engine::lsm::compaction::{Compaction, Reason, bytes};
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::version::edit::TableMeta;
use crate::engine::lsm::version::{TableFile, Version};
use std::sync::Arc;

/// More source tables are taken along for free up to so many tables' worth of input.
const MAX_INPUT: u64 = 25;

/// What a pick looks at.
#[derive(Clone, Copy, Debug)]
pub struct Picker<'a> {
    /// The tables.
    pub version: &'a Version,
    /// The options.
    pub limits: &'a Limits,
    /// The order of keys.
    pub order: &'a Order,
    /// What running compactions have claimed.
    pub busy: &'a Busy,
}

/// Keys that somebody wants compacted.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// From this user key on, or from the first.
    pub start: Option<&'a [u8]>,
    /// To this user key, included, or to the last.
    pub end: Option<&'a [u8]>,
    /// Only what was written up to this sequence number: what is written meanwhile need not go down, or
    /// there might be no end.
    pub upto: u64,
}

impl<'a> Picker<'a> {
    /// The next compaction that the sizes of the levels ask for; `None` if none does, or running ones
    /// are in the way of all. Costs a walk over all tables.
    pub fn pick(&self) -> Option<Compaction> {
        let targets = targets(self.version, self.limits, self.busy);
        let backlog = 2.0 * self.limits.level0_tables as f64;
        let level0_waits = targets.scores[0] * self.limits.level0_tables as f64 >= backlog;
        let urgency = |level: u8| match level {
            0 if level0_waits => f64::INFINITY,
            _ => targets.scores[usize::from(level)],
        };
        let mut levels: Vec<u8> = (0..BOTTOM).filter(|&level| urgency(level) >= 1.0).collect();
        levels.sort_by(|&a, &b| urgency(b).total_cmp(&urgency(a)));
        levels.into_iter().find_map(|level| match level {
            0 => self.pick_level0(targets.base_level, Reason::Level0, |_| true),
            _ => self.pick_below(level, Reason::Size),
        })
    }

    /// The next step by which a part of the keys comes to lie in the last level that has data, without
    /// tombstones that nothing needs: `settled` is the newest write that every reader and snapshot
    /// sees. `None` when it does, or when running compactions are in the way: if any run, ask again
    /// when one has ended. A step reads about `25 * table_bytes` and what lies below.
    pub fn pick_range(&self, part: &Part<'_>, settled: u64) -> Option<Compaction> {
        let wanted = |table: &TableFile| self.is_in(table, part);
        let last = self.version.last_level()? as u8;
        let base_level = targets(self.version, self.limits, self.busy).base_level;
        let lower = |level: u8| match level {
            0 => self.pick_level0(base_level, Reason::Range, wanted),
            _ => self.pick_run(level, Reason::Range, wanted),
        };
        let purge = || self.pick_tombstones(settled, |table| wanted(table));
        (0..last.max(1)).find_map(lower).or_else(purge)
    }

    fn is_in(&self, table: &TableFile, part: &Part<'_>) -> bool {
        let from = part.start.is_none_or(|start| self.order.compare(start, table.largest_user()).is_le());
        let upto = part.end.is_none_or(|end| self.order.compare(table.smallest_user(), end).is_le());
        from && upto && table.meta.first_seqno <= part.upto
    }

    /// Level 0: the oldest table for which it works, with those that it overlaps.
    pub(super) fn pick_level0(
        &self,
        output_level: u8,
        reason: Reason,
        wanted: impl Fn(&TableFile) -> bool,
    ) -> Option<Compaction> {
        let oldest_first = self.version.levels[0].iter().rev();
        let mut seeds = oldest_first.filter(|table| wanted(table) && !self.busy.holds(table));
        seeds.find_map(|seed| self.plan(0, output_level, Span::of(seed), reason))
    }

    /// A level below: the cheapest table for which it works, by [`cost`].
    fn pick_below(&self, level: u8, reason: Reason) -> Option<Compaction> {
        let tables = &self.version.levels[usize::from(level)];
        let free = tables.iter().filter(|table| !self.busy.holds(table));
        let mut seeds: Vec<_> = free.map(|table| (self.cost(level, table), table)).collect();
        // The sort keeps the order of keys among equals.
        seeds.sort_by_key(|(cost, _)| *cost);
        seeds.into_iter().find_map(|(_, seed)| self.plan(level, level + 1, Span::of(seed), reason))
    }

    /// Thousandths of a byte below that are rewritten for each byte of the table.
    pub(super) fn cost(&self, level: u8, table: &TableFile) -> u64 {
        let below = u128::from(bytes(self.overlapping(level + 1, &Span::of(table))));
        let cost = below * 1000 / u128::from(weight(&table.meta).max(1));
        u64::try_from(cost).unwrap_or(u64::MAX)
    }

    /// A run of neighbours of one level that are wanted: as many as one step may read.
    fn pick_run(&self, level: u8, reason: Reason, wanted: impl Fn(&TableFile) -> bool) -> Option<Compaction> {
        let tables = &self.version.levels[usize::from(level)];
        let is_free = |table: &&Arc<TableFile>| wanted(table) && !self.busy.holds(table);
        let mut left = &tables[..];
        while let Some(start) = left.iter().position(|table| is_free(&table)) {
            left = &left[start..];
            let mut room = MAX_INPUT * self.limits.table_bytes;
            let fits = left.iter().take_while(|table| {
                let cost = table.meta.len + bytes(self.overlapping(level + 1, &Span::of(table)));
                let takes = is_free(table) && room > 0;
                room = room.saturating_sub(cost);
                takes
            });
            let run = &left[..fits.count()];
            let found = Span::of_all(run, self.order)
                .and_then(|span| self.plan(level, level + 1, span, reason))
                .or_else(|| self.plan(level, level + 1, Span::of(&run[0]), reason));
            if found.is_some() {
                return found;
            }
            left = &left[run.len()..];
        }
        None
    }

    /// A table at the bottom of its keys whose tombstones and older entries can all go, rewritten in its
    /// own level.
    pub(super) fn pick_tombstones(
        &self,
        settled: u64,
        wanted: impl Fn(&TableFile) -> bool,
    ) -> Option<Compaction> {
        let may_go = |table: &&Arc<TableFile>| {
            let needless = table.meta.tombstones.saturating_add(table.meta.older);
            needless > 0 && table.meta.last_seqno <= settled && wanted(table)
        };
        (1..=BOTTOM).rev().find_map(|level| {
            let tables = self.version.levels[usize::from(level)].iter().filter(may_go);
            let plans = tables
                .map(|table| self.build(level, level, vec![table.clone()], Vec::new(), Reason::Tombstones));
            plans
                .filter(|plan| plan.deeper.iter().all(Vec::is_empty))
                .find(|plan| self.busy.admits(plan, self.order))
        })
    }

    /// The compaction of all tables of a level that overlap a span: widened until its ends lie between
    /// user keys, and by what can be taken along for free. `None` if a running one is in the way.
    pub(super) fn plan(
        &self,
        level: u8,
        output_level: u8,
        seed: Span<'_>,
        reason: Reason,
    ) -> Option<Compaction> {
        let (inputs, below) = self.gather(level, output_level, seed)?;
        let (inputs, below) = self.for_free(level, output_level, inputs, below)?;
        let plan = self.build(level, output_level, inputs, below, reason);
        self.busy.admits(&plan, self.order).then_some(plan)
    }

    /// The tables of a level that overlap a span, and those below that overlap them.
    fn gather(&self, level: u8, output_level: u8, span: Span<'_>) -> Option<Inputs> {
        let mut inputs = self.closure(level, span);
        if level == 0 {
            // The oldest of them: all that is older and shares keys with one of these is among them.
            inputs.drain(..inputs.len().saturating_sub(self.limits.level0_part));
        }
        let span = Span::of_all(&inputs, self.order)?;
        let below = self.closure(output_level, span);
        Some((inputs, below))
    }

    /// Other inputs, if they are more, need the very same tables of the level below, and are not too much. They
    /// need not hold those that there were: of a large level 0 the oldest are taken.
    fn for_free(
        &self,
        level: u8,
        output_level: u8,
        inputs: Vec<Arc<TableFile>>,
        below: Vec<Arc<TableFile>>,
    ) -> Option<Inputs> {
        let whole = Span::of_all(inputs.iter().chain(&below), self.order)?;
        let (more, more_below) = self.gather(level, output_level, whole)?;
        let numbers = |tables: &[Arc<TableFile>]| tables.iter().map(|table| table.number).collect::<Vec<_>>();
        let is_free = more.len() > inputs.len()
            && numbers(&more_below) == numbers(&below)
            && bytes(more.iter().chain(&below)) <= MAX_INPUT * self.limits.table_bytes
            && !self.busy.holds_any(&more);
        Some(if is_free { (more, below) } else { (inputs, below) })
    }

    /// The tables of a level that overlap a span or, by way of others of them, each other.
    ///
    /// In level 0 that takes all the older tables that the chosen ones overlap, as it must, and the
    /// newer ones too. Below, it takes both of two tables that share a user key, should there be such.
    fn closure(&self, level: u8, span: Span<'_>) -> Vec<Arc<TableFile>> {
        let tables = self.overlapping_any(level, &span);
        match Span::of_all(&tables, self.order).map(|all| all.with(span, self.order)) {
            Some(wider) if wider != span => self.closure(level, wider),
            _ => tables,
        }
    }

    fn overlapping_any(&self, level: u8, span: &Span<'_>) -> Vec<Arc<TableFile>> {
        if level > 0 {
            return self.overlapping(level, span).to_vec();
        }
        let overlaps = |table: &&Arc<TableFile>| span.overlaps(&Span::of(table), self.order);
        self.version.levels[0].iter().filter(overlaps).cloned().collect()
    }

    pub(super) fn overlapping(&self, level: u8, span: &Span<'_>) -> &'a [Arc<TableFile>] {
        self.version.overlapping(usize::from(level), span.smallest, span.largest, self.order)
    }

    fn build(
        &self,
        level: u8,
        output_level: u8,
        inputs: Vec<Arc<TableFile>>,
        below: Vec<Arc<TableFile>>,
        reason: Reason,
    ) -> Compaction {
        let span = Span::of_all(inputs.iter().chain(&below), self.order);
        let deeper = span.map(|span| {
            (output_level + 1..=BOTTOM).map(|level| self.overlapping(level, &span).to_vec()).collect()
        });
        let is_move = false;
        let deeper = deeper.unwrap_or_default();
        let mut plan = Compaction { level, output_level, inputs, below, deeper, reason, is_move };
        plan.is_move = self.can_move(&plan);
        plan
    }

    /// Whether the inputs may go down as they are: nothing is there to merge them with, they need not
    /// be merged with each other, and will not be too much to merge with what is below that.
    ///
    /// But if they come to the bottom of their keys and at least a tenth of their entries are
    /// tombstones, they are rewritten without. Fewer are let through: they are cheaper to keep until
    /// the table is rewritten for another reason.
    fn can_move(&self, plan: &Compaction) -> bool {
        let goes_down = plan.level < plan.output_level && plan.below.is_empty();
        let is_sorted = plan.level > 0 || plan.inputs.len() == 1;
        let is_light = bytes(plan.grandparents()) <= MAX_OVERLAP * self.limits.table_bytes;
        let at_bottom = plan.deeper.iter().all(Vec::is_empty);
        let is_purge = at_bottom && plan.inputs.iter().any(|table| has_many_tombstones(&table.meta));
        goes_down && is_sorted && is_light && !is_purge
    }
}

type Inputs = (Vec<Arc<TableFile>>, Vec<Arc<TableFile>>);

/// Whether a tenth of the entries or more are tombstones, or stand behind newer ones of their keys.
pub(super) fn has_many_tombstones(meta: &TableMeta) -> bool {
    let needless = meta.tombstones.saturating_add(meta.older);
    needless > 0 && needless.saturating_mul(10) >= meta.entries
}

/// What a table counts as when tables are compared: its bytes, more the more of it are tombstones.
fn weight(meta: &TableMeta) -> u64 {
    let (len, entries) = (u128::from(meta.len), u128::from(meta.entries.max(1)));
    let tombstones = u128::from(meta.tombstones.min(meta.entries));
    u64::try_from(len * (entries + 2 * tombstones) / entries).unwrap_or(u64::MAX)
}
